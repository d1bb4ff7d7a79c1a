"""What modules may hold: their parents, vocabularies, data classes; models as lists; states of PyTorch; NumPy's numbers."""

import collections
import copy
import threading
from dataclasses import dataclass

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import nn

# ---- modules that know their parent, or hold themselves


class Child(nn.Module):
    def __init__(self, parent):
        self.w, self.parent = nn.Parameter([1.0]), parent

    def forward(self, x):
        return x * self.w


class Parent(nn.Module):
    def __init__(self):
        self.first, self.norm = nn.Parameter([2.0]), nn.BatchNorm(1)
        self.child = Child(self)

    def forward(self, x):
        return self.child(x) + self.first


NAMES = ["first", "norm.weight", "norm.bias", "child.w"]


def test_a_module_may_know_its_parent():
    model = Parent()
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert [name for name, _ in model.named_modules()] == ["", "norm", "child"]
    assert model.modules() == [model, model.norm, model.child]
    assert not any(module.training for module in model.eval().modules())
    assert "(parent): ..." in repr(model)
    state = model.state_dict()
    assert list(state) == [*NAMES[:3], "norm.running_mean", "norm.running_var", "norm.num_batches_tracked", "child.w"]
    model.load_state_dict(state)
    twin = copy.deepcopy(model)
    assert twin.child.parent is twin
    assert twin.child.w is not model.child.w


def test_fit_trains_a_module_that_knows_its_parent():
    model = Parent()
    optimizer = tr.optim.SGD(model.parameters(), lr=0.1)
    data = tr.ones((8, 1)), tr.zeros((8, 1))
    tr.training.fit(model, data, loss=tr.losses.mse, optimizer=optimizer, epochs=2, progress=False)
    assert model.child.w.item() < 1


def test_modules_in_a_ring_and_lists_that_hold_themselves():
    one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    one.next, other.next = other, one
    ring = nn.Sequential(one, other)
    assert len(ring.parameters()) == 4
    assert len(ring.modules()) == 3
    one.around = [other]
    one.around.append(one.around)
    assert len(ring.parameters()) == 4


# ---- modules that are data classes


@dataclass
class Net(nn.Module):
    width: int

    def __post_init__(self):
        self.layer = nn.Linear(self.width, 1)

    def forward(self, x):
        return self.layer(x)


def test_a_data_class_is_a_module_as_any_other():
    model = nn.Sequential(Net(3), nn.Dropout(0.5), Net(1))
    assert len(model.modules()) == 6
    assert not model.eval()[0].layer.training
    assert model.train()[0].layer.training
    mean, _ = nn.monte_carlo_predict(model, tr.ones((2, 3)), passes=2)
    assert mean.shape == (2, 1)
    optimizer = tr.optim.SGD(model.parameters(), lr=0.1)
    data = tr.ones((8, 3)), tr.zeros((8, 1))
    tr.training.fit(model, data, loss=tr.losses.mse, optimizer=optimizer, epochs=1, progress=False)


def test_data_classes_that_are_equal_are_two_modules():
    model = nn.Sequential(Net(2), Net(2))
    assert model[0] == model[1]
    assert len(model.modules()) == 5
    assert len(model.parameters()) == 4


# ---- large lists and dicts


class Counted(dict):
    """A dict that counts how often it is gone through."""

    passes = 0

    def items(self):
        Counted.passes += 1
        return super().items()

    def values(self):
        Counted.passes += 1
        return super().values()


class WithWords(nn.Module):
    def __init__(self, words):
        self.layer, self.words = nn.Linear(2, 2), words


def test_a_vocabulary_is_gone_through_once_and_not_at_every_step(monkeypatch):
    monkeypatch.setattr(Counted, "passes", 0)
    model = WithWords(Counted({f"w{i}": i for i in range(1000)}))
    model.parameters()
    before = Counted.passes
    for _ in range(10):
        model.parameters(), model.train(), model.state_dict(), repr(model)
    assert Counted.passes == before
    model.words["new"] = 1000
    model.parameters()
    assert Counted.passes > before


