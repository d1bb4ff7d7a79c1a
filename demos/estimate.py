"""Means over seeds with their intervals, and what they allow to be said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")
INTERVALS = "mean ± half of its 95% interval (Student's t)"
"""What the numbers of a table are, for its note."""
LEVEL = 0.05
"""How often chance alone may seem to be an effect, in all of a comparison."""
PICKED = "Where the finding picks among several, its intervals are so wide that they hold for all of them together."
"""For the note where an estimate was `among` several."""


@dataclass(frozen=True)
class Estimate:
    """The mean of what was measured for each seed, and half the width of its 95% interval by Student's t.

    The half is infinite for a single seed.
    """

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float], *, among: float = 1) -> Estimate:
        """From one value a seed. Of several to pick from, `among` of them, the intervals hold together in 95%.

        Source: Dunn, "Multiple Comparisons Among Means", 1961 (Bonferroni's inequality).
        """
        n, mean = len(values), math.fsum(values) / len(values)
        if n == 1:
            return cls(mean, math.inf)
        from scipy.stats import t

        variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
        return cls(mean, float(t.ppf(1 - 0.025 / among, n - 1)) * math.sqrt(variance / n))

    @classmethod
    def change(cls, before: Sequence[float], after: Sequence[float], *, among: int = 1) -> Estimate:
        """Of after - before, from pairs of runs that differ in nothing else."""
        return cls.of([b - a for a, b in zip(before, after, strict=True)], among=among)

    @property
    def clear(self) -> bool:
        """Whether 0 is outside the interval."""
        return abs(self.mean) > self.half

    def text(self, decimals: int, sign: str = "") -> str:
        """The mean, with sign="+" always with its sign, and half the interval where there is one."""
        half = f" ± {self.half:.{decimals}f}" if math.isfinite(self.half) else ""
        return f"{self.mean:{sign}.{decimals}f}{half}"

    def said(self, less: str, more: str, decimals: int, unit: str) -> str:
        """A change in words, such as "0.12 nats lower"; only one that is clear counts as one."""
        if not self.clear:
            return f"not clearly different ({self.text(decimals, '+')}{unit})"
        return f"{abs(self.mean):.{decimals}f}{unit} {more if self.mean > 0 else less}"


def chance(changes: Sequence[float]) -> float:
    """How often chance alone would give so large a change, by Student's t test of pairs; 1 where nothing changed."""
    n = len(changes)
    if n < 2 or not any(changes):
        return 1.0
    from scipy.stats import t

    mean = math.fsum(changes) / n
    spread = math.sqrt(math.fsum((change - mean) ** 2 for change in changes) / (n - 1))
    return float(2 * t.sf(abs(mean) * math.sqrt(n) / spread if spread else math.inf, n - 1))


def by_holm(p: Sequence[float]) -> list[float]:
    """At which level each of several p is to be judged, so that one or more are wrong in at most 5% of such sets.

    The smallest p is judged at 0.05 / n, the next at 0.05 / (n - 1), and so on; from the first that fails, all do.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.
    """
    n, levels = len(p), [0.0] * len(p)
    failed = 0.0
    for rank, i in enumerate(sorted(range(n), key=p.__getitem__)):
        levels[i] = failed or LEVEL / (n - rank)
        if p[i] >= levels[i]:
            failed = levels[i]
    return levels


def together(changes: Mapping[K, Sequence[float]]) -> dict[K, Estimate]:
    """Of several changes, each at the level that Holm's procedure gives it."""
    levels = by_holm([chance(of_one) for of_one in changes.values()])
    return {
        key: Estimate.of(of_one, among=LEVEL / level) for (key, of_one), level in zip(changes.items(), levels, strict=True)
    }


def clearly(changes: Mapping[str, Estimate], less: str, more: str) -> str:
    """Which of several changes are clear, in words, such as "clearly lower only with a and b"; by name."""
    lists = [
        (word, [name for name, change in changes.items() if change.clear and change.mean * sign > 0])
        for word, sign in ((less, -1), (more, 1))
    ]
    found = [f"clearly {word} only with {listed(names)}" for word, names in lists if names]
    return " and ".join(found) or "not clearly different with any"


def listed(names: Sequence[str]) -> str:
    """Names in words: "a, b and c"."""
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else last


def over(n: int) -> str:
    """Over how many seeds something was found, in words."""
    return f"over {n} seeds" if n > 1 else "over a single seed, which says little"
