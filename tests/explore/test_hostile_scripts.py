"""Scripts under `python -m tinyreg explore` that end, fork, print, recurse, close and change what they can."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
if not hasattr(os, "fork"):
    pytest.skip("the scripts run in copies of one process", allow_module_level=True)

# Starts a copy of itself for each folder: a process as new as any, without the time to import everything again.
SERVER = """
import os, sys, time
import tinyreg, multiprocessing.pool, concurrent.futures.process, asyncio, runpy
from tinyreg.explore import script

script.GRACE = 0.3
for folder in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.chdir(folder)
        for number, name, flags in (0, os.devnull, os.O_RDONLY), (1, "out", 65), (2, "err", 65):
            os.dup2(os.open(name, flags), number)
        sys.argv = ["explore", "explore", "s.py", "--out", "pages/tape.html"]
        break
    for _ in range(1500):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.02)
    print(os.waitstatus_to_exitcode(status) if ended else "hung", flush=True)
    try:
        os.killpg(child, 9)
    except ProcessLookupError:
        pass
else:
    os._exit(0)
sys.path[0] = folder
script.run()
"""

START = """
import asyncio, atexit, builtins, contextlib, io, multiprocessing, os, shutil, signal, sys
import tempfile, threading, time, warnings
import tinyreg as tr

w = tr.tensor([1.0, 2.0], requires_grad=True)

def step():
    (w * w).sum().backward()

def down(n):
    return down(n - 1) if n else step()

class Bad(Exception):
    def __str__(self):
        raise ValueError

def stay():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"deaf")
    time.sleep(3600)