@pytest.mark.parametrize(
    "words",
    [
        {"settings": {"words": [Counted({f"w{i}": i for i in range(1000)})]}},
        Counted({f"w{i}": [i, "a"] for i in range(1000)}),
        Counted({f"w{i}": (i, None, {"a": 1.5}) for i in range(1000)}),
        Counted({i: np.float32(i) for i in range(1000)}),
        Counted({i: np.zeros(2) for i in range(1000)}),
    ],
    ids=["inside a dict", "of lists", "of tuples", "of NumPy's numbers", "of arrays"],
)
def test_other_vocabularies_are_gone_through_once(words, monkeypatch):
    model = nn.Sequential(WithWords(words))
    assert len(model.parameters()) == 2
    monkeypatch.setattr(Counted, "passes", 0)
    for _ in range(10):
        model.parameters()
    assert Counted.passes == 0
    twin = pickle_of(model)
    assert len(twin.parameters()) == len(twin.state_dict()) == 2


def test_lists_of_a_large_dict_that_are_empty_are_looked_at_again():
    model = WithWords({i: [] for i in range(1000)})
    assert len(model.parameters()) == 2
    model.words[7].append(nn.Linear(1, 1))
    assert len(model.parameters()) == 4


def test_a_vocabulary_that_is_replaced_is_let_go():
    model = WithWords({i: i for i in range(1000)})
    model.parameters()
    model.words = {i: [nn.Parameter([1.0])] for i in range(300)}
    assert len(model.parameters()) == 302
    assert not vars(model).get("_data")


@pytest.mark.parametrize("size", [3, 1000])
@pytest.mark.parametrize("kind", [list, dict, tuple, collections.OrderedDict])
def test_what_comes_into_a_list_or_a_dict_later_is_found(size, kind):
    plain = range(size)
    model = WithWords(kind(plain) if kind in (list, tuple) else kind((f"w{i}", i) for i in plain))
    assert len(model.parameters()) == 2
    late = nn.Parameter([1.0])
    if kind is list:
        model.words.append(late)
    elif kind is tuple:
        model.words = (*model.words, late)
    else:
        model.words["late"] = late
    assert late in [p for _, p in model.named_parameters() if p.shape == (1,)]
    twin = copy.deepcopy(model)
    assert len(twin.parameters()) == 3
    assert list(twin.state_dict()) == list(model.state_dict())


def test_places_that_were_kept_free_are_looked_at_again():
    model = WithWords([None] * 1000)
    assert len(model.parameters()) == 2
    model.words[7] = nn.Linear(1, 1)
    assert [name for name, _ in model.named_parameters()][2:] == ["words.7.weight", "words.7.bias"]


def test_setting_an_attribute_looks_at_what_is_set_and_not_at_all_the_rest(monkeypatch):
    looked = []
    members = nn.Module.members
    monkeypatch.setattr(nn.Module, "members", lambda self: looked.append(self) or members(self))

    def work(n):
        looked.clear()
        model = nn.Module()
        for i in range(n):
            setattr(model, f"layer{i}", nn.Linear(1, 1))
            setattr(model, f"scale{i}", nn.Parameter(1.0))
        return len(looked)

    assert work(40) == 4 * work(10)


def test_layers_appended_to_a_list_are_named_when_they_are_listed():
    class Stack(nn.Module):
        def __init__(self):
            self.blocks = []
            for _ in range(2):
                self.blocks.append(nn.Linear(1, 1))

    model = nn.Sequential(Stack())
    assert [p.name for p in model.parameters()] == [
        "0.blocks.0.weight",
        "0.blocks.0.bias",
        "0.blocks.1.weight",
        "0.blocks.1.bias",
    ]
    model[0].parameters()
    assert model[0].blocks[0].weight.name == "0.blocks.0.weight"  # the longer name stays


