"""Puts mutants in place, each in a process of its own, and asks the tests that run the function whether they notice."""

from __future__ import annotations

import contextlib
import functools
import gc
import mmap
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tinyreg.core.fused import FUSED
from tinyreg.core.primitive import REGISTRY
from tinyreg.testing.mutation.source import Mutant

from .functions import functions, relocated

ROOT = Path(__file__).parents[2]
SECONDS, MEMORY, WALL = 5, 2**31, 120.0  # what the tests may take beyond what they do without a mutant


@dataclass
class Tried:
    """A mutant of a function, the tests to ask, and what came of it: which of them noticed, and the seconds it took."""

    name: str
    mutant: Mutant
    tests: Sequence[str]
    by: str | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.name}: {self.mutant.name}"


class Trying:
    """A plugin of pytest: in place of the tests, mutants of functions are tried on those that are there.

    whole_files: ask what else is in the files of a mutant's tests, too.
    """

    def __init__(self, tried: Sequence[Tried], seconds: dict[str, float], whole_files: bool = False) -> None:
        self.tried, self._costs, self._whole_files, self._noticed = tried, seconds, whole_files, False
        self.wrong: list[str] = []  # tests that fail without a mutant

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every mutant, and what noticed one without a mutant: that this test may fail shows nothing then.

        It happens in an empty folder, since a mutant may write to any name.
        """
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            return self._try_all(session)

    def _try_all(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        there = functions()
        _caches()
        gc.collect()
        gc.freeze()
        files = {item: item.nodeid.partition("::")[0] for item in session.items}
        ahead = [*self.tried]
        noticed: dict[str, Counter[str]] = defaultdict(Counter)  # tests that noticed others of a function are asked first
        while ahead:
            for one in ahead:
                promising = [test for test, _ in noticed[one.name].most_common() if test in one.tests]
                one.tests = [test for test in dict.fromkeys([*promising, *one.tests]) if test in items]
                asked = [items[test] for test in one.tests]
                if self._whole_files:
                    mine = {files[item] for item in asked}
                    asked += [i for i in session.items if files[i] in mine and i not in asked]
                asked = [item for item in asked if item.nodeid not in self.wrong]
                one.by, one.seconds = self._asked(asked, functools.partial(_plant, there[one.name], one.mutant))
                noticed[one.name].update([one.by] if one.by else [])
            for test in dict.fromkeys(one.by for one in ahead if one.by):
                if self._asked([items[test]], lambda: None)[0]:
                    self.wrong.append(test)
            ahead = [one for one in ahead if one.by in self.wrong]  # which says nothing of them: without it once more
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a test fails."""
        self._noticed = self._noticed or report.failed

    def _asked(self, items: Sequence[pytest.Item], plant: Any) -> tuple[str | None, float]:
        """The first of the tests that fails in a process with something planted, or that does not come to an end."""
        at = mmap.mmap(-1, 4)
        child = os.fork()
        if not child:
            status = 1
            try:
                self._limit(items)
                plant()
                status = self._run(items, at)
            finally:
                os._exit(status)
        status, used = _ended(child)
        noticed = items[int.from_bytes(at[:4], "little")].nodeid if status else None
        return noticed, used

    def _run(self, items: Sequence[pytest.Item], at: mmap.mmap) -> int:
        for i, item in enumerate(items):
            at[:4] = i.to_bytes(4, "little")
            following = items[i + 1] if i + 1 < len(items) else None
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._noticed:
                return 1
        return 0

    def _limit(self, items: Sequence[pytest.Item]) -> None:
        """Give the process a group of its own and an end to what it may take."""
        os.setsid()
        usual = sum(self._costs.get(item.nodeid, 1.0) for item in items)
        seconds = int(SECONDS + 2 * usual)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
        if pages:
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)


def _ended(child: int) -> tuple[int, float]:
    """How a process ended, and the CPU time that it took: one that waits for what never comes is ended.

    Not one that works, however slowly other work lets it: its CPU time has a limit.
    """
    until, worked = time.monotonic() + WALL, 0
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > until:
            before, worked = worked, _worked(child)
            if worked <= before:
                os.killpg(child, signal.SIGKILL)
                _, status, usage = os.wait4(child, 0)
                break
            until = time.monotonic() + WALL
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # what it started
    return status, usage.ru_utime + usage.ru_stime


def _worked(process: int) -> int:
    """The CPU time that a process has taken, in ticks of the clock; 0 where the system does not tell."""
    stat = Path(f"/proc/{process}/stat")
    user, system = stat.read_text().rpartition(")")[2].split()[11:13] if stat.exists() else ("0", "0")
    return int(user) + int(system)


def _plant(right: Any, mutant: Mutant) -> None:
    """Make a function wrong wherever it is bound, and forget what was worked out with the right one."""
    right.__code__ = relocated(mutant.function.__code__, right.__code__.co_filename)
    for op in [*REGISTRY.values(), *FUSED.values()]:
        op._plans.clear()
    for cached in _caches():
        cached.cache_clear()


@functools.cache
def _caches() -> list[Any]:
    kind = type(_caches)
    there = [c for c in gc.get_objects() if type(c) is kind]
    return [c for c in there if str(c.__wrapped__.__module__).startswith("tinyreg")]


def pytest_run(files: Sequence[str], plugin: Any) -> None:
    """Run pytest over files with a plugin, in this process: no workers, no search for a simpler failure, nothing stored."""
    os.chdir(ROOT)
    quick = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants",
        max_examples=25,
        deadline=None,
        database=None,
        derandomize=True,
        phases=quick,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with tempfile.TemporaryDirectory() as folder:
        options = ["-q", "-n", "0", "--tb=line", "--assert=plain", "-p", "no:cacheprovider"]
        options += [f"--rootdir={ROOT}", f"--basetemp={folder}/tests"]
        said = sys.stdout
        try:
            with open(os.devnull, "w") as silent, contextlib.redirect_stdout(silent):
                status = pytest.main([*options, "--hypothesis-profile=mutants", *files], plugins=[plugin])
        finally:
            sys.stdout = said
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(f"scripts/mutants: pytest ended with {status!r}; try: pytest --collect-only {' '.join(files)}")
