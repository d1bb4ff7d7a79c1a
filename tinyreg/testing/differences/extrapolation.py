"""Extrapolation: the limit of central differences at step 0, by Neville's table, and how far off it may be."""

from __future__ import annotations

import math
from collections.abc import Sequence


def extrapolated(steps: Sequence[float], slopes: Sequence[float], roundings: Sequence[float]) -> tuple[float, float]:
    """Give the limit of central differences at step 0 and its estimated error: the entry that has settled best.

    steps: from large to small. roundings: by how much each slope may be off for rounding alone.

    Row i of the table begins with the slope at step i. Each further entry combines the one to its left with the one above
    that, so that one more even power of the step cancels.
    """
    best, least = slopes[0], math.inf
    above: list[float] = []
    for i, (step, slope) in enumerate(zip(steps, slopes, strict=True)):
        row = [slope]
        rounding = 2 * max(roundings[max(i - 1, 0) : i + 1])
        for j, entry in enumerate(above):
            row.append(row[j] + (row[j] - entry) / ((steps[i - j - 1] / step) ** 2 - 1))
        for j, entry in enumerate(above):
            next_order = row[min(j + 2, i)]  # two entries may agree by chance, so this one has a say too
            error = max(abs(row[j + 1] - neighbour) for neighbour in (row[j], entry, next_order)) + rounding
            if error < least:
                best, least = row[j + 1], error
        above = row
    return best, least
