"""A tape as source for Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from ..messages import printable
from ..pages import LONGEST
from .fold import Layer, layers
from .rows import Rows, results
from .text import call


def graph(tape: Rows) -> str:
    """The tape as a directed graph in the DOT language."""
    lines = ["digraph tape {", "  rankdir=TB", '  node [fontname="Helvetica"]', '  edge [fontname="Helvetica" fontsize=9]']
    for i, leaf in enumerate(tape.leaves):
        shape = "ellipse peripheries=2" if leaf.parameter else "ellipse"
        label = _quoted(f"{leaf.label}\n{leaf.dtype}{list(leaf.shape)}")
        lines.append(f'  "leaf {i}" [shape={shape} label={label}]')
    lines += [*_entries(tape), *_edges(tape), "}"]
    return "\n".join(lines)


def _entries(tape: Rows) -> Iterator[str]:
    """The entries as boxes, in a frame for every layer."""
    starts: dict[int, list[tuple[int, Layer]]] = {}
    for i, layer in enumerate(layers(tape)):
        starts.setdefault(layer.first, []).append((i, layer))
    inside: list[Layer] = []
    for row in tape:
        while inside and inside[-1].last < row.number:
            yield "  " * len(inside) + "}"
            inside.pop()
        for i, layer in starts.get(row.number, ()):
            inside.append(layer)
            indent = "  " * len(inside)
            yield f'{indent}subgraph "cluster {i}" {{'
            yield f"{indent}  label={_quoted(str(layer.call))}"
        name = call(row) if row.settings else row.op.name
        shapes = ", ".join(f"{dtype}{list(shape)}" for dtype, shape in results(row))
        line = f"\n{row.record.line}" if row.record else ""
        label = _quoted(f"#{row.number} {name}\n{shapes}{line}")
        yield f'{"  " * len(inside)}  "#{row.number}" [shape=box label={label}]'
    for depth in range(len(inside), 0, -1):
        yield "  " * depth + "}"


def _edges(tape: Rows) -> Iterator[str]:
    for row in tape:
        for source in row.inputs:
            if source.leaf is not None:
                yield f'  "leaf {source.leaf}" -> "#{row.number}" [label="{list(tape.leaves[source.leaf].shape)}"]'
            elif source.entry is not None:
                shape = results(tape[source.entry])[source.result][1]
                yield f'  "#{source.entry}" -> "#{row.number}" [label="{list(shape)}"]'


def _quoted(text: str) -> str:
    """A label between quotes, with what DOT would read in another way, or a terminal would obey, escaped."""
    text = "\n".join(printable(line, LONGEST) for line in text.split("\n"))
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
