"""Random numbers that are not a Generator's: a replay would not draw them anew, and a branch on one would stay as it was.

What draws them is noticed by what it changes, where a step can reach it, or by the call: Python's own, and entropy of the
system, with which generators begin that are given no seed.
"""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

from ..symbols import tracing
from .recording import numpy
from .refusal import CaptureError, line, shown

SOURCES = (numpy.random.Generator, numpy.random.RandomState, random.Random)
ENTROPY = ("urandom", "getrandom", "getrandbits")


class Elsewhere:
    """Watches a run of a step for random numbers from elsewhere. sources: the generators that the step can reach."""

    def __init__(self, sources: list[Any]) -> None:
        own = [source for source in sources if isinstance(source, random.Random)]
        self._pythons = [random._inst, *own]
        self._bits = [_bits(source) for source in (*sources, numpy.random.mtrand._rand) if source not in own]
        self._before = self._now()
        self._seen: tuple[str, int] | None = None

    def restored(self) -> Iterator[Any]:
        """What gives all of them the state that they had."""
        states, pythons = self._before
        return chain(map(setattr, self._bits, repeat("state"), states), map(random.Random.setstate, self._pythons, pythons))

    def _now(self) -> tuple[list[Any], list[Any]]:
        return [bits.state for bits in self._bits], [python.getstate() for python in self._pythons]

    def watching(self, f: Callable[[], Any]) -> Any:
        """Call f; `CaptureError` if it draws from elsewhere."""
        alone = sys.getprofile() is None
        if alone:
            sys.setprofile(self._look)
        try:
            outcome = f()
        finally:
            if alone:
                sys.setprofile(None)
        if self._seen is not None or pickle.dumps(self._now()) != pickle.dumps(self._before):
            place = f", at {shown(self._seen)}" if self._seen else ""
            raise CaptureError(
                f"capture: the step draws from Python's or NumPy's own random numbers{place}, which a replay would not "
                "draw anew; draw from a tr.Generator, or pass them in"
            )
        return outcome

    def _look(self, frame: Any, event: str, function: Any) -> None:
        recording = tracing.get()
        if event == "c_call" and self._seen is None and recording is not None and not recording.drawing:
            of = getattr(function, "__self__", None)
            if isinstance(of, random.Random) or getattr(function, "__name__", "") in ENTROPY:
                self._seen = line()


def _bits(source: Any) -> Any:
    return source.bit_generator if isinstance(source, numpy.random.Generator) else source._bit_generator
