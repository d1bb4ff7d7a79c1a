"""Properties of values: against a reference, in float32, on other backends, and in a fast form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.backend import get, home
from ..core.fused import Fused
from ..core.primitive import Primitive
from ..core.tape import Leaf, observed, reach
from ..core.tensor import Tensor
from .case import Array, Call, Case
from .failure import short
from .property import BrokenError, declared
from .run import Floats, OpRun, Run, as_list, node, parted, placed_like
from .trial import Trial

EPSILON = float(np.finfo(np.float32).eps)


def agree(
    found: Any, expected: Any, rtol: float, what: str, argument: str = "", size: float = 0.0, floor: float = 0.0
) -> None:
    """Fail where two arrays differ by more than `rtol` of the largest element or of `size`, or in where they are finite.

    floor: how much may be left of what cancels.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    if expected.dtype.kind == "f":
        size = max(size, float(np.max(np.abs(expected), where=np.isfinite(expected), initial=0.0)))
    if found.shape != expected.shape:
        raise BrokenError(f"{what}: got shape {list(found.shape)}, expected {list(expected.shape)}", argument=argument)
    if not np.allclose(found, expected, rtol=rtol, atol=rtol * size + floor, equal_nan=True):
        raise BrokenError(f"{what}: got {short(found)}, expected {short(expected)}", argument=argument)


def cancelled(*incoming: Array) -> float:
    """What rounding may leave of gradients that cancel, for incoming gradients of this size."""
    return 1e-14 * max((_largest(part) for part in incoming), default=0.0)


@declared("P1", "value", order=0)
def value(trial: Trial) -> None:
    """The value, its shape and its dtype are the reference's; Tensors give Tensors, arrays the same as arrays."""
    case, call = trial.case, trial.call
    found = trial.run(wanted=())
    if isinstance(found, OpRun):
        _check_types(case, call, found)
    if case.reference:
        expected = as_list(case.reference(*call.arrays, **call.settings))
        if len(expected) != len(found.results):
            raise BrokenError(f"got {len(found.results)} results, expected {len(expected)}")
        for result, reference in zip(found.results, map(np.asarray, expected), strict=True):
            agree(result, reference, 1e-12, "value")
            if result.dtype != reference.dtype:
                raise BrokenError(f"dtype: got {result.dtype}, expected {reference.dtype}")


def _check_types(case: Case, call: Call, found: OpRun) -> None:
    bare = as_list(case.op(*call.arrays, **call.settings))
    # A composition of operators is the array library's own arithmetic, which makes a scalar of what is 0-d.
    kinds = np.ndarray if isinstance(case.op, Primitive) else np.ndarray | np.generic
    for tensor, array in zip(found.tensors, bare, strict=True):
        if not isinstance(tensor, Tensor) or not isinstance(array, kinds):
            raise BrokenError(
                f"got {type(tensor).__name__} for Tensors and {type(array).__name__} for arrays, expected Tensor and "
                "ndarray"
            )
        if not np.array_equal(tensor.data, array, equal_nan=tensor.dtype.kind == "f"):
            raise BrokenError(f"got {short(tensor.data)} for Tensors, expected {short(array)}, as for arrays")


def pulled_uncast(found: Run, g: Sequence[Any]) -> list[Any]:
    """The gradients of a run, where each VJP gives the dtype of its argument before the engine casts what it gave.

    A result that is wider than an argument, though nobody asked for its dtype, says that another argument was wider: what
    a VJP gives then is wide too, and the cast is the engine's.
    """

    def look(entry: Any, parent: Any, raw: Any, fitted: Any) -> None:
        mixed = parent.dtype not in as_list(entry.dtype) and "dtype" not in entry.settings
        if raw.dtype != parent.dtype and not mixed:
            raise BrokenError(f"dtype: the VJP of {entry.op.name} gave {raw.dtype} for an argument of {parent.dtype}")

    with observed(look):
        return found.pull(g)


def _rests_on_float64(found: OpRun) -> bool:
    parents = (parent for entry in reach(map(node, found.ends)) for parent in entry.parents)
    return any(type(parent) is Leaf and parent.dtype == np.float64 for parent in parents)


