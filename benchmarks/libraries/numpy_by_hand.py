"""NumPy without a tape: what the workloads write out by hand, as a library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..workloads.base import L2, LR, MAX_NORM, Array, Lacks, Network, Part, Program, Shrinking
from .hand import Adam, CrossEntropy, Store


class NumPy:
    """Forward and backward by hand, with buffers that are allocated once."""

    def train(self, network: Network) -> Program:
        """Forward and backward through the network's layers."""
        if network.checkpoint:
            raise Lacks("checkpoint is not written out by hand")
        store = Store(network.parameters)
        layers, loss = network.by_hand(store), CrossEntropy(network.labels.size, network.classes)

        def step() -> Any:
            h = network.x
            for layer in layers:
                h = layer.forward(h)
            value = loss.forward(h, network.labels)
            g = loss.backward()
            for layer in reversed(layers):
                g = layer.backward(g)
            store.clip(MAX_NORM)
            store.sgd(LR, L2)
            return value

        return Program(step, lambda value: {"loss": value, **store.values})

    def pull_back(self, part: Part) -> Program:
        """The part's own lines."""
        return part.by_hand(part)

    def optimize(self, kind: str, values: Sequence[Array], gradients: Sequence[Array]) -> Program:
        """On flat arrays."""
        store = Store({str(i): value for i, value in enumerate(values)})
        for given, own in zip(gradients, store.gradients.values(), strict=True):
            own[...] = given
        shrinking = Shrinking(gradients)
        steps = {
            "SGD": lambda: store.sgd(LR, 0.0),
            "Adam": Adam(store).step,
            "clipping": lambda: store.clip(shrinking.next()),
        }
        shown = store.gradients if kind == "clipping" else store.values
        return Program(steps[kind], lambda _: shown)

    def numpy(self, value: Any) -> Array:
        """Itself."""
        return np.asarray(value)

    def wait(self, result: Any) -> None:
        """Nothing is under way."""
