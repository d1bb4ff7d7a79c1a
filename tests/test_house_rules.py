"""Lint, format and types: what pre-commit checks, checked here too."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
STUBS = ("2.4", "2.5")  # the NumPy releases whose stubs the code was checked against: they change from one to the next


def passes(*command):
    found = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_whatever_starts_a_process_has_a_timeout():
    starting = {"run", "call", "check_call", "check_output", "Popen"}
    endless = []
    for path in (path for folder in ("tinyreg", "demos", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and re.fullmatch(r"subprocess\.(\w+)", name := ast.unparse(node.func)):
                limited = "timeout" in {keyword.arg for keyword in node.keywords} or path.name == "processes.py"
                if name.partition(".")[2] in starting and not limited:
                    endless.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert endless == []


def test_lint():
    passes("ruff", "check", ".")


def test_format():
    passes("ruff", "format", "--check", ".")


typed = pytest.mark.skipif(
    not np.__version__.startswith(STUBS), reason=f"types are checked with NumPy {' or '.join(STUBS)}"
)


@typed
def test_types():
    passes("mypy")


@typed
def test_a_type_checker_sees_a_tensor_in_what_bound_ops_give(tmp_path):
    given = ("x.T", "x.mT", "x.sum()", "x @ x.T", "x + 1", "-x", "x[0]")
    lines = ["from typing import assert_type", "import tinyreg as tr", "x = tr.ones((2, 3))"]
    lines += [f"assert_type({expression}, tr.Tensor)" for expression in given]
    (tmp_path / "user.py").write_text("\n".join(lines))
    passes("mypy", str(tmp_path / "user.py"))
