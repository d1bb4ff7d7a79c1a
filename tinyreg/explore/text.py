"""A tape as a table: a line for each entry, in order of time, and the totals at its foot."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from ..messages import printable
from .fold import Folded, Item, folded
from .rows import Row, Rows, nbytes, results

HEAD = ("entry", "op and inputs", "result", "saves", "bytes")
LONGEST = {"op and inputs": 56, "result": 40, "saves": 32}  # what is longer is cut, so that ordinary lines stay short
LONGEST_LINE = 300  # of an error
WIDTH = 100  # of the lines at the foot


def table(tape: Rows, limit: int | None, fold: bool) -> str:
    """The tape as a table; one of more than `limit` entries folded, and cut in the middle if it is still too long."""
    items: list[Item] = folded(tape, limit) if fold and limit is not None and len(tape) > limit else list(tape)
    shown = len(items) if limit is None or len(items) <= limit else limit
    first, last = items[: shown - shown // 2], items[len(items) - shown // 2 :]
    more = len(tape) - _entries(first) - _entries(last)
    cut = [("...", f"{more:,} more: .text(limit=None) shows all", "", "", "", "")] if shown < len(items) else []
    cells = [_cells(item, tape) for item in first], [_cells(item, tape) for item in last]
    lines = _aligned([(*HEAD, "line" if _explained(tape) else ""), *cells[0], *cut, *cells[1]])
    foot = _foot(tape, [*first, *last], limit)
    return "\n".join([*lines, "-" * max(map(len, lines)), *foot])


def call(row: Row) -> str:
    """The op with its inputs and settings, as one would write it: without optional arguments that end it as None."""
    inputs = [source.label for source in row.inputs]
    while inputs and inputs[-1] == "None":
        inputs.pop()
    settings = [f"{name}={setting(value)}" for name, value in row.settings.items()]
    return printable(f"{row.op.name}({', '.join([*inputs, *settings])})")


def setting(value: Any) -> str:
    """A setting as a person would write it: slices as they stand between brackets."""
    if isinstance(value, slice):
        ends = ["" if end is None else str(end) for end in (value.start, value.stop, value.step)]
        return ":".join(ends if ends[2] else ends[:2])
    if type(value) is tuple:
        return f"({setting(value[0])},)" if len(value) == 1 else f"({', '.join(map(setting, value))})"
    return "..." if value is ... else repr(value) if isinstance(value, str) else str(value)


def _explained(tape: Rows) -> bool:
    return any(row.record for row in tape)


def _entries(items: Sequence[Item]) -> int:
    return sum(item.last - item.first + 1 if isinstance(item, Folded) else 1 for item in items)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[*map(str.ljust, cells, widths), count.rjust(widths[-2]), line] for *cells, count, line in rows]
    return ["  ".join(cells).rstrip() for cells in padded]


def _cells(item: Item, tape: Rows) -> tuple[str, ...]:
    if isinstance(item, Folded):
        line = tape[item.first].record.line if item.key else ""  # type: ignore[union-attr]
        return (f"#{item.first}-#{item.last}", item.text, "", "", "", str(line))
    result = ", ".join(f"{dtype}{list(shape)}" for dtype, shape in results(item))
    saves = ", ".join(one.name + (f" (#{one.holder})" if one.holder is not None else "") for one in item.saved)
    counted = nbytes([item])
    cut = [_cut(text, longest) for text, longest in zip((call(item), result, saves), LONGEST.values(), strict=True)]
    return (f"#{item.number}", *cut, f"{counted:,}" if counted else "", str(item.record.line) if item.record else "")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _foot(tape: Rows, shown: Sequence[Item], limit: int | None) -> list[str]:
    counts = count(len(tape), "entry", "entries"), count(len(tape.leaves), "leaf", "leaves")
    lines = [f"{', '.join(counts)}, {tape.nbytes:,} bytes saved for backward"]
    if any(one.holder is not None for item in shown if not isinstance(item, Folded) for one in item.saved):
        lines.append("(#n): saved by entry #n already, and counted there")
    if any(isinstance(item, Folded) for item in shown):
        lines.append("#n-#m: folded; .text(limit=None) shows all")
    if tape.walk and tape.walk.error:
        stopped = f"the backward stopped: {tape.walk.error}".splitlines()
        lines += [printable(line, LONGEST_LINE) for line in stopped]
    labels = [_cut(printable(leaf.label), LONGEST["op and inputs"]) for leaf in tape.leaves[:limit]]
    names = [f"{label} {leaf.dtype}{list(leaf.shape)}" for label, leaf in zip(labels, tape.leaves, strict=False)]
    names += [f"and {len(tape.leaves) - len(names):,} more"] * (len(names) < len(tape.leaves))
    hidden = ", ".join(name.replace(" ", "\0") for name in names)  # so that a line breaks between two leaves only
    lines += textwrap.wrap(f"leaves: {hidden}", WIDTH, subsequent_indent=" " * 8, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


def count(n: int, one: str, many: str) -> str:
    """A number of things, in words."""
    return f"{n:,} {one if n == 1 else many}"
