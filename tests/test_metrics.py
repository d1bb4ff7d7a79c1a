"""Metrics against NumPy row by row, and against values worked out by hand."""

import math

import numpy as np
import pytest

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")

METRICS = [tr.metrics.accuracy, tr.metrics.nll, tr.metrics.calibration_error]
rng = np.random.default_rng(3)


def tensor(values, dtype="float32", requires_grad=False):
    here = tr.zeros(0).backend
    return tr.tensor(np.asarray(values), dtype=dtype, backend=here, requires_grad=requires_grad)


def reference(metric, logits, labels, bins=15):
    """The metric of rows (N, K) with class indices, as its formula reads."""
    z = logits.astype("float64")
    p = np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))
    right, confidence = p.argmax(axis=1) == labels, p.max(axis=1)
    if metric is tr.metrics.accuracy:
        return right.mean()
    if metric is tr.metrics.nll:
        return -np.log(p[np.arange(len(p)), labels]).mean()
    error = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_of_class_indices(metric, dtype):
    logits, labels = rng.normal(size=(200, 4)).astype(dtype), rng.integers(0, 4, 200)
    found = metric(tensor(logits, dtype), tensor(labels, "int64"))
    assert type(found) is float
    assert found == pytest.approx(reference(metric, logits, labels), rel=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_of_arrays_tensors_and_tensors_on_a_tape(metric):
    logits, labels = tensor(rng.normal(size=(6, 3)), requires_grad=True), tensor([0, 1, 2, 0, 1, 2], "int32")
    of_tape = metric(logits * 1.0, labels)
    assert of_tape == metric(logits.data, labels.data) == metric(logits.detach(), labels)


@pytest.mark.parametrize("metric", METRICS)
def test_the_classes_of_images_are_along_the_second_axis(metric):
    logits, labels = rng.normal(size=(2, 4, 3, 5)).astype("float32"), rng.integers(0, 4, (2, 3, 5))
    rows = np.moveaxis(logits, 1, -1).reshape(-1, 4)
    assert metric(tensor(logits), tensor(labels, "int64")) == pytest.approx(reference(metric, rows, labels.ravel()))


@pytest.mark.parametrize("metric", METRICS)
def test_soft_labels_that_are_sure_are_class_indices(metric):
    logits, labels = rng.normal(size=(2, 4, 3)), rng.integers(0, 4, (2, 3))
    soft = np.moveaxis(np.eye(4)[labels], -1, 1)
    assert metric(tensor(logits), tensor(soft, "float64")) == pytest.approx(
        metric(tensor(logits), tensor(labels, "int64")), rel=1e-12
    )


def test_soft_labels_count_as_their_largest_class_and_in_the_nll_as_they_are():
    logits, soft = tensor([[2.0, 0.0], [0.0, 2.0]]), tensor([[0.6, 0.4], [0.9, 0.1]])
    assert tr.metrics.accuracy(logits, soft) == 0.5
    low, high = math.log1p(math.exp(-2)), math.log1p(math.exp(2))
    expected = (0.6 * low + 0.4 * high + 0.9 * high + 0.1 * low) / 2
    assert tr.metrics.nll(logits, soft) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("ignored", [-100, np.int64(2)])
def test_ignored_rows_do_not_count_whatever_they_hold(metric, ignored):
    logits, labels = rng.normal(size=(5, 3)).astype("float32"), np.array([0, 1, 1, 0, 1])
    clean = metric(tensor(logits), tensor(labels, "int64"))
    more = np.concatenate([logits, np.full((2, 3), np.nan, "float32")])
    labels = np.append(labels, [ignored, ignored])
    assert metric(tensor(more), tensor(labels, "int64"), ignore_index=ignored) == clean


@pytest.mark.parametrize("metric", METRICS)
def test_over_no_rows_a_metric_is_0(metric):
    assert metric(tensor(np.ones((0, 3))), tensor([], "int64")) == 0.0
    assert metric(tensor(np.ones((2, 3))), tensor([-1, -1], "int64"), ignore_index=-1) == 0.0
    assert metric(tensor(np.ones((0, 3))), tensor(np.ones((0, 3)))) == 0.0


@pytest.mark.parametrize("metric", METRICS)
def test_of_one_row(metric):
    logits = np.array([[1.0, 3.0, 0.0]])
    assert metric(tensor(logits[0]), tensor(1, "int64")) == pytest.approx(reference(metric, logits, np.array([1])))


def test_calibration_error_of_ten_sure_rows_of_which_eight_are_right():
    logits, labels = tensor([[4.0, 0.0]] * 10), tensor([0] * 8 + [1] * 2, "int64")
    assert tr.metrics.calibration_error(logits, labels) == pytest.approx(0.182014, abs=5e-7)
    tempered = logits / (4 / math.log(4))  # the temperature at which the confidence is 0.8
    assert tr.metrics.calibration_error(tempered, labels) == pytest.approx(0.0, abs=1e-7)


def test_bins_are_closed_above_and_errors_of_one_bin_cancel():
    half = tensor(np.zeros((2, 2)))  # a confidence of exactly 0.5
    labels = tensor([0, 1], "int64")
    assert tr.metrics.calibration_error(half, labels, bins=2) == 0.0
    mixed = tensor([[0.0, 0.0], [0.0, 0.0], [50.0, 0.0], [50.0, 0.0]])
    labels = tensor([0, 1, 0, 1], "int64")
    assert tr.metrics.calibration_error(mixed, labels, bins=np.int64(2)) == pytest.approx(0.25)
    assert tr.metrics.calibration_error(mixed, labels, bins=1) == pytest.approx(0.25)
    assert tr.metrics.calibration_error(mixed[1:], labels[1:], bins=2) == pytest.approx((0.5 + 1.0) / 3)


def test_nan_logits_give_nan_and_no_index_error():
    logits, labels = tensor([[np.nan, 0.0], [0.0, 1.0]]), tensor([0, 1], "int64")
    assert math.isnan(tr.metrics.nll(logits, labels))
    assert math.isnan(tr.metrics.calibration_error(logits, labels))


@pytest.mark.parametrize("metric", METRICS)
def test_what_does_not_fit_is_refused_by_name(metric):
    name, logits = metric.__name__, tensor(np.ones((3, 2)))
    with pytest.raises(ValueError, match=rf"^{name}: .*\n  got       logits float32\[3, 2\] and target int64\[2\]\n"):
        metric(logits, tensor([0, 1], "int64"))
    with pytest.raises(TypeError, match=rf"{name}: got target \[0, 1, 0\], expected a tensor"):
        metric(logits, [0, 1, 0])
    with pytest.raises(IndexError, match=f"^{name}: .*\n  got       class index 2\n  expected  0 to 1\n"):
        metric(logits, tensor([0, 1, 2], "int64"))
    with pytest.raises(
        ValueError, match=rf"^{name}: .*\n  got       logits float32\[3, 1\]\n  expected  at least two classes\n"
    ):
        metric(tensor(np.ones((3, 1))), tensor(np.ones((3, 1))))
    with pytest.raises(ValueError, match=f"{name}: got ignore_index=1 with soft targets"):
        metric(logits, logits, ignore_index=1)
    with pytest.raises(TypeError, match=f"{name}: got ignore_index='no', expected an integer"):
        metric(logits, tensor([0, 1, 1], "int64"), ignore_index="no")


def test_bins_out_of_range():
    logits, labels = tensor(np.ones((1, 2))), tensor([0], "int64")
    with pytest.raises(ValueError, match="calibration_error: got bins=0, expected an integer of at least 1"):
        tr.metrics.calibration_error(logits, labels, bins=0)
    with pytest.raises(TypeError, match="calibration_error: got bins=1.5"):
        tr.metrics.calibration_error(logits, labels, bins=1.5)


def test_a_confidence_between_two_bounds_is_in_the_bin_of_the_upper_one():
    logits = tensor([[0.0, 0.0], [math.log(3.0), 0.0]], "float64")  # confidences of 0.5, which is wrong, and 0.75, right
    labels = tensor([1, 0], "int64")
    assert tr.metrics.calibration_error(logits, labels, bins=2) == pytest.approx((0.5 + 0.25) / 2)
    assert tr.metrics.calibration_error(logits, labels, bins=1) == pytest.approx((0.5 - 0.25) / 2)
