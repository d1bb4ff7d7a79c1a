"""Switches: values that a context may set for itself, and contexts that are decorators too. This stands below the core."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Manager = contextlib.AbstractContextManager[None]


class Switch(Generic[T]):
    """A value that `with switch(value):` sets for the code inside; other threads and tasks do not see it.

    What was before comes back, also after an exception. replayed: whether the value decides what a function computes, so
    that a checkpoint, which runs it a second time, has to find the value of the first.
    """

    REPLAYED: list[Switch[Any]] = []  # noqa: RUF012  (Python has no ClassVar of a generic's own type)

    def __init__(self, name: str, default: T, *, replayed: bool = False) -> None:
        self._variable = contextvars.ContextVar(f"tinyreg_{name}", default=default)
        self.get: Callable[[], T] = self._variable.get
        if replayed:
            self.REPLAYED.append(self)

    @contextlib.contextmanager
    def __call__(self, value: T) -> Iterator[None]:
        """Set the value in a context."""
        before = self.get()
        try:
            self._variable.set(value)
            yield
        finally:
            self._variable.set(before)


def apart(values: Iterable[tuple[Switch[Any], Any]], f: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call f in a context of its own, in which switches have these values.

    Nothing has to be put back afterwards, so that no Ctrl-C can come in between; whatever else f sets in its context goes.
    """
    context = contextvars.copy_context()
    for switch, value in values:
        context.run(switch._variable.set, value)
    return context.run(f, *args, **kwargs)


class Context:
    """A context, `with it:`, and a decorator, `@it`; each time it is a new one of those that `make` gives.

    It may be entered inside itself, and by several threads at once. It alone holds what it has entered: where a Ctrl-C
    comes between two steps of a `with` that made it, that goes with it, and what was before comes back.
    """

    def __init__(self, name: str, make: Callable[[], Manager]) -> None:
        self._name, self._make = name, make
        self._managers: dict[object, Manager] = {}

    def __enter__(self) -> None:
        key, manager = object(), self._make()
        manager.__enter__()
        _entered.set((key, *_entered.get()))
        self._managers[key] = manager

    def __exit__(self, *error: Any) -> bool | None:
        own, *_ = [key for key in _entered.get() if key in self._managers]  # a generator's close would lose a Ctrl-C
        _entered.set(tuple([key for key in _entered.get() if key is not own]))
        return self._managers.pop(own).__exit__(*error)

    def __call__(self, f: F) -> F:
        """f with its body within the context; `TypeError` for an asynchronous generator function."""
        if not callable(f) or inspect.isasyncgenfunction(f):
            raise TypeError(
                f"{self._name}: got {f!r:.80}, expected a function, and no asynchronous generator function: use `with "
                f"{self._name}(...):` in its body"
            )
        return _within(self._make, f)


_entered = contextvars.ContextVar[tuple[object, ...]]("tinyreg_entered", default=())
"""A key for each context that is entered, the latest first."""


def _within(make: Callable[[], Manager], f: F) -> F:
    """f with each call, or each step of a generator or coroutine that it makes, in a new `make()`."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with make():
            return f(*args, **kwargs)

    async def wait(*args: Any, **kwargs: Any) -> Any:
        with make():
            return await f(*args, **kwargs)

    def step(*args: Any, **kwargs: Any) -> Any:
        body = f(*args, **kwargs)
        advance: Callable[[], Any] = functools.partial(next, body)
        while True:
            try:
                with make():
                    made = advance()
            except StopIteration as end:
                return end.value
            try:
                advance = functools.partial(body.send, (yield made))
            except BaseException as error:
                advance = functools.partial(body.throw, error)

    run = step if inspect.isgeneratorfunction(f) else wait if inspect.iscoroutinefunction(f) else call
    return functools.wraps(f)(run)  # type: ignore[return-value]
