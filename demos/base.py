"""What a demo is: a question, a measured time, and a run that ends in a table, a picture and a finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """How to run: on which backend, over how many seeds, whether briefly, and where pictures go."""

    backend: str
    seeds: int
    fast: bool
    out: Path


@dataclass(frozen=True)
class Result:
    """What a run found. It is complete unless it was interrupted; then it holds the seeds that were finished."""

    table: list[list[str]]
    note: str
    finding: str
    picture: Path
    complete: bool

    def __str__(self) -> str:
        return f"{aligned(self.table)}\n{self.note}\n\n{self.finding}"


@dataclass(frozen=True)
class Demo:
    """An entry of the list: `run` gives None where it was interrupted before a seed was finished."""

    name: str
    exercise: str
    question: str
    seconds: int  # measured, on two cores
    seeds: int
    run: Callable[[Settings], Result | None]


def over_seeds(seeds: int, steps: int, run: Callable[[int, Callable[[], Any]], T]) -> list[T]:
    """What run(seed, tick) gives for each seed, under a progress bar of `steps` ticks a seed.

    Ctrl-C ends it with the seeds that are finished.
    """
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    finished: list[T] = []
    # One thread: these matrices are small, and threads that wait for each other cost more than they bring.
    with threadpool_limits(1), tqdm(total=seeds * steps, unit=" epochs", dynamic_ncols=True) as bar:
        try:
            for seed in range(seeds):
                bar.set_description(f"seed {seed + 1} of {seeds}")
                finished.append(run(seed, bar.update))
        except KeyboardInterrupt:
            bar.set_description(f"stopped after {len(finished)} of {seeds} seeds")
    return finished


def mean_and_spread(values: Sequence[float], digits: int) -> str:
    """The mean and the standard deviation over seeds; of one seed there is no spread."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {standard_deviation(values):.{digits}f}"


def standard_deviation(values: Sequence[float]) -> float:
    """The unbiased standard deviation of two values or more."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


@dataclass(frozen=True)
class Difference:
    """What a change did, from pairs of runs that differ in nothing else."""

    mean: float
    error: float  # the standard error of the mean; infinite for a single pair

    @classmethod
    def between(cls, before: Sequence[float], after: Sequence[float]) -> Difference:
        """Of after - before, pair by pair."""
        pairs = [b - a for a, b in zip(before, after, strict=True)]
        error = standard_deviation(pairs) / math.sqrt(len(pairs)) if len(pairs) > 1 else math.inf
        return cls(math.fsum(pairs) / len(pairs), error)

    @property
    def clear(self) -> bool:
        """Whether it is more than two standard errors away from 0."""
        return abs(self.mean) > 2 * self.error

    def text(self, digits: int) -> str:
        """The mean with its sign, and the standard error where there is one."""
        return f"{self.mean:+.{digits}f}" + (f" ± {self.error:.{digits}f}" if math.isfinite(self.error) else "")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table as text: the first row is the head, the first column is left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "   ".join([row[0].ljust(widths[0]), *others])

    head, *body = map(line, rows)
    return "\n".join([head, "-" * len(head), *body])
