"""Fully connected networks: blocks of Linear, BatchNorm, ReLU and Dropout, then a Linear."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..libraries import hand
from .base import Library, Network, Program, Settings, Workload, classes, milliseconds, normal, started

CASES = {
    "64-128-128-10, batch 64": {"sizes": [64, 128, 128, 10], "batch": 64, "p": 0.2},
    "784-512-512-10, batch 128": {"sizes": [784, 512, 512, 10], "batch": 128, "p": 0.2},
    "784-2048-2048-10, batch 512": {"sizes": [784, 2048, 2048, 10], "batch": 512, "p": 0.2},
}
SMALL = {"6-8-7-4, batch 5": {"sizes": [6, 8, 7, 4], "batch": 5, "p": 0.2}}
DEPTHS = {f"depth {n}": {"sizes": [256] * (n + 1) + [10], "batch": 128, "p": 0.2} for n in (1, 2, 4, 8, 16, 32)}
WIDTHS = {f"width {n}": {"sizes": [n, n, n, 10], "batch": 128, "p": 0.2} for n in (64, 128, 256, 512, 1024, 2048)}


def batch_norm(nn: Any, dimensions: int) -> Any:
    """The class for batch norm: one in tinyreg, one for each number of dimensions in PyTorch."""
    return getattr(nn, "BatchNorm", None) or getattr(nn, f"BatchNorm{dimensions}d")


def network(sizes: Sequence[int], batch: int, p: float, checkpoint: bool = False) -> Network:
    """The network of these sizes, with the first as the width of its data and the last as the number of classes."""
    blocks, last = list(enumerate(pairwise(sizes[:-1]))), len(sizes) - 2
    shapes: dict[str, tuple[int, ...]] = {f"{last}.weight": (sizes[-1], sizes[-2]), f"{last}.bias": (sizes[-1],)}
    for i, (a, b) in blocks:
        shapes |= {f"{i}.0.weight": (b, a), f"{i}.0.bias": (b,), f"{i}.1.weight": (b,), f"{i}.1.bias": (b,)}

    def layers(nn: Any) -> list[Any]:
        norm = batch_norm(nn, 1)
        inner = [nn.Sequential(nn.Linear(a, b), norm(b), nn.ReLU(), nn.Dropout(p)) for _, (a, b) in blocks]
        return [*inner, nn.Linear(sizes[-2], sizes[-1])]

    def function(f: Any, w: Any, x: Any) -> Any:
        def block(x: Any, weight: Any, bias: Any, scale: Any, shift: Any) -> Any:
            return f.dropout(f.relu(f.batch_norm(f.linear(x, weight, bias), scale, shift)), p)

        run = f.checkpoint(block) if checkpoint else block
        for i, _ in blocks:
            x = run(x, w[f"{i}.0.weight"], w[f"{i}.0.bias"], w[f"{i}.1.weight"], w[f"{i}.1.bias"])
        return f.linear(x, w[f"{last}.weight"], w[f"{last}.bias"])

    def by_hand(store: hand.Store) -> list[Any]:
        inner: list[Any] = []
        for i, _ in blocks:
            inner += [hand.Linear(store, f"{i}.0.", batch, first=not i), hand.BatchNorm(store, f"{i}.1.", batch, p=p)]
        return [*inner, hand.Linear(store, f"{last}.", batch)]

    labels = classes((batch,), sizes[-1])
    return Network(started(shapes), normal(batch, sizes[0]), labels, sizes[-1], layers, function, by_hand, checkpoint)


def build(library: Library, settings: Settings) -> Program:
    """A training step."""
    return library.train(network(**settings))


NETWORKS = Workload(
    "networks",
    "one training step of Linear-BatchNorm-ReLU-Dropout blocks",
    "ms a step",
    milliseconds,
    CASES,
    SMALL,
    build,
)
GROWTH = Workload(
    "growth",
    "the same, as depth (at width 256) and width (at depth 2) grow, batch 128",
    "ms a step",
    milliseconds,
    {**DEPTHS, **WIDTHS},
    SMALL,
    build,
)
