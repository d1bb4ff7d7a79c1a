"""`python -m demos`: the main job. `--list` says which demos there are, `--help` how to run them."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import tinyreg as tr

from . import weight_decay
from .base import Demo, Settings

DEMOS: dict[str, Demo] = {demo.name: demo for demo in (weight_decay.DEMO,)}
MAIN_JOB = ["weight_decay"]
OPTIONAL = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "tqdm": "tqdm"}
INTERRUPTED = 130  # as a shell has it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run demos as the command line says; returns the exit status."""
    parser = command_line()
    given = parser.parse_args(arguments)
    if given.list:
        for demo in DEMOS.values():
            print(f"{demo.name}   exercise {demo.exercise}, about {demo.seconds} s\n    {demo.question}")
        return 0
    names = given.names or MAIN_JOB
    if unknown := [name for name in names if name not in DEMOS]:
        parser.error(f"unknown demo {', '.join(unknown)}; there are: {', '.join(DEMOS)}")
    if missing := [package for module, package in OPTIONAL.items() if not importlib.util.find_spec(module)]:
        parser.error(f"the demos need {', '.join(missing)}: pip install -e '.[demos]'")
    try:
        with tr.use(given.backend) if given.backend else contextlib.nullcontext():
            given.backend = tr.zeros(0).backend
    except (ValueError, RuntimeError) as error:
        parser.error(str(error))
    return max(show(DEMOS[name], given) for name in names)


def command_line() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    out = Path(__file__).parent / "out"
    parser = argparse.ArgumentParser(prog="python -m demos", description="Run demos: by default the main job.")
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"which demos (default: {' '.join(MAIN_JOB)})")
    add("--list", action="store_true", help="list the demos, with their questions and times")
    add("--backend", help="numpy or cupy (default: TINYREG_BACKEND, or numpy)")
    add("--seeds", type=positive, metavar="N", help="over how many seeds (default: the demo's own number)")
    add("--fast", action="store_true", help="two seeds, few epochs: shows that it runs, and nothing else")
    add("--out", type=Path, default=out, metavar="DIR", help="where pictures go (default: %(default)s)")
    return parser


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {number}, expected at least 1")
    return number


def show(demo: Demo, given: argparse.Namespace) -> int:
    """Run one demo and print what it found; returns the exit status."""
    started = time.perf_counter()
    seeds = given.seeds or (2 if given.fast else demo.seeds)
    print(f"{demo.name} (exercise {demo.exercise}): {demo.question}")
    result = demo.run(Settings(given.backend, seeds, given.fast, given.out))
    if result is None:
        print("interrupted before the first seed was finished: nothing to show", file=sys.stderr)
        return INTERRUPTED
    print(f"\n{result}\n\npicture: {result.picture}\n{time.perf_counter() - started:.0f} s on {given.backend}")
    return 0 if result.complete else INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
