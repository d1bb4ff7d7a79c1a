"""How large experiments are: `--size` chooses a row of SIZES, by which numbers of the demos are multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Size(NamedTuple):
    """By what an experiment is multiplied."""

    width: int  # units of each hidden layer
    digits: int  # images that the ladder learns from


SMALL, LARGE = "small", "large"
SIZES = {SMALL: Size(width=1, digits=1), LARGE: Size(width=16, digits=6)}
"""The small one is for two cores. The large one has products of matrices that keep a GPU busy."""
_chosen: ContextVar[str] = ContextVar("_chosen", default=SMALL)


@contextmanager
def use(name: str) -> Iterator[None]:
    """Run experiments at that size."""
    before = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(before)


def chosen() -> str:
    """The name of the size that was chosen."""
    return _chosen.get()


def wide(units: int) -> int:
    """How many units a hidden layer has that has so many at the small size."""
    return units * SIZES[chosen()].width


def more(images: int) -> int:
    """How many images are learned from where the small size has so many."""
    return images * SIZES[chosen()].digits
