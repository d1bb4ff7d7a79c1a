"""What a type checker knows of tinyreg in the code of its users."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
STUBS = ("2.4", "2.5")  # the NumPy releases whose stubs the code was checked against: they change from one to the next


@pytest.mark.skipif(not np.__version__.startswith(STUBS), reason=f"types are checked with NumPy {' or '.join(STUBS)}")
def test_a_type_checker_sees_a_tensor_in_what_bound_ops_give(tmp_path):
    given = ("x.T", "x.mT", "x.sum()", "x @ x.T", "x + 1", "-x", "x[0]")
    lines = ["from typing import assert_type", "import tinyreg as tr", "x = tr.ones((2, 3))"]
    lines += [f"assert_type({expression}, tr.Tensor)" for expression in given]
    (tmp_path / "user.py").write_text("\n".join(lines))
    command = [sys.executable, "-m", "mypy", str(tmp_path / "user.py")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert found.returncode == 0, found.stdout + found.stderr
