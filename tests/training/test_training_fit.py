"""fit against a loop that is written out here: data, what a batch goes through, and what the history says."""

import contextlib
import math
import weakref

import numpy as np
import pytest
from fits import Line, X, Y, data, mse, quick, tensor

import tinyreg as tr
from tinyreg.core.tape import is_recording
from tinyreg.training import Callback

pytestmark = pytest.mark.usefixtures("backend")


# ---- the loop


def test_it_is_the_loop_that_one_would_write():
    def penalty(model):
        return tr.regularizers.l2(model.parameters(), 0.1)

    model, history = quick(lr=0.2, epochs=3, rng=tr.Generator(5), penalty=penalty, clip_norm=0.5)

    other, rng, (x, y) = Line(), tr.Generator(5), data()
    optimizer = tr.optim.SGD(other.parameters(), lr=0.2)
    losses, penalties, norms = [], [], []
    for _ in range(3):
        order, total, shrink = rng.permutation(10), 0.0, 0.0
        for start in (0, 4, 8):
            rows = order[start : start + 4]
            loss, extra = mse(other(x[rows]), y[rows]), penalty(other)
            optimizer.zero_grad()
            (loss + extra).backward()
            norms.append(tr.optim.clip_grad_norm(other.parameters(), 0.5))
            optimizer.step()
            total, shrink = total + len(rows) * loss.item(), shrink + len(rows) * extra.item()
        losses.append(total / 10)
        penalties.append(shrink / 10)
    np.testing.assert_array_equal(model.weight.numpy(), other.weight.numpy())
    assert history["loss"] == losses
    assert history["penalty"] == penalties
    assert history["grad_norm"] == np.reshape(norms, (3, 3)).mean(axis=1).tolist()  # a small batch counts as much


def test_means_count_every_sample_once_also_in_a_smaller_last_batch():
    model, history = quick(
        lr=0.0, validation=(tensor(X[:7]), tensor(Y[:7])), metrics={"mae": lambda a, b: abs(a - b).mean()}
    )
    error = X @ model.weight.numpy() - Y
    for row in history:
        assert row["loss"] == pytest.approx((error**2).mean(), rel=1e-12)
        assert row["mae"] == pytest.approx(abs(error).mean(), rel=1e-12)
        assert row["validation_loss"] == pytest.approx((error[:7] ** 2).mean(), rel=1e-12)
        assert row["validation_mae"] == pytest.approx(abs(error[:7]).mean(), rel=1e-12)
    assert [len(rows) for rows, *_ in model.seen] == [4, 4, 2, 4, 3] * 2


def test_validation_has_no_penalty_and_training_says_what_it_is():
    _, history = quick(lr=0.0, validation=data(), penalty=lambda model: tr.full((), 100.0))
    assert history[0]["loss"] == pytest.approx(history[0]["validation_loss"], rel=1e-12)
    assert history["penalty"] == [100.0, 100.0]
    assert list(history[0]) == ["loss", "penalty", "validation_loss"]


def test_training_is_recorded_and_in_training_mode_and_validation_neither():
    model, _ = quick(validation=(tensor(X[:4]), tensor(Y[:4])))
    assert [(training, recording) for _, training, recording in model.seen] == [*[(True, True)] * 3, (False, False)] * 2


@pytest.mark.parametrize("fails", [False, True])
def test_every_module_is_left_in_the_mode_in_which_it_was(fails):
    model = Line(tr.nn.ReLU(), tr.nn.ReLU(), tr.nn.ReLU())
    model.eval()
    model.inside[1].train()

    def loss(output, target):
        if fails:
            raise RuntimeError("no loss")
        return mse(output, target)

    with pytest.raises(RuntimeError, match="no loss") if fails else contextlib.nullcontext():
        quick(model, loss=loss, validation=data())
    assert [module.training for module in model.modules()] == [False, False, True, False]
    assert model.seen[0][1]