@declared("P8", "float32 against float64")
def float32(trial: Trial) -> None:
    """float32 in, float32 out and back, as exact as the conditioning allows; each VJP's own result, before any cast.

    The tolerance is 16 times the largest change of the float64 gradient when all inputs move by a float32 rounding, and
    64 float32 roundings of the largest gradient and incoming gradient.
    """
    single = trial.run(dtype=np.float32)
    if isinstance(single, OpRun) and _rests_on_float64(single):
        return  # a function that closes over float64, such as layers with parameters of it
    gradients = pulled_uncast(single, parted(trial.v, single.outputs))
    for y in single.outputs:
        if y.dtype != np.float32:
            raise BrokenError(f"dtype of the result: got {y.dtype} for float32, expected float32")
    exact = parted(trial.gradient(trial.x, trial.v), trial.leaves)
    moved = _rounded(trial)
    for k, (i, g) in enumerate(zip(trial.wanted, gradients, strict=True)):
        if g is None:
            continue
        if g.dtype != np.float32:
            raise BrokenError(f"dtype: got {g.dtype} for float32, expected float32", argument=trial.case.argument(i))
        change = max(_largest(parted(other, trial.leaves)[k] - exact[k]) for other in moved)
        tolerance = 16 * change + 64 * EPSILON * (_largest(exact[k]) + _largest(trial.v))
        wrong = ~(np.abs(g - exact[k]) <= tolerance)
        if np.any(wrong):
            at = tuple(int(n) for n in np.argwhere(wrong)[0])
            raise BrokenError(
                f"in float32 {g[at]:.8g}   in float64 {exact[k][at]:.8g}   at {list(at)}   (tolerance {tolerance:.1e})",
                argument=trial.case.argument(i),
            )


def _rounded(trial: Trial) -> list[Floats]:
    """The float64 gradient at four inputs that differ from the trial's by a float32 rounding."""
    rng = trial.rng(8)

    def nearby(values: Floats) -> Floats:
        step = EPSILON * np.maximum(np.abs(values), np.finfo(np.float32).tiny)
        shifted: Floats = values + step * rng.integers(-1, 2, values.shape)
        return shifted

    return [trial.gradient(nearby(trial.x), nearby(trial.v)) for _ in range(4)]


def _largest(values: Array) -> float:
    return float(np.max(np.abs(values), initial=0.0))


@declared("P13", "fast form equals definition", pairs=False)
def fast_form(trial: Trial) -> None:
    """A fast form has the value, the gradient and the second derivative of its definition."""
    op = trial.case.op
    if not (isinstance(op, Fused) and op.rules):
        return
    plain = Trial(Case(op.definition, trial.case.calls, fixed=trial.case.fixed), trial.call, trial.seed)
    plain.wanted = trial.wanted
    _compare(trial, plain, 1e-10)


def _compare(one: Trial, other: Trial, rtol: float) -> None:
    floor = cancelled(one.v)
    agree(one.f(one.x), other.f(other.x), rtol, "value")
    agree(one.gradient(one.x, one.v), other.gradient(one.x, one.v), rtol, "gradient", floor=floor)
    if one.case.order > 1:
        w = one.x + 1.0
        found, expected = one.second_gradient(one.x, one.v, w), other.second_gradient(one.x, one.v, w)
        agree(found, expected, 10 * rtol, "second derivative", floor=10 * floor)


def check_backend(trial: Trial, backend: str) -> None:
    """P12: the same values, gradients and second derivatives on another backend as on NumPy."""
    case, call = trial.case, trial.call
    here, there = OpRun(case, call, trial.wanted), OpRun(case, call, trial.wanted, backend=backend)
    to_host = get(backend).to_host
    for mine, theirs in zip(here.results, there.results, strict=True):
        agree(to_host(theirs), mine, 1e-10, f"value on {backend}")
    g = parted(trial.v, here.outputs) if trial.wanted else []
    moved = placed_like(there.outputs, g)
    for i, mine, theirs in zip(trial.wanted, here.pull(g), there.pull(moved), strict=True):
        if theirs is not None and home(theirs) is not get(backend):
            raise BrokenError(f"got a gradient that is not on {backend}, where its argument is", argument=case.argument(i))
        agree(to_host(theirs), mine, 1e-9, f"gradient on {backend}", case.argument(i), floor=cancelled(*g))
    if case.order > 1:
        w = trial.x + 1.0
        second = trial.second_gradient(trial.x, trial.v, w, backend)
        expected = trial.second_gradient(trial.x, trial.v, w)
        agree(second, expected, 1e-8, f"second derivative on {backend}", floor=10 * cancelled(*g))
