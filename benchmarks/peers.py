"""The same chains of small ops in tinyreg, by hand in NumPy, and in other libraries, each imported only when asked for.

A chain starts at x and runs `ops` ops on arrays of four float32 elements. A peer is a function that returns
`run(chain, ops)`: forward and backward once, giving the last value, then the gradients of the chain's leaves.

    constant   y * c       c: an array without a gradient
    leaf       y * w       w: a leaf, used by every op
    scalar     y * 1.0001
    mixed      y * w, y + b, tanh(y), in turn
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Run = Callable[[str, int], list[Any]]

LEAVES = {"constant": "x", "leaf": "xw", "scalar": "x", "mixed": "xwb"}
SCALAR = 1.0001
START = {
    "x": np.array([0.5, -1.0, 1.5, 2.0], dtype=np.float32),
    "w": np.array([1.0002, 0.9998, 1.0001, 0.9999], dtype=np.float32),
    "b": np.array([0.001, -0.002, 0.003, 0.004], dtype=np.float32),
}
CONSTANT = np.array([1.0001, 0.9999, 1.0002, 0.9998], dtype=np.float32)


def forward(chain: str, ops: int, leaves: Iterable[Any], c: Any, tanh: Callable[[Any], Any]) -> Any:
    """The chain, for every peer that overloads Python's operators."""
    y, w, b = leaves
    if chain == "mixed":
        for i in range(ops):
            y = y * w if i % 3 == 0 else y + b if i % 3 == 1 else tanh(y)
        return y
    factor = {"constant": c, "leaf": w, "scalar": SCALAR}[chain]
    for _ in range(ops):
        y = y * factor
    return y


def by_hand() -> Run:
    """Bare NumPy calls: the arithmetic of forward and backward, with no tape but a list of values."""

    def run(chain: str, ops: int) -> list[Any]:
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

    return run


def _back_by_hand(chain: str, ys: list[Any], w: Any) -> list[Any]:
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


def tinyreg() -> Run:
    """tinyreg, from this repository."""
    import tinyreg as tr

    leaves = {name: tr.tensor(array, requires_grad=True) for name, array in START.items()}
    return _with_backward(leaves, tr.tensor(CONSTANT), tr.tanh, lambda t: t.numpy())


def pytorch() -> Run:
    """PyTorch eager, on the CPU, with one thread."""
    import torch

    torch.set_num_threads(1)
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in START.items()}
    return _with_backward(leaves, torch.tensor(CONSTANT), torch.tanh, lambda t: t.detach().numpy())


def mygrad() -> Run:
    """MyGrad."""
    import mygrad

    leaves = {name: mygrad.tensor(array) for name, array in START.items()}
    return _with_backward(leaves, mygrad.tensor(CONSTANT, constant=True), mygrad.tanh, np.asarray)


def _with_backward(leaves: dict[str, Any], c: Any, tanh: Callable[[Any], Any], plain: Callable[[Any], Any]) -> Run:
    def run(chain: str, ops: int) -> list[Any]:
        for leaf in leaves.values():
            if leaf.grad is not None:
                _forget(leaf)
        y = forward(chain, ops, leaves.values(), c, tanh)
        y.sum().backward()
        return [plain(y), *(plain(leaves[name].grad) for name in LEAVES[chain])]

    return run


def _forget(leaf: Any) -> None:
    if hasattr(leaf, "null_grad"):
        leaf.null_grad()
    else:
        leaf.grad = None


def autograd() -> Run:
    """HIPS autograd."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    def run(chain: str, ops: int) -> list[Any]:
        values: list[Any] = []

        def loss(*leaves: Any) -> Any:
            y = forward(chain, ops, leaves, CONSTANT, anp.tanh)
            values.append(y._value)
            return anp.sum(y)

        _, gradients = value_and_grad(loss, argnum=tuple(range(len(LEAVES[chain]))))(*START.values())
        return [*values, *gradients]

    return run


PEERS: dict[str, tuple[str, Callable[[], Run]]] = {
    "numpy by hand": ("numpy", by_hand),
    "tinyreg": ("tinyreg", tinyreg),
    "PyTorch eager": ("torch", pytorch),
    "HIPS autograd": ("autograd", autograd),
    "MyGrad": ("mygrad", mygrad),
}
"""What each peer is called, the distribution that it comes from, and how to get it."""


def version(distribution: str) -> str:
    """The version of an installed distribution, or of tinyreg where it is used from the repository."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return str(importlib.import_module(distribution).__version__)
