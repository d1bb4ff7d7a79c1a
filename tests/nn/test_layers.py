"""Layers by what they do: convolution, pooling, embedding, activations, and where weights start.

Values and derivatives are compared in the table of cases and in test_torch_values.py.
"""

import math

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import nn

pytestmark = pytest.mark.usefixtures("backend")

rng = np.random.default_rng(11)


def tensor(values, dtype="float32", requires_grad=False):
    here = tr.zeros(0).backend
    return tr.tensor(np.asarray(values), dtype=dtype, backend=here, requires_grad=requires_grad)


def images(*shape):
    return tensor(rng.normal(size=shape))


# ---- convolution and pooling


def test_a_small_convolutional_network_learns():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=tr.Generator(0)),
        nn.BatchNorm(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, rng=tr.Generator(1)),
        nn.GELU(),
        nn.GlobalAvgPool2d(),
        nn.Linear(8, 2, nonlinearity="linear", rng=tr.Generator(2)),
    )
    labels = tensor(rng.integers(0, 2, 32), "int64")
    x = images(32, 1, 8, 6) + labels.astype("float32").reshape((-1, 1, 1, 1))
    optimizer = tr.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = tr.losses.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5


def test_conv2d_is_the_function_with_its_parameters():
    layer = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, rng=tr.Generator(0))
    x = images(2, 4, 5, 6)
    expected = tr.conv2d(x, layer.weight, layer.bias, stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
    np.testing.assert_array_equal(layer(x).numpy(), expected.numpy())
    assert layer.weight.shape == (6, 2, 3, 2)
    assert (layer.weight.decay, layer.bias.decay) == (True, False)
    assert [name for name, _ in nn.Conv2d(1, 1, 1, bias=False).named_parameters()] == ["weight"]


def test_convolution_starts_as_he_has_it():
    layer = nn.Conv2d(16, 64, 5, groups=2, rng=tr.Generator(0))
    n = layer.weight.size
    assert layer.weight.numpy().var() == pytest.approx(2 / (8 * 25), rel=4 * math.sqrt(2 / n))


def test_layers_print_as_they_were_made():
    assert repr(nn.Conv2d(1, 2, 3)) == "Conv2d(1, 2, kernel_size=3)"
    assert repr(nn.Conv2d(2, 2, (3, 1), stride=2, padding="valid", groups=2, bias=False)) == (
        "Conv2d(2, 2, kernel_size=(3, 1), stride=2, padding='valid', groups=2, bias=False)"
    )
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(2)"
    assert repr(nn.AvgPool2d(2, stride=1)) == "AvgPool2d(2, stride=1)"
    assert repr(nn.BatchNorm(3, running="unbiased")) == "BatchNorm(3, eps=1e-05, momentum=0.1, running='unbiased')"
    assert repr(nn.LayerNorm(3)) == "LayerNorm((3,), eps=1e-05)"
    assert repr(nn.Dropout(0.25)) == "Dropout(p=0.25)"
    assert repr(nn.SpectralNorm(nn.Linear(2, 3))) == "SpectralNorm(iterations=1\n  (layer): Linear(2, 3)\n)"
    assert repr(nn.Embedding(5, 2, padding_idx=0)) == "Embedding(5, 2, padding_idx=0)"
    assert repr(nn.LeakyReLU(0.2)) == "LeakyReLU(negative_slope=0.2)"


def test_groups_that_divide_neither_are_refused():
    with pytest.raises(ValueError, match="Conv2d: got 3 and 4 channels and groups=2, expected a divisor of both"):
        nn.Conv2d(3, 4, 1, groups=2)


# ---- embedding


def test_an_embedding_adds_up_the_gradients_of_repeated_rows():
    layer = nn.Embedding(4, 3, rng=tr.Generator(0))
    y = layer(tensor([[1, 2], [1, 1]], "int64"))
    np.testing.assert_array_equal(y.numpy(), layer.weight.numpy()[[[1, 2], [1, 1]]])
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), [[0.0] * 3, [3.0] * 3, [1.0] * 3, [0.0] * 3])


def test_a_padding_row_is_0_and_stays_so():
    layer = nn.Embedding(4, 3, padding_idx=2, rng=tr.Generator(0))
    layer(tensor([2, 1, 2], "int64")).sum().backward()
    tr.optim.SGD(layer.parameters(), lr=0.1, weight_decay=0.1).step()
    assert layer.weight.numpy()[2].tolist() == [0.0, 0.0, 0.0]
    assert layer.weight.numpy()[1].any()


