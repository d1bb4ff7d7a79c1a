"""What a result depends on: the machine, and the surroundings in which every measured process runs."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    *("NUMEXPR_NUM_THREADS", "NUM_CPU_THREADS", "TORCHINDUCTOR_COMPILE_THREADS"),
)


def surroundings(threads: str = "one") -> dict[str, str]:
    """The environment: one thread or all, this repository first, any kernel of OpenBLAS, bytecode, no code of ours kept."""
    number = "1" if threads == "one" else str(os.cpu_count())
    own = {**os.environ, **dict.fromkeys(THREADS, number), "PYTHONPATH": str(ROOT), "TINYREG_CACHE": ""}
    for variable in ("OPENBLAS_CORETYPE", "PYTHONDONTWRITEBYTECODE"):
        own.pop(variable, None)
    return own


def keep_to_one_core() -> None:
    """Hold this process, and threads that it starts whatever it is told, to one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def facts() -> dict[str, str]:
    """Date, processor and Python."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": sys.version.split()[0],
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
