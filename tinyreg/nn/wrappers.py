"""Wrappers: a layer whose weight is computed anew from the one it holds, at every call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .. import dropout, normalization, ops
from ..core.tape import no_grad
from ..random import Generator, default_generator
from ..signature import described
from .module import Buffer, Module, Parameter


@contextlib.contextmanager
def substituted(module: Module, **values: Any) -> Iterator[None]:
    """Have a module find these values in place of its parameters in this context; the parameters stay what they were.

    >>> import tinyreg as tr
    >>> from tinyreg.nn.wrappers import substituted
    >>> layer = tr.nn.Linear(1, 1, bias=False)
    >>> with substituted(layer, weight=tr.tensor([[3.0]])):
    ...     layer(tr.tensor([2.0]))
    tensor([6.])
    """
    held = vars(module)
    before = {name: held[name] for name in values}
    held.update(values)
    try:
        yield
    finally:
        held.update(before)


class Reparametrization(Module):
    """A layer that is called with `value(weight)` in place of its weight; subclasses say what that is.

    layer: a Module; name: of its parameter. The layer keeps it under its own name, so that optimizers, `state_dict` and
    initial values find what they would find without the wrapper.

    Raises `TypeError` where the layer holds no parameter of that name.

    >>> import tinyreg as tr
    >>> from tinyreg.nn.wrappers import Reparametrization
    >>> class Positive(Reparametrization):
    ...     def value(self, weight):
    ...         return tr.exp(weight)
    >>> layer = Positive(tr.nn.Linear(1, 1, bias=False))
    >>> layer.weight.assign([[0.0]])
    Parameter([[0.]], requires_grad=True)
    >>> layer(tr.tensor([3.0])).item()
    3.0
    """

    def __init__(self, layer: Module, name: str = "weight") -> None:
        if not isinstance(layer, Module) or not isinstance(vars(layer).get(name), Parameter):
            raise TypeError(f"{type(self).__name__}: got {layer!r:.80}, expected a layer with a parameter {name!r}")
        self.layer, self.name = layer, name

    @property
    def weight(self) -> Parameter:
        """The parameter that the layer holds."""
        found: Parameter = vars(self.layer)[self.name]
        return found

    def value(self, weight: Any) -> Any:
        """What the layer is to use."""
        raise NotImplementedError(f"{type(self).__name__} has no value; write one")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer gives with the computed weight."""
        with substituted(self.layer, **{self.name: self.value(self.weight)}):
            return self.layer(*args, **kwargs)


class WeightNorm(Reparametrization):
    """A layer with g v / |v| in place of its weight. See `tr.normalization.weight_norm`.

    v is the layer's own parameter and g, "g" in `state_dict`, starts as its length, so that nothing changes at first. axis:
    that of the outputs. Optimizers that shrink weights shrink g alone: the length of v does not count.

    >>> import tinyreg as tr
    >>> layer = tr.nn.WeightNorm(tr.nn.Linear(3, 2))
    >>> [(name, p.shape) for name, p in layer.named_parameters()]
    [('layer.weight', (2, 3)), ('layer.bias', (2,)), ('g', (2, 1))]
    """

    def __init__(self, layer: Module, name: str = "weight", *, axis: int = 0) -> None:
        super().__init__(layer, name)
        self.axis, self.weight.decay = axis, False
        if not -self.weight.ndim <= axis < self.weight.ndim:
            raise ValueError(
                f"WeightNorm: got axis={axis} for {name} {described(self.weight)}, expected an axis that it has"
            )
        others = tuple(i for i in range(self.weight.ndim) if i != axis % self.weight.ndim)
        self.g = Parameter(ops.norm(self.weight.data, axis=others, keepdims=True))

    def value(self, weight: Any) -> Any:
        """g v / |v|."""
        return normalization.weight_norm(weight, self.g, axis=self.axis)


class SpectralNorm(Reparametrization):
    """A layer with weight / sigma in place of its weight, where sigma is its largest singular value.

    In training each call does `iterations` steps of the power method, from where the last call left the vectors u and v,
    which are buffers; out of training they are used as they are. What they give is at most sigma and lags behind a weight
    that changes, so the largest singular value of what takes its place is about 1, not below. exact: work sigma out by a
    singular value decomposition at every call instead; then it is 1. axis: that of the outputs. See
    `tr.normalization.spectral_norm`. As in PyTorch, 15 steps are done at first. rng: of the first u.

    Raises `ValueError` for fewer than one iteration and for a weight of fewer than two axes.

    >>> import tinyreg as tr
    >>> layer = tr.nn.SpectralNorm(tr.nn.Linear(3, 2, rng=tr.Generator(0)), exact=True)
    >>> round(tr.svdvals(layer.value(layer.weight))[0].item(), 4)
    1.0
    """

    def __init__(
        self,
        layer: Module,
        name: str = "weight",
        *,
        iterations: int = 1,
        exact: bool = False,
        axis: int = 0,
        rng: Generator | None = None,
    ) -> None:
        super().__init__(layer, name)
        self.iterations, self.exact, self.axis = iterations, exact, axis
        if iterations < 1:
            raise ValueError(f"SpectralNorm: got iterations={iterations}, expected at least 1")
        if self.weight.ndim < 2:
            raise ValueError(f"SpectralNorm: got {name} {described(self.weight)}, expected at least two axes")
        if not -self.weight.ndim <= axis < self.weight.ndim:
            raise ValueError(
                f"SpectralNorm: got axis={axis} for {name} {described(self.weight)}, expected an axis that it has"
            )
        if not exact:
            w = self.weight
            start = (rng or default_generator).normal(shape=w.shape[axis], dtype=w.dtype, backend=w.backend)
            u, v = normalization.power_iteration(w.data, start, iterations=15, axis=axis)
            self.u, self.v = Buffer(u), Buffer(v)

    def value(self, weight: Any) -> Any:
        """weight / sigma."""
        if self.exact:
            return normalization.spectral_norm(weight, axis=self.axis)
        if self.training:
            with no_grad():
                u, v = normalization.power_iteration(weight, self.u, iterations=self.iterations, axis=self.axis)
            self.u.assign(u)
            self.v.assign(v)
        return normalization.spectral_norm(weight, self.u, self.v, axis=self.axis)

    def extra_repr(self) -> str:
        """How sigma is found."""
        return "exact" if self.exact else f"iterations={self.iterations}"


class DropConnect(Reparametrization):
    """A layer with mask * weight / (1 - p) in place of its weight in training. See `tr.dropout.drop_connect`.

    p: the share of connections that is dropped, in [0, 1]. rng: the default generator if None. As with `Dropout`,
    `sampling` and `monte_carlo` have it drop out of training too.

    Raises `ValueError` for p out of range.

    >>> import tinyreg as tr
    >>> layer = tr.nn.DropConnect(tr.nn.Linear(2, 2), 0.5, rng=tr.Generator(2))
    >>> [(layer.value(layer.weight) == 0).sum().item() for _ in range(3)]
    [1, 1, 2]
    """

    sampling: bool = False

    def __init__(self, layer: Module, p: float = 0.5, name: str = "weight", *, rng: Generator | None = None) -> None:
        super().__init__(layer, name)
        if not 0 <= p <= 1:
            raise ValueError(f"DropConnect: got p={p}, expected a share from 0 to 1: how much is dropped")
        self.p, self.rng = p, rng

    def value(self, weight: Any) -> Any:
        """The weight with a share of it dropped, or the weight itself."""
        return dropout.drop_connect(weight, self.p, training=self.training or self.sampling, rng=self.rng)

    def extra_repr(self) -> str:
        """The share."""
        return f"p={self.p:g}"
