"""`fit(capture=True)`: the same numbers as without, whatever it is told; what is replayed, and what is refused."""

import sys

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import losses, nn, optim, training
from tinyreg.augment import mixup

EPOCHS = 6


def samples(n=70, seed=0):
    """Of three classes, in batches of 16 with a short last one."""
    rng = np.random.default_rng(seed)
    return tr.tensor(rng.normal(size=(n, 5)).astype("float32")), tr.tensor(rng.integers(0, 3, n))


def network():
    rng = tr.Generator(1)
    return nn.Sequential(
        nn.Linear(5, 8, rng=rng), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.3, rng=rng), nn.Linear(8, 3, rng=rng)
    )


def sgd(model):
    return optim.SGD(model.parameters(), lr=0.1, momentum=0.9, l2=0.01)


def adamw(model):
    return optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.1)


def weights_squared(model):
    return tr.regularizers.l2(tr.concat([p.reshape((-1,)) for p in model.parameters()]), 0.01)


def halved(optimizer):
    return optim.StepLR(optimizer, 2, gamma=0.5)


def mixed(x, y, rng):
    return mixup(x, y, alpha=0.4, num_classes=3, rng=rng)


def trained(capture, *, optimizer=sgd, schedule=None, callbacks=(), epochs=EPOCHS, loss=losses.cross_entropy, **settings):
    """The rows of the history, and all that the model and the optimizer hold, after training."""
    model = network()
    own = optimizer(model)
    settings |= {"schedule": schedule(own)} if schedule else {}
    history = training.fit(
        model,
        samples(),
        loss=loss,
        optimizer=own,
        epochs=epochs,
        batch_size=16,
        rng=2,
        callbacks=[make(model) for make in callbacks],
        progress=False,
        capture=capture,
        **settings,
    )
    return list(map(dict, history)), model.state_dict(), own.state_dict()


def assert_same(found, expected):
    """The same numbers in every bit, and in the same places."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif hasattr(expected, "numpy") or isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    else:
        assert found == expected


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": adamw},
        {"clip_norm": 0.5},
        {"penalty": weights_squared},
        {"schedule": halved, "optimizer": adamw},
        {"metrics": {"accuracy": tr.metrics.accuracy}},
        {"validation": samples(20, seed=1)},
        {"validation": samples(20, seed=1), "callbacks": [lambda model: training.EarlyStopping(patience=1)]},
        {"loss": lambda logits, y: losses.cross_entropy(logits, y, reduction="sum"), "reduction": "sum"},
        {"drop_last": True, "shuffle": False},
    ],
)
def test_the_numbers_are_the_same(settings):
    assert_same(trained(True, **settings), trained(False, **settings))


def test_a_transform_draws_anew_for_every_batch():
    model = network()
    x = tr.tensor(np.random.default_rng(0).random((70, 1, 4, 4)).astype("float32"))
    found = []
    for capture in (False, True):
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3, rng=tr.Generator(0)))
        history = training.fit(
            model,
            (x, samples()[1]),
            loss=losses.cross_entropy,
            optimizer=sgd(model),
            epochs=EPOCHS,
            rng=3,
            transform=mixed,
            progress=False,
            capture=capture,
        )
        found.append(history["loss"])
    assert found[0] == found[1]
    assert len(set(found[1])) == EPOCHS


def test_the_model_is_run_for_three_batches_of_a_shape_and_then_no_more(capsys):
    def loss(logits, y):
        sys.stdout.write("run")
        return losses.cross_entropy(logits, y)

    trained(True, loss=loss)
    batches, rest = 3, 3
    assert capsys.readouterr().out.count("run") == batches + rest  # 16 samples, and the last 6
    trained(False, loss=loss)
    assert capsys.readouterr().out.count("run") == 5 * EPOCHS


def test_a_run_that_was_ended_goes_on_captured_or_not_and_gives_the_same(tmp_path):
    expected = trained(False, optimizer=adamw)
    for first, then in [(True, True), (True, False), (False, True)]:
        file = tmp_path / f"{first}{then}.safetensors"
        trained(first, optimizer=adamw, epochs=2, checkpoint=file)
        assert_same(trained(then, optimizer=adamw, checkpoint=file)[:2], expected[:2])


def test_what_is_refused_says_the_line_and_the_batch():
    def loss(logits, y):
        value = losses.cross_entropy(logits, y)
        return value * 2 if value.item() > 1 else value

    with pytest.raises(tr.CaptureError, match=r"value\.item\(\) > 1") as error:
        trained(True, loss=loss)
    assert any("batch 2 of the data" in note for note in error.value.__notes__)


def test_an_error_of_a_replayed_batch_is_that_of_the_step_and_leaves_what_it_leaves():
    x, y = samples(16)
    data = [(x, y)] * 5 + [(x, tr.tensor(np.full(16, 3)))]
    left = []
    for capture in (False, True):
        model = network()
        with pytest.raises(IndexError, match="a label is no class") as error:
            training.fit(
                model, data, loss=losses.cross_entropy, optimizer=sgd(model), epochs=1, progress=False, capture=capture
            )
        assert any("batch 6 of the data" in note for note in error.value.__notes__)
        left.append(model.state_dict())
    assert_same(left[1], left[0])


@pytest.mark.parametrize("name", ["capture", "shuffle", "drop_last"])
def test_what_is_neither_true_nor_false_is_refused(name):
    with pytest.raises(TypeError, match=f"fit: got {name}='no', expected True or False"):
        trained(**{"capture": False, name: "no"})
