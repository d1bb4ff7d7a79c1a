"""Ctrl-C in a long run: the first ends what is being measured, and none ends what is being written."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Interrupts:
    """How often Ctrl-C was pressed; it raises KeyboardInterrupt once, and only where it is let through."""

    def __init__(self) -> None:
        self.pressed = 0
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
def held_back() -> Iterator[Interrupts]:
    """Ctrl-C is counted, and does nothing else but where it is let through; only a main thread is told of it."""
    found = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    before = signal.signal(signal.SIGINT, found)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)
