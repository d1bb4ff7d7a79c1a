"""The derivative along a direction by differences, with an estimate of its own error, and what it says of a gradient.

Three verdicts: a gradient passes, fails, or is unresolved, where rounding leaves too few digits to tell. Nothing here
knows of tensors: functions take flat float64 vectors and give flat ones.

Source: Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", 1982, for the extrapolation.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]

EPSILON = float(np.finfo(np.float64).eps)
FIRST_STEP = 0.05
HALVINGS = 9
ENOUGH = 1e-10  # relative: an estimate as good as this needs no smaller step
TINY = 2.0**-20  # of the scale: a step that no kink is likely to lie within
ROUGH = 2.0**-27  # of the scale: a step whose square is lost in rounding
JITTERS, ROUGHNESS = 4, 6  # how many inputs nearby, and how many pairs of them, show the rounding of a function
CLOSER = 32  # how many more pairs, before a gradient is said to be wrong: few may show less rounding than there is
ROUGHLY = "inputs a rounding apart give results far apart: a jump, or cancellation"
WILD = 1e-2  # relative: a change over a distance of `ROUGH` that makes larger steps meaningless
RESOLUTION = 2.5e-7  # relative: a tolerance above it cannot tell an error of 1e-6


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
        """The same for a direction that is shorter by a factor."""
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


def directions(n: int, rng: np.random.Generator, entries: int = 16, random: int = 2) -> Floats:
    """`random` dense directions, and the unit vectors of up to `entries` elements, as rows of n elements."""
    dense = rng.choice([0.5, 0.75, 1.0], (random, n)) * rng.choice([-1.0, 1.0], (random, n))
    chosen = np.arange(n) if n <= entries else np.sort(rng.choice(n, entries, replace=False))
    units = np.zeros((chosen.size, n))
    units[np.arange(chosen.size), chosen] = 1.0
    found: Floats = np.concatenate([dense, units]) if n else np.zeros((0, 0))
    return found


def jittered(x: Floats, rng: np.random.Generator) -> Floats:
    """x with every element moved by up to 2 units in the last place, each in a direction of its own.

    Moved all one way, x would look exact to a function that does not change when everything shifts.
    """
    moved: Floats = x + np.spacing(np.abs(x)) * rng.integers(-2, 3, x.shape)
    return moved


@dataclasses.dataclass(slots=True)
class _Line:
    """The differences along one direction, a list entry for each step h.

    touched: 1 for every output that moves. steps, slopes, inputs, roundings: h, v.(f(x+hu) - f(x-hu)) / 2h, the difference
    of the inputs over 2h, and how much rounding may change the slope. noise: how much it may change v.f. variation: the
    mean slope of |v| |f| over the largest step: what a gradient of 0 is measured against. rough: whether rounding is a
    large part of v.f. size: of v.f, or of its change if that is larger. wild: whether v.f changes so much within a small
    distance that larger ones say nothing. elsewhere: the largest variation along any direction.
    """

    u: Floats
    touched: Floats
    noise: float
    variation: float
    steps: list[float]
    slopes: list[float]
    inputs: list[Floats]
    roundings: list[float]
    rough: bool = False
    size: float = 0.0
    wild: bool = False
    elsewhere: float = 0.0
    guard: float = 0.0  # by how much a tiny step disagrees with the extrapolated slope, beyond what rounding explains
    sides: tuple[float, float] | None = None  # the one-sided slopes, where there is a kink at x

    def rougher(self, changes: Sequence[Floats]) -> _Line:
        """The same with at least the noise that changes of the outputs show."""
        noise = max([self.noise, *(abs(float(change @ self.touched)) for change in changes)])
        roundings = [max(rounding, noise / step) for rounding, step in zip(self.roundings, self.steps, strict=True)]
        steps, slopes, inputs = list(self.steps), list(self.slopes), list(self.inputs)
        return dataclasses.replace(self, noise=noise, roundings=roundings, steps=steps, slopes=slopes, inputs=inputs)


@dataclasses.dataclass(eq=False)
class Probe:
    """f near x, along directions, for an incoming gradient v: evaluated once, for however many gradients to be compared.

    rng: of the inputs nearby that show how f rounds. scale: the distance over which f changes, for all elements or for
    each. reach: how far every element may move before a kink or the edge of the domain.
    """

    f: Function
    x: Floats
    v: Floats
    directions: Floats
    rng: np.random.Generator
    scale: float | Floats = dataclasses.field(default=1.0, kw_only=True)
    reach: float = dataclasses.field(default=math.inf, kw_only=True)

    def __post_init__(self) -> None:
        self.scaled: Floats = self.directions * self.scale
        self.nearby = [jittered(self.x, self.rng) for _ in range(JITTERS)]
        spread = ROUGH * self.scale
        self.close = [spread * self.rng.uniform(-1.0, 1.0, self.x.shape) for _ in range(ROUGHNESS + CLOSER)]

    @functools.cached_property
    def _at_x(self) -> Floats:
        return self.f(self.x)

    @functools.cached_property
    def _changes(self) -> list[Floats]:
        """How each output changes, times its incoming gradient, when the inputs jitter, and how rough it is close by."""
        found = [evaluated(self.f, x) for x in self.nearby]
        return [*(self.v * (y - self._at_x) for y in found if y is not None), *self._roughness(self.close[:ROUGHNESS])]

    def _roughness(self, close: Sequence[Floats]) -> list[Floats]:
        """Second differences over steps too narrow for any curvature, times the incoming gradients.

        Where an intermediate is flat a jitter leaves its rounding as it is; these show it. The steps to both sides differ:
        where the value at x happens to be a float, roundings at equal distances from it cancel.
        """
        sides = [(evaluated(self.f, self.x + d), evaluated(self.f, self.x - d / 2)) for d in close]
        return [self.v * (a - 3 * self._at_x + 2 * b) / 3 for a, b in sides if a is not None and b is not None]

    @functools.cached_property
    def lines(self) -> list[_Line]:
        """The differences along every direction."""
        with np.errstate(all="ignore"):
            found = [self._line(u) for u in self.scaled]
        largest = max((line.size for line in found), default=0.0)
        for line in found:
            line.elsewhere = max(other.variation for other in found)
            line.wild |= line.noise > WILD * (line.size or largest)
        return found

    @functools.cached_property
    def closer(self) -> list[_Line]:
        """The same with the rounding that many more inputs show, and with smaller steps where that leaves room for them."""
        with np.errstate(all="ignore"):
            changes = self._roughness(self.close[ROUGHNESS:])
            found = [line.rougher(changes) for line in self.lines]
            for line in found:
                if len(line.steps) >= 3:
                    self._halve(line, line.steps[-1] / 2, line.steps[0] / 2 ** (HALVINGS - 1), 0.0)
                    self._guard(line)
        return found

    def _touched(self, u: Floats) -> Floats:
        """1 for the outputs that a direction touches: rounding in the others is none of its concern."""
        moving = u != 0
        if moving.all():
            return np.ones(self.v.size)
        poisoned = np.where(moving, np.nan, self.x)
        try:
            outcome = self.f(poisoned)
        except Exception:
            return np.ones(self.v.size)
        return np.where(outcome == self._at_x, 0.0, 1.0)

    def _line(self, u: Floats) -> _Line:
        touched = self._touched(u)
        size = float(np.abs(self.v * self._at_x) @ touched)
        noise = max([EPSILON * size, *(abs(float(change @ touched)) for change in self._changes)])
        line = _Line(u, touched, noise, 0.0, [], [], [], [], rough=noise > 1e-6 * size)
        largest = float(np.max(np.abs(u), initial=0.0))
        step = _power_of_two(min(FIRST_STEP, 0.9 * self.reach / largest if largest else FIRST_STEP))
        self._halve(line, step, step / 2 ** (HALVINGS - 1), ENOUGH)
        if len(line.steps) >= 3:
            line.size = max(size, line.variation * line.steps[0])
            self._guard(line)
        return line

    def _halve(self, line: _Line, step: float, last: float, enough: float) -> None:
        """Add the differences at a step, half of it, and so on, until an estimate is good enough or rounding prevails."""
        while step >= last:
            if self._add(line, step) and len(line.steps) >= 3:
                slope, error = extrapolated(line.steps, line.slopes, line.roundings)
                if error <= max(enough * abs(slope), 4 * line.noise / step):
                    break
            step /= 2

    def _add(self, line: _Line, step: float) -> bool:
        """Add the difference at one step, if the function is there on both sides."""
        up, down = self.x + step * line.u, self.x - step * line.u
        high, low = evaluated(self.f, up), evaluated(self.f, down)
        if high is None or low is None:
            return False
        line.variation = max(line.variation, float(np.abs(self.v) @ np.abs(high - self._at_x)) / step)
        reached = np.maximum(np.abs(high), np.abs(low))  # of what may have been 0 at x
        size = float(np.abs(self.v) @ (reached * line.touched))
        line.roundings.append(max(line.noise, EPSILON * size) / step)
        line.steps.append(step)
        line.slopes.append(float(self.v @ (high - low)) / (2 * step))
        line.inputs.append((up - down) / (2 * step))
        return True

    def _guard(self, line: _Line) -> None:
        """A step too small to cross a kink that the others may have crossed; and whether a kink is at x itself."""
        high, low = evaluated(self.f, self.x + TINY * line.u), evaluated(self.f, self.x - TINY * line.u)
        if high is None or low is None:
            line.guard = math.inf
            return
        slope, error = extrapolated(line.steps, line.slopes, line.roundings)
        right, left = float(self.v @ (high - self._at_x)) / TINY, float(self.v @ (self._at_x - low)) / TINY
        rounding = 8 * line.noise / TINY + 1e-10 * abs(slope)
        bend = (TINY / line.steps[0]) ** 2 * abs(line.slopes[0] - slope)
        off = abs((left + right) / 2 - slope)
        line.guard = off if off > rounding + 2 * bend + error else 0.0
        line.wild |= line.guard > max(line.variation, WILD * (abs(left) + abs(right)))
        gap = abs(right - left)
        if gap > 4 * rounding and gap > 1e-4 * (abs(left) + abs(right)) and self._stays(gap, line.u):
            line.sides = (left, right)

    def _stays(self, gap: float, u: Floats) -> bool:
        """Whether one-sided slopes differ as much at steps 2^8 as large and as small: at a kink, not where f bends."""
        return gap > self._gap(u, 2**8 * TINY) / 16 and self._gap(u, TINY / 2**8) > gap / 2

    def _gap(self, u: Floats, step: float) -> float:
        """By how much the one-sided slopes differ at a step: where f is smooth they come together as it shrinks."""
        high, low = evaluated(self.f, self.x + step * u), evaluated(self.f, self.x - step * u)
        return math.inf if high is None or low is None else abs(float(self.v @ (high - 2 * self._at_x + low))) / step

    def compare(self, gradient: Function, confidence: float = 4.0) -> list[Finding]:
        """What the differences say of a gradient, along each direction.

        The gradient is worked out once at x. Where it seems wrong, the function is looked at more closely, and the gradient
        worked out at inputs jittered by a few roundings: its own conditioning may account for it.
        """
        g = gradient(self.x)
        found = [_judged(line, g, 0.0, confidence) for line in self.lines]
        if all(one.verdict is not Verdict.FAIL for one in found) or not np.all(np.isfinite(g)):
            return found
        changes = [np.abs(self.scaled @ (gradient(x) - g)) for x in self.nearby]
        jitter = np.max(changes, axis=0)
        return [_judged(line, g, float(change), confidence) for line, change in zip(self.closer, jitter, strict=True)]


def _power_of_two(step: float) -> float:
    """The power of two at or below a step, so that x + hu is exact more often than not."""
    return math.ldexp(1.0, math.floor(math.log2(step)))


def evaluated(f: Function, x: Floats) -> Floats | None:
    """f at x, or None out of its domain."""
    try:
        y = f(x)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError):
        return None
    return y if np.all(np.isfinite(y)) else None


def extrapolated(steps: Sequence[float], slopes: Sequence[float], roundings: Sequence[float]) -> tuple[float, float]:
    """The limit of central differences at step 0 and its estimated error: what has settled best in Neville's table.

    roundings: by how much each slope may be off for rounding alone.
    """
    best, least = slopes[0], math.inf
    before: list[float] = []
    for i, (step, slope) in enumerate(zip(steps, slopes, strict=True)):
        row = [slope]
        rounding = 2 * max(roundings[max(i - 1, 0) : i + 1])
        for j, above in enumerate(before):
            row.append(row[j] + (row[j] - above) / ((steps[i - j - 1] / step) ** 2 - 1))
        for j, above in enumerate(before):
            right = row[min(j + 2, i)]  # two entries may agree by chance, so the one of the next order has a say too
            error = max(abs(row[j + 1] - other) for other in (row[j], above, right)) + rounding
            if error < least:
                best, least = row[j + 1], error
        before = row
    return best, least


def _judged(line: _Line, g: Floats, jitter: float, confidence: float) -> Finding:
    """The verdict along one direction."""
    u = line.u
    analytic, size = float(g @ u), float(np.abs(g) @ np.abs(u))
    unit = max(size, float(np.max(np.abs(g), initial=0.0) * np.max(np.abs(u), initial=0.0)), line.variation)
    flat = 0.0 if line.variation else line.elsewhere  # how a function changes that does not along u alone
    unit = max(unit, flat)
    if not math.isfinite(size):
        return Finding(u, analytic, math.nan, math.inf, math.inf, 0.0, Verdict.FAIL, "the gradient is not finite")
    if len(line.steps) < 3:
        note = "the function is not finite around this point"
        return Finding(u, analytic, math.nan, math.inf, math.inf, unit, Verdict.UNRESOLVED, note)
    residuals = [slope - float(w @ g) for slope, w in zip(line.slopes, line.inputs, strict=True)]
    residual, error = extrapolated(line.steps, residuals, line.roundings)
    error = max(error, line.guard)
    tolerance = confidence * error + min(8 * jitter, 1e-6 * size) + 16 * EPSILON * size
    # Where all of a gradient cancels there is rounding left, or what is left of it.
    tolerance += 16 * EPSILON * flat + EPSILON**2 * line.elsewhere
    verdict, note = Verdict.PASS, ""
    if line.sides:
        low, high = min(line.sides), max(line.sides)
        note = f"a kink: the slopes to the left and right are {line.sides[0]:.6g} and {line.sides[1]:.6g}"
        slack = 1e-5 * (abs(low) + abs(high)) + 16 * EPSILON * size + 8 * line.noise / TINY
        verdict = Verdict.UNRESOLVED if low - slack <= analytic <= high + slack else Verdict.FAIL
    elif line.wild:
        verdict, note = Verdict.UNRESOLVED, ROUGHLY
    elif abs(residual) > tolerance:
        verdict = Verdict.FAIL
    elif tolerance > RESOLUTION * unit:
        verdict = Verdict.UNRESOLVED
        note = ROUGHLY if line.rough else "rounding leaves too few digits to tell"
    return Finding(u, analytic, analytic + residual, error, tolerance, unit, verdict, note)


@dataclasses.dataclass(frozen=True, eq=False)
class Ladder:
    """A probe, and more scales: what does not pass at one is tried at the next. What never does fails if it failed."""

    first: Probe
    further: Sequence[float | Floats] = ()

    def compare(self, gradient: Function, confidence: float = 4.0) -> list[Finding]:
        """What the differences say of a gradient, along each direction."""
        found = self.first.compare(gradient, confidence)
        for scale in self.further:
            left = [k for k, one in enumerate(found) if one.verdict is not Verdict.PASS]
            if left:
                probe = dataclasses.replace(self.first, directions=self.first.directions[left], scale=scale)
                for k, one in zip(left, probe.compare(gradient, confidence), strict=True):
                    better = (Verdict.PASS, Verdict.FAIL) if found[k].verdict is Verdict.UNRESOLVED else (Verdict.PASS,)
                    found[k] = one if one.verdict in better else found[k]
        return found
