"""What Hypothesis draws, by the strategies and the seed alone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

try:
    from hypothesis.internal.conjecture import providers

    _held: dict[str, Any] = vars(providers)
    _own = {"_get_local_constants": _held["Constants"], "CONSTANTS_CACHE": type(_held["CONSTANTS_CACHE"])(1024)}
except (ImportError, KeyError, TypeError):  # a version that draws no constants, or that has them elsewhere
    _held, _own = {}, {}

_drawing = threading.RLock()


@contextlib.contextmanager
def by_seed() -> Iterator[None]:
    """In this context Hypothesis draws no constants of local modules.

    It reads the source of each local module that is loaded, and draws the numbers and texts in it more often than others:
    a good thing where code compares with them. But the same seed then draws something else as soon as one more module is
    loaded, or a number changes in one: an op that fails alone passes among other tests. Hypothesis has no setting for it.
    """
    with _drawing:
        before = {name: _held[name] for name in _own}
        _held.update(_own)
        try:
            yield
        finally:
            _held.update(before)
