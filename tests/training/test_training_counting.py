"""What batches count in the means of fit: the loss of an epoch is that of all data at once, however it is cut."""

import math

import numpy as np
import pytest
from fits import Line, data, mse, quick, tensor
from hypothesis import given
from hypothesis import strategies as st

import tinyreg as tr
from tinyreg.training import EarlyStopping, fit


class Sum(tr.nn.Module):
    """Adds up all its inputs, times a weight, also where they are in tuples and dicts."""

    def __init__(self):
        self.weight = tr.nn.Parameter([1.0])

    def forward(self, x):
        parts = x.values() if isinstance(x, dict) else x if isinstance(x, tuple | list) else [x]
        return sum(self.weight * part for part in parts)


def run(batches, **settings):
    """An epoch at rate 0 in which the data are for validation too; the row of the history."""
    model = Sum()
    settings = {"loss": mse, "validation": batches, **settings}
    optimizer = tr.optim.SGD(model.parameters(), lr=0.0)
    return fit(model, batches, optimizer=optimizer, epochs=1, progress=False, **settings)[0]


def mae(output, target):
    return abs(np.asarray(output) - np.asarray(target)).mean()


# ---- the same as all at once

PACKS = {
    "one array": lambda a: a,
    "a tuple": lambda a: (a, 2 * a),
    "a list": lambda a: [a, 2 * a, 3 * a],
    "a dict": lambda a: {"one": a, "other": 2 * a},
}
AXES = {"samples first": 0, "time first": 1}


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_the_loss_of_an_epoch_is_that_of_all_data_at_once(pack, axis, sizes, seed):
    rng = np.random.default_rng(seed)
    shape = (sum(sizes), 3, 2) if axis == 0 else (3, sum(sizes), 2)
    x, y = rng.normal(size=shape), rng.normal(size=shape)
    cuts = [np.split(z, np.cumsum(sizes)[:-1], axis=axis) for z in (x, y)]
    row = run([(PACKS[pack](tr.Tensor(a)), tr.Tensor(b)) for a, b in zip(*cuts, strict=True)], metrics={"mae": mae})
    output = Sum()(PACKS[pack](tr.Tensor(x)))
    expected = mse(output, tr.Tensor(y)).item()
    assert row["loss"] == pytest.approx(expected, rel=1e-10)
    assert row["validation_loss"] == pytest.approx(expected, rel=1e-10)
    assert row["mae"] == pytest.approx(mae(output.detach(), tr.Tensor(y)), rel=1e-10)
    assert row["validation_mae"] == row["mae"]


def test_a_label_for_each_sequence_of_a_time_first_batch():  # catalyst#799, Lightning#2924
    def loss(output, target):
        return mse(output[-1], target)

    batches = [(tr.full((7, n, 1), value), tr.zeros((n, 1))) for n, value in ((3, 1.0), (1, 3.0))]
    assert run(batches, loss=loss)["validation_loss"] == pytest.approx(3.0)


def test_steps_of_sequences_of_different_length_count_alike():
    batches = [(tr.full((1, n), value), tr.zeros((1, n))) for n, value in ((9, 1.0), (1, 3.0))]
    assert run(batches)["loss"] == pytest.approx((9 * 1 + 1 * 9) / 10)


def test_several_targets():
    def loss(output, target):
        return mse(output, target["value"]) + 0.0 * target["weights"].sum()

    batches = [
        (tr.full((n, 2), v), {"value": tr.zeros((n, 2)), "weights": tr.ones((n, 5))}) for n, v in ((3, 1.0), (1, 3.0))
    ]
    assert run(batches, loss=loss)["loss"] == pytest.approx(3.0)


def test_without_targets_the_inputs_are_counted():
    batches = [(tr.full((n, 2), value), None) for n, value in ((3, 1.0), (1, 3.0))]
    assert run(batches, loss=lambda output, _: (output * output).mean())["loss"] == pytest.approx(3.0)


def test_targets_that_are_lists_of_numbers_or_arrays():
    for form in (lambda n: [0.0] * n, lambda n: [np.zeros(2)] * n, lambda n: [np.zeros(2), *[np.zeros(2)] * (n - 1)]):
        batches = [(tr.full((n, 2), value), form(n)) for n, value in ((3, 1.0), (1, 3.0))]
        assert run(batches, loss=lambda output, _: (output * output).mean())["loss"] == pytest.approx(3.0)


def test_early_stopping_watches_the_right_mean():
    """By the mean over batches the second epoch would be the better one."""

    class Set:
        epoch = 0

        def __iter__(self):
            self.epoch += 1
            big, small = ((1.0, 3.0), (2.0, 0.0))[self.epoch - 1]
            yield (tr.full((9, 1), big), tr.zeros((9, 1))), tr.zeros((9, 1))
            yield (tr.full((1, 1), small), tr.zeros((1, 1))), tr.zeros((1, 1))

    model, early = Sum(), EarlyStopping()
    optimizer = tr.optim.SGD(model.parameters(), lr=0.0)
    fit(model, [((tr.ones(1), tr.ones(1)), tr.ones(1))], validation=Set(), loss=mse, optimizer=optimizer, epochs=2,
        callbacks=[early], progress=False)  # fmt: skip
    assert (early.best_epoch, early.best) == (1, pytest.approx(1.8))


