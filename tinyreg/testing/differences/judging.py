"""Judging: what differences say of a gradient, and when they cannot tell."""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
from collections.abc import Sequence

import numpy as np

from .extrapolation import extrapolated
from .sampling import EPSILON, FEWEST, TINY, Floats, Function, Line, Probe

RESOLUTION = 2.5e-7  # relative: a tolerance above it cannot tell an error of 1e-6
ROUGHLY = "inputs a rounding apart give results far apart: a jump, or cancellation"


class Verdict(enum.StrEnum):
    """What differences say of a gradient."""

    PASS = "pass"
    FAIL = "fail"
    UNRESOLVED = "unresolved"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """A gradient and differences along one direction.

    direction: u; x + h u is the step. analytic: g . u. numeric: v . f'(x) u, extrapolated. error: what that is estimated
    to be off by. tolerance: how far apart the two may be. unit: the size against which the tolerance is held.
    """

    direction: Floats
    analytic: float
    numeric: float
    error: float
    tolerance: float
    unit: float
    verdict: Verdict
    note: str = ""

    def per(self, distance: float) -> Finding:
        """Give the same for a direction that is shorter by a factor."""
        scaled = {
            name: getattr(self, name) / distance
            for name in ("direction", "analytic", "numeric", "error", "tolerance", "unit")
        }
        return dataclasses.replace(self, **scaled)

    @property
    def digits(self) -> float:
        """How many decimal digits the comparison resolved, from 0 to 16."""
        if self.tolerance == 0:
            return 16.0
        if not self.unit or not math.isfinite(self.tolerance):
            return 0.0
        return min(max(-math.log10(self.tolerance / self.unit), 0.0), 16.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Ladder:
    """A probe, and more scales: what does not pass at one is tried at the next. What never does fails if it failed.

    many: whether many gradients are to be compared, so that it pays to take the differences at a further scale along all
    directions, once.
    """

    first: Probe
    further: Sequence[float | Floats] = ()
    many: bool = False

    @functools.cached_property
    def rungs(self) -> list[Probe]:
        """The probe at each of the scales, the first one too."""
        return [self.first, *(dataclasses.replace(self.first, scale=scale) for scale in self.further)]

    def compare(self, gradient: Function, confidence: float = 4.0) -> list[Finding]:
        """Judge a gradient along each direction of the probe."""
        findings = compare(self.first, gradient, confidence)
        for rung in self.rungs[1:]:
            left = [k for k, one in enumerate(findings) if one.verdict is not Verdict.PASS]
            if not left:
                break
            if self.many:
                again = [one for k, one in enumerate(compare(rung, gradient, confidence)) if k in left]
            else:
                again = compare(dataclasses.replace(rung, directions=rung.directions[left]), gradient, confidence)
            for k, one in zip(left, again, strict=True):
                better = (Verdict.PASS, Verdict.FAIL) if findings[k].verdict is Verdict.UNRESOLVED else (Verdict.PASS,)
                findings[k] = one if one.verdict in better else findings[k]
        return findings


def compare(probe: Probe, gradient: Function, confidence: float = 4.0) -> list[Finding]:
    """Judge a gradient along each direction of a probe; confidence: how many estimated errors it may be off by.

    The gradient is worked out once at x. Where it seems wrong, the function is looked at more closely, and the gradient
    worked out at inputs jittered by a few roundings: its own conditioning may account for it.
    """
    g = gradient(probe.x)
    findings = [_judged(line, g, 0.0, confidence, probe.steepest) for line in probe.lines]
    if all(one.verdict is not Verdict.FAIL for one in findings) or not np.all(np.isfinite(g)):
        return findings
    changes = [np.abs(probe.scaled @ (gradient(x) - g)) for x in probe.nearby]
    jitters = np.max(changes, axis=0)
    return [
        _judged(line, g, float(jitter), confidence, probe.steepest)
        for line, jitter in zip(probe.closer, jitters, strict=True)
    ]


def _judged(line: Line, g: Floats, jitter: float, confidence: float, steepest: float) -> Finding:
    """Judge g along one direction; jitter: by how much g.u changes with a rounding of the inputs."""
    u = line.u
    analytic, size = float(g @ u), float(np.abs(g) @ np.abs(u))
    elsewhere = 0.0 if line.variation else steepest  # how a function changes that does not along u alone
    largest = float(np.max(np.abs(g), initial=0.0) * np.max(np.abs(u), initial=0.0))
    unit = max(size, largest, line.variation, elsewhere)
    if not math.isfinite(size):
        return Finding(u, analytic, math.nan, math.inf, math.inf, 0.0, Verdict.FAIL, "the gradient is not finite")
    if len(line.samples) < FEWEST:
        note = "the function is not finite around this point"
        return Finding(u, analytic, math.nan, math.inf, math.inf, unit, Verdict.UNRESOLVED, note)
    residuals = [sample.slope - float(sample.moved @ g) for sample in line.samples]
    residual, error = extrapolated(line.steps, residuals, line.roundings)
    error = max(error, line.near.off)
    tolerance = confidence * error + min(8 * jitter, 1e-6 * size) + 16 * EPSILON * size
    # Where all of a gradient cancels there is rounding left, or what is left of it.
    tolerance += 16 * EPSILON * elsewhere + EPSILON**2 * steepest
    if line.near.sides:
        verdict, note = _at_a_kink(line, line.near.sides, analytic, size)
    else:
        verdict, note = _where_smooth(line, residual, tolerance, unit)
    return Finding(u, analytic, analytic + residual, error, tolerance, unit, verdict, note)


def _at_a_kink(line: Line, sides: tuple[float, float], analytic: float, size: float) -> tuple[Verdict, str]:
    """No one slope is right here, but one outside of those of the two sides is wrong."""
    low, high = min(sides), max(sides)
    slack = 1e-5 * (abs(low) + abs(high)) + 16 * EPSILON * size + 8 * line.rounding.noise / TINY
    note = f"a kink: the slopes to the left and right are {sides[0]:.6g} and {sides[1]:.6g}"
    return (Verdict.UNRESOLVED if low - slack <= analytic <= high + slack else Verdict.FAIL), note


def _where_smooth(line: Line, residual: float, tolerance: float, unit: float) -> tuple[Verdict, str]:
    if line.wild:
        return Verdict.UNRESOLVED, ROUGHLY
    if abs(residual) > tolerance:
        return Verdict.FAIL, ""
    if tolerance > RESOLUTION * unit:
        return Verdict.UNRESOLVED, ROUGHLY if line.rounding.large else "rounding leaves too few digits to tell"
    return Verdict.PASS, ""
