"""What is public is documented, every example runs, and what the README says is so."""

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import tinyreg as tr

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = [importlib.import_module(m.name) for m in pkgutil.walk_packages(tr.__path__, "tinyreg.")]


def examples():
    """Every docstring of the package that holds an example, by name."""
    found = {}
    for module in MODULES:
        members = [(module.__name__, module), *((f"{module.__name__}.{n}", v) for n, v in vars(module).items())]
        members += [(f"{name}.{n}", v) for name, cls in members if inspect.isclass(cls) for n, v in vars(cls).items()]
        for name, thing in members:
            doc = getattr(thing, "__doc__", None)
            if isinstance(doc, str) and ">>>" in doc and getattr(thing, "__module__", module.__name__) == module.__name__:
                found.setdefault(doc, name)
    return {name: doc for doc, name in found.items()}


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    test = doctest.DocTestParser().get_doctest(EXAMPLES[name], {}, name, None, 0)
    report = io.StringIO()
    with contextlib.redirect_stdout(report):
        result = doctest.DocTestRunner(verbose=False).run(test)
    assert result.failed == 0, report.getvalue()


PUBLIC = sorted(n for n in tr.__all__ if not inspect.ismodule(getattr(tr, n)))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring_with_an_example(name):
    doc = getattr(tr, name).__doc__
    assert doc
    assert ">>>" in doc, f"tr.{name} has no example"


@pytest.mark.parametrize("path", sorted((ROOT / "tinyreg").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_backend_knows_the_array_libraries(path):
    where = str(path.relative_to(ROOT / "tinyreg"))
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add(str(node.module).partition(".")[0])
    if where not in ("core/backend.py", "random.py") and not where.startswith("testing/"):
        assert not imported & {"numpy", "cupy", "cupyx"}


def code_lines(path):
    """How many lines of code a file has: every line with a token on it, but for docstrings and comments."""
    text = path.read_text(encoding="utf-8")
    docs = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in empty]
    return len({line for t in tokens for line in range(t.start[0], t.end[0] + 1)} - docs)


ENGINE = ["backend", "conversion", "tape", "signature", "protocols", "tensor", "primitive", "fused", "checkpoint"]


def test_the_engine_can_be_read_in_one_sitting():
    core = ROOT / "tinyreg" / "core"
    assert {path.stem for path in core.glob("*.py")} == {"__init__", *ENGINE}
    lines = {name: code_lines(core / f"{name}.py") for name in ENGINE}
    lines["switches"] = code_lines(ROOT / "tinyreg" / "switches.py")
    assert sum(lines.values()) < 1100, lines


def test_importing_tinyreg_imports_little():
    code = "import sys, numpy; before = set(sys.modules); import tinyreg; print(*sorted(set(sys.modules) - before))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=600
    ).stdout
    heavy = {"hypothesis", "scipy", "matplotlib", "sklearn", "tqdm", "cupy", "pytest", "safetensors"}
    assert not heavy & {name.partition(".")[0] for name in out.split()}
    assert "numpy.ma" not in out.split()  # a third of the time of all else


# ---- README


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_first_block_of_the_readme_holds_the_two_commands_and_ci_runs_the_second():
    first = re.search(r"```\w*\n(.*?)```", README, flags=re.DOTALL).group(1).strip().splitlines()
    assert len(first) == 2
    assert first[0].endswith("-m demos")
    assert first[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


TESTS = [block for block in blocks("python") if "battery" in block]
PROGRAMS = [block for block in blocks("python") if block not in TESTS]


@pytest.mark.parametrize("block", PROGRAMS)
def test_python_in_the_readme_runs_and_prints_what_it_says(block, tmp_path, monkeypatch):
    if "import torch" in block:
        pytest.importorskip("torch", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    promised = [line.partition("# prints ")[2] for line in block.splitlines() if "# prints " in line]
    assert printed.getvalue().splitlines() == promised, printed.getvalue()


def in_pytest(tmp_path, op):
    """What pytest prints of the README's test of this op, in a folder of their own."""
    (tmp_path / "my_ops.py").write_text(op)
    (tmp_path / "test_my_ops.py").write_text(TESTS[0])
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_my_ops.py"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600).stdout


def test_the_test_of_an_op_of_ones_own_in_the_readme_passes(tmp_path):
    (op,) = [block for block in PROGRAMS if "def cube" in block]
    assert len(TESTS) == 1
    assert re.search(r"=== 13 passed, 1 skipped in ", in_pytest(tmp_path, op))


def test_the_failure_in_the_readme_is_what_is_printed(tmp_path):
    (op,) = [block for block in PROGRAMS if "def cube" in block]
    printed = in_pytest(tmp_path, op.replace("3 * g * x * x", "2 * g * x * x"))
    (shown,) = blocks("text")
    lines = {re.sub(r"^E +(\S+Failure: )?", "", line).strip() for line in printed.splitlines()}
    estimates = re.compile(r" \+- \S+   \(tolerance \S+\)")  # which are not the same to the last digit everywhere
    assert {estimates.sub("", line.strip()) for line in shown.splitlines()} <= {estimates.sub("", line) for line in lines}


def test_sessions_in_the_readme_run():
    for i, session in enumerate(blocks("pycon")):
        test = doctest.DocTestParser().get_doctest(session, {}, f"README session {i}", "README.md", 0)
        report = io.StringIO()
        with contextlib.redirect_stdout(report):
            assert doctest.DocTestRunner(verbose=False).run(test).failed == 0, report.getvalue()


def test_files_that_the_readme_points_to_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target
