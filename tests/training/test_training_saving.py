"""save and load: every tree comes back, a file is whole or refused, and what does not fit changes nothing."""

import os
import pickle
import re
import sys

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from states import Counter, same

import tinyreg as tr
from tinyreg.training import History, load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


DTYPES = ["float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


# ---- trees


arrays = npst.arrays(st.sampled_from(DTYPES), npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"))
    | arrays
    | arrays.map(tr.Tensor)
)
keys = st.text(st.characters(codec="utf-8"), max_size=3) | st.sampled_from(["a/b", "a", "b", "~1", "dict", "tensor", "$"])
trees = st.recursive(
    leaves,
    lambda inside: (
        st.lists(inside, max_size=3) | st.lists(inside, max_size=3).map(tuple) | st.dictionaries(keys, inside, max_size=3)
    ),
    max_leaves=8,
)


@given(trees)
def test_every_tree_comes_back(tmp_path_factory, tree):
    path = tmp_path_factory.getbasetemp() / "tree.safetensors"
    save(path, tree=tree)
    assert same(load(path), {"tree": tree})


def test_paths_that_look_alike_are_told_apart(path):
    tree = {"a/b": np.zeros(1), "a": {"b": np.ones(1)}, "a~1b": np.full(1, 2.0), "a~b": {"": np.full(1, 3.0)}}
    save(path, tree=tree)
    assert same(load(path), {"tree": tree})
    assert len(safetensors.numpy.load_file(path)) == 4


def test_awkward_numbers_come_back_exactly(path):
    numbers = {"big": 2**127 + 1, "inf": [np.inf, -np.inf, np.nan], "tiny": 5e-324, "zero": -0.0, "third": 1 / 3}
    save(path, numbers=numbers, array=np.array([np.nan, -np.inf, -0.0]))
    assert same(load(path), {"numbers": numbers, "array": np.array([np.nan, -np.inf, -0.0])})


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_an_array_keeps_its_values_and_its_order_in_memory(path, axes):  # sums go along memory: other last bits
    array = np.ascontiguousarray(np.arange(24.0).reshape(2, 3, 4).transpose(axes)).transpose(np.argsort(axes))
    save(path, array=array, view=array[:, ::2, 1:])
    found = load(path)
    assert same(found["array"], array)
    np.testing.assert_array_equal(found["view"], array[:, ::2, 1:])
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["array"], array)


def test_arrays_of_the_other_byte_order_keep_their_values(path):
    save(path, array=np.arange(3.0).astype(">f4"))
    assert same(load(path)["array"], np.arange(3.0, dtype="float32"))


def test_numbers_of_numpy_come_back_as_pythons(path):
    save(path, n=np.int64(3), x=[np.float32(0.1)], yes=np.bool_(True))
    assert same(load(path), {"n": 3, "x": [float(np.float32(0.1))], "yes": True})


def test_tensors_are_born_on_the_backend_in_use(backend, path):
    save(path, t=tr.tensor([1.0, 2.0]), a=tr.ones(2).data)
    found = load(path)
    assert found["t"].backend == backend
    assert type(found["a"]) is type(tr.ones(2).data)
    with tr.use("numpy"):
        assert load(path)["t"].backend == "numpy"
    assert found["t"].tolist() == [1.0, 2.0]
    assert not found["t"].requires_grad


def test_what_is_loaded_can_be_written_to(path):
    save(path, a=np.zeros(2))
    load(path)["a"][0] = 1


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ({"x": {1: 2.0}}, TypeError, "save: got the key 1 in 'x', expected a string: write '1'"),
        (
            {"x": [{1, 2}]},
            TypeError,
            r"save: got 'x/0' = \{1, 2\}, expected numbers, strings, booleans, None, lists, tuples, ",
        ),
        ({"x": 1j}, TypeError, "save: got 'x' = 1j, expected numbers"),
        ({"x": np.array([1j])}, TypeError, r"save: got 'x' complex128\[1\], expected booleans, integers or floats"),
        ({"x": np.array(["a", None])}, TypeError, r"save: got 'x' object\[2\], expected booleans"),
        ({"x": lambda: 0}, TypeError, r"or an object with state_dict\(\)"),
        ({}, ValueError, "save: got nothing to save, expected objects by name, such as model=model"),
    ],
)
def test_what_no_file_can_hold_is_refused_and_the_old_file_stays(path, value, error, text):
    save(path, old=1)
    with pytest.raises(error, match=text):
        save(path, **value)
    assert load(path) == {"old": 1}
    assert os.listdir(path.parent) == [path.name]


# ---- objects


def network():
    return tr.nn.Sequential(tr.nn.Linear(3, 4), tr.nn.ReLU(), tr.nn.Linear(4, 2))


class Refusing(Counter):
    """Changes, and then refuses."""

    def load_state_dict(self, state):
        super().load_state_dict(state)
        if state["count"] == 7:
            raise ValueError("no sevens")


def test_model_optimizer_generators_and_history_come_back(backend, path):
    x, y = tr.ones((5, 3)), tr.zeros((5, 2))

    def trained(seed, steps):
        tr.seed(seed)
        model, rng, history = network(), tr.Generator(seed), History()
        optimizer = tr.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(steps):
            optimizer.zero_grad()
            tr.losses.mse(model(x), y).backward()
            optimizer.step()
            history.append({"loss": rng.uniform().item()})
        return {
            "model": model,
            "optimizer": optimizer,
            "rng": rng,
            "default": tr.random.default_generator,
            "history": history,
        }

    def after(objects):
        optimizer = objects["optimizer"]
        optimizer.zero_grad()
        tr.losses.mse(objects["model"](x), y).backward()
        optimizer.step()
        draws = objects["rng"].normal(shape=3), objects["default"].normal(shape=3)
        return objects["model"].state_dict(), [tr.Tensor(d) for d in draws], objects["history"].epochs

    first = trained(0, 3)
    save(path, **first)
    expected = after(first)
    other = trained(1, 2)
    load(path, **other)
    assert same(after(other), expected)


