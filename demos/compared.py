"""Arms beside each other: accuracy, loss and calibration, and how each changes against a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .estimate import INTERVALS, Estimate, together


class Score(NamedTuple):
    """How a score is shown: the head of its column, its decimals, and the unit of a change."""

    head: str
    decimals: int
    unit: str


SCORES = {
    "accuracy": Score("accuracy (%)", 1, " points"),
    "loss": Score("loss (nats)", 3, " nats"),
    "calibration": Score("calibration error", 1, " points"),
}
"""By their names in `arms.scores`. The loss is that of labels as they are; the calibration error is in points."""
NOTE = (
    f"Numbers are each the {INTERVALS}. Changes are those of pairs of runs that differ in nothing else; their intervals "
    "are at the levels of Holm's procedure, so that one or more of the {n} changes would err in at most 5% of such tables; "
    "* marks those without 0. Calibration error: expected, with 15 bins, in points."
)


@dataclass(frozen=True)
class Comparison:
    """What was measured for each seed: scores by arm and name. against: the baseline of each arm, where it has one."""

    runs: Sequence[Mapping[str, Mapping[str, float]]]
    against: Mapping[str, str]
    scores: Mapping[str, Score]

    def of(self, arm: str, score: str) -> list[float]:
        """A score of an arm, for each seed."""
        return [run[arm][score] for run in self.runs]

    def differences(self, arm: str, score: str) -> list[float]:
        """By how much an arm is above its baseline, for each seed."""
        return [b - a for a, b in zip(self.of(self.against[arm], score), self.of(arm, score), strict=True)]

    @cached_property
    def changes(self) -> dict[tuple[str, str], Estimate]:
        """Of each arm that has a baseline and each score, by Holm's procedure over all of them."""
        return together({(arm, score): self.differences(arm, score) for arm in self.against for score in self.scores})

    def table(self) -> list[list[str]]:
        """A row for each arm: its scores, each with its change."""
        shows = (self._value, self._change)
        head = ["", *(cell for score in self.scores.values() for cell in (score.head, "change"))]
        return [head, *([arm, *(show(arm, score) for score in self.scores for show in shows)] for arm in self.runs[0])]

    def upright(self, name: str, arms: Sequence[str], scores: Mapping[str, Score]) -> list[list[str]]:
        """A column for each of some arms: rows, called `name`, of scores, and of their changes."""
        rows = []
        for score, shown in scores.items():
            rows.append([f"{name}: {shown.head}", *(self._value(arm, score) for arm in arms)])
            rows.append([f"{name}: {shown.head}, change", *(self._change(arm, score) for arm in arms)])
        return rows

    def _value(self, arm: str, score: str) -> str:
        return Estimate.of(self.of(arm, score)).text(self.scores[score].decimals)

    def _change(self, arm: str, score: str) -> str:
        if arm not in self.against:
            return ""
        change = self.changes[arm, score]
        return change.text(self.scores[score].decimals, "+") + "*" * change.clear

    def note(self) -> str:
        """What the numbers of the table are."""
        return NOTE.format(n=len(self.changes))

    def said(self, arm: str, score: str) -> str:
        """A change in words."""
        of_score = self.scores[score]
        return self.changes[arm, score].said("lower", "higher", of_score.decimals, of_score.unit)
