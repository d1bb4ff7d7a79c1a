"""Backends as they are loaded: what they hold, when they are, and where their arrays are told from other things."""

import threading

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core import backend as backends


@pytest.fixture
def unloaded(monkeypatch):
    """The stand-in as it was before its first use."""
    loaded = backends.get("standin")
    monkeypatch.delitem(backends._loaded, "standin")
    monkeypatch.delitem(backends.HOMES, loaded.ndarray)
    return loaded


def test_a_backend_has_the_names_of_its_library_and_those_it_is_given():
    loaded = backends.LOADERS["numpy"]()
    assert (loaded.name, loaded.module, loaded.ndarray) == ("numpy", np, np.ndarray)
    assert loaded.exp is np.exp
    assert loaded.scatter_add is None
    assert not loaded.wraps
    assert loaded.where(np.array([True, False]), 1.0, 2.0).tolist() == [1.0, 2.0]
    assert loaded.masked(np.array([1.0, 2.0]), np.array([False, True])).tolist() == [0.0, 2.0]
    assert loaded.erf(np.array([0.0, 1.0])) == pytest.approx([0.0, 0.8427007929497149])
    assert 2**12 <= loaded.block <= 2**20  # a megabyte or so
    assert backends.Backend("other", np).block > 2**40


def test_a_backend_of_cupy_has_the_names_of_its_modules_and_those_it_is_given(unloaded):
    loaded = backends.LOADERS["standin"]()
    assert (loaded.name, loaded.module, loaded.ndarray) == ("standin", unloaded.module, unloaded.ndarray)
    assert loaded.wraps
    x = loaded.asarray([1.0, 2.0])
    assert loaded.to_host(loaded.masked(x, x > 1.0)).tolist() == [0.0, 2.0]
    assert loaded.to_host(loaded.erf(x)) == pytest.approx([0.8427007929497149, 0.9953222650189527])
    loaded.scatter_add(x, loaded.asarray([0, 0]), loaded.ones(2))
    assert loaded.to_host(x).tolist() == [3.0, 2.0]


def test_an_array_loads_its_library(unloaded):
    array = unloaded.asarray([1.0, 4.0])
    assert tr.sqrt(array).tolist() == [1.0, 2.0]
    assert tr.tensor(array).backend == "standin"
    assert backends.get("standin") is not unloaded


def test_a_backend_is_loaded_once_by_threads_that_ask_for_it_together(unloaded, monkeypatch):
    load, loaded, inside = backends.LOADERS["standin"], [], threading.Barrier(2)

    def slowly():
        loaded.append(load())
        with pytest.raises(threading.BrokenBarrierError):
            inside.wait(timeout=0.2)  # the other thread does not come here meanwhile
        return loaded[-1]

    monkeypatch.setitem(backends.LOADERS, "standin", slowly)
    got = []
    threads = [threading.Thread(target=lambda: got.append(backends.get("standin"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [got[0]]
    assert got[0] is got[1] is backends.get("standin")


def test_a_backend_that_does_not_load_is_tried_again(unloaded, monkeypatch):
    load = backends.LOADERS["standin"]

    def fails():
        raise RuntimeError("no device")

    monkeypatch.setitem(backends.LOADERS, "standin", fails)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no device"):
            tr.tensor([1.0], backend="standin")
    monkeypatch.setitem(backends.LOADERS, "standin", load)
    assert backends.get("standin").name == "standin"


class Kept(np.ndarray):
    """A subclass that computes as arrays do, as a memory map is."""


@pytest.mark.parametrize("value", [np.ones(2).view(Kept), np.float32(1.0), np.int64(1)], ids=repr)
def test_scalars_and_subclasses_of_numpy_that_compute_as_it_does_are_its_arrays(value):
    assert backends.place(value) is backends.get("numpy")
    assert tr.Tensor(value).backend == "numpy"


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize(
    "make", [lambda: np.matrix([[1.0]]), lambda: np.ma.array([1.0]), lambda: [1.0], lambda: "1", lambda: 1.0]
)
def test_what_computes_in_other_ways_or_is_no_array_has_no_place(make):
    assert backends.place(make()) is None
    with pytest.raises(TypeError, match="expected a"):
        tr.Tensor(make())


def test_an_array_moves_by_way_of_the_host_and_stays_where_it_is_at_home():
    numpy, standin = backends.get("numpy"), backends.get("standin")
    array = np.ones(2)
    assert backends.transfer(array, numpy) is array
    there = backends.transfer(array, standin)
    assert type(there) is standin.ndarray
    assert backends.transfer(there, standin) is there
    assert type(backends.transfer(there, numpy)) is np.ndarray
    assert backends.transfer(2.0, standin) == 2.0
