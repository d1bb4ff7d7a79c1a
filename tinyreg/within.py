"""Contexts that are decorators too, also of functions whose bodies run in steps. This stands below the core."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
Manager = contextlib.AbstractContextManager[None]


class Context:
    """A context, `with it:`, and a decorator, `@it`; each time it is a new one of those that `make` gives."""

    def __init__(self, name: str, make: Callable[[], Manager]) -> None:
        self._name, self._make, self._entered = name, make, list[Manager]()

    def __enter__(self) -> None:
        manager = self._make()
        manager.__enter__()
        self._entered.append(manager)

    def __exit__(self, *error: Any) -> bool | None:
        return self._entered.pop().__exit__(*error)

    def __call__(self, f: F) -> F:
        """f with its body within the context; `TypeError` for an asynchronous generator function."""
        if not callable(f) or inspect.isasyncgenfunction(f):
            raise TypeError(
                f"{self._name}: got {f!r:.80}, expected a function, and no asynchronous generator function: use `with "
                f"{self._name}(...):` in its body"
            )
        return within(self._make, f)


def context(f: Callable[P, Iterator[None]]) -> Callable[P, Context]:
    """`contextlib.contextmanager`, whose contexts as decorators also cover the steps of generators and coroutines."""
    manager = contextlib.contextmanager(f)

    @functools.wraps(f)
    def make(*args: P.args, **kwargs: P.kwargs) -> Context:
        return Context(f.__name__, functools.partial(manager, *args, **kwargs))

    return make


def within(context: Callable[[], Manager], f: F) -> F:
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
