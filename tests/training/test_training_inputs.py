"""What fit takes for inputs and targets: one or several, and what is no pair."""

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
    "form", [lambda x, y: (x, y, y), lambda x, y: [(x, y, y)], lambda x, y: [x], lambda x, y: [{"x": x}]]
)
def test_three_things_in_a_batch_and_what_else_is_no_pair(form):
    with pytest.raises(
        TypeError, match=r"fit: got .* expected a pair \(inputs, targets\); several .* \(x, \(y, weights\)\)"
    ):
        quick(training=form(*data()))


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
