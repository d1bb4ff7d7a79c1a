"""The mutation check: every wrong version of a VJP must fail the battery, or stand in a list with its reason."""

from __future__ import annotations

import contextlib
import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import hypothesis
import numpy as np

from ...core.fused import Fused
from ..case import Case
from ..differences import Ladder
from ..drawing import by_seed
from ..failure import Failure
from ..properties import OF_CALLS_IN_TURN, OF_POINTS, PROPERTIES
from ..property import Property
from ..search import profile, ready_backends
from ..subject import Call
from ..trial import Trial
from ..values import check_backend
from .planted import Planted, planted
from .rules import ALWAYS

SEARCHES, DRAWN = 16, 6  # short searches, because a long one comes back to what it has seen, and the calls of each
LARGEST = 3  # calls that come first
TO_DO = (
    "  what to do: for one that passes, give the case a point, or a strategy with settings, shapes or values, at which it "
    "differs from the right VJP; where it differs nowhere, name it in `equivalent` with the reason"
)
KEPT = 40  # how many calls, of every kind, the mutants of a case are tried on


@dataclass(frozen=True)
class Tally:
    """How many mutants there were, which were equivalent by the list, and which stayed alive otherwise.

    unsound: where a rule of `ALWAYS` fits a mutant that fails the battery, so that the rule is no rule.
    """

    mutants: int
    equivalent: tuple[str, ...]
    problems: tuple[str, ...]
    unsound: tuple[str, ...] = ()

    @property
    def killed(self) -> int:
        """How many mutants failed the battery."""
        return self.mutants - len(self.equivalent)


def check_mutants(case: Case) -> Tally:
    """Put every mutant of a case in place and see it fail the battery.

    Raises `AssertionError` that names each mutant which passes and which neither `case.equivalent` nor a rule of `ALWAYS`
    means, each that `case.equivalent` means but that fails, and what in it means no mutant.
    """
    tally = tallied(planted(case), [case], case.equivalent)
    if tally.problems:
        lines = [f"{case.name}: {len(tally.problems)} of {tally.mutants} mutants", *tally.problems]
        raise AssertionError("\n".join([*lines, *[TO_DO] * any(" passes   " in each for each in tally.problems)]))
    return tally