def test_arrays_have_the_path_to_them_as_their_name(path):
    model = network()
    save(path, model=model, state={"velocity": [np.ones(2)]})
    plain = safetensors.numpy.load_file(path)
    assert sorted(plain) == sorted([*(f"model/{name}" for name in model.state_dict()), "state/velocity/0"])
    np.testing.assert_array_equal(plain["model/0.weight"], model[0].weight.numpy())


def test_a_part_of_a_file_can_be_loaded_and_the_rest_is_returned(path):
    one, other = network(), network()
    save(path, model=one, counter=Counter(3), epoch=4)
    state = load(path, model=other)
    assert same(other.state_dict(), one.state_dict())
    assert state["counter"] == {"count": 3}
    assert state["epoch"] == 4


def test_a_file_from_one_backend_fits_a_model_on_another(path, other_backend):
    with tr.use(other_backend):
        there = network()
        save(path, model=there)
    here = network()
    load(path, model=here)
    assert {p.backend for p in here.parameters()} == {"numpy"}
    np.testing.assert_array_equal(here[0].weight.numpy(), there[0].weight.numpy())


def test_objects_under_names_that_the_file_lacks(path):
    counter = Counter(1)
    save(path, model=network(), epoch=4)
    with pytest.raises(ValueError, match=r"load: .*run\.safetensors lacks optimizer; it has model, epoch"):
        load(path, optimizer=counter)
    with pytest.raises(
        TypeError, match=r"load: got epoch=4, expected a Generator, or an object with state_dict and load_sta"
    ):
        load(path, epoch=4)


@pytest.mark.parametrize("order", [("model", "rng", "counter", "bad"), ("bad", "counter", "rng", "model")])
def test_a_refusal_puts_everything_back(path, order):
    save(path, model=network(), rng=tr.Generator(1), counter=Counter(5), bad=Counter(7))
    objects = {"model": network(), "rng": tr.Generator(2), "counter": Counter(1), "bad": Refusing(2)}
    model, state = objects["model"].state_dict(), objects["rng"].state
    with pytest.raises(ValueError, match="no sevens") as caught:
        load(path, **{name: objects[name] for name in order})
    assert caught.value.__notes__ == [f"load: this is about bad in {path}; nothing was changed"]
    assert same(objects["model"].state_dict(), model)
    assert objects["rng"].state == state
    assert (objects["counter"].count, objects["bad"].count) == (1, 2)


def test_what_is_there_twice_is_put_back_too(path):
    save(path, one=Counter(5), other=Counter(6), bad=Counter(7))
    counter = Counter(1)
    with pytest.raises(ValueError, match="no sevens"):
        load(path, one=counter, other=counter, bad=Refusing(2))
    assert counter.count == 1


def test_one_that_does_not_take_its_state_back_does_not_keep_others_from_it(path):
    class Stubborn(Counter):
        def load_state_dict(self, state):
            if state["count"] != 5:
                raise RuntimeError("only fives")
            super().load_state_dict(state)

    save(path, counter=Counter(6), stubborn=Counter(5), bad=Counter(7))
    objects = {"counter": Counter(1), "stubborn": Stubborn(2), "bad": Refusing(3)}
    with pytest.raises(ValueError, match="no sevens") as caught:
        load(path, **objects)
    assert objects["counter"].count == 1
    assert "load: stubborn did not take its own state back, and is left changed" in caught.value.__notes__[1]


def test_the_file_of_another_model_changes_nothing(path):
    save(path, counter=Counter(5), model=tr.nn.Sequential(tr.nn.Linear(3, 4)))
    model, counter = network(), Counter(1)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"load_state_dict: the state lacks 2\.bias, 2\.weight"):
        load(path, counter=counter, model=model)
    assert counter.count == 1
    assert same(model.state_dict(), before)


def test_a_state_that_is_none_of_a_generator(path):
    save(path, rng={"bit_generator": "MT19937", "state": {}}, model=network())
    rng, model = tr.Generator(0), network()
    before, weights = rng.state, model.state_dict()
    with pytest.raises(ValueError, match="PCG64"):
        load(path, model=model, rng=rng)
    assert rng.state == before
    assert same(model.state_dict(), weights)


# ---- the system's errors, and what is never used


def test_a_folder_and_a_missing_file_are_the_systems_own_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        load(tmp_path / "nowhere", counter=Counter())
    with pytest.raises(OSError, match=re.escape(str(tmp_path))) as caught:
        load(tmp_path, counter=Counter())
    assert isinstance(caught.value, IsADirectoryError | PermissionError)  # the latter on Windows


def test_no_pickle_is_read_or_written(path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("pickle")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    model = network()
    save(path, model=model, rng=tr.Generator(0))
    load(path, model=model)


def test_without_safetensors_the_error_says_what_to_install_and_what_was_saved_is_read(path, monkeypatch):
    save(path, n=1, x=np.ones(2))
    monkeypatch.delitem(sys.modules, "safetensors.numpy")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=r"tr\.training needs safetensors: pip install 'tinyreg\[training\]'"):
        save(path, n=1)
    assert same(load(path), {"n": 1, "x": np.ones(2)})
