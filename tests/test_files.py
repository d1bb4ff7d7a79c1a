"""Everything that writes a file: it appears whole or not at all, keeps the old one's rights, and leaves nothing."""

import csv
import os
import stat
from pathlib import Path

import numpy as np
import pytest

import tinyreg as tr
from demos import report
from tinyreg import files
from tinyreg.training import History


def history():
    made = History()
    made.append({"loss": 0.5})
    return made


def tape():
    return tr.tape(tr.tensor(2.0, requires_grad=True) * 3.0)


def preview(path):
    tr.augment.preview(np.zeros((1, 1, 4, 4), dtype="float32"), lambda images, rng: images, path=path)


WRITERS = {
    "save": lambda path: tr.training.save(path, n=1),
    "to_csv": lambda path: history().to_csv(path),
    "to_json": lambda path: history().to_json(path),
    "plot": lambda path: history().plot(path),
    "save_html": lambda path: tape().save_html(path),
    "preview": preview,
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.png"


@pytest.fixture(params=WRITERS)
def writer(request):
    return WRITERS[request.param]


def rights(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_rights_of_any_other(path, writer):
    writer(path)
    plain = path.with_name("plain")
    plain.touch()
    assert rights(path) == rights(plain)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_a_file_that_is_written_again_keeps_its_rights(path, writer, mode):
    writer(path)
    path.chmod(mode)
    writer(path)
    assert rights(path) == mode
    assert os.listdir(path.parent) == [path.name]


def test_what_is_private_cannot_be_read_by_others_while_it_is_written(path, monkeypatch):
    files.write(path, "old", "test")
    path.chmod(0o600)
    seen, fsync = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (seen.append(stat.S_IMODE(os.fstat(fd).st_mode)) if len(seen) < 1 else None, fsync(fd))
    )
    files.write(path, "new", "test")
    assert seen == [0o600]


@pytest.mark.skipif(os.name != "posix", reason="a folder can be forced to the disk there only")
def test_the_whole_file_is_on_the_disk_before_it_is_moved_and_then_its_name(path, monkeypatch):
    """What a loss of power at any of these moments would leave."""
    events, fsync, replace = [], os.fsync, os.replace

    def forced(fd):
        status = os.fstat(fd)
        events.append("folder" if stat.S_ISDIR(status.st_mode) else status.st_size)
        fsync(fd)

    def moved(*args, **settings):
        events.append("moved")
        replace(*args, **settings)

    monkeypatch.setattr(os, "fsync", forced)
    monkeypatch.setattr(os, "replace", moved)
    files.write(path, b"x" * 1000, "test")
    assert events == [1000, "moved", "folder"]


@pytest.mark.skipif(os.name != "posix", reason="a folder can be forced to the disk there only")
def test_a_folder_that_cannot_be_forced_is_closed_and_no_error(path, monkeypatch):
    closed, close, opened, open_ = [], os.close, [], os.open

    def refused(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(22, "Invalid argument")

    def noted(name, *args, **settings):
        fd = open_(name, *args, **settings)
        if Path(name) == path.parent:
            opened.append(fd)
        return fd

    monkeypatch.setattr(os, "fsync", refused)
    monkeypatch.setattr(os, "open", noted)
    monkeypatch.setattr(os, "close", lambda fd: (closed.append(fd), close(fd)))
    files.write(path, "new", "test")
    assert path.read_text() == "new"
    assert len(opened) == 1
    assert opened[0] in closed


def test_what_killed_writes_left_is_removed_and_nothing_else(tmp_path):
    path = tmp_path / "a+b.txt"
    left = [".a+b.txt.0123abcd.part", ".a+b.txt.ffffffff.part"]
    others = [".aab.txt.0123abcd.part", ".a+b.txt.0123abcd.parts", ".a+b.txt.0123.part", "a+b.txt.0123abcd.part", "c.part"]
    for name in (*left, *others):
        (tmp_path / name).write_text("")
    files.write(path, "new", "test")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, path.name])


def test_a_leftover_that_cannot_be_removed_is_no_error(path):
    path.with_name(f".{path.name}.0123abcd.part").mkdir()
    files.write(path, "new", "test")
    assert path.read_text() == "new"


