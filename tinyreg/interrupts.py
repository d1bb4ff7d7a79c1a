"""Ctrl-C in a long run: it ends what is being done, and never what is being written."""

from __future__ import annotations

import collections
import contextlib
import itertools
import signal
import threading
from _signal import getsignal as handler  # type: ignore[import-not-found]  # without enums, which take longer
from _signal import signal as handle
from collections.abc import Iterable, Iterator
from typing import Any


class Interrupts:
    """How often Ctrl-C was pressed; it raises KeyboardInterrupt once, and only where it is let through."""

    def __init__(self) -> None:
        self.pressed: int = 0
        self._through = False

    def __call__(self, *_: Any) -> None:
        """Ctrl-C was pressed."""
        self.pressed += 1
        if self._through:
            self._through = False
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def through(self) -> Iterator[None]:
        """Ctrl-C interrupts what is inside, and does not let it begin where it was pressed before."""
        if self.pressed:
            raise KeyboardInterrupt
        self._through = True
        try:
            yield
        finally:
            self._through = False


@contextlib.contextmanager
def counted() -> Iterator[Interrupts]:
    """Ctrl-C is counted, and does nothing else but where it is let through; only a main thread gets it."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, interrupts)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


uninterrupted = collections.deque[Any](maxlen=0).extend
"""Run an iterator over functions of C to its end, such as a `map` of `dict.update`: no Ctrl-C comes in between."""


def set_together(*changes: tuple[Iterable[Any], str, Iterable[Any]]) -> None:
    """Give objects new values in a slot, each change (objects, name of the slot, values): all of them or none."""
    maps = [map(setattr, objects, itertools.repeat(name), values) for objects, name, values in changes]
    uninterrupted(itertools.chain.from_iterable(maps))


class deferred:  # noqa: N801  (reads as a verb: `with deferred():`)
    """In this context Ctrl-C waits until the end, and then is what it would have been; a second one does not wait."""

    def __enter__(self) -> None:
        self._pressed = False
        self._before: Any = handler(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
        if self._before is not None:  # otherwise Ctrl-C goes elsewhere
            handle(signal.SIGINT, self._note)

    def _note(self, *_: Any) -> None:
        self._pressed = True
        handle(signal.SIGINT, self._before)

    def __exit__(self, *_: Any) -> None:
        if self._before is not None:
            handle(signal.SIGINT, self._before)
        if self._pressed:
            signal.raise_signal(signal.SIGINT)
