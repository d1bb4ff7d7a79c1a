"""Machine code beside NumPy: whose random numbers and warnings it has, where it is saved, and when it is used."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from captured.native_steps import both, normal

import tinyreg as tr
from tinyreg.captured import native
from tinyreg.captured import step as steps
from tinyreg.captured.native import cache, compile, draws

pytestmark = pytest.mark.skipif(bool(native.missing()), reason=native.missing())


@pytest.fixture(autouse=True)
def native_executor(monkeypatch):
    monkeypatch.setattr(steps, "best", lambda: "native")


# ---- masks


@pytest.mark.parametrize("share", [0.0, 1e-5, 0.2, 0.5, 0.99999, 1.0])
@pytest.mark.parametrize("n", [1, 3, 4, 1000, 2**17 + 1])
def test_masks_are_the_generators_and_leave_it_where_it_would_be(n, share):
    own, other = tr.Generator(3), tr.Generator(3)
    step = tr.capture(lambda: own.bernoulli(share, (n,)))
    for _ in range(8):
        assert np.array_equal(step(), other.bernoulli(share, (n,)))
    assert step.replays == 5
    assert str(own.state) == str(other.state)


def test_many_ties_are_settled_as_few_are():
    """More words with a tie than there is room to note them."""
    source, n = np.zeros(1000, np.uint64), 4000

    def fill(state, raw, address, count, bounds, ties, most):
        source[:] = 5 * draws.FOUR_TIMES
        return count

    generator = tr.Generator(0)
    draws.drawing(fill, generator, 5, 0.5, n)(source, source.ctypes.data)
    share = (source.view(np.uint16) < 5).mean()
    assert 0.4 < share < 0.6


# ---- what NumPy warns of


def test_warnings_are_those_of_the_step():
    step = tr.capture(lambda x: [x * np.float32(1e30), 1 / x])
    batches = [np.ones(3, "f4"), np.full(3, 1e30, "f4"), np.zeros(3, "f4")]
    for i in range(9):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            step(batches[i % 3])
        expected = [[], ["overflow encountered in multiply"], ["divide by zero encountered in divide"]][i % 3]
        assert [
            str(each.message) for each in warned if "divide" in str(each.message) or "multiply" in str(each.message)
        ] == expected
    assert step.replays == 2  # of the batches without a warning


def test_a_step_that_warns_again_and_again_is_replayed_by_numpy():
    step = tr.capture(lambda x: x * 3e38 + 1)
    for i in range(20):
        with pytest.warns(RuntimeWarning, match="overflow"):
            assert step(np.full(3, 5, "f4")).tolist() == [np.inf] * 3
        assert (step.replays > 0) is (i > 11)
    assert "map" not in str(step.program)


def test_what_is_ignored_in_a_part_of_a_step_is_warned_of_in_another():
    def step(x):
        with np.errstate(over="ignore"):
            y = x * 1e30
            ignored = y * 1e30
        return [ignored, y * 2e30 + 1]

    captured = tr.capture(step)
    for _ in range(6):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            captured(np.ones(3, "f4"))
        assert [str(each.message) for each in warned] == ["overflow encountered in multiply"]
    captured = both(lambda x: step(x)[0], (np.ones(3, "f4"),))
    assert captured.replays == 3


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 33])
def test_nothing_is_said_of_elements_that_are_not_there(n):
    step = both(
        lambda x: [1 / x, (x / x).sum(axis=0), x.reshape(1, -1).sum(axis=1) / x.reshape(1, -1)], (np.ones(n, "f4"),)
    )
    assert step.replays == 3


# ---- the code on disk


@pytest.fixture
def slow(monkeypatch, tmp_path):
    """All code is saved, in a folder of its own; what is compiled is noted."""
    monkeypatch.setenv("TINYREG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compile, "QUICK", -1.0)
    compiled = []
    compile_as_ever = compile.Engine.compiled
    monkeypatch.setattr(
        compile.Engine, "compiled", lambda self, text: (compiled.append(text), compile_as_ever(self, text))[1]
    )
    return tmp_path / "cache", compiled


def run_once():
    return both(lambda x: (x + 1) * 2, (normal(40),))


def test_code_is_compiled_once_and_then_read(slow):
    folder, compiled = slow
    run_once()
    assert len(compiled) == len(list(folder.iterdir())) == 1
    run_once()
    assert len(compiled) == 1
    both(lambda x: (x + 1) * 3, (normal(40),))
    assert len(compiled) == len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"x", b"x" * 5000, None])
def test_damaged_code_is_compiled_again(slow, damage):
    folder, compiled = slow
    run_once()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage is None else damage)
    run_once()
    assert len(compiled) == 2
    assert file.read_bytes() == whole


def test_a_folder_that_cannot_be_written_does_no_harm(slow, monkeypatch, tmp_path):
    _, compiled = slow
    (tmp_path / "file").write_text("")
    for place in ("file", "file/inside", "\0"):
        if "\0" not in place:
            monkeypatch.setenv("TINYREG_CACHE", str(tmp_path / place))
        run_once()
    monkeypatch.setenv("TINYREG_CACHE", "")
    run_once()
    assert len(compiled) >= 3
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")
def test_code_of_another_user_is_not_run(slow, monkeypatch):
    _, compiled = slow
    run_once()
    monkeypatch.setattr(os, "getuid", lambda: os.stat(__file__).st_uid + 1)
    run_once()
    assert len(compiled) == 2


def test_the_oldest_code_goes(slow, monkeypatch):
    folder, _ = slow
    monkeypatch.setattr(cache, "MOST", 3)
    for k in range(5):
        cache.save(str(k), b"code")
        os.utime(folder / cache._name(str(k)), (k, k))
    assert [k for k in range(5) if cache.load(str(k))] == [2, 3, 4]


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("TINYREG_CACHE", str(tmp_path))
    assert cache.folder() == tmp_path
    monkeypatch.setenv("TINYREG_CACHE", "")
    assert cache.folder() is None
    monkeypatch.delenv("TINYREG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "tinyreg"


def test_a_long_compilation_says_so(monkeypatch, capsys):
    monkeypatch.setattr(compile, "SLOW", 1e-3)
    said = threading.Event()
    say = print
    monkeypatch.setattr(compile, "print", lambda *a, **k: (say(*a, **k), said.set()), raising=False)
    assert compile._announced(lambda: b"code" if said.wait(60) else b"") == b"code"
    assert capsys.readouterr().err == "capture: compiling the program ...\n"
    monkeypatch.setattr(compile, "SLOW", 3600)
    compile._announced(lambda: b"")
    assert not capsys.readouterr().err


# ---- which executor is taken


def run_with(llvmlite, code):
    """The output of a program for which llvmlite is another, or none."""
    start = f"import sys, types; sys.modules['llvmlite'] = {llvmlite}; sys.modules['llvmlite.binding'] = {llvmlite}\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


@pytest.mark.parametrize("llvmlite", ["None", "types.ModuleType('llvmlite')"])
def test_without_llvmlite_numpy_runs_the_program_and_native_says_what_to_install(llvmlite):
    code = """
