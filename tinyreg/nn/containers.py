"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, overload

from ..arguments import integer
from ..core.backend import Array
from ..core.tensor import Tensor
from .fusion import steps
from .module import Module

__all__ = ["Sequential"]

S = TypeVar("S", bound="Sequential")


class Sequential(Module):
    """The layers one after the other, each applied to what the one before gave; named 0, 1, 2, ...

    It is a list of its layers too: `model[:-1]` is a Sequential of the same layers but for the last, `model[-1] = head`
    replaces one; `append`, `extend` and `insert` return the model, as in PyTorch, `pop` what it takes out. An optimizer
    that was made before knows nothing of new layers.

    Some neighbours run as one, and are one entry of the tape: a BatchNorm that trains with a ReLU and a Dropout that follow
    it. The results are the same. Inside `tr.explain()` each layer has its own entry.

    Raises `TypeError` for something that is no layer, and `IndexError` for the place of a layer that is not there.

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
    >>> model[-1] = tr.nn.Linear(3, 5)
    >>> model[1:]
    Sequential(
      (0): ReLU()
      (1): Linear(3, 5)
    )
    """

    unnamed = "layers"
    layers: tuple[Module, ...] = ()

    def __init__(self, *layers: Module) -> None:
        self._hold(layers)

    def _hold(self, layers: Iterable[Any]) -> None:
        """Make these the layers, once all of them are known to be some."""
        held = tuple(layers)
        for layer in held:
            if not isinstance(layer, Module):
                raise TypeError(
                    f"{type(self).__name__}: got {layer!r:.80}, expected layers one by one: Sequential(*layers)"
                )
        self.layers = held

    def forward(self, x: Tensor | Array) -> Tensor:
        """Give the last layer's result."""
        for step in steps(self.layers):
            x = step(x)
        return x

    # ---- as a list

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    @overload
    def __getitem__(self, i: int) -> Module: ...
    @overload
    def __getitem__(self, i: slice) -> Sequential: ...
    def __getitem__(self, i: int | slice) -> Module:
        if not isinstance(i, slice):
            place: int = self._place(i)
            return self.layers[place]
        part = Sequential(*self.layers[i])
        part.training = self.training
        return part

    def __setitem__(self, i: Any, layer: Any) -> None:
        layers = list(self.layers)
        layers[self._place(i)] = layer
        self._hold(layers)

    def __delitem__(self, i: int | slice) -> None:
        layers = list(self.layers)
        del layers[self._place(i)]
        self._hold(layers)

    def insert(self: S, i: int, layer: Module) -> S:
        """Put a layer in front of the one at `i`."""
        layers = list(self.layers)
        layers.insert(i, layer)
        self._hold(layers)
        return self

    def append(self: S, layer: Module) -> S:
        """Put a layer at the end."""
        return self.extend([layer])

    def extend(self: S, layers: Iterable[Module]) -> S:
        """Put layers at the end."""
        self._hold([*self.layers, *layers])
        return self

    def pop(self, i: int = -1) -> Module:
        """Take a layer out."""
        layer = self[i]
        del self[i]
        return layer

    def _place(self, i: Any) -> Any:
        """Check that a layer stands at a place; a slice may go beyond."""
        if isinstance(i, slice):
            return i
        name, n = type(self).__name__, len(self.layers)
        i = integer(name, "the index", i)
        if not -n <= i < n:
            layers = "1 layer" if n == 1 else f"{n} layers"
            expected = f"one from {-n} to {n - 1} for its {layers}" if n else "none, as it has no layers"
            raise IndexError(f"{name}: got the index {i}, expected {expected}")
        return i
