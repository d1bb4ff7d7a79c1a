"""A chain of small ops: what an op costs beside its arithmetic.

A chain starts at x and runs `ops` ops on arrays of four float32 elements:

    constant   y * c       c: an array without a gradient
    leaf       y * w       w: a leaf, used by every op
    scalar     y * 1.0001
    mixed      y * w, y + b, tanh(y), in turn
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .base import Array, Library, Part, Program, Settings, Workload

LEAVES = {"constant": "x", "leaf": "xw", "scalar": "x", "mixed": "xwb"}
SCALAR = 1.0001
START = {
    "x": np.array([0.5, -1.0, 1.5, 2.0], dtype=np.float32),
    "w": np.array([1.0002, 0.9998, 1.0001, 0.9999], dtype=np.float32),
    "b": np.array([0.001, -0.002, 0.003, 0.004], dtype=np.float32),
}
CONSTANT = np.array([1.0001, 0.9999, 1.0002, 0.9998], dtype=np.float32)
CASES = {chain: {"chain": chain, "ops": 2000} for chain in LEAVES}
SMALL = {chain: {"chain": chain, "ops": 7} for chain in LEAVES}


def part(chain: str, ops: int) -> Part:
    """The chain, for every library that overloads Python's operators, and by hand."""

    def function(library: Any) -> Callable[..., Any]:
        tanh = library.functions["tanh"]

        def run(*arrays: Any) -> Any:
            y, *others = arrays
            if chain == "mixed":
                w, b = others
                for i in range(ops):
                    y = y * w if i % 3 == 0 else y + b if i % 3 == 1 else tanh(y)
                return y
            factor = SCALAR if chain == "scalar" else others[0]
            for _ in range(ops):
                y = y * factor
            return y

        return run

    inputs = {name: START[name] for name in LEAVES[chain]}
    constants = [CONSTANT] if chain == "constant" else []
    by_hand = Program(lambda: _by_hand(chain, ops), lambda done: dict(zip(("value", *inputs), done, strict=True)))
    return Part(function, lambda _: by_hand, inputs, constants, np.ones(4, dtype=np.float32))


def _by_hand(chain: str, ops: int) -> list[Array]:
    """Bare NumPy calls: the arithmetic of forward and backward, with no tape but a list of values."""
    x, w, b = START.values()
    ys, y = [], x
    if chain == "mixed":
        for i in range(ops):
            ys.append(y)
            y = np.multiply(y, w) if i % 3 == 0 else np.add(y, b) if i % 3 == 1 else np.tanh(y)
    else:
        factor: Any = {"constant": CONSTANT, "leaf": w, "scalar": SCALAR}[chain]
        for _ in range(ops):
            ys.append(y)
            y = np.multiply(y, factor)
    return [y, *_back_by_hand(chain, [*ys, y], w)]


def _back_by_hand(chain: str, ys: list[Array], w: Array) -> list[Array]:
    g, gw, gb = np.ones(4, dtype=np.float32), np.zeros(4, dtype=np.float32), np.zeros(4, dtype=np.float32)
    if chain == "mixed":
        for i in reversed(range(len(ys) - 1)):
            if i % 3 == 0:
                gw = np.add(gw, np.multiply(g, ys[i]))
                g = np.multiply(g, w)
            elif i % 3 == 1:
                gb = np.add(gb, g)
            else:
                g = np.multiply(g, np.subtract(1, np.multiply(ys[i + 1], ys[i + 1])))
        return [g, gw, gb]
    if chain == "leaf":
        for y in reversed(ys[:-1]):
            gw = np.add(gw, np.multiply(g, y))
            g = np.multiply(g, w)
        return [g, gw]
    factor: Any = CONSTANT if chain == "constant" else SCALAR
    for _ in ys[:-1]:
        g = np.multiply(g, factor)
    return [g]


def build(library: Library, settings: Settings) -> Program:
    """Forward and backward."""
    return library.pull_back(part(**settings))


WHOLE = "it makes one kernel of the whole chain, so there is no op to time"
CHAIN = Workload(
    "chain",
    "an op of a chain of 2,000 on four float32 elements, forward and backward",
    "us an op",
    lambda settings: 1e6 / float(settings["ops"]),
    CASES,
    SMALL,
    build,
    without={"PyTorch compiled": WHOLE, "JAX jit": WHOLE, "tinygrad": WHOLE},
)
