"""A captured step: recorded twice, compared, and then replayed as long as nothing that it rests on has changed."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from .. import random
from ..arguments import flag
from ..callers import warn_caller
from ..core.backend import current, described, get
from ..core.tape import explainer, is_recording, observed, watch
from ..core.tensor import Tensor
from ..creation import get_default_dtype
from ..memory import give_back
from ..safety import switched_off
from ..structure import leaves, mapped
from ..switches import Switch
from ..symbols import tracing
from .executor import Executor
from .guards import Variant, fitting
from .native import NativeExecutor, NativeProgram, missing
from .program import Program
from .recording import numpy, pointer
from .refusal import CaptureError, ChangedError, WarnedError, cause
from .state import Walk, check_backend, varying
from .tracing import Trace, difference, signature_of, trace

P = ParamSpec("P")
R = TypeVar("R")
CHANGED: Any = object()
LOUD = frozenset({"raise", "call", "print", "log"})
"""How NumPy may treat overflow and the like, where a replay would do it at another time."""
OFTEN = 8
"""So often machine code may leave a call to the step itself before NumPy replays the program."""
MOST = 8
"""How many programs a captured step may have."""
_calling = threading.RLock()


class Captured(Generic[P, R]):
    """A step that is replayed as a program; `capture` makes it. Called as the step is."""

    def __init__(self, step: Callable[P, R], keep_grads: bool, executor: str | None) -> None:
        functools.update_wrapper(self, step)
        self._wanted = executor
        self._captured, self._keep_grads = step, keep_grads
        self._called: dict[Any, list[Any]] = {}  # the kinds of calls that have run, and what the state was like after
        self._last: Any = None  # the walk after the last call that ran eagerly, until there is a program
        self._traces: list[tuple[Any, Trace]] = []
        self._variants: list[Variant] = []
        self._names: set[str] = set()
        self._eager: list[tuple[Any, Any, str]] = []  # what is not captured, and why
        self._name: str = ""  # in a class

    @property
    def program(self) -> Program:
        """The program that was made or replayed last. Raises `RuntimeError` before there is one: it takes three calls."""
        if not self._variants:
            reason = self._eager[-1][2] if self._eager else ""
            raise RuntimeError(
                "capture: there is no program yet; call the step three times first"
                + (f". It runs eagerly: {reason}" if reason else "")
            )
        return self._variants[-1].program

    @property
    def replays(self) -> int:
        """How many calls were replayed."""
        return sum(variant.replays for variant in self._variants)

    def __repr__(self) -> str:
        return f"<captured {getattr(self._captured, '__qualname__', repr(self._captured))}, {len(self._variants)} programs>"

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __reduce__(self) -> Any:
        if self._name and inspect.ismethod(self._captured):
            return getattr, (self._captured.__self__, self._name)  # which is captured anew there
        raise TypeError("capture: a captured step cannot be pickled or copied; pickle the step, and capture it again")

    @overload
    def __get__(self, instance: None, owner: Any) -> Captured[P, R]: ...
    @overload
    def __get__(self, instance: Any, owner: Any) -> Callable[..., R]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """A captured method of its own for each object, which holds it, as a function in a class gives a method."""
        if instance is None:
            return self
        held = getattr(instance, "__dict__", {})
        known = held.get(self._name)
        if known is None or (isinstance(known, Captured) and known._is_of_another(instance)):  # as in a copy
            known = held[self._name] = Captured(
                cast("Any", self._captured).__get__(instance, owner), self._keep_grads, self._wanted
            )
            known._name = self._name
        return known

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)[self._name] = value

    def _is_of_another(self, instance: Any) -> bool:
        """Whether it is a method of an object other than this."""
        return self._name != "" and getattr(self._captured, "__self__", instance) is not instance

    # ---- a call

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Replay the step, or run it."""
        if tracing.get() is not None:  # inside of another, which records this too
            return self._plain(args, kwargs)  # type: ignore[no-any-return]
        if watch.get() is not None:
            raise CaptureError("capture: a captured step is called inside of checkpoint; call the step itself there")
        with _calling:
            if explainer.get() is not None or observed.get() is not None or _unusual(errors := numpy.geterr()):
                return self._plain(args, kwargs)  # type: ignore[no-any-return]
            arrays: list[Any] = []
            objects: list[Any] = []
            given = _kind(args, arrays, objects), _kind(kwargs, arrays, objects) if kwargs else ()
            kind = *given, _together(arrays), _context(errors)
            for variant in self._variants[::-1]:
                if variant.kind == kind and variant.unchanged():
                    return self._replayed(variant, arrays, args, kwargs)  # type: ignore[no-any-return]
            return self._walked(kind, arrays, (self._captured, *objects), args, kwargs)  # type: ignore[no-any-return]

    def _plain(self, args: Any, kwargs: Any) -> Any:
        """Run the step; what it returns is cut off from the tape, as always."""
        outcome = self._captured(*args, **kwargs)
        return mapped(lambda leaf: leaf.detach() if _has_tape(leaf) else leaf, outcome)

    def _walked(self, kind: Any, arrays: list[Any], roots: Any, args: Any, kwargs: Any) -> Any:
        """What to do where no program fits at first sight."""
        if kind not in self._called:
            if len(self._called) >= MOST:
                raise CaptureError(
                    f"capture: {MOST} kinds of calls have come, and now one with {_shown(args, kwargs)}, where shapes, "
                    "dtypes or numbers differ; give all batches one shape, and pass numbers that vary as arrays"
                )
            for array in arrays:
                check_backend(array)
            return self._settling(kind, roots, args, kwargs)
        walk = Walk(roots, grads=self._keep_grads, names=self._names)
        variant = fitting(self._variants, kind, walk)
        if variant is not None:
            variant.adopt(walk)
            return self._replayed(variant, arrays, args, kwargs)
        signature = signature_of(walk)
        if any(k == kind and s == signature for k, s, _ in self._eager):
            return self._plain(args, kwargs)
        stable = [stays for known, stays in self._called[kind] if known == signature]
        if not stable:
            self._check_count(kind, walk)
            return self._settling(kind, roots, args, kwargs)
        if len(self._variants) >= MOST:
            raise CaptureError(
                f"capture: {MOST} programs were made, and what the step rests on differs once more; hold fixed what varies "
                "between calls, or call the step itself"
            )
        return self._recorded(kind, walk, any(stable), args, kwargs)

    def _settling(self, kind: Any, roots: Any, args: Any, kwargs: Any) -> Any:
        """Run a step eagerly, so that all that it rests on is made, and remember what that is like."""
        before = signature_of(Walk(roots, grads=self._keep_grads, names=self._names))
        made = self._plain(args, kwargs)
        self._last = Walk(roots, grads=self._keep_grads, names=self._names)
        after = signature_of(self._last)
        self._called.setdefault(kind, []).extend([(after, True), (before, before == after)])
        return made

    def _check_count(self, kind: Any, walk: Walk) -> None:
        """Refuse a step that rests on what is never the same twice."""
        if len(self._called[kind]) > 4 * MOST:
            what = f", at last {varying(self._last, walk)}" if self._last else ""
            raise CaptureError(
                f"capture: what the step rests on differs at every call{what}; pass it as an argument, hold it fixed "
                "between calls, or call the step itself"
            )

    def _replayed(self, variant: Variant, arrays: list[Any], args: Any, kwargs: Any) -> Any:
        """Replay a program; where a check comes out otherwise or a call fails, run the step, whose error counts then."""
        failed: BaseException | None = None
        try:
            result = variant.replay(arrays)
        except ChangedError as error:
            result, failed = CHANGED, error.__cause__
            variant.warned += isinstance(failed, WarnedError)
        if result is CHANGED:
            if variant.warned > max(OFTEN, variant.replays):
                self._variants[self._variants.index(variant)] = variant.by_numpy()
            outcome = self._plain(args, kwargs)
            if failed is not None and not isinstance(failed, ChangedError | WarnedError | MemoryError):
                warn_caller(
                    f"capture: a replay ended with {type(failed).__name__}: {failed}; the step itself did not, and has run "
                    "eagerly. Where it catches that error, this is as it should be, and otherwise a fault of capture"
                )
            return outcome
        if variant is not self._variants[-1]:
            self._variants = [*(v for v in self._variants if v is not variant), variant]
        return result

    def _recorded(self, kind: Any, walk: Walk, stable: bool, args: Any, kwargs: Any) -> Any:
        """Run the step and record it; where there are two recordings that agree, make the program."""
        try:
            done = trace(self._captured, walk, args, kwargs, self._keep_grads)
        except MemoryError:
            raise
        except Exception as error:
            refused = cause(error)
            if refused is not None and stable:
                raise refused from None
            return self._instead(kind, walk, refused or error, args, kwargs, quiet=not stable)
        before = next((t for k, t in self._traces if (k, t.signature, t.had) == (kind, done.signature, done.had)), None)
        self._traces = [(k, t) for k, t in self._traces[-MOST:] if t is not before]
        if before is None:
            self._traces.append((kind, done))
            for storage in done.recording.storages:
                storage.let_go()  # all that it is compared by are places
            return done.let_go()
        differs = difference(before, done)
        if differs:
            self._traces.append((kind, done))
            raise CaptureError(
                f"capture: two recordings of the step differ, {differs}. What varies from call to call must be an "
                "argument, an array of the state, or drawn from a tr.Generator; the step itself has run"
            )
        executor = self._executor(done)
        executor.program.let_go()
        variant = Variant(kind, executor.program, executor, self._keep_grads)
        after = Walk(walk.holders[0].thing, grads=self._keep_grads, names=self._names)
        if variant.fits(after):
            variant.adopt(after)
        self._variants.append(variant)
        self._last, before = None, None
        outcome = done.let_go()
        give_back()  # two recordings hold all that a step computes
        return outcome

    def _executor(self, done: Trace) -> Executor:
        """What runs the program of a recording."""
        if (self._wanted or best()) == "native":
            program = NativeProgram(done)
            try:
                return NativeExecutor(program)
            except RuntimeError as error:  # of LLVM
                warn_caller(f"capture: the step is replayed by NumPy, since it cannot be compiled: {error}")
        return Executor(Program(done))

    def _instead(self, kind: Any, walk: Walk, error: Exception, args: Any, kwargs: Any, *, quiet: bool) -> Any:
        """Run a step eagerly whose recording failed: then an error is the step's own, or it can only run eagerly."""
        outcome = self._plain(args, kwargs)
        why = f"{type(error).__name__}: {error}"
        self._eager.append((kind, signature_of(walk), why))
        if not quiet:  # as of a state that does not last
            warn_caller(f"capture: the step runs eagerly, since its recording fails: {why}")
        return outcome


