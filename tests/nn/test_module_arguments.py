"""What modules take: states of PyTorch, generators, numbers of NumPy, and dtypes."""

import collections

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import nn

# ---- states of PyTorch


class Torch:
    """What matters of a torch.Tensor: a dtype that is not NumPy's, a gradient that has to be cut off, and a device."""

    def __init__(self, array, dtype, requires_grad=True, on_host=False):
        self.array, self.dtype, self.requires_grad, self.on_host = array, dtype, requires_grad, on_host
        self.shape = array.shape

    def detach(self):
        return Torch(self.array, self.dtype, False, self.on_host)

    def cpu(self):
        return Torch(self.array, self.dtype, self.requires_grad, True)

    def float(self):
        return Torch(self.array.astype("float32"), "torch.float32", self.requires_grad, self.on_host)

    def numpy(self):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if not self.on_host or self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16" if self.on_host else "can't convert cuda:0 device type")
        return self.array


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.float16", "torch.bfloat16", "torch.float64"])
def test_a_state_of_tensors_of_pytorch_is_loaded(dtype):
    layer = nn.BatchNorm(2)
    wanted = {"weight": [1.5, 2.0], "bias": [0.5, -1.0], "running_mean": [3.0, 4.0], "running_var": [0.5, 2.0]}
    array_dtype = "float64" if dtype == "torch.float64" else "float16" if dtype == "torch.float16" else "float32"
    state = {name: Torch(np.array(values, array_dtype), dtype) for name, values in wanted.items()}
    state["num_batches_tracked"] = Torch(np.array(7), "torch.int64", requires_grad=False)
    layer.load_state_dict(collections.OrderedDict(state))
    assert {name: value.tolist() for name, value in layer.state_dict().items()} == {**wanted, "num_batches_tracked": 7}
    assert layer.weight.dtype == "float32"
    assert layer.weight.requires_grad


def test_a_tensor_of_pytorch_of_another_shape_changes_nothing():
    layer = nn.Linear(2, 1, rng=0)
    before = layer.weight.numpy()
    state = {"weight": Torch(np.zeros((1, 2), "float32"), "torch.float32"), "bias": Torch(np.zeros(3), "torch.float64")}
    with pytest.raises(ValueError, match=r"load_state_dict: got bias float64\[3\], expected float32\[1\]"):
        layer.load_state_dict(state)
    np.testing.assert_array_equal(layer.weight.numpy(), before)


# ---- generators, and numbers of NumPy

LAYERS = {
    "Linear": lambda rng: nn.Linear(3, 2, rng=rng),
    "MultiHeadAttention": lambda rng: nn.MultiHeadAttention(4, 2, 0.5, rng=rng),
    "TransformerBlock": lambda rng: nn.TransformerBlock(4, 2, 3, rng=rng),
    "SpectralNorm": lambda rng: nn.SpectralNorm(nn.Linear(3, 2, rng=tr.Generator(9)), rng=rng),
    "Dropout": lambda rng: nn.Sequential(nn.Dropout(0.5, rng=rng)),
    "DropConnect": lambda rng: nn.DropConnect(nn.Linear(3, 2, rng=tr.Generator(9)), rng=rng),
    "init.weight": lambda rng: nn.Parameter(nn.init.weight((3, 2), rng=rng)),
    "init.he_normal": lambda rng: nn.Parameter(nn.init.he_normal((3, 2), 2, rng=rng)),
    "init.glorot_uniform": lambda rng: nn.Parameter(nn.init.glorot_uniform((3, 2), 2, 3, rng=rng)),
    "init.orthogonal": lambda rng: nn.Parameter(nn.init.orthogonal((3, 2), rng=rng)),
}


