"""Pages: one HTML file with all that it needs in it, which shows the reader's source beside what came of it.

This stands below the core: nothing here knows of tensors or tapes.
"""

from __future__ import annotations

import functools
import html
import itertools
import json
import linecache
import os
import re
import sys
from collections.abc import Iterable
from importlib import resources
from typing import Any

from .messages import printable

LONGEST = 300  # characters of a name, and of a line of code in an error
LONGEST_LINE = 1000  # characters of code
WHOLE = 2000  # lines: a longer file is shown around the lines that count
AROUND = 40  # lines before and after
SCRIPTS = {  # in this order, since they are run as one
    "page": (
        *("elements", "place", "timeline", "arrays", "terms", "tape", "program", "source", "panel", "graph", "tour"),
        *("keys", "page"),
    ),
    "captured": ("elements", "captured", "memory", "source", "keys", "calls"),
}


@functools.cache
def read(*names: str) -> str:
    """Files that pages are made of, one behind the other."""
    folder = resources.files(__package__) / "explore" / "assets"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


@functools.cache
def assets(name: str) -> dict[str, str]:
    """A page without what it shows: its HTML, style and script. Of styles, all have that of "page"."""
    styles = dict.fromkeys(("page.css", f"{name}.css"))
    return {"html": read(f"{name}.html"), "style": read(*styles), "script": read(*(f"{s}.js" for s in SCRIPTS[name]))}


def page(name: str, title: str, scene: Any) -> str:
    """A page: its title, and what it shows as a JSON value."""
    known = assets(name)
    parts = {"title": html.escape(title), "style": known["style"], "scene": as_json(scene), "script": known["script"]}
    return re.sub(r"@@(\w+)@@", lambda mark: parts[mark[1]], known["html"])


def as_json(scene: Any) -> str:
    """A scene in ASCII, in which no text can end the element that it stands in."""
    return json.dumps(scene, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def sources(places: Iterable[tuple[str, int]], budget: int) -> list[tuple[str, dict[str, Any]]]:
    """The files that some lines stand in; of one that is too long for its share, the part from before the first of them."""
    paths = {path: [n for _, n in group] for path, group in itertools.groupby(sorted(set(places)), lambda place: place[0])}
    files = []
    for path, lit in paths.items():
        text = [code(line.rstrip("\n"), LONGEST_LINE) for line in linecache.getlines(path)]
        share = budget // len(paths)
        whole = len(text) < WHOLE and sum(map(len, text)) <= share
        first = 1 if whole else max(1, lit[0] - AROUND)
        last = len(text) if whole else min(lit[-1] + AROUND, first + WHOLE - 1)
        sizes = itertools.accumulate(len(line) + 3 for line in text[first - 1 : last])
        shown = text[first - 1 : last] if whole else text[first - 1 : first - 1 + sum(size <= share for size in sizes)]
        files.append((path, {"path": cut(short_path(path)), "first": first, "lines": shown}))
    return files


def cut(text: str) -> str:
    """A name, in one line that is not too long."""
    return printable(text, LONGEST)


def code(text: str, longest: int) -> str:
    """Code with its lines and tabs, and nothing else that one cannot see."""
    return "".join(part if part in "\n\t" else printable(part, longest) for part in re.split(r"([\n\t])", text))


def short_path(path: str) -> str:
    """A path as one would write it from here; a file elsewhere goes by its name, a cell of a notebook as In[n]."""
    if name := cell(path):
        return name
    try:
        here = os.path.relpath(path) if os.path.isabs(path) else path
    except OSError:  # the working folder is gone
        here = ".."
    return os.path.basename(path) if here.startswith("..") else here


def cell(path: str) -> str:
    """The name of the cell of a notebook that a path stands for, such as In[3]; empty for a file."""
    try:
        named = sys.modules["IPython"].get_ipython().compile.format_code_name(path)
    except (KeyError, AttributeError):  # no IPython, or none that runs, or an old one
        return ""
    return str(named[1]) if named else ""