def test_a_part_is_never_one_that_is_there(path, monkeypatch):
    """Of two writers with the same random name, the second raises."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(os, "urandom", bytes)
    with path.with_name(f".{path.name}.00000000.part").open("w") as of_another:
        fcntl.flock(of_another, fcntl.LOCK_EX)
        with pytest.raises(FileExistsError, match="no file can be made in"):
            files.write(path, "new", "test")
    assert not path.exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_is_kept(path, writer):
    path.write_bytes(b"old")
    os.chown(path, 12345, 54321)
    path.chmod(0o640)
    writer(path)
    assert (path.stat().st_uid, path.stat().st_gid, rights(path)) == (12345, 54321, 0o640)


def test_a_group_that_cannot_be_kept_gets_the_rights_of_others(path, monkeypatch):
    files.write(path, "old", "test")
    path.chmod(0o664)
    old = path.stat()

    def refuse(*args):
        raise PermissionError(1, "Operation not permitted")

    class OfOthers:
        st_mode, st_uid, st_gid = old.st_mode, old.st_uid + 1, old.st_gid + 1

    monkeypatch.setattr(os, "chown", refuse)
    files._make_alike(path, OfOthers)
    assert rights(path) == 0o644


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(path, writer, monkeypatch, fails):
    path.write_bytes(b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, fails, full)
        with pytest.raises(OSError, match="No space left"):
            writer(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_a_table_that_breaks_off_leaves_the_old_one(path, monkeypatch):
    history().to_csv(path)
    before = path.read_bytes()

    def broken(file):
        file.write("epoch")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(csv, "writer", broken)
    with pytest.raises(OSError, match="No space left"):
        history().to_csv(path)
    assert path.read_bytes() == before


def test_a_link_is_written_through(tmp_path, path, writer):
    link = tmp_path / "latest.png"
    path.write_bytes(b"old")
    link.symlink_to(path)
    writer(link)
    assert link.is_symlink()
    assert path.read_bytes() != b"old"


def test_a_place_where_no_file_can_be(tmp_path, writer):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(IsADirectoryError, match=r"got .*, which is a folder; expected the path of a file"):
        writer(tmp_path / "folder.png")
    with pytest.raises(FileNotFoundError, match=r"got .*run.png, but there is no folder .*missing; make it first"):
        writer(tmp_path / "missing" / "run.png")
    assert os.listdir(tmp_path) == ["folder.png"]


def test_a_folder_in_which_no_file_can_be_made(path, writer, monkeypatch):
    path.write_bytes(b"old")

    def refuse(*args, **settings):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)  # root may write anywhere
    with pytest.raises(PermissionError, match=r"file.png, but no file can be made in .* \(Permission denied\); choose"):
        writer(path)
    assert path.read_bytes() == b"old"


def test_a_file_that_may_not_be_written_is_not_replaced(path, writer, monkeypatch):
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="a file that may not be written"):
        writer(path)
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(os.name != "posix", reason="pipes are files there only")
def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path, path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        history().to_csv(pipe)
        assert os.read(reading, 1000) == b"epoch,loss\r\n1,0.5\r\n"
    finally:
        os.close(reading)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_check_leaves_nothing(path):
    files.check(path, "test")
    assert os.listdir(path.parent) == []
    path.write_bytes(b"old")
    files.check(path, "test")
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == b"old"


def test_the_report_of_the_demos_is_written_so_too(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "html", lambda *args: "new")
    page = tmp_path / "index.html"
    page.write_text("old")
    page.chmod(0o600)
    assert report.write(tmp_path, [], "numpy", False) == page
    assert (page.read_text(), rights(page)) == ("new", 0o600)


def test_a_figure_has_the_format_of_its_suffix(tmp_path):
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")):
        history().plot(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    history().plot(tmp_path / "plain")
    assert (tmp_path / "plain.png").exists()


def test_a_figure_has_150_dots_per_inch(tmp_path):
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(2, 1))
    written = files.write_figure(tmp_path / "a", figure, "test")
    assert written == tmp_path / "a.png"
    width_and_height = written.read_bytes()[16:24]
    assert width_and_height == (300).to_bytes(4, "big") + (150).to_bytes(4, "big")


SOURCES = [
    path for room in ("tinyreg", "demos", "benchmarks") for path in Path(__file__).parents[1].joinpath(room).rglob("*.py")
]
ELSEWHERE = {"tinyreg/files.py", "benchmarks/worker.py"}  # the latter tells the kernel something


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: "/".join(path.parts[-3:]))
def test_nothing_is_written_to_files_anywhere_else(source):
    if "/".join(source.parts[-2:]) in ELSEWHERE:
        return
    text = source.read_text(encoding="utf-8")
    found = [
        call
        for call in (".write_text(", ".write_bytes(", "savefig(path", '.open("w', ', "w")', "json.dump(")
        if call in text
    ]
    assert found == []
