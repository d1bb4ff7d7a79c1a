"""Fast forms where the table of cases cannot look: mixed dtypes, and results that nobody is left to hold."""

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.recompute import FUSED

pytestmark = pytest.mark.usefixtures("backend")


def tensor(values, dtype="float32", requires_grad=False):
    here = tr.zeros(0).backend
    return tr.tensor(np.asarray(values), dtype=dtype, backend=here, requires_grad=requires_grad)


@pytest.mark.parametrize("narrow", ["float16", "float32"])
def test_a_wider_bias_widens_the_result_as_in_the_definition(narrow):
    x, w, b = tensor(np.ones((2, 3)), narrow), tensor(np.ones((4, 3)), narrow), tensor(np.full(4, 0.1), "float64")
    for y in (tr.linear(x, w, b), FUSED["linear"].definition(x, w, b)):
        assert y.dtype == "float64"
        np.testing.assert_allclose(y.numpy(), 3.1, rtol=1e-12)


def test_a_wider_bias_widens_a_norm_as_in_the_definition():
    x, w, b = tensor([[1.0, 3.0], [2.0, 2.0]]), tensor([1.0, 1.0]), tensor([0.1, 0.1], "float64")
    y, expected = tr.normalization.layer_norm(x, w, b), FUSED["normalized_features"].definition(x, w, b, axes=(1,))
    assert y.dtype == expected.dtype == "float64"
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-6)


def test_a_fast_form_leaves_its_arguments_alone():
    x, w, b = (np.ones(shape, dtype="float32") for shape in ((2, 3), (4, 3), (4,)))
    tr.linear(x, w, b)
    tr.normalization.batch_norm(x)
    tr.losses.cross_entropy(tensor(x), tensor([0, 1], "int64"))
    assert (x == 1).all()
    assert (b == 1).all()


def test_choosing_by_bits_gives_zeros_of_positive_sign_for_anything_dropped():
    x = tensor([np.nan, -np.inf, -1.0, 2.0])
    kept = tr.where(tensor([False, False, False, True], "bool"), x, 0.0)
    assert np.signbit(kept.numpy()).tolist() == [False] * 4
    assert kept.tolist() == [0.0, 0.0, 0.0, 2.0]
    assert np.signbit(tr.where(tensor([False], "bool"), tensor([1.0]), -0.0).numpy()).tolist() == [True]
