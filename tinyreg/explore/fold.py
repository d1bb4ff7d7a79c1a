"""A long tape in few lines: the entries of a layer in one, and a sequence of ops that comes again only once.

As a text it is cut to so many lines; a page has all of it, in groups that open and close.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from .rows import Call, Row, Rows, nbytes, results

LONGEST_ROUND = 256  # lines; what repeats itself more slowly is not looked for
ROUNDS = 3  # that make a repetition
FEW = 40  # entries, of which nothing is folded


class Layer(NamedTuple):
    """The entries that one call of a layer made, from `first` to `last`, and the place of the layer it stands in."""

    call: Call
    first: int
    last: int
    parent: int | None
    depth: int


class Group(NamedTuple):
    """Entries that a page shows as one row, from `first` to `last`, and the place of the group it stands in."""

    label: str
    first: int
    last: int
    parent: int | None
    closed: bool = False  # at first


class Folded(NamedTuple):
    """Lines that are shown as one: what it says, and the entries from `first` to `last` that it stands for."""

    text: str
    first: int
    last: int
    key: Any = None  # equal for what looks alike


Item = Row | Folded


def layers(tape: Rows) -> list[Layer]:
    """The calls of layers that made a tape's entries, in order; a layer comes before those inside it."""
    calls: list[Layer] = []
    places: dict[Call, int] = {}
    for row in tape:
        for depth, call in enumerate(row.record.call.chain if row.record and row.record.call else ()):
            if call in places:
                calls[places[call]] = calls[places[call]]._replace(last=row.number)
            else:
                places[call] = len(calls)
                parent = places[call.parent] if call.parent else None
                calls.append(Layer(call, row.number, row.number, parent, depth))
    return calls


def groups(tape: Rows) -> list[Group]:
    """The layers of a tape and, where it is long, the rounds of what comes again and again; outer ones come first."""
    drawn = _Groups(tape, layers(tape), many=len(tape) > FEW)
    drawn.fill(0, len(tape) - 1, None, None)
    return drawn.found


class _Part(NamedTuple):
    """An entry, or all those of a layer: what it has in common with its like, and where it is."""

    key: Any
    first: int
    last: int
    layer: int | None


class _Groups:
    """The groups of a tape as they are found: layers by who called them, and rounds among what stands side by side."""

    def __init__(self, tape: Rows, known: Sequence[Layer], many: bool) -> None:
        self.found: list[Group] = []
        self._tape, self._known, self._many = tape, known, many
        self._begins = {(layer.parent, layer.first): i for i, layer in reversed(list(enumerate(known)))}

    def fill(self, first: int, last: int, layer: int | None, parent: int | None) -> None:
        """Add what is between two entries of a layer: of what comes again the first round, the others in one group."""
        parts = list(self._parts(first, last, layer))
        end = 0
        for start, length, rounds in _repetitions([part.key for part in parts]) if self._many else ():
            self._lay_out(parts[end:start], parent)
            end = start + length * rounds
            each = [parts[at : at + length] for at in range(start, end, length)]
            self._round(each[0], f"round 1 of {rounds}", parent)
            others = f"rounds 2 to {rounds}, like round 1"
            within = self._add(others, each[1][0].first, each[-1][-1].last, parent, closed=True)
            for k, one in enumerate(each[1:], 2):
                self._round(one, f"round {k} of {rounds}", within, closed=True)
        self._lay_out(parts[end:], parent)

    def _parts(self, first: int, last: int, layer: int | None) -> Iterator[_Part]:
        while first <= last:
            inside = self._begins.get((layer, first))
            end = first if inside is None else self._known[inside].last
            same = _key(self._tape[first]) if inside is None else (self._known[inside].call.kind, end - first)
            yield _Part(same, first, end, inside)
            first = end + 1

    def _lay_out(self, parts: Sequence[_Part], parent: int | None) -> None:
        for _, first, last, layer in parts:
            if layer is not None:
                self.fill(first, last, layer, self._add(str(self._known[layer].call), first, last, parent))

    def _round(self, parts: Sequence[_Part], label: str, parent: int | None, closed: bool = False) -> None:
        self._lay_out(parts, self._add(label, parts[0].first, parts[-1].last, parent, closed))

    def _add(self, label: str, first: int, last: int, parent: int | None, closed: bool = False) -> int:
        self.found.append(Group(label, first, last, parent, closed))
        return len(self.found) - 1