# ---- said otherwise


def test_a_count_of_ones_own():
    pad = -1.0

    def loss(output, target):
        seen = target != pad
        return tr.where(seen, tr.square(output - target), 0.0).sum() / seen.sum()

    rows = [[1.0, 1.0, pad, pad], [3.0, pad, pad, pad]]
    batches = [(tr.zeros((1, 4)), tr.tensor([row])) for row in rows]
    row = run(batches, loss=loss, count=lambda x, y: (y != pad).sum())
    assert row["loss"] == row["validation_loss"] == pytest.approx((1 + 1 + 9) / 3)


def test_a_batch_that_counts_nothing():
    batches = [(tr.full((1, 1), value), tr.zeros((1, 1))) for value in (1.0, math.nan)]
    row = run(batches, count=lambda x, y: 0 if math.isnan(x.item()) else 1)
    assert row["loss"] == 1.0
    assert math.isnan(run(batches[:1], count=lambda x, y: 0)["loss"])


def test_a_loss_that_is_a_sum():
    def total(output, target):
        return tr.losses.mse(output, target, reduction="sum")

    model, history = quick(lr=0.0, loss=total, reduction="sum", validation=data())
    _, expected = quick(lr=0.0, validation=data())
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-12)
    assert history["validation_loss"] == pytest.approx(expected["validation_loss"], rel=1e-12)
    before = model.weight.numpy()
    quick(model, lr=0.1, loss=total, reduction="sum", epochs=1, batch_size=10)
    other = Line()
    quick(other, lr=0.1 * 20, epochs=1, batch_size=10)  # 10 samples of 2: the gradient is that of the sum
    np.testing.assert_allclose(model.weight.numpy() - before, other.weight.numpy() - before, rtol=1e-10)


@pytest.mark.parametrize(
    ("batch", "settings", "error", "text"),
    [
        ((tr.ones((1, 1)), (tr.ones(1), tr.ones(1))), {"reduction": "sum"}, ValueError, "cannot tell what to divide by"),
        ((tr.ones((0, 1)), tr.ones((0, 1))), {}, ValueError, "fit: got a batch without a sample, expected at least one"),
        ((tr.ones((1, 1)), object()), {}, TypeError, "cannot count its elements; say how much a batch counts in the means"),
        ((tr.ones((1, 1)), tr.ones((1, 1))), {"reduction": "none"}, ValueError, "expected one of 'mean', 'sum'"),
        ((tr.ones((1, 1)), tr.ones((1, 1))), {"count": 3}, TypeError, "fit: got count=3, expected a function"),
    ],
)
def test_what_cannot_be_counted(batch, settings, error, text):
    with pytest.raises(error, match=text):
        run([batch], loss=lambda output, _: output.sum(), validation=None, **settings)


# ---- metrics


def test_metrics_get_what_numpy_takes():
    seen = []

    def metric(output, target):
        seen.append((np.asarray(output["a"][0]).shape, np.asarray(target).shape))
        return np.float64(1.0)

    class Two(Sum):
        def forward(self, x):
            return {"a": (super().forward(x), None), "b": x}

    model = Two()
    optimizer = tr.optim.SGD(model.parameters(), lr=0.1)
    history = fit(
        model, data(), loss=lambda output, y: (output["a"][0][:, :2] - y).mean(), optimizer=optimizer, epochs=1,
        batch_size=10, metrics={"m": metric}, validation=data(), progress=False,
    )  # fmt: skip
    assert seen == [((10, 3), (10, 2))] * 2
    assert history[0]["m"] == history[0]["validation_m"] == 1.0


def test_a_metric_that_is_no_number_is_named():
    with pytest.raises(ValueError, match=r"fit: got m float64\[10\] of a batch, expected one number, such as a mean"):
        quick(batch_size=10, metrics={"m": lambda output, target: tensor(np.ones(10))})


@pytest.mark.parametrize("name", ["loss", "penalty", "grad_norm", "lr", "validation_loss"])
def test_a_metric_with_the_name_of_a_column(name):
    with pytest.raises(ValueError, match=f"fit: got a metric called '{name}', which is a column of its own"):
        quick(metrics={name: mse})
    with pytest.raises(TypeError, match=r"fit: got metrics=\[.*expected a dict from names to functions"):
        quick(metrics=[mse])


