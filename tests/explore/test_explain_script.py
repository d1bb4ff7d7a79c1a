"""`python -m tinyreg explore SCRIPT.py`: the page of the backward that was asked for, or a clear word why there is none."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tinyreg.explore import script
from tinyreg.processes import finished

ROOT = Path(__file__).parents[2]

TRAINING = """
    import sys
    import numpy as np
    import tinyreg as tr
    import neighbour

    w = tr.tensor([1.0, 2.0], requires_grad=True)
    for step in range(5):
        loss = (w * w * neighbour.SCALE).sum()
        loss.backward()
        w.assign(w.data - 0.1 * w.grad.data)
        w.zero_grad()
        print("step", step, *sys.argv[1:])
    print("done")
"""


@pytest.fixture
def write(tmp_path):
    def script(text, name="train.py"):
        (tmp_path / "neighbour.py").write_text("SCALE = 3.0\n")
        (tmp_path / name).write_text(textwrap.dedent(text))
        return tmp_path / name

    return script


def explore(*arguments, cwd):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "tinyreg", "explore", *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600)


def test_the_page_of_the_first_backward_is_written(write, tmp_path):
    write(TRAINING)
    done = explore("train.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "backward 1 of train.py, 3 entries, in tape.html; the script was ended there\n"
    page = (tmp_path / "tape.html").read_text(encoding="utf-8")
    assert "train.py" in page
    assert "neighbour.SCALE" in page


def test_a_later_backward_and_the_arguments_of_the_script(write, tmp_path):
    path = write(TRAINING)
    done = explore(path, "first", "--step", "3", "--out", "other.html", "--", "--step", "9", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["step 0 first --step 9", "step 1 first --step 9"]
    assert done.stdout.splitlines()[2].startswith("backward 3 of train.py, 3 entries, in other.html")
    assert not (tmp_path / "tape.html").exists()


def test_definitions_run_in_place_of_fast_forms_where_one_asks_for_them(write, tmp_path):
    write("import tinyreg as tr\ny = tr.gelu(tr.tensor(1.0, requires_grad=True))\ny.backward()\n")
    done = explore("train.py", cwd=tmp_path)
    assert done.stdout.startswith("backward 1 of train.py, 1 entry, in tape.html")
    done = explore("train.py", "--definitions", cwd=tmp_path)
    assert done.stdout.startswith("backward 1 of train.py, 5 entries, in tape.html")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """The command in this process: its status, and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = script.main(["explore", *map(str, arguments)])
        out, err = capsys.readouterr()
        return status, out + err

    return run


def test_it_leaves_no_trace_in_the_process(write, run):
    path = write(TRAINING)
    before = sys.argv, sys.path[:], script.Tensor.backward
    assert run(path)[0] == 0
    assert (sys.argv, sys.path, script.Tensor.backward) == before


def test_a_script_without_that_many_backwards(write, run, tmp_path):
    status, text = run(write(TRAINING), "--step", 9)
    assert status == 1
    assert "done" in text
    assert "train.py called .backward() 5 times, expected at least 9: no page" in text
    status, text = run(write("print('hello')"))
    assert status == 1
    assert "called .backward() 0 times" in text
    assert "tr.tape(tensor).save_html(path) inside tr.explain()" in text
    assert not (tmp_path / "tape.html").exists()


def test_a_script_that_raises_gives_the_tape_up_to_there(write, run, tmp_path):
    path = write("import tinyreg as tr\nx = tr.ones(2, requires_grad=True)\ny = x * 2.0\nz = (y * y).sum()\n1 / 0\n")
    status, text = run(path)
    assert status == 1
    assert "ZeroDivisionError: division by zero" in text
    assert "line 5" in text
    assert "runpy" not in text
    assert "train.py raised ZeroDivisionError; the tape up to there, 3 entries, in tape.html" in text
    assert (tmp_path / "tape.html").exists()


def test_a_nan_ends_the_script_with_the_report_and_the_page(write, run, tmp_path):
    path = write("""
        import tinyreg as tr
        x = tr.tensor([0.0, 1.0], requires_grad=True)
        loss = tr.sqrt(x).sum()
        loss.backward()
    """)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        status, text = run(path)
    assert status == 1
    assert "NonFiniteError: explain: backward of sqrt(x), from train.py:4 `loss = tr.sqrt(x).sum()`" in text
    assert "the tape up to there, 2 entries" in text


def test_a_script_that_raises_before_anything_was_recorded(write, run, tmp_path):
    status, text = run(write("raise OSError('no data')"))
    assert status == 1
    assert "train.py raised OSError before anything was recorded: no page" in text
    assert not (tmp_path / "tape.html").exists()


