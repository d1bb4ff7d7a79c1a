"""check_gradients: what it says of right and of wrong gradients."""

import subprocess
import sys

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.primitive import REGISTRY


def made(vjp):
    @tr.primitive
    def cube(xp, x):
        return x * x * x

    REGISTRY.pop("cube")
    cube.vjp("x")(vjp)
    return cube


def sine(x):
    return np.sin(x)


def test_a_right_gradient():
    report = tr.testing.check_gradients(made(lambda g, x: 3 * g * x * x), [0.5, -1.5])
    assert report
    assert report.failures == ()
    head, *lines, untried = str(report).splitlines()
    assert head == "cube(float64[2] [0.5, -1.5]): pass"
    assert untried == (
        "  not tried: other points, sizes, broadcasting, contexts, threads, the third derivative, other backends"
    )
    assert [line[2:26].strip() for line in lines] == [
        *["one gradient each", "numeric first order", "linearity", "purity", "fan-out", "layouts"],
        *["float32 against float64", "numeric second order", "repeated calls", "own gradients", "fresh memory"],
    ]
    assert lines[1] == "  numeric first order      pass   12 digits"


def test_a_wrong_gradient():
    report = tr.testing.check_gradients(made(lambda g, x: 3 * g * x), [0.5, -1.5])
    assert not report
    (failure,) = report.failures
    head, comparison, *_ = str(report).splitlines()
    assert head == "cube(float64[2] [0.5, -1.5]): fail"
    assert comparison == failure.splitlines()[0]
    assert failure in str(report)
    assert len(str(report).splitlines()) <= 15
    lines = failure.splitlines()
    assert lines[0] == "cube: numeric first order FAILED   d / d x"
    assert lines[1] == "  x = float64[2] [0.5, -1.5]"
    assert lines[-2] == "  looks like: missing factor x"
    assert lines[-1].startswith("  reproduce: tr.testing.check_gradients(cube, np.array([0.5, -1.5], dtype='float64')")


def test_the_line_that_reproduces_a_failure_does():
    cube = made(lambda g, x: 3 * g * x)
    (failure,) = tr.testing.check_gradients(cube, [0.5, -1.5], seed=3).failures
    line = failure.rpartition("reproduce: ")[2]
    again = eval(line, {"tr": tr, "np": np, "cube": cube})
    assert again.failures == (failure,)


def test_a_gradient_that_is_wrong_at_second_order_only():
    detached = made(lambda g, x: 3 * g * (x.detach() if isinstance(x, tr.Tensor) else x) * x)
    assert tr.testing.check_gradients(detached, [0.5, -1.5], order=1)
    assert "cube: numeric second order FAILED" in str(tr.testing.check_gradients(detached, [0.5, -1.5]))


def test_a_function_that_cuts_the_tape_is_no_pass():
    report = tr.testing.check_gradients(lambda x: x.detach() * 2.0, [0.5])
    assert not report
    assert "no gradient arrived" in str(report)


def test_several_inputs_some_of_which_have_no_gradient():
    assert tr.testing.check_gradients(tr.take_along_axis, tr.ones((2, 2)), np.array([[0, 1], [1, 1]]))
    assert tr.testing.check_gradients(tr.copysign, [1.0, 2.0], [-1.0, 1.0])
    assert tr.testing.check_gradients(lambda x, w: tr.relu(x @ w).sum(), np.ones((2, 2)), [[0.5], [-1.0]])


def test_a_point_at_a_kink_is_unresolved_which_is_no_pass():
    report = tr.testing.check_gradients(tr.relu, [0.0], order=1)
    assert not report
    assert report.failures == ()
    assert "relu(float64[1] [0]): unresolved" in str(report)
    assert "a kink: the slopes to the left and right are 0 and" in str(report)


def test_a_gradient_outside_of_the_slopes_of_a_kink_fails():
    report = tr.testing.check_gradients(np.abs, [0.0], vjp=lambda g, x: 2.0 * g)
    assert "numeric first order FAILED" in str(report)
    assert "the slopes to the left and right are -2.625 and 2.625" in str(report)


def test_a_saturated_softmax_is_unresolved():
    report = tr.testing.check_gradients(tr.softmax, [0.0, 800.0])
    assert not report
    assert report.failures == ()


@pytest.mark.parametrize(
    ("f", "inputs"),
    [
        (tr.sqrt, [1e-12]),
        (tr.log, [1e-9, 1e9]),
        (lambda x: tr.sin(1e5 * x), [0.5]),
        (tr.relu, [-1e-6]),
        (lambda x: (x - x.mean()) / (x.var() + 1e-12) ** 0.5, [1.0, 1.0 + 1e-5, 1.0 - 1e-5]),
    ],
)
def test_functions_that_bend_within_a_small_part_of_their_inputs(f, inputs):
    report = tr.testing.check_gradients(f, inputs)
    assert report, str(report)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [tr.nn.Linear, tr.nn.LSTM], ids=["linear", "recurrent"])
