"""Wrappers: a layer whose weight is computed anew from the one it holds, at every call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Generic

from .. import dropout, normalization, ops
from ..arguments import axis as checked_axis
from ..arguments import integer, number
from ..core.backend import described
from ..core.tape import no_grad
from ..core.tensor import Tensor, replace
from ..normalization.weights import image_shape
from ..random import Generator, as_generator
from .conv import Conv2d
from .dropout import Sampling
from .mode import in_mode
from .module import HasForward, Module, P, R, settings_of, updating
from .parameter import Buffer, Parameter

__all__ = ["DropConnect", "Reparametrization", "SpectralNorm", "WeightNorm"]


@contextlib.contextmanager
def substituted(module: Module, **values: Any) -> Iterator[Module]:
    """A stand-in for a module, which shares all that it holds but has these values in place of its parameters.

    The module itself is left alone, so other threads and calls see nothing of it. Attributes that a forward assigns on the
    stand-in are set on the module at the end, as if the module itself had been called.

    >>> import tinyreg as tr
    >>> from tinyreg.nn.wrappers import substituted
    >>> layer = tr.nn.Linear(1, 1, bias=False)
    >>> with substituted(layer, weight=tr.tensor([[3.0]])) as stand_in:
    ...     stand_in(tr.tensor([2.0]))
    tensor([6.])
    """
    held = {**vars(module), "training": module.training, **values}
    stand_in = object.__new__(type(module))
    vars(stand_in).update(held)
    try:
        yield stand_in
    finally:
        assigned = {name: value for name, value in vars(stand_in).items() if held.get(name, held) is not value}
        vars(module).update(assigned)


class Reparametrization(Module, Generic[P, R]):
    """A layer that is called with `value(weight)` in place of its weight; subclasses say what that is.

    layer: a Module; name: of its parameter. The layer holds it under its own name: for optimizers, `state_dict` and initial
    values it is as without the wrapper. Around another wrapper, `value` gets what that one makes of the weight. Nothing is
    written on the layer, so threads may call it at once.

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

    name: str

    def __init__(self, layer: HasForward[P, R], name: str = "weight") -> None:
        self.layer: Any = layer
        self.name, innermost = name, self.innermost
        if not isinstance(innermost, Module) or not isinstance(vars(innermost).get(name), Parameter):
            raise TypeError(f"{type(self).__name__}: got {layer!r:.80}, expected a layer with a parameter {name!r}")

    @property
    def innermost(self) -> Module:
        """The layer itself, inside all wrappers."""
        return self.layer.innermost if isinstance(self.layer, Reparametrization) else self.layer

    @property
    def weight(self) -> Parameter:
        """The parameter that the layer holds."""
        parameter: Parameter = vars(self.innermost)[self.name]
        return parameter

    def value(self, weight: Tensor) -> Tensor:
        """Give what the layer is to use in place of its weight."""
        raise NotImplementedError(f"{type(self).__name__} has no value; write one")

    def computed(self) -> dict[str, Tensor]:
        """Work out what the layer is to find in place of its parameters, by name."""
        inner = self.layer.computed() if isinstance(self.layer, Reparametrization) else {}
        return {**inner, self.name: self.value(inner.get(self.name, self.weight))}

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the layer with the computed weight."""
        with substituted(self.innermost, **self.computed()) as layer:
            result: R = layer(*args, **kwargs)
            return result

    def _given(self) -> Any:
        """The weight from which a wrapper starts: the parameter, or what wrappers inside make of it out of training."""
        if not isinstance(self.layer, Reparametrization):
            return self.weight.data
        with in_mode(self.layer, False), no_grad():
            weight = self.layer.computed().get(self.name, self.weight)
        return weight.data


class WeightNorm(Reparametrization[P, R]):
    """A layer with g v / |v| in place of its weight. See `tr.normalization.weight_norm`.

    v is the layer's own parameter and g, "g" in `state_dict`, starts as its length, so that nothing changes at first. axis:
    that of the outputs. Optimizers that shrink weights shrink g alone: the length of v does not count.

    >>> import tinyreg as tr
    >>> layer = tr.nn.WeightNorm(tr.nn.Linear(3, 2))
    >>> [(name, p.shape) for name, p in layer.named_parameters()]
    [('layer.weight', (2, 3)), ('layer.bias', (2,)), ('g', (2, 1))]
    """

    axis: int
    g: Parameter

    def __init__(self, layer: HasForward[P, R], name: str = "weight", *, axis: int = 0) -> None:
        super().__init__(layer, name)
        self.axis, self.weight.decay = checked_axis("WeightNorm", axis, self.weight.ndim), False
        others = tuple(i for i in range(self.weight.ndim) if i != self.axis)
        self.g = Parameter(ops.norm(self._given(), axis=others, keepdims=True))

    def value(self, weight: Tensor) -> Tensor:
        """Give g v / |v|."""
        return normalization.weight_norm(weight, self.g, axis=self.axis)


class SpectralNorm(Reparametrization[P, R]):
    """A layer with weight / sigma in place of its weight; sigma is the largest singular value of the weight as a matrix.

    A Linear then makes no input longer. A convolution still can, by up to the square root of how many windows an element
    is in: 3 for a 3 x 3 kernel at stride 1. With input_shape, the (height, width) of a Conv2d's largest images, the weight
    is divided by the norm of the convolution itself, at its own stride, padding, dilation and groups.

    In training each call does `iterations` steps of the power method. They begin at the vectors u and v of the last call,
    which are buffers (with input_shape v alone, an image); out of training these stay as they are. The estimate is at most
    sigma and lags behind a weight that changes, so the norm that results is 1 or a little more. exact: work sigma out by a
    singular value decomposition at every call; the norm is then 1. With input_shape that takes a matrix with a column for
    every number in an image, so exact is for small images. axis: that of the outputs, without input_shape. The first
    vectors come from 15 steps, as in PyTorch; with input_shape from 100, since convolutions converge slowly. rng: of the
    vector before these, a generator or a seed; the default generator if None. See `tr.normalization.spectral_norm` and
    `conv_spectral_norm`.

    Raises `ValueError` for fewer than one iteration and for a weight of fewer than two axes, `TypeError` for input_shape
    with another layer than Conv2d.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018.

    >>> import tinyreg as tr
    >>> layer = tr.nn.SpectralNorm(tr.nn.Linear(3, 2, rng=tr.Generator(0)), exact=True)
    >>> round(tr.svdvals(layer.value(layer.weight))[0].item(), 4)
    1.0
    >>> conv = tr.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    >>> conv.weight.assign(tr.ones((1, 1, 3, 3)))[0, 0, 0].tolist()
    [1.0, 1.0, 1.0]
    >>> layer = tr.nn.SpectralNorm(conv, input_shape=(8, 8), exact=True)
    >>> bool((layer(tr.ones((1, 1, 8, 8))) ** 2).sum() <= 64)
    True
    """

    exact: bool
    iterations: int
    axis: int

    def __init__(
        self,
        layer: HasForward[P, R],
        name: str = "weight",
        *,
        iterations: int = 1,
        exact: bool = False,
        axis: int = 0,
        input_shape: tuple[int, int] | None = None,
        rng: Generator | int | None = None,
    ) -> None:
        super().__init__(layer, name)
        w, self.exact = self._given(), exact
        self.iterations = integer("SpectralNorm", "iterations", iterations, least=1)
        if w.ndim < 2:
            raise ValueError(f"SpectralNorm: got {name} {described(w)}, expected at least two axes")
        self.axis, self.input_shape = checked_axis("SpectralNorm", axis, w.ndim), input_shape
        shape = w.shape[self.axis]
        if input_shape is not None:
            if not isinstance(self.innermost, Conv2d):
                raise TypeError(
                    f"SpectralNorm: got input_shape for {self.innermost!r:.80}, expected a Conv2d, or no input_shape"
                )
            shape = image_shape("SpectralNorm", w, input_shape, self.innermost.groups)
            self.input_shape = shape[1], shape[2]
        if not exact:
            start = as_generator(rng, "SpectralNorm").normal(shape=shape, dtype=w.dtype, backend=self.weight.backend)
            vectors = self._iterated(w, start, 15 if input_shape is None else 100)
            for vector, array in zip(self.vectors, vectors, strict=True):
                setattr(self, vector, Buffer(array))

    @property
    def vectors(self) -> tuple[str, ...]:
        """The names of the buffers."""
        return ("u", "v") if self.input_shape is None else ("v",)

    def value(self, weight: Tensor) -> Tensor:
        """Give weight / sigma, after some steps of the power method in training."""
        if self.exact:
            return self._normalized(weight)
        buffers = [getattr(self, name) for name in self.vectors]
        with updating:
            arrays = [buffer.data for buffer in buffers]
        if self.training:
            vectors = self._iterated(weight.data if isinstance(weight, Tensor) else weight, arrays[0], self.iterations)
            arrays = [array.astype(buffer.dtype, copy=False) for array, buffer in zip(vectors, buffers, strict=True)]
            with updating:
                replace(buffers, arrays)
        return self._normalized(weight, *arrays)

    def _iterated(self, weight: Any, first: Any, iterations: int) -> tuple[Any, ...]:
        """Do some steps of the power method from the first of the vectors, and give them all."""
        if self.input_shape is None:
            return normalization.power_iteration(weight, first, iterations=iterations, axis=self.axis)
        return (normalization.conv_power_iteration(weight, first, iterations=iterations, **self._convolution()),)

    def _normalized(self, weight: Any, *vectors: Any) -> Tensor:
        if self.input_shape is None:
            return normalization.spectral_norm(weight, *vectors, axis=self.axis)
        settings = self._convolution()
        return normalization.conv_spectral_norm(weight, *vectors, input_shape=self.input_shape, **settings)

    def _convolution(self) -> dict[str, Any]:
        return {name: getattr(self.innermost, name) for name in ("stride", "padding", "dilation", "groups")}

    def extra_repr(self) -> str:
        """Show how sigma is worked out."""
        return settings_of(self, "exact" if self.exact else f"iterations={self.iterations}", input_shape=None)


class DropConnect(Reparametrization[P, R], Sampling):
    """A layer with mask * weight / (1 - p) in place of its weight in training. See `tr.dropout.drop_connect`.

    p: the share of connections that is dropped, in [0, 1]. rng: a generator or a seed; the default generator if None. As
    with `Dropout`, `sampling` and `monte_carlo` have it drop out of training too.

    Raises `ValueError` for p out of range.

    >>> import tinyreg as tr
    >>> layer = tr.nn.DropConnect(tr.nn.Linear(2, 2), 0.5, rng=tr.Generator(2))
    >>> [(layer.value(layer.weight) == 0).sum().item() for _ in range(3)]
    [1, 1, 2]
    """

    def __init__(
        self, layer: HasForward[P, R], p: float = 0.5, name: str = "weight", *, rng: Generator | int | None = None
    ) -> None:
        super().__init__(layer, name)
        self.p: float = number("DropConnect", "p", p, least=0, most=1, expected=dropout.SHARE)
        self._draws_from(rng)

    def value(self, weight: Tensor) -> Tensor:
        """Drop a share of the weight, or give the weight itself."""
        return dropout.drop_connect(weight, self.p, training=self.training or self.sampling, rng=self.rng)