def test_measuring_is_not_recorded():
    recorded = []
    quick(metrics={"m": lambda output, target: recorded.append(is_recording()) or 1.0}, validation=data())
    assert recorded
    assert not any(recorded)


def test_the_device_is_waited_for_once_an_epoch(monkeypatch):
    read, item = [], tr.Tensor.item
    monkeypatch.setattr(tr.Tensor, "item", lambda self: (read.append(self), item(self))[1])
    counts = []

    class Count(Callback):
        def on_batch_end(self, run):
            counts.append(len(read))

    quick(epochs=2, callbacks=[Count()])
    assert counts == [0, 0, 0, 3, 3, 3]


def test_no_tape_outlives_its_batch():
    losses = []

    def loss(output, target):
        losses.append(weakref.ref(value := mse(output, target)))
        return value

    class Dead(Callback):
        def on_batch_end(self, run):
            assert losses[-1]() is None

    quick(loss=loss, callbacks=[Dead()])
    assert len(losses) == 6


# ---- data


@pytest.mark.parametrize("form", ["tensors", "arrays", "lists", "batches"])
def test_data_may_be(form):
    x, y = data()
    forms = {
        "tensors": (x, y),
        "arrays": (x.data, y.data),
        "lists": (X.tolist(), Y.tolist()),
        "batches": [(x[start : start + 4], y[start : start + 4]) for start in (0, 4, 8)],
    }
    model, history = quick(training=forms[form], validation=forms[form], shuffle=False)
    other, expected = quick(training=(x, y), validation=(x, y), shuffle=False)
    np.testing.assert_allclose(model.weight.numpy(), other.weight.numpy(), rtol=1e-5)
    np.testing.assert_allclose(history["validation_loss"], expected["validation_loss"], rtol=1e-5)


def test_data_of_another_backend_than_the_one_in_use(other_backend):
    def trained(there, here):
        with tr.use(there):
            model, training = Line(), data()
        with tr.use(here):
            return quick(model, training, rng=tr.Generator(3))[0].weight.numpy()

    expected = trained("numpy", "numpy")
    np.testing.assert_allclose(trained("numpy", other_backend), expected, rtol=1e-12)
    np.testing.assert_allclose(trained(other_backend, "numpy"), expected, rtol=1e-12)


def rows_seen(model):
    """For each epoch, which rows of X came in which order."""
    rows = [int(abs(X - row).sum(axis=1).argmin()) for seen, *_ in model.seen for row in seen]
    return [rows[start : start + 10] for start in range(0, len(rows), 10)]


def test_each_epoch_has_an_order_of_its_own_and_every_sample_once():
    model, _ = quick(epochs=3, rng=tr.Generator(4))
    epochs = rows_seen(model)
    rng = tr.Generator(4)
    assert epochs == [rng.permutation(10).tolist() for _ in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)


def test_the_order_is_from_the_seed_and_can_be_left_alone():
    def order(**settings):
        tr.seed(9)
        return rows_seen(quick(**settings)[0])

    assert order() == order()
    assert order(shuffle=False) == [list(range(10))] * 2
    assert order() != order(shuffle=False)


