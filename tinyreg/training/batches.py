"""Batches: what `fit` goes through in an epoch, and means over what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any

from ..core.backend import described
from ..core.tensor import Tensor
from ..creation import backend_of, tensor
from ..random import Generator
from ..structure import leaves, mapped
from .nested import named, shapes_in

Batch = tuple[Any, Any]

PAIR = (
    "a pair (inputs, targets); several inputs or targets go into a tuple or a dict, and what else the loss needs, such as "
    "weights of the samples, beside the targets: (x, (y, weights))"
)


class Pair:
    """Inputs and targets that lie in memory, with samples along the first axis of each array."""

    x: Any
    y: Any
    samples: int

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = _as_tensors(x), _as_tensors(y)
        parts = [*leaves(self.x), *leaves(self.y)]
        lengths = {len(part) if part.ndim else 0 for part in parts}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                f"fit: got inputs {shapes_in(self.x)} and targets {shapes_in(self.y)}, expected as many of one as of the "
                "other along their first axis, and at least one"
            )
        self.samples = lengths.pop()


class Cut:
    """Batches of a `Pair`, in a new order each time where rng is given; the last one may be smaller, or is left out."""

    pair: Pair
    size: int
    rng: Generator | None
    drop_last: bool

    def __init__(self, pair: Pair, size: int, rng: Generator | None, drop_last: bool) -> None:
        self.pair, self.size, self.rng, self.drop_last = pair, size, rng, drop_last

    def __len__(self) -> int:
        return self.pair.samples // self.size if self.drop_last else -(-self.pair.samples // self.size)

    def __iter__(self) -> Iterator[Batch]:
        order = None if self.rng is None else self.rng.permutation(self.pair.samples)
        for i in range(len(self)):
            part = slice(i * self.size, (i + 1) * self.size)
            rows = part if order is None else order[part]
            yield mapped(itemgetter(rows), self.pair.x), mapped(itemgetter(rows), self.pair.y)


def as_data(data: Any) -> Pair | Iterable[Batch]:
    """Data for `fit` as a `Pair`, or as an iterable of batches; `TypeError` and `ValueError` for what is neither."""
    if isinstance(data, tuple) and len(data) == 2:
        return Pair(*data)
    if isinstance(data, tuple) and any(hasattr(part, "shape") for part in data):
        raise TypeError(f"fit: got data of {len(data)} parts, {shapes_in(data)}, expected {PAIR}")
    if not isinstance(data, Iterable) or isinstance(data, Iterator | str | Mapping) or hasattr(data, "shape"):
        raise TypeError(
            f"fit: got data {named(data)}, expected a tuple (inputs, targets), or batches of them that can be gone "
            "through once an epoch: a list, or an object whose __iter__ starts anew"
        )
    return data


def as_batches(
    data: Pair | Iterable[Batch], size: int, rng: Generator | None = None, drop_last: bool = False
) -> Iterable[Batch]:
    """Something that gives the batches of an epoch each time it is gone through: a `Pair` cut, batches as they are."""
    if not isinstance(data, Pair):
        return data
    if drop_last and data.samples < size:
        raise ValueError(f"fit: got drop_last=True, batch_size={size} and {data.samples} samples, which leaves no batch")
    return Cut(data, size, rng, drop_last)


def parts(batch: Any) -> Batch:
    """The inputs and the targets of a batch; `TypeError` where it is no pair."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        got = f"{len(batch)} things" if isinstance(batch, tuple | list | dict) else named(batch)
        raise TypeError(f"fit: got a batch of {got}, expected {PAIR}")
    return batch[0], batch[1]


def place(batches: Any, i: int, epoch: int, what: str) -> str:
    """Where batch i of an epoch stands, both counted from 1, for an error; what: "data" or "validation"."""
    where = f"fit: this was in batch {i} of the {what}, in epoch {epoch}"
    if not isinstance(batches, Cut) or not 1 < i == len(batches) or not batches.pair.samples % batches.size:
        return where
    rest = f"{batches.pair.samples % batches.size} of {batches.size} samples"
    return f"{where}, the last batch, which has {rest}" + ": drop_last=True leaves it out" * (what == "data")


def _as_tensors(data: Any) -> Any:
    """Tensors of what lies in memory: arrays in a tuple or a dict each for itself, anything else as one."""
    if isinstance(data, dict) or (
        isinstance(data, tuple) and any(isinstance(p, dict) or hasattr(p, "shape") for p in data)
    ):
        each = [_as_tensors(part) for part in (data.values() if isinstance(data, dict) else data)]
        return dict(zip(data, each, strict=True)) if isinstance(data, dict) else tuple(each)
    if isinstance(data, Tensor):
        return data
    try:
        backend_of(data)
    except TypeError:
        return tensor(data)
    return Tensor(data)


class Means:
    """Means of numbers that come as one for each batch, weighed by what the batch counts; they may be on a device.

    A device is waited for only when the means are read. Sums are float64, in the order of the batches, so that reading
    in between changes nothing.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}
        self._unread: list[tuple[Any, dict[str, Any]]] = []

    def add(self, count: Any, values: Mapping[str, Any], once: Mapping[str, Any] | None = None) -> None:
        """Take the means over a batch that counts so much, and what counts once a batch."""
        for weight, numbers in ((count, values), (1, once or {})):
            for name, value in numbers.items():
                if any(n != 1 for n in getattr(value, "shape", ())):
                    raise ValueError(f"fit: got {name} {described(value)} of a batch, expected one number, such as a mean")
            held = {name: v.detach() if isinstance(v, Tensor) else v for name, v in numbers.items()}
            self._unread.append((weight, held))

    def read(self) -> dict[str, float]:
        """The means so far, by name; NaN where all batches count 0."""
        for weight, values in self._unread:
            weight = number(weight)
            for name, value in values.items():
                total, weights = self._sums.get(name, (0.0, 0.0))
                self._sums[name] = (total + weight * number(value), weights + weight) if weight else (total, weights)
        self._unread.clear()
        return {name: total / weights if weights else float("nan") for name, (total, weights) in self._sums.items()}


def number(value: Any) -> float:
    """A number of Python, NumPy, a Tensor or an array of one element, as Python's float."""
    return float(value.item() if hasattr(value, "item") else value)