def test_with_mixup_metrics_see_the_labels_from_before_it():
    """As many samples in a batch as classes: soft labels would be compared column by column, without an error."""
    x = tr.tensor(np.eye(4), dtype="float32")
    labels = tr.tensor([2, 0, 3, 1])
    model = tr.nn.Linear(4, 4)
    model.weight.assign(10.0 * np.eye(4, dtype="float32")[[1, 3, 0, 2]])  # the right answers
    seen = []

    def accuracy(logits, y):
        seen.append(y.dtype.kind)
        return (np.asarray(logits).argmax(axis=1) == np.asarray(y)).mean()

    def mixed(x, y, rng):
        hard = np.eye(4, dtype="float32")[y.numpy()]
        return x, tr.Tensor(0.6 * hard + np.float32(0.4) * hard[[1, 2, 3, 0]])

    history = fit(
        model, (x, labels), loss=tr.losses.cross_entropy, optimizer=tr.optim.SGD(model.parameters(), lr=0.0), epochs=3,
        transform=mixed, metrics={"own": accuracy, "accuracy": tr.metrics.accuracy, "nll": tr.metrics.nll}, progress=False,
    )  # fmt: skip
    assert history["own"] == history["accuracy"] == [1.0] * 3
    assert set(seen) == {"i"}
    assert max(history["nll"]) < 0.01 < min(history["loss"])


def test_targets_that_a_transform_moves_along_are_measured_as_they_are_then():
    def turned(x, mask, rng):
        return x[::-1], mask[::-1]

    x = tr.tensor(np.arange(4.0))
    seen = []
    run([(x, tr.tensor([0, 1, 2, 3]))], loss=lambda output, _: output.sum(), transform=turned, validation=None,
        metrics={"m": lambda output, target: seen.append((output.tolist(), target.tolist())) or 0.0})  # fmt: skip
    assert seen == [([3.0, 2.0, 1.0, 0.0], [3, 2, 1, 0])]


def test_means_have_the_digits_of_float64_whatever_the_counts_are():
    batches = [(tr.full((1,), value), tr.zeros((1,))) for value in (1.0, 2.0, 3.0)]
    counts = 0.1, 0.7, 1 / 3
    metrics = {"third": lambda output, target: output.data.astype("float64") / 3}
    for kind in (tr.tensor, np.float32, lambda n: np.array([n], "float32")):
        row = run(batches, count=lambda x, y, kind=kind: kind(counts[int(x.item()) - 1]), metrics=metrics)
        each = [float(np.float32(n)) for n in counts]
        assert row["third"] == sum(n * (i / 3) for i, n in enumerate(each, start=1)) / sum(each)


@pytest.mark.parametrize(("shape", "fits"), [((), True), ((1,), True), ((1, 1), True), ((2,), False), ((1, 2), False)])
def test_a_metric_gives_one_number(shape, fits):
    batches, metrics = [(tr.ones(1), tr.zeros(1))], {"ones": lambda output, target: np.ones(shape)}
    if fits:
        assert run(batches, metrics=metrics)["ones"] == 1.0
    else:
        with pytest.raises(ValueError, match=r"got ones float64\[.*\] of a batch, expected one number, such as a mean"):
            run(batches, metrics=metrics)


def test_words_and_numbers_in_place_of_targets_count_one_each():
    class Half(Sum):
        def forward(self, x):
            return super().forward(x), "and words"

    batches = [(tr.full((1,), 1.0), "a word"), (tr.full((1,), 4.0), 7), (tr.full((1,), 7.0), 0.5)]
    model, seen = Half(), []

    def metric(output, target):
        seen.append((output[0].requires_grad, output[1], target))
        return 0.0

    optimizer = tr.optim.SGD(model.parameters(), lr=0.0)
    loss = lambda output, target: output[0].mean()
    history = fit(model, batches, loss=loss, optimizer=optimizer, epochs=1, metrics={"mine": metric}, progress=False)
    assert history[0]["loss"] == 4.0
    assert seen == [(False, "and words", target) for target in ("a word", 7, 0.5)]


def test_a_batch_without_a_sample_is_refused():
    with pytest.raises(ValueError, match="fit: got a batch without a sample, expected at least one"):
        run([(tr.zeros((0, 1)), tr.zeros((0, 1)))])


@pytest.mark.parametrize(
    ("before", "after", "gets"),
    [
        (np.array([0, 1]), np.eye(2), "before"),
        (np.eye(2, dtype="int64"), np.eye(2) * 0.9, "before"),
        (np.array([True, False]), np.array([0.9, 0.1]), "before"),
        (np.array([0.0, 1.0]), np.array([0.9, 0.1]), "after"),
        (np.array([0, 1]), np.array([1, 0]), "after"),
        (np.array([0, 1]), np.array([0.5]), "after"),
    ],
)
def test_metrics_get_the_labels_from_before_they_were_softened(before, after, gets):
    seen = []

    def metric(output, target):
        seen.append(target.tolist())
        return 0.0

    pair = tr.Tensor(np.ones(before.shape)), tr.Tensor(before)
    loss = lambda output, target: (output.sum() * 0.0).sum()
    transform = lambda x, y, rng: (x, tr.Tensor(after))
    run([pair], loss=loss, transform=transform, metrics={"mine": metric}, validation=None)
    assert seen == [{"before": before, "after": after}[gets].tolist()]
