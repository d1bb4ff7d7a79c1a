"""What derivatives are asked, in this order.

To agree with differences (P3), to be linear in the incoming gradient (P4), to agree with differences at second order too
(P10), and to be right at kinks and other special points (P11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .agreement import agree, cancelled, largest, pulled_uncast
from .diagnosis import Evidence, looks_like
from .differences import Finding, Ladder, Probe, Verdict, directions
from .failure import short
from .property import BrokenError
from .run import Floats, OpRun, Run, flat, parted
from .sides import one_sided
from .subject import Array, Call, Point
from .trial import Trial

SECOND_ENTRIES = 1  # directions along single elements at second order, where a step costs a whole backward


# ---- numeric first order ---------------------------------------------------------------------------------------------


def first_order(trial: Trial) -> list[Finding]:
    """The gradient is the limit of differences, along dense directions and along up to 16 single elements."""
    if not trial.outputs:
        raise BrokenError("no result has a gradient, though an argument wants one")
    _check_again(trial)
    findings = trial.probe.compare(lambda x: trial.gradient(x, trial.v))
    for finding in findings:
        if finding.verdict is Verdict.FAIL:
            raise _explained(trial, finding) if trial.explaining else BrokenError(*_shown(finding))
    return findings


def _check_again(trial: Trial) -> None:
    """Differences of a function that draws anew at each call would say nothing of its gradient."""
    first, second = trial.f(trial.x), trial.f(trial.x)
    if not np.array_equal(first, second, equal_nan=True):
        raise BrokenError(f"the function has other values when it is run again: {short(first)}, then {short(second)}")


SEVERAL = 2  # elements, by which a kind of mistake is told from one that gives the same number by chance


def _explained(trial: Trial, finding: Finding) -> BrokenError:
    """Say what the first wrong element is, what it should be, and what kind of mistake that looks like."""
    elements = _by_element(trial, trial.v)
    wrong = next((k for k, one in enumerate(elements) if one.verdict is Verdict.FAIL), None)
    incoming = "incoming " + ", ".join(short(part) for part in trial.incoming())
    if wrong is None:
        return BrokenError(incoming, *_shown(finding), f"along the direction {short(finding.direction)}")
    i, index = trial.place(wrong)
    place = [f"at {list(index)} of {trial.case.argument(i)}"] if index else []
    lines = (incoming, *_shown(elements[wrong]), *place)
    return BrokenError(*lines, argument=trial.case.argument(i), looks_like=_mistake(trial, i))


def _by_element(trial: Trial, v: Floats) -> list[Finding]:
    """Compare the gradient element by element, whatever the scale of each."""
    compared = trial.probe_along(np.eye(trial.x.size), v).compare(lambda x: trial.gradient(x, v))
    return [one.per(float(one.direction[k])) for k, one in enumerate(compared)]


def _mistake(trial: Trial, i: int) -> str:
    """Name the kind of mistake in the gradient of the i-th argument; of a single element, one that is the same nearby."""
    trials = [trial]
    if np.size(trial.call.arrays[i]) < SEVERAL:
        step = min(trial.case.reach, 1 / 16)
        trials += [Trial(trial.case, trial.moved(trial.x + share * step), trial.seed) for share in (0.5, -0.7)]
    return looks_like(*[_evidence(one, i) for one in trials])


def _evidence(trial: Trial, i: int) -> Evidence:
    """Collect what is known of the gradient of the i-th argument."""
    position = trial.wanted.index(i)

    def part(values: Sequence[float]) -> Array:
        return parted(np.array(values, dtype=np.float64), trial.leaves)[position]

    elements = _by_element(trial, trial.v)
    names = [trial.case.argument(j) for j in trial.wanted]
    results = {"y": trial.outputs[0]} if len(trial.outputs) == 1 else {}
    return Evidence(
        analytic=part([one.analytic for one in elements]),
        numeric=part([one.numeric for one in elements]),
        error=part([one.error for one in elements]),
        factors=dict(zip(names, trial.leaves, strict=True)) | results,
        incoming=trial.incoming(),
        numeric_for=lambda g: part([one.numeric for one in _by_element(trial, flat(g))]),
    )


def _shown(one: Finding) -> list[str]:
    line = f"analytic {one.analytic:+.9g}   numeric {one.numeric:+.9g} +- {one.error:.0e}   (tolerance {one.tolerance:.1e})"
    return [line, *([one.note] * bool(one.note))]


# ---- linearity -------------------------------------------------------------------------------------------------------


def linearity(trial: Trial) -> None:
    """A VJP is linear in the incoming gradient: -3.7 a + 1000 b gives -3.7 times that of a plus 1000 times that of b.

    Of several results the incoming gradients add up too, also where an unused result has none.
    """
    run = trial.run()
    a, b = trial.incoming(4), trial.incoming(5)
    of_a, of_b = run.pull(a), run.pull(b)
    together = run.pull([-3.7 * p + 1000.0 * q for p, q in zip(a, b, strict=True)])
    nothing = run.pull([0.0 * p for p in a])
    floor = 1000.0 * cancelled(*a, *b)
    for i, p, q, sum_, zero in zip(trial.wanted, of_a, of_b, together, nothing, strict=True):
        if p is None:
            continue
        expected = -3.7 * p + 1000.0 * q
        size = np.max(3.7 * np.abs(p) + 1000.0 * np.abs(q), initial=0.0)
        argument = trial.case.argument(i)
        if not np.all(np.abs(sum_ - expected) <= 1e-11 * size + floor):
            nearly = np.allclose(sum_, expected, rtol=1e-6, atol=0)
            narrow = "computed in float32" * (nearly and np.array_equal(sum_, sum_.astype(np.float32)))
            text = f"for -3.7 a + 1000 b: got {short(sum_)}, expected {short(expected)}"
            raise BrokenError(text, argument=argument, looks_like=narrow)
        if np.any(zero != 0):
            raise BrokenError(f"for an incoming gradient of zeros: got {short(zero)}", argument=argument)
    _check_sizes(trial, run, a, of_a)
    if isinstance(run, OpRun) and len(a) > 1:
        _check_each_result(trial, run, a, of_a)


FAR = 700  # of 1023 powers of 2


def _check_sizes(trial: Trial, run: Run, g: Sequence[Array], gradients: Sequence[Any]) -> None:
    """Gradients grow and shrink with incoming ones, by powers of 2, which do not round, as far as there are floats."""
    steepest = max((largest(p) for p in gradients if p is not None), default=0.0)
    _, exponent = np.frexp(max(steepest, 1.0))
    for power in (min(FAR, FAR + 250 - int(exponent)), -FAR):
        with np.errstate(all="ignore"):
            scaled = run.pull([np.ldexp(part, power) for part in g])
        for i, p, q in zip(trial.wanted, gradients, scaled, strict=True):
            if p is not None and np.all(np.isfinite(p)):
                text = f"2^{power} times the gradient, for 2^{power} times the incoming gradient, divided by that again"
                agree(np.ldexp(q, -power), p, 1e-11, text, trial.case.argument(i), floor=cancelled(*g))


def _check_each_result(trial: Trial, run: OpRun, g: Sequence[Array], together: Sequence[Any]) -> None:
    """What reaches an argument is the sum of what each result sends it while nobody uses the others."""
    alone = [run.pull([part if j == k else None for j, part in enumerate(g)]) for k in range(len(g))]
    for i, *sent in zip(trial.wanted, together, *alone, strict=True):
        expected, *parts = [np.zeros(()) if part is None else part for part in sent]  # None: nothing arrived
        total, size = sum(parts), np.max(sum(map(np.abs, parts)), initial=0.0)
        if not np.all(np.abs(total - expected) <= 1e-11 * size + cancelled(*g)):
            text = f"from each result alone: {short(total)} in all, from all together: {short(expected)}"
            raise BrokenError(text, argument=trial.case.argument(i))


# ---- numeric second order --------------------------------------------------------------------------------------------


def second_order(trial: Trial) -> list[Finding]:
    """The gradient, as a function of inputs and incoming gradients, has the gradient that its own tape gives."""
    n = trial.x.size
    rng = trial.rng(10)
    w = rng.integers(4, 25, n) * rng.choice([-0.125, 0.125], n)

    def again(z: Floats, w: Floats = w) -> Floats:
        return trial.second_gradient(z[:n], z[n:], w)

    z = np.concatenate([trial.x, trial.v])
    scale, *further = [np.concatenate([scale, np.ones(trial.v.size)]) for scale in trial.scales]
    along = directions(z.size, rng, SECOND_ENTRIES)
    probe = Probe(lambda z: trial.gradient(z[:n], z[n:]), z, w, along, rng, scale=scale, reach=trial.case.reach)
    findings = Ladder(probe, further).compare(again, confidence=8.0)
    for one in findings:
        if one.verdict is Verdict.FAIL:
            incoming = "incoming " + ", ".join(short(part) for part in trial.incoming())
            raise BrokenError(incoming, *_shown(one), f"along the direction {short(one.direction)} of (inputs, incoming)")
    _check_symmetry(trial, again, w, rng)
    return findings


def _check_symmetry(trial: Trial, again: Callable[..., Floats], w: Floats, rng: np.random.Generator) -> None:
    """The second derivative with respect to the inputs is symmetric."""
    other = rng.integers(4, 25, w.size) * rng.choice([-0.125, 0.125], w.size)
    z = np.concatenate([trial.x, trial.v])
    one, two = again(z, w)[: w.size] * other, again(z, other)[: w.size] * w
    # What cancels in the second derivative is as large as the first over the distance at which the function bends, and
    # where that is what is left of a cancellation itself, as large as the incoming gradient over the distance squared.
    steepest = float(np.max(np.abs(trial.gradient(trial.x, trial.v)), initial=0.0)) / np.min(trial.scales[-1], initial=1.0)
    floor = cancelled(trial.v) / float(np.min(trial.scales[0], initial=1.0)) ** 2
    if not abs(one.sum() - two.sum()) <= 1e-9 * (np.abs(one).sum() + np.abs(two).sum()) + 1e-12 * steepest + floor:
        raise BrokenError(f"the second derivative is not symmetric: {one.sum():.12g} and {two.sum():.12g}")


# ---- special points --------------------------------------------------------------------------------------------------


def special_points(trial: Trial) -> None:
    """At kinks, ties, zeros and overflows the gradient is finite, as declared, and between the one-sided derivatives."""
    run = trial.run()
    gradients = pulled_uncast(run, [np.ones_like(y) for y in run.outputs])
    point = _declared_at(trial)
    for k, (i, g) in enumerate(zip(trial.wanted, gradients, strict=True)):
        argument = trial.case.argument(i)
        g = np.zeros(trial.leaves[k].shape) if g is None else g
        if not np.all(np.isfinite(g)):
            raise BrokenError(f"the gradient is not finite: {short(g)}", argument=argument)
        if point and point.gradients is not None:
            expected = point.gradients[k]
            if expected.shape != g.shape or not np.allclose(g, expected, rtol=1e-10, atol=1e-300):
                raise BrokenError(f"gradient {short(g)}, by convention {short(expected)}", argument=argument)
    _check_negative_zeros(trial)
    _check_sides(trial)


def _check_negative_zeros(trial: Trial) -> None:
    """Where -0.0 gives the values that 0.0 gives, it gives its gradients too."""
    x = np.where(trial.x == 0, -0.0, trial.x)
    if not np.array_equal(trial.f(x), trial.f(trial.x), equal_nan=True):
        return  # the op knows them apart, such as copysign
    got, expected = trial.gradient(x, trial.v), trial.gradient(trial.x, trial.v)
    for i, p, q in zip(trial.wanted, parted(got, trial.leaves), parted(expected, trial.leaves), strict=True):
        agree(p, q, 1e-10, "gradient at -0.0", trial.case.argument(i))


def _declared_at(trial: Trial) -> Point | None:
    """Give the case's point at the call of a trial."""

    def same(one: Call, other: Call) -> bool:
        pairs = zip(one.arrays, other.arrays, strict=False)
        return one.settings == other.settings and all(np.array_equal(a, b) for a, b in pairs)

    return next((point for point in trial.case.points if same(point.call, trial.call)), None)


def _check_sides(trial: Trial) -> None:
    """The derivative along any direction lies between the one-sided ones, for any incoming gradient."""
    rng = trial.rng(11)
    x, v = trial.x, trial.v
    g = trial.gradient(x, v)
    if not np.all(np.isfinite(trial.f(x))):
        return  # nothing to take a difference from
    for _ in range(4):
        u = rng.integers(1, 9, x.size) * rng.choice([-0.125, 0.125], x.size)
        with np.errstate(all="ignore"):
            left, right, error = one_sided(trial.f, x, u)
        low, high = np.minimum(v * left, v * right).sum(), np.maximum(v * left, v * right).sum()
        sizes = np.abs(g * u).sum() + np.abs(v * left).sum() + np.abs(v * right).sum()
        slack = np.abs(v * error).sum() + 1e-10 * sizes + 1e-14 * np.abs(v).sum()
        if np.isfinite(slack) and not low - slack <= g @ u <= high + slack:
            raise BrokenError(
                f"along {short(u)}: analytic {g @ u:+.9g}, outside of the one-sided derivatives {low:+.9g} and {high:+.9g}"
            )
