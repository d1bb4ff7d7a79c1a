"""What a workload is made of, and what a library has to offer to run it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

Array = Any
Settings = Mapping[str, Any]

LR, MOMENTUM, L2, MAX_NORM, SMOOTHING, EPS = 0.05, 0.9, 1e-3, 1.0, 0.1, 1e-5
BETAS, ADAM_EPS = (0.9, 0.999), 1e-8


class Lacks(Exception):  # noqa: N818 - it is no error that a library does not offer something
    """Raised by a library for what it does not offer; the message says what."""


class Program(NamedTuple):
    """One thing to do again and again in one library."""

    step: Callable[[], Any]
    values: Callable[[Any], Mapping[str, Any]]
    """What a step came to, from what it returned: arrays of the library, by name."""


@dataclass(frozen=True)
class Network:
    """A network, its data, and how it is written with layers, functions, and by hand. Parameters have PyTorch's names."""

    parameters: dict[str, Array]
    x: Array
    labels: Array
    classes: int
    layers: Callable[[Any], Sequence[Any]]
    """The layers, in order, from the `nn` of tinyreg or PyTorch."""
    function: Callable[[Any, Any, Any], Any]
    """The logits, from a `Functional`, the parameters and x."""
    by_hand: Callable[[Any], Sequence[Any]]
    """Layers with `forward` and `backward`, from a `hand.Store`."""
    checkpoint: bool = False
    """Whether the inside of every layer but the last is computed again in the backward."""


@dataclass(frozen=True)
class Part:
    """One function, with the arrays that it is differentiated in, others, and the incoming gradient."""

    function: Callable[[Any], Callable[..., Any]]
    """From a library, the function of all arrays."""
    by_hand: Callable[[Part], Program]
    inputs: Mapping[str, Array]
    constants: Sequence[Array]
    incoming: Array | None = None
    """None for a function whose value is a scalar."""


class Library(Protocol):
    """One peer, as a workload sees it."""

    def train(self, network: Network) -> Program:
        """A training step of a network: cross-entropy with smoothing, clipping by global norm, SGD with momentum and L2."""

    def pull_back(self, part: Part) -> Program:
        """A part, forward and backward."""

    def optimize(self, kind: str, values: Sequence[Array], gradients: Sequence[Array]) -> Program:
        """A step of "SGD" or "Adam", or one "clipping", with gradients that are there."""

    def numpy(self, value: Any) -> Array:
        """An array of the library as NumPy's."""

    def wait(self, result: Any) -> None:
        """Return when the step that gave this result is done."""


@dataclass(frozen=True)
class Workload:
    """Something to measure, in some cases."""

    name: str
    about: str
    unit: str
    scale: Callable[[Settings], float]
    """What a measured number is multiplied by to be in this unit."""
    cases: Mapping[str, Settings]
    small: Mapping[str, Settings]
    """The same, so small that it only shows that it runs."""
    build: Callable[[Library, Settings], Program]
    quantity: str = "seconds"
    """"seconds" of a step; "import": the seconds of an import; or what a fresh process tells: see `worker.FRESH`."""
    without: Mapping[str, str] | None = None
    """Peers that are left out, and why."""


class Shrinking:
    """Norms to clip to, each a little smaller than the one before, so that every clipping has something to do."""

    def __init__(self, gradients: Sequence[Array]) -> None:
        self.norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients))

    def next(self) -> float:
        """The next one."""
        self.norm *= 0.999
        return self.norm


def milliseconds(_: Settings) -> float:
    """From seconds."""
    return 1e3


def microseconds(_: Settings) -> float:
    """From seconds."""
    return 1e6


def decays(array: Array) -> bool:
    """Whether L2 concerns a parameter: weights, but not biases or the parameters of norms."""
    return bool(array.ndim > 1)


def started(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Array]:
    """Values for parameters: He's for weights; near 1 for the weights of norms and near 0 for biases, but not on them."""
    rng = np.random.default_rng(seed)
    values = {}
    for name, shape in shapes.items():
        drawn = rng.standard_normal(shape)
        if len(shape) > 1:
            drawn *= np.sqrt(2 / np.prod(shape[1:]))
        else:
            drawn = 0.1 * drawn + name.endswith("weight")
        values[name] = drawn.astype(np.float32)
    return values


def normal(*shape: int, seed: int = 1) -> Array:
    """Floats of float32."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def classes(shape: tuple[int, ...], number: int, seed: int = 2) -> Array:
    """Class indices."""
    return np.random.default_rng(seed).integers(0, number, shape)
