"""tinyreg and PyTorch, written as their users write: with layers, their losses and their optimizers."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from ..workloads.base import (
    BETAS,
    EPS,
    L2,
    LR,
    MAX_NORM,
    MOMENTUM,
    SMOOTHING,
    Array,
    Lacks,
    Network,
    Part,
    Program,
    Shrinking,
)

Function = Callable[..., Any]
SETTINGS: Mapping[str, Any] = {"SGD": {"momentum": MOMENTUM}, "Adam": {"betas": BETAS}}


def model_of(nn: Any, network: Network, checkpoint: Callable[[Function], Function]) -> tuple[Any, Function]:
    """The layers as one module, and how to get logits from it, of which each token has a row."""
    model = nn.Sequential(*network.layers(nn))

    def checkpointed(x: Any) -> Any:
        *blocks, last = model
        for block in blocks:
            x = checkpoint(block)(x)
        return last(x)

    run = checkpointed if network.checkpoint else model
    if network.labels.size == len(network.x):
        return model, run
    return model, lambda x: run(x).reshape((-1, network.classes))


def nothing(*_: Any) -> None:
    """In place of a program."""


class TinyReg:
    """tinyreg, from this repository; with keep_memory the process keeps what is freed.

    captured: the executor of steps. definitions: without fast forms.
    """

    def __init__(self, *, keep_memory: bool = False, captured: str = "", definitions: bool = False) -> None:
        import tinyreg as tr
        from tinyreg.core.fused import FUSED

        if keep_memory and not tr.keep_freed_memory():
            raise ModuleNotFoundError("keep_freed_memory needs glibc", name="tinyreg")
        if captured == "native":
            importlib.import_module("llvmlite")
        for op in FUSED.values() if definitions else ():
            op.rules.clear()  # without which an op is its definition
        self.tr = tr
        self.captured: str = captured
        self.capture: Callable[..., Any] = lambda step, **_: step
        if captured:
            self.capture = functools.partial(tr.capture, executor=captured)
        self.functions: Mapping[str, Callable[..., Any]] = {
            "tanh": tr.tanh,
            **{name: getattr(tr.normalization, name) for name in ("batch_norm", "layer_norm", "instance_norm")},
            "group_norm": lambda x, w, b: tr.normalization.group_norm(x, 4, w, b),
            "rms_norm": lambda x, w: tr.normalization.rms_norm(x, w, eps=EPS),
            **{name: getattr(tr.losses, name) for name in ("mse", "mae", "huber", "binary_cross_entropy", "hinge")},
            "kl_divergence": tr.losses.kl_divergence,
            "cross_entropy": lambda z, labels: tr.losses.cross_entropy(z, labels, label_smoothing=SMOOTHING),
            "dropout": lambda x, p: tr.dropout.dropout(x, p, training=True),
        }

    def train(self, network: Network) -> Program:
        """With `nn`, `losses` and `optim`."""
        tr = self.tr
        model, run = model_of(tr.nn, network, tr.checkpoint)
        model.load_state_dict({**model.state_dict(), **network.parameters})
        x, labels = tr.tensor(network.x), tr.tensor(network.labels)
        optimizer = tr.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, l2=L2)

        def step() -> Any:
            optimizer.zero_grad()
            loss = tr.losses.cross_entropy(run(x), labels, label_smoothing=SMOOTHING)
            loss.backward()
            tr.optim.clip_grad_norm(model.parameters(), MAX_NORM)
            optimizer.step()
            return loss.detach()

        return Program(self.capture(step), lambda loss: {"loss": loss, **dict(model.named_parameters())})

    def pull_back(self, part: Part) -> Program:
        """With `backward`."""
        tr, function = self.tr, part.function(self)
        leaves = {name: tr.tensor(array, requires_grad=True) for name, array in part.inputs.items()}
        constants = [tr.tensor(array) if hasattr(array, "dtype") else array for array in part.constants]
        incoming = None if part.incoming is None else tr.tensor(part.incoming)

        wanted = {**leaves, **dict(getattr(function, "named_parameters", dict)())}

        def step() -> Any:
            for leaf in wanted.values():
                leaf.grad = None
            y = function(*leaves.values(), *constants)
            if wanted:
                y.backward(incoming)
            return y.detach()

        step = self.capture(step, keep_grads=True)
        return Program(step, lambda y: {"value": y, **{name: leaf.grad for name, leaf in wanted.items()}})

    def optimize(self, kind: str, values: Sequence[Array], gradients: Sequence[Array]) -> Program:
        """With `optim`."""
        tr, shrinking = self.tr, Shrinking(gradients)
        leaves = [tr.tensor(value, requires_grad=True) for value in values]
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = tr.tensor(gradient)
        if kind == "clipping":
            if self.captured:
                raise Lacks("a captured step clips to a number that stays; here it becomes smaller at each step")
            clip = tr.optim.clip_grad_norm
            return Program(lambda: clip(leaves, shrinking.next()), lambda _: _numbered(leaves, "grad"))
        optimizer = getattr(tr.optim, kind)(leaves, lr=LR, **SETTINGS[kind])
        step = self.capture(optimizer.step, keep_grads=True)
        return Program(step, lambda _: _numbered(leaves))

    def arena(self, program: Program) -> int:
        """The bytes of a captured step's blocks, and of what goes out."""
        step: Any = program.step
        made = step.program
        out: int = sum(made.storages[storage].memory.nbytes for storage in made.out)
        return out + sum(int(block.size) for block in made.blocks)

    def idle(self, program: Program) -> Program:
        """A captured step whose program is left out: what remains of a call is the way there."""
        step: Any = program.step
        while not step.replays:
            step()
        (variant,) = step._variants
        executor, turn_of = variant.executor, variant.executor.turn

        def turn(where: Any) -> Any:
            return SimpleNamespace(run=nothing) if turn_of(where) else None

        executor.turn = turn
        return Program(step, lambda _: {"replays": self.tr.tensor([float(step.replays)])})

    def numpy(self, value: Any) -> Array:
        """By its own method."""
        return value.numpy()

    def wait(self, result: Any) -> None:
        """On the CPU nothing is under way."""


