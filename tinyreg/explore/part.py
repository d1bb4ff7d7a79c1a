"""The end of a tape that is too long to show: its last entries, and what they take from before them."""

from __future__ import annotations

from typing import Any, NamedTuple

from .rows import Origin, Row, Rows


class Earlier(NamedTuple):
    """One result of an entry that is not shown."""

    entry: int
    result: int


class Part:
    """The last entries of a tape, counted from 0; values from before them stand among the leaves, after those."""

    def __init__(self, tape: Rows, last: int | None = None) -> None:
        self.first: int = 0 if last is None else max(0, len(tape) - last)
        self.rows: tuple[Row, ...] = tape[self.first :]
        used = {(source.entry, source.result, source.leaf) for row in self.rows for source in row.inputs}
        leaves = range(len(tape.leaves)) if not self.first else sorted({leaf for *_, leaf in used if leaf is not None})
        self.leaves: dict[int, Origin] = {i: tape.leaves[i] for i in leaves}
        earlier = {Earlier(entry, result) for entry, result, _ in used if entry is not None and entry < self.first}
        self.earlier: list[Earlier] = sorted(earlier) if self.rows or not self.first else [Earlier(len(tape) - 1, 0)]
        places: list[Any] = [*self.leaves, *self.earlier]
        self._places = {place: i for i, place in enumerate(places)}

    def place(self, entry: int | None, result: int, leaf: int | None) -> dict[str, int | None]:
        """Where a value stands on the page."""
        if leaf is not None:
            return {"entry": None, "result": 0, "leaf": self._places[leaf]}
        if entry is not None and entry < self.first:
            return {"entry": None, "result": 0, "leaf": self._places[Earlier(entry, result)]}
        return {"entry": None if entry is None else entry - self.first, "result": result, "leaf": None}
