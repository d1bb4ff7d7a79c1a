"""One peer in a process of its own: `python -m benchmarks.worker NAME THREADS`, so that imports do not disturb one another.

It prints a line of JSON when it is ready, `{"version": ...}` or `{"missing": reason}`, and one for each line that it reads:

    {"prepare": workload, "settings": ...}  {"values": ...} of the first steps, without dropout, or {"lacks": reason}
    {"seconds": s}                          {"seconds": of one step}, in steps that take about s together
    {"fresh": what, "workload": ..., ...}    {"number": what a process tells that has run nothing yet: see FRESH}
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .machine import keep_to_one_core
from .peers import BY_HAND, OURS, PEERS
from .workloads import WORKLOADS
from .workloads.base import Lacks, Library, Program

COMPARED_STEPS = 3
LATER_RUNS = 5
STATUS = Path("/proc/self/status")


def fingerprint(array: Any) -> list[float]:
    """The norm of an array, and its product with fixed signs: both differ little where two arrays do."""
    flat = np.asarray(array, dtype=np.float64).ravel()
    signs = np.random.default_rng(0).choice([-1.0, 1.0], flat.size)
    return [float(np.linalg.norm(flat)), float(flat @ signs)]


class Runner:
    """A library with the program that it runs at the moment."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.program: Program | None = None
        self.steps = 0

    def prepare(self, workload: str, settings: Mapping[str, Any]) -> dict[str, list[float]]:
        """Fingerprints of what the first steps come to; then the program as it is to be measured."""
        build, self.steps = WORKLOADS[workload].build, 0
        self.program = None  # its memory goes before there is another
        exact = {**settings, "p": 0.0} if "p" in settings else settings
        self.program = build(self.library, exact)
        values = {}
        for i in range(COMPARED_STEPS):
            for name, value in self.program.values(self.program.step()).items():
                values[f"{name} of step {i + 1}"] = fingerprint(self.library.numpy(value))
        if exact != settings:
            self.program = build(self.library, settings)
        return values

    def seconds(self, about: float) -> float:
        """Of one step."""
        if not self.steps:
            self._run(COMPARED_STEPS)
            self.steps = max(1, round(about / self._run(1)))
            self.steps = max(1, round(about / self._run(self.steps)))
        return self._run(self.steps)

    def _run(self, steps: int) -> float:
        assert self.program
        step = self.program.step
        start = time.perf_counter()
        for _ in range(steps):
            result = step()
        self.library.wait(result)
        return (time.perf_counter() - start) / steps

    # ---- what a fresh process tells

    def first(self) -> float:
        """The seconds of the first step."""
        return self._run(1)

    def compiling(self) -> float:
        """The seconds that the first steps take beyond later ones."""
        began = COMPARED_STEPS * self._run(COMPARED_STEPS)
        return began - COMPARED_STEPS * min(self._run(COMPARED_STEPS) for _ in range(LATER_RUNS))

    def peak(self) -> float:
        """The bytes that steps add, at their peak, to a process that holds parameters and data."""
        before = _reset()
        self._run(COMPARED_STEPS)
        return _status("VmHWM") - before

    def later(self) -> float:
        """The bytes that later steps add to that, at their peak."""
        before = _reset()
        self._run(COMPARED_STEPS)
        _reset()
        self._run(COMPARED_STEPS)
        return _status("VmHWM") - before

    def arena(self) -> float:
        """The bytes that a program plans."""
        self._run(COMPARED_STEPS)
        library: Any = self.library
        return float(library.arena(self.program))

    def fresh(self, what: str, workload: str, settings: Mapping[str, Any]) -> float:
        """One of FRESH."""
        self.program = WORKLOADS[workload].build(self.library, settings)
        return float(FRESH[what](self))


FRESH: Mapping[str, Callable[[Runner], float]] = {
    "first": Runner.first,
    "compiling": Runner.compiling,
    "peak": Runner.peak,
    "later": Runner.later,
    "arena": Runner.arena,
}
"""The quantities of workloads that each round asks of a process of its own."""


def _reset() -> int:
    """Let the peak begin from now; the bytes that there are."""
    if not STATUS.exists():
        raise Lacks(f"peak memory is read from {STATUS}, which this system does not have")
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(field: str) -> int:
    """In bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def answer(runner: Runner, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the process prints for a request."""
    try:
        if "prepare" in request:
            return {"values": runner.prepare(request["prepare"], request["settings"])}
        if "fresh" in request:
            return {"number": runner.fresh(request["fresh"], request["workload"], request["settings"])}
        return {"seconds": runner.seconds(request["seconds"])}
    except Lacks as lacks:
        return {"lacks": str(lacks)}
    except Exception as error:  # a peer's own, whatever it is: the others go on without it
        traceback.print_exc()
        return {"lacks": f"failed: {type(error).__name__}: {str(error).partition(chr(10))[0]:.100}"}


def replies(name: str) -> Iterator[dict[str, Any]]:
    """All that the process prints."""
    try:
        runner = Runner(PEERS[name].start())
    except Exception as error:  # of one that is not installed, or that lacks something of the system, such as a compiler
        absent = isinstance(error, ModuleNotFoundError) and error.name == PEERS[name].distribution
        if name in (BY_HAND, OURS) and not absent:
            raise
        yield {"missing": str(error) if absent else f"it does not start: {type(error).__name__}: {error}"}
        return
    yield {"version": PEERS[name].version()}
    for line in sys.stdin:
        yield answer(runner, json.loads(line))


def main(name: str, threads: str) -> None:
    """Answer requests; what libraries print goes to the error stream."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if threads == "one":
        keep_to_one_core()
    for reply in replies(name):
        print(json.dumps(reply), file=out, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
