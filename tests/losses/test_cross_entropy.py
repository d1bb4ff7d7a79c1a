"""Cross-entropy against a reference in NumPy, row by row; awkward points; and every way to be given the wrong thing."""

import numpy as np
import pytest
from loss_values import indices, tensor

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")

cross_entropy = tr.losses.cross_entropy
rng = np.random.default_rng(5)


# ---- cross-entropy against a reference


def reference(logits, target, label_smoothing, weight, ignore_index, reduction):
    """PyTorch's semantics, one row at a time: the loss and its gradient."""
    logits = np.moveaxis(logits, 1, -1)
    k = logits.shape[-1]
    soft = target.dtype.kind == "f"
    target = np.moveaxis(target, 1, -1) if soft else target
    w = np.ones(k) if weight is None else weight
    losses, slopes, shares = np.zeros(logits.shape[:-1]), np.zeros(logits.shape), np.zeros(logits.shape[:-1])
    for row in np.ndindex(*logits.shape[:-1]):
        if not soft and target[row] == ignore_index:
            continue
        y = target[row] if soft else np.eye(k)[target[row]]
        q = w * ((1 - label_smoothing) * y + label_smoothing / k)
        p = np.exp(logits[row]) / np.exp(logits[row]).sum()
        losses[row], slopes[row] = -(q * np.log(p)).sum(), q.sum() * p - q
        shares[row] = 1 if soft else w[target[row]]
    scale = 1 / shares.sum() if reduction == "mean" else 1
    value = losses if reduction == "none" else losses.sum() * scale
    return value, np.moveaxis(slopes, -1, 1) * scale


WEIGHT = np.array([0.5, 2.0, 1.0, 0.1])
SMOOTHINGS, WEIGHTS, REDUCTIONS = [0.0, 0.1, 1.0], [None, WEIGHT], ["mean", "sum", "none"]


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 2), (2, 4, 2, 3)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("ignore_index", [None, 2, -100])
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
def test_cross_entropy_of_class_indices(shape, label_smoothing, weight, ignore_index, reduction):
    logits = rng.normal(size=shape, scale=3)
    target = rng.integers(0, 4, (shape[0], *shape[2:]))
    target.flat[0], target.flat[1] = 1, 0 if ignore_index is None else ignore_index
    value, slope = reference(logits, target, label_smoothing, weight, ignore_index, reduction)
    x = tensor(logits, requires_grad=True)
    loss = cross_entropy(
        x,
        indices(target),
        label_smoothing=label_smoothing,
        weight=None if weight is None else tensor(weight),
        ignore_index=ignore_index,
        reduction=reduction,
    )
    np.testing.assert_allclose(loss.numpy(), value, rtol=1e-12, atol=1e-14)
    loss.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
def test_cross_entropy_of_soft_targets(shape, label_smoothing, weight, reduction):
    logits = rng.normal(size=shape, scale=3)
    target = rng.dirichlet(np.ones(4), (shape[0], *shape[2:]))
    target = np.moveaxis(target, -1, 1)
    value, slope = reference(logits, target, label_smoothing, weight, None, reduction)
    x = tensor(logits, requires_grad=True)
    w = None if weight is None else tensor(weight)
    loss = cross_entropy(x, tensor(target), label_smoothing=label_smoothing, weight=w, reduction=reduction)
    np.testing.assert_allclose(loss.numpy(), value, rtol=1e-12, atol=1e-14)
    loss.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-11, atol=1e-14)


def test_hard_soft_targets_are_class_indices():
    logits = rng.normal(size=(5, 4))
    target = np.array([0, 3, 1, 1, 2])
    of_indices = cross_entropy(tensor(logits), indices(target), label_smoothing=0.2)
    of_rows = cross_entropy(tensor(logits), tensor(np.eye(4)[target]), label_smoothing=0.2)
    assert of_indices.item() == pytest.approx(of_rows.item(), rel=1e-14)


def test_cross_entropy_of_one_row():
    logits = np.array([1.0, -2.0, 0.5])
    expected = np.log(np.exp(logits).sum()) - logits[2]
    assert cross_entropy(tensor(logits), indices(2)).item() == pytest.approx(expected, rel=1e-14)
    assert cross_entropy(tensor(logits), tensor([0.0, 0.0, 1.0])).item() == pytest.approx(expected, rel=1e-14)
    smooth = cross_entropy(tensor(logits), indices(2), label_smoothing=0.3, weight=tensor([1.0, 2.0, 4.0])).item()
    log_p = logits - np.log(np.exp(logits).sum())
    q = np.array([1.0, 2.0, 4.0]) * np.array([0.1, 0.1, 0.8])
    assert smooth == pytest.approx(-(q * log_p).sum() / 4, rel=1e-14)


