"""The page with the result: a row for each room, and what stayed alive."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .explained import EXPLAINED, OF_THE_ENGINE
from .functions import room_of
from .trying import Tried

PAGE = Path(__file__).parents[1] / "MUTANTS.md"
NOTICING = Path(__file__).with_name("noticing.json")
HEAD = """\
# Mutants of the package

Every function of a room with one change, such as people make by mistake, and whether a test notices.
`scripts/mutants ROOM` writes this. Derivatives and fast forms have mutants of their own, in
[VERIFICATION.md](VERIFICATION.md). *Explained*: a rule in `tests/mutants/explained.py` says that no test could notice, and
why. *Alive*: listed below. *Unreached*: in a function that no quick test runs, or that runs at the import of the package.

The tests that noticed a mutant stand in `tests/mutants/noticing.json`; a sample in every run of the tests asks these first.

| room | functions | mutants | tried | killed | explained | alive | unreached | CPU s each | run on |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
"""
COLUMNS = 10


def rules_for(one: Tried) -> list[str]:
    """The rules that explain why a mutant is noticed by nothing."""
    rules = EXPLAINED.get("", {}) | EXPLAINED.get(room_of(one.name), {})
    return [rule for rule in rules if _fits(rule, one)]


def idle_rules(room: str, tried: Sequence[Tried]) -> list[str]:
    """The rules of a room that explain none of its mutants, without those that the engine's own mutants need."""
    used = {rule for one in tried for rule in rules_for(one)} | OF_THE_ENGINE.keys()
    return [rule for rule in EXPLAINED.get(room, {}) if rule not in used]


def _fits(rule: str, one: Tried) -> bool:
    where, colon, change = rule.partition(": ")
    if not (colon and re.fullmatch(r"[\w.<>#]+", where)):
        where, change = "", rule
    if where and not one.name.endswith(f".{where}"):
        return False
    return change == one.mutant.name.replace("`", "") or one.mutant.change.fits(change)


def row(room: str, made: int, functions: int, tried: Sequence[Tried]) -> str:
    """The row of a room, with the day of its run."""
    outcomes = Counter(outcome(one) for one in tried)
    seconds = sum(one.seconds for one in tried) / max(len(tried), 1)
    counts = [outcomes[kind] for kind in ("killed", "explained", "alive", "unreached")]
    cells = [room, functions, made, len(tried), *counts, f"{seconds:.2f}", datetime.date.today()]
    return f"| {' | '.join(map(str, cells))} |"


def outcome(one: Tried) -> str:
    """What became of a mutant."""
    if one.by:
        return "killed"
    if rules_for(one):
        return "explained"
    return "alive" if one.tests else "unreached"


def update(room: str, made: int, functions: int, tried: Sequence[Tried]) -> None:
    """Write the row of a room, and its list, anew."""
    rows, lists = read()
    rows[room] = row(room, made, functions, tried)
    lists[room] = [f"- `{line(one)}`" for one in tried if outcome(one) == "alive"]
    text = HEAD + "\n".join(rows[name] for name in sorted(rows)) + "\n"
    for name in sorted(lists):
        if lists[name]:
            text += f"\n## {name}\n\n" + "\n".join(lists[name]) + "\n"
    PAGE.write_text(text, encoding="utf-8")


def remember(room: str, tried: Sequence[Tried]) -> None:
    """Write the tests that noticed mutants of a room's functions anew: those of most mutants first."""
    known = {name: tests for name, tests in noticing().items() if room_of(name) != room}
    for one in tried:
        if one.by:
            known.setdefault(one.name, []).append(one.by)
    rows = (f"{json.dumps(n)}: {json.dumps([t for t, _ in Counter(known[n]).most_common()])}" for n in sorted(known))
    NOTICING.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def noticing() -> dict[str, list[str]]:
    """The tests that noticed mutants of each function, as they are stored."""
    return json.loads(NOTICING.read_text(encoding="utf-8")) if NOTICING.exists() else {}


def line(one: Tried) -> str:
    """A mutant in a line, as the page lists it."""
    return str(one).replace("`", "")


def read() -> tuple[dict[str, str], dict[str, list[str]]]:
    """The rows of the page and its lists, by room."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    table, *sections = text.split("\n## ")
    found = [line for line in table.splitlines() if line.startswith("| ") and line.count("|") == COLUMNS + 1][2:]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in found}
    lists = {s.partition("\n")[0]: [line for line in s.splitlines() if line.startswith("- ")] for s in sections}
    return rows, lists


def whole_rooms() -> list[str]:
    """The rooms of which every mutant was tried."""
    rows, _ = read()
    cells = {room: [cell.strip() for cell in row.strip("|").split("|")] for room, row in rows.items()}
    return [room for room, row in cells.items() if row[2] == row[3]]
