"""The reference: a page a room, each entry from the docstring of a public name, with its source under it.

In a page: the directive `room`, with a module and, where it is not all of them, the names.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import re
import textwrap
from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.inspect import stringify_signature

import tinyreg as tr
from tinyreg.core.primitive import Primitive
from tinyreg.explore import derivative


def names(module: Any) -> list[str]:
    """The public names of a module: those of `__all__`, or the functions and classes that it defines."""
    if hasattr(module, "__all__"):
        return [n for n in module.__all__ if not inspect.ismodule(getattr(module, n))]
    own = [n for n, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__]
    return [n for n in own if not n.startswith("_") and callable(getattr(module, n))]


def parameters(thing: Any) -> set[str]:
    """The names of what a thing is called with."""
    try:
        return set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        return set()


def signature(thing: Any) -> str:
    """How a thing is called."""
    try:
        called = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    if isinstance(thing, Primitive):
        arrays = set(thing.signature.arguments)
        kinds = [p.replace(annotation="Tensor | Array") if p.name in arrays else p for p in called.parameters.values()]
        called = called.replace(parameters=kinds, return_annotation="Tensor")
    text = stringify_signature(called, unqualified_typehints=True).replace("'", "")
    return text.removesuffix(" -> None") if inspect.isclass(thing) else text


EXAMPLE = re.compile(r"((?:^>>> .*\n(?:.*\S.*\n)*\n?)+)", re.M)


def prose(doc: str, room: str, parameters: Collection[str] = ()) -> str:
    """A docstring as Markdown: its examples become blocks; public names in backticks become links, as parameters do not."""

    def linked(name: re.Match[str]) -> str:
        full = public().get(name[1]) or (public().get(f"{room}.{name[1]}") if name[1] not in parameters else None)
        return f"{{py:obj}}`{name[0][1:-1]} <{full}>`" if full else name[0]

    parts = EXAMPLE.split(f"{inspect.cleandoc(doc)}\n")
    for i, part in enumerate(parts):
        is_example = part.startswith(">>>")
        parts[i] = f"```pycon\n{part.rstrip()}\n```\n" if is_example else re.sub(r"`([\w.]+)(?:\(\))?`", linked, part)
    return "\n".join(parts)


@functools.cache
def public() -> dict[str, str]:
    """The full name of what is public, by how docstrings name it: `tr.losses.mse`, `losses.mse`, `tr.exp`, or in full."""
    top = {id(getattr(tr, name)) for name in names(tr)}
    rooms = [getattr(tr, name) for name in tr.__all__ if inspect.ismodule(getattr(tr, name))]
    inner = [(room, name) for room in rooms for name in names(room) if id(getattr(room, name)) not in top]
    full = {f"tinyreg.{name}": name for name in names(tr)}
    full |= {f"{room.__name__}.{name}": f"{room.__name__}.{name}".removeprefix("tinyreg.") for room, name in inner}
    return {spelled: name for name, short in full.items() for spelled in (name, short, f"tr.{short}")}


def sources(thing: Any) -> Iterator[str]:
    """The code of a thing: of an op the array function, and for each argument its derivative, under a formula."""
    if not isinstance(thing, Primitive):
        with contextlib.suppress(OSError, TypeError):  # what is no code, or was made by a class of typing
            yield _without_docstring(textwrap.dedent(inspect.getsource(thing)), thing)
        return
    if not thing.forward.__closure__:  # as a row has that calls what the array library has
        yield _without_docstring(derivative.code(thing.forward), thing)
    for i in range(len(thing.signature.arguments)):
        if code := derivative.source(thing, i):
            yield f"# {derivative.formula(thing, i)}\n{code}"


def _without_docstring(code: str, thing: Any) -> str:
    """Code that stands below what its docstring says."""
    first = re.escape((thing.__doc__ or "").partition("\n")[0])
    return re.sub(rf'^ *r?"""{first}.*?"""\n+', "", code, count=1, flags=re.M | re.S).strip()


def entry(room: str, name: str) -> str:
    """What the reference says of a name in a room."""
    thing = getattr(importlib.import_module(room), name)
    kind = "class" if inspect.isclass(thing) else "function" if callable(thing) else "data"
    code = "\n\n".join(dict.fromkeys(sources(thing)))
    shown = f"<details><summary>Source</summary>\n\n```python\n{code}\n```\n\n</details>" if code else ""
    doc = prose(thing.__doc__ or "", room, parameters(thing)) if callable(thing) else ""
    return _directive(8, kind, f"{room}.{name}{signature(thing)}", "\n\n".join([doc, *methods(room, thing), shown]))


def methods(room: str, thing: Any) -> Iterator[str]:
    """What the reference says of the methods that a class does not just inherit."""
    for name, member in vars(thing).items() if inspect.isclass(thing) else ():
        doc = inspect.getdoc(member)
        if (
            name.startswith("_")
            or not doc
            or doc in {inspect.getdoc(getattr(base, name, None)) for base in thing.__mro__[1:]}
        ):
            continue
        if isinstance(member, property):
            yield _directive(6, "property", name, prose(doc, room))
        elif callable(member) or isinstance(member, classmethod | staticmethod):
            called = re.sub(r"^\((self|cls)(, )?", "(", signature(getattr(thing, name)))
            yield _directive(6, "method", name + called, prose(doc, room, parameters(member)))


def _directive(fence: int, kind: str, head: str, text: str) -> str:
    return f"{'`' * fence}{{py:{kind}}} {head}\n\n{text}\n{'`' * fence}\n"


class Room(SphinxDirective):
    """The entries of a room."""

    required_arguments = 1
    option_spec: ClassVar = {"of": str.split}
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The entries of the names in the content, or of what is public in the modules of `of`, or in this one."""
        owners = [importlib.import_module(name) for name in self.options.get("of", self.arguments)]
        chosen = " ".join(self.content).split() or [name for owner in owners for name in names(owner)]
        return self.parse_text_to_nodes("\n".join(entry(self.arguments[0], name) for name in chosen))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("room", Room)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
