"""A tape as a table: a line for each entry, in order of time, and the totals at its foot."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .snapshot import Row, Tape

HEAD = ("entry", "op and inputs", "result", "keeps", "bytes")
LONGEST = {"op and inputs": 48, "result": 40, "keeps": 32}  # what is longer is cut, so that ordinary lines stay short
WIDTH = 100  # of the lines at the foot


def table(tape: Tape, limit: int | None) -> str:
    """The tape as a table; of more than `limit` entries the first and the last."""
    shown = len(tape) if limit is None or len(tape) <= limit else limit
    first, last = tape[: shown - shown // 2], tape[len(tape) - shown // 2 :]
    fold = [("...", f"{len(tape) - shown:,} more: .text(limit=None) shows all", "", "", "")] * (shown < len(tape))
    lines = _aligned([HEAD, *map(_cells, first), *fold, *map(_cells, last)])
    return "\n".join([*lines, "-" * max(map(len, lines)), *_foot(tape, [*first, *last], limit)])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([*(cell.ljust(n) for cell, n in zip(cells, widths, strict=False)), nbytes.rjust(widths[-1])]).rstrip()
        for *cells, nbytes in rows
    ]


def _cells(row: Row) -> tuple[str, ...]:
    settings = [f"{name}={_setting(value)}" for name, value in row.settings.items()]
    call = f"{row.op.name}({', '.join([*(source.label for source in row.inputs), *settings])})"
    several = isinstance(row.dtype, list)
    results = zip(row.dtype, row.shape, strict=True) if several else [(row.dtype, row.shape)]
    result = ", ".join(f"{dtype}{list(shape)}" for dtype, shape in results)
    keeps = ", ".join(kept.name + (f" (#{kept.holder})" if kept.holder is not None else "") for kept in row.kept)
    nbytes = sum(kept.counted for kept in row.kept)
    cut = [_cut(text, longest) for text, longest in zip((call, result, keeps), LONGEST.values(), strict=True)]
    return (f"#{row.number}", *cut, f"{nbytes:,}" if nbytes else "")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _setting(value: Any) -> str:
    """A setting as a person would write it: slices as they stand between brackets."""
    if isinstance(value, slice):
        ends = ["" if end is None else str(end) for end in (value.start, value.stop, value.step)]
        return ":".join(ends if ends[2] else ends[:2])
    if type(value) is tuple:
        return f"({', '.join(map(_setting, value))}{',' * (len(value) == 1)})"
    return "..." if value is ... else repr(value) if isinstance(value, str) else str(value)


def _foot(tape: Tape, shown: Sequence[Row], limit: int | None) -> list[str]:
    counts = _count(len(tape), "entry", "entries"), _count(len(tape.leaves), "leaf", "leaves")
    lines = [f"{', '.join(counts)}, {tape.nbytes:,} bytes kept"]
    if any(kept.holder is not None for row in shown for kept in row.kept):
        lines.append("(#n): kept by entry #n already, and counted there")
    names = [f"{label} {dtype}{list(shape)}" for label, shape, dtype in tape.leaves[:limit]]
    names += [f"and {len(tape.leaves) - len(names):,} more"] * (len(names) < len(tape.leaves))
    hidden = ", ".join(name.replace(" ", "\0") for name in names)  # so that a line breaks between two leaves only
    lines += textwrap.wrap(f"leaves: {hidden}", WIDTH, subsequent_indent=" " * 8, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
