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


def test_a_module_among_many_numbers_and_words_is_found():
    for held in ([*range(500), [nn.Linear(1, 1)]], {**{i: i for i in range(500)}, "inside": (nn.Linear(1, 1),)}):
        assert len(WithWords(held).parameters()) == 4


@pytest.mark.parametrize("listed", ["named_modules", "modules", "parameters", "buffers"])
def test_modules_that_hold_the_next_one_twice_are_gone_through_once(listed):
    model = nn.BatchNorm(1)
    for _ in range(60):
        model = nn.Sequential(model, model)
    assert len(getattr(model, listed)()) == {"parameters": 2, "buffers": 3}.get(listed, 61)


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


def test_a_frozen_module_gets_no_gradient_and_thaws():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert model[0].freeze() is model[0]
    model(tr.ones((1, 2))).sum().backward()
    assert [p.grad is None for p in model.parameters()] == [True, True, False, False]
    model.freeze(False)
    assert all(p.requires_grad for p in model.parameters())
    with pytest.raises(TypeError, match="frozen"):
        model.freeze("no")


def test_a_state_with_other_names_is_loaded_as_far_as_it_goes_if_asked():
    model = nn.Linear(2, 1)
    state = {"weight": np.ones((1, 2)), "extra": np.ones(3)}
    before = model.weight.numpy().copy()
    with pytest.raises(ValueError, match="strict=False leaves them alone"):
        model.load_state_dict(state)
    assert np.array_equal(model.weight.numpy(), before)
    assert model.load_state_dict(state, strict=False) == (["bias"], ["extra"])
    assert model.weight.tolist() == [[1.0, 1.0]]
    with pytest.raises(ValueError, match=r"got weight .*expected float32\[1, 2\]"):
        model.load_state_dict({"weight": np.ones(2)}, strict=False)
    assert model.load_state_dict(model.state_dict()) == ([], [])
