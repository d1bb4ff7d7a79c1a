"""A tape as JSON: all that a page needs to show it, step by step, forward and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.backend import Array
from ..core.primitive import Primitive
from ..messages import printable
from ..pages import LONGEST_LINE, code, cut, sources
from . import derivative
from .checks import arrays_in
from .fold import groups
from .part import Part
from .rows import Input, Row, Rows, results
from .summary import Detail, summary
from .text import call, setting

DETAILS = [Detail(256, 16), Detail(64, 8), Detail(16, 4), Detail(4, 2), Detail(1, 1)]
"""How much is shown of each array: the first with which the whole stays within the budget."""

BYTES = {"entry": 900, "array": 150, "number": 10}  # that each takes as JSON, about


def scene(tape: Rows, budget: int = 4_300_000, last: int | None = None) -> dict[str, Any]:
    """The tape as a JSON value of about `budget` bytes: sources, leaves, entries, layers, and the backward.

    Large arrays are shown in as much detail as there is room for; sources take a quarter at most, and names and lines
    that are very long are cut. last: how many entries to show, from the end; all of them if None.

    Every number was recorded inside explain(), as a value or as a gradient; outside there are none.

    >>> import tinyreg as tr
    >>> from tinyreg.explore.scene import scene
    >>> x = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> with tr.explain():
    ...     shown = scene(tr.tape((x * x).sum()))
    >>> shown["entries"][0]["call"], shown["leaves"][0]["gradient"]["values"]
    ('multiply(x, x)', [2, 4])
    """
    part = Part(tape, last)
    files = sources((row.record.line for row in part.rows if row.record), budget // 4)
    drawn = _Drawn(tape, part, detail(tape, budget), {path: i for i, (path, _) in enumerate(files)})
    return {"sources": [source for _, source in files], **drawn.parts()}


def detail(tape: Rows, budget: int) -> Detail:
    """As much as there is room for."""
    arrays = [leaf.value for leaf in tape.leaves]
    arrays += [array for row in tape if row.record for array in arrays_in(row.record.result)]
    arrays += {id(array): array for row in tape for array in _constants(row)}.values()
    if tape.walk:
        arrays += tape.walk.gradients.values()
        for step in tape.walk.steps:
            arrays += step.incoming
            arrays += [
                array for c in step.contributions for array in {id(a): a for a in (c.raw, c.fitted, c.local)}.values()
            ]
            arrays += [c.total for c in step.contributions]
    sizes = [array.size for array in arrays if array is not None]
    fixed = BYTES["entry"] * len(tape) + BYTES["array"] * len(sizes)
    numbers = [sum(n if n <= each.elements else min(n, each.side**2) for n in sizes) for each in DETAILS]
    fitting = (n for n in numbers if fixed + BYTES["number"] * n <= budget)
    return DETAILS[numbers.index(next(fitting, numbers[-1]))]


class _Drawn:
    """The parts of a scene that hold arrays, at one level of detail."""

    def __init__(self, tape: Rows, part: Part, detail: Detail, paths: Mapping[str, int]) -> None:
        self._tape, self._part, self._detail, self._paths = tape, part, detail, paths
        self._known: dict[int, dict[str, Any]] = {}  # an array that is there in many places is summed up once
        self._groups = groups(tape)
        self._gradients = {where[1:]: g for where, g in tape.walk.gradients.items()} if tape.walk else {}
        self._vjps: dict[Any, dict[str, str]] = {}

    def parts(self) -> dict[str, Any]:
        tape, part = self._tape, self._part
        shown = [i for i, group in enumerate(self._groups) if group.last >= part.first]
        places = {i: place for place, i in enumerate(shown)}
        innermost = {row: places[i] for i in shown for row in range(self._groups[i].first, self._groups[i].last + 1)}
        return {
            "title": cut(str(tape[-1].record.line)) if tape and tape[-1].record else "tape",
            "explained": any(row.record for row in tape),
            "first": part.first,
            "totals": {"entries": len(tape), "leaves": len(tape.leaves), "bytes": tape.nbytes},
            "leaves": [
                {
                    "label": cut(leaf.label),
                    "parameter": leaf.parameter,
                    "shape": list(leaf.shape),
                    "dtype": str(leaf.dtype),
                    "value": self._array(leaf.value),
                    "gradient": self._array(self._gradients.get((None, 0, i))),
                }
                for i, leaf in part.leaves.items()
            ]
            + [self._before(entry, result) for entry, result in part.earlier],
            "entries": [self._entry(row, innermost.get(row.number)) for row in part.rows],
            "groups": [
                {
                    "label": cut(group.label),
                    "first": max(group.first - part.first, 0),
                    "last": group.last - part.first,
                    "parent": None if group.parent is None else places[group.parent],
                    "closed": group.closed,
                }
                for group in map(self._groups.__getitem__, shown)
            ],
            "backward": self._backward(),
        }

    def _before(self, entry: int, result: int) -> dict[str, Any]:
        """A value from before the entries that are shown, as a leaf."""
        row = self._tape[entry]
        several = len(results(row)) > 1
        return {"label": f"#{entry}.{result}" if several else f"#{entry}", "parameter": False, **self._results(row)[result]}

    def _entry(self, row: Row, layer: int | None) -> dict[str, Any]:
        record = row.record
        line = {"source": self._paths[record.line.path], "number": record.line.number} if record else None
        first = self._part.first
        return {
            "number": row.number - first,
            "op": cut(row.op.name),
            "call": cut(call(row)),
            "inputs": [
                {
                    "label": cut(source.label),
                    **self._part.place(source.entry, source.result, source.leaf),
                    "value": self._array(constant),
                }
                for source, constant in zip(row.inputs, _constants(row), strict=True)
            ],
            "arguments": [argument_name(row, i) for i in range(len(row.inputs))],
            "settings": {name: cut(setting(value)) for name, value in row.settings.items()},
            "results": self._results(row),
            "saved": [
                {"name": one.name, "bytes": one.nbytes, "holder": None if one.holder is None else one.holder - first}
                for one in row.saved
            ],
            "line": line,
            "group": layer,
            "doc": printable(derivative.first_sentence(row.op), LONGEST_LINE),
            "vjp": [
                {"argument": argument_name(row, i), **self._vjp(row, i)}
                for i, source in enumerate(row.inputs)
                if not source.is_constant
            ],
        }

    def _results(self, row: Row) -> list[dict[str, Any]]:
        values: Any = row.record.result if row.record else None
        values = values if isinstance(values, tuple) else (values,) * len(results(row))
        return [
            {
                "shape": list(shape),
                "dtype": str(dtype),
                "value": self._array(value),
                "gradient": self._array(self._gradients.get((row.number, i, None))),
            }
            for i, ((dtype, shape), value) in enumerate(zip(results(row), values, strict=True))
        ]

    def _backward(self) -> list[dict[str, Any]]:
        return [
            {
                "entry": (step.entry.entry or 0) - self._part.first,
                "incoming": [self._array(g) for g in step.incoming],
                "contributions": [
                    {
                        "argument": argument_name(self._tape[step.entry.entry or 0], c.argument),
                        "to": self._target(c.to),
                        "local": self._array(c.local),
                        "raw": self._array(c.raw),
                        "fitted": None if c.fitted is c.raw else self._array(c.fitted),
                        "sum": self._array(c.total),
                    }
                    for c in step.contributions
                ],
            }
            for step in (self._tape.walk.steps if self._tape.walk else [])
            if (step.entry.entry or 0) >= self._part.first
        ]

    def _target(self, to: Input) -> dict[str, int | None]:
        place = self._part.place(to.entry, to.result, to.leaf)
        return {"leaf": place["leaf"]} if place["leaf"] is not None else {"entry": place["entry"], "result": to.result}

    def _array(self, array: Array) -> dict[str, Any] | None:
        if array is None:
            return None
        if id(array) not in self._known:
            self._known[id(array)] = summary(array, self._detail)
        return self._known[id(array)]

    def _vjp(self, row: Row, i: int) -> dict[str, str]:
        key = row.op, min(i, 16)
        if key not in self._vjps:
            source = code(derivative.source(row.op, i), LONGEST_LINE)
            texts = {"formula": derivative.formula(row.op, i), "expression": derivative.expression(row.op, i)}
            self._vjps[key] = {name: printable(text, LONGEST_LINE) for name, text in texts.items()} | {"source": source}
        return self._vjps[key]


def _constants(row: Row) -> list[Array]:
    """The array of each argument that is not on the tape; None for those that are, and for numbers."""
    if not row.record:
        return [None] * len(row.inputs)
    pairs = zip(row.inputs, row.record.inputs, strict=True)
    return [value if source.is_constant and hasattr(value, "shape") else None for source, value in pairs]


def argument_name(row: Row, i: int) -> str:
    """What an op calls its i-th argument."""
    if not isinstance(row.op, Primitive):
        return f"input {i}"
    signature = row.op.signature
    return f"{signature.variadic}[{i - signature.first}]" if i >= signature.first else signature.argument(i)
