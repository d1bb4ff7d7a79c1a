"""Everything that writes a file: it appears whole or not at all, keeps the old one's rights, and leaves nothing."""

import contextlib
import csv
import errno
import os
import signal
import stat
import types
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


@contextlib.contextmanager
def pipe(folder):
    """A pipe that is read: its path and where to read. No device, which a mistake could replace."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("pipes are files elsewhere")
    os.mkfifo(folder / "pipe")
    reading = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield folder / "pipe", reading
    finally:
        os.close(reading)


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


def test_a_leftover_that_cannot_be_removed_is_no_error_and_others_are_removed(path, monkeypatch):
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(sorted(listed(self))))
    folder, left = (path.with_name(f".{path.name}.{n}123abcd.part") for n in (0, 1))
    folder.mkdir()
    left.touch()
    files.write(path, "new", "test")
    assert path.read_text() == "new"
    assert sorted(os.listdir(path.parent)) == [folder.name, path.name]


def test_a_folder_that_cannot_be_listed_is_no_error(path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    files.write(path, "new", "test")
    assert path.read_text() == "new"


def test_a_file_system_without_locks_is_written_to_and_rid_of_leftovers(path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refuse)
    path.with_name(f".{path.name}.0123abcd.part").touch()
    files.write(path, "new", "test")
    assert os.listdir(path.parent) == [path.name]


def test_a_system_without_locks_owners_and_pipes_that_do_not_wait(path, monkeypatch):
    """Windows has none of them."""
    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.setattr(files, "AT_ONCE", 0)
    for name in ("chown", "set_blocking"):
        monkeypatch.delattr(os, name, raising=False)
    path.with_name(f".{path.name}.0123abcd.part").touch()
    for text in ("old", "new"):
        files.write(path, text, "test")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == [path.name]
    with pipe(path.parent) as (name, reading):
        files.write(name, "new", "test")
        assert os.read(reading, 1000) == b"new"


@pytest.mark.parametrize("fails", ["", "fsync", "replace"])
def test_no_descriptor_stays_open(path, monkeypatch, fails):
    def lowest():
        os.close(free := os.open(os.devnull, os.O_RDONLY))
        return free

    def full(*args):
        raise OSError(28, "No space left on device")

    before, held = lowest(), []
    with monkeypatch.context() as patched:
        if fails:
            patched.setattr(os, fails, full)
        try:
            files.write(path, "new", "test")
        except OSError as error:
            held.append(error)  # with all that its frames hold
    with pipe(path.parent) as (name, _):
        files.write(name, "new", "test")
    assert lowest() == before
    assert len(held) == bool(fails)


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


@pytest.mark.parametrize(
    ("given", "mode", "rights_after"),
    [
        ("owner and group", 0o640, 0o640),
        ("group", 0o640, 0o640),
        ("nothing", 0o664, 0o644),
        ("nothing", 0o775, 0o755),
        ("nothing", 0o604, 0o644),
        ("nothing", 0o4673, 0o633),
    ],
)
def test_a_group_that_cannot_be_kept_gets_the_rights_of_others(path, monkeypatch, given, mode, rights_after):
    """What a user may give away depends on who that is."""
    files.write(path, "old", "test")
    path.chmod(mode)
    status, of = path.stat(), Path.stat
    other = types.SimpleNamespace(st_mode=status.st_mode, st_uid=status.st_uid + 1, st_gid=status.st_gid + 2)
    asked = []

    def give(part, user, group):
        asked.append((user, group))
        if given != "owner and group" and (given, user) != ("group", -1):
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "stat", lambda self, **settings: other if self == path else of(self, **settings))
    monkeypatch.setattr(os, "chown", give)
    files.write(path, "new", "test")
    assert asked == [(other.st_uid, other.st_gid), (-1, other.st_gid)][: 1 + (given != "owner and group")]
    assert stat.S_IMODE(of(path).st_mode) == rights_after


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


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path, monkeypatch):
    with pipe(tmp_path) as (name, reading):
        monkeypatch.setattr(Path, "touch", None)  # no file is made beside it
        files.check(name, "test")
        history().to_csv(name)
        assert os.read(reading, 1000) == b"epoch,loss\r\n1,0.5\r\n"
        assert os.listdir(tmp_path) == ["pipe"]
        with pytest.raises(OSError, match="got .*pipe, which is a pipe or a device"), files.opened(name, "test"):
            pass


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        (3, TypeError, "got 3, expected the path of a file: a string or a pathlib.Path"),
        (b"file", TypeError, "got b'file', expected the path of a file: a string or a pathlib.Path"),
        ("", ValueError, "got '', expected the path of a file; none can be called that"),
        ("a\0b", ValueError, r"got 'a\\x00b', expected the path of a file; none"),
        ("\ud800", ValueError, r"got '\\ud800', expected the path of a file; none"),
    ],
)
def test_what_is_no_name_of_a_file_is_refused_before_anything_is_done(tmp_path, monkeypatch, name, error, text):
    monkeypatch.chdir(tmp_path)
    for call in (
        lambda: files.write(name, "new", "test"),
        lambda: files.check(name, "test"),
        lambda: files.write_figure(name, None, "test"),
        lambda: files.opened(name, "test").__enter__(),
    ):
        with pytest.raises(error, match=f"^test: {text}"):
            call()
    assert os.listdir(tmp_path) == []


def test_a_text_that_is_no_unicode_is_refused_and_its_file_named(path):
    path = path.with_name("a\nb")
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError) as caught:
        files.write(path, "\ud800", "test")
    assert caught.value.__notes__ == [rf"test: this is about the text for {path.parent}/a\nb; nothing was written"]
    assert path.read_text() == "old"


def test_a_ctrl_c_waits_until_a_file_is_whole_and_nothing_is_left(path, monkeypatch):
    force, remove = os.fsync, Path.unlink

    def interrupted(step):
        return lambda *args: (signal.raise_signal(signal.SIGINT), step(*args))[1]

    monkeypatch.setattr(os, "fsync", interrupted(force))
    monkeypatch.setattr(Path, "unlink", interrupted(remove))
    with pytest.raises(KeyboardInterrupt):
        files.check(path, "test")
    assert os.listdir(path.parent) == []
    with pytest.raises(KeyboardInterrupt):
        files.write(path, "new", "test")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == [path.name]


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
ELSEWHERE = {  # the worker tells the kernel something, and what is watched complains to a file that is read and goes
    *("tinyreg/files.py", "benchmarks/worker.py", "explore/watch.py")
}


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
