"""What a type checker knows of tinyreg in the code of its users: mypy, and pyright where it is installed."""

import importlib.util
import inspect
import json
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.primitive import Primitive

ROOT = Path(__file__).parents[1]
RIGHT, WRONG = ROOT / "tests" / "typed" / "right.py", ROOT / "tests" / "typed" / "wrong.py"
ROOMS = ["activations", "augment", "augment.text", "creation", "dropout", "explore", "losses", "metrics", "nn", "nn.init"]
ROOMS += ["normalization", "ops", "optim", "random", "regularizers", "testing", "training"]
STUBS = ("2.4", "2.5")  # the NumPy releases whose stubs the code was checked against: they change from one to the next
WORDS = {"too few": "Missing positional argument|Argument missing", "too many": "Too many|Expected [0-9]+ positional"}
"""How checkers put what the marks in wrong.py say; any other mark is a word of the message."""

KNOWN = 0.97
"""The share of public names whose types stand in the code, or are inferred alike by every checker."""

ANY = {"tr.nn.Module.forward"}  # of which every Module writes its own
ANY |= {f"tr.Tensor.{name}" for name in ("item", "tolist")}  # whose types follow the dtype and the shape

pytestmark = pytest.mark.skipif(not np.__version__.startswith(STUBS), reason=f"types are checked with NumPy {STUBS}")


def _ran(*command):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where pyright looks for its Python
    env = os.environ | {"PATH": path}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=600)


def public():
    """All public functions, ops, and methods of public classes, by the expressions for them."""
    names = {}
    for room, path in [(tr, "tr"), *((_room(name), f"tr.{name}") for name in ROOMS)]:
        for name in dir(room):
            value = getattr(room, name)
            if name.startswith("_") or not getattr(value, "__module__", "").startswith(f"tinyreg{path[2:]}"):
                continue
            if inspect.isfunction(value) or isinstance(value, Primitive):
                names.setdefault(value, f"{path}.{name}")
            elif inspect.isclass(value):
                for method, f in inspect.getmembers(value, inspect.isfunction):
                    if (f.__module__ or "tinyreg").startswith("tinyreg") and not method.startswith("_"):
                        names.setdefault(f, f"{path}.{name}.{method}")
    return {name: value for value, name in names.items()}


def _room(name):
    room = tr
    for part in name.split("."):
        room = getattr(room, part) if hasattr(room, part) else importlib.import_module(f"tinyreg.{name}")
    return room


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """What mypy says of the two files and of every public name: its lines, by file."""
    asked = tmp_path_factory.mktemp("asked") / "asked.py"
    lines = ["import tinyreg as tr", "import tinyreg.augment.text"]
    asked.write_text("\n".join([*lines, *(f"reveal_type({name})" for name in public())]) + "\n")
    done = _ran(sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(RIGHT), str(WRONG), str(asked))
    said = {RIGHT.name: [], WRONG.name: [], asked.name: []}
    for line in (done.stdout + done.stderr).splitlines():
        place, number, kind, text = [*line.split(":", 3), "", "", ""][:4]
        assert Path(place).name in said, line
        said[Path(place).name].append((int(number), kind.strip(), text.strip()))
    return said


@pytest.fixture(scope="module")
def pyright():
    """What pyright says of the two files, as mypy does."""
    if importlib.util.find_spec("basedpyright") is None:
        pytest.skip("pyright is not installed: pip install basedpyright")
    command = ["-m", "basedpyright", "--pythonpath", sys.executable, "--outputjson", str(RIGHT), str(WRONG)]
    said = {RIGHT.name: [], WRONG.name: []}
    for found in json.loads(_ran(sys.executable, *command).stdout)["generalDiagnostics"]:
        line = found["range"]["start"]["line"] + 1
        said[Path(found["file"]).name].append((line, found["severity"], found["message"]))
    return said


def test_most_public_names_have_the_same_type_for_every_checker():
    if importlib.util.find_spec("basedpyright") is None:
        pytest.skip("pyright is not installed: pip install basedpyright")
    said = _ran(sys.executable, "-m", "basedpyright", "--verifytypes", "tinyreg", "--ignoreexternal", "--outputjson")
    assert json.loads(said.stdout)["typeCompleteness"]["completenessScore"] >= KNOWN


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_type_checker_finds_nothing_wrong_in_right_code_and_knows_what_it_gives(checker, request):
    said = request.getfixturevalue(checker)[RIGHT.name]
    assert not [(line, text) for line, kind, text in said if kind == "error"]


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_type_checker_refuses_each_mistake_in_wrong_code_and_nothing_else(checker, request):
    said = [(line, text) for line, kind, text in request.getfixturevalue(checker)[WRONG.name] if kind == "error"]
    marks = dict(enumerate(WRONG.read_text().splitlines(), 1))
    marks = {line: text.partition("  # error: ")[2] for line, text in marks.items() if "  # error: " in text}
    assert len(marks) > 40
    assert {line for line, _ in said} == marks.keys()
    for line, mark in marks.items():
        texts = [text for where, text in said if where == line]
        assert any(re.search(WORDS.get(mark, re.escape(mark)), text) for text in texts), (line, mark, texts)


def test_no_public_function_gives_anything_of_unknown_type(mypy):
    names, said = list(public()), mypy["asked.py"]
    assert [line for line, kind, _ in said if kind == "error"] == []
    given = {names[line - 3]: re.search('type is "(.*)"', text)[1] for line, _, text in said}
    assert given.keys() == set(names)
    unknown = {name for name, text in given.items() if "Any" in _results(text)}
    arrays = {name for name in unknown if public()[name].__annotations__["return"] == "Array"}  # which have no common class
    assert unknown - arrays == ANY


def _results(text):
    """What a function gives by each of its overloads, of a type as mypy writes it."""
    if found := re.search(r"Primitive\[.*, ([^\[\]]*(?:\[.*\])?)\]$|Fused\[.*, ([^\[\]]*(?:\[.*\])?)\]$", text):
        return {found[1] or found[2]}
    text = re.sub(r"^Overload\((.*)\)$", r"\1", text)
    while text != (text := re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", text)):
        pass
    return {part.rpartition(" -> ")[2].strip() for part in text.split(", ")}


def test_help_shows_the_signature_and_the_text_of_an_op():
    text = pydoc.plain(pydoc.render_doc(tr.exp))
    assert "exp(x)" in text
    assert "integers are taken as float64" in text
    assert "axis: 'Axis' = None" in pydoc.plain(pydoc.render_doc(tr.sum))
