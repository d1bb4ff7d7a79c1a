"""Checkpoints under attack: what loads is right, what does not says so in our words, in little time and memory."""

import collections
import gzip
import io
import json
import os
import pickle
import re
import socket
import sqlite3
import sys
import zipfile
from pathlib import Path

import attacked
import forged
import numpy as np
import pytest
import safetensors.numpy
import training_run
from training_run import comparable

import tinyreg as tr
from tinyreg.training import EarlyStopping, History, container, load, save, saving

OURS = re.compile(r"(load|fit|state|\w+\.load_state_dict|load_state_dict|AdamW): ")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The file of a run, its bytes, and what is in it."""
    path = tmp_path_factory.mktemp("run") / "run.safetensors"
    training_run.train(path)
    return path.read_bytes(), comparable(load(path))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "attacked.safetensors"


def states(parts):
    return comparable(
        {name: part.state_dict() if hasattr(part, "state_dict") else part.state for name, part in parts.items()}
    )


def clear(path, outcome):
    """Whether an error is in our words: what is wrong, with which file, and what to do."""
    kind, text = outcome
    return kind in ("ValueError", "TypeError") and OURS.match(text) and (str(path) in text or "expected" in text)


def assert_all(good, cases, found):
    bad = collections.Counter(
        (kind, *outcome) for (kind, _), outcome in zip(cases, found, strict=True) if not good(outcome)
    )
    assert not bad


def test_damaged_files_give_what_was_saved_or_a_clear_error(run, path):
    content, right = run
    chance, n = attacked.seeded(1000, 20_000)
    cases = [attacked.damaged(content, chance) for _ in range(n)]

    def read(case):
        path.write_bytes(case[1])
        return comparable(load(path)) == right

    found = attacked.outcomes(read, cases)
    refused = f"load: {path} "
    assert_all(lambda o: o == ("gave", "True") or (o[0] == "ValueError" and o[1].startswith(refused)), cases, found)
    assert sum(kind == "ValueError" for kind, _ in found) > 0.9 * n
    assert {kind for kind, _ in cases} == set(attacked.DAMAGES)


def test_forged_files_load_or_give_a_clear_error(run, path):
    content, _ = run
    chance, n = attacked.seeded(600, 10_000)
    cases = [forged.forged(content, chance) for _ in range(n)]

    def read(case):
        path.write_bytes(case[1])
        return len(load(path))

    found = attacked.outcomes(read, cases)
    assert_all(lambda o: o[0] == "gave" or (o[0] == "ValueError" and o[1].startswith(f"load: {path} ")), cases, found)
    assert {kind for kind, _ in cases} == set(forged.FORGERIES)


def test_what_a_forged_file_is_loaded_into_takes_all_of_it_or_nothing(run, path):
    content, _ = run
    chance, n = attacked.seeded(200, 5000)
    cases = [forged.forged(content, chance) for _ in range(n)]

    def read(case):
        path.write_bytes(case[1])
        parts, *_ = training_run.objects()
        before = states(parts)
        try:
            load(path, **{"callback 0 EarlyStopping" if name == "early" else name: part for name, part in parts.items()})
        except Exception:
            assert repr(states(parts)) == repr(before)
            raise

    found = attacked.outcomes(read, cases)
    assert_all(lambda o: o[0] == "gave" or clear(path, o), cases, found)


def test_a_run_goes_on_from_a_forged_file_or_says_why_it_does_not(run, path):
    content, _ = run
    chance, n = attacked.seeded(120, 5000)
    trees = [forged.FORGERIES["forged tree"], forged.FORGERIES["forged text"]]
    cases = [("forged", chance.choice(trees)(*forged.parts(content), chance)) for _ in range(n)]

    def read(case):
        path.write_bytes(case[1])
        training_run.train(path)

    found = attacked.outcomes(read, cases)
    assert_all(lambda o: o[0] == "gave" or clear(path, o), cases, found)


def foreign():
    """Files of other kinds, by name."""
    npz, npy, zipped, text = io.BytesIO(), io.BytesIO(), io.BytesIO(), b"loss,accuracy\r\n0.5,0.75\r\n"
    np.savez(npz, a=np.ones(3))
    np.save(npy, np.ones(3))
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps({"a": 1}))
    database = sqlite3.connect(":memory:")
    database.execute("create table t (x)")
    return {
        "empty": b"",
        "zeros": bytes(1000),
        "npz": npz.getvalue(),
        "npy": npy.getvalue(),
        "pickle": pickle.dumps({"weight": np.ones(3)}),
        "zip, as PyTorch's": zipped.getvalue(),
        "gguf": b"GGUF\x03\0\0\0" + (2**63).to_bytes(8, "little") * 3,
        "gzip": gzip.compress(text),
        "sqlite": database.serialize(),
        "a program": Path(sys.executable).read_bytes()[:100_000],
        "text": text,
        "JSON": json.dumps({"dict": {"model": {}}}).encode(),
        "HTML": b"<!doctype html><html></html>",
        "UTF-16": "model".encode("utf-16"),
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "of another library": safetensors.numpy.save({"weight": np.ones(3)}),
    }


def test_files_of_other_kinds_are_refused(path):
    files = list(foreign().items())

    def read(case):
        path.write_bytes(case[1])
        load(path)

    refused = rf"load: {re.escape(str(path))} is (damaged, cut short, or|a safetensors file, but not one that)"
    assert_all(lambda o: o[0] == "ValueError" and re.match(refused, o[1]), files, attacked.outcomes(read, files))


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Paths at which there is no file, or none that can be a checkpoint."""
    monkeypatch.chdir(tmp_path)
    save("file", n=1)
    os.mkdir("folder")
    os.mkfifo("pipe")
    os.symlink("loop", "loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    with open("vast", "wb") as file:  # takes no room on the disk
        header, data = forged.parts(Path("file").read_bytes())
        n = 8 * 2**36
        header["vast"] = {"dtype": "F64", "shape": [n // 8], "data_offsets": [len(data), len(data) + n]}
        file.write(forged.whole(json.dumps(header), data))
        file.truncate(file.tell() + n)
    devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/proc/self/mem", "/proc/self/environ"]
    names = ["folder", "pipe", "loop", "socket", "file/x", "", "\0", "x" * 300, "\ud800", b"file", 3, None, 1.5, ["file"]]
    return ["missing", "vast", *devices, *names]


ERRORS = (
    "ValueError",
    "TypeError",
    "OSError",
    "MemoryError",
    "FileNotFoundError",
    "IsADirectoryError",
    "NotADirectoryError",
)


def test_what_is_no_file_is_refused_at_once(places):
    cases = [(repr(place)[:20], place) for place in places]
    found = attacked.outcomes(lambda case: load(case[1]), cases)
    assert_all(lambda o: o[0] in ERRORS and o[1].startswith("load: "), cases, found)


def test_what_no_file_can_be_written_to_is_refused_at_once(places):
    taken = {"missing", "vast", "/dev/null", "/dev/zero", "/dev/full", "/dev/random"}  # or devices, which stay as they are
    cases = [(repr(place)[:20], place) for place in places if not (isinstance(place, str) and place in taken)]
    before = sorted(os.listdir())
    found = attacked.outcomes(lambda case: save(case[1], n=1), cases)
    assert_all(lambda o: o[0] in (*ERRORS, "PermissionError") and o[1].startswith("save: "), cases, found)
    assert sorted(os.listdir()) == before


def test_a_file_that_is_cut_while_it_is_read_is_refused(path, monkeypatch):
    save(path, weights=np.ones(100_000))
    header = container.header

    def header_and_cut(file):
        found = header(file)
        file.peek()
        os.truncate(path, 1000)
        return found

    monkeypatch.setattr(container, "header", header_and_cut)
    with pytest.raises(
        ValueError, match=r"is damaged, cut short, or .* \(its arrays have 800,000 bytes, and \d+ are there\)"
    ):
        load(path)
    save(path, weights=np.ones(100_000))
    arrays = container._checked

    def checked_and_cut(name, entry):
        os.truncate(path, 1000)
        return arrays(name, entry)

    monkeypatch.setattr(container, "header", header)
    monkeypatch.setattr(container, "_checked", checked_and_cut)
    with pytest.raises(ValueError, match=r"is damaged, cut short, or .* \(it ends within 'weights'\); take another copy"):
        load(path)


# ---- states that are none


def history():
    made = History()
    made.append({"loss": 0.5})
    return made


NO_STATES = [None, 3, "x", [], {}, {"epochs": 3}, {"epochs": [3]}, {"epochs": [{"loss": "x"}]}, {"state": 3}, {"best": "x"}]
STATE = tr.Generator(0).state
NO_STATES += [{**STATE, "state": {"state": 1}}, {**STATE, "uinteger": -1}, {**STATE, "uinteger": 1.5}, {**STATE, "more": 1}]
NO_STATES += [{**STATE, "has_uint32": "x"}, {**STATE, "state": {"state": 2**200, "inc": 1}}]
HOLDERS = {"History": history, "EarlyStopping": EarlyStopping, "Generator": lambda: tr.Generator(1)}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("state", NO_STATES, ids=range(len(NO_STATES)))
def test_what_is_no_state_is_refused_and_changes_nothing(holder, state):
    thing = HOLDERS[holder]()
    before = states({"thing": thing})
    with pytest.raises(ValueError, match=r"^(state|\w+\.load_state_dict): got .*, expected "):
        saving._put_back(thing, state)
    assert states({"thing": thing}) == before


@pytest.mark.parametrize("error", [KeyError("epochs"), IndexError(3), AttributeError("keys"), OverflowError()])
def test_a_bare_error_of_what_is_loaded_into_says_the_file_and_the_name(path, error):
    class Careless:
        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            raise error

    save(path, thing=Careless())
    with pytest.raises(ValueError, match=rf"^load: {re.escape(str(path))} has as thing what is no state of Careless \("):
        load(path, thing=Careless())


# ---- what cannot be read again is not written


LOOP = []
LOOP.append(LOOP)
UNREADABLE = {
    "the name that the format has for itself": {"__metadata__": np.ones(1)},
    "half a surrogate pair as a name": {"a": {"\ud800": np.ones(1)}},
    "an integer of more digits than Python reads": {"a": 10**5000},
    "what holds itself": {"a": LOOP},
    "floats of more than 64 bits": {"a": np.ones(1, "longdouble")},
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_could_not_be_read_again_is_not_written(path, what):
    if what.startswith("floats") and np.dtype("longdouble").itemsize == 8:
        pytest.skip("has none")
    save(path, n=1)
    with pytest.raises((ValueError, TypeError), match=r"^save: got "):
        save(path, **UNREADABLE[what])
    assert load(path) == {"n": 1}


@pytest.mark.parametrize(
    "tree", [{"__metadata__": 1}, {"a": {"\ud800": 1}}, {"a": "\ud800\0"}, {"a": 10**4000}, {"": np.ones(1)}]
)
def test_what_looks_so_and_can_be_read_again_is_written(path, tree):
    save(path, **tree)
    assert repr(load(path)) == repr(tree)


# ---- with other readers and writers of the format


def test_the_library_of_the_format_reads_a_file_and_what_it_writes_again_loads(run, path):
    content, right = run
    path.write_bytes(content)
    arrays = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, framework="np") as file:
        metadata = file.metadata()
    again = path.with_name("again")
    safetensors.numpy.save_file(dict(reversed(arrays.items())), again, metadata)
    assert comparable(load(again)) == right


def test_every_dtype_is_read_as_the_library_reads_it(path):
    dtypes = [np.dtype(text) for text in container.DTYPES.values()]
    arrays = {f"{dtype}": np.arange(6).reshape(2, 3).astype(dtype) for dtype in dtypes}
    save(path, **arrays)
    library, ours = safetensors.numpy.load_file(path), load(path)
    assert sorted(library) == sorted(ours)
    for name, array in ours.items():
        assert array.dtype == library[name].dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, library[name])


# ---- the attack itself


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda case: sum(0 for _ in iter(int, 1)), ("died", "status -27")),
        (lambda case: len(bytes(2 * attacked.MEMORY)), ("MemoryError", "")),
        (lambda case: len(bytes(attacked.MEMORY // 2)), ("gave", str(attacked.MEMORY // 2))),
        (lambda case: open(case, "rb").close(), ("died", "hung")),
        (lambda case: os.abort(), ("died", "status -6")),
    ],
    ids=["time", "memory", "less memory", "a hang", "a crash"],
)
def test_an_attack_notices(tmp_path, monkeypatch, read, outcome):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(attacked, "SILENCE", 3)
    monkeypatch.setattr(attacked, "SECONDS", 0.5)
    assert attacked.outcomes(read, [tmp_path / "pipe"]) == [outcome]