def values(made):
    return [value.numpy() for value in (made.state_dict().values() if isinstance(made, nn.Module) else [made])]


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("seed", [0, 42, np.int64(3)])
def test_a_seed_stands_for_its_generator(make, seed):
    for found, expected in zip(values(make(seed)), values(make(tr.Generator(int(seed)))), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("rng", [np.random.default_rng(0), 0.5, True, "seed"])
def test_what_is_no_generator_is_refused(make, rng):
    with pytest.raises(TypeError, match=r"\w: got rng=.*, expected a tr.Generator, an integer seed"):
        make(rng)


def test_all_parts_of_a_layer_draw_from_one_generator_and_go_on_from_there():
    layer = nn.MultiHeadAttention(4, 1, 0.5, rng=0)
    assert layer.dropout.rng.state != tr.Generator(0).state
    assert not np.array_equal(layer.in_proj_weight.numpy()[:4], layer.out_proj.weight.numpy())
    drop = nn.Dropout(0.5, rng=0)
    assert not np.array_equal(drop(tr.ones(50)).numpy(), drop(tr.ones(50)).numpy())
    assert nn.Dropout(0.5).rng is None  # the default one, whichever that is by then


def test_numbers_of_numpy_are_numbers():
    two, half, four = np.int64(2), np.float32(0.5), np.array(4)
    x = tr.ones((3, 2))
    assert nn.Linear(two, four, rng=0)(x).shape == (3, 4)
    assert nn.LayerNorm(two, eps=half)(x).shape == nn.RMSNorm((two,), half)(x).shape == (3, 2)
    assert repr(nn.LayerNorm(two)) == "LayerNorm((2,), eps=1e-05)"
    assert nn.BatchNorm(two, half, half)(x).dtype == nn.GroupNorm(two, two)(x).dtype == "float32"
    assert nn.InstanceNorm(two)(tr.ones((1, 2, 2))).dtype == "float32"
    assert nn.MultiHeadAttention(four, two, half)(*[tr.ones((1, 1, 4))] * 3)[0].dtype == "float32"
    assert nn.TransformerBlock(four, two, two, half)(tr.ones((1, 1, 4))).dtype == "float32"
    assert nn.Dropout(half)(x).dtype == nn.DropConnect(nn.Linear(2, 2), half)(x).dtype == "float32"
    for layer in (nn.LeakyReLU(half), nn.ELU(half), nn.Softplus(half), nn.Softmax(np.int64(0)), nn.Flatten(np.int64(1))):
        assert layer(x).dtype == "float32"
    assert len(nn.monte_carlo_predict(nn.Sequential(nn.Dropout(half)), x, passes=two)) == 2


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.Linear(2.5, 2), TypeError, r"Linear: got in_features=2.5, expected an integer of at least 0"),
        (lambda: nn.Linear(2, -1), ValueError, r"Linear: got out_features=-1, expected an integer of at least 0"),
        (lambda: nn.Linear(2, True), TypeError, r"Linear: got out_features=True"),
        (lambda: nn.LayerNorm("2"), TypeError, r"normalized_shape: got size='2', expected an integer"),
        (lambda: nn.BatchNorm(2, eps=-1), ValueError, r"BatchNorm: got eps=-1, expected a number of at least 0"),
        (
            lambda: nn.BatchNorm(2, momentum="0.1"),
            TypeError,
            r"BatchNorm: got momentum='0.1', expected a share from 0 to 1",
        ),
        (lambda: nn.GroupNorm(1.0, 2), TypeError, r"GroupNorm: got num_groups=1.0"),
        (lambda: nn.MultiHeadAttention(4, 2.0), TypeError, r"MultiHeadAttention: got num_heads=2.0"),
        (lambda: nn.Dropout("0.5"), TypeError, r"Dropout: got p='0.5', expected a share from 0 to 1"),
        (lambda: nn.Dropout(float("nan")), ValueError, r"Dropout: got p=nan"),
        (lambda: nn.Conv2d(0, 2, 3), ValueError, r"Conv2d: got in_channels=0, expected an integer of at least 1"),
        (lambda: nn.Conv2d(2, -2, 3), ValueError, r"Conv2d: got out_channels=-2, expected an integer of at least 1"),
        (lambda: nn.Conv2d(2, 2, 3, groups=1.5), TypeError, r"Conv2d: got groups=1.5, expected an integer"),
        (lambda: nn.Embedding("7", 2), TypeError, r"Embedding: got num_embeddings='7', expected an integer of at least 1"),
        (lambda: nn.Embedding(0, 2), ValueError, r"Embedding: got num_embeddings=0, expected an integer of at least 1"),
        (lambda: nn.Embedding(7, 0), ValueError, r"Embedding: got embedding_dim=0, expected an integer of at least 1"),
    ],
)
def test_what_is_no_number_is_refused_when_the_layer_is_made(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_dir_is_what_is_public():
    assert dir(nn) == sorted(nn.__all__)
    assert all(hasattr(nn, name) for name in dir(nn))


# ---- dtypes


def attended(x):
    return nn.MultiHeadAttention(4, 2)(x, x, x)


TAKERS = {
    "Linear": (lambda x: nn.Linear(4, 2)(x), (3, 1, 4)),
    "LayerNorm": (lambda x: nn.LayerNorm(4)(x), (3, 1, 4)),
    "RMSNorm": (lambda x: nn.RMSNorm(4)(x), (3, 1, 4)),
    "GroupNorm": (lambda x: nn.GroupNorm(2, 4)(x), (3, 4)),
    "InstanceNorm": (lambda x: nn.InstanceNorm(4, affine=True)(x), (3, 4, 2)),
    "BatchNorm": (lambda x: nn.BatchNorm(4)(x), (3, 4)),
    "BatchNorm out of training": (lambda x: nn.BatchNorm(4, affine=False).eval()(x), (3, 4)),
    "MultiHeadAttention": (attended, (3, 1, 4)),
    "TransformerBlock": (lambda x: nn.TransformerBlock(4, 2, 3)(x), (3, 1, 4)),
    "WeightNorm": (lambda x: nn.WeightNorm(nn.Linear(4, 2))(x), (3, 4)),
    "Conv2d": (lambda x: nn.Conv2d(1, 2, 1)(x), (3, 1, 2, 2)),
    "RNN": (lambda x: nn.RNN(4, 2)(x), (3, 1, 4)),
    "LSTM": (lambda x: nn.LSTM(4, 2)(x), (3, 1, 4)),
    "GRU": (lambda x: nn.GRU(4, 2)(x), (3, 1, 4)),
}


@pytest.mark.parametrize(("call", "shape"), TAKERS.values(), ids=TAKERS)
@pytest.mark.parametrize("dtype", ["float64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_an_input_never_decides_the_dtype(call, shape, dtype, kind):
    x = np.ones(shape, dtype)
    with pytest.raises(TypeError, match=rf'got (x|query) {dtype}.*, expected float32, .*; use \w+.astype\("float32"\)'):
        call(tr.tensor(x) if kind == "tensor" else x)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_mixed_precision_is_refused_both_ways_but_by_norms_of_float16(dtype):
    wide, narrow = tr.ones((3, 4)), tr.ones((3, 4), dtype="float16")
    with pytest.raises(TypeError, match=r"Linear: got x float16\[3, 4\], expected float32"):
        nn.Linear(4, 2)(narrow)
    assert nn.LayerNorm(4)(narrow).dtype == nn.BatchNorm(4)(narrow).dtype == "float16"
    tr.set_default_dtype("float16")
    try:
        layers = nn.Linear(4, 2), nn.LayerNorm(4)
    finally:
        tr.set_default_dtype("float32")
    for layer in layers:
        with pytest.raises(TypeError, match=r"got x float32\[3, 4\], expected float16"):
            layer(wide)
        assert layer(narrow).dtype == "float16"


def test_what_is_no_array_is_named():
    with pytest.raises(TypeError, match=r"Linear: got \[\[1.0, 2.0\]\], expected a Tensor, an array of numpy .*tr.tensor"):
        nn.Linear(2, 1)([[1.0, 2.0]])
    with pytest.raises(TypeError, match=r"BatchNorm: got .*Torch object.*, expected a Tensor, an array of numpy"):
        nn.BatchNorm(2)(Torch(np.ones((3, 2)), "torch.float32"))
    with pytest.raises(TypeError, match=r"Linear: got x=1.5, expected a Tensor or an array of float32"):
        nn.Linear(2, 1)(1.5)


@pytest.mark.parametrize("training", [True, False])
def test_check_gradients_takes_a_network_of_float32(training):
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.BatchNorm(4), nn.Linear(4, 1, rng=1)).train(training)
    report = tr.testing.check_gradients(model, np.random.default_rng(0).normal(size=(5, 3)), order=1)
    assert report, str(report)
    with pytest.raises(TypeError, match="Linear: got x float64"):
        model(np.ones((5, 3)))


def test_a_batch_of_one_sample_names_the_last_batch():
    with pytest.raises(
        ValueError, match=r"more than one value for each channel\n.*drop_last=True leaves out a last batch of one sample"
    ):
        nn.BatchNorm(4)(tr.ones((1, 4)))
