"""Read from CuPy itself what it offers, into cupy_names.json: the list that the stand-in backend goes by.

CuPy imports without a GPU, so this runs anywhere that it can be installed. One run reads the installed version; further
runs, each with another version installed, keep only what all of them offer:

    pip install "cupy-cuda12x==13.6.*" && python tests/standin/read_cupy_names.py --fresh
    pip install "cupy-cuda12x==14.2.*" && python tests/standin/read_cupy_names.py
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import inspect
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("cupy_names.json")
NAMESPACES = ("cupy", "cupy.linalg", "cupy.lib.stride_tricks", "cupyx", "cupyx.scipy.special")
WANTED = {"cupyx": ("errstate", "scatter_add"), "cupyx.scipy.special": ("erf",)}  # of the others: every public name


def cleaned(text: str) -> str:
    """A parameter list from a docstring as Python source: without self, C types, escapes and optional outputs."""
    text = re.sub(r"\[, out1, out2\]|[\[\]\\]", "", text).replace("u'", "'")
    text = re.sub(r"\b\w+ (?=\w)", "", text)
    return re.sub(r"^self(, )?", "", text)


def parameters(thing: object) -> str | None:
    """What a callable accepts, from its signature, or from the first line of its docstring where that says more."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        signature = None
    if signature is None or any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        first_line = (getattr(thing, "__doc__", None) or "").lstrip().split("\n")[0]
        if found := re.match(r"[\w.]+\((.*)\)( -> \w+)?$", first_line):
            signature = inspect.signature(eval(f"lambda {cleaned(found[1])}: None"))
    return None if signature is None else listed(p for p in signature.parameters.values() if p.name != "self")


def listed(parameters: Iterable[inspect.Parameter]) -> str:
    """Parameters as Python source; a default that is no plain value is written as None."""
    plain = (bool, int, float, str, tuple, type(None))
    defaults = ((p, p.default if p.default is p.empty or type(p.default) in plain else None) for p in parameters)
    return str(inspect.Signature([p.replace(annotation=p.empty, default=default) for p, default in defaults]))[1:-1]


def ufunc_at_dtypes() -> dict[str, list[str]]:
    """The dtypes that `ufunc.at` takes, which CuPy says only in its error messages; newer builds compress those."""
    binary = Path(importlib.import_module("cupy._core._routines_indexing").__file__).read_bytes()
    said = re.findall(rb"cupy\.(\w+)\.at only supports ([\w, ]+?),? as data type", binary)
    return {name.decode(): sorted(dtypes.decode().replace(",", " ").split()) for name, dtypes in said}


def read() -> dict[str, Any]:
    """What the installed CuPy offers; a ufunc's value is its parameters and its loops, from dtypes to dtypes."""
    cupy = importlib.import_module("cupy")
    functions, ufuncs, methods, values, attributes = {}, {}, {}, [], []
    for namespace in NAMESPACES:
        module = importlib.import_module(namespace)
        for name in WANTED.get(namespace, dir(module)):
            thing, full = getattr(module, name), f"{namespace}.{name}"
            if name.startswith("_") or inspect.ismodule(thing) or type(thing).__name__ == "_Feature":
                continue
            if isinstance(thing, cupy.ufunc):  # erf's docstring does not show its parameters; all ufuncs take the same
                ufuncs[full] = [parameters(thing) or parameters(cupy.exp), " ".join(thing.types)]
            elif not callable(thing) or isinstance(thing, type):
                values.append(full)
            elif (text := parameters(thing)) is not None:
                functions[full] = text
    for name in dir(cupy.ndarray):
        thing = getattr(cupy.ndarray, name)
        if (name.startswith("__") and name not in dir(object)) or not (name.startswith("_") or callable(thing)):
            attributes.append(name)
        elif not name.startswith("_"):
            methods[name] = parameters(thing)
    return {"functions": functions, "ufuncs": ufuncs, "values": values, "methods": methods, "attributes": attributes}


def common_parameters(a: str, b: str) -> str:
    """The parameters that both lists have, in the order of a; `*args` and `**kwargs` stand for any."""
    first, second = (inspect.signature(eval(f"lambda {text}: None")).parameters for text in (a, b))
    kinds, other_kinds = ({p.kind for p in parameters.values()} for parameters in (first, second))
    any_kind = {
        inspect.Parameter.POSITIONAL_ONLY: inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.KEYWORD_ONLY: inspect.Parameter.VAR_KEYWORD,
    }
    kept = [p for name, p in first.items() if name in second or any_kind.get(p.kind) in other_kinds]
    return listed(kept + [p for name, p in second.items() if name not in first and any_kind.get(p.kind) in kinds])


def common(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What both versions offer."""
    both = {section: [name for name in old[section] if name in new[section]] for section in ("values", "attributes")}
    for section in ("functions", "methods"):
        pairs = {name: (text, new[section][name]) for name, text in old[section].items() if name in new[section]}
        both[section] = {name: common_parameters(*pair) for name, pair in pairs.items()}
    both["ufuncs"] = {}
    for name, (text, loops) in old["ufuncs"].items():
        if name in new["ufuncs"]:
            other, other_loops = new["ufuncs"][name]
            shared = [loop for loop in loops.split() if loop in other_loops.split()]
            both["ufuncs"][name] = [common_parameters(text, other), " ".join(shared)]
    return both


def write(content: dict[str, Any]) -> None:
    """Sorted, a name a line."""
    sections = []
    for section, names in sorted(content.items()):
        if isinstance(names, dict):
            lines = [f"{json.dumps(name)}: {json.dumps(names[name])}" for name in sorted(names)]
        else:
            lines = [json.dumps(name) for name in sorted(names)]
        left, right = "{}" if isinstance(names, dict) else "[]"
        sections.append("\n".join([f"{json.dumps(section)}: {left}", ",\n".join(lines), right]))
    FILE.write_text("\n".join(["{", ",\n".join(sections), "}\n"]))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--fresh", action="store_true", help="forget what other versions offer")
    fresh = arguments.parse_args().fresh
    now, at = read(), ufunc_at_dtypes()
    versions = {importlib.import_module("cupy").__version__: datetime.date.today().isoformat()}
    if not fresh:
        before = json.loads(FILE.read_text())
        now = common(before, now)
        at = {name: [d for d in dtypes if d in at.get(name, dtypes)] for name, dtypes in before["ufunc.at"].items()}
        versions = before["versions"] | versions
    write({"versions": versions, **now, "ufunc.at": at})


if __name__ == "__main__":
    main()
