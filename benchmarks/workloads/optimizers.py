"""Steps of optimizers, and clipping, on few and on many small parameters whose gradients are there."""

from __future__ import annotations

from .base import Library, Program, Settings, Workload, normal

COUNTS = (1, 50, 1000)
KINDS = ("SGD", "Adam", "clipping")


def _cases(counts: tuple[int, ...]) -> dict[str, Settings]:
    return {f"{kind}, {n} of them": {"kind": kind, "number": n, "shape": [16, 16]} for kind in KINDS for n in counts}


def build(library: Library, settings: Settings) -> Program:
    """A step."""
    number, shape = settings["number"], settings["shape"]
    values, gradients = ([normal(*shape, seed=seed + i) for i in range(number)] for seed in (0, number))
    return library.optimize(settings["kind"], values, gradients)


OPTIMIZERS = Workload(
    "optimizers",
    "a step of SGD with momentum or of Adam, or one clipping by global norm, on tensors of 16 by 16",
    "us a step",
    lambda _: 1e6,
    _cases(COUNTS),
    _cases((1, 3)),
    build,
    without={"PyTorch compiled": "to compile a step for 1,000 tensors takes it minutes"},
)