def test_batches_are_taken_as_they_are():
    class Loader:
        epochs = 0

        def __iter__(self):
            self.epochs += 1
            x, y = data()
            yield x[self.epochs : self.epochs + 2], y[self.epochs : self.epochs + 2]

    loader = Loader()
    model, _ = quick(training=loader, epochs=3)
    assert loader.epochs == 3
    assert [rows.tolist() for rows, *_ in model.seen] == [X[i : i + 2].tolist() for i in (1, 2, 3)]


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (
            lambda x, y: iter([(x, y)]),
            TypeError,
            r"fit: got data <list_iterator.*, expected a tuple \(inputs, targets\), or batc",
        ),
        (lambda x, y: x, TypeError, r"fit: got data float64\[10, 3\], expected a tuple"),
        (lambda x, y: 3, TypeError, "fit: got data 3, expected a tuple"),
        (lambda x, y: "ab", TypeError, "fit: got data 'ab', expected a tuple"),
        (lambda x, y: {"x": x}, TypeError, "(?s)fit: got data {'x': tensor.*, expected a tuple"),
        (lambda x, y: tensor(1.0), TypeError, r"fit: got data float64\[\], expected a tuple"),
        (lambda x, y: (x, 3), ValueError, r"fit: got inputs float64\[10, 3\] and targets int64\[\], expected as many"),
        (lambda x, y: (3, 3), ValueError, r"fit: got inputs int64\[\] and targets int64\[\], expected as many"),
        (
            lambda x, y: (x, y[:9]),
            ValueError,
            r"fit: got inputs float64\[10, 3\] and targets float64\[9, 2\], expected as many of one as of the other along",
        ),
        (lambda x, y: (x[:0], y[:0]), ValueError, "and at least one"),
        (lambda x, y: (x, tr.full((), 1.0)), ValueError, r"and targets float32\[\], expected as many"),
    ],
)
@pytest.mark.parametrize("place", ["training", "validation"])
def test_data_that_cannot_be_used_is_refused_before_anything_happens(wrong, error, text, place):
    model = Line()
    with pytest.raises(error, match=text):
        quick(model, **{place: wrong(*data())})
    assert model.seen == []


def test_data_without_batches():
    with pytest.raises(
        ValueError, match="fit: the data gave no batches in epoch 1, expected at least one; an iterator serves"
    ):
        quick(training=[])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"epochs": 0}, "fit: got epochs=0, expected an integer of at least 1"),
        ({"batch_size": 0}, "fit: got batch_size=0, expected an integer of at least 1"),
        ({"metrics": {"loss": mse}}, "fit: got a metric called 'loss', which is a column of its own; give it another name"),
        *(
            ({"metrics": {"mine": mse, name: mse}}, f"fit: got a metric called '{name}', which is a column of its own")
            for name in ("penalty", "grad_norm", "lr", "validation_mine")
        ),
        ({"clip_norm": -1.0}, "fit: got clip_norm=-1.0, expected a number of at least 0"),
    ],
)
def test_settings_out_of_range(settings, text):
    with pytest.raises(ValueError, match=text):
        quick(**settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"epochs": 2.5}, "fit: got epochs=2.5, expected an integer of at least 1"),
        ({"batch_size": "4"}, "fit: got batch_size='4', expected an integer"),
        ({"rng": np.random.default_rng(0)}, r"fit: got rng=Generator\(PCG64\).*, expected a tr.Generator, an integer seed"),
        ({"loss": "mse"}, "fit: got loss='mse', expected a function"),
        ({"loss": lambda output, y: 0.5}, r"fit: got loss 0.5, expected a Tensor, without float\(\) or .item\(\)"),
        ({"loss": None}, "fit: got loss=None, expected a function"),
        *(({name: 3}, f"fit: got {name}=3, expected a function") for name in ("transform", "penalty", "count")),
        ({"metrics": {"mine": mse, "other": None}}, "fit: got metric other=None, expected a function"),
        ({"metrics": [mse]}, r"fit: got metrics=\[.*, expected a dict from names to functions of \(output, target\)"),
        ({"capture": 1}, "fit: got capture=1, expected True or False"),
        ({"callbacks": Callback()}, "fit: got callbacks=<.*expected a list of callbacks"),
        (
            {"callbacks": [Callback(), Callback]},
            r"fit: got callbacks=\[<.*expected a list of callbacks, each made by a call",
        ),
        ({"callbacks": [Callback]}, r"fit: got callbacks=\[<class.*expected a list of callbacks, each made by a call"),
        ({"optimizer": tr.optim.SGD}, "fit: got optimizer=<class.*, expected one of tr.optim, made of model.parameters"),
    ],
)
def test_settings_of_the_wrong_type(settings, text):
    with pytest.raises(TypeError, match=text):
        quick(**settings)