@overload
def capture(step: Callable[P, R], /, *, keep_grads: bool = False, executor: str | None = None) -> Captured[P, R]: ...
@overload
def capture(*, keep_grads: bool = False, executor: str | None = None) -> Callable[[Callable[P, R]], Captured[P, R]]: ...
def capture(step: Any = None, /, *, keep_grads: bool = False, executor: str | None = None) -> Any:
    """Record a training step, and replay it as a program: the same numbers, bit for bit, without Python for each op.

    step: a function or a method of arrays, tensors, numbers and objects that runs forward, backward and the optimizer's
    step, or any part of them. Its first call runs as always, the next two are recorded, and from the fourth on it is
    replayed: parameters, momentum, running statistics, learning rates and random numbers follow as ever. What it returns
    are new arrays, cut off from the tape. `.grad` is None after a replay, unless `keep_grads` is True. executor: "numpy",
    or "native", which makes machine code of all between the calls that stay NumPy's; None takes that where llvmlite is
    installed and works.

    Each shape and dtype of the arguments, and each value of a number among them, is a program of its own, 8 at most. So is
    each state of what the step rests on: `train()` and `eval()`, frozen layers, other modules or settings. What a replay
    cannot see is not repeated: `print`, a list that the step does not name. Read `step.program`.

    Raises `TypeError` for what is no function, `ValueError` for another executor, `ImportError` for "native" without
    llvmlite, and, when called, `CaptureError` for a step that cannot be replayed faithfully, with the line that says why:
    nothing has changed then, unless it says so.

    >>> import tinyreg as tr
    >>> w = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = tr.optim.SGD([w], lr=0.25)
    >>> @tr.capture
    ... def step(x):
    ...     optimizer.zero_grad()
    ...     loss = (w * x).sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> [step(tr.ones(2)).item() for _ in range(5)]
    [3.0, 2.5, 2.0, 1.5, 1.0]
    >>> w
    tensor([-0.25,  0.75], requires_grad=True)
    """
    if executor not in (None, "numpy", "native"):
        raise ValueError(f"capture: got executor={executor!r}, expected None, 'numpy' or 'native'")
    if executor == "native" and (why := missing()):
        raise ImportError(f"capture: executor='native' needs llvmlite ({why}); run: pip install 'tinyreg[native]'")
    keep_grads = flag("capture", "keep_grads", keep_grads)
    if step is None:
        return functools.partial(capture, keep_grads=keep_grads, executor=executor)
    function = getattr(step, "forward", step)
    kinds = inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isclass
    if not callable(step) or any(is_kind(function) or is_kind(step) for is_kind in kinds):
        raise TypeError(
            f"capture: got {step!r:.80}, expected a function or a method, and no class, generator or coroutine function"
        )
    same = isinstance(step, Captured) and (step._keep_grads, step._wanted) == (keep_grads, executor)
    return step if same else Captured(step, keep_grads, executor)