def test_a_function_that_closes_over_parameters_of_either_dtype(layer, dtype):
    tr.set_default_dtype(dtype)
    try:
        model = layer(2, 3)
    finally:
        tr.set_default_dtype("float32")
    report = tr.testing.check_gradients(lambda x: model(x)[0], [[[0.5, -1.0], [2.0, 0.25]]])
    assert report, str(report)


def test_a_random_function_is_an_error_that_says_so():
    dropout = tr.nn.Dropout(0.5)
    with pytest.raises(ValueError, match=r"check_gradients: got .* from Dropout and then .* put layers out of training"):
        tr.testing.check_gradients(dropout, [float(i) for i in range(1, 50)])
    assert tr.testing.check_gradients(dropout.eval(), [1.0, 2.0])


# ---- thorough: calls like the given one


def thoroughly(f, *inputs, **settings):
    """What fails with `thorough`, of a function of which nothing fails without."""
    assert tr.testing.check_gradients(f, *inputs, **settings)
    report = tr.testing.check_gradients(f, *inputs, thorough=True, **settings)
    return {one.name for one in report.checked if one.verdict == "fail"}, report


def test_a_right_function_passes_thoroughly():
    for f, inputs, settings in [
        (tr.tanh, [[0.5, -1.5]], {}),
        (tr.matmul, [[[0.5, 1.0, -2.0]], [[1.0], [0.25], [3.0]]], {}),
        (tr.relu, [0.5], {}),
        (tr.losses.cross_entropy, [[[0.5, -1.5, 2.0], [1.0, 2.0, 4.0]], [0, 2]], {}),
        (np.sin, [[0.5, 1.0]], {"vjp": lambda g, x: g * np.cos(x)}),
    ]:
        found, report = thoroughly(f, *inputs, **settings)
        assert report, str(report)
        assert not found
        assert ", and 25 calls like it): pass" in str(report)


WRONG_ELSEWHERE = {
    "many elements": lambda g, x: 3 * g * x * x if x.size < 10 else 3 * g * x,
    "one element": lambda g, x: 3 * g * x * x if x.size != 1 else g * x,
    "another number of axes": lambda g, x: 3 * g * x * x if x.ndim == 1 else g * x,
    "larger numbers": lambda g, x: 3 * g * x * tr.clip(x, -2.0, 2.0),
}


@pytest.mark.parametrize("where", WRONG_ELSEWHERE)
def test_a_gradient_that_is_wrong_elsewhere_is_found_thoroughly(where):
    found, report = thoroughly(made(WRONG_ELSEWHERE[where]), [0.5, -1.5])
    assert "numeric first order" in found
    if where == "one element":
        line = next(text for text in report.failures if ": numeric first order " in text).rpartition("reproduce: ")[2]
        again = eval(line, {"tr": tr, "np": np, "cube": made(WRONG_ELSEWHERE[where])})
        assert "numeric first order FAILED" in str(again)


def test_a_broadcast_that_is_not_summed_is_found_thoroughly():
    found, report = thoroughly(lambda x, w: x * w, [1.0, 2.0], [3.0, 4.0], vjp=lambda g, x, w: (g * w, g * x))
    assert found == {"one gradient each"}
    assert "the shape of its argument; sum it over what was broadcast" in str(report)


def test_a_constant_of_the_default_dtype_is_found_thoroughly():
    found, report = thoroughly(lambda x: x * tr.tensor(0.1), [1.0])
    assert found == {"contexts"}
    assert "with float64 as the default dtype the result is float64 [0.1], otherwise float64 [0.100000001" in str(report)


def test_what_was_not_tried_is_told():
    def untried(order, **more):
        return str(tr.testing.check_gradients(tr.exp, [0.5], order=order, **more)).splitlines()[-1]

    before = "  not tried: other points, sizes, broadcasting, contexts, threads, "
    assert untried(1) == f"{before}higher derivatives, other backends"
    assert untried(2) == f"{before}the third derivative, other backends"
    assert untried(1, thorough=True) == "  not tried: points far from the given one, higher derivatives, other backends"
    assert untried(2, thorough=True) == "  not tried: points far from the given one, other backends"


# ---- functions that are not tinyreg's


def test_a_pair_of_functions_of_arrays():
    assert tr.testing.check_gradients(sine, [0.5, 2.0], vjp=lambda g, x: g * np.cos(x))
    wrong = tr.testing.check_gradients(sine, [0.5, 2.0], vjp=lambda g, x: g * np.cos(x) * (1 + 1e-6))
    assert "looks like: factor 1 + 1e-06" in str(wrong)
    line = wrong.failures[0].rpartition("reproduce: ")[2]
    names = {"tr": tr, "np": np, "sine": sine, "vjp": lambda g, x: g * np.cos(x)}
    assert eval(line, names), line


