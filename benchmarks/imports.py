"""What `import tinyreg` costs over `import numpy`, each in fresh processes that take turns."""

from __future__ import annotations

import subprocess
import sys

from .machine import ROOT, surroundings

TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def import_seconds(module: str) -> float:
    """The time that a fresh interpreter takes for one import."""
    command = [sys.executable, "-c", TIMED.format(module)]
    done = subprocess.run(command, env=surroundings(), cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def import_rounds(rounds: int) -> dict[str, list[float]]:
    """The seconds of each import in each round, after one round that is not counted: it may compile to bytecode."""
    seconds: dict[str, list[float]] = {"numpy": [], "tinyreg": []}
    for i in range(rounds + 1):
        for module, list_of in seconds.items():
            measured = import_seconds(module)
            if i:
                list_of.append(measured)
    return seconds
