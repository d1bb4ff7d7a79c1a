"""Extremes: infinities and NaN in inputs and incoming gradients, and inputs of any magnitude.

What is not finite stays where it belongs, and where a function has a limit its gradient has one too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .agreement import largest
from .differences import Probe, Verdict, compare, evaluated
from .failure import short
from .property import BrokenError
from .run import Floats
from .trial import Trial

TRIED = 1  # elements of the inputs, for each call
NOT_FINITE = (np.inf, -np.inf, np.nan)


def _chosen(trial: Trial, rng: np.random.Generator, n: int = TRIED) -> list[int]:
    """Choose elements of the inputs."""
    return [int(k) for k in rng.choice(trial.x.size, min(n, trial.x.size), replace=False)]


# ---- not finite ------------------------------------------------------------------------------------------------------


def not_finite(trial: Trial) -> None:
    """Infinities and NaN reach the gradients of what they were computed with, and no others.

    Of a composition of ops that is not asked: a mask in it may multiply what is not finite by 0. Nor of a pair with a VJP
    of its own that is not elementwise; and of an op that is not, a gradient may be NaN: products of matrices mix all.

    Of an element of the inputs: what is not finite in incoming gradients of results that it has no part in, or in inputs
    that have no part in its results, leaves its gradient as it is; what is not finite in that of a result that it moves
    is not lost.
    """
    rng = trial.rng(21)
    with np.errstate(all="ignore"):
        y = trial.f(trial.x)
        for k in _chosen(trial, rng):
            mine = _touched(trial, trial.x, y, [k])
            if mine is not None and mine.any():
                elementwise = _all_elementwise(trial, k, [trial.x.size - 1, 0])
                if trial.case.primitive is not None or elementwise:
                    _check_others(trial, rng, k, mine, or_nan=not elementwise)
                _check_own(trial, rng, k, mine)


def _touched(trial: Trial, x: Floats, y: Floats, elements: Any) -> Any:
    """Say which results change when elements of the inputs become NaN; None where the function refuses that."""
    poisoned = x.copy()
    poisoned[elements] = np.nan
    try:
        outcome = trial.f(poisoned)
    except Exception:
        return None
    return ~((outcome == y) | (np.isnan(outcome) & np.isnan(y)))


def _check_others(trial: Trial, rng: np.random.Generator, k: int, mine: Any, or_nan: bool) -> None:
    """What is not finite elsewhere leaves the gradient of an element as it is."""
    x, v = trial.x, trial.v
    poisoned_v = np.where(mine, v, rng.choice(NOT_FINITE, v.size))
    together = trial.gradient(x, np.where(mine, v, 0.0))
    _check_same(trial, k, trial.gradient(x, poisoned_v), together, "the incoming gradients of other results", or_nan)
    beside = trial.gradient(x * (1 + 0.01 * rng.random(x.size)), np.where(mine, v, 0.0))
    strangers = (together == 0) & (beside == 0) & (np.arange(x.size) != k)
    poisoned_x = np.where(strangers, rng.choice(NOT_FINITE, x.size), x)
    if strangers.any() and _stays(trial, poisoned_x, mine):
        try:
            got = trial.gradient(poisoned_x, v)
        except ValueError:
            return  # the derivative refuses what is not finite
        _check_same(trial, k, got, together, "inputs of other results", or_nan)


def _stays(trial: Trial, x: Floats, results: Any) -> bool:
    y = trial.f(trial.x)
    try:
        return bool(np.array_equal(trial.f(x)[results], y[results]))
    except Exception:
        return False


def _check_same(trial: Trial, k: int, got: Floats, expected: Floats, where: str, or_nan: bool) -> None:
    if not (abs(got[k] - expected[k]) <= 1e-9 * largest(expected) or (or_nan and np.isnan(got[k]))):
        i, index = trial.place(k)
        text = f"got {got[k]:.9g} at {list(index)} with infinities and NaN in {where}, expected {expected[k]:.9g}"
        raise BrokenError(text, argument=trial.case.argument(i))


def _check_own(trial: Trial, rng: np.random.Generator, k: int, mine: Any) -> None:
    """An infinity in the incoming gradient of a result is one in the gradient of what moves it, or NaN; NaN is NaN."""
    one = np.zeros(trial.v.size)
    one[rng.choice(np.flatnonzero(mine))] = 1.0
    slope = trial.gradient(trial.x, one)[k]
    if not slope or not np.isfinite(slope):
        return
    for value in NOT_FINITE:
        got = trial.gradient(trial.x, np.where(one == 1, value, trial.v))[k]
        if not (np.isnan(got) or got == value * np.sign(slope)):
            i, index = trial.place(k)
            text = f"got {got:.9g} at {list(index)} for {value} in an incoming gradient, where the slope is {slope:.9g}"
            raise BrokenError(text, argument=trial.case.argument(i))


# ---- limits ----------------------------------------------------------------------------------------------------------

FAR = (1e4, 1e8, 1e16, 1e32, 1e64)  # where a gradient has settled if it ever does


def limits(trial: Trial) -> None:
    """Where a gradient settles as an input goes to infinity it has that limit at infinity.

    Of an op that is not elementwise it may be infinite or NaN there: what is computed of an infinity and others is soon.
    Of a composition nothing is asked: at an infinity inside it may have a convention, as attention to infinite scores.
    """
    rng = trial.rng(22)
    with np.errstate(all="ignore"):
        for k in _chosen(trial, rng) if _has_one_vjp(trial) else ():
            for sign in (1.0, -1.0):
                _check_limit(trial, k, sign)


def _check_limit(trial: Trial, k: int, sign: float) -> None:
    def at(value: float) -> tuple[Floats, Floats] | None:
        x = trial.x.copy()
        x[k] = sign * value
        try:
            return trial.f(x), trial.gradient(x, trial.v)
        except Exception:
            return None

    there = at(np.inf)
    if there is None or np.isnan(there[0]).any():
        return  # no limit, or none that is taken
    far = [at(value) for value in FAR]
    if any(one is None or not np.all(np.isfinite(one[1])) for one in far):
        return
    before, last = (one[1] for one in far[-2:] if one)
    size = max(largest(trial.v), largest(last))
    gone = (np.abs(last) <= np.abs(before)) & (np.abs(last) <= 1e-12 * size)
    limit = np.where(gone, 0.0, last)
    settled = gone | (np.abs(last - before) <= 1e-9 * np.abs(last))
    # Where the value is infinite too, an op may have a convention: 0, or a share where several are.
    less = np.isinf(there[0]).any() & (there[1] * limit >= 0) & (np.abs(there[1]) <= np.abs(limit))
    wrong = settled & ~((np.abs(there[1] - limit) <= 1e-9 * size) | less)
    if np.any(wrong & np.isfinite(there[1])) or (
        np.any(wrong) and _all_elementwise(trial, k, np.flatnonzero(wrong).tolist())
    ):
        j = int(np.flatnonzero(wrong)[0])
        (moved, at_moved), (i, index) = trial.place(k), trial.place(j)
        raise BrokenError(
            f"got {there[1][j]:.9g} at {list(index)} where {list(at_moved)} of {trial.case.argument(moved)} is "
            f"{sign * np.inf}, expected {limit[j]:.9g}, which is the limit",
            argument=trial.case.argument(i),
        )


def _has_one_vjp(trial: Trial) -> bool:
    """Whether it is an op, or a pair with a VJP, and not a composition of several."""
    return trial.case.primitive is not None or trial.case.vjp is not None


def _all_elementwise(trial: Trial, k: int, others: Sequence[int]) -> bool:
    """Whether what has one VJP, and is no composition of several, is elementwise in these elements."""
    return _has_one_vjp(trial) and all(_is_elementwise(trial, j) for j in [k, *others[:2]])


def _is_elementwise(trial: Trial, k: int) -> bool:
    """Whether an element has a part in no more results than each of its argument has where that broadcasts.

    An axis of length 1 cannot show it: a matrix of one element is a matrix, and a stack of them is of matrices.
    """
    mine = _touched(trial, trial.x, trial.f(trial.x), [k])
    i, _ = trial.place(k)
    shape, size = trial.call.arrays[i].shape, trial.call.arrays[i].size
    return mine is not None and shape != () and 1 not in shape and int(mine.sum()) * size == mine.size


# ---- magnitudes ------------------------------------------------------------------------------------------------------

POWERS = (-60, 40)  # of 2, times an element


def magnitudes(trial: Trial) -> None:
    """The derivative with respect to one element is the limit of differences at any magnitude of that element."""
    rng = trial.rng(23)
    for k in _chosen(trial, rng):
        x = trial.x.copy()
        x[k] = (x[k] or 1.0) * 2.0 ** rng.uniform(*POWERS) * rng.choice([1.0, 1.0, -1.0])
        with np.errstate(all="ignore"):
            if evaluated(trial.f, x) is not None:
                _check_magnitude(trial, rng, k, x)


def _check_magnitude(trial: Trial, rng: np.random.Generator, k: int, x: Floats) -> None:
    """Fail where differences do at every scale: over that of a large element a function may have turned many times."""
    unit = np.zeros((1, x.size))
    unit[0, k] = 1.0
    scale, g = abs(float(x[k])), trial.gradient(x, trial.v)
    for one in (scale, 1.0) if scale > 1 else (scale,):
        probe = Probe(trial.f, x, trial.v, unit, rng, scale=one)
        (finding,) = compare(probe, lambda z: g if z is x else trial.gradient(z, trial.v))
        if finding.verdict is not Verdict.FAIL:
            return
    i, index = trial.place(k)
    raise BrokenError(
        f"at {list(index)}, moved to {x[k]:.9g}: analytic {finding.analytic:+.9g}   "
        f"numeric {finding.numeric:+.9g} +- {finding.error:.0e}   incoming {short(trial.v)}",
        argument=trial.case.argument(i),
    )
