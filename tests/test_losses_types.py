"""What a type checker knows of losses, regularizers, metrics and transforms in the code of their users."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
STUBS = ("2.4", "2.5")  # the NumPy releases whose stubs the code was checked against: they change from one to the next

USER = """
from typing import assert_type
import tinyreg as tr
x, labels = tr.ones((2, 3)), tr.tensor([0, 1])
assert_type(tr.losses.mse(x, x), tr.Tensor)
assert_type(tr.losses.huber(x, x, delta=2.0, reduction="none"), tr.Tensor)
assert_type(tr.losses.cross_entropy(x, labels, label_smoothing=0.1, weight=tr.ones(3)), tr.Tensor)
assert_type(tr.losses.kl_divergence(x, x, axis=1), tr.Tensor)
assert_type(tr.regularizers.l2([x, x], 0.1), tr.Tensor)
assert_type(tr.regularizers.group_lasso(x, 0.1, axis=1), tr.Tensor)
assert_type(tr.metrics.accuracy(x, labels), float)
def f(a: tr.Tensor, scale: float = 1.0) -> tr.Tensor:
    return (a * scale).sum()
assert_type(tr.grad(f)(x, scale=2.0), tr.Tensor)
assert_type(tr.grad(lambda x: x * x)(2.0), tr.Tensor)
assert_type(tr.grad(f, (0, 1))(x), tuple[tr.Tensor, ...])
assert_type(tr.value_and_grad(f)(x), tuple[tr.Tensor, tr.Tensor])
assert_type(tr.jvp(f, x, x), tuple[tr.Tensor, tr.Tensor])
assert_type(tr.vjp(f, x)[0], tr.Tensor)
assert_type(tr.hvp(f, x, x), tr.Tensor)
assert_type(tr.hvp(f, (x,), (x,)), tuple[tr.Tensor, ...])
assert_type(tr.hessian(f)(x), tr.Tensor)
"""
WRONG = """
tr.losses.mse(x, x, reducton="mean")
tr.losses.mse(x, x, reduction="average")
tr.losses.huber(x, x, delta="1")
tr.losses.kl_divergence(x, x, dim=1)
tr.regularizers.l2(x, strengh=0.1)
tr.metrics.accuracy(x)
tr.grad(f)(x, scael=2.0)
tr.grad(f, "x")
"""


@pytest.mark.skipif(not np.__version__.startswith(STUBS), reason=f"types are checked with NumPy {' or '.join(STUBS)}")
def test_a_type_checker_knows_what_they_give_and_refuses_misspelt_keywords(tmp_path):
    wrong = [f"{line}  # type: ignore" for line in WRONG.split("\n") if line]
    (tmp_path / "user.py").write_text(USER + "\n".join(wrong) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "user.py")]  # which tells of an ignore without need
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert found.returncode == 0, found.stdout + found.stderr
