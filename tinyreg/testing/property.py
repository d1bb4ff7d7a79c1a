"""A property: something that is asked of an op, with the name that a failure prints. `properties` lists them all."""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..callers import is_own
from .differences import Finding
from .failure import Failure
from .subject import Subject
from .trial import Trial

Holds = Callable[[Trial], "list[Finding] | None"]


class BrokenError(Exception):
    """What was seen where a property does not hold; `Property.check` makes a `Failure` of it."""

    def __init__(self, *lines: str, argument: str = "", looks_like: str = "") -> None:
        super().__init__("\n".join(lines))
        self.lines, self.argument, self.looks_like = lines, argument, looks_like


@dataclass(frozen=True)
class Property:
    """Something that holds of every op.

    key, name: "P3" and "numeric first order"; people read the name. holds: the check, which raises `BrokenError`.
    order: the least order of derivative that a case must have for it. pairs: whether it can be asked of a pair (f, vjp)
    too. numeric: whether its findings say how well the op is verified. costly: whether it takes longest, as differences
    do. at: of which calls it is asked, drawn "calls" or the case's "points". anywhere: whether `check_gradients` asks it
    too, of a function of which it has one call and nothing else. turn: when it is tried on a mutant; the lower, the
    earlier. Those come first that kill most, and cheaply. None: it is not tried, since it asks nothing of a formula.
    every: in the fast profile it is asked at one of so many calls.
    """

    key: str
    name: str
    holds: Holds
    order: int = 1
    pairs: bool = True
    numeric: bool = False
    costly: bool = False
    at: str = "calls"
    anywhere: bool = True
    turn: int | None = 99
    every: int = 1

    def __str__(self) -> str:
        return self.name

    def applies(self, case: Subject) -> bool:
        """Whether it can be asked of a case."""
        return case.order >= self.order and (self.pairs or case.vjp is None) and bool(self.at == "calls" or case.points)

    def check(self, trial: Trial) -> Sequence[Finding]:
        """Raise `Failure` where it does not hold; give the findings of numeric comparisons."""
        try:
            return self.holds(trial) or ()
        except BrokenError as broken:
            lines, argument, looks_like = broken.lines, broken.argument, broken.looks_like
            raise Failure(trial, self.key, self.name, lines, argument=argument, looks_like=looks_like) from None
        except Exception as error:
            said = [f"raised {type(error).__name__}: {error}", *_place(error)]
            raise Failure(trial, self.key, self.name, said) from error


def _place(error: BaseException) -> list[str]:
    """The line of the reader's code at which an error came up, where there is one."""
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if not is_own(frame)]
    if not frames:
        return []
    frame, number = frames[-1]
    path = frame.f_code.co_filename
    return [f"at {os.path.basename(path)}:{number}: {linecache.getline(path, number, frame.f_globals).strip()}"]
