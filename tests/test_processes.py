"""Other programs: what they print comes back, and none goes on longer than it was given."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinyreg.processes import finished, limited, started


def test_what_a_program_prints_comes_back():
    echo = "import sys; print(sys.stdin.read().upper(), end=''); print('heard', file=sys.stderr); sys.exit(3)"
    done = finished([sys.executable, "-c", echo], timeout=60, program="echo", input="é\n")
    assert (done.stdout, done.stderr, done.returncode) == ("É\n", "heard\n", 3)
    assert finished([sys.executable, "-c", echo], timeout=60, program="echo").stdout == ""  # nothing to wait for


def test_a_program_that_prints_no_text_does_no_harm():
    code = r"import sys; sys.stdout.buffer.write(b'\xff.')"
    assert finished([sys.executable, "-c", code], timeout=60, program="it").stdout == "\ufffd."


def test_a_program_that_hangs_is_stopped():
    with pytest.raises(TimeoutError, match=r"a nap: has not ended after 0.2 seconds, and was stopped: sleep 600; if"):
        finished(["sleep", "600"], timeout=0.2, program="a nap")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_while_a_program_runs_stops_it(error):
    with pytest.raises(error), started(["sleep", "600"]) as process:
        raise error
    assert process.returncode < 0


def test_a_process_that_is_waited_for_too_long_is_stopped():
    pipe = subprocess.PIPE
    with started(["sleep", "600"], stdout=pipe, text=True) as process:
        with limited(process, 0.2) as late:
            assert process.stdout.readline() == ""
        assert late.is_set()
    with started(["echo", "done"], stdout=pipe, text=True) as process:
        with limited(process, 60) as late:
            assert process.stdout.readline() == "done\n"
        assert not late.is_set()


def test_the_program_is_in_a_group_of_its_own():
    code = "import os; print(os.getpgid(0) == os.getpid())"
    assert finished([sys.executable, "-c", code], timeout=60, program="it").stdout == "True\n"


ROOT = Path(__file__).parents[1]


ENDED = {"processes.py", "watch.py", "test_watch.py"}  # what is watched ends with the next run, and with who watches


def test_whatever_starts_a_process_has_a_timeout():
    starting = {"run", "call", "check_call", "check_output", "Popen"}
    endless = []
    for path in (path for folder in ("tinyreg", "demos", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and re.fullmatch(r"subprocess\.(\w+)", name := ast.unparse(node.func)):
                limited = "timeout" in {keyword.arg for keyword in node.keywords} or path.name in ENDED
                if name.partition(".")[2] in starting and not limited:
                    endless.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert endless == []
