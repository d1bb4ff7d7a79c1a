"""How a claim is put to the test: arms that are compared by a score, or a measurement of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .. import arms
from ..arms import Arm

UNITS = {"loss": "nats", "norm": "", "zeros": "% of weights"}  # by the last word of a score; others are in points
CLEAN, NOISY = "500 digits", "500 with noisy labels"
BASE = Arm()
DATA = {
    CLEAN: BASE,
    "100 digits": replace(BASE, each=10),
    "3,500 digits": replace(BASE, each=350),
    NOISY: replace(BASE, redrawn=0.3),
}
_, FEW, MANY, _ = DATA.values()
BETTER = {"accuracy": "higher", "loss": "lower"}
Expected = str | float


class Lab:
    """What the tests of one seed ask for: scores of arms, each of which is trained once."""

    def __init__(self, seed: int, fast: bool) -> None:
        self.seed, self.fast = seed, fast
        self._scores: dict[Arm, dict[str, float]] = {}

    def score(self, arm: Arm, name: str) -> float:
        """A score of an arm."""
        if arm not in self._scores:
            self._scores[arm] = arms.scores(arm, self.seed, self.fast)
        return self._scores[arm][name]


class Test(NamedTuple):
    """A setting in which a claim is tested: a number without and with what it is about, and how the claim has it change.

    expected: as in `Evidence`.
    """

    on: str
    unit: str
    expected: Expected
    pair: Callable[[Lab], tuple[float, float]]


@dataclass(frozen=True)
class Claim:
    """A sentence of the chapter, in our words, and the settings in which it is tested."""

    section: str
    sentence: str
    tests: tuple[Test, ...]


def claim(section: str, sentence: str, *tests: Test) -> Claim:
    """A row of the page."""
    return Claim(section, sentence, tests)


def scored(on: str, score: str, expected: Expected, before: Arm, after: Arm, then: str = "") -> Test:
    """A test of two arms by a score, or by two, the second called `then`."""
    unit = UNITS.get(score.partition(" at ")[0].split()[-1], "points")
    return Test(on, unit, expected, lambda lab: (lab.score(before, score), lab.score(after, then or score)))


def on_data(score: str, expected: Expected, *names: str, **technique: Any) -> tuple[Test, ...]:
    """A technique on several of DATA, all if none is named, by one score."""
    pairs = [(name, DATA[name], replace(DATA[name], **technique)) for name in names or DATA]
    return tuple(scored(f"{name}: {score}", score, expected, before, after) for name, before, after in pairs)


def better(*names: str, **technique: Any) -> tuple[Test, ...]:
    """Whether a technique brings accuracy and lowers the loss, on several of DATA, all if none is named."""
    return tuple(test for score, way in BETTER.items() for test in on_data(score, way, *names, **technique))


def both(on: str, before: Arm, after: Arm) -> tuple[Test, ...]:
    """Whether one arm is better than another by accuracy and loss."""
    return tuple(scored(f"{on}: {score}", score, way, before, after) for score, way in BETTER.items())


def of_course(on: str, score: str, expected: Expected, moment: str, arm: Arm) -> Test:
    """From a moment of the training to its end."""
    return scored(
        f"{on}, from {moment.removeprefix('at ')} of the steps to the end", f"{score} {moment}", expected, arm, arm, score
    )


def rungs(score: str, settings: dict[str, dict[str, Any]], start: Arm) -> tuple[Test, ...]:
    """Each rung against all those below it together."""
    found, below = [], start
    for rung, technique in settings.items():
        above = replace(below, **technique)
        found.append(scored(f"+ {rung}: {score}", score, BETTER[score], below, above))
        below = above
    return tuple(found)


def brings_less(what: str, score: str, **technique: Any) -> Test:
    """Whether a technique brings less with many digits than with few."""

    def gains(lab: Lab) -> tuple[float, float]:
        changes = [lab.score(replace(arm, **technique), score) - lab.score(arm, score) for arm in (FEW, MANY)]
        few, many = (change if BETTER[score] == "higher" else -change for change in changes)
        return few, many

    unit = UNITS.get(score, "points")
    return Test(f"what {what} brings with 100 digits and with 3,500: {score}", unit, "lower", gains)


def lost_by_scale(lab: Lab, norm: str) -> float:
    """How much accuracy is lost where the first weights are four times as large."""
    arm = replace(BASE, norm=norm)
    return lab.score(arm, "accuracy") - lab.score(replace(arm, scale=4.0), "accuracy")


def fact(on: str, unit: str, expected: Expected, measure: Callable[[int, bool], tuple[float, float]]) -> Test:
    """A measurement of its own, of a seed, and of whether to be fast."""
    return Test(on, unit, expected, lambda lab: measure(lab.seed, lab.fast))