def test_a_nan_in_the_forward_gives_the_page_up_to_the_op_that_made_it(write, run, tmp_path):
    path = write("""
        import tinyreg as tr
        x = tr.tensor([-1.0, 1.0], requires_grad=True)
        tr.sqrt(x * 4.0).sum().backward()
    """)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        status, text = run(path)
    assert status == 1
    assert "NonFiniteError: explain: entry #1, sqrt(multiply(...)), from train.py:4" in text
    assert "the tape up to there, 2 entries" in text
    assert '"nan"' in (tmp_path / "tape.html").read_text(encoding="utf-8")


def test_a_script_that_is_no_python(write, run):
    status, text = run(write("import tinyreg as\n"))
    assert status == 1
    assert "SyntaxError" in text
    assert "runpy" not in text
    assert "raised SyntaxError before anything was recorded: no page" in text


def test_a_script_that_ends_itself(write, run):
    assert "called .backward() 0 times" in run(write("import sys\nsys.exit()"))[1]
    assert "raised SystemExit" in run(write("import sys\nsys.exit('bad')"))[1]


def test_a_cut_path_is_warned_of(write, run):
    path = write("""
        import tinyreg as tr
        w, v = tr.tensor([1.0, 2.0], requires_grad=True), tr.ones(2, requires_grad=True)
        (w.detach() * v).sum().backward()
    """)
    with pytest.warns(UserWarning, match=r"w, used at train.py:4, got no gradient.*train.py:4: detach\(\)"):
        assert run(path)[0] == 0


def test_what_cannot_be_done_is_said_before_the_script_runs(write, run):
    assert run("missing.py") == (2, "explore: got missing.py, but there is no such file; expected a Python script\n")
    path = write(TRAINING)
    assert run(path, "--step", 0) == (2, "explore: got --step 0, expected at least 1, the first backward\n")
    status, text = run(path, "--out", "no/where.html")
    assert (status, text) == (2, "explore: got --out no/where.html, but there is no folder no; make it first\n")


def test_help_is_there(tmp_path):
    done = explore("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "usage: python -m tinyreg explore [--watch] SCRIPT.py [--out tape.html] [--step N]" in done.stdout


# ---- scripts that do not end where they are ended

STEP = """
    import concurrent.futures, multiprocessing, os, sys, threading, time
    import tinyreg as tr
    w = tr.tensor([1.0, 2.0], requires_grad=True)
    def step(i=0):
        (w * w).sum().backward()
        return i
"""
POOL = """
    if __name__ == "__main__":
        with {pool} as pool:
            print(list(pool.map(step, range(3))), flush=True)
        step()
"""
STUBBORN = {
    "a pool of copies": POOL.format(pool="multiprocessing.get_context('fork').Pool(2)"),
    "a pool of new processes": POOL.format(pool="multiprocessing.get_context('spawn').Pool(2)"),
    "an executor of processes": POOL.format(
        pool="concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context('fork'))"
    ),
    "a pool of threads": POOL.format(pool="concurrent.futures.ThreadPoolExecutor(2)"),
    "a thread": """
    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    step()
""",
    "a thread that goes on": """
    threading.Thread(target=time.sleep, args=(3600,)).start()
    step()
""",
    "a process that goes on": """
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,)).start()
    step()
""",
    "a copy that comes to the end": """
    if os.fork() == 0:
        step()
    else:
        os.wait()
        step()
""",
    "a copy that ends itself": """
    if os.fork() == 0:
        step()
        sys.exit(3)
    assert os.wait()[1] >> 8 == 3
    step()
""",
    "itself as another program": """
    import subprocess
    if "again" not in sys.argv:
        subprocess.run([sys.executable, __file__, "again"], check=True, timeout=100)
    step()
""",
    "catching all": """
    while True:
        try:
            step()
        except BaseException:
            pass
""",
    "an error of its own at the end": """
    try:
        step()
    except BaseException as error:
        raise RuntimeError("cleaning up failed") from error
""",
    "an end of its own": """
    try:
        step()
    finally:
        sys.exit("bad")
""",
    "a hard end": """
    try:
        step()
    finally:
        os._exit(0)
""",
    "atexit": """
    import atexit
    atexit.register(print, "cleaned up")
    step()
""",
}


@pytest.mark.parametrize("case", STUBBORN)
def test_no_script_hangs_and_each_gives_its_page(write, tmp_path, case):
    write(STEP + STUBBORN[case])
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    command = [sys.executable, "-m", "tinyreg", "explore", "train.py"]
    done = finished(command, timeout=120, program="explore", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "backward 1 of train.py, 2 entries, in tape.html; the script was ended there\n" in done.stdout
    assert (tmp_path / "tape.html").read_text(encoding="utf-8").endswith("</html>\n")
    if "pool" in STUBBORN[case]:
        assert "[0, 1, 2]" in done.stdout
    if case == "atexit":
        assert done.stdout.endswith("cleaned up\n")


def test_a_script_that_trains_in_another_thread_is_told_so(write, tmp_path):
    write(STEP + "    thread = threading.Thread(target=step)\n    thread.start()\n    thread.join()\n")
    done = explore("train.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "called .backward() 0 times, expected at least 1: no page. It was called in other threads" in done.stderr
