"""Regularizers: the chapter's formulas, factor for factor."""

import numpy as np
import pytest

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")

W = np.array([[1.5, -2.0], [0.0, 0.25]])
V = np.array([3.0, -1.0])


def leaf(values, dtype="float64"):
    return tr.tensor(np.asarray(values), dtype=dtype, backend=tr.zeros(0).backend, requires_grad=True)


def test_l2_has_the_half():  # keras#4712
    w, v = leaf(W), leaf(V)
    penalty = tr.regularizers.l2([w, v], 0.3)
    assert penalty.item() == pytest.approx(0.15 * ((W**2).sum() + (V**2).sum()), rel=1e-15)
    penalty.backward()
    np.testing.assert_allclose(w.grad.numpy(), 0.3 * W, rtol=1e-15)
    np.testing.assert_allclose(v.grad.numpy(), 0.3 * V, rtol=1e-15)


def test_l1_and_its_gradient_which_is_0_at_0():
    w, v = leaf(W), leaf(V)
    penalty = tr.regularizers.l1([w, v], 0.3)
    assert penalty.item() == pytest.approx(0.3 * (np.abs(W).sum() + np.abs(V).sum()), rel=1e-15)
    penalty.backward()
    np.testing.assert_allclose(w.grad.numpy(), 0.3 * np.array([[1, -1], [0, 1]]), rtol=1e-15)


@pytest.mark.parametrize("regularizer", [tr.regularizers.l1, tr.regularizers.l2])
def test_one_tensor_is_as_a_list_of_one(regularizer):
    assert regularizer(leaf(W), 0.3).item() == regularizer([leaf(W)], 0.3).item()
    assert regularizer((w for w in [leaf(W), leaf(V)]), 0.3).item() == regularizer([leaf(W), leaf(V)], 0.3).item()


@pytest.mark.parametrize("regularizer", [tr.regularizers.l1, tr.regularizers.l2])
def test_float32_stays_float32(regularizer):
    w = leaf(W, "float32")
    penalty = regularizer([w], 0.3)
    penalty.backward()
    assert penalty.dtype == w.grad.dtype == "float32"


@pytest.mark.parametrize("name", ["l1", "l2"])
def test_a_negative_strength_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}: got strength=-0.1, expected at least 0"):
        getattr(tr.regularizers, name)(leaf(W), -0.1)
    with pytest.raises(ValueError, match="got strength=nan"):
        getattr(tr.regularizers, name)(leaf(W), float("nan"))


@pytest.mark.parametrize("name", ["l1", "l2"])
def test_an_iterator_that_was_used_up_is_refused(name):
    weights = iter([leaf(W)])
    getattr(tr.regularizers, name)(weights, 0.1)
    with pytest.raises(ValueError, match=f"{name}: got no weights, .* an iterator serves only once, so pass a list"):
        getattr(tr.regularizers, name)(weights, 0.1)
