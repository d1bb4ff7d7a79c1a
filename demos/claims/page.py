"""What came out of the claims: a row for each test of each, verdicts by section, and when techniques help."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tinyreg import files

from ..base import Result, Settings
from ..estimate import LEVEL, by_holm, over
from ..sizes import wide
from .chapter import CLAIMS, TECHNIQUES
from .lab import BASE, DATA, Claim, Lab
from .verdicts import CONFIRMED, CONTRADICTED, DEPENDS, NOT_SEEN, VERDICTS, Evidence, of_claim


class Run(NamedTuple):
    """What one seed gave."""

    pairs: list[list[tuple[float, float]]]  # for each claim, what each of its tests measured
    losses: dict[str, list[float]]  # on test digits, for each of DATA: of the baseline, "", and of each of TECHNIQUES


def losses(lab: Lab) -> dict[str, list[float]]:
    """Those of a `Run`."""
    arms = {
        name: [replace(arm, **technique) for arm in DATA.values()] for name, technique in {"": {}, **TECHNIQUES}.items()
    }
    return {name: [lab.score(arm, "loss") for arm in row] for name, row in arms.items()}


def judged(runs: Sequence[Run]) -> list[list[Evidence]]:
    """The evidence for each claim; that of a direction at the level that Holm's procedure gives it."""
    found = [
        [
            Evidence(test.on, test.unit, test.expected, *sides([run.pairs[i][k] for run in runs]))
            for k, test in enumerate(claim.tests)
        ]
        for i, claim in enumerate(CLAIMS)
    ]
    chance = [one for evidence in found for one in evidence if isinstance(one.expected, str)]
    levels = dict(zip(map(id, chance), by_holm([one.p for one in chance]), strict=True))
    return [[replace(one, level=levels.get(id(one), LEVEL)) for one in evidence] for evidence in found]


