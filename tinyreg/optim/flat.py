"""Several tensors as one flat array, so that what is done to each of them is a few large operations.

Elementwise arithmetic gives the same bits on a flat array as on its parts. No array that was given is ever written to:
tensors, tapes and saved states may share it. An optimizer writes only to what nobody else holds: its state, and gradients
that were copied together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from operator import is_
from typing import Any

from ..core.backend import Array, Backend, Shape, accumulator, get
from ..core.tensor import Tensor, replace

LARGE = 2**15
"""Tensors of more elements stay alone: to copy them together takes longer than it saves."""


def alike(tensors: Sequence[Tensor], keys: Sequence[Any] = ()) -> Sequence[Sequence[int]]:
    """The positions of tensors that can share a flat array: those of one dtype, backend and key that are not large."""
    arrays = [tensor.data for tensor in tensors]
    kinds = [(array.dtype, type(array), i if array.size > LARGE else None) for i, array in enumerate(arrays)]
    return _equal(tuple(zip(kinds, keys, strict=True) if keys else kinds))


@lru_cache(16)  # the same parameters come at every step
def _equal(keys: tuple[Any, ...]) -> Sequence[Sequence[int]]:
    """The positions of equal keys, together."""
    found: dict[Any, list[int]] = {}
    for i, key in enumerate(keys):
        found.setdefault(key, []).append(i)
    return tuple(map(tuple, found.values()))


@lru_cache(16)
def _parts(shapes: tuple[Shape, ...]) -> Sequence[tuple[slice, Shape]]:
    """Where arrays of these shapes stand, one after the other."""
    sizes = list(map(math.prod, shapes))
    ends = zip(accumulate(sizes), sizes, shapes, strict=True)
    return tuple((slice(end - size, end), shape) for end, size, shape in ends)


class Flat:
    """Those of `tensors` that stand at `positions`, as one flat array: of float32 if they are float16."""

    def __init__(self, tensors: Sequence[Tensor], positions: Sequence[int]) -> None:
        self.positions, self.tensors = positions, [tensors[i] for i in positions]
        self._dtype = self.tensors[0].dtype
        self._wide = accumulator(self._dtype) or self._dtype
        self._parts = _parts(tuple([tensor.shape for tensor in self.tensors]))

    @property
    def xp(self) -> Backend:
        """The array library of the tensors: looked up, because a module cannot be copied or pickled."""
        return get(self.tensors[0].backend)

    def gather(self, arrays: Sequence[Array]) -> Array:
        """Arrays of the tensors' shapes, one after the other; a single one is not copied."""
        flat = arrays[0].reshape(-1) if len(arrays) == 1 else self.xp.concatenate(arrays, axis=None)
        return flat.astype(self._wide, copy=False)

    def gradients(self) -> Array:
        """The gradients, all of which are there, one after the other."""
        return self.gather([tensor.grad.data for tensor in self.tensors])  # type: ignore[union-attr]

    def narrowed(self, flat: Array) -> Array:
        """A flat array in the dtype of the tensors."""
        return flat.astype(self._dtype, copy=False)

    def split(self, flat: Array) -> list[Array]:
        """Views of a flat array, in the tensors' shapes."""
        return [flat[part] if len(shape) == 1 else flat[part].reshape(shape) for part, shape in self._parts]


class Bucket(Flat):
    """Parameters that an optimizer moves together: their values and their state as flat arrays, first those that decay.

    "step" in the state is a number, and all else arrays; the states of all parameters have the same names and step.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        positions: Sequence[int],
        states: Sequence[dict[str, Any]],
        decays: Sequence[bool],
    ) -> None:
        super().__init__(tensors, positions)
        self.decayed = sum(tensors[i].size for i in positions if decays[i])
        own = [states[i] for i in positions]
        self.state = {k: v if k == "step" else self.gather([state[k] for state in own]) for k, v in own[0].items()}
        self._values: Array = None
        self._views: list[Array] = [None] * len(own)

    def values(self) -> Array:
        """The parameters' values, gathered anew where somebody else has changed one."""
        arrays = [tensor.data for tensor in self.tensors]
        if not all(map(is_, arrays, self._views)):
            self._values, self._views = self.gather(arrays), arrays
        return self._values.astype(self._wide, copy=False)

    def put(self, values: Array, state: dict[str, Any]) -> None:
        """Give the parameters new values, as views of one array, and keep their new state."""
        self._values, self.state = self.narrowed(values), state
        self._views = self.split(self._values)
        replace(self.tensors, self._views)

    def states(self) -> list[dict[str, Any]]:
        """The state of each parameter, its arrays as views."""
        each: list[dict[str, Any]] = [{} for _ in self.tensors]
        for name, value in self.state.items():
            parts = [value] * len(each) if name == "step" else self.split(value)
            for state, part in zip(each, parts, strict=True):
                state[name] = part
        return each
