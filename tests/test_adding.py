"""What it takes to add an op or a layer: the steps in CONTRIBUTING.md, followed in a copy of the repository."""

import re
import shutil
import textwrap
from pathlib import Path

import pytest
from pytest_runs import pytest_run

ROOT = Path(__file__).parents[1]
STEPS = {"op": "## Add an op", "layer": "## Add a layer"}
STEP = re.compile(
    r"(At the end of|Into `\w+` of|Above `\w+` in) `([\w/]+\.py)`[^`]*:\n\n *```python\n(.*?)\n *```", flags=re.DOTALL
)
BATTERY = """
import cases
import tinyreg
from tinyreg.testing import battery

def test_it_is_the_copy():
    assert [tinyreg.__file__, cases.__file__] == [{package!r}, {table!r}]

test_new = battery(cases.CASES[{name!r}])
"""
NEW = {"op": "cube", "layer": "Gain"}


def edits(kind):
    """The changes that the steps ask for: where in which file, and the lines."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition(STEPS[kind])[2].partition("\n## ")[0]
    found = [(where, path, textwrap.dedent(lines)) for where, path, lines in STEP.findall(text)]
    assert len(found) == text.count("```python")
    return found


def changed(source, where, lines):
    """A source with lines added to it."""
    if where == "At the end of":
        return f"{source}\n\n{lines}\n"
    ((start, end),) = [match.span() for match in re.finditer(rf"^{where.split('`')[1]}\b.* = [\[{{]", source, re.MULTILINE)]
    if where.startswith("Above"):
        return f"{source[:start]}{lines}\n\n\n{source[start:]}"
    return source[:end] + (f"\n{textwrap.indent(lines, '    ')}" if source[end] == "\n" else f"{lines} ") + source[end:]


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, of the table of cases, and of the test that it is whole."""
    for folder in ("tinyreg", "tests/cases"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests/test_table.py", tmp_path / "tests")
    return tmp_path


def follow(copy, kind, *, but=()):
    """Make the changes that a page asks for, all but those to some files."""
    for where, path, lines in edits(kind):
        if path not in but:
            (copy / path).write_text(changed((copy / path).read_text(encoding="utf-8"), where, lines), encoding="utf-8")


def pytest_of(copy, *tests):
    """How pytest ends in the copy, and what it prints."""
    return pytest_run(copy, "-n0", "-rA", *tests, path=(copy, copy / "tests"))


@pytest.mark.parametrize("kind", NEW)
def test_what_is_added_by_the_steps_is_found_and_passes_everything(kind, copy):
    follow(copy, kind)
    paths = {"package": str(copy / "tinyreg/__init__.py"), "table": str(copy / "tests/cases/__init__.py")}
    (copy / "tests/test_new.py").write_text(BATTERY.format(name=NEW[kind], **paths), encoding="utf-8")
    code, printed = pytest_of(copy, "tests/test_table.py::test_every_op_has_a_case", "tests/test_new.py")
    assert code == 0, printed
    assert "PASSED tests/test_new.py::test_it_is_the_copy" in printed
    for name in ("value", "numeric-first-order", "numeric-second-order", "float32-against-float64", "mutation"):
        assert f"PASSED tests/test_new.py::test_new[{name}]" in printed


@pytest.mark.parametrize("kind", NEW)
def test_what_has_no_row_is_told_with_what_to_do(kind, copy):
    follow(copy, kind, but=[path for _, path, _ in edits(kind) if path.startswith("tests/")])
    code, printed = pytest_of(copy, "tests/test_table.py::test_every_op_has_a_case")
    assert code == 1
    assert (
        f"no case for {NEW[kind]}: give each a row in the file of its family in tests/cases, as CONTRIBUTING.md shows"
        in printed
    )


@pytest.mark.parametrize("kind", NEW)
def test_it_touches_its_module_and_its_case(kind):
    module, case = sorted({path for _, path, _ in edits(kind)}, reverse=True)
    assert module.startswith("tinyreg/")
    assert case.startswith("tests/cases/")
