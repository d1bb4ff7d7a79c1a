"""Functions whose bodies run within a context, also where they run in steps. This stands below the core."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def within(context: Callable[[], AbstractContextManager[None]], f: F) -> F:
    """f with each call, or each step of a generator or coroutine that it makes, in a new `context()`."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with context():
            return f(*args, **kwargs)

    async def wait(*args: Any, **kwargs: Any) -> Any:
        with context():
            return await f(*args, **kwargs)

    def step(*args: Any, **kwargs: Any) -> Any:
        body = f(*args, **kwargs)
        try:
            with context():
                made = next(body)
            while True:
                try:
                    given = yield made
                except BaseException as error:
                    with context():
                        made = body.throw(error)
                else:
                    with context():
                        made = body.send(given)
        except StopIteration as end:
            return end.value

    run = step if inspect.isgeneratorfunction(f) else wait if inspect.iscoroutinefunction(f) else call
    return functools.wraps(f)(run)  # type: ignore[return-value]
