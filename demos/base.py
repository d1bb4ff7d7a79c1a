"""What a demo is: a question, what is measured for a seed, and a report: a table, a picture and a finding."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from tinyreg.interrupts import Interrupts

from . import sizes
from .seeds import Tick, Work, over_seeds

T = TypeVar("T")
NOTE_WIDTH = 120


@dataclass(frozen=True)
class Settings:
    """How to run: on which backend, over how many seeds, whether briefly, where pictures go, in how many processes.

    fresh: whether all is measured anew, also what is finished; brief runs are never stored. size: of `sizes.SIZES`.
    """

    backend: str
    seeds: int
    fast: bool
    out: Path
    jobs: int = 1
    fresh: bool = False
    size: str = sizes.SMALL


@dataclass(frozen=True)
class Result:
    """What a run found: `Demo.run` says from how many seeds, and whether these are all, or it was interrupted.

    verdicts: a shorter table, where the one of all numbers is long; its first two columns say the most.
    """

    table: list[list[str]]
    note: str
    finding: str
    picture: Path
    complete: bool = True
    seeds: int = 0
    verdicts: list[list[str]] = field(default_factory=list)

    def __str__(self) -> str:
        shown = [row[:2] for row in self.verdicts] or self.table
        note = "\n".join(textwrap.fill(line, NOTE_WIDTH) for line in self.note.splitlines())
        return f"{aligned(shown)}\n{note}\n\n{self.finding}"


@dataclass(frozen=True)
class Demo(Generic[T]):
    """An entry of the list, from which the command and the report make the rest.

    measure(seed, fast, tick) gives the numbers of one seed, on the default backend, and calls tick() steps(fast) times. It
    is a function of a module, and its numbers can be pickled, since seeds are measured in processes of their own.
    report(runs, settings) makes table, picture and finding from those of all seeds.
    """

    name: str
    section: str
    question: str
    seconds: int  # measured, on two cores
    seeds: int
    steps: Callable[[bool], int]
    measure: Callable[[int, bool, Tick], T]
    report: Callable[[list[T], Settings], Result]

    def run(self, settings: Settings, interrupts: Interrupts | None = None) -> Result | None:
        """Measure for each seed and report; None where it was interrupted before a seed was finished."""
        with sizes.use(settings.size):
            return self._run(settings, interrupts)

    def _run(self, settings: Settings, interrupts: Interrupts | None) -> Result | None:
        finished = None if settings.fast or settings.fresh else settings.out / "finished"
        work = Work(self.measure, settings.fast, settings.backend, self.steps(settings.fast), finished, settings.size)
        runs = over_seeds(work, settings.seeds, min(settings.jobs, settings.seeds), interrupts)
        if not runs:
            return None
        return replace(self.report(runs, settings), complete=len(runs) == settings.seeds, seeds=len(runs))


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table as text: the first row is the head, the first column is left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "   ".join([row[0].ljust(widths[0]), *others])

    head, *body = map(line, rows)
    return "\n".join([head, "-" * len(head), *body])