@pytest.mark.parametrize("index", [[4], [-1]])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(IndexError, match="Embedding: got an index out of range, expected 0 to 3"):
        nn.Embedding(4, 3)(tensor(index, "int64"))


def test_indices_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match=r"Embedding: got float32\[2\], expected integers: which rows to take"):
        nn.Embedding(4, 3)(tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="Embedding: got padding_idx=4, expected 0 to 3"):
        nn.Embedding(4, 3, padding_idx=4)


# ---- activations

ACTIVATIONS = [
    (nn.ReLU(), tr.relu),
    (nn.LeakyReLU(0.2), lambda x: tr.leaky_relu(x, 0.2)),
    (nn.ELU(0.5), lambda x: tr.elu(x, 0.5)),
    (nn.GELU(), tr.gelu),
    (nn.GELU("tanh"), lambda x: tr.gelu(x, "tanh")),
    (nn.SiLU(), tr.silu),
    (nn.Sigmoid(), tr.sigmoid),
    (nn.Tanh(), tr.tanh),
    (nn.Softplus(2.0), lambda x: tr.softplus(x, beta=2.0)),
    (nn.Softmax(dim=0), lambda x: tr.softmax(x, axis=0)),
    (nn.LogSoftmax(dim=0), lambda x: tr.log_softmax(x, axis=0)),
]


@pytest.mark.parametrize(("layer", "function"), ACTIVATIONS, ids=lambda v: repr(v) if isinstance(v, nn.Module) else "")
def test_activation_layers_are_their_functions(layer, function):
    x = images(3, 4)
    np.testing.assert_array_equal(layer(x).numpy(), function(x).numpy())
    assert layer.parameters() == []


# ---- initial values


@pytest.mark.parametrize("nonlinearity", ["relu", "leaky_relu", "elu", "gelu", "silu"])
def test_he_in_front_of_relu_and_its_kin(nonlinearity):
    w = tr.tensor(nn.init.weight((300, 200), nonlinearity, rng=tr.Generator(0))).numpy()
    assert w.var() == pytest.approx(2 / 200, rel=4 * math.sqrt(2 / w.size))
    assert abs(w).max() > 3 * math.sqrt(2 / 200)  # normal, not uniform


@pytest.mark.parametrize("nonlinearity", ["linear", "tanh", "sigmoid", "softmax"])
def test_glorot_elsewhere(nonlinearity):
    w = tr.tensor(nn.init.weight((300, 200), nonlinearity, rng=tr.Generator(0))).numpy()
    assert w.var() == pytest.approx(2 / 500, rel=4 * math.sqrt(0.8 / w.size))
    assert abs(w).max() <= math.sqrt(6 / 500)
    layer = nn.Linear(200, 300, nonlinearity=nonlinearity, rng=tr.Generator(0))
    np.testing.assert_array_equal(layer.weight.numpy(), w)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3), (4, 4)])
def test_orthogonal_rows_or_columns(shape):
    w = tr.tensor(nn.init.orthogonal(shape, gain=2.0, rng=tr.Generator(0), dtype="float64")).numpy()
    matrix = w.reshape(shape[0], -1)
    gram = min((matrix @ matrix.T, matrix.T @ matrix), key=len)
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_signals_keep_their_size_through_many_layers():
    x = images(100, 256)
    for i in range(20):
        x = tr.relu(nn.Linear(256, 256, rng=tr.Generator(i))(x))
    assert 0.2 < tr.mean(tr.square(x)).item() < 5


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.init.weight((2, 2), "step"), "init.weight: got nonlinearity 'step', expected one of 'relu', "),
        (lambda: nn.init.glorot_uniform((2, 0), 0, 2), "glorot_uniform: got fan_in=0, expected at least 1"),
        (lambda: nn.init.weight((3,)), r"init.fans: got shape \[3\], expected \(outputs, inputs\)"),
        (lambda: nn.Conv2d(1, 1, (3,)), r"Conv2d: got kernel_size=\(3,\), expected an integer of at least 1 or a pair"),
        (lambda: nn.init.orthogonal((3,)), r"orthogonal: got shape \[3\], expected at least two axes"),
    ],
)
def test_initial_values_that_cannot_be(call, text):
    with pytest.raises(ValueError, match=text):
        call()
