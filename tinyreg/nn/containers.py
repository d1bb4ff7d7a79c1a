"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.tape import explainer
from .module import Module


class Sequential(Module):
    """The layers one after the other, each applied to what the one before gave; named 0, 1, 2, ...

    A BatchNorm that trains does a ReLU and a Dropout that follow it in its own passes, as one entry of the tape; inside
    `tr.explain()` each layer has its own.

    Raises `TypeError` for something that cannot be called.

    >>> import tinyreg as tr
    >>> model = tr.nn.Sequential(tr.nn.Linear(4, 3), tr.nn.ReLU(), tr.nn.Linear(3, 2))
    >>> model
    Sequential(
      (0): Linear(4, 3)
      (1): ReLU()
      (2): Linear(3, 2)
    )
    >>> list(model.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    unnamed = "layers"
    layers: tuple[Module, ...] = ()

    def __init__(self, *layers: Module) -> None:
        for layer in layers:
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential: got {layer!r:.80}, expected layers one by one: Sequential(*layers)")
        self.layers = layers

    def forward(self, x: Any) -> Any:
        """The last layer's result."""
        layers, i, explained = self.layers, 0, explainer.get()
        while i < len(layers):
            end = i + 1 + (0 if explained else layers[i].joins(layers[i + 1 :]))
            x = layers[i](x, *layers[i + 1 : end])
            i = end
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, i: int) -> Module:
        return self.layers[i]

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)