class Kill(NamedTuple):
    """What a mutant fails first: the check, its key, and the trial of a case."""

    key: str
    holds: Callable[[Trial], Any]
    case: Case
    trial: Trial

    def seen(self, case: Case) -> bool:
        """Whether the check fails, with this in the place of the case."""
        self.trial.case = case  # the trial keeps its differences of the function from mutant to mutant
        with _in_silence():
            try:
                self.holds(self.trial)
            except Exception:
                return True
        return False


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    """Without warnings: a mutant fails for what it gives, not for what it warns of."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def tallied(broken: Iterable[Planted], cases: Sequence[Case], equivalent: Mapping[str, str]) -> Tally:
    """Try every mutant on every one of the cases until it fails.

    In the fast profile a mutant that a rule excuses is tried on the largest call and at the points only: it is expected to
    pass them all, and to see that takes longer than to kill all others.
    """
    results = [y for case in cases for trial in trials(case)[0] for y in trial.outputs]
    for case in cases:
        _take_differences(case)
    broken = [mutant for mutant in broken if mutant.needs is None or any(map(mutant.needs, results))]
    rules = [*equivalent, *ALWAYS] if profile() == "fast" else []
    few = {mutant for mutant in broken if any(map(mutant.fits, rules))}
    before: list[Kill] = []
    kills: dict[Planted, Kill | None] = {}
    for mutant in broken:
        found = (kill(case, mutant, few=mutant in few, before=before) for case in cases)
        kills[mutant] = one = next(filter(None, found), None)
        if one:
            before[:] = [one, *(other for other in before if other is not one)]
    alive = {mutant: None for mutant, kill in kills.items() if kill is None}
    problems, excused = _controlled(kills.values()), dict[Planted, None]()
    for key in equivalent:
        fitting = [mutant for mutant in broken if mutant.fits(key)]
        excused |= dict.fromkeys(fitting)
        problems += [f"  {key} is listed as equivalent but there is no such mutant"] * (not fitting)
        problems += [f"  {key} is listed as equivalent but {_failing(key, m)}" for m in fitting if m not in alive]
    always = {mutant: rule for mutant in broken for rule in ALWAYS if mutant.fits(rule)}
    unsound = [f"  {rule} is always equivalent but {_failing(rule, m)}" for m, rule in always.items() if m not in alive]
    problems += [f"  {m.name} passes   {m.line}" for m in alive if m not in excused and m not in always]
    names = [mutant.name for mutant in alive if mutant in excused or mutant in always]
    return Tally(len(broken), tuple(names), tuple(problems), tuple(unsound))


DIFFERENCES: Sequence[Callable[[Trial], Ladder]] = (
    lambda trial: trial.probe,
    lambda trial: trial.turned.line,
)


def _take_differences(case: Case) -> None:
    """Have trials take their differences of the right function, which they keep: a mutant may be one of its forward."""
    for trial in trials(case)[0] if isinstance(case.primitive, Fused) else ():
        for taken in DIFFERENCES:
            with _in_silence(), contextlib.suppress(ValueError, ArithmeticError, np.linalg.LinAlgError):
                for rung in taken(trial).rungs:
                    _ = rung.closer


def _failing(key: str, mutant: Planted) -> str:
    """What to do about a mutant that a key fits and that fails."""
    if key == mutant.name:
        return "fails the battery: take it off the list"
    return f"fits {mutant.name}, which fails the battery: narrow the rule"


def _controlled(kills: Iterable[Kill | None]) -> list[str]:
    """What fails without a mutant too, and so shows nothing about one.

    This comes last, because a mutant that left something behind would fail all after it.
    """
    distinct = {(kill.key, id(kill.trial)): kill for kill in kills if kill}
    wrong = {kill.key: kill for kill in reversed(distinct.values()) if kill.seen(kill.case)}
    return [f"  without a mutant: {_failure(kill)}" for kill in wrong.values()]


def _failure(kill: Kill) -> str:
    """What fails in a case itself: its input and what was seen."""
    if kill.key not in PROPERTIES:
        return f"{kill.case} fails {kill.key}"
    try:
        PROPERTIES[kill.key].check(Trial(kill.case, kill.trial.call, kill.trial.seed))
    except Failure as failure:
        return str(failure).replace("\n", "\n  ")
    return f"{kill.case} fails {PROPERTIES[kill.key]} at times"


def kill(case: Case, mutant: Planted, *, few: bool = False, before: Sequence[Kill] = ()) -> Kill | None:
    """The first check that a mutant fails, or None where it passes all; few: on the largest call and the points only.

    before: what other mutants failed, the last one first. It comes early, because mutants of a kind fail the same.
    """
    with mutant.place() as broken:
        return next((one for one in _attempts(case, few, before) if one.seen(broken or case)), None)


def _attempts(case: Case, few: bool = False, before: Sequence[Kill] = ()) -> Iterator[Kill]:
    """What to try on a mutant, in turn. The largest calls tell most; what they miss is a matter of the unusual ones."""
    most = 1 if few else LARGEST
    first, further, unusual = _of_calls(case, most)
    yield from first
    early = dict.fromkeys(one for one in before if one.case is case and one not in first) if not few else {}
    yield from early
    yield from (one for one in further if one not in early)
    for name in [] if case.vjp else ready_backends():
        holds = functools.partial(check_backend, backend=name)
        yield from (Kill("P12", holds, case, trial) for trial in trials(case)[0][:most])
    yield from (one for one in unusual if not few and one not in early)


@functools.lru_cache(maxsize=16)
def _of_calls(case: Case, most: int) -> tuple[list[Kill], list[Kill], list[Kill]]:
    """What most mutants fail, which is the first property on the largest calls; all else there and at points; all else."""
    drawn, points = trials(case)

    def each(asked: Iterable[Property], some: Sequence[Trial]) -> list[Kill]:
        return [Kill(which.key, which.holds, case, trial) for which in asked if which.applies(case) for trial in some]

    first, *others = OF_CALLS_IN_TURN
    largest, rest = drawn[:most], drawn[most:]
    return each([first], largest), each(others, largest) + each(OF_POINTS, points), each(OF_CALLS_IN_TURN, rest)


@functools.lru_cache(maxsize=16)
def trials(case: Case) -> tuple[list[Trial], list[Trial]]:
    """Trials of a case, of every kind of axes, shapes and settings in turn, the largest first; and at its points."""
    kinds: dict[str, dict[str, list[Call]]] = {}

    @hypothesis.settings(deadline=None, database=None, max_examples=DRAWN, phases=[hypothesis.Phase.generate])
    @hypothesis.given(case.calls)
    def collect(call: Call) -> None:
        shapes = [getattr(a, "shape", None) for a in call.arrays]
        alike = kinds.setdefault(f"{[shape and len(shape) for shape in shapes]}", {})
        alike.setdefault(f"{shapes} {call.settings}", []).append(call)

    with by_seed():
        for seed in range(SEARCHES):
            hypothesis.seed(seed)(collect)()
    in_turn = _in_turn(_in_turn(alike.values()) for alike in kinds.values())
    # Locked, so that a mutant which changes its arguments leaves the next one what it found.
    locked = [call.locked() for call in in_turn[:KEPT]]
    drawn = [Trial(case, call, seed, explaining=False, many=True) for seed, call in enumerate(locked)]
    drawn.sort(key=lambda trial: -trial.x.size)
    return drawn, [Trial(case, point.call.locked(), explaining=False) for point in case.points]


def _in_turn(groups: Iterable[Iterable[Call]]) -> list[Call]:
    return [call for calls in itertools.zip_longest(*groups) for call in calls if call is not None]
