"""One page of all that was found: pictures and style are in it, there is no script, and nothing is fetched."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tinyreg as tr
from benchmarks.machine import facts
from tinyreg import files

from .base import Demo, Result
from .estimate import over

Done = tuple[Demo[Any], Result, float]
"""A demo, what it found, and how many seconds it took."""

FAST = (
    "This is a fast run, cut down as far as it goes: it shows that the demos run, and nothing else. "
    "Do not read its findings as results."
)


def write(folder: Path, done: Sequence[Done], backend: str, fast: bool) -> Path:
    """Write folder/index.html, in place of one that is there; returns its path. done: at least one demo, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    return files.write(folder / "index.html", html(done, surroundings(backend), fast), "report")


def surroundings(backend: str) -> dict[str, str]:
    """What the results depend on: the machine and the versions."""
    machine = facts()
    return {
        "date": f"{machine['date'][:16].replace('T', ' ')} UTC",
        "processor": machine["cpu"],
        "system": machine["system"],
        "backend": backend,
        **(graphics() if backend == "cupy" else {}),
        "Python": machine["python"],
        "tinyreg": tr.__version__,
        "NumPy": version("numpy"),
        "scikit-learn": version("scikit-learn"),
    }


def graphics() -> dict[str, str]:
    """The GPU that CuPy uses, and its version."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return {"GPU": properties["name"].decode(), "CuPy": cupy.__version__}


def html(done: Sequence[Done], about: Mapping[str, str], fast: bool) -> str:
    """The page: `report.html`, filled in. Every text is escaped."""
    from jinja2 import Environment, StrictUndefined

    here = Path(__file__)
    filled = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True).from_string(
        here.with_name("report.html").read_text(encoding="utf-8")
    )
    style = here.with_name("report.css").read_text(encoding="utf-8")
    shown = {"duration": duration, "over": over, "picture": picture, "sources": sources, "warning": FAST}
    return filled.render(done=done, about=about, fast=fast, style=style, **shown)


def picture(result: Result) -> str:
    """Its bytes in base 64."""
    return base64.b64encode(result.picture.read_bytes()).decode()


def sources(demo: Demo[Any]) -> dict[str, str]:
    """The code of a demo, by the names of its files."""
    if (module := inspect.getmodule(demo.measure)) is None:
        return {}
    file = Path(inspect.getfile(module))
    files_of = sorted(file.parent.glob("*.py")) if file.name == "__init__.py" else [file]
    return {f"{one.parent.name}/{one.name}": one.read_text(encoding="utf-8") for one in files_of}


def duration(seconds: float) -> str:
    """Seconds, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
