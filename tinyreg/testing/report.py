"""Gradients of one function at one point, checked and reported."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np

from ..arguments import integer
from ..core.tensor import Tensor
from ..nn.inputs import promoting
from .differences import Verdict
from .failure import Failure, described, literal, short
from .properties import ANYWHERE
from .property import Property
from .run import OpRun, Run, run
from .subject import Call, Subject
from .trial import Trial


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


@dataclass(frozen=True)
class Report:
    """What was checked and how it came out: true where every property holds and could be resolved."""

    name: str
    inputs: tuple[str, ...]
    checked: tuple[Outcome, ...]

    def __bool__(self) -> bool:
        return all(one.verdict is Verdict.PASS for one in self.checked)

    @property
    def failures(self) -> tuple[str, ...]:
        """The message of each property that does not hold."""
        return tuple(one.text for one in self.checked if one.verdict is Verdict.FAIL)

    def __str__(self) -> str:
        verdicts = {one.verdict for one in self.checked}
        worst = next(v for v in (Verdict.FAIL, Verdict.UNRESOLVED, Verdict.PASS) if v in verdicts)
        head = f"{self.name}({', '.join(self.inputs)}): {worst.value}"
        bodies = {text.partition("\n")[2]: text for text in reversed(self.failures)}  # what only one says is said once
        return "\n".join([head, *(f"  {one}" for one in self.checked), *reversed(bodies.values())])


@promoting(True)  # a network of float32 is checked in float64
def check_gradients(
    f: Callable[..., Any],
    *inputs: Any,
    order: int = 2,
    vjp: Callable[..., Any] | None = None,
    seed: int = 0,
    **settings: Any,
) -> Report:
    """Check the gradients of f at `inputs`: against differences, and what else every gradient owes to its callers.

    f: a function of Tensors that returns one, or several. With `vjp`, a function of NumPy arrays, of any framework or
    none: `vjp(g, *inputs)` gives the gradient of the one float input, or a tuple with one (or None) for each input. Arrays
    come in any memory layout, some of them read-only: hand copies to a framework that takes no such ones.
    inputs: Tensors, arrays, lists or numbers; those of floats are taken as float64 and have to be finite, and others, such
    as integer arrays and None, stay as they are. order: 1 or 2; with `vjp` only 1 can be checked. seed: of the incoming
    gradients, which are drawn: signed, and of other sizes than 1. settings: keyword arguments of f, and of `vjp`.

    The report is true where every property holds. Where rounding leaves too few digits to tell, or at a kink, it says
    "unresolved", and is false.

    Raises `TypeError` for inputs of other kinds, and where f gives neither Tensors nor, with `vjp`, numbers; `ValueError`
    where no input is of floats, or one is not finite, the order is neither 1 nor 2, or f is not a function of its inputs
    alone, such as a layer that drops out.

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
    """
    if not callable(f):
        raise TypeError(f"check_gradients: got {f!r:.80} as f, expected a function")
    seed = integer("check_gradients", "seed", seed, least=0)
    if integer("check_gradients", "order", order, expected="1 or 2") not in (1, 2):
        raise ValueError(f"check_gradients: got order={order}, expected 1 or 2")
    call = Call(tuple(_as_argument(value) for value in inputs), settings)
    if not call.differentiable():
        shown = ", ".join(map(described, call.arrays)) or "no inputs"
        raise ValueError(f"check_gradients: got {shown:.200}, expected at least one of floats, such as 1.0 in place of 1")
    case = Subject(f, st.nothing(), order=1 if vjp else order, vjp=vjp, scales=lambda call: _scales(case, call))
    _check_repeatable(case, call)
    given = [*map(literal, call.arrays), *(f"{name}={literal(value)}" for name, value in settings.items())]
    shown = ", ".join([case.name if case.name.isidentifier() else "f", *given, f"order={order}"])
    again = f"tr.testing.check_gradients({shown}{', vjp=vjp' if vjp else ''}, seed={seed})"
    outcomes = (_outcome(which, Trial(case, call, seed, again=again)) for which in ANYWHERE if which.applies(case))
    return Report(case.name, tuple(map(described, call.arrays)), tuple(outcomes))


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


def _outcome(which: Property, trial: Trial) -> Outcome:
    """Give the verdict on one property: the worst of its comparisons, and the digits of the least exact one."""
    try:
        findings = which.check(trial)
    except Failure as failure:
        return Outcome(which.key, which.name, Verdict.FAIL, text=str(failure))
    if not findings:
        return Outcome(which.key, which.name, Verdict.PASS)
    open_ = [finding for finding in findings if finding.verdict is Verdict.UNRESOLVED]
    worst, note = (Verdict.UNRESOLVED, open_[0].note) if open_ else (Verdict.PASS, "")
    return Outcome(which.key, which.name, worst, min(finding.digits for finding in findings), note)


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
