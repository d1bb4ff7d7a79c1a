"""Batches: what `fit` goes through in an epoch, and means over what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core.tensor import Tensor
from ..creation import tensor
from ..random import Generator
from ..signature import described

Batch = tuple[Any, Any]


def as_batches(data: Any, size: int, rng: Generator | None) -> Iterable[Batch]:
    """Something that gives the batches of an epoch each time it is gone through.

    data: a tuple of inputs and targets, to be cut into batches of `size`, in a new order each time where rng is given; or
    any other iterable of batches, which is taken as it is. Raises `TypeError` and `ValueError` for what is neither.
    """
    if isinstance(data, tuple) and len(data) == 2:
        return _Pair(_as_tensor(data[0]), _as_tensor(data[1]), size, rng)
    if not isinstance(data, Iterable) or isinstance(data, Iterator | Tensor):
        raise TypeError(
            f"fit: got data {described(data)}, expected a tuple (inputs, targets), or batches of them that can be gone "
            "through once an epoch: a list, or an object whose __iter__ starts anew"
        )
    return data


class _Pair:
    """Batches of inputs and targets that lie in memory; the last one may be smaller."""

    def __init__(self, x: Tensor, y: Tensor, size: int, rng: Generator | None) -> None:
        if not x.ndim or not y.ndim or len(x) != len(y) or not len(x):
            raise ValueError(
                f"fit: got inputs {described(x)} and targets {described(y)}, expected as many of one as of the other along "
                "their first axis, and at least one"
            )
        self.x, self.y, self.size, self.rng = x, y, size, rng

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        order = None if self.rng is None else self.rng.permutation(len(self.x))
        for start in range(0, len(self.x), self.size):
            part = slice(start, start + self.size)
            rows = part if order is None else order[part]
            yield self.x[rows], self.y[rows]


def _as_tensor(data: Any) -> Tensor:
    if isinstance(data, Tensor):
        return data
    return Tensor(data) if hasattr(data, "dtype") else tensor(data)


class Means:
    """Means over samples of numbers that come as one mean for each batch, or over batches; they may be on a device.

    A device is waited for only when the means are read. Sums are float64, in the order of the batches, so that reading
    in between changes nothing.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._sums: dict[str, tuple[float, int]] = {}
        self._unread: list[tuple[int, dict[str, Any]]] = []

    def add(self, n: int, values: Mapping[str, Any], once: Mapping[str, Any] | None = None) -> None:
        """Take the means over the n samples of a batch, and what counts once a batch, however many samples it has."""
        self.samples += n
        for weight, numbers in ((n, values), (1, once or {})):
            held = {name: v.detach() if isinstance(v, Tensor) else v for name, v in numbers.items()}
            self._unread.append((weight, held))

    def read(self) -> dict[str, float]:
        """The means so far, by name; `ValueError` where nothing was added."""
        if not self.samples:
            raise ValueError("fit: the data gave no batches in an epoch, expected at least one; an iterator serves once")
        for weight, values in self._unread:
            for name, value in values.items():
                total, weights = self._sums.get(name, (0.0, 0))
                self._sums[name] = total + weight * float(value), weights + weight
        self._unread.clear()
        return {name: total / weights for name, (total, weights) in self._sums.items()}
