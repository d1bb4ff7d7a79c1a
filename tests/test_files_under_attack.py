"""Files that are written while processes are killed, disks are full, folders vanish, and others write to the same path."""

import contextlib
import errno
import os
import shutil
import signal
import sys
import threading
import time
import warnings
from itertools import count

import attacked
import numpy as np
import pytest

import tinyreg as tr
from tinyreg import files
from tinyreg.training import History, load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def fill(path, n):
    """A file of 400,000 bytes that says n everywhere."""
    save(path, n=n, weights=np.full(100_000, n, "float32"))


def whole(path):
    """The n of a file, which it says everywhere."""
    state = load(path)
    assert (state["weights"] == state["n"]).all()
    return state["n"]


@contextlib.contextmanager
def beside(work, *arguments):
    """A copy of this process that does some work, which ends with it or when it is killed; gives its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, which wait for work here
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work(*arguments)
            os._exit(0)
        os._exit(1)
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def ended_well(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---- kills


def save_on_and_on(path, first, to):
    for n in count(first):
        fill(path, n)
        os.write(to, b".")


def test_a_kill_at_any_moment_leaves_a_whole_file_and_litter_that_does_not_grow(path):
    chance, kills = attacked.seeded(20, 200)
    fill(path, 0)
    reached = [0]
    for _ in range(kills):
        here, there = os.pipe()
        with beside(save_on_and_on, path, reached[-1] + 1, there):
            os.close(there)
            os.read(here, 1)  # it has begun
            time.sleep(chance.uniform(0, 0.03))
        os.close(here)
        reached.append(whole(path))
        assert reached[-1] > reached[-2]
        assert len(os.listdir(path.parent)) <= 2  # and what was being written
    fill(path, -1)
    assert os.listdir(path.parent) == [path.name]


def test_litter_is_removed_before_there_is_room_for_the_new_file(path, monkeypatch):
    path.with_name(f".{path.name}.00000000.part").write_bytes(b"half")

    def full(*args):
        assert len(os.listdir(path.parent)) == 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, n=1)
    assert os.listdir(path.parent) == []


# ---- several at once


def save_often(path, mine, times):
    for i in range(times):
        fill(path, mine + i)


def test_processes_that_save_to_one_path_leave_a_whole_file_and_none_fails(path):
    fill(path, 0)
    seen = set()
    with beside(save_often, path, 100, 40) as one, beside(save_often, path, 200, 40) as other:
        for _ in range(40):
            seen.add(whole(path))
        assert ended_well(one)
        assert ended_well(other)
    assert whole(path) in (139, 239)
    assert seen & {*range(100, 300)}
    assert os.listdir(path.parent) == [path.name]


def test_threads_that_save_to_one_path_leave_a_whole_file_and_none_fails(path):
    fill(path, 0)
    failed = []

    def work(mine):
        try:
            for i in range(20):
                fill(path, mine + i)
                whole(path)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert whole(path) in (119, 219, 319)
    assert os.listdir(path.parent) == [path.name]


def test_what_another_writer_is_writing_is_not_removed_and_what_a_killed_one_left_is(path):
    save(path, n=0)
    left = path.with_name(f".{path.name}.00000000.part")
    left.write_bytes(b"half")
    with files._part(str(path), "test") as (part, _):
        assert not left.exists()
        save(path, n=1)
        assert set(os.listdir(path.parent)) == {part.name, path.name}
    assert os.listdir(path.parent) == [path.name]


def test_a_part_that_another_writer_took_for_one_that_was_left_is_made_again(path, monkeypatch):
    held, taken = files._held, []

    def take_once(part, ending, wait):
        if wait and not taken:
            taken.append(part)
            part.unlink()
        return held(part, ending, wait)

    monkeypatch.setattr(files, "_held", take_once)
    save(path, n=1)
    assert taken
    assert load(path) == {"n": 1}
    assert os.listdir(path.parent) == [path.name]


def test_a_part_that_another_writer_has_locked_to_look_at_it_is_waited_for(path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    touch, lock, others = files.Path.touch, fcntl.flock, []

    def touched(part, **settings):
        touch(part, **settings)
        others.append(part.open())
        lock(others[-1], fcntl.LOCK_EX)

    def locked(opened, how):
        if not how & fcntl.LOCK_NB:  # the other one ends while this one waits
            others.pop().close()
        lock(opened, how)

    monkeypatch.setattr(files.Path, "touch", touched)
    monkeypatch.setattr(fcntl, "flock", locked)
    save(path, n=1)
    assert others == []
    assert load(path) == {"n": 1}


# ---- places where there is no room, or no place any more


def history():
    made = History()
    for epoch in range(1000):
        made.append({"loss": 1 / (epoch + 1), "accuracy": 0.5})
    return made


def tape():
    x = tr.ones(100, requires_grad=True)
    with tr.explain():
        return tr.tape((x * x).sum())


WRITERS = {
    "save": lambda path: fill(path, 1),
    "to_csv": lambda path: history().to_csv(path),
    "to_json": lambda path: history().to_json(path),
    "save_html": lambda path: tape().save_html(path),
}


@pytest.fixture(params=WRITERS)
def writer(request):
    return request.param, WRITERS[request.param]


def said(write, path):
    """What a copy of this process says when it writes, as another user where this one may do everything."""
    return attacked.outcomes(lambda _: write(path), [None])[0]


def test_a_disk_that_fills_up_leaves_the_old_file_and_a_clear_error(path, writer):
    name, write = writer
    path.write_bytes(b"old")

    def limited(path):
        attacked.resource.setrlimit(attacked.resource.RLIMIT_FSIZE, (10_000, 10_000))
        write(path)

    kind, text = said(limited, path)
    assert kind == "OSError"
    assert text == (
        f"{name}: got {path}, but it cannot be written (File too large); what was there is whole; make room or choose "
        "another path"
    )
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_the_error_of_a_full_disk_keeps_its_number(path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"^save: got .*a\\nb, .* \(No space left on device\); what was there is") as caught:
        save(path.with_name("a\nb"), n=1)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_device_that_is_full_is_a_clear_error(writer):
    name, write = writer

    def as_nobody(path):  # who cannot put a file in the place of a device
        if os.geteuid() == 0:
            os.seteuid(65534)
        write(path)

    kind, text = said(as_nobody, "/dev/full")
    assert kind == "OSError"
    assert text.startswith(f"{name}: got /dev/full, but it cannot be written (No space left on device)")


def test_a_folder_that_may_not_be_written_leaves_the_old_file_and_a_clear_error(path, writer):
    name, write = writer
    path.write_bytes(b"old")
    path.chmod(0o666)

    def as_nobody(path):
        if os.geteuid() == 0:  # who may do everything
            os.chmod(path.parent, 0o555)
            os.seteuid(65534)
        else:
            path.parent.chmod(0o555)
        write(path)

    for folder in path.parents:  # above which pytest keeps others out
        if folder.stat().st_uid == os.geteuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o111)
    try:
        kind, text = said(as_nobody, path)
    finally:
        path.parent.chmod(0o755)
    assert (kind, text) == (
        "PermissionError",
        f"{name}: got {path}, but no file can be made in {path.parent} (Permission denied); choose another path",
    )
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


MOMENTS = {"while it is written": "fsync", "before it is moved": "replace"}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_folder_that_vanishes_is_a_clear_error(tmp_path, writer, moment, monkeypatch):
    name, write = writer
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    step = getattr(os, MOMENTS[moment])

    def without_folder(*arguments):
        shutil.rmtree(path.parent, ignore_errors=True)
        return step(*arguments)

    monkeypatch.setattr(os, MOMENTS[moment], without_folder)
    with pytest.raises(FileNotFoundError, match=rf"^{name}: got .*file, but it cannot be written \(No such file"):
        write(path)
    assert os.listdir(tmp_path) == []


def test_a_pipe_is_written_to_where_somebody_reads_and_otherwise_refused_at_once(tmp_path, writer):
    name, write = writer
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match=rf"^{name}: got .*pipe, but it cannot be written \(No such device or address\)"):
        write(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    for _ in range(1000):
        with contextlib.suppress(OSError):
            write(pipe)
            break
        time.sleep(0.01)
    reader.join()
    write(plain := tmp_path / "plain")
    assert len(got[0]) == plain.stat().st_size  # the order of metadata differs


def test_a_pipe_whose_reader_goes_away_is_a_clear_error(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def go_away(reading):
        os.read(reading, 1000)
        os.close(reading)

    leaving = threading.Thread(target=go_away, args=(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK),))
    with pytest.raises(BrokenPipeError, match=r"^save: got .*pipe, but it cannot be written \(Broken pipe\); expected"):
        threading.Timer(0.1, leaving.start).start() or fill(pipe, 1)
    leaving.join()


# ---- names


NAMES = [
    "x" * 250,
    "é" * 120,
    "new\nline",
    "\x1b[31mred",
    "\u202egpj.exe",
    "a'b\"c",
    "[a-z]*?",
    " ",
    ".hidden",
    "-rf",
    "ü\u2028",
]


@pytest.mark.skipif(sys.platform == "win32", reason="such names are no names there")
@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"not utf-8 \xff")])
def test_a_file_may_have_any_name(tmp_path, name):
    path = tmp_path / name
    for n in range(2):
        save(path, n=n)
    left = path.with_name(f".{name[:50]}.00000000.part")
    left.touch()
    save(path, n=2)
    assert load(path) == {"n": 2}
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("call", [load, lambda path: save(path / "x", n=1), lambda path: history().to_csv(path / "x")])
def test_an_error_about_a_hostile_name_is_one_line_without_control_characters(tmp_path, call):
    with pytest.raises(OSError, match="got ") as caught:
        call(tmp_path / "a\nb\x1b[31m\u202ec\u2028d")
    assert r"a\nb\x1b[31m\u202ec\u2028d" in str(caught.value)
    assert str(caught.value).isprintable()