def test_numbers_may_be_numpys_and_rng_a_seed():
    model, _ = quick(epochs=np.int64(2), batch_size=np.int32(4), rng=3, clip_norm=np.float32(0.5))
    other, _ = quick(epochs=2, batch_size=4, rng=tr.Generator(3), clip_norm=0.5)
    np.testing.assert_array_equal(model.weight.numpy(), other.weight.numpy())


# ---- the last batch


def network():
    return tr.nn.Sequential(tr.nn.Linear(3, 4), tr.nn.BatchNorm(4), tr.nn.Linear(4, 2))


def test_a_last_batch_of_one_sample_is_named_where_it_fails():  # fastai#1352
    x, y = data()
    settings = {"training": (tr.astype(x, "float32")[:9], tr.astype(y, "float32")[:9]), "epochs": 1}
    with pytest.raises(ValueError, match="value") as caught:
        quick(network(), **settings)
    where = "fit: this was in batch 3 of the data, in epoch 1, the last batch, which has 1 of 4 samples"
    assert caught.value.__notes__ == [f"{where}: drop_last=True leaves it out"]
    _, history = quick(network(), drop_last=True, **settings)
    assert len(history) == 1


def test_drop_last_leaves_out_a_smaller_last_batch_of_training_only():
    model, _ = quick(drop_last=True, validation=data(), epochs=1)
    assert [len(rows) for rows, *_ in model.seen] == [4, 4, 4, 4, 2]
    model, _ = quick(drop_last=True, batch_size=5, epochs=1)
    assert [len(rows) for rows, *_ in model.seen] == [5, 5]
    with pytest.raises(ValueError, match="got drop_last=True, batch_size=11 and 10 samples, which leaves no batch"):
        quick(drop_last=True, batch_size=11)


def test_an_error_says_in_which_batch_it_was():
    def loss(output, target):
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault") as caught:
        quick(loss=loss, training=[data()])
    assert caught.value.__notes__ == ["fit: this was in batch 1 of the data, in epoch 1"]


# ---- optimizers that do not move the model


def test_an_optimizer_of_another_model_is_refused():
    model = Line()
    foreign = tr.optim.SGD(Line().parameters(), lr=0.1)
    with pytest.raises(ValueError, match="an optimizer that holds none of the 1 parameters of Line, so nothing would be"):
        quick(model, optimizer=foreign)
    assert model.seen == []


def test_a_schedule_of_another_optimizer_is_refused():
    schedule = tr.optim.StepLR(tr.optim.SGD(Line().parameters(), lr=0.1), 1)
    with pytest.raises(ValueError, match="fit: got a schedule of another optimizer, which would change nothing here"):
        quick(schedule=schedule)


def test_a_part_that_was_replaced_after_the_optimizer_was_made_is_named():
    model = network()
    optimizer = tr.optim.SGD(model.parameters(), lr=0.1)
    model.layers = (*model.layers[:2], tr.nn.Linear(4, 2))
    x, y = data()
    with pytest.warns(UserWarning, match="parameters that are not the model's, and does not hold 2.weight, 2.bias"):
        quick(model, (tr.astype(x, "float32"), tr.astype(y, "float32")), optimizer=optimizer)


def test_a_part_of_the_model_may_be_left_out_and_other_leaves_may_be_trained_along():
    x, y = data()
    pair = tr.astype(x, "float32"), tr.astype(y, "float32")
    model = network()
    quick(model, pair, optimizer=tr.optim.SGD(model.layers[2].parameters(), lr=0.1))
    scale = tr.tensor(1.0, requires_grad=True)
    optimizer = tr.optim.SGD([*model.parameters(), scale], lr=0.1)
    quick(model, pair, optimizer=optimizer, loss=lambda output, target: mse(scale * output, target))
    assert scale.item() != 1.0


