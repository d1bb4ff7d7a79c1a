"""Which tests run which function: recorded in one run of the tests, and kept in a file that git ignores."""

from __future__ import annotations

import cProfile
import itertools
import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from .functions import codes, functions, room_of

MAP = Path(__file__).with_name("covering.json")
LONGEST = 5.0  # seconds for a test
OWN, OTHERS = (1000, 10.0), (100, 6.0)  # how many tests of a function's own room, and of others, and the seconds for all


class Recorder:
    """A plugin of pytest: notes which functions each test runs, and for how long, by C's profiler of calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.reached: dict[str, set[str]] = {}
        self.failed: set[str] = set()
        self.skipped: set[str] = set()
        self._names: dict[CodeType, str] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Find the functions: after the tests were imported, which may import more of the package."""
        self._names = {code: name for name, f in functions().items() for code in codes(f.__code__)}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Run a test under the profiler."""
        called: set[Any] = set()
        profile = cProfile.Profile(builtins=False, subcalls=False)
        threading.setprofile(lambda frame, event, argument: called.add(frame.f_code))
        began = _cpu()
        profile.enable()
        try:
            return (yield)
        finally:
            profile.disable()
            threading.setprofile(None)  # type: ignore[arg-type]
            self.seconds[item.nodeid] = _cpu() - began
            called.update(entry.code for entry in profile.getstats())
            self.reached[item.nodeid] = {self._names[code] for code in called if code in self._names}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what did not pass, which shows nothing of a mutant."""
        if not report.passed:
            (self.skipped if report.skipped else self.failed).add(report.nodeid)


def _cpu() -> float:
    return sum(os.times()[:4])


def store(recorder: Recorder) -> None:
    """Put what was recorded into the file, in place of what it had of the same files of tests."""
    anew = {_file(test) for test in recorder.seconds}
    tests = {test: held for test, held in _stored().items() if _file(test) not in anew}
    passed = recorder.reached.keys() - recorder.failed - recorder.skipped
    tests |= {t: (round(recorder.seconds[t], 3), sorted(recorder.reached[t])) for t in passed}
    names = sorted({name for _, reached in tests.values() for name in reached})
    at = {name: i for i, name in enumerate(names)}
    short = {test: (seconds, [at[name] for name in reached]) for test, (seconds, reached) in sorted(tests.items())}
    MAP.write_text(json.dumps({"functions": names, "tests": short}), encoding="utf-8")


def _stored() -> dict[str, tuple[float, list[str]]]:
    """What each test takes and runs."""
    if not MAP.exists():
        return {}
    stored = json.loads(MAP.read_text(encoding="utf-8"))
    names = stored["functions"]
    return {test: (seconds, [names[i] for i in reached]) for test, (seconds, reached) in stored["tests"].items()}


def load() -> tuple[dict[str, float], dict[str, list[str]]]:
    """The seconds that each test takes, and the tests to ask of each function, the most promising first."""
    stored = _stored()
    seconds = {test: taken for test, (taken, _) in stored.items()}
    reached = {test: len(names) for test, (_, names) in stored.items()}
    by_function: dict[str, list[str]] = {}
    for test, (taken, names) in stored.items():
        for name in names if taken <= LONGEST else ():
            by_function.setdefault(name, []).append(test)
    return seconds, {name: chosen(name, tests, seconds, reached) for name, tests in by_function.items()}


def _file(test: str) -> str:
    return test.partition("::")[0]


def chosen(name: str, tests: Iterable[str], seconds: dict[str, float], reached: dict[str, int]) -> list[str]:
    """The tests to ask of a function: the quickest of its room, and of each other file those that run least besides it."""
    room = room_of(name)
    own = [test for test in tests if test.startswith((f"tests/{room}/", f"tests/test_{room}"))]
    files: dict[str, list[str]] = {}
    for test in sorted(set(tests).difference(own), key=lambda t: (reached[t], seconds[t], t)):
        files.setdefault(_file(test), []).append(test)
    others = _in_turn(_by_function(file) for file in files.values())
    quickest = _by_function(sorted(own, key=lambda t: (seconds[t], t)))
    return [*_within(quickest, seconds, *OWN), *_within(others, seconds, *OTHERS)]


def _by_function(tests: Iterable[str]) -> list[str]:
    """Tests with one set of parameters first, then those with another."""
    groups: dict[str, list[str]] = {}
    for test in tests:
        groups.setdefault(test.partition("[")[0], []).append(test)
    return _in_turn(groups.values())


def _in_turn(groups: Iterable[list[str]]) -> list[str]:
    return [test for turn in itertools.zip_longest(*groups) for test in turn if test is not None]


def _within(tests: list[str], seconds: dict[str, float], most: int, budget: float) -> list[str]:
    spent = itertools.accumulate(seconds[test] for test in tests)
    return [test for test, so_far in zip(tests, spent, strict=True) if so_far <= budget][:most]