# ---- modes


def test_in_mode_is_for_one_context_and_leaves_what_is_set():
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm(2))
    seen = []
    with nn.mode.in_mode(model, False):
        thread = threading.Thread(target=lambda: seen.append(model[0].training))
        thread.start()
        thread.join()
        assert not any(m.training for m in model.modules())
        with nn.mode.in_mode(model[0], True):
            assert (model[0].training, model[1].training) == (True, False)
        model.eval()
    assert seen == [True]
    assert not model.training
    assert not pickle_of(model).training


def pickle_of(model):
    import pickle

    return pickle.loads(pickle.dumps(model))


# ---- Sequential as a list


def layers():
    return nn.Linear(2, 3, rng=0), nn.ReLU(), nn.Linear(3, 1, rng=1)


def test_a_slice_of_a_model_is_a_model_of_the_same_layers():
    model = nn.Sequential(*layers()).eval()
    body = model[:-1]
    assert isinstance(body, nn.Sequential)
    assert list(body) == list(model)[:-1]
    assert body(tr.ones((1, 2))).shape == (1, 3)
    assert not body.training
    assert len(model[::2]) == 2
    assert len(model[5:]) == 0


def test_layers_are_replaced_taken_out_and_put_in():
    model = nn.Sequential(*layers())
    model[-1] = nn.Linear(3, 5)
    assert model(tr.ones((1, 2))).shape == (1, 5)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert model[2].weight.name == "2.weight"
    del model[1]
    assert [type(layer).__name__ for layer in model] == ["Linear", "Linear"]
    assert [p.name for p in model.parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    head = model.pop()
    assert head.weight.shape == (5, 3)
    assert model.append(nn.Tanh()).extend([nn.ReLU(), head]).insert(0, nn.Flatten()) is model
    assert [type(layer).__name__ for layer in model] == ["Flatten", "Linear", "Tanh", "ReLU", "Linear"]
    model[1:3] = [nn.Linear(2, 3)]
    assert len(model) == 4
    del model[1:]
    assert len(model) == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda m: m.__setitem__(0, tr.relu), TypeError),
        (lambda m: m.append("layer"), TypeError),
        (lambda m: m.extend([nn.ReLU(), 3]), TypeError),
        (lambda m: m.insert(0, None), TypeError),
        (lambda m: m.__setitem__(7, nn.ReLU()), IndexError),
        (lambda m: m.__delitem__(7), IndexError),
        (lambda m: m.pop(7), IndexError),
    ],
)
def test_what_is_no_layer_or_not_there_changes_nothing(change, error):
    model = nn.Sequential(*layers())
    before = list(model)
    with pytest.raises(error):
        change(model)
    assert list(model) == before


@pytest.mark.parametrize("use", [lambda m, i: m[i], lambda m, i: m.pop(i), lambda m, i: m.__delitem__(i)])
@pytest.mark.parametrize(
    ("count", "i", "text"),
    [
        (3, 3, "got the index 3, expected one from -3 to 2 for its 3 layers"),
        (1, -2, "got the index -2, expected one from -1 to 0 for its 1 layer"),
        (0, -1, "got the index -1, expected none, as it has no layers"),
    ],
)
def test_the_place_of_a_layer_that_is_not_there_is_named(use, count, i, text):
    model = nn.Sequential(*(nn.ReLU() for _ in range(count)))
    with pytest.raises(IndexError, match=f"Sequential: {text}$"):
        use(model, i)


def test_a_layer_is_found_by_an_integer_only():
    assert nn.Sequential(nn.ReLU(), nn.Tanh())[np.int64(1)].__class__ is nn.Tanh
    with pytest.raises(TypeError, match="Sequential: got the index='0', expected an integer"):
        nn.Sequential(nn.ReLU())["0"]


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
        ValueError, match=r"more than one value for each channel .* last batch of one sample: drop_last=True"
    ):
        nn.BatchNorm(4)(tr.ones((1, 4)))