class PyTorch:
    """PyTorch on the CPU; `compiled`: with model and loss, or the part, through `torch.compile`."""

    def __init__(self, *, compiled: bool = False) -> None:
        import torch
        import torch.nn.functional as f
        from torch.utils.checkpoint import checkpoint

        self.torch, self.f = torch, f
        self.compile: Callable[[Any], Any] = torch.compile if compiled else lambda function: function
        self.checkpoint = lambda block: lambda x: checkpoint(block, x, use_reentrant=False)
        self.functions: Mapping[str, Callable[..., Any]] = {
            "tanh": torch.tanh,
            "batch_norm": lambda x, w, b: f.batch_norm(x, None, None, w, b, training=True),
            "layer_norm": lambda x, w, b: f.layer_norm(x, w.shape, w, b),
            "group_norm": lambda x, w, b: f.group_norm(x, 4, w, b),
            "instance_norm": lambda x, w, b: f.instance_norm(x, weight=w, bias=b),
            "rms_norm": lambda x, w: f.rms_norm(x, w.shape, w, EPS),
            "mse": f.mse_loss,
            "mae": f.l1_loss,
            "huber": f.huber_loss,
            "cross_entropy": lambda z, labels: f.cross_entropy(z, labels, label_smoothing=SMOOTHING),
            "binary_cross_entropy": f.binary_cross_entropy_with_logits,
            "kl_divergence": lambda q, p: f.kl_div(q, p, reduction="batchmean"),
            "hinge": lambda s, t: f.relu(1 - t * s).mean(),
            "dropout": lambda x, p: f.dropout(x, p, training=True),
        }

    def train(self, network: Network) -> Program:
        """With `nn`, `nn.functional` and `optim`; biases and norms are a group without L2."""
        torch = self.torch
        model, run = model_of(torch.nn, network, self.checkpoint)
        model.load_state_dict({name: torch.tensor(v) for name, v in network.parameters.items()}, strict=False)
        x, labels = torch.tensor(network.x), torch.tensor(network.labels)
        others = [w for w in model.parameters() if w.ndim < 2]
        groups = [{"params": [w for w in model.parameters() if w.ndim > 1], "weight_decay": L2}, {"params": others}]
        optimizer = torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM)

        @self.compile
        def objective(x: Any, labels: Any) -> Any:
            return self.f.cross_entropy(run(x), labels, label_smoothing=SMOOTHING)

        def step() -> Any:
            optimizer.zero_grad()
            loss = objective(x, labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            optimizer.step()
            return loss.detach()

        return Program(step, lambda loss: {"loss": loss, **dict(model.named_parameters())})

    def pull_back(self, part: Part) -> Program:
        """With `backward`."""
        torch, function = self.torch, self.compile(part.function(self))
        leaves = {name: torch.tensor(array, requires_grad=True) for name, array in part.inputs.items()}
        constants = [torch.tensor(array) if hasattr(array, "dtype") else array for array in part.constants]
        incoming = None if part.incoming is None else torch.tensor(part.incoming)

        wanted = {**leaves, **dict(getattr(function, "named_parameters", dict)())}

        def step() -> Any:
            for leaf in wanted.values():
                leaf.grad = None
            y = function(*leaves.values(), *constants)
            if wanted:
                y.backward(incoming)
            return y.detach()

        return Program(step, lambda y: {"value": y, **{name: leaf.grad for name, leaf in wanted.items()}})

    def optimize(self, kind: str, values: Sequence[Array], gradients: Sequence[Array]) -> Program:
        """With `optim`, as it is by default; compiled where asked for."""
        torch, shrinking = self.torch, Shrinking(gradients)
        leaves = [torch.tensor(value, requires_grad=True) for value in values]
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = torch.tensor(gradient)
        if kind == "clipping":
            clip = torch.nn.utils.clip_grad_norm_
            return Program(lambda: clip(leaves, shrinking.next()), lambda _: _numbered(leaves, "grad"))
        optimizer = getattr(torch.optim, kind)(leaves, lr=LR, **SETTINGS[kind])
        return Program(self.compile(optimizer.step), lambda _: _numbered(leaves))

    def numpy(self, value: Any) -> Array:
        """Off the tape."""
        return value.detach().numpy()

    def wait(self, result: Any) -> None:
        """On the CPU nothing is under way."""


def _numbered(leaves: Sequence[Any], attribute: str = "") -> dict[str, Any]:
    return {str(i): getattr(leaf, attribute) if attribute else leaf for i, leaf in enumerate(leaves)}
