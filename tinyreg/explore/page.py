"""The tape as a page: one HTML file with all that it needs in it, and a small piece of HTML for notebooks."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import files, pages
from ..messages import html_table
from ..pages import cut, short_path
from .replay import NUDGES, Nudged, by_definition, nudged
from .rows import Row, Rows, results
from .scene import detail, scene
from .summary import number
from .text import call, count

NO_DEFINITIONS = '<script type="application/json" id="definitions"></script>'
MOST_BYTES = 4_800_000  # of a page
MOST_IN_NOTEBOOK = 800_000  # of a page within a notebook, which is saved with it
MOST_ROWS = 40  # of the table there
LEAST_OF_ENTRY = 300  # bytes
DETAIL = (6, 3, 1.5, 0.75)  # what a scene may take, as a multiple of the page: a packed one takes about a third
FRAME = "width: 100%; height: 640px; border: 1px solid #8884; border-radius: 8px"


def page(tape: Rows) -> str:
    """The tape as one HTML file, to step through in a browser, forward and back; it loads nothing from anywhere.

    The page stays under 5 MB: of a long tape, large arrays are shown in less detail, and of one that is still too long,
    only the last entries. It says by how much the loss changes where an element of a leaf is nudged, and shows the
    definitions of what ran in a fast form, where there is room.
    """
    known = {"nudges": list(NUDGES), "nudged": list(map(_changes, nudged(tape)))}
    text, budget = _detailed(tape, MOST_BYTES, known)
    last = min(len(tape), MOST_BYTES // LEAST_OF_ENTRY)
    while len(text) > MOST_BYTES and last:
        last = int(0.95 * last * MOST_BYTES / len(text))
        text = _page({**scene(tape, budget, last), **known})
    return _with_definitions(text, tape)


def _with_definitions(text: str, tape: Rows) -> str:
    """The page with a second scene, of the definitions, where there are some and they fit."""
    room = MOST_BYTES - len(text)
    defined = by_definition(tape) if room > 0 else None
    if defined is None or len(defined) > room // LEAST_OF_ENTRY:
        return text
    for share in DETAIL:
        second = pages.as_json(_packed(scene(defined, int(room * share))))
        if len(second) <= room:
            return text.replace(NO_DEFINITIONS, NO_DEFINITIONS.replace("></", f">{second}</"), 1)
    return text


def save_html(tape: Rows, path: str | os.PathLike[str]) -> Path:
    """Write the page to a file, all of it or nothing; the path, to open in a browser.

    Raises `OSError` where the folder is missing or cannot be written.
    """
    files.check(path, "save_html")  # before the work
    return files.write(path, page(tape), "save_html")


def fragment(tape: Rows) -> str:
    """The tape in a notebook: its table, and the page in a frame below, where values were recorded and it is small."""
    if not any(row.record for row in tape):
        return _table(tape, True)
    short = len(tape) <= MOST_IN_NOTEBOOK // LEAST_OF_ENTRY
    whole = _detailed(tape, MOST_IN_NOTEBOOK, {})[0] if short else ""
    if not 0 < len(whole) <= MOST_IN_NOTEBOOK:
        note = "<p>Too long to step through here: <code>save_html(path)</code> writes the page to a file.</p>"
        return f"{_table(tape, True)}{note}"
    frame = f'<iframe title="Tape" sandbox="allow-scripts" style="{FRAME}" srcdoc="{html.escape(whole)}"></iframe>'
    return f"{_table(tape, False)}{frame}"


def _detailed(tape: Rows, most: int, more: Mapping[str, Any]) -> tuple[str, int]:
    """The page in the most detail with which it stays within `most` bytes, if there is one; and the budget for that."""
    last = most // LEAST_OF_ENTRY  # of more it would be too long anyway
    budgets = {detail(tape, int(most * share)): int(most * share) for share in DETAIL}  # each detail once
    for budget in budgets.values():
        text = _page({**scene(tape, budget, last), **more})
        if len(text) <= most:
            break
    return text, budget


def _page(known: Mapping[str, Any]) -> str:
    return pages.page("page", known["title"], _packed(known))


def _changes(nudged: Nudged) -> dict[str, Any]:
    changes = [number(change) for change in nudged.changes]
    return {**nudged._asdict(), "gradient": number(nudged.gradient), "changes": changes}


def _packed(known: Mapping[str, Any]) -> dict[str, Any]:
    """The scene with its arrays and the sources of its VJPs in one list, since most of them are there several times."""
    shared: list[Any] = []
    places: dict[Any, int] = {}

    def share(key: Any, value: Any) -> dict[str, int]:
        if key not in places:
            places[key] = len(shared)
            shared.append(value)
        return {"@": places[key]}  # no name in Python

    def pack(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return share(id(value), value) if "nan" in value else {key: pack(part, key) for key, part in value.items()}
        if isinstance(value, list):
            return [pack(part) for part in value]
        return (
            share(value, value) if name in ("source", "formula", "expression", "doc") and isinstance(value, str) else value
        )

    return {"scene": pack(known), "shared": shared}


def _table(tape: Rows, is_open: bool) -> str:
    """The entries as a table, of many the first and the last, under a line with the totals."""
    totals = count(len(tape), "entry", "entries"), count(len(tape.leaves), "leaf", "leaves")
    head = ["entry", "op and inputs", "result", "bytes saved", "line"]
    table = html_table([head, *map(_row, tape)], MOST_ROWS)
    foot = f"{', '.join(totals)}, {tape.nbytes:,} bytes saved for backward"
    return f"<details{' open' * is_open}><summary>{foot}</summary>{table}</details>"


def _row(row: Row) -> list[str]:
    result = ", ".join(f"{dtype}{list(shape)}" for dtype, shape in results(row))
    saved = sum(each.nbytes for each in row.saved if each.holder is None)
    place = f"{short_path(row.record.line.path)}:{row.record.line.number}" if row.record else ""
    return [f"#{row.number}", cut(call(row)), cut(result), f"{saved:,}" if saved else "", cut(place)]