def best() -> str:
    """The executor that is taken where none is asked for."""
    return "numpy" if missing() else "native"


# ---- what kind of call it is


def _shown(args: Any, kwargs: Any) -> str:
    """The arguments of a call in an error."""
    return ", ".join(f"{described(leaf):.40}" for leaf in leaves((args, kwargs))) or "no arguments"


def _kind(value: Any, arrays: list[Any], objects: list[Any]) -> Any:
    """What calls have in common that may share a program; gathers the arrays and the objects among the arguments."""
    if isinstance(value, Tensor) and value._node is None:
        array = value._array
        arrays.append(array)
        return ("tensor", type(array), array.dtype, array.shape, array.strides)
    if type(value) is numpy.ndarray:
        arrays.append(value)
        return ("array", value.dtype, value.shape, value.strides)
    if type(value) in (tuple, list):
        return (type(value), *[_kind(each, arrays, objects) for each in value])
    if type(value) is dict:
        return (dict, *[(k, _kind(v, arrays, objects)) for k, v in value.items()])
    if value is None or isinstance(value, int | float | str | numpy.generic):
        return type(value), repr(value)
    objects.append(value)
    return "object", id(value)


def _together(arrays: list[Any]) -> Any:
    """Which matrices among the arguments begin where another does: the product of one with itself has other bits."""
    matrices = [array for array in arrays if array.ndim > 1]
    if len(matrices) < 2:
        return ()
    starts = [pointer(array) for array in matrices]
    return tuple(map(starts.index, starts))


def _context(errors: dict[str, str]) -> Any:
    """The switches that decide what a step computes, and with which warnings."""
    replayed = [frozenset(v.items()) if isinstance(v := s.get(), dict) else v for s in Switch.REPLAYED]
    born = get_default_dtype(), id(random.default_generator), get("numpy").block
    return is_recording(), switched_off(), *replayed, *born, *errors.values()


def _unusual(errors: dict[str, str]) -> bool:
    """Whether new data is born elsewhere than on NumPy, or arithmetic raises."""
    return current().name != "numpy" or not LOUD.isdisjoint(errors.values())


def _has_tape(value: Any) -> bool:
    return isinstance(value, Tensor) and value._node is not None and not value.is_leaf
