"""`python -m demos`: the main job. `--list` says which demos there are, `--help` how to run them."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tinyreg as tr
from tinyreg.interrupts import Interrupts, counted

from . import sizes
from .base import Demo, Result, Settings
from .report import write

NAMES = (
    *("ladder", "claims", "bias_variance", "weight_decay", "dropout", "batch_norm", "layer_norm", "early_stopping"),
    *("mixup", "text", "label_smoothing", "clipping", "spectral_norm", "which_one"),
)
MAIN_JOB = ("ladder",)
OPTIONAL = {
    "sklearn": "scikit-learn",
    "mlxtend": "mlxtend",
    "matplotlib": "matplotlib",
    "tqdm": "tqdm",
    "threadpoolctl": "threadpoolctl",
    "joblib": "joblib",
    "jinja2": "Jinja2",
}
INTERRUPTED = 130  # as a shell has it
NEXT = """Where to go next:
    python -m demos --list          the other questions that are put to real data
    docs/regularization.md          every technique, with its formula
    demos/internals/README.md       how the gradients come about: a tape, step by step
"""


def demo(name: str) -> Demo[Any]:
    """The demo of that name."""
    found: Demo[Any] = importlib.import_module(f"{__package__}.{name}").DEMO
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run demos as the command line says; returns the exit status."""
    parser = command_line()
    given = parser.parse_args(arguments)
    names = tuple(dict.fromkeys(given.names)) or MAIN_JOB
    if unknown := [name for name in names if name not in (*NAMES, "all")]:
        parser.error(f"unknown demo {', '.join(unknown)}; there are: {', '.join(NAMES)}, and all")
    if missing := [package for module, package in OPTIONAL.items() if not importlib.util.find_spec(module)]:
        parser.error(f"the demos need {', '.join(missing)}: pip install -e '.[demos]'")
    if given.list:
        print("\n".join(map(entry, map(demo, NAMES))))
        return 0
    try:
        with tr.use(given.backend) if given.backend else contextlib.nullcontext():
            given.backend = tr.zeros(0).backend
        given.jobs = given.jobs or (cores() if given.backend == "numpy" else 1)
        for folder in filter(None, (given.report, given.out)):
            folder.mkdir(parents=True, exist_ok=True)
    except (ValueError, RuntimeError, OSError) as error:
        parser.error(str(error))
    return run([demo(name) for name in (NAMES if "all" in names else names)], given)


def command_line() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    out = Path(__file__).parent / "out"
    parser = argparse.ArgumentParser(prog="python -m demos", description="Run demos: by default the main job.")
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"which demos, or all (default: {' '.join(MAIN_JOB)})")
    add("--list", action="store_true", help="list the demos, with their questions and times")
    add("--backend", help="numpy or cupy (default: TINYREG_BACKEND, or numpy)")
    add("--size", choices=sizes.SIZES, default=sizes.SMALL, help=larger())
    add("--seeds", type=positive, metavar="N", help="over how many seeds (default: the demo's own number)")
    add("--jobs", type=positive, metavar="N", help="in how many processes (default: one a core; on a GPU one)")
    add("--fast", action="store_true", help="two seeds, few epochs: shows that it runs, and nothing else")
    add("--fresh", action="store_true", help="measure anew what an earlier run of the same code has finished")
    add("--out", type=Path, default=out, metavar="DIR", help="where pictures go (default: %(default)s)")
    add("--report", type=Path, metavar="DIR", help="write one page with all that was found, DIR/index.html")
    return parser


def larger() -> str:
    """What the large size is, for the help."""
    width, digits = sizes.SIZES[sizes.LARGE]
    return f"large: hidden layers {width} times as wide, and {digits} times the digits for the ladder (default: small)"


def cores() -> int:
    """How many cores this process may use."""
    import joblib

    return int(joblib.cpu_count())


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {number}, expected at least 1")
    return number


def entry(demo: Demo[Any]) -> str:
    """What the list says of a demo."""
    return f"{demo.name}   {demo.section}, about {demo.seconds} s\n    {demo.question}"


def run(demos: Sequence[Demo[Any]], given: argparse.Namespace) -> int:
    """Run demos one after the other, up to the first that is interrupted; returns the exit status.

    Ctrl-C ends a measurement, and never what is made of it. The report is written after each: however this ends, it holds
    what was found by then.
    """
    done: list[tuple[Demo[Any], Result, float]] = []
    page: Path | None = None
    with counted() as interrupts:
        for number, one in enumerate(demos, 1):
            print(f"{number}/{len(demos)} " * (len(demos) > 1) + f"{one.name} ({one.section}): {one.question}")
            if not given.fast and given.size == sizes.SMALL:
                print(f"about {one.seconds} s on two idle cores; nothing is downloaded", flush=True)
            started = time.perf_counter()
            result = attempt(one, given, interrupts)
            if result is not None:
                done.append((one, result, time.perf_counter() - started))
                print(f"\n{result}\n\npicture: {result.picture}\n{done[-1][2]:.0f} s on {given.backend}\n")
                if given.report:
                    page = write(given.report, done, given.backend, given.fast)
            if result is None or not result.complete or interrupts.pressed:
                break
    if page:
        print(f"report: {page}")
    elif [one.name for one in demos] == [*MAIN_JOB]:
        print(NEXT, end="")
    return 0 if len(done) == len(demos) and done[-1][1].complete else INTERRUPTED


def attempt(one: Demo[Any], given: argparse.Namespace, interrupts: Interrupts) -> Result | None:
    """What a demo finds; None, and a line that says so, where Ctrl-C came before there was anything to show."""
    seeds = given.seeds or (2 if given.fast else one.seeds)
    settings = Settings(given.backend, seeds, given.fast, given.out, given.jobs, given.fresh, given.size)
    with contextlib.suppress(KeyboardInterrupt):
        if (result := one.run(settings, interrupts)) is not None:
            return result
    print("interrupted before the first seed was finished: nothing to show", file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(main())