def test_a_loss_that_is_no_number():
    with pytest.raises(ValueError, match=r"fit: got loss float64\[4, 2\], expected one number: take its mean"):
        quick(loss=lambda output, target: tr.square(output - target))


# ---- what a batch goes through


def test_a_transform_has_the_generator_and_is_for_training_only():
    rngs = []

    def shifted(x, y, rng):
        rngs.append(rng)
        return x + 100.0, y[:, :1]

    rng = tr.Generator(1)
    model = Line()
    quick(
        model,
        transform=shifted,
        rng=rng,
        lr=0.0,
        loss=lambda a, b: (a[:, :1] - b[:, :1]).mean(),
        validation=data(),
        epochs=1,
    )
    assert rngs == [rng] * 3
    assert [rows.min() > 50 for rows, *_ in model.seen] == [True] * 3 + [False] * 3


def test_mixup_is_a_transform():
    x, labels = tensor(X), tr.tensor(np.arange(10) % 2, backend=tr.zeros(0).backend)

    def mixed(x, labels, rng):
        share, other = 0.25, tr.Tensor(rng.permutation(len(x)))
        soft = tr.stack([labels == k for k in range(2)], axis=1).astype("float64")
        return share * x + (1 - share) * x[other], share * soft + (1 - share) * soft[other]

    _, history = quick(
        training=(x, labels), loss=tr.losses.cross_entropy, transform=mixed, validation=(x, labels), epochs=30
    )
    assert history["validation_loss"][-1] < history["validation_loss"][0]


def test_clipping_bounds_the_first_step_and_names_a_parameter_without_a_finite_gradient():
    model, _ = quick(training=(tensor(1e4 * X), tensor(Y)), lr=1.0, clip_norm=0.5, epochs=1, batch_size=10)
    assert np.linalg.norm(model.weight.numpy() - 0.25) == pytest.approx(0.5, rel=1e-6)
    with pytest.raises(RuntimeError, match="parameter weight"):
        quick(training=(tensor(np.full((4, 3), np.nan)), tensor(Y[:4])), clip_norm=0.5)


def test_the_norm_in_the_history_is_that_before_clipping_and_there_where_gradients_are_clipped():
    _, free = quick(lr=0.0, clip_norm=math.inf, batch_size=10)
    _, clipped = quick(lr=0.0, clip_norm=1e-3, batch_size=10, validation=data())
    assert clipped["grad_norm"] == pytest.approx(free["grad_norm"], rel=1e-12)
    assert list(clipped[0]) == ["loss", "grad_norm", "validation_loss"]
    assert "grad_norm" not in quick()[1].columns


def test_the_norm_is_the_same_where_nobody_looks_at_gradients():
    settings = {"rng": tr.Generator(0), "lr": 0.2, "clip_norm": 0.5}
    with tr.unchecked("gradients"):
        _, unchecked = quick(**settings)
    _, checked = quick(**settings | {"rng": tr.Generator(0)})
    assert unchecked["grad_norm"] == pytest.approx(checked["grad_norm"], rel=1e-12)


def test_a_schedule_steps_after_each_epoch_and_the_history_has_the_rate_of_the_epoch():
    model = Line()
    optimizer = tr.optim.SGD(model.parameters(), lr=0.5)
    schedule = tr.optim.StepLR(optimizer, step_size=2, gamma=0.5)
    _, history = quick(model, optimizer=optimizer, schedule=schedule, epochs=5)
    assert history["lr"] == [0.5, 0.5, 0.25, 0.25, 0.125]
    assert optimizer.lr == 0.125


def test_a_run_that_diverges_says_so_in_its_history():
    with np.errstate(all="ignore"):
        _, history = quick(lr=1e200, epochs=3)
    assert not math.isfinite(history[-1]["loss"])
