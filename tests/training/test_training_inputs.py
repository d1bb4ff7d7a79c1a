"""What fit takes for inputs and targets: one or several, and what is no pair."""

import re

import numpy as np
import pytest
from fits import Line, X, Y, data, mse, quick, tensor

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")


class Both(Line):
    def forward(self, x):
        one, other = x.values() if isinstance(x, dict) else x
        return super().forward(one) + 0.0 * other[:, :1]


@pytest.mark.parametrize("form", ["tuple", "dict", "dict of arrays", "tuple of lists and arrays"])
def test_inputs_and_targets_may_be_several(form):
    x, y = data()
    forms = {
        "tuple": ((x, 2 * x), (y, x)),
        "dict": ({"one": x, "other": 2 * x}, {"y": y, "x": x}),
        "dict of arrays": ({"one": x.data, "other": 2 * x.data}, {"y": y.data, "x": x.data}),
        "tuple of lists and arrays": ((x, X.tolist()), (y, X.tolist())),
    }

    def loss(output, target):
        y, x = target.values() if isinstance(target, dict) else target
        assert len(x) == len(y)
        return mse(output, y)

    pair = forms[form]
    model, history = quick(Both(), pair, loss=loss, validation=pair, rng=tr.Generator(0))
    other, expected = quick(validation=(x, y), rng=tr.Generator(0))
    np.testing.assert_allclose(model.weight.numpy(), other.weight.numpy(), rtol=1e-6)
    np.testing.assert_allclose(history["validation_loss"], expected["validation_loss"], rtol=1e-6)


def test_of_several_all_have_as_many_samples():
    x, y = data()
    with pytest.raises(ValueError, match=r"got inputs float64\[10, 3\], float64\[9, 3\] and targets float64\[10, 2\]"):
        quick(training=((x, x[:9]), y))


@pytest.mark.parametrize(
    ("form", "got"),
    [
        (lambda x, y: (x, y, y), r"data of 3 parts, float64\[10, 3\], float64\[10, 2\], float64\[10, 2\]"),
        (
            lambda x, y: ((x, x), y, y),
            r"data of 3 parts, float64\[10, 3\], float64\[10, 3\], float64\[10, 2\], float64\[10, 2\]",
        ),
        (lambda x, y: [(x, y, y)], "a batch of 3 things"),
        (lambda x, y: [[x, y, y]], "a batch of 3 things"),
        (lambda x, y: [x], r"a batch of float64\[10, 3\]"),
        (lambda x, y: [{"x": x}], "a batch of 1 things"),
        (lambda x, y: [3], "a batch of 3"),
        (lambda x, y: ["xy"], "a batch of 'xy'"),
    ],
)
def test_three_things_in_a_batch_and_what_else_is_no_pair(form, got):
    with pytest.raises(
        TypeError, match=rf"^fit: got {got}, expected a pair \(inputs, targets\); several .* \(x, \(y, weights\)\)"
    ):
        quick(training=form(*data()))


def test_batches_may_be_lists_and_stand_in_a_tuple():
    x, y = data()
    expected, _ = quick(shuffle=False, drop_last=True, batch_size=3)
    for batches in (
        tuple((x[i : i + 3], y[i : i + 3]) for i in (0, 3, 6)),
        [[x[i : i + 3], y[i : i + 3]] for i in (0, 3, 6)],
    ):
        model, _ = quick(training=batches)
        np.testing.assert_array_equal(model.weight.numpy(), expected.weight.numpy())


@pytest.mark.parametrize(("samples", "size", "batches"), [(5, 3, [3]), (3, 3, [3]), (8, 3, [3, 3])])
def test_the_batches_without_a_smaller_last_one(samples, size, batches):
    model, _ = quick(training=tuple(part[:samples] for part in data()), batch_size=size, drop_last=True, epochs=1)
    assert [len(rows) for rows, *_ in model.seen] == batches


@pytest.mark.parametrize(
    ("samples", "what", "at", "where"),
    [
        (6, "data", 1, "batch 1 of the data, in epoch 1"),
        (6, "data", 3, "batch 3 of the data, in epoch 1"),  # of even size
        (5, "data", 2, "batch 2 of the data, in epoch 1"),
        (5, "data", 3, "batch 3 of the data, in epoch 1, the last batch, which has 1 of 2 samples: drop_last=True lea.*"),
        (3, "data", 2, "batch 2 of the data, in epoch 1, the last batch, which has 1 of 2 samples: drop_last=True lea.*"),
        (1, "data", 1, "batch 1 of the data, in epoch 1"),  # the only one
        (5, "validation", 3, "batch 3 of the validation, in epoch 1, the last batch, which has 1 of 2 samples"),
    ],
)
def test_an_error_says_in_which_batch_it_was_and_whether_that_is_the_last_one(samples, what, at, where):
    calls = []

    def loss(output, target):
        if tr.core.tape.is_recording() == (what == "data"):
            calls.append(target)
        if len(calls) == at:
            raise ArithmeticError
        return mse(output, target)

    pair = tuple(part[:samples] for part in data())
    with pytest.raises(ArithmeticError) as caught:
        quick(training=pair, validation=pair, loss=loss, batch_size=2)
    assert [re.fullmatch(f"fit: this was in {where}", note) is not None for note in caught.value.__notes__] == [True]


