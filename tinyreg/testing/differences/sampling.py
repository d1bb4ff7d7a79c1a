"""Sampling: a function near a point, along directions, and how much of what it does there is rounding."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .extrapolation import extrapolated

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]

EPSILON = float(np.finfo(np.float64).eps)

# The steps of a line, in units of the scale.
FIRST_STEP, STEPS = 0.05, 9  # the largest, and how many there are, each half of the one before
FEWEST = 3  # differences that can be extrapolated
ENOUGH = 1e-10  # relative: an estimate as good as this needs no smaller step
TINY = 2.0**-20  # a step that no kink is likely to lie within

# How rounding is seen.
JITTERS, PAIRS = 4, 6  # inputs a few roundings away, and pairs of inputs close by
MORE_PAIRS = 32  # before a gradient is said to be wrong: few may show less rounding than there is
CLOSE = 2.0**-27  # in units of the scale: a distance whose square is lost in rounding
WILD = 1e-2  # relative: a change over such a distance that makes larger steps meaningless


def directions(n: int, rng: np.random.Generator, entries: int = 16, random: int = 2) -> Floats:
    """Give `random` dense directions, and the unit vectors of up to `entries` elements, as rows of n elements."""
    dense = rng.choice([0.5, 0.75, 1.0], (random, n)) * rng.choice([-1.0, 1.0], (random, n))
    chosen = np.arange(n) if n <= entries else np.sort(rng.choice(n, entries, replace=False))
    units = np.zeros((chosen.size, n))
    units[np.arange(chosen.size), chosen] = 1.0
    rows: Floats = np.concatenate([dense, units]) if n else np.zeros((0, 0))
    return rows


def jittered(x: Floats, rng: np.random.Generator) -> Floats:
    """Give x with every element moved by up to 2 units in the last place, each in a direction of its own.

    Moved all one way, x would look exact to a function that does not change when everything shifts.
    """
    moved: Floats = x + np.spacing(np.abs(x)) * rng.integers(-2, 3, x.shape)
    return moved


def evaluated(f: Function, x: Floats) -> Floats | None:
    """Give f at x, or None out of its domain."""
    try:
        y = f(x)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError):
        return None
    return y if np.all(np.isfinite(y)) else None


class Sample(NamedTuple):
    """One central difference.

    step: h. slope: v.(f(x + hu) - f(x - hu)) / 2h. moved: what the inputs really moved by over 2h, which is u but for
    rounding. rounding: how much rounding may change the slope.
    """

    step: float
    slope: float
    moved: Floats
    rounding: float


@dataclasses.dataclass(frozen=True, slots=True)
class Rounding:
    """How f rounds, as far as one direction is concerned.

    touched: 1 for every output that the direction moves, 0 for the others. noise: by how much rounding may change v.f.
    large: whether that is a large part of v.f.
    """

    touched: Floats
    noise: float
    large: bool

    def raised_to(self, changes: Iterable[Floats]) -> Rounding:
        """Give the same with at least the noise that changes of the outputs show."""
        noise = max([self.noise, *(abs(float(change @ self.touched)) for change in changes)])
        return dataclasses.replace(self, noise=noise)


class Near(NamedTuple):
    """What a step shows that is too small to cross a kink.

    off: by how much it disagrees with the extrapolated slope, beyond what rounding explains. sides: the slopes to the left
    and to the right, where there is a kink at x.
    """

    off: float = 0.0
    sides: tuple[float, float] | None = None


@dataclasses.dataclass(slots=True)
class Line:
    """What f does along one direction u.

    samples: the differences, from large to small steps. variation: the mean slope of |v| |f| over the largest step: what a
    gradient of 0 is measured against. size: of v.f, or of its change if that is larger. wild: whether v.f changes so much
    within a small distance that larger ones say nothing.
    """

    u: Floats
    rounding: Rounding
    samples: list[Sample] = dataclasses.field(default_factory=list)
    near: Near = dataclasses.field(default_factory=Near)
    variation: float = 0.0
    size: float = 0.0
    wild: bool = False

    @property
    def steps(self) -> list[float]:
        """The step of each sample."""
        return [sample.step for sample in self.samples]

    @property
    def roundings(self) -> list[float]:
        """The rounding of each sample."""
        return [sample.rounding for sample in self.samples]

    def slope(self) -> tuple[float, float]:
        """Give the extrapolated slope and its estimated error."""
        return extrapolated(self.steps, [sample.slope for sample in self.samples], self.roundings)

    def rougher(self, changes: Iterable[Floats]) -> Line:
        """Give the same with at least the rounding that changes of the outputs show."""
        rounding = self.rounding.raised_to(changes)
        samples = [s._replace(rounding=max(s.rounding, rounding.noise / s.step)) for s in self.samples]
        return dataclasses.replace(self, rounding=rounding, samples=samples)


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
        spread = CLOSE * self.scale
        self.close = [spread * self.rng.uniform(-1.0, 1.0, self.x.shape) for _ in range(PAIRS + MORE_PAIRS)]

    @functools.cached_property
    def lines(self) -> list[Line]:
        """What f does along every direction."""
        with np.errstate(all="ignore"):
            lines = [self._line(u) for u in self.scaled]
        largest = max((line.size for line in lines), default=0.0)
        for line in lines:
            line.wild |= line.rounding.noise > WILD * (line.size or largest)
        return lines

    @functools.cached_property
    def steepest(self) -> float:
        """The largest variation along any direction."""
        return max((line.variation for line in self.lines), default=0.0)

    @functools.cached_property
    def closer(self) -> list[Line]:
        """The same with the rounding that many more inputs show, and with smaller steps where that leaves room for them."""
        with np.errstate(all="ignore"):
            changes = self._second_differences(self.close[PAIRS:])
            lines = [line.rougher(changes) for line in self.lines]
            for line in lines:
                if len(line.samples) >= FEWEST:
                    self._halve(line, line.steps[-1] / 2, _last(line.steps[0]), 0.0)
                    self._look_near(line)
        return lines

    def _line(self, u: Floats) -> Line:
        size, rounding = self._rounding(u)
        line = Line(u, rounding)
        largest = float(np.max(np.abs(u), initial=0.0))
        step = _power_of_two(min(FIRST_STEP, 0.9 * self.reach / largest if largest else FIRST_STEP))
        self._halve(line, step, _last(step), ENOUGH)
        if len(line.samples) >= FEWEST:
            line.size = max(size, line.variation * line.steps[0])
            self._look_near(line)
        return line

    # ---- differences

    def _halve(self, line: Line, step: float, last: float, enough: float) -> None:
        """Add the differences at a step, half of it, and so on, until an estimate is good enough or rounding prevails."""
        while step >= last:
            if self._add(line, step) and len(line.samples) >= FEWEST:
                slope, error = line.slope()
                if error <= max(enough * abs(slope), 4 * line.rounding.noise / step):
                    break
            step /= 2

    def _add(self, line: Line, step: float) -> bool:
        """Add the difference at one step, if the function is there on both sides."""
        up, down = self.x + step * line.u, self.x - step * line.u
        high, low = evaluated(self.f, up), evaluated(self.f, down)
        if high is None or low is None:
            return False
        line.variation = max(line.variation, float(np.abs(self.v) @ np.abs(high - self._at_x)) / step)
        reached = np.maximum(np.abs(high), np.abs(low))  # of what may have been 0 at x
        size = float(np.abs(self.v) @ (reached * line.rounding.touched))
        rounding = max(line.rounding.noise, EPSILON * size) / step
        line.samples.append(Sample(step, float(self.v @ (high - low)) / (2 * step), (up - down) / (2 * step), rounding))
        return True

    # ---- rounding

    @functools.cached_property
    def _at_x(self) -> Floats:
        return self.f(self.x)

    def _rounding(self, u: Floats) -> tuple[float, Rounding]:
        """Give the size of the outputs that a direction moves, and how f rounds in them."""
        touched = self._touched(u)
        size = float(np.abs(self.v * self._at_x) @ touched)
        seen = Rounding(touched, EPSILON * size, False).raised_to(self._changes)
        return size, dataclasses.replace(seen, large=seen.noise > 1e-6 * size)

    def _touched(self, u: Floats) -> Floats:
        """Give 1 for the outputs that a direction touches: rounding in the others is none of its concern."""
        moving = u != 0
        if moving.all():
            return np.ones(self.v.size)
        poisoned = np.where(moving, np.nan, self.x)
        try:
            outcome = self.f(poisoned)
        except Exception:
            return np.ones(self.v.size)
        return np.where(outcome == self._at_x, 0.0, 1.0)

    @functools.cached_property
    def _changes(self) -> list[Floats]:
        """How each output changes, times its incoming gradient, when the inputs jitter, and how rough it is close by."""
        jitters = [evaluated(self.f, x) for x in self.nearby]
        changes = [self.v * (y - self._at_x) for y in jitters if y is not None]
        return [*changes, *self._second_differences(self.close[:PAIRS])]

    def _second_differences(self, close: Sequence[Floats]) -> list[Floats]:
        """Give second differences over steps too narrow for any curvature, times the incoming gradients.

        Where an intermediate is flat a jitter leaves its rounding as it is; these show it. The steps to both sides differ:
        where the value at x happens to be a float, roundings at equal distances from it cancel.
        """
        sides = [(evaluated(self.f, self.x + d), evaluated(self.f, self.x - d / 2)) for d in close]
        return [self.v * (a - 3 * self._at_x + 2 * b) / 3 for a, b in sides if a is not None and b is not None]

    # ---- kinks

    def _look_near(self, line: Line) -> None:
        """Take a step too small to cross a kink that the others may have crossed; and see whether a kink is at x itself."""
        high, low = evaluated(self.f, self.x + TINY * line.u), evaluated(self.f, self.x - TINY * line.u)
        if high is None or low is None:
            line.near = line.near._replace(off=math.inf)
            return
        slope, error = line.slope()
        right, left = float(self.v @ (high - self._at_x)) / TINY, float(self.v @ (self._at_x - low)) / TINY
        rounding = 8 * line.rounding.noise / TINY + 1e-10 * abs(slope)
        bend = (TINY / line.steps[0]) ** 2 * abs(line.samples[0].slope - slope)
        off = abs((left + right) / 2 - slope)
        line.near = line.near._replace(off=off if off > rounding + 2 * bend + error else 0.0)
        line.wild |= line.near.off > max(line.variation, WILD * (abs(left) + abs(right)))
        gap = abs(right - left)
        if gap > 4 * rounding and gap > 1e-4 * (abs(left) + abs(right)) and self._stays(gap, line.u):
            line.near = line.near._replace(sides=(left, right))

    def _stays(self, gap: float, u: Floats) -> bool:
        """Whether one-sided slopes differ as much at steps 2^8 as large and as small: at a kink, not where f bends."""
        return gap > self._gap(u, 2**8 * TINY) / 16 and self._gap(u, TINY / 2**8) > gap / 2

    def _gap(self, u: Floats, step: float) -> float:
        """By how much the one-sided slopes differ at a step: where f is smooth they come together as it shrinks."""
        high, low = evaluated(self.f, self.x + step * u), evaluated(self.f, self.x - step * u)
        return math.inf if high is None or low is None else abs(float(self.v @ (high - 2 * self._at_x + low))) / step


def _power_of_two(step: float) -> float:
    """Give the power of two at or below a step, so that x + hu is exact more often than not."""
    return math.ldexp(1.0, math.floor(math.log2(step)))


def _last(first: float) -> float:
    """Give the smallest step of a line that begins with a step."""
    return math.ldexp(first, 1 - STEPS)
