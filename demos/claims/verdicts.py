"""From paired runs to a verdict on a claim: confirmed, contradicted, not seen, or that it depends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..estimate import LEVEL, Estimate, chance

CONFIRMED, CONTRADICTED, NOT_SEEN, DEPENDS = VERDICTS = ("confirmed", "contradicted", "not seen", "depends")
POWER = 0.8


@dataclass(frozen=True)
class Evidence:
    """What was measured for a claim in one setting: a number without and with a technique, for each seed.

    expected: how the claim has it change: "lower", "higher", or by no more than a number. level: how small p must be,
    which is less where one page asks many questions.
    """

    on: str
    unit: str
    expected: str | float
    before: Sequence[float]
    after: Sequence[float]
    level: float = LEVEL

    @property
    def changes(self) -> list[float]:
        """After less before, for each seed."""
        return [b - a for a, b in zip(self.before, self.after, strict=True)]

    @property
    def change(self) -> Estimate:
        """Its mean, with the interval that belongs to the level."""
        return Estimate.of(self.changes, among=LEVEL / self.level)

    @property
    def p(self) -> float:
        """How often chance alone would give so large a change, by Student's t test of pairs; 1 where nothing changed."""
        return chance(self.changes)

    @property
    def detectable(self) -> float:
        """The least change that as many seeds find four times in five at this level, judged by how these differ.

        (t(1 - level / 2) + t(0.8)) s / sqrt(n), Student's t with n - 1 degrees of freedom.
        """
        n = len(self.changes)
        if n < 2:
            return math.inf
        t = stats.t(n - 1)
        return float((t.ppf(1 - self.level / 2) + t.ppf(POWER)) * np.std(self.changes, ddof=1) / math.sqrt(n))

    @property
    def verdict(self) -> str:
        """Of this setting alone."""
        mean, half = self.change.mean, self.change.half
        if isinstance(self.expected, float):
            if abs(mean) + (half if any(self.changes) else 0) <= self.expected:
                return CONFIRMED
            return CONTRADICTED if abs(mean) - half > self.expected else NOT_SEEN
        if not self.change.clear:
            return NOT_SEEN
        return CONFIRMED if (mean > 0) == (self.expected == "higher") else CONTRADICTED


def of_claim(evidence: Sequence[Evidence]) -> str:
    """The verdict on a claim from all settings in which it was tested: where they differ, it depends."""
    verdicts = {one.verdict for one in evidence}
    if len(verdicts) == 1:
        return verdicts.pop()
    return DEPENDS if CONFIRMED in verdicts else CONTRADICTED
