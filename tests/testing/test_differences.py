"""The numeric derivative: what it resolves, what it leaves open, and the errors that such a rule is known to make."""

import dataclasses
import math

import numpy as np
import pytest
from cases import CASES
from hypothesis import given
from hypothesis import strategies as st

import tinyreg as tr
from tinyreg.testing import PROPERTIES, Call, Case, run_property, strategies
from tinyreg.testing.differences import (
    RESOLUTION,
    Ladder,
    Probe,
    Verdict,
    compare,
    directions,
    extrapolated,
    jittered,
)
from tinyreg.testing.sides import one_sided
from tinyreg.testing.trial import draw_incoming


def rng():
    return np.random.default_rng(7)


def compared(f, gradient, x, v=1.0, along=None, **details):
    """The findings for f and its gradient at x: along each element, or along the given directions."""
    x, v = np.asarray(x, dtype=np.float64), np.atleast_1d(np.asarray(v, dtype=np.float64))
    along = np.eye(x.size) if along is None else np.asarray(along, dtype=np.float64)
    return compare(Probe(f, x, v, along, rng(), **details), gradient)


def verdicts(*arguments, **details):
    return {one.verdict for one in compared(*arguments, **details)}


# ---- what it resolves

SMOOTH = {
    "sin": (np.sin, np.cos, [0.5, -2.0, 3.0]),
    "exp": (np.exp, np.exp, [0.0, 2.0, -3.0]),
    "log": (np.log, lambda x: 1 / x, [0.25, 3.0]),
    "sqrt near 0": (np.sqrt, lambda x: 0.5 / np.sqrt(x), [0.125]),
    "cubic at 0": (lambda x: x**3, lambda x: 3 * x**2, [0.0]),
    "linear": (lambda x: 3.0 * x, lambda x: 3.0 + 0.0 * x, [0.1, 1e6]),
    "constant": (lambda x: 0.0 * x + 2.0, lambda x: 0.0 * x, [1.0]),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_a_right_gradient_does_not_fail(name):
    f, slope, x = SMOOTH[name]
    v = draw_incoming(rng(), len(x))
    found = compared(f, lambda x: v * slope(x), x, v, reach=math.inf if name != "log" else 0.2)
    assert {one.verdict for one in found} <= {Verdict.PASS, Verdict.UNRESOLVED}
    if name != "constant":
        assert {one.verdict for one in found} == {Verdict.PASS}
        assert min(one.digits for one in found) > -math.log10(RESOLUTION)


@pytest.mark.parametrize("name", [name for name in SMOOTH if name not in ("constant", "cubic at 0")])
def test_an_error_of_one_in_a_million_fails(name):
    f, slope, x = SMOOTH[name]
    v = draw_incoming(rng(), len(x))
    reach = math.inf if name != "log" else 0.2
    assert verdicts(f, lambda x: (1 + 1e-6) * v * slope(x), x, v, reach=reach) == {Verdict.FAIL}


@given(st.floats(0.125, 3.0), st.floats(-3.0, 3.0), st.integers(0, 2**32 - 1))
def test_neither_false_alarms_nor_misses(x, y, seed):
    """exp(-x y) sin(x) / x, whose parts grow, shrink and cancel."""
    at, v = np.array([x, y]), draw_incoming(np.random.default_rng(seed), 1)

    def f(p):
        return np.array([np.exp(-p[0] * p[1]) * np.sin(p[0]) / p[0]])

    def gradient(p):
        e, s, c = np.exp(-p[0] * p[1]), np.sin(p[0]), np.cos(p[0])
        return v * np.array([e * (c / p[0] - s / p[0] ** 2 - p[1] * s / p[0]), -e * s])

    along = directions(2, np.random.default_rng(seed))
    right = compare(Probe(f, at, v, along, rng(), reach=0.1), gradient)
    assert Verdict.FAIL not in {one.verdict for one in right}
    wrong = compare(Probe(f, at, v, along, rng(), reach=0.1), lambda p: gradient(p) * (1 + 1e-5))
    failed = [one.verdict is Verdict.FAIL for one in wrong]
    assert any(failed)


def test_the_actual_difference_of_the_inputs_counts():
    """At 1e6 + 1/3 a step is rounded: without the input difference a linear function would seem wrong."""
    x = np.array([1e6 + 1 / 3])
    (one,) = compared(lambda x: 7.0 * x, lambda x: np.array([7.0]), x)
    assert one.verdict is Verdict.PASS


# ---- what it leaves open


def test_a_saturated_softmax_is_unresolved():
    def softmax(x):
        e = np.exp(x - x.max())
        return e / e.sum()

    assert verdicts(softmax, lambda x: np.zeros(2), [0.0, 800.0], [1.0, -2.0]) == {Verdict.UNRESOLVED}


def test_a_function_that_turns_faster_than_the_smallest_step_is_unresolved():
    for x in (0.0, 0.5, 1.0, 2.0):
        assert verdicts(lambda x: np.sin(1e9 * x), lambda x: 1e9 * np.cos(1e9 * x), [x]) == {Verdict.UNRESOLVED}
    assert verdicts(lambda x: np.sin(1e9 * x), lambda x: 1e9 * np.cos(1e9 * x), [0.0], scale=1e-9) == {Verdict.PASS}


def test_outside_of_the_domain_it_is_unresolved_and_says_so():
    with np.errstate(all="ignore"):
        (one,) = compared(np.log, lambda x: 1 / x, [1e-9])
    assert (one.verdict, one.note) == (Verdict.UNRESOLVED, "the function is not finite around this point")


def test_a_gradient_that_is_not_finite_fails():
    (one,) = compared(lambda x: x, lambda x: np.array([math.nan]), [1.0])
    assert (one.verdict, one.note) == (Verdict.FAIL, "the gradient is not finite")


def test_at_a_kink_any_slope_between_those_of_the_sides_is_open_and_others_fail():
    for slope, verdict in ((0.0, Verdict.UNRESOLVED), (0.7, Verdict.UNRESOLVED), (1.2, Verdict.FAIL), (-1.2, Verdict.FAIL)):
        (one,) = compared(np.abs, lambda x, slope=slope: np.array([slope]), [0.0])
        assert one.verdict is verdict
        assert "the slopes to the left and right are -1 and 1" in one.note


def test_a_kink_that_the_steps_cross_is_no_false_alarm():
    """Extrapolation over a kink fails silently: one tiny step guards it."""
    for distance in (1e-5, 1e-4, 1e-3, 3e-3):
        found = compared(lambda x: np.maximum(x, 0.0), lambda x: (x > 0).astype(float), [distance])
        assert found[0].verdict is not Verdict.FAIL
        (one,) = compared(lambda x: np.maximum(x, 0.0), lambda x: (x > 0).astype(float), [distance], reach=distance)
        assert one.verdict is Verdict.PASS


def test_scales_are_tried_in_turn():
    x, v, along = np.array([1.0 + 3e-6]), np.array([-2.0]), np.eye(1)

    def step(x):
        return np.tanh(1e5 * (x - 1.0))

    def gradient(x, factor=1.0):
        return factor * v * 1e5 / np.cosh(1e5 * (x - 1.0)) ** 2

    def judged(factor, scale, *further):
        ladder = Ladder(Probe(step, x, v, along, rng(), scale=scale), further)
        return {one.verdict for one in ladder.compare(lambda x: gradient(x, factor))}

    assert judged(1.0, 1.0) != {Verdict.PASS}
    assert judged(1.0, 1.0, 1e-3, 1e-5, 1e-7) == {Verdict.PASS}
    assert judged(1.001, 1.0, 1e-3, 1e-5, 1e-7) == {Verdict.FAIL}

    taken = []
    counting = Probe(lambda x: [step(x), taken.append(x)][0], x, v, along, rng())
    for_many = Ladder(counting, (1e-3, 1e-5, 1e-7), many=True)
    verdicts = {}
    for factor in (1.001, 1.0, 0.999, 1.0, 1.002):
        before = len(taken)
        verdicts[factor] = {one.verdict for one in for_many.compare(lambda x, factor=factor: gradient(x, factor))}
        assert factor == 1.001 or len(taken) == before  # differences were taken for the first gradient alone
    assert verdicts == {1.001: {Verdict.FAIL}, 1.0: {Verdict.PASS}, 0.999: {Verdict.FAIL}, 1.002: {Verdict.FAIL}}


def test_what_is_flat_along_every_single_element_is_measured_by_how_it_changes_along_others():
    """A product with two zeros: a gradient of 0 there is right, and can be told from a wrong one."""
    x, along = [0.0, 0.0, 2.0], directions(3, rng())

    def product(x):
        return np.array([x.prod()])

    assert verdicts(product, lambda x: np.zeros(3), x, along=along) == {Verdict.PASS}
    assert verdicts(product, lambda x: np.array([0.0, 1e-17, 0.0]), x, along=along) == {Verdict.PASS}  # as an SVD leaves it
    assert Verdict.FAIL in verdicts(product, lambda x: np.array([1e-6, 0.0, 0.0]), x, along=along)


# ---- three errors that such a rule once had


def test_jitter_has_a_sign_of_its_own_for_every_element():
    """Jitter of equal sign is invisible to what does not change when everything shifts: its rounding would seem to be 0."""
    x = np.array([1e6, 1e6 + 1e-3])
    moves = [jittered(x, np.random.default_rng(seed)) - x for seed in range(20)]
    assert any(move[0] * move[1] < 0 for move in moves)

    def spread(x):
        return np.array([1e3 * (x[1] - x[0])])

    found = compared(spread, lambda x: np.array([-1e3, 1e3]), x, along=[[1.0, 0.0], [0.5, -0.75]])
    assert Verdict.FAIL not in {one.verdict for one in found}
    # Shift-invariant and ill-conditioned: the unbiased rounding of the mean must be seen, or a right gradient fails.
    centred = compared(
        lambda x: (x - x.mean()) ** 3, lambda x: np.array([0.0, 0.0]) + _cubic(x), [1e5, 1e5 + 1e-2], [1.0, 2.0], scale=1e-2
    )
    assert Verdict.FAIL not in {one.verdict for one in centred}


def _cubic(x):
    d, v = x - x.mean(), np.array([1.0, 2.0])
    inner = 3 * d * d * v
    return inner - inner.mean()


def test_jitter_does_not_absorb_a_discontinuous_wrong_gradient():
    """One that jumps from one float to the next changes under jitter by as much as it is wrong: the cap is 1e-6 of it."""

    def jumping(x):
        last_bit = np.frombuffer(x.tobytes(), dtype=np.uint64) & np.uint64(1)
        return np.cos(x) * (1.0 + 0.5 * last_bit)

    found = [verdicts(np.sin, jumping, [x]) for x in (0.3, 0.7, 1.1, 1.3, 2.3)]
    assert {Verdict.FAIL} in found
    odd = np.nextafter(0.5, 1.0)  # its last bit is 1
    assert verdicts(np.sin, jumping, [odd]) == {Verdict.FAIL}


def test_jitter_does_not_absorb_a_small_jump_either():
    def jumping(x):
        last_bit = np.frombuffer(x.tobytes(), dtype=np.uint64) & np.uint64(1)
        return np.cos(x) * (1.0 + 1e-5 * last_bit)

    assert verdicts(np.sin, jumping, [np.nextafter(0.5, 1.0)]) == {Verdict.FAIL}


def test_noise_in_outputs_that_a_direction_does_not_touch_is_not_counted():
    """1e9 x0 beside x1: the rounding of the first would drown the second."""

    def f(x):
        return np.array([1e9 * np.sin(1e3 * x[0]), np.sin(x[1])])

    def gradient(x, factor=1.0):
        return np.array([1e12 * np.cos(1e3 * x[0]), factor * np.cos(x[1])])

    x, v = [0.7, 0.5], [1.0, 1.0]
    assert compared(f, gradient, x, v)[1].verdict is Verdict.PASS
    assert compared(f, lambda x: gradient(x, 1 + 1e-6), x, v)[1].verdict is Verdict.FAIL


# ---- float32


def test_the_float32_rule_raises_no_alarm_on_a_right_batch_norm():
    """A fixed 1e-5 + 1e-4 |g| raised one on most inputs."""

    def batch_norm(x):
        centred = x - x.mean(axis=0, keepdims=True)
        return centred / ((centred * centred).mean(axis=0, keepdims=True) + 1e-5) ** 0.5

    case = Case(batch_norm, strategies.calls(strategies.arrays((4, 2))), name="batch_norm", scales=lambda call: (1.0, 1e-3))
    run_property(case, PROPERTIES["P8"])


def test_the_float32_rule_finds_a_gradient_that_is_off_by_a_thousandth():
    @tr.primitive
    def cubed(xp, x):
        return x * x * x

    del tr.core.primitive.REGISTRY["cubed"]

    @cubed.vjp("x")
    def _(g, x):
        return 3 * g * x * x * (1.001 if x.dtype == "float32" else 1.0)

    case = Case(cubed, strategies.elementwise())
    run_property(case, PROPERTIES["P3"])
    with pytest.raises(AssertionError, match="cubed: float32 against float64 FAILED   d / d x"):
        run_property(case, PROPERTIES["P8"])


# ---- the parts


def test_neville_takes_the_entry_that_has_settled_best():
    steps = [2.0**-k for k in range(1, 8)]
    slopes = [1.0 + h**2 + 3 * h**4 for h in steps]
    slope, error = extrapolated(steps, slopes, [0.0 for _ in steps])
    assert slope == pytest.approx(1.0, abs=1e-12)
    assert error < 1e-9
    noisy = [*slopes[:-1], slopes[-1] + 0.1]  # the last one drowns in rounding
    slope, error = extrapolated(steps, noisy, [*[0.0 for _ in steps[:-1]], 0.1])
    assert slope == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("n", [0, 1, 5, 16, 40])
def test_directions_are_two_dense_ones_and_up_to_sixteen_elements(n):
    found = directions(n, rng())
    assert found.shape == ((0, 0) if n == 0 else (2 + min(n, 16), n))
    assert np.all(found[:2] != 0)
    assert {tuple(row[row != 0]) for row in found[2:]} <= {(1.0,)}
    assert len({tuple(row) for row in found[2:]}) == max(len(found) - 2, 0)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_incoming_gradients_have_both_signs_and_other_sizes_than_one(n):
    for seed in range(50):
        drawn = draw_incoming(np.random.default_rng(seed), n)
        assert np.all((np.abs(drawn) >= 0.5) & (np.abs(drawn) <= 3.0))
        assert n == 1 or (drawn.min() < 0 < drawn.max())


def test_one_sided_derivatives():
    left, right, error = one_sided(lambda x: np.abs(x) + x**2, np.array([0.0]), np.array([1.0]))
    assert (left[0], right[0]) == pytest.approx((-1.0, 1.0))
    assert error[0] < 1e-8


def test_digits_are_those_of_the_tolerance():
    (one,) = compared(np.sin, np.cos, [1.0])
    assert one.digits == pytest.approx(-math.log10(one.tolerance / one.unit))
    assert one.tolerance < RESOLUTION * one.unit
    assert dataclasses.replace(one, tolerance=0.0).digits == 16
    assert dataclasses.replace(one, unit=0.0).digits == 0
    assert dataclasses.replace(one, tolerance=math.inf).digits == 0
    half = one.per(2.0)
    assert (half.analytic, half.error, half.digits) == (one.analytic / 2, one.error / 2, one.digits)


# ---- false alarms that long searches found


def test_the_tail_of_gelu_whose_rounding_few_inputs_show():
    for k in range(60):
        CASES["gelu"].check("numeric first order", Call((np.array(-3.0 + k / 64),), {"approximate": "none"}), seed=k)


def test_gradients_that_cancel_in_any_layout():
    """The gradient of a weighted mean in the weight of the only class that occurs."""
    logits = np.array([[[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [0.875, 0.875], [0.25, 1.125]]])
    call = Call((logits, np.zeros((2, 2), dtype=np.int64), np.ones(3)), {"reduction": "mean"})
    CASES["cross_entropy"].check("layouts", call)


def test_second_derivatives_of_a_gradient_that_cancels():
    for seed in range(20):
        CASES["softmax"].check("numeric second order", Call((np.array([1.25, 1.875]),), {"axis": 0}), seed=seed)
    CASES["softmax"].check("numeric second order", Call((np.array([1.25, 1.875]),), {"axis": 0}), seed=2085)


def test_an_extrapolation_that_stopped_early_is_looked_at_again():
    x1 = np.array([[[0.25, -0.5, 0.5]], [[0.125, -0.625, 1.25]]])
    CASES["atan2"].check("two inputs of one shape", Call((x1, np.array([[0.125], [-0.5]])), {}), seed=3370647)


def test_two_entries_that_agree_by_chance():
    x1 = np.array([[[0.25, -0.5, 0.5]], [[0.125, -0.625, -1.75]]])
    CASES["atan2"].check("two inputs of one shape", Call((x1, np.array([[0.125], [-0.5]])), {}), seed=3370647)


def test_roundings_that_cancel_around_a_value_that_is_a_float():
    """1 + erf(x / sqrt 2) lies within a few percent of a rounding of a float here: at x + d and x - d it errs alike."""
    x = np.ones((2, 3, 2))
    x[1, 1, 0] = -2.875
    CASES["gelu"].check("numeric first order", Call((x,), {"approximate": "none"}), seed=3051046502)


def test_a_gradient_of_which_only_rounding_is_left_where_a_tensor_is_shared():
    ones = np.ones((2, 3))  # the norm of a weight along the input does not change the result of weight norm
    CASES["WeightNorm"].check("fan-out", Call((ones, ones, np.ones((2, 1))), {}), seed=1)
