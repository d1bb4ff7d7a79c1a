"""What save does with the disk: a file appears whole or not at all, with the rights of any other, and nothing is left."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinyreg.training import load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def test_a_link_is_written_through(tmp_path, path):
    link = tmp_path / "latest"
    save(path, n=1)
    link.symlink_to(path)
    save(link, n=2)
    assert link.is_symlink()
    assert load(path) == {"n": 2}


def test_the_file_has_the_rights_of_any_other(path):
    save(path, n=1)
    plain = path.with_name("plain")
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_what_killed_saves_left_is_removed_and_nothing_else(path):
    left = [path.with_name(f".{path.name}.{token}.part") for token in ("00000000", "89abcdef")]
    others = [
        ".other.00000000.part",
        f".{path.name}.00000000.part.bak",
        f"{path.name}.00000000.part",
        f".{path.name}.x.00000000.part",
    ]
    for name in (*(file.name for file in left), *others):
        path.with_name(name).write_bytes(b"half")
    save(path, n=1)
    assert set(os.listdir(path.parent)) == {path.name, *others}


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch, fails):
    save(path, n=1)

    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match="No space left"):
        save(path, n=2)
    assert load(path) == {"n": 1}
    assert os.listdir(path.parent) == [path.name]


def test_the_file_is_forced_to_the_disk_before_it_takes_its_place(path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (done.append(f"fsync {'folder' if stat.S_ISDIR(os.fstat(fd).st_mode) else 'file'}"), fsync(fd)),
    )
    monkeypatch.setattr(os, "replace", lambda *args: (done.append("replace"), replace(*args)))
    save(path, n=1)
    assert done == ["fsync file", "replace", *["fsync folder"] * (os.name == "posix")]


def test_a_place_where_no_file_can_be(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"save: got .*, which is a folder; expected the path of a file"):
        save(tmp_path, n=1)
    with pytest.raises(FileNotFoundError, match=r"save: got .*run, but there is no folder .*missing; make it first"):
        save(tmp_path / "missing" / "run", n=1)
    assert os.listdir(tmp_path) == []


def test_several_savers_at_once_leave_a_whole_file(path):
    save(path, n=0, weights=np.zeros(1000))

    def saver(n):
        for _ in range(20):
            save(path, n=n, weights=np.full(1000, n))
            found = load(path)
            assert (found["weights"] == found["n"]).all()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(saver, (1, 2, 3))) == [None] * 3