def folded(tape: Rows, limit: int) -> list[Item]:
    """The entries in at most `limit` lines, if that can be: with as much of the inside of layers as there is room for."""
    known = layers(tape)
    deepest = max((layer.depth for layer in known), default=-1)
    outermost = sum(layer.depth == 0 for layer in known)
    by_layer = [_by_layer(tape, known, depth) for depth in range(deepest, -1, -1)]
    informative = by_layer if outermost > 1 else by_layer[:-1]  # one line for the whole model says little
    entries: list[Item] = list(tape)
    by_round = [_by_round(items) for items in (entries, *by_layer)]
    for items in (*informative, *by_round, *by_layer):
        if len(items) <= limit:
            return items
    return min(by_round, key=len)


def _by_layer(tape: Rows, known: Sequence[Layer], depth: int) -> list[Item]:
    """The entries, those of each layer at `depth` as one line; a layer of one entry stays as it is."""
    items: list[Item] = []
    starts = {layer.first: layer for layer in known if layer.depth == depth and layer.last > layer.first}
    until = -1
    for row in tape:
        if layer := starts.get(row.number):
            rows = tape[layer.first : layer.last + 1]
            text = f"{layer.call}: {len(rows):,} entries, {nbytes(rows):,} bytes saved for backward"
            items.append(Folded(text, layer.first, layer.last, (layer.call.kind, len(rows))))
            until = layer.last
        elif row.number > until:
            items.append(row)
    return items


def _by_round(items: Sequence[Item]) -> list[Item]:
    """The lines, of each repetition only the first round and one line for the others."""
    numbers: dict[Any, int] = {}
    keys = [numbers.setdefault(_key(item), len(numbers)) for item in items]
    shown: list[Item] = []
    end = 0
    for start, length, rounds in _repetitions(keys):
        one, after = items[start : start + length], start + length * rounds
        first, last = _first(one[0]), _last(one[-1])
        text = f"entries #{first}-#{last} x {rounds}: {rounds - 1} more rounds like these"
        shown += [*items[end:start], *one, Folded(text, last + 1, _last(items[after - 1]))]
        end = after
    return [*shown, *items[end:]]


def _repetitions(keys: Sequence[Any]) -> Iterator[tuple[int, int, int]]:
    """Where a sequence of different keys begins that comes at least three times, its length, and how often it comes."""
    i = 0
    while i < len(keys):
        same = sum(1 for _ in takewhile(lambda key, first=keys[i]: key == first, keys[i : i + LONGEST_ROUND]))  # type: ignore[misc]
        length, rounds = max(_rounds(keys, i, same + 1), key=lambda pair: pair[0] * pair[1], default=(0, 0))
        if rounds:
            yield i, length, rounds
        i += length * rounds or max(same - 1, 1)


def _rounds(keys: Sequence[Any], i: int, shortest: int) -> Iterator[tuple[int, int]]:
    for length in range(max(shortest, 2), min(LONGEST_ROUND, (len(keys) - i) // ROUNDS) + 1):
        if keys[i + length] != keys[i]:
            continue
        one, rounds = keys[i : i + length], 1
        while keys[i + length * rounds : i + length * (rounds + 1)] == one:
            rounds += 1
        if rounds >= ROUNDS:
            yield length, rounds
            if len(keys) - i - length * rounds < length:
                return  # to the end: nothing longer covers more


def _key(item: Item) -> Any:
    return item.key if isinstance(item, Folded) else (item.op, *results(item))


def _first(item: Item) -> int:
    return int(item.first if isinstance(item, Folded) else item.number)


def _last(item: Item) -> int:
    return int(item.last if isinstance(item, Folded) else item.number)
