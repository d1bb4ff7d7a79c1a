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


def test_a_right_gradient():
    report = tr.testing.check_gradients(made(lambda g, x: 3 * g * x * x), [0.5, -1.5])
    assert report
    assert str(report) == "cube: first_order, second_order, contract passed"


def test_a_wrong_gradient():
    report = tr.testing.check_gradients(made(lambda g, x: 3 * g * x), [0.5, -1.5])
    assert not report
    assert "cube: the gradient is wrong at 2 of 4 elements, first at (0, 0): analytic 1.5, numeric 0.75" in str(report)


def test_a_gradient_that_is_wrong_at_second_order_only():
    detached = made(lambda g, x: 3 * g * (x.detach() if isinstance(x, tr.Tensor) else x) * x)
    assert tr.testing.check_gradients(detached, [0.5, -1.5], order=1)
    assert "cube, second order: the gradient is wrong" in str(tr.testing.check_gradients(detached, [0.5, -1.5]))


def test_a_function_that_cuts_the_tape_is_no_pass():
    report = tr.testing.check_gradients(lambda x: x.detach() * 2.0, [0.5])
    assert not report
    assert "no result has a gradient, though an argument wants one" in str(report)


def test_several_inputs_some_of_which_have_no_gradient():
    assert tr.testing.check_gradients(tr.take_along_axis, tr.ones((2, 2)), np.array([[0, 1], [1, 1]]))
    assert tr.testing.check_gradients(tr.copysign, [1.0, 2.0], [-1.0, 1.0])
    assert tr.testing.check_gradients(lambda x, w: tr.relu(x @ w).sum(), np.ones((2, 2)), [[0.5], [-1.0]])


def test_a_point_at_a_kink_is_no_pass():
    report = tr.testing.check_gradients(tr.relu, [0.0])
    assert not report
    assert "relu, second order: unresolved" in str(report)


def test_what_cannot_be_checked():
    with pytest.raises(ValueError, match="check_gradients: got order=3 and 1 inputs, expected 1 or 2, and floats"):
        tr.testing.check_gradients(tr.exp, [1.0], order=3)
    with pytest.raises(ValueError, match="got order=2 and 1 inputs, expected 1 or 2, and floats"):
        tr.testing.check_gradients(tr.exp, [1])


def test_without_hypothesis_the_error_says_what_to_install():
    code = "import sys; sys.modules['hypothesis'] = None; import tinyreg as tr; tr.testing"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "tr.testing needs hypothesis: pip install 'tinyreg[test]'" in found.stderr
