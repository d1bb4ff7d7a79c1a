"""What an op owes to its callers, in the order in which it is asked.

One gradient for each argument (P2), nothing changed or shared (P5), sums where a tensor is used twice (P6), any memory
layout (P7), and no state between two calls (P9).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.backend import home
from ..core.tape import walk
from ..core.tensor import Tensor
from .agreement import agree, cancelled, largest, pulled_uncast
from .differences import Verdict, jittered
from .failure import short
from .layouts import contiguous, relaid
from .property import BrokenError
from .run import Floats, OpRun, as_list, node, parted
from .subject import Array, Call, locked
from .trial import Trial, draw_incoming

SUBSETS = 15  # of arguments that want a gradient, at most


# ---- one gradient each -----------------------------------------------------------------------------------------------


def gradients(trial: Trial) -> None:
    """Every differentiable argument gets a gradient of its shape, dtype and backend, whichever others want one too."""
    g = trial.incoming()
    full = dict(zip(trial.wanted, pulled_uncast(trial.run(), g), strict=True))
    subsets = itertools.chain(*(itertools.combinations(trial.wanted, n) for n in range(1, len(trial.wanted) + 1)))
    for subset in itertools.islice(subsets, SUBSETS):
        partial = trial.run(wanted=subset)
        for i, got in zip(subset, partial.pull(trial.reaching(partial, g)), strict=True):
            _check_kind(trial, i, got)
            if not np.array_equal(got, full[i], equal_nan=True):
                raise BrokenError(
                    f"got {short(got)} where {', '.join(trial.case.argument(k) for k in subset)} want a gradient, and "
                    f"{short(full[i])} where all do",
                    argument=trial.case.argument(i),
                )


def _check_kind(trial: Trial, i: int, got: Any) -> None:
    leaf, argument = trial.call.arrays[i], trial.case.argument(i)
    if got is None:
        raise BrokenError("no gradient arrived", argument=argument)
    if (got.shape, got.dtype) != (leaf.shape, leaf.dtype) or home(got) is not home(leaf):
        raise BrokenError(
            f"got a gradient of {got.dtype}{list(got.shape)}, expected {leaf.dtype}{list(leaf.shape)}, as its argument",
            argument=argument,
        )


# ---- purity ----------------------------------------------------------------------------------------------------------


def purity(trial: Trial) -> None:
    """Inputs and incoming gradients may be read-only and stay as they are; a second backward gives the same bits."""
    g = [locked(part) for part in trial.incoming()]
    run = trial.run(trial.call.locked())
    once = [_copied(part) for part in run.pull(g)]
    twice = run.pull(g)
    for i, first, second in zip(trial.wanted, once, twice, strict=True):
        if first is not None and not np.array_equal(first, second, equal_nan=True):
            raise BrokenError(
                f"a second backward gave {short(second)}, the first {short(first)}", argument=trial.case.argument(i)
            )
    if isinstance(run, OpRun):
        _check_memory(trial, run, g)
    _check_unlocked(trial, g)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _check_unlocked(trial: Trial, g: Sequence[Array]) -> None:
    """Arrays that can be written to are not changed either."""
    arrays, given = [_copied(a) for a in trial.call.arrays], [_copied(part) for part in g]
    trial.run(Call(tuple(arrays), trial.call.settings)).pull(given)
    for i, (before, after) in enumerate(zip(trial.call.arrays, arrays, strict=True)):
        if before is not None and not np.array_equal(before, after):
            raise BrokenError(f"the argument was changed to {short(after)}", argument=trial.case.argument(i))
    for before, after in zip(g, given, strict=True):
        if not np.array_equal(before, after):
            raise BrokenError(f"the incoming gradient {short(before)} was changed to {short(after)}")


def _check_memory(trial: Trial, run: OpRun, g: Sequence[Array]) -> None:
    """What a leaf gets as `.grad` shares memory with nothing."""
    for y, part in zip(run.ends, g, strict=True):
        y.backward(part, retain_graph=True)
    others = [a for a in (*trial.call.arrays, *g, *run.results) if isinstance(a, np.ndarray)]
    grads = [leaf.grad.data for leaf in run.leaves if leaf.grad is not None]
    for i, grad in enumerate(grads):
        if any(np.shares_memory(grad, other) for other in (*others, *grads[:i])):
            argument = trial.case.argument(trial.wanted[i])
            raise BrokenError("its .grad shares memory with another array", argument=argument)


# ---- fan-out ---------------------------------------------------------------------------------------------------------


def fan_out(trial: Trial) -> None:
    """Where a tensor is used more than once its contributions add up: in two slots, in three calls, behind a diamond."""
    first, second = trial.incoming(6), trial.incoming(7)
    alone, other, left = trial.run().pull(first), trial.run().pull(second), cancelled(*first, *second)
    for i, p, q, threefold, diamond in zip(trial.wanted, alone, other, *_shared(trial), strict=True):
        if p is not None:
            size = np.max(np.abs(p) + np.abs(q), initial=0.0)
            agree(threefold, 3 * p, 1e-12, "used in three calls", trial.case.argument(i), size, left)
            agree(diamond, p + q, 1e-12, "used at both sides of a diamond", trial.case.argument(i), size, left)
    pairs = [
        (i, j) for i, j in itertools.combinations(trial.wanted, 2) if _alike(trial.call.arrays[i], trial.call.arrays[j])
    ]
    for i, j in pairs[:3]:
        _check_two_slots(trial, i, j)


def _shared(trial: Trial) -> tuple[list[Any], list[Any]]:
    """Give the gradients of leaves that three calls share, and of leaves under two calls with an op between."""
    first = OpRun(trial.case, trial.call, trial.wanted)
    settings = trial.call.settings

    def ends(inputs: Sequence[Any]) -> list[Any]:
        return [t for t in as_list(trial.case.op(*inputs, **settings)) if isinstance(t, Tensor) and t.requires_grad]

    def pulled(*groups: tuple[list[Any], Sequence[Array]]) -> list[Any]:
        roots = [(node(end), part) for group, g in groups for end, part in zip(group, g, strict=True)]
        table = walk(roots)
        return [table.get(node(leaf)) for leaf in first.leaves]

    a, b = trial.incoming(6), trial.incoming(7)
    threefold = pulled(*((ends(first.inputs), a) for _ in range(3)))
    above = [x * 1.0 if isinstance(x, Tensor) and x.requires_grad else x for x in first.inputs]
    return threefold, pulled((ends(above), a), (ends(above), b))


def _alike(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype


def _check_two_slots(trial: Trial, i: int, j: int) -> None:
    """One tensor in two slots gets the sum of what two equal tensors get."""
    arrays = list(trial.call.arrays)
    arrays[j] = arrays[i].copy()
    call = Call(tuple(arrays), trial.call.settings)
    with np.errstate(all="ignore"):
        try:
            apart = OpRun(trial.case, call, [i, j])
        except (ValueError, np.linalg.LinAlgError):
            return  # the values of one slot are not in the domain of the other
        g = trial.reaching(apart, trial.incoming(6))
        p, q = apart.pull(g)
        inputs = list(apart.inputs)
        inputs[j] = inputs[i]
        results = as_list(trial.case.op(*inputs, **trial.call.settings))
        ends = [t for t in results if isinstance(t, Tensor) and t.requires_grad]
        together = _pull(ends, g, inputs[i])
    if p is not None and q is not None and np.all(np.isfinite(p + q)):
        size = np.max(np.abs(p) + np.abs(q), initial=0.0)
        what = f"used as {trial.case.argument(j)} too"
        agree(together, p + q, 1e-12, what, trial.case.argument(i), size, cancelled(*g))


def _pull(ends: Sequence[Tensor], g: Sequence[Array], leaf: Tensor) -> Any:
    return walk([(node(end), part) for end, part in zip(ends, g, strict=True)]).get(node(leaf))


# ---- layouts ---------------------------------------------------------------------------------------------------------


DRAWN = 2  # layouts of every input and incoming gradient, for each call


def layouts(trial: Trial) -> None:
    """Inputs and incoming gradients in any memory layout give the values and derivatives of contiguous ones."""
    rng = trial.rng(9)
    w = parted(draw_incoming(rng, trial.x.size), trial.leaves)
    for k in range(DRAWN):
        _check_layouts(trial, rng, w if k == 0 and trial.case.order > 1 else [])


def _check_layouts(trial: Trial, rng: np.random.Generator, w: list[Array]) -> None:
    """Compare derivatives for one layout of everything with those for contiguous arrays of the same elements.

    A step of 0 changes elements: arguments stay as they are where the function is not there then, or not smooth.
    w: what the second derivative is taken with, if it is compared too.
    """
    arrays, in_words = zip(*(relaid(rng, a) for a in trial.call.arrays), strict=True)
    g, g_in_words = zip(*(relaid(rng, part) for part in trial.incoming(9)), strict=True)
    w = [relaid(rng, part)[0] for part in w]
    moved = Trial(trial.case, Call(tuple(map(contiguous, arrays)), trial.call.settings), trial.seed)
    same_g, same_w = ([contiguous(part) for part in parts] for parts in (g, w))
    if not _is_there(moved):
        return
    what = f"for arguments in {'; '.join(in_words)}, and incoming gradients in {'; '.join(g_in_words)}"
    try:
        _compare_layouts(moved, Call(arrays, trial.call.settings), (same_g, g), (same_w, w), what)
    except (BrokenError, ValueError, np.linalg.LinAlgError):
        if all(map(_alike_in_values, arrays, trial.call.arrays)) or _settled(moved, rng):
            raise


def _compare_layouts(
    plain: Trial, call: Call, g: tuple[list[Array], Sequence[Array]], w: tuple[list[Array], list[Array]], what: str
) -> None:
    there, other, floor = plain.run(), plain.run(call), cancelled(*g[0])
    for y, z in zip(there.outputs, other.outputs, strict=True):
        agree(z, y, 1e-12, f"value {what}")
    for i, p, q in zip(plain.wanted, there.pull(g[0]), other.pull(g[1]), strict=True):
        if p is not None:
            agree(q, p, 1e-11, f"gradient {what}", plain.case.argument(i), floor=floor)
    if w[0]:
        expected = plain.second(plain.call, g[0], w[0])
        for p, q in zip(expected, plain.second(call, g[1], w[1]), strict=True):
            agree(q, p, 1e-10, f"second derivative {what}", floor=10 * floor)


def _alike_in_values(one: Any, other: Any) -> bool:
    return not isinstance(one, np.ndarray) or np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _settled(trial: Trial, rng: np.random.Generator) -> bool:
    """Whether the derivatives are there, and stay what they are when the inputs move by a few roundings."""
    nearby = trial.x, jittered(trial.x, rng)
    w = draw_incoming(rng, trial.x.size)
    derivatives = (lambda x: trial.gradient(x, trial.v), lambda x: trial.second_gradient(x, trial.v, w))
    try:
        each = [tuple(map(derivative, nearby)) for derivative in derivatives[: trial.case.order]]
    except (ValueError, np.linalg.LinAlgError):
        return False
    return all(largest(here - beside) <= 1e-9 * largest(here) for here, beside in each)


def _is_there(trial: Trial) -> bool:
    """Whether the function can be worked out at a call, and is finite."""
    with np.errstate(all="ignore"):
        try:
            return all(np.all(np.isfinite(y)) for y in trial.run().outputs)
        except (ValueError, np.linalg.LinAlgError):
            return False


# ---- two inputs of one shape -----------------------------------------------------------------------------------------


def two_inputs(trial: Trial) -> None:
    """Each of two runs with inputs of one shape gives its own gradient, in whichever order they go back."""
    second = trial.turned
    second.case = trial.case
    if not _is_there(second):
        return  # the elements in another order are outside of the domain
    # Before the runs: there is to be none between them.
    before = (second.incoming(), second.line), (trial.incoming(), trial.probe)
    first = trial.run()
    later = second.run()
    for run, g_, differences in ((later, *before[0]), (first, *before[1])):
        pulled = run.pull(g_)
        g = np.concatenate(
            [np.ravel(np.zeros(a.shape) if p is None else p) for p, a in zip(pulled, trial.leaves, strict=True)]
        )
        findings = differences.compare(functools.partial(_whatever, g))
        if any(finding.verdict is Verdict.FAIL for finding in findings):
            raise BrokenError(f"after a run with other inputs of the same shape the gradient is wrong: {short(g)}")


def _whatever(g: Floats, x: Floats) -> Floats:
    """Give a gradient that is what it is, wherever it is asked for."""
    return g
