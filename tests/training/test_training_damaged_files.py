"""Files that are damaged, cut short or foreign: each is refused, and leaves alone what it was to be loaded into."""

import hashlib
import json
import os
import pickle
import re
import struct

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from states import Counter, same

import tinyreg as tr
from tinyreg.training import load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


class Evil:
    """What a pickle can do."""

    def __reduce__(self):
        return os.abort, ()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a file, and the counter and model that are in it."""
    path = tmp_path_factory.mktemp("whole") / "file"
    save(path, counter=Counter(5), model=tr.nn.Linear(3, 2), rng=tr.Generator(0))
    return path.read_bytes()


def refused(path, content, match):
    """That a file with this content is refused, and leaves alone what it was to be loaded into."""
    path.write_bytes(content)
    counter, model, rng = Counter(1), tr.nn.Linear(3, 2), tr.Generator(1)
    before = model.state_dict(), rng.state
    with pytest.raises(ValueError, match=f"load: {re.escape(str(path))} {match}"):
        load(path, counter=counter, model=model, rng=rng)
    assert counter.count == 1
    assert same((model.state_dict(), rng.state), before)


def test_a_file_cut_short_anywhere_is_refused(path, whole):
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"is damaged, cut short, or no safetensors file at all \("):
            load(path)
    refused(path, whole[: len(whole) // 2], "is damaged, cut short")
    path.write_bytes(whole)
    assert load(path)["counter"] == {"count": 5}


def test_any_flipped_bit_is_found(path, whole):  # safetensors has no checksum
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"load: .* (is damaged|is a safetensors file, but not one|has version)"):
            load(path)


@given(st.data())
def test_any_damaged_bytes_are_found(tmp_path_factory, whole, data):
    path = tmp_path_factory.getbasetemp() / "damaged"
    places = data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4, unique=True))
    damaged = bytearray(whole)
    for place in places:
        damaged[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"load: .* (is damaged|is a safetensors file, but not one|has version)"):
        load(path)


def test_a_flipped_bit_in_a_weight_changes_nothing(path, whole):
    damaged = bytearray(whole)
    damaged[-1] ^= 1
    refused(path, damaged, "is damaged: its contents are not what was written; take another copy")


OTHERS = {
    "another shape": {"a": np.zeros((3, 2), "float32"), "b": np.ones(6, "int32")},
    "one axis more": {"a": np.zeros((1, 2, 3), "float32"), "b": np.ones(6, "int32")},
    "another dtype": {"a": np.zeros((2, 3), "int32"), "b": np.ones(6, "int32")},
    "other names": {"b": np.zeros((2, 3), "float32"), "a": np.ones(6, "int32")},
    "one too many": {"a": np.zeros((2, 3), "float32"), "b": np.ones(6, "int32"), "c": np.zeros(0, "int8")},
}


@pytest.mark.parametrize("kind", OTHERS)
def test_the_same_bytes_of_other_arrays_are_found(path, kind):
    """The digest is of the names, dtypes and shapes too."""
    save(path, a=np.zeros((2, 3), "float32"), b=np.ones(6, "int32"))
    with safetensors.safe_open(path, framework="np") as file:
        metadata = file.metadata()
        right = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    path.write_bytes(safetensors.numpy.save(right, metadata))
    load(path)
    path.write_bytes(safetensors.numpy.save(OTHERS[kind], metadata))
    with pytest.raises(ValueError, match="is damaged: its contents are not what was written"):
        load(path)


def header(metadata, **entries):
    """A safetensors file without arrays."""
    text = json.dumps({"__metadata__": metadata, **entries}).encode()
    return struct.pack("<Q", len(text)) + text


FOREIGN = {
    "empty": (b"", "is damaged, cut short, or no safetensors file at all"),
    "text": (b"hello, this is a text file of some length", "is damaged, cut short, or no safetensors file"),
    "pickle": (pickle.dumps(Evil()), "is damaged, cut short, or no safetensors file at all"),
    "longer": (None, "is damaged, cut short, or no safetensors file at all"),
    "safetensors of others": (
        safetensors.numpy.save({"weight": np.ones((2, 3))}, {"format": "pt"}),
        r"is a safetensors file, but not one that tr\.training\.save wrote",
    ),
    "safetensors without metadata": (safetensors.numpy.save({"weight": np.ones(2)}), "is a safetensors file, but not one"),
    "a later version": (
        header({"format": "tinyreg.training", "version": "2"}),
        "has version '2', expected '1'; update tinyreg",
    ),
    "no digest": (
        header({"format": "tinyreg.training", "version": "1", "tree": '{"dict": {}}'}),
        "is damaged: its contents",
    ),
}


FORGED = {
    "no JSON": "{",
    "no dict": "[1, 2]",
    "an unknown kind": '{"dict": {"a": {"python": "os.abort()"}}}',
    "an array that is not there": '{"dict": {"a": {"tensor": ["b", null]}}}',
    "no layout": '{"dict": {"a": {"tensor": 5}}}',
    "two kinds": '{"dict": {}, "tuple": []}',
    "too deep": "[" * 100_000,
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_file_whose_digest_is_right_and_whose_tree_is_none(path, kind):
    digest = hashlib.sha256(json.dumps([FORGED[kind], []]).encode()).hexdigest()
    metadata = {"format": "tinyreg.training", "version": "1", "tree": FORGED[kind], "digest": digest}
    refused(path, header(metadata), r"is not in the form that tr\.training\.save writes \(")


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_is_none_of_ours_is_refused(path, whole, kind):
    content, match = FOREIGN[kind]
    refused(path, whole + b"\0" if content is None else content, match)