def test_gradient_to_soft_targets_and_weights():
    logits, target = rng.normal(size=(2, 3)), rng.dirichlet(np.ones(3), 2)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    t, w = tensor(target, requires_grad=True), tensor([1.0, 2.0, 0.5], requires_grad=True)
    cross_entropy(tensor(logits), t, weight=w, reduction="sum").backward()
    np.testing.assert_allclose(t.grad.numpy(), -log_p * [1.0, 2.0, 0.5], rtol=1e-13)
    np.testing.assert_allclose(w.grad.numpy(), -(target * log_p).sum(axis=0), rtol=1e-13)


# ---- awkward points


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stable_at_logits_of_1e4(dtype):
    x = tensor([[1e4, -1e4, 0.0], [1e4, 1e4, 1e4]], dtype=dtype, requires_grad=True)
    loss = cross_entropy(x, indices([1, 2]), reduction="none")
    np.testing.assert_allclose(loss.numpy(), [2e4, np.log(3)], rtol=1e-6)
    loss.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[1, -1, 0], [1 / 3, 1 / 3, -2 / 3]], rtol=1e-6)
    smooth = cross_entropy(x, indices([0, 0]), label_smoothing=0.1, reduction="none")
    np.testing.assert_allclose(smooth.numpy(), [0.1 * 3e4 / 3, np.log(3)], rtol=1e-6)


def test_label_smoothing_does_not_count_ignored_rows():  # pytorch#73205
    logits = rng.normal(size=(4, 3))
    target = np.array([0, 7, 2, 7])
    with_ignored = cross_entropy(tensor(logits), indices(target), label_smoothing=0.2, ignore_index=7)
    without = cross_entropy(tensor(logits[[0, 2]]), indices([0, 2]), label_smoothing=0.2)
    assert with_ignored.item() == pytest.approx(without.item(), rel=1e-14)


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0]])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_batch_whose_rows_are_all_ignored_is_0_and_moves_nothing(weight, label_smoothing):  # pytorch#116349
    x = tensor(rng.normal(size=(2, 3)), requires_grad=True)
    w = None if weight is None else tensor(weight)
    loss = cross_entropy(x, indices([-100, -100]), weight=w, ignore_index=-100, label_smoothing=label_smoothing)
    assert loss.item() == 0.0
    loss.backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((2, 3)))


def test_an_empty_batch_is_0():
    assert cross_entropy(tensor(np.ones((0, 3))), indices(np.ones(0, dtype=int))).item() == 0.0


def test_an_ignored_row_may_hold_anything():
    logits = [[np.nan, 0.0], [0.0, 0.0]]
    loss = cross_entropy(tensor(logits, dtype="float64"), indices([9, 0]), ignore_index=9, reduction="none")
    np.testing.assert_allclose(loss.numpy(), [0.0, np.log(2)])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_are_kept(dtype):
    for settings in ({}, {"label_smoothing": 0.1}, {"ignore_index": 0}, {"weight": tensor([1.0, 2.0], dtype=dtype)}):
        x = tensor([[0.5, 0.25], [0.0, 1.0]], dtype=dtype, requires_grad=True)
        loss = cross_entropy(x, indices([0, 1]), **settings)
        loss.backward()
        assert loss.dtype == x.grad.dtype == dtype


def test_many_float16_rows_do_not_overflow():
    n = 100_000
    logits = tensor(np.zeros((n, 2)), dtype="float16")
    target = indices(np.zeros(n))
    assert cross_entropy(logits, target, ignore_index=1).item() == pytest.approx(np.log(2), rel=1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32"])
def test_small_integers_are_class_indices_too(dtype):
    logits = rng.normal(size=(3, 4))
    small = cross_entropy(tensor(logits), tensor([0, 3, 1], dtype=dtype), ignore_index=-100)
    assert small.item() == pytest.approx(cross_entropy(tensor(logits), indices([0, 3, 1])).item(), rel=1e-14)


def test_arrays_give_an_array():
    logits, target = tensor(rng.normal(size=(3, 4))), indices([0, 3, 1])
    loss = cross_entropy(logits.data, target.data)
    assert type(loss) is type(logits.data)
    assert float(loss) == cross_entropy(logits, target).item()


def test_inputs_are_left_alone():
    logits, target = rng.normal(size=(3, 4)), np.array([0, 9, 1])
    x, t = tensor(logits, requires_grad=True), indices(target)
    cross_entropy(x, t, label_smoothing=0.1, ignore_index=9).backward()
    np.testing.assert_array_equal(x.numpy(), logits)
    np.testing.assert_array_equal(t.numpy(), target)


def test_second_derivative():
    logits, target = rng.normal(size=(2, 3)), indices([2, 0])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = np.zeros((2, 3, 2, 3))
    for i in range(2):
        expected[i, :, i, :] = (np.diag(p[i]) - np.outer(p[i], p[i])) / 2
    hessian = tr.hessian(lambda x: cross_entropy(x, target, label_smoothing=0.1))(tensor(logits))
    np.testing.assert_allclose(hessian.numpy(), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-6), ("float64", 1e-14)])
