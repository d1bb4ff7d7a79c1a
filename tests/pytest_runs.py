"""pytest in a process of its own, which is forked from one that has imported what takes long."""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "hypothesis.extra.numpy"])  # and nothing of this repository
QUIET = "ignore:Module already imported so cannot be rewritten"


def pytest_run(folder, *arguments, path=()):
    """How pytest ends in a folder, and what it prints; path: where it looks for modules first."""
    with tempfile.NamedTemporaryFile() as printed:
        process = CONTEXT.Process(target=_run, args=(folder, arguments, path, printed.name))
        process.start()
        process.join(600)
        if process.is_alive():
            process.kill()
        return process.exitcode, printed.read().decode()


def _run(folder, arguments, path, printed):
    os.dup2(os.open(printed, os.O_WRONLY), 1)
    os.dup2(1, 2)
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("PYTEST")]:
        del os.environ[name]
    os.environ["COLUMNS"] = "300"
    sys.path[:] = [str(folder), *map(str, path), *(place for place in sys.path if place != str(TESTS))]
    import pytest

    sys.exit(int(pytest.main(["-W", QUIET, "-p", "no:cacheprovider", *arguments])))
