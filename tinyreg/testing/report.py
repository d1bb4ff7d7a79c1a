"""Gradients of one function at one point, checked and reported."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np

from ..arguments import flag, integer
from ..core.tensor import Tensor
from ..nn.inputs import promoting
from .differences import Finding, Verdict
from .failure import Failure, described, literal, short
from .nearby import calls_near
from .properties import ANYWHERE, FOUNDATIONS, OF_ANY_CALL
from .property import Property
from .run import OpRun, Run, run
from .search import RESOLVED, each_call
from .subject import Call, Subject
from .trial import Trial

Answer = Sequence[Finding] | Failure
_FOUNDATIONS = {which.key for which in FOUNDATIONS}


@dataclass(frozen=True)
class Outcome:
    """One property at one point: its key and name, the verdict, how many digits differences resolved, and what failed."""

    key: str
    name: str
    verdict: Verdict
    digits: float | None = None
    text: str = ""

    def __str__(self) -> str:
        line = f"{self.name:<24} {self.verdict.value}"
        if self.digits is not None:
            line += f"   {math.floor(self.digits)} digits"
        return line + f"   {self.text}" * (self.verdict is Verdict.UNRESOLVED)


@dataclass(frozen=True, repr=False)  # a notebook shows what print does
class Report:
    """What was checked and how it came out: true where every property holds and could be resolved.

    untried: what the check says nothing about.
    """

    name: str
    inputs: tuple[str, ...]
    checked: tuple[Outcome, ...]
    untried: str = ""

    def __bool__(self) -> bool:
        return all(one.verdict is Verdict.PASS for one in self.checked)

    @property
    def failures(self) -> tuple[str, ...]:
        """The message of each property that does not hold."""
        return tuple(one.text for one in self.checked if one.verdict is Verdict.FAIL)

    def __repr__(self) -> str:
        verdicts = {one.verdict for one in self.checked}
        worst = next(v for v in (Verdict.FAIL, Verdict.UNRESOLVED, Verdict.PASS) if v in verdicts)
        head = f"{self.name}({', '.join(self.inputs)}): {worst.value}"
        bodies = {text.partition("\n")[2]: text for text in reversed(self.failures)}  # what only one says is said once
        lines = [*(f"  {one}" for one in self.checked), *[f"  not tried: {self.untried}"] * bool(self.untried)]
        return "\n".join([head, *reversed(bodies.values()), *lines])


@promoting(True)  # a network of float32 is checked in float64
def check_gradients(
    f: Callable[..., Any],
    *inputs: Any,
    order: int = 2,
    vjp: Callable[..., Any] | None = None,
    seed: int = 0,
    thorough: bool = False,
    **settings: Any,
) -> Report:
    """Check the gradients of f at `inputs`: against differences, and what else every gradient owes to its callers.

    This is one point, of one size. With `thorough`, properties are asked of calls made from it too, as far as f takes them
    and gives finite numbers: of other sizes, each axis long, short or empty, broadcast, with its numbers in other places,
    and larger and smaller ones; and more is asked: no dependence on the context (`no_grad`, the default dtype, `explain`,
    `checkpoint`, the thread), no writing even for a moment, calls in the middle of others, and the third derivative.

    f: a function of Tensors that returns one, or several. With `vjp`, a function of NumPy arrays, of any framework or
    none: `vjp(g, *inputs)` gives the gradient of the one float input, or a tuple with one (or None) for each input. Arrays
    come in any memory layout, some of them read-only: hand copies to a framework that takes no such ones.
    inputs: Tensors, arrays, lists or numbers; those of floats are taken as float64 and have to be finite, and others, such
    as integer arrays and None, stay as they are. order: 1 or 2; with `vjp` only 1 can be checked. seed: of the incoming
    gradients, which are drawn: signed, and of other sizes than 1. settings: keyword arguments of f, and of `vjp`.

    The report is true where every property holds. Where rounding leaves too few digits to tell, or at a kink, it says
    "unresolved", and is false. Its last line says what was not tried.

    Raises `TypeError` for arguments of other kinds, and where f gives neither Tensors nor, with `vjp`, numbers;
    `ValueError` where no input is of floats, or one is not finite, the order is neither 1 nor 2, or f is not a function of
    its inputs alone, such as a layer that drops out.

    >>> import tinyreg as tr
    >>> print(tr.testing.check_gradients(tr.tanh, [0.5, -1.5], order=1))
    tanh(float64[2] [0.5, -1.5]): pass
      one gradient each        pass
      numeric first order      pass   11 digits
      linearity                pass
      purity                   pass
      fan-out                  pass
      layouts                  pass
      float32 against float64  pass
      repeated calls           pass
      own gradients            pass
      fresh memory             pass
      not tried: other points, sizes, broadcasting, contexts, threads, higher derivatives, other backends
    >>> report = tr.testing.check_gradients(tr.tanh, [0.5, -1.5], thorough=True)
    >>> print(report)  # doctest: +ELLIPSIS
    tanh(float64[2] [0.5, -1.5], and 25 calls like it): pass
    ...
      not tried: points far from the given one, other backends
    """
    if not callable(f):
        raise TypeError(f"check_gradients: got {f!r:.80} as f, expected a function")
    thorough = flag("check_gradients", "thorough", thorough)
    seed = integer("check_gradients", "seed", seed, least=0)
    if integer("check_gradients", "order", order, expected="1 or 2") not in (1, 2):
        raise ValueError(f"check_gradients: got order={order}, expected 1 or 2")
    call = Call(tuple(_as_argument(value) for value in inputs), settings)
    if not call.differentiable():
        shown = ", ".join(map(described, call.arrays)) or "no inputs"
        raise ValueError(f"check_gradients: got {shown:.200}, expected at least one of floats, such as 1.0 in place of 1")
    case = Subject(f, st.nothing(), order=1 if vjp else order, vjp=vjp, scales=lambda call: _scales(case, call))
    _check_repeatable(case, call)

    def tried(call: Call, seed: int) -> Trial:
        return Trial(case, call, seed, explaining=not thorough, again=_again(case, call, seed, thorough))

    asked = [which for which in (OF_ANY_CALL if thorough else ANYWHERE) if which.applies(case)]
    answers: dict[Property, list[Answer]] = {}
    for which in asked:
        answers[which] = [_answer(which, tried(call, seed))]
        if which.key in _FOUNDATIONS and isinstance(answers[which][0], Failure):
            break
    points = list(map(described, call.arrays))
    if thorough:
        points.append(f"and {_ask_nearby(case, call, answers, tried)} calls like it")
    outcomes = [_outcome(which, found) for which, found in answers.items()]
    untried = _untried(case, thorough)
    for i, one in enumerate(outcomes):
        if one.verdict is Verdict.FAIL and one.key in _FOUNDATIONS:
            outcomes, untried = outcomes[: i + 1], f"what rests on {one.name}, {untried}"
            break
    return Report(case.name, tuple(points), tuple(outcomes), untried)


def _again(case: Subject, call: Call, seed: int, thorough: bool) -> str:
    """Give the line of Python that checks a call again."""
    given = [*map(literal, call.arrays), *(f"{name}={literal(value)}" for name, value in call.settings.items())]
    shown = ", ".join([case.name if case.name.isidentifier() else "f", *given, f"order={case.order}"])
    more = ", vjp=vjp" * bool(case.vjp) + f", seed={seed}" + ", thorough=True" * thorough
    return f"tr.testing.check_gradients({shown}{more})"


def _untried(case: Subject, thorough: bool) -> str:
    """Say what a check says nothing about."""
    points = "points far from the given one" if thorough else "other points, sizes, broadcasting, contexts, threads"
    higher = ["higher derivatives"] if case.order == 1 else [] if thorough else ["the third derivative"]
    return ", ".join([points, *higher, "other backends"])


def _ask_nearby(
    case: Subject, call: Call, answers: Mapping[Property, list[Answer]], tried: Callable[[Call, int], Trial]
) -> int:
    """Ask properties of calls like the given one, as far as the function takes them; give how many it took."""
    taken = 0

    def accepts(call: Call) -> bool:
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = run(case, call, case.wanted(call))
                return bool(found.outputs) and all(np.all(np.isfinite(y)) for y in found.outputs)
        except Exception:
            return False

    def ask(call: Call, seed: int) -> None:
        nonlocal taken
        if accepts(call):
            taken += 1
            for which, found in answers.items():
                found.append(_answer(which, tried(call, seed)))

    each_call(dataclasses.replace(case, calls=calls_near(call, accepts)), "thorough", ask)
    return taken


def _check_repeatable(case: Subject, call: Call) -> None:
    """Refuse f unless it gives arrays, and the same twice: a random one has no gradient to compare."""
    once, again = (run(case, call, []) for _ in range(2))
    _check_results(case, once)
    first, second = ([np.array(r) for r in one.results] for one in (once, again))
    for one, other in zip(first, second, strict=True):
        if not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
            raise ValueError(
                f"check_gradients: got {short(one)} from {case.name} and then {short(other)} for the same inputs, expected "
                "a function of its inputs alone; put layers out of training with eval(), or seed a generator inside f"
            )


def _check_results(case: Subject, once: Run) -> None:
    if isinstance(once, OpRun):
        expected = "a Tensor, or a tuple or list of them; for a function of arrays, pass its vjp"
        strange = [r for r in once.tensors if not isinstance(r, Tensor | np.ndarray | np.generic | int | float | None)]
        if not any(isinstance(r, Tensor) for r in once.tensors):
            strange = once.tensors
    else:
        expected = "numbers or arrays of numbers, or a tuple or list of them"
        strange = [r for r in once.results if r.dtype.kind not in "biuf"]
    if strange or not once.results:
        shown = f"{strange[0]!r:.80}" if strange else "nothing"
        raise TypeError(f"check_gradients: got {shown} from {case.name}, expected {expected}")


def _answer(which: Property, trial: Trial) -> Answer:
    """Ask one property of one trial."""
    try:
        return which.check(trial)
    except Failure as failure:
        return failure


def _outcome(which: Property, answers: Sequence[Answer]) -> Outcome:
    """Give the verdict on one property: the plainest failure, and the digits of the least exact comparison."""
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    if failures:
        plainest = min(failures, key=lambda failure: failure.trial.x.size or math.inf)
        plainest.trial.explaining = True
        again = _answer(which, plainest.trial)
        return Outcome(which.key, which.name, Verdict.FAIL, text=str(again if isinstance(again, Failure) else plainest))
    findings = [finding for answer in answers if not isinstance(answer, Failure) for finding in answer]
    if not findings:
        return Outcome(which.key, which.name, Verdict.PASS)
    open_ = [finding for finding in findings if finding.verdict is Verdict.UNRESOLVED]
    few = len(answers) > 1 and len(open_) <= (1 - RESOLVED) * len(findings)  # as of the calls of a case
    if open_ and not few:
        return Outcome(which.key, which.name, Verdict.UNRESOLVED, _least(findings), open_[0].note)
    return Outcome(which.key, which.name, Verdict.PASS, _least([one for one in findings if one.verdict is Verdict.PASS]))


def _least(findings: Sequence[Finding]) -> float:
    return min(finding.digits for finding in findings)


def _as_argument(value: Any) -> Any:
    """Give an input as float64 where it is of floats; a Python integer, a truth value or None as it is."""
    if value is None or type(value) in (bool, int):
        return value
    try:
        array = value.numpy() if isinstance(value, Tensor) else np.array(value)
    except ValueError as error:  # a list of lists that are not alike
        raise ValueError(f"check_gradients: got {value!r:.80} as an input, expected an array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"check_gradients: got {value!r:.80} as an input, expected a Tensor, an array, a list or a number; for "
            "anything else, check a function that has it already: lambda x: f(x, ...)"
        )
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        raise ValueError(
            f"check_gradients: got {described(array)} as an input, expected finite numbers; if it has no "
            "gradient, such as a mask, check a function that has it already: lambda x: f(x, ...)"
        )
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _scales(case: Subject, call: Call) -> list[Any]:
    """Distances to try in turn, since nothing is known of where the function bends: 1, and shares of each element."""
    elements = np.concatenate([np.abs(np.ravel(call.arrays[i])) for i in case.wanted(call)])
    sizes = np.where(elements == 0, np.max(elements, initial=0.0) or 1.0, elements)
    return [np.maximum(sizes, 1.0), sizes, 1e-3 * sizes, 1e-6 * sizes]
