"""One run of what is checked, and the way back through it: of an op on the tape, or of a pair (f, vjp) on arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.backend import get, home
from ..core.tape import Node, walk
from ..core.tensor import Tensor
from .subject import Array, Call, Subject

Floats = NDArray[np.float64]


class OpRun:
    """One call of an op with some of its float arrays as leaves; `live` are the places of the results that rest on them."""

    def __init__(
        self, case: Subject, call: Call, wanted: Sequence[int], dtype: Any = np.float64, backend: str = "numpy"
    ) -> None:
        self.wanted: list[int] = list(wanted)
        call = cast(call, dtype)
        self.inputs: list[Any] = [_placed(a, i in wanted, backend) for i, a in enumerate(call.arrays)]
        self.leaves: list[Any] = [self.inputs[i] for i in wanted]
        self.tensors: list[Any] = as_list(case.op(*self.inputs, **call.settings))
        self.live: list[int] = [i for i, t in enumerate(self.tensors) if isinstance(t, Tensor) and t.requires_grad]
        self.ends: list[Tensor] = [self.tensors[i] for i in self.live]

    @property
    def results(self) -> list[Any]:
        """Every result, as arrays."""
        return [t.data if isinstance(t, Tensor) else t for t in self.tensors]

    @property
    def outputs(self) -> list[Array]:
        """The results that have a gradient, as arrays."""
        return [t.data for t in self.ends]

    def pull(self, g: Sequence[Any], create_graph: bool = False) -> list[Any]:
        """Give the gradient of every leaf: an array, a Tensor under `create_graph`, or None where nothing arrived.

        g: for each of `outputs` its incoming gradient, or None for one that nobody uses.
        """
        roots = [(node(end), part) for end, part in zip(self.ends, g, strict=True) if part is not None]
        table = walk(roots, create_graph=create_graph, retain_graph=True)
        return [table.get(node(leaf)) for leaf in self.leaves]


class PairRun:
    """One call of a function of arrays, and its vjp."""

    def __init__(self, case: Subject, call: Call, wanted: Sequence[int], dtype: Any = np.float64) -> None:
        self.case, self.call, self.wanted = case, cast(call, dtype), list(wanted)
        outcome = case.op(*self.call.arrays, **self.call.settings)
        self.several: bool = isinstance(outcome, tuple | list)
        # A number of Python's has no dtype of its own.
        self.results: list[Any] = [np.asarray(r, dtype=dtype if type(r) is float else None) for r in as_list(outcome)]
        self.live: list[int] = [i for i, r in enumerate(self.results) if r.dtype.kind == "f"] if self.wanted else []
        self.outputs: list[Array] = [self.results[i] for i in self.live]

    def pull(self, g: Sequence[Any]) -> list[Any]:
        """Give what vjp gives for the wanted arguments."""
        assert self.case.vjp
        given = iter(g)
        full = tuple(next(given) if r.dtype.kind == "f" else None for r in self.results)
        gradients = self.case.vjp(full if self.several else full[0], *self.call.arrays, **self.call.settings)
        if not isinstance(gradients, tuple | list):
            floats = self.call.differentiable()
            if len(floats) > 1:
                raise TypeError(
                    f"{self.case}: its vjp returned {type(gradients).__name__}, expected a tuple with a gradient, or None, "
                    f"for each of its {len(self.call.arrays)} arguments"
                )
            gradients = [gradients if i in floats else None for i in range(len(self.call.arrays))]
        if len(gradients) != len(self.call.arrays):
            raise TypeError(
                f"{self.case}: its vjp returned {len(gradients)} gradients, expected {len(self.call.arrays)}: one, or "
                "None, for each of its arguments"
            )
        return [None if gradients[i] is None else self._fitting(i, np.asarray(gradients[i])) for i in self.wanted]

    def _fitting(self, i: int, g: Array) -> Array:
        shape = self.call.arrays[i].shape
        if g.shape != shape:
            hint = "; sum it over what was broadcast" * (g.size > math.prod(shape))
            raise ValueError(
                f"{self.case}: its vjp returned a gradient of shape {list(g.shape)} for {self.case.argument(i)}, expected "
                f"{list(shape)}, the shape of its argument{hint}"
            )
        return g


Run = OpRun | PairRun


def run(case: Subject, call: Call, wanted: Sequence[int], dtype: Any = np.float64) -> Run:
    """Make one run of a case on NumPy."""
    return (PairRun if case.vjp else OpRun)(case, call, wanted, dtype)


def cast(call: Call, dtype: Any) -> Call:
    """Give the call with its float arrays, and settings that are a float dtype, in another dtype."""
    if dtype is np.float64:
        return call
    arrays = [
        a.astype(dtype, copy=False) if getattr(getattr(a, "dtype", None), "kind", "") == "f" else a for a in call.arrays
    ]
    settings = {
        name: np.dtype(dtype) if isinstance(value, np.dtype) and value.kind == "f" else value
        for name, value in call.settings.items()
    }
    return Call(tuple(arrays), settings)


def _placed(value: Any, wanted: bool, backend: str) -> Any:
    return Tensor(get(backend).asarray(value), requires_grad=wanted) if hasattr(value, "dtype") else value


def as_list(outcome: Any) -> list[Any]:
    """Give one or several results, as a list."""
    return list(outcome) if isinstance(outcome, tuple | list) else [outcome]


def node(tensor: Tensor) -> Node:
    """Give the node of a tensor that is on the tape."""
    assert tensor._node is not None
    return tensor._node


def flat(parts: Sequence[Any]) -> Floats:
    """Put arrays one after the other, as one flat float64 array."""
    if len(parts) == 1:
        return parts[0].reshape(-1).astype(np.float64, copy=False)  # type: ignore[no-any-return]
    return np.concatenate([p.reshape(-1) for p in parts]).astype(np.float64, copy=False) if parts else np.zeros(0)


def parted(values: Floats, like: Sequence[Any]) -> list[Array]:
    """Give a flat array as arrays of the shapes and dtypes of others."""
    parts, start = [], 0
    for p in like:
        parts.append(values[start : start + p.size].reshape(p.shape).astype(p.dtype))
        start += p.size
    return parts


def placed_like(arrays: Sequence[Any], parts: Sequence[Array]) -> list[Any]:
    """Put NumPy arrays, each on the backend of another array."""
    return [home(a).asarray(part) for a, part in zip(arrays, parts, strict=True)]  # type: ignore[union-attr]
