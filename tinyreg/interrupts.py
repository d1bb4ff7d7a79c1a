"""Ctrl-C in a long run: it ends what is being done, and never what is being written."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
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


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """In this context Ctrl-C waits until the end, and then is what it would have been; a second one does not wait."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield  # Ctrl-C goes elsewhere
        return
    pressed = threading.Event()

    def note(*args: Any) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed.is_set():
            signal.raise_signal(signal.SIGINT)