import tinyreg as tr
step = tr.capture(lambda x: x * 2 + 1)
print([step(tr.ones(1)).tolist() for _ in range(5)][-1], step.replays, "map" in str(step.program))
try:
    tr.capture(lambda x: x, executor="native")
except ImportError as error:
    print(error)
"""
    said = run_with(llvmlite, code)
    assert said.startswith("[3.0] 2 False")
    assert "pip install 'tinyreg[native]'" in said


def test_llvmlite_is_imported_when_it_is_needed():
    code = "import tinyreg as tr; step = tr.capture(lambda x: x + 1); step(tr.ones(1)); print('llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", "import sys; " + code], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "False"


def test_either_executor_can_be_asked_for():
    for name, grouped in (("numpy", False), ("native", True), (None, True)):
        step = tr.capture(lambda x: x * 2 + 1, executor=name)
        for _ in range(4):
            step(tr.ones(3))
        assert ("map" in str(step.program)) is grouped
        assert tr.capture(step, executor=name) is step
    assert tr.capture(step, executor="numpy") is not step


def test_code_that_cannot_be_compiled_is_left_to_numpy(monkeypatch):
    def fails(self, text):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(compile.Engine, "compiled", fails)
    step = tr.capture(lambda x: x * 2 + 1)
    step(tr.ones(3)), step(tr.ones(3))
    with pytest.warns(UserWarning, match="replayed by NumPy, since it cannot be compiled: no such instruction"):
        step(tr.ones(3))
    assert step(tr.ones(3)).tolist() == [3.0] * 3
    assert step.replays == 1
