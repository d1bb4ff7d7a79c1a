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
from pytest_runs import pytest_run

import tinyreg as tr

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs"))

from building.blocks import is_program, printed, promised  # noqa: E402

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


def test_every_strategy_has_an_example():
    module = tr.testing.strategies
    found = {name: f for name, f in vars(module).items() if callable(f) and not name.startswith("_")}
    own = {name: f for name, f in found.items() if f.__module__ == module.__name__}
    assert len(own) > 10
    assert [name for name, f in own.items() if ">>>" not in (f.__doc__ or "")] == []


@pytest.mark.parametrize("path", sorted((ROOT / "tinyreg").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_backend_knows_the_array_libraries(path):
    where = str(path.relative_to(ROOT / "tinyreg"))
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add(str(node.module).partition(".")[0])
    if where not in ("core/backend.py", "libraries.py", "sklearn.py") and not where.startswith("testing/"):
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


ENGINE = ["backend", "tape", "signature", "protocols", "tensor", "primitive", "fused", "checkpoint"]


def test_the_engine_can_be_read_in_one_sitting():
    """Beside it stand conversion (what may become an array) and the texts of its errors, and below it what knows no tape.

    That is switches (values that a context sets) and libraries (what NumPy and CuPy lack).
    """
    core = ROOT / "tinyreg" / "core"
    assert {path.stem for path in core.glob("*.py")} == {"__init__", "conversion", "errors", *ENGINE}
    lines = {name: code_lines(core / f"{name}.py") for name in ENGINE}
    assert sum(lines.values()) < 905, lines
    beside = [core / "conversion.py", *(ROOT / "tinyreg" / f"{name}.py" for name in ("switches", "libraries"))]
    assert sum(map(code_lines, beside)) < 185


def test_importing_tinyreg_imports_little():
    code = "import sys, numpy; before = set(sys.modules); import tinyreg; print(*sorted(set(sys.modules) - before))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=600
    ).stdout
    heavy = {"hypothesis", "scipy", "matplotlib", "sklearn", "tqdm", "cupy", "pytest", "safetensors"}
    assert not heavy & {name.partition(".")[0] for name in out.split()}
    assert "numpy.ma" not in out.split()  # a third of the time of all else


def test_pytest_loads_nothing_for_tests_of_something_else(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test():\n    assert not {'numpy', 'tinyreg'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout


def test_the_checks_need_hypothesis_and_pytest_alone():
    code = "import sys, hypothesis; before = set(sys.modules); import tinyreg.testing; print(*set(sys.modules) - before)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=600)
    new = {name.partition(".")[0] for name in out.stdout.split() if "cython" not in name}  # what NumPy's own code brings
    assert new - sys.stdlib_module_names <= {"tinyreg", "hypothesis", "numpy"}


# ---- README, CONTRIBUTING and docs

PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
}
README = PAGES["README.md"]


def blocks(language, pages=PAGES):
    """The code blocks of the pages in a language: those of one page after the other, with the name of the page."""
    return [(name, block) for name, text in pages.items() for block in re.findall(rf"```{language}\n(.*?)```", text, re.S)]


def test_the_readme_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 150


def test_the_first_block_of_the_readme_holds_the_two_commands_and_ci_runs_the_second():
    first = re.search(r"```\w*\n(.*?)```", README, flags=re.DOTALL).group(1).strip().splitlines()
    assert len(first) == 2
    assert first[0].endswith("-m demos")
    assert first[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


RUN = {page: text for page, text in PAGES.items() if page != "CONTRIBUTING.md"}  # whose steps tests/test_adding.py follows
BATTERIES = [(page, block) for page, block in blocks("python", RUN) if "battery" in block]
PROGRAMS = [(page, block) for page, block in blocks("python", RUN) if "battery" not in block]


@pytest.mark.parametrize(("page", "block"), PROGRAMS)
def test_python_on_a_page_runs_and_prints_what_it_says(page, block):
    if not is_program(block):
        pytest.skip("PyTorch is not installed")
    assert printed(block, page) == promised(block)


(CUBE,) = [block for page, block in PROGRAMS if page == "README.md" and "def cube" in block]


def in_pytest(tmp_path, op, tests):
    """What pytest prints of tests of an op of one's own, in a folder of their own."""
    (tmp_path / "my_ops.py").write_text(op)
    (tmp_path / "test_my_ops.py").write_text(tests)
    return pytest_run(tmp_path, "test_my_ops.py")[1]


@pytest.mark.parametrize(("page", "tests"), BATTERIES)
def test_a_battery_on_a_page_passes(page, tests, tmp_path):
    assert re.search(r"=== \d\d passed, 1 skipped in ", in_pytest(tmp_path, CUBE, tests))


def test_the_failure_in_the_readme_is_what_is_printed(tmp_path):
    tests = next(tests for page, tests in BATTERIES if page == "README.md")
    printed = in_pytest(tmp_path, CUBE.replace("3 * g * x * x", "2 * g * x * x"), tests)
    (shown,) = re.findall(r"```text\n(.*?)```", README, re.S)
    lines = {re.sub(r"^E +(\S+Failure: )?", "", line).strip() for line in printed.splitlines()}
    estimates = re.compile(r" \+- \S+   \(tolerance \S+\)")  # which are not the same to the last digit everywhere
    assert {estimates.sub("", line.strip()) for line in shown.splitlines()} <= {estimates.sub("", line) for line in lines}


@pytest.mark.parametrize(("page", "session"), blocks("pycon"))
def test_a_session_on_a_page_runs(page, session):
    test = doctest.DocTestParser().get_doctest(session, {}, page, page, 0)
    report = io.StringIO()
    with contextlib.redirect_stdout(report):
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0, report.getvalue()


def anchors(text):
    """The headings of a page, as a link names them."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page):
    for target, _, anchor in re.findall(r"\]\(([^)#:]*)(#([^)]+))?\)", PAGES[page]):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), f"{target}#{anchor}"