"""


class Case(NamedTuple):
    """What a script does; how explore ends; whether there is a page; what is said."""

    body: str
    status: int = 0
    page: bool = True
    says: str = "backward 1 of s.py, 2 entries, in pages/tape.html; the script was ended there\n"


def so_far(why, status=1):
    return {"status": status, "says": f"explore: s.py {why}; the tape up to there, 2 entries, in pages/tape.html\n"}


def nothing(why, status=1):
    return {"status": status, "page": False, "says": f"explore: s.py {why} before anything was recorded: no page\n"}


def unwritten(why):
    return {"status": 1, "page": False, "says": f"explore: the page of s.py cannot be written: {why}"}


Y = "y = (w * w).sum()\n"
FOREVER = "threading.Thread(target=time.sleep, args=(3600,)).start()\n"
CASES = {
    # ends
    "an exit": Case("sys.exit(3)", **nothing("raised SystemExit(3)", 3)),
    "an exit after ops": Case(f"{Y}sys.exit(3)", **so_far("raised SystemExit(3)", 3)),
    "an exit with text": Case("raise SystemExit('no data')", **nothing("raised SystemExit('no data')")),
    "an exit without an error": Case(
        f"{Y}sys.exit()", 1, False, "called .backward() 0 times, expected at least 1: no page"
    ),
    "a hard end": Case(f"{Y}os._exit(3)", **so_far("ended with os._exit(3)", 3)),
    "a hard end without an error": Case("os._exit(0)", **nothing("ended with os._exit(0)")),
    "a hard end in a thread": Case(
        f"{Y}thread = threading.Thread(target=os._exit, args=(4,))\nthread.start()\nthread.join()",
        **nothing("ended with os._exit(4)", 4),
    ),
    "Ctrl-C": Case(f"{Y}raise KeyboardInterrupt", **so_far("raised KeyboardInterrupt", 130)),
    "an error": Case(f"{Y}1 / 0", **so_far("raised ZeroDivisionError")),
    "an error without text": Case(f"{Y}raise Bad", **so_far("raised Bad")),
    "an error with half a pair": Case(f"{Y}raise ValueError('\\ud800')", **so_far("raised ValueError")),
    "an error with a name": Case(f"{Y}raise type('\\x1b[31m\\n', (Exception,), {{}})", **so_far(r"raised \x1b[31m\n")),
    # copies and threads
    "two copies go on": Case("os.fork()\nstep()"),
    "the copy goes on": Case("if os.fork():\n    os._exit(0)\nstep()", **nothing("ended with os._exit(0)")),
    "a copy that raises": Case("if os.fork() == 0:\n    1 / 0\nos.wait()\nstep()"),
    "a process that does not want to end": Case(
        "multiprocessing.get_context('fork').Process(target=stay).start()\ntime.sleep(0.2)\nstep()"
    ),
    "a thread that goes on": Case(f"{FOREVER}step()"),
    "a thread that goes on after an error": Case(f"{FOREVER}{Y}1 / 0", **so_far("raised ZeroDivisionError")),
    "a thread that goes on after the end": Case(FOREVER, 1, False, "called .backward() 0 times"),
    "a daemon": Case("threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\nstep()"),
    "an event loop": Case("async def f():\n    step()\nasyncio.run(f())"),
    "a task that nobody awaits": Case(
        "async def g():\n    step()\nasync def f():\n    task = asyncio.create_task(g())\n    await asyncio.sleep(3600)\n"
        "asyncio.run(f())"
    ),
    # depth
    "endless recursion": Case(f"{Y}def f():\n    f()\nf()", **so_far("raised RecursionError")),
    "a backward in the depth": Case("down(970)"),
    "a backward deeper than usual": Case("sys.setrecursionlimit(10**6)\ndown(20_000)"),
    # streams
    "much text": Case("print('x' * 10_000_000)\nstep()"),
    "stdout closed": Case("sys.stdout.close()\nstep()", says=""),
    "stdout gone": Case("sys.stdout = None\nstep()"),
    "stdout closed below": Case("print('x')\nos.close(1)\nstep()", says=""),
    "stderr gone": Case(f"sys.stderr = None\n{Y}1 / 0", **so_far("raised ZeroDivisionError")),
    "stderr closed below": Case(f"os.close(2)\n{Y}1 / 0", 1, says=""),
    "all closed": Case("os.closerange(0, 100)\nstep()", says=""),
    "stdout elsewhere": Case("with contextlib.redirect_stdout(io.StringIO()):\n    step()"),
    "stdout in another encoding": Case("sys.stdout.reconfigure(encoding='utf-16')\nstep()", says=""),
    "stdin at its end": Case("assert sys.stdin.read() == ''\nstep()"),
    "asking": Case(f"{Y}input()", **so_far("raised EOFError")),
    # surroundings
    "another folder": Case("os.chdir('/')\nstep()"),
    "another folder and an error": Case(f"os.chdir('/')\n{Y}1 / 0", **so_far("raised ZeroDivisionError")),
    "no folder": Case("os.chdir(d := tempfile.mkdtemp())\nos.rmdir(d)\nstep()"),
    "no folder for the page": Case("shutil.rmtree('pages')\nstep()", **unwritten("save_html: got ")),
    "a folder in place of the page": Case("os.mkdir('pages/tape.html')\nstep()", **unwritten("save_html: got ")),
    "no room for the page": Case(
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\nstep()",
        **unwritten("save_html: got "),
    ),
    "no import path": Case("sys.path[:] = []\nstep()"),
    "modules of the same names": Case("import zipfile\nassert zipfile.OWN\nstep()"),
    "no modules": Case(
        "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith(('json', 'html', 're'))]\nstep()"
    ),
    "no open": Case("builtins.open = builtins.print = None\nstep()"),
    "errors for warnings": Case("warnings.simplefilter('error')\nstep()"),
    "a hook for errors": Case(f"sys.excepthook = None\n{Y}1 / 0", **so_far("raised ZeroDivisionError")),
    "signals that are ignored": Case("[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]\nstep()"),
    "a clock that strikes": Case(
        f"{Y}signal.signal(signal.SIGALRM, lambda *a: 1 / 0)\nsignal.setitimer(0, 0.05, 0.05)\ntime.sleep(60)",
        **so_far("raised ZeroDivisionError"),
    ),
    "something at the end": Case("atexit.register(print, 'bye')\nstep()"),
    "another backward": Case("tr.Tensor.backward = lambda self: None\nstep()", 1, False, "called .backward() 0 times"),
}

OWN_TRACEBACKS = ("a copy that raises", "a task that nobody awaits")  # printed by Python, from its own beginning


def ended(folder):
    """How each script has ended, and the folder in which it ran."""
    folders = {name: folder / str(i) for i, name in enumerate(CASES)}
    for name, case in CASES.items():
        (folders[name] / "pages").mkdir(parents=True)
        (folders[name] / "s.py").write_text(START + textwrap.dedent(case.body) + "\n")
        (folders[name] / "zipfile.py").write_text("OWN = True\n")
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SERVER, *map(str, folders.values())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return dict(zip(folders, zip(done.stdout.split(), folders.values(), strict=True), strict=True))


def test_each_script_gives_its_page_or_a_clear_word_and_none_hangs(tmp_path):
    wrong = {}
    for name, (status, folder) in ended(tmp_path).items():
        case, page = CASES[name], folder / "pages" / "tape.html"
        said = "".join((folder / stream).read_text(errors="replace") for stream in ("out", "err"))
        whole = page.is_file() and page.read_text(encoding="utf-8").endswith("</html>\n")
        ours = "Exception ignored" in said or ("tinyreg/explore/script.py" in said and name not in OWN_TRACEBACKS)
        if (status, whole, case.says in said, ours) != (str(case.status), case.page, True, False):
            wrong[name] = status, whole, said[-1000:]
    assert wrong == {}
