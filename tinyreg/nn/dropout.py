"""Dropout as layers: active in training, and out of it where Monte Carlo dropout asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import dropout, ops
from ..arguments import integer, number
from ..core.backend import Array
from ..core.tape import no_grad
from ..core.tensor import Tensor
from ..random import Generator, as_generator
from ..switches import Context, Switch
from .mode import in_mode
from .module import Module

__all__ = ["AlphaDropout", "DropPath", "Dropout", "GaussianDropout", "SpatialDropout", "monte_carlo", "monte_carlo_predict"]

_sampled = Switch[frozenset[int]]("sampled", frozenset(), replayed=True)


class Sampling(Module):
    """A layer that draws random numbers in training: out of it too where `sampling` is set, or in `monte_carlo`."""

    p: float
    rng: Generator | None

    def _draws_from(self, rng: Generator | int | None) -> None:
        """Keep the generator to draw from: None for the default one, whichever that then is."""
        self.rng = None if rng is None else as_generator(rng, type(self).__name__)

    @property
    def sampling(self) -> bool:
        """Whether it drops out of training too: set here, or for a context by `monte_carlo`."""
        return id(self) in _sampled.get() or vars(self).get("sampling", False)

    @sampling.setter
    def sampling(self, wanted: bool) -> None:
        vars(self)["sampling"] = wanted

    @property
    def active(self) -> bool:
        """Whether it drops anything."""
        return (self.training or self.sampling) and self.p > 0

    def extra_repr(self) -> str:
        """Show the share."""
        return f"p={self.p:g}"


class Dropout(Sampling):
    """mask * x / (1 - p) in training, x out of it. See `tr.dropout.dropout`.

    p: the share that is dropped, in [0, 1]. rng: a generator or a seed; the default generator (`tr.seed`) if None. Set
    `sampling` to have it drop out of training too, or use `monte_carlo`.

    Raises `ValueError` for p out of range.

    >>> import tinyreg as tr
    >>> layer = tr.nn.Dropout(0.5, rng=tr.Generator(2))
    >>> layer(tr.ones(5))
    tensor([2., 0., 2., 2., 2.])
    >>> layer.eval()(tr.ones(5))
    tensor([1., 1., 1., 1., 1.])
    """

    drop: ClassVar[Callable[..., Tensor]] = staticmethod(dropout.dropout)

    def __init__(self, p: float = 0.5, *, rng: Generator | int | None = None) -> None:
        self.p: float = number(type(self).__name__, "p", p, least=0, most=1, expected=dropout.SHARE)
        self._draws_from(rng)

    def forward(self, x: Tensor | Array) -> Tensor:
        """Drop a share of x, or give x itself."""
        return type(self).drop(x, self.p, training=self.training or self.sampling, rng=self.rng)

    def mask(self, x: Tensor | Array) -> dropout.Mask:
        """Draw a mask for x, to apply it elsewhere or more than once."""
        return dropout.Mask.drawn(type(self).__name__, x, self.p, self.rng)


class SpatialDropout(Dropout):
    """Whole channels of (N, C, ...) dropped. See `tr.dropout.spatial_dropout`; PyTorch's Dropout1d, 2d and 3d.

    >>> import tinyreg as tr
    >>> tr.nn.SpatialDropout(0.5, rng=tr.Generator(2))(tr.ones((1, 4, 2)))[0, :, 0]
    tensor([2., 0., 2., 2.])
    """

    drop: ClassVar[Callable[..., Tensor]] = staticmethod(dropout.spatial_dropout)


class AlphaDropout(Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks of selu. See `tr.dropout.alpha_dropout`.

    >>> import tinyreg as tr
    >>> tr.nn.AlphaDropout(0.5).eval()(tr.ones(2))
    tensor([1., 1.])
    """

    drop: ClassVar[Callable[..., Tensor]] = staticmethod(dropout.alpha_dropout)


class GaussianDropout(Dropout):
    """x times normal noise of mean 1 and variance p / (1 - p). See `tr.dropout.gaussian_dropout`.

    >>> import tinyreg as tr
    >>> tr.nn.GaussianDropout(0.5).eval()(tr.ones(2))
    tensor([1., 1.])
    """

    drop: ClassVar[Callable[..., Tensor]] = staticmethod(dropout.gaussian_dropout)


class DropPath(Dropout):
    """Whole samples dropped, at the end of a residual branch. See `tr.dropout.drop_path`.

    >>> import tinyreg as tr
    >>> tr.nn.DropPath(0.5, rng=tr.Generator(2))(tr.ones((4, 2)))[:, 0]
    tensor([2., 0., 2., 2.])
    """

    drop: ClassVar[Callable[..., Tensor]] = staticmethod(dropout.drop_path)


# ---- Monte Carlo dropout ---------------------------------------------------------------------------------------------


def monte_carlo(model: Module) -> Context:
    """Have every dropout layer of a model drop in this context, whatever its mode; other layers stay in theirs.

    Nothing is set on the layers, so other threads that use the model see nothing of it.

    Source: Gal and Ghahramani, "Dropout as a Bayesian Approximation", 2016.

    >>> import tinyreg as tr
    >>> layer = tr.nn.Dropout(0.5, rng=tr.Generator(2)).eval()
    >>> with tr.nn.monte_carlo(layer):
    ...     layer(tr.ones(5))
    tensor([2., 0., 2., 2., 2.])
    """

    def layers() -> set[int]:
        return {id(module) for module in model.modules() if isinstance(module, Sampling)}

    return Context("monte_carlo", lambda: _sampled(_sampled.get() | layers()))


def monte_carlo_predict(model: Module, *inputs: Any, passes: int = 30) -> tuple[Tensor, Tensor]:
    """(mean, standard deviation) of the outputs of `passes` forward passes, with dropout in each and no gradient.

    model: a Module with dropout; everything else in it acts as in `eval` mode, in this call alone. inputs: what it takes.
    passes: at least 2; the deviation divides by passes - 1. It says how far the sub-networks differ, element by element.

    Raises `ValueError` for fewer than two passes, and for a model without dropout, whose deviation would be 0.

    Source: Gal and Ghahramani, "Dropout as a Bayesian Approximation", 2016.

    >>> import tinyreg as tr
    >>> model = tr.nn.Sequential(tr.nn.Dropout(0.5, rng=tr.Generator(2)))
    >>> mean, std = tr.nn.monte_carlo_predict(model, tr.ones(2), passes=1000)
    >>> bool(abs(mean - 1).max() < 0.2), bool(abs(std - 1).max() < 0.2)
    (True, True)
    """
    passes = integer("monte_carlo_predict", "passes", passes, least=2)
    if not any(module.p for module in model.modules() if isinstance(module, Sampling)):
        raise ValueError(f"monte_carlo_predict: got {type(model).__name__} without dropout, expected some layer with p > 0")
    with in_mode(model, False), monte_carlo(model), no_grad():
        outputs = ops.stack([model(*inputs) for _ in range(passes)], axis=0)
        return ops.mean(outputs, axis=0), ops.std(outputs, axis=0, correction=1)
