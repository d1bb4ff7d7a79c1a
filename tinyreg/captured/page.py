"""A program as a page: its calls and loops beside the source, and what stands in which memory, and for how long."""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files, pages
from ..pages import cut
from .layouts import extent
from .recording import View, typed

if TYPE_CHECKING:
    from .program import Call, Program

SOURCES = 1_000_000
"""So many characters of source there are on a page at most."""


def save_html(program: Program, path: str | os.PathLike[str], title: str) -> Path:
    """Write the page to a file, all of it or nothing; the path, to open in a browser."""
    if not isinstance(title, str):
        raise TypeError(f"save_html: got title={title!r:.80}, expected a text")
    files.check(path, "save_html")  # before the work
    roots = program.trace.walk.holders[0].thing
    title = cut(title or f"{getattr(roots[0], '__qualname__', 'step')}, captured")
    return files.write(path, pages.page("captured", title, scene(program)), "save_html")


def scene(program: Program) -> dict[str, Any]:
    """The program as a JSON value: sources, calls in order, groups, and memory with the values that stand there."""
    return _Scene(program).parts()


class _Scene:
    def __init__(self, program: Program) -> None:
        self.program: Program = program
        made = [(n, call) for n, i in enumerate(program.instructions) for call in program.calls(i)]
        self.calls: list[tuple[int, Call]] = made
        places = [call.of.line for _, call in made if call.of.line[1]]
        self.sources: list[tuple[str, dict[str, Any]]] = pages.sources(places, SOURCES)
        self.paths: dict[str, int] = {path: n for n, (path, _) in enumerate(self.sources)}
        self.values: dict[int, int] = {storage: n for n, storage in enumerate(program.lives)}
        self.makers: dict[int, int] = {
            call.out.storage: n for n, (_, call) in reversed([*enumerate(made)]) if call.out and call.stands
        }
        self.groups: list[tuple[str, list[int]]] = [
            (name, [n for n, _ in each]) for name, each in groupby(enumerate(made), lambda pair: pair[1][1].group) if name
        ]

    def parts(self) -> dict[str, Any]:
        """The scene."""
        program = self.program
        going = [storage for storage in program.lives if storage not in program.block_of]
        never = [call for _, call in self.calls if not call.stands]
        of = {number: n for n, (_, numbers) in enumerate(self.groups) for number in numbers}
        blocks = [{"label": f"block {block.number}", "bytes": block.size} for block in program.blocks]
        outs = [{"label": "out", "bytes": self._bytes(storage)} for storage in going]
        buffer = {storage: len(blocks) + n for n, storage in enumerate(going)}
        buffer |= {storage: block.number for storage, block in program.block_of.items()}
        return {
            "totals": {
                "counted": program.counted(),
                "recorded": len(program.trace.recording.instructions),
                "blocks": sum(block.size for block in program.blocks),
                "out": sum(map(self._bytes, going)),
                "never": len(never),
                "spared": sum(_size(call.out) for call in never),
            },
            "steps": len(program.instructions),
            "sources": [source for _, source in self.sources],
            "calls": [self._call(n, of.get(n)) for n in range(len(self.calls))],
            "groups": [{"label": name, "calls": numbers} for name, numbers in self.groups],
            "buffers": [*blocks, *outs],
            "values": [self._value(storage, buffer[storage]) for storage in program.lives],
        }

    def _call(self, number: int, group: int | None) -> dict[str, Any]:
        step, call = self.calls[number]
        file, line = call.of.line
        value = self.values.get(call.out.storage) if call.out and call.stands else None
        return {
            "number": number,
            "step": step,
            "line": {"source": self.paths[file], "number": line} if line else None,
            "kind": call.of.kind,
            "name": cut(call.name),
            "of": cut(call.of.origin.name),
            "phase": call.of.origin.phase,
            "result": cut(typed(call.out)),
            "memory": self.program.where(call.out) if call.stands else "",
            "stands": call.stands,
            "value": value,
            "bytes": self.program.nbytes(call.out) if call.stands else _size(call.out),
            "reads": list({str(each): each for each in map(self._read, call.reads)}.values()),
            "group": group,
        }

    def _read(self, view: View) -> dict[str, Any]:
        """What a call reads: a value in planned memory, or something else by name."""
        if view.storage in self.values:
            return {"value": self.values[view.storage]}
        origin = self.program.storages[view.storage].origin
        kind = "constant" if view.storage in self.program.constant else "made by NumPy" if origin == "made" else origin
        return {"text": f"{kind} {cut(typed(view))}".strip()}

    def _value(self, storage: int, buffer: int) -> dict[str, Any]:
        first, last = self.program.lives[storage]
        maker = self.makers.get(storage)
        return {"buffer": buffer, "bytes": self._bytes(storage), "first": first, "last": last, "call": maker}

    def _bytes(self, storage: int) -> int:
        return extent(self.program.storages[storage].memory)


def _size(view: View | None) -> int:
    """How many bytes the elements of a result take."""
    if view is None or view.strides is None:
        return 0
    size: int = view.dtype.itemsize
    for n in view.shape:
        size *= n
    return size