def sides(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """All numbers before, and all after."""
    return [before for before, _ in pairs], [after for _, after in pairs]


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each claim, and below it one for each of its tests."""
    evidence = judged(runs)
    directed = sum(isinstance(one.expected, str) for tests in evidence for one in tests)
    note = NOTE.format(n=len(runs), directed=directed, width=wide(BASE.width), base=BASE)
    found = finding(evidence, len(runs))
    settings.out.mkdir(parents=True, exist_ok=True)
    files.write(settings.out / "claims.md", written(evidence, note, found), "page of claims")
    return Result(
        table=table(evidence),
        verdicts=verdicts(evidence),
        note=note,
        finding=found,
        picture=draw(runs, evidence, settings),
    )


NOTE = """\
Each test compares {n} pairs of runs that differ in nothing else. A change is a mean and half of its interval (Student's
t), at the level that Holm's procedure gives a test, so that one or more of the {directed} tests of a direction would err in
at most 5% of such pages. "At least": the change that as many seeds find four times in five; a smaller one may be there
unseen. A claim is confirmed where all of its tests confirm it; it depends where only some do.

Networks 784-{width}-{width}-10 learn from MNIST's digits for {base.steps} steps, with and without a
technique: where nothing else is said, dropout is 0.2 on the input and 0.5 elsewhere, and L2 is 0.01. Of noisy labels three
in ten are drawn anew."""


SOURCE = """\
The chapter is the seventh of Krishnendu Chaudhury, "Math and Architectures of Deep Learning", 2024, on regularization, as a
course has it in sections 6.1 to 6.9. This page and its picture are what `python -m demos claims` leaves."""


def finding(evidence: Sequence[Sequence[Evidence]], seeds: int) -> str:
    """How many claims have which verdict, in at most 25 words."""
    counts = Counter(map(of_claim, evidence))
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict != DEPENDS)
    return f"Found {over(seeds)}: of {len(evidence)} claims of the chapter {said}; {counts[DEPENDS]} depend on the setting."


def verdicts(evidence: Sequence[Sequence[Evidence]]) -> list[list[str]]:
    """Each claim, its verdict, and where that depends, the settings in which it holds."""
    rows = [["", "verdict", "holds for"]]
    for claim, tests in zip(CLAIMS, evidence, strict=True):
        holds = [one.on for one in tests if one.verdict == CONFIRMED] if of_claim(tests) == DEPENDS else []
        rows.append([name(claim), said(tests), "; ".join(holds)])
    return rows


def table(evidence: Sequence[Sequence[Evidence]]) -> list[list[str]]:
    """All of it."""
    rows = [["", "expected", "change", "at least", "verdict"]]
    for claim, tests in zip(CLAIMS, evidence, strict=True):
        rows.append([name(claim), "", "", "", said(tests)])
        rows += [[f"- {one.on}", expected(one), changed(one), rounded(one.detectable), one.verdict] for one in tests]
    return rows


PIPE = r"\|"  # |w| within a table of Markdown


def written(evidence: Sequence[Sequence[Evidence]], note: str, found: str) -> str:
    """All of it as Markdown, `claims.md` beside the picture."""
    head, *rows = table(evidence)
    picture = "![Verdicts, and when techniques help](claims.png)"
    lines = ["# The claims of the chapter", "", f"**{found}**", "", picture, "", note, "", SOURCE]
    section = ""
    for first, *others in rows:
        if not others[0] and first.split()[0] != section:
            section = first.split()[0]
            lines += ["", f"## {section}", "", f"| {' | '.join(head)} |", "| --- | --- | ---: | ---: | --- |"]
        cells = [first, *others] if others[0] else [f"**{first.partition(' ')[2]}**", *others[:-1], f"**{others[-1]}**"]
        lines.append(f"| {' | '.join(cell.replace('|', PIPE) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def name(claim: Claim) -> str:
    """A claim with its section."""
    return f"{claim.section} {claim.sentence}"


def said(tests: Sequence[Evidence]) -> str:
    """The verdict on a claim, and where it depends, in how many of its tests it holds."""
    verdict = of_claim(tests)
    holds = sum(one.verdict == CONFIRMED for one in tests)
    return f"{verdict} ({holds} of {len(tests)})" if verdict == DEPENDS else verdict


def expected(one: Evidence) -> str:
    """How a claim has a number change, in words."""
    return one.expected if isinstance(one.expected, str) else f"within {one.expected:g}"


def changed(one: Evidence) -> str:
    """The change with half of its interval and its unit."""
    change = one.change
    half = f" ± {rounded(change.half)}" if 0 < change.half < math.inf else ""
    return f"{'+' if change.mean > 0 else ''}{rounded(change.mean)}{half} {one.unit}".rstrip()


def rounded(value: float) -> str:
    """To two digits, but no more than the unit."""
    if not math.isfinite(value):
        return "-"
    digits = max(1 - math.floor(math.log10(abs(value))), 0) if value else 0
    return f"{value:.{digits}f}" if digits < 5 else f"{value:.0e}"


COLOURS = {CONFIRMED: "#08306b", DEPENDS: "#9ec9e2", NOT_SEEN: "#eeeeee", CONTRADICTED: "#e6701a"}  # apart in grey too


def draw(runs: list[Run], evidence: Sequence[Sequence[Evidence]], settings: Settings) -> Path:
    """Verdicts by section, and the change of the loss by each of TECHNIQUES over the number of digits."""
    from .. import picture

    counts = Counter(map(of_claim, evidence))
    confirmed, depend = counts[CONFIRMED], counts[DEPENDS]
    title = f"{confirmed} of {len(evidence)} claims of the chapter are confirmed, {depend} depend on the setting"
    figure, (bars, curves) = picture.new(title, 2)
    sections = sorted({claim.section for claim in CLAIMS}, reverse=True)
    left = [0] * len(sections)
    for verdict, colour in COLOURS.items():
        width = [verdicts_of(section, evidence)[verdict] for section in sections]
        bars.barh(sections, width, left=left, color=colour, edgecolor="#444444", linewidth=0.6, label=verdict)
        left = [a + b for a, b in zip(left, width, strict=True)]
    bars.set(xlabel="claims", ylabel="section of the chapter", title="verdicts")
    sizes = {10 * arm.each: i for i, arm in enumerate(DATA.values()) if not arm.redrawn}
    for name, look in zip(TECHNIQUES, picture.LOOKS, strict=False):
        changes = [[run.losses[name][sizes[n]] - run.losses[""][sizes[n]] for n in sorted(sizes)] for run in runs]
        picture.curve(curves, sorted(sizes), changes, name, look)
    curves.axhline(0, color="#444444", linewidth=0.8)
    curves.set(xscale="log", xlabel="digits to learn from", ylabel="change of test loss (nats)", title="when it helps")
    curves.set_xticks(sorted(sizes), [f"{n:,}" for n in sorted(sizes)])
    curves.minorticks_off()
    curves.legend(frameon=False, fontsize="small")
    return picture.save(figure, settings.out / "claims.png", picture.over_seeds(len(runs)))


def verdicts_of(section: str, evidence: Sequence[Sequence[Evidence]]) -> Counter[str]:
    """How many claims of a section have which verdict."""
    return Counter(of_claim(tests) for claim, tests in zip(CLAIMS, evidence, strict=True) if claim.section == section)
