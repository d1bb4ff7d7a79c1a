"""Writes tests/VERIFICATION.md, what has been verified of every op: `python tests/verification.py`.

With names of ops, `python tests/verification.py exp add`, only their rows are worked out again, and those that are not on
the page yet or say something else than their case. Everything but the snapshot is held to the code by
tests/test_verification.py and tests/testing/test_mutation.py.
"""

from __future__ import annotations

import datetime
import multiprocessing
import platform
import sys
from pathlib import Path

import numpy as np
import standin
from cases import CASES, FAMILIES
from cases.equivalent import EQUIVALENT
from engine_mutants import counts

import tinyreg as tr
from tinyreg.core.fused import Fused
from tinyreg.testing import PROPERTIES, run_backend
from tinyreg.testing.failure import short
from tinyreg.testing.mutation import planted, planted_in, shared, tallied
from tinyreg.testing.search import survey

PAGE = Path(__file__).with_name("VERIFICATION.md")

INTRODUCTION = """\
# What has been verified of every op

Written by `python tests/verification.py`. Every cell but the last of a row, and every count, is held to the code by a test.

- **Order** is that of the derivatives compared with differences; 0 is an op without a gradient.
- **Dtypes**: float64 against differences, float32 against float64.
- **Points** are kinks, ties, zeros and overflows. Behind the arrow stands the gradient that is the convention there, for an
  incoming gradient of ones.
- **Mutants** are wrong versions of the op's own derivatives, killed of how many. Those alive cannot be told from the right
  one, and [equivalent.py](cases/equivalent.py) says why. A composition has no derivative of its own, so
  it has none.

Properties asked of each: {properties}.
"""

SNAPSHOT = """\
**Digits** is a snapshot of {date}: how many decimal digits differences resolved, the median and in brackets the least of
one comparison in twenty, on {machine}. Other backends then: {backends}.
"""

WHAT = {"standin": "the stand-in for CuPy, which runs on the CPU,", "cupy": "CuPy:"}

SHARED_HEAD = """\
## what derivatives share

Functions that only VJPs call, with the ops whose batteries their mutants were tried on.

| function | ops | mutants |
| --- | --- | --- |"""

ENGINE = """\
## the engine

Wrong versions of what records, goes back and runs again, killed by small programs: {counted}. Which programs, and why no
program can tell the others from the right engine, stands in [test_engine_mutants.py](core/test_engine_mutants.py)."""


def kind(case):
    """What a case's op is made of."""
    if isinstance(case.op, Fused):
        return "fast form"
    return "primitive" if case.primitive else "composition"


def points(case):
    """The special points, with the gradient that is declared at each."""
    found = []
    for call, gradients in case.points:
        text = ", ".join("None" if a is None else short(a) for a in call.arrays)
        text += "".join(f", {name}={value!r}" for name, value in call.settings.items())
        found.append(f"{text} → {', '.join(map(short, gradients))}" if gradients is not None else text)
    return "; ".join(f"`{text}`" for text in found)


def row(case):
    """What a row says of a case, but for mutants and digits."""
    dtypes = "float64" + ", float32" * PROPERTIES["P8"].applies(case) if case.order else "-"
    return [case.name, kind(case), str(case.order), dtypes, points(case)]


def counted(tally):
    """A tally as the page has it."""
    return f"{tally.killed} of {tally.mutants}" if tally.mutants else "-"


def helpers():
    """The functions that VJPs share, by name, each with the cases whose VJPs call it."""
    return {helper.__name__: (helper, cases) for helper, cases in shared(CASES.values()).items()}


def helper_row(name, tally):
    """What a row says of a function that VJPs share."""
    return [name, ", ".join(str(case) for case in helpers()[name][1]), counted(tally)]


def engine():
    """What the page says of the engine."""
    mutants, killed = counts()
    return ENGINE.format(counted=f"{killed} of {mutants}")


def cells(line):
    """The cells of a row of the page."""
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def rows(page):
    """The rows of the page by the op's name."""
    lines = [cells(line) for line in page.splitlines() if line.startswith("| ")]
    return {line[0]: line for line in lines if line[0] not in ("op", "function", "---")}


def digits(case):
    """How many digits P3 resolved: the median, and the least of one comparison in twenty."""
    found = survey(case, "fast").digits
    return f"{np.median(found):.1f} ({np.quantile(found, 0.05):.1f})" if found else "-"


def introduction():
    """The text above the tables."""
    properties = ", ".join(map(str, PROPERTIES.values()))
    return INTRODUCTION.format(properties=f"{properties}, backends agree")


def compared(name, backend):
    """See a case agree with NumPy on another backend."""
    run_backend(CASES[name], backend)


def other_backends():
    """Which backends gave what NumPy gives for every case, and why one was not tried."""
    found = []
    for name, state in tr.backends().items():
        if name != "numpy" and state.startswith("ready"):
            with multiprocessing.Pool() as pool:
                pool.starmap(compared, ((case, name) for case in CASES), chunksize=1)
            state = "agreed with NumPy in every case" + state.removeprefix("ready")
        found += [f"{WHAT.get(name, name)} {state}"] * (name != "numpy")
    return "; ".join(sorted(found, key=lambda text: "agreed" not in text))


def measured(name):
    """The two cells of a row that take time: mutants and digits. Of what VJPs share only the mutants."""
    if name in CASES:
        case = CASES[name]
        return counted(tallied(planted(case), [case], case.equivalent)), digits(case)
    helper, cases = helpers()[name]
    return (counted(tallied(planted_in(helper), cases, EQUIVALENT.get(name, {}))),)


def outdated(on_page):
    """The names whose rows are not on the page, or say something else than their case."""
    found = [name for name, case in CASES.items() if on_page.get(name, [])[:5] != row(case)]
    return found + [
        name for name, (_, cases) in helpers().items() if on_page.get(name, [])[1:2] != [", ".join(map(str, cases))]
    ]


def written(names, before):
    """The page: with fresh cells for these names, and the cells of the page before for all others."""
    on_page = rows(before)
    fresh = list(dict.fromkeys([*names, *outdated(on_page)]))
    with multiprocessing.Pool() as pool:
        cells_of = dict(zip(fresh, pool.map(measured, fresh, chunksize=1), strict=True))

    def line(start, name):
        return "| " + " | ".join([*start, *(cells_of[name] if name in cells_of else on_page[name][len(start) :])]) + " |"

    machine = f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}"
    snapshot = SNAPSHOT.format(date=datetime.date.today(), machine=machine, backends=other_backends())
    parts = [introduction(), snapshot]
    for family, cases in FAMILIES.items():
        parts.append(f"## {family}\n")
        parts.append("| op | kind | order | dtypes | points | mutants | digits |\n| --- " + "| --- " * 6 + "|")
        parts += [line(row(case), case.name) for case in cases]
        parts.append("")
    parts.append(SHARED_HEAD)
    parts += [line([name, ", ".join(map(str, cases))], name) for name, (_, cases) in helpers().items()]
    return "\n".join([*parts, "", engine(), ""])


def main():
    """Write the page, with fresh cells for the ops named on the command line, or for all of them."""
    known = [*CASES, *helpers()]
    names = sys.argv[1:] or known
    if unknown := set(names) - set(known):
        sys.exit(f"verification: got {', '.join(sorted(unknown))}, expected names of cases or of functions that VJPs share")
    PAGE.write_text(written(names, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")


if __name__ == "__main__":
    standin.install()
    main()