def test_a_pair_of_several_arguments_and_results():
    def f(x, w, n):
        return x * w**n, x.sum()

    def vjp(g, x, w, n):
        return g[0] * w**n + g[1], g[0] * x * n * w ** (n - 1), None

    assert tr.testing.check_gradients(f, [0.5, 2.0], [1.5, -1.0], 3, vjp=vjp)
    swapped = tr.testing.check_gradients(f, [0.5, 2.0], [1.5, -1.0], 3, vjp=lambda g, *a: vjp(g[::-1], *a))
    assert not swapped


def test_a_pair_whose_vjp_gives_too_few_gradients():
    report = tr.testing.check_gradients(lambda x, w: x * w, [0.5], [1.5], vjp=lambda g, x, w: (g * w,))
    assert "its vjp returned 1 gradients, expected 2: one, or None, for each of its arguments" in str(report)
    report = tr.testing.check_gradients(lambda x, w: x * w, [0.5], [1.5], vjp=lambda g, x, w: g * w)
    assert "its vjp returned ndarray, expected a tuple with a gradient, or None, for each of its 2 arguments" in str(report)


def test_what_cannot_be_checked():
    check = tr.testing.check_gradients
    with pytest.raises(ValueError, match="check_gradients: got order=3, expected 1 or 2"):
        check(tr.exp, [1.0], order=3)
    with pytest.raises(
        ValueError, match=r"got int64\[1\] \[1\], expected at least one of floats, such as 1.0 in place of 1"
    ):
        check(tr.exp, [1])
    with pytest.raises(ValueError, match="got no inputs, expected at least one of floats"):
        check(tr.exp)
    with pytest.raises(TypeError, match="got 3 as f, expected a function"):
        check(3, [1.0])
    for seed, error in ((-1, ValueError), (0.5, TypeError), (tr.Generator(0), TypeError)):
        with pytest.raises(error, match="got seed=.*, expected an integer of at least 0"):
            check(tr.exp, [1.0], seed=seed)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: {"a": x},
        lambda x: x.numpy(),
        lambda x: x.sum().item(),
        lambda x: None,
        lambda x: (),
        lambda x: (x, (x, x)),
        lambda x: (part for part in [x]),
    ],
)
def test_a_function_that_gives_no_tensors_is_told(f):
    with pytest.raises(
        TypeError, match="check_gradients: got .* from <lambda>, expected a Tensor, or a tuple or list of them"
    ):
        tr.testing.check_gradients(f, [1.0, 2.0])


@pytest.mark.parametrize("value", ["abc", {"a": [1.0]}, object(), [1j]])
def test_inputs_of_other_kinds_are_told(value):
    with pytest.raises(TypeError, match=r"got .* as an input, expected a Tensor, an array, .*: lambda x: f\(x, ...\)"):
        tr.testing.check_gradients(tr.exp, value)


def test_inputs_that_cannot_be_moved_are_told():
    for bad in ("nan", "inf"):
        with pytest.raises(
            ValueError, match=rf"got float64\[2\] \[1, {bad}\] as an input, expected finite numbers; .*lambda x"
        ):
            tr.testing.check_gradients(tr.exp, [1.0, float(bad)])
    with pytest.raises(ValueError, match=r"got \[\[1.0\], \[1.0, 2.0\]\] as an input, expected an array: "):
        tr.testing.check_gradients(tr.exp, [[1.0], [1.0, 2.0]])


def test_what_a_user_hands_in_is_taken():
    check = tr.testing.check_gradients
    assert check(tr.softplus, [0.5, -1.0], beta=2.0)
    assert "tr.testing.check_gradients(f, np.array([0.5], dtype='float64'), beta=2.0, order=1, vjp=vjp, seed=3)" in str(
        check(lambda x, beta: x * beta, [0.5], order=1, seed=3, beta=2.0, vjp=lambda g, x, beta: g)
    )
    assert check(tr.exp, 0.5)
    assert check(tr.exp, np.float32(0.5), order=np.int64(1), seed=np.int64(3))
    assert check(lambda x, i, w: tr.take(x, i, axis=0) * 2.0, [1.0, 2.0], [1, 0], None)
    assert check(lambda x: [x * 2.0, tr.sin(x), None, 3], [1.0, 2.0])
    assert check(lambda x: float((x * x).sum()), [1.0, 2.0], vjp=lambda g, x: 2 * g * x)
    assert check(lambda x: tr.sin(x).sum(), np.linspace(-1.0, 1.0, 100_000), order=1)


def test_without_hypothesis_the_error_says_what_to_install():
    code = "import sys; sys.modules['hypothesis'] = None; import tinyreg as tr; tr.testing"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600)
    assert "tr.testing needs hypothesis: pip install 'tinyreg[testing]'" in found.stderr


@pytest.mark.parametrize("thorough", ["yes", 2, None])
def test_thorough_is_true_or_false(thorough):
    with pytest.raises(TypeError, match=rf"check_gradients: got thorough={thorough!r}, expected True or False"):
        tr.testing.check_gradients(tr.tanh, [0.5], thorough=thorough)
