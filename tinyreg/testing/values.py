"""What values are asked, in this order.

To be those of the reference (P1), as exact in float32 as that allows (P8), the same on every backend (P12), and the same
from a fast form as from its definition (P13).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.backend import get, home
from ..core.fused import Fused
from ..core.primitive import Primitive
from ..core.tape import Leaf, reach
from ..core.tensor import Tensor
from .agreement import agree, cancelled, largest, pulled_uncast
from .failure import short
from .property import BrokenError
from .run import Floats, OpRun, Run, as_list, node, parted, placed_like
from .subject import Call, Subject
from .trial import Trial

EPSILON = float(np.finfo(np.float32).eps)


# ---- value -----------------------------------------------------------------------------------------------------------


def value(trial: Trial) -> None:
    """The value, its shape and its dtype are the reference's; Tensors give Tensors, arrays the same as arrays."""
    case, call = trial.case, trial.call
    run = trial.run(wanted=())
    if isinstance(run, OpRun):
        _check_types(case, call, run)
    if case.reference:
        expected = as_list(case.reference(*call.arrays, **call.settings))
        if len(expected) != len(run.results):
            raise BrokenError(f"got {len(run.results)} results, expected {len(expected)}")
        for result, reference in zip(run.results, map(np.asarray, expected), strict=True):
            agree(result, reference, 1e-12, "value")
            if result.dtype != reference.dtype:
                raise BrokenError(f"dtype: got {result.dtype}, expected {reference.dtype}")


def _check_types(case: Subject, call: Call, run: OpRun) -> None:
    bare = as_list(case.op(*call.arrays, **call.settings))
    # A composition of operators is the array library's own arithmetic, which makes a scalar of what is 0-d.
    kinds = np.ndarray if isinstance(case.op, Primitive) else np.ndarray | np.generic
    for tensor, array in zip(run.tensors, bare, strict=True):
        if not isinstance(tensor, Tensor) or not isinstance(array, kinds):
            raise BrokenError(
                f"got {type(tensor).__name__} for Tensors and {type(array).__name__} for arrays, expected Tensor and "
                "ndarray"
            )
        if not np.array_equal(tensor.data, array, equal_nan=tensor.dtype.kind == "f"):
            raise BrokenError(f"got {short(tensor.data)} for Tensors, expected {short(array)}, as for arrays")


# ---- float32 against float64 -----------------------------------------------------------------------------------------


def float32(trial: Trial) -> None:
    """float32 in, float32 out and back, as exact as the conditioning allows; each VJP's own result, before any cast.

    The tolerance is 16 times the largest change of the float64 gradient when all inputs move by a float32 rounding, and
    64 float32 roundings of the largest gradient and incoming gradient.
    """
    single = trial.run(dtype=np.float32)
    if isinstance(single, OpRun) and _rests_on_float64(single):
        return  # a function that closes over float64, such as layers with parameters of it
    gradients = pulled_uncast(single, parted(trial.v, single.outputs))
    _check_sizes(trial, single, gradients)
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
        change = max(largest(parted(other, trial.leaves)[k] - exact[k]) for other in moved)
        tolerance = 16 * change + 64 * EPSILON * (largest(exact[k]) + largest(trial.v))
        wrong = ~(np.abs(g - exact[k]) <= tolerance)
        if np.any(wrong):
            at = tuple(int(n) for n in np.argwhere(wrong)[0])
            raise BrokenError(
                f"in float32 {g[at]:.8g}   in float64 {exact[k][at]:.8g}   at {list(at)}   (tolerance {tolerance:.1e})",
                argument=trial.case.argument(i),
            )


FAR = 100  # of 127 powers of 2


def _check_sizes(trial: Trial, single: Run, gradients: list[Any]) -> None:
    """Gradients grow and shrink with incoming ones, by powers of 2, which do not round, as far as there are floats.

    Of a composition that is not asked: on the way through several ops there may be larger numbers than at its ends.
    """
    if trial.case.primitive is None and trial.case.vjp is None:
        return
    steepest = max((largest(g) for g in gradients if g is not None), default=0.0)
    if not 2.0**-20 < steepest < 2.0**20:
        return
    for power in (FAR, -FAR):
        with np.errstate(all="ignore"):
            scaled = single.pull(parted(np.ldexp(trial.v, power), single.outputs))
        for i, g, other in zip(trial.wanted, gradients, scaled, strict=True):
            if g is not None and np.all(np.isfinite(g)):
                text = f"in float32, 2^{power} times the gradient, divided by that again"
                agree(np.ldexp(other, -power), g, 1e-5, text, trial.case.argument(i), floor=EPSILON * largest(trial.v))


def _rests_on_float64(run: OpRun) -> bool:
    parents = (parent for entry in reach(map(node, run.ends)) for parent in entry.parents)
    return any(type(parent) is Leaf and parent.dtype == np.float64 for parent in parents)


def _rounded(trial: Trial) -> list[Floats]:
    """Give the float64 gradient at four inputs that differ from the trial's by a float32 rounding."""
    rng = trial.rng(8)

    def nearby(values: Floats) -> Floats:
        step = EPSILON * np.maximum(np.abs(values), np.finfo(np.float32).tiny)
        shifted: Floats = values + step * rng.integers(-1, 2, values.shape)
        return shifted

    return [trial.gradient(nearby(trial.x), nearby(trial.v)) for _ in range(4)]


# ---- backends agree --------------------------------------------------------------------------------------------------


def check_backend(trial: Trial, backend: str) -> None:
    """The values, gradients and second derivatives on another backend are those on NumPy."""
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


# ---- fast form equals definition -------------------------------------------------------------------------------------


def fast_form(trial: Trial) -> None:
    """A fast form has the value, the gradient and the second derivative of its definition."""
    op = trial.case.op
    if not (isinstance(op, Fused) and op.rules):
        return
    definition = Trial(Subject(op.definition, trial.case.calls, fixed=trial.case.fixed), trial.call, trial.seed)
    definition.wanted = trial.wanted
    _compare(trial, definition, 1e-10)


def _compare(one: Trial, other: Trial, rtol: float) -> None:
    floor = cancelled(one.v)
    agree(one.f(one.x), other.f(other.x), rtol, "value")
    agree(one.gradient(one.x, one.v), other.gradient(one.x, one.v), rtol, "gradient", floor=floor)
    if one.case.order > 1:
        w = one.x + 1.0
        got, expected = one.second_gradient(one.x, one.v, w), other.second_gradient(one.x, one.v, w)
        agree(got, expected, 10 * rtol, "second derivative", floor=10 * floor)