def test_inputs_and_targets_come_as_tensors_whatever_was_given():
    kinds = []

    def transform(x, y, rng):
        kinds.extend(map(type, (x, *y.values())))
        return x, y["y"]

    x, y = data()
    for pair in ((x.data, {"y": y.data}), (X.tolist(), {"y": Y.tolist()}), (x, {"y": y})):
        quick(training=pair, transform=transform, epochs=1)
    assert set(kinds) == {tr.Tensor}


def test_two_lists_of_a_batch_are_one_array_each():
    model, _ = quick(training=(tuple(map(tuple, X)), tuple(map(tuple, Y))), epochs=1, shuffle=False)
    assert [len(rows) for rows, *_ in model.seen] == [4, 4, 2]


class Frame:
    """What matters of a data frame."""

    size, shape = 4, (2, 2)

    def __array__(self, dtype=None, copy=None):
        return np.ones((2, 2))

    def __len__(self):
        return 2

    def __iter__(self):
        return iter(["a", "b"])


def test_a_data_frame_is_no_data():
    with pytest.raises(TypeError, match="fit: got data <.*Frame object.*, expected a tuple"):
        quick(training=Frame())


def test_arrays_are_no_batches():
    with pytest.raises(TypeError, match=r"fit: got data float64\[10, 3\], expected a tuple"):
        quick(training=np.zeros((10, 3)))


def test_weights_of_samples_beside_the_targets():
    weights = tensor(np.arange(10.0))

    def loss(output, target):
        y, w = target
        return (w * tr.square(output - y).mean(axis=1)).mean()

    _, history = quick(training=(tensor(X), (tensor(Y), weights)), loss=loss, lr=0.0)
    expected = (np.arange(10) * ((X @ np.ones((3, 2)) / 4 - Y) ** 2).mean(axis=1)).mean()
    assert history[0]["loss"] == pytest.approx(expected)


def test_data_that_end_after_an_epoch_are_named():
    class Once:
        def __init__(self):
            self.batches = iter([data()])

        def __iter__(self):
            return self.batches

    with pytest.raises(ValueError, match="fit: the data gave no batches in epoch 2, .*an iterator serves once"):
        quick(training=Once())
    with pytest.raises(ValueError, match="fit: the validation gave no batches in epoch 2"):
        quick(validation=Once())


class Last(Line):
    def forward(self, x):
        return super().forward(next(iter(x[-1].values())) if isinstance(x[-1], dict) else x[-1])


@pytest.mark.parametrize("form", ["dicts", "a list and an array"])
def test_a_tuple_of_several_may_hold_dicts_and_begin_with_a_list(form):
    x, y = data()
    inputs = {"dicts": ({"one": X.tolist()}, {"other": X.tolist()}), "a list and an array": (X.tolist(), x)}[form]
    if form == "dicts":
        y = tr.tensor(Y, dtype="float32", backend=y.backend)
    model, _ = quick(Last(), (inputs, y), rng=tr.Generator(0))
    other, _ = quick(rng=tr.Generator(0))
    np.testing.assert_allclose(model.weight.numpy(), other.weight.numpy(), rtol=1e-5)


def test_numbers_of_python_in_a_batch_count_one_each():
    x, _ = data()
    batches = [(x[:2], [1.0, 2.0]), (x[2:5], tensor([3.0, 4.0, 5.0]))]

    def loss(output, y):
        return mse(output[:, 0], tensor(y) if isinstance(y, list) else y)

    model, history = quick(training=batches, loss=loss, epochs=1, lr=0.0)
    expected = ((X[:5] @ model.weight.numpy()[:, 0] - np.arange(1.0, 6.0)) ** 2).mean()
    assert history["loss"][0] == pytest.approx(expected)


def test_inputs_without_an_array_are_said_to_be_nothing():
    with pytest.raises(ValueError, match="^fit: got inputs nothing and targets nothing, expected as many of one"):
        quick(training=({}, {}))
