"""Fast forms where the table of cases cannot look: mixed dtypes, and results that nobody is left to hold."""

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.nn.scan import lstm_scan
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


def steps_of_an_lstm(dtype, wide=None, spread=1.0):
    """x, h, c and weight of 40 steps, 3 sequences and 5 units."""
    rng = np.random.default_rng(0)
    shapes = (40, 3, 20), (3, 5), (3, 5), (20, 5)
    dtypes = [dtype] * 3 + [wide or dtype]
    return [tensor(rng.normal(size=s) * spread, d, requires_grad=True) for s, d in zip(shapes, dtypes, strict=True)]


def results_and_gradients(f, leaves, **settings):
    for leaf in leaves:
        leaf.zero_grad()
    results = f(*leaves, **settings)
    sum((y * y).sum() for y in results).backward()
    found = [*results, *(leaf.grad for leaf in leaves)]
    return [y.numpy() for y in found], [str(y.dtype) for y in found]


@pytest.mark.parametrize(
    ("dtype", "wide"), [("float16", None), ("float32", None), ("float16", "float32"), ("float32", "float64")]
)
@pytest.mark.parametrize("spread", [1.0, 30.0, 2000.0])
def test_the_steps_of_an_lstm_are_their_definition_in_every_dtype(dtype, wide, spread):
    leaves = steps_of_an_lstm(dtype, wide, spread)
    with np.errstate(all="raise", under="ignore"):
        found, dtypes = results_and_gradients(lstm_scan, leaves)
    exact, _ = results_and_gradients(lstm_scan.definition, [tensor(v.numpy(), "float64", True) for v in leaves])
    assert dtypes == [wide or dtype] * 3 + [dtype] * 3 + [wide or dtype]
    rounding = {"float16": 1e-3, "float32": 1e-6, "float64": 1e-14}
    for value, right, name in zip(found, exact, dtypes, strict=True):
        assert np.isfinite(value).all()
        if spread == 1.0:
            np.testing.assert_allclose(value, right, atol=30 * rounding[name] * abs(right).max())


def test_the_steps_of_an_lstm_leave_their_arguments_alone_and_its_results_share_no_memory():
    leaves = steps_of_an_lstm("float32")
    before = [v.numpy() for v in leaves]
    output, h, c = lstm_scan(*(v.data for v in leaves))
    h[...] = 7
    c[...] = 7
    assert not (output == 7).any()
    for v, then in zip(leaves, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), then)
