"""Several tensors as one flat array, so that what is done to each of them is a few large operations.

Elementwise arithmetic gives the same bits on a flat array as on its parts. No array here is ever written to: tensors,
tapes and saved states may share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import is_
from typing import Any

from ..core.backend import Array, Backend, accumulator, get
from ..core.tensor import Tensor, replace

LARGE = 2**15
"""Tensors of more elements stay alone: to copy them together takes longer than it saves."""


def alike(tensors: Sequence[Tensor], keys: Sequence[Any] = ()) -> list[list[int]]:
    """The positions of tensors that can share a flat array: those of one dtype, backend and key that are not large."""
    found: dict[Any, list[int]] = {}
    for i, tensor in enumerate(tensors):
        alone = i if tensor.size > LARGE else None
        found.setdefault((tensor.dtype, tensor.backend, alone, keys[i] if keys else None), []).append(i)
    return list(found.values())


class Flat:
    """Those of `tensors` that stand at `positions`, as one flat array: of float32 if they are float16."""

    def __init__(self, tensors: Sequence[Tensor], positions: Sequence[int]) -> None:
        self.positions, self.tensors = positions, [tensors[i] for i in positions]
        self._dtype = self.tensors[0].dtype
        self._wide = accumulator(self._dtype) or self._dtype
        ends = accumulate(tensor.size for tensor in self.tensors)
        self._parts = [(slice(end - t.size, end), t.shape) for end, t in zip(ends, self.tensors, strict=True)]

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
        return [flat[part].reshape(shape) for part, shape in self._parts]


class Bucket(Flat):
    """Parameters that an optimizer moves together: their values and their state as flat arrays.

    "step" in the state is a number, and all else arrays; the states of all parameters have the same names and step.
    """

    def __init__(self, tensors: Sequence[Tensor], positions: Sequence[int], states: Sequence[dict[str, Any]]) -> None:
        super().__init__(tensors, positions)
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