def test_a_sure_and_right_logit_has_a_small_loss_and_slope_not_0(dtype, rtol):
    x = tensor([40.0, -40.0, 5.0], dtype, requires_grad=True)
    loss = tr.losses.binary_cross_entropy(x, tensor([1.0, 0.0, 1.0], dtype), reduction="none")
    np.testing.assert_allclose(loss.numpy(), np.log1p(np.exp([-40.0, -40.0, -5.0])), rtol=rtol)
    loss.sum().backward()
    s = np.exp(-40.0) / (1 + np.exp(-40.0))
    np.testing.assert_allclose(x.grad.numpy(), [-s, s, -np.exp(-5.0) / (1 + np.exp(-5.0))], rtol=rtol)


# ---- refusals

LOGITS = np.zeros((3, 4))


@pytest.mark.parametrize(("label", "ignore_index"), [(4, None), (-1, None), (-100, None), (4, -100), (-1, -100)])
def test_a_class_index_out_of_range_names_the_value(label, ignore_index):
    also = "" if ignore_index is None else f", or ignore_index={ignore_index}"
    with pytest.raises(IndexError, match="^cross_entropy: a label is no class of the logits") as error:
        cross_entropy(tensor(LOGITS), indices([0, label, 1]), ignore_index=ignore_index)
    assert str(error.value).splitlines()[1:] == [
        f"  got       class index {label}",
        f"  expected  0 to 3{also}",
        f"  try       ignore_index={label} to leave such rows out, or logits of more classes",
    ]


@pytest.mark.parametrize(
    ("target", "dtype", "error", "text"),
    [
        (
            [0, 1],
            "int64",
            ValueError,
            r"logits float64\[3, 4\] and target int64\[2\]\n  expected  class indices of shape \[3\]\n",
        ),
        ([[0], [1], [2]], "int64", ValueError, r"target int64\[3, 1\]\n  expected  class indices of shape \[3\]\n"),
        (LOGITS, "int64", ValueError, "  try       floats of the shape of logits for soft targets"),
        ([0.0, 1.0, 2.0], "float64", ValueError, "  try       integers for class indices"),
        (np.zeros((1, 4)), "float64", ValueError, r"  expected  soft targets of shape \[3, 4\]"),
        ([True, False, True], "bool", TypeError, r"got target bool\[3\], expected class indices or soft targets"),
    ],
)
def test_targets_that_do_not_fit(target, dtype, error, text):
    with pytest.raises(error, match=text):
        cross_entropy(tensor(LOGITS), tensor(target, dtype=dtype))


def test_what_is_no_tensor():
    with pytest.raises(TypeError, match=r"got target \[0, 1, 2\], expected a tensor"):
        cross_entropy(tensor(LOGITS), [0, 1, 2])
    with pytest.raises(TypeError, match=r"got logits float64\[\], expected floats of shape"):
        cross_entropy(tensor(1.0), indices(0))


def test_integer_logits():
    with pytest.raises(TypeError, match=r"cross_entropy: got logits int64\[3, 4\], expected floats"):
        cross_entropy(indices(LOGITS), indices([0, 1, 2]))


def test_settings_out_of_range():
    logits, target = tensor(LOGITS), indices([0, 1, 2])
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"got label_smoothing={wrong}, expected a share from 0 to 1"):
            cross_entropy(logits, target, label_smoothing=wrong)
    with pytest.raises(ValueError, match="got reduction='average', expected 'mean', 'sum' or 'none'"):
        cross_entropy(logits, target, reduction="average")
    with pytest.raises(ValueError, match=r"got       weight float64\[3\] .*\n  expected  one for each of 4 classes\n"):
        cross_entropy(logits, target, weight=tensor([1.0, 1.0, 1.0]))
    with pytest.raises(
        ValueError, match="got ignore_index=0 with soft targets, expected class indices; to leave a row out"
    ):
        cross_entropy(logits, tensor(LOGITS), ignore_index=0)
