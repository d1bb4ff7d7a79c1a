"""Many tensors as few flat arrays: small ones together, and a large one alone, in blocks that the cache holds.

Elementwise arithmetic gives the same bits on a flat array as on its parts. No array that was given is ever written to:
tensors, tapes and saved states may share it. An optimizer writes only to what nobody else holds: its state, and gradients
that were copied together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import is_
from typing import Any

from ..core.backend import Array, Backend, Shape, accumulator, get
from ..core.tensor import Tensor

State = dict[str, Any]  # "step" is a number, and all else arrays
Formula = Callable[[Array, Array, State, int, Array], None]
"""f(w, g, state, decayed, out) writes to `out` what values w become with gradients g, and gives `state` its new arrays."""

LARGE = 2**15
"""Tensors of more elements stay alone: to copy them together takes longer than it saves."""

FEW = 8
"""Up to this many blocks, a flat array is taken whole: the processor's outer cache holds it between two operations."""


class Pack:
    """Those of `tensors` that stand at `positions`, as one flat array: of float32 if they are float16.

    The first `decayed` elements decay. `flat` has the values of the tensors as long as they are its `views`. `state` is
    what an optimizer keeps for the tensors, as flat arrays too. Whether a formula is worked out `in_blocks` is for the
    optimizer to say: it has to be elementwise, and the pack `large`.
    """

    positions: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    decayed: int
    in_blocks: bool

    def __init__(self, tensors: Sequence[Tensor], positions: Sequence[int], decays: Sequence[bool] = ()) -> None:
        self.positions, self.tensors = tuple(positions), tuple([tensors[i] for i in positions])
        self.decayed = sum(tensors[i].size for i in positions if decays[i]) if decays else 0
        self.state: State = {}
        self._dtype = self.tensors[0].dtype
        self._wide = accumulator(self._dtype) or self._dtype
        self._parts = _parts(tuple([tensor.shape for tensor in self.tensors]))
        self.flat: Array = None
        self.views: list[Array] = [None]  # so that the values are gathered

    @classmethod
    def all(
        cls,
        tensors: Sequence[Tensor],
        positions: Sequence[int] | None = None,
        decays: Sequence[bool] = (),
        keys: Sequence[Any] | None = None,
    ) -> list[Pack]:
        """The packs of the tensors at `positions`, in that order: of one dtype, backend and key, and none of them large."""
        chosen = range(len(tensors)) if positions is None else positions
        arrays = [tensors[i].data for i in chosen]
        kinds = [(array.dtype, type(array), i if array.size > LARGE else None) for i, array in enumerate(arrays)]
        together = _equal(tuple(zip(kinds, keys, strict=True) if keys else kinds))
        return [cls(tensors, [chosen[k] for k in places], decays) for places in together]

    @property
    def xp(self) -> Backend:
        """The array library of the tensors: looked up, because a module cannot be copied or pickled."""
        return get(self.tensors[0].backend)

    # ---- flat, and apart again

    def gather(self, arrays: Sequence[Array]) -> Array:
        """Arrays of the tensors' shapes, one after the other; a single one is not copied."""
        flat = arrays[0].reshape(-1) if len(arrays) == 1 else self.xp.concatenate(arrays, axis=None)
        return flat.astype(self._wide, copy=False)

    def gather_gradients(self) -> Array:
        """The gradients, all of which are there, one after the other."""
        return self.gather([tensor.grad.data for tensor in self.tensors])  # type: ignore[union-attr]

    def gather_states(self, states: Sequence[State]) -> None:
        """Take over the states of all tensors, by position: those of its own have the same names and the same step."""
        own = [states[i] for i in self.positions]
        self.state = {k: v if k == "step" else self.gather([state[k] for state in own]) for k, v in own[0].items()}

    def narrowed(self, flat: Array) -> Array:
        """A flat array in the dtype of the tensors."""
        return flat.astype(self._dtype, copy=False)

    def split(self, flat: Array) -> list[Array]:
        """Views of a flat array, in the tensors' shapes."""
        return [flat[part] if len(shape) == 1 else flat[part].reshape(shape) for part, shape in self._parts]

    def split_states(self) -> list[State]:
        """The state of each tensor, its arrays as views."""
        each: list[State] = [{} for _ in self.tensors]
        for name, value in self.state.items():
            parts = [value] * len(each) if name == "step" else self.split(value)
            for state, part in zip(each, parts, strict=True):
                state[name] = part
        return each

    # ---- a step

    @property
    def large(self) -> bool:
        """Whether it is better worked out in blocks."""
        size: int = sum(tensor.size for tensor in self.tensors)
        return size > FEW * self.xp.block

    def values(self) -> Array:
        """The tensors' values, gathered anew where somebody else has changed one."""
        arrays = [tensor.data for tensor in self.tensors]
        if not all(map(is_, arrays, self.views)):
            self.flat, self.views = self.gather(arrays), arrays
        return self.flat.astype(self._wide, copy=False)

    def worked_out(self, formula: Formula, g: Array, *, in_place: bool) -> tuple[Array, State]:
        """The next values, and the next state, and nothing has changed yet, unless the state changes in place."""
        w, xp = self.values(), self.xp
        state = {name: value if in_place or name == "step" else value.copy() for name, value in self.state.items()}
        values, before = xp.empty_like(w), dict(state)
        if not self.in_blocks:
            formula(w, g, state, self.decayed, values)
            return self.narrowed(values), state
        for start in range(0, g.size, xp.block):
            part = slice(start, start + xp.block)
            given = {name: value if name == "step" else value[part] for name, value in before.items()}
            new = dict(given)
            formula(w[part], g[part], new, min(max(self.decayed - start, 0), xp.block), values[part])
            for name, value in new.items():
                if name == "step":
                    state[name] = value
                elif value is not given.get(name):  # otherwise it was written to
                    if name not in state:
                        state[name] = xp.empty_like(w)
                    state[name][part] = value
        return self.narrowed(values), state


def arithmetic_may_raise() -> bool:
    """Whether overflow and the like raise here, as after np.seterr(all="raise")."""
    return "raise" in get("numpy").geterr().values()


@lru_cache(16)  # the same tensors come at every step
def _equal(keys: tuple[Any, ...]) -> Sequence[Sequence[int]]:
    """The positions of equal keys, together."""
    places: dict[Any, list[int]] = {}
    for i, key in enumerate(keys):
        places.setdefault(key, []).append(i)
    return tuple(map(tuple, places.values()))


@lru_cache(16)
def _parts(shapes: tuple[Shape, ...]) -> Sequence[tuple[slice, Shape]]:
    """Where arrays of these shapes stand, one after the other."""
    sizes = list(map(math.prod, shapes))
    ends = zip(accumulate(sizes), sizes, shapes, strict=True)
    return tuple((slice(end - size, end), shape) for end, size, shape in ends)
