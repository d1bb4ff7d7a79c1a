"""Dropout as layers: active in training, and out of it where Monte Carlo dropout asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from .. import dropout, ops
from ..core.tape import no_grad
from ..random import Generator
from .module import Module


class Dropout(Module):
    """mask * x / (1 - p) in training, x out of it. See `tr.dropout.dropout`.

    p: the share that is dropped, in [0, 1]. rng: the default generator (`tr.seed`) if None. Set `sampling` to have it drop
    out of training too, or use `monte_carlo`.

    Raises `ValueError` for p out of range.

    >>> import tinyreg as tr
    >>> layer = tr.nn.Dropout(0.5, rng=tr.Generator(2))
    >>> layer(tr.ones(5))
    tensor([2., 0., 2., 2., 2.])
    >>> layer.eval()(tr.ones(5))
    tensor([1., 1., 1., 1., 1.])
    """

    drop: ClassVar[Callable[..., Any]] = staticmethod(dropout.dropout)
    sampling: bool = False

    def __init__(self, p: float = 0.5, *, rng: Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: got p={p}, expected a share from 0 to 1: how much is dropped")
        self.p, self.rng = p, rng

    def forward(self, x: Any) -> Any:
        """x with a share of it dropped, or x itself."""
        return type(self).drop(x, self.p, training=self.training or self.sampling, rng=self.rng)

    @property
    def active(self) -> bool:
        """Whether it drops anything."""
        return (self.training or self.sampling) and self.p > 0

    def mask(self, x: Any) -> dict[str, Any]:
        """What `thinned` is to keep of x, drawn anew, and its scale."""
        return {"keep": dropout._keep(x, self.p, x.shape, self.rng), "scale": dropout._scale(self.p)}

    def extra_repr(self) -> str:
        """The share."""
        return f"p={self.p:g}"


class SpatialDropout(Dropout):
    """Whole channels of (N, C, ...) dropped. See `tr.dropout.spatial_dropout`; PyTorch's Dropout1d, 2d and 3d.

    >>> import tinyreg as tr
    >>> tr.nn.SpatialDropout(0.5, rng=tr.Generator(2))(tr.ones((1, 4, 2)))[0, :, 0]
    tensor([2., 0., 2., 2.])
    """

    drop = staticmethod(dropout.spatial_dropout)


class AlphaDropout(Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks of selu. See `tr.dropout.alpha_dropout`.

    >>> import tinyreg as tr
    >>> tr.nn.AlphaDropout(0.5).eval()(tr.ones(2))
    tensor([1., 1.])
    """

    drop = staticmethod(dropout.alpha_dropout)


class GaussianDropout(Dropout):
    """x times normal noise of mean 1 and variance p / (1 - p). See `tr.dropout.gaussian_dropout`.

    >>> import tinyreg as tr
    >>> tr.nn.GaussianDropout(0.5).eval()(tr.ones(2))
    tensor([1., 1.])
    """

    drop = staticmethod(dropout.gaussian_dropout)


class DropPath(Dropout):
    """Whole samples dropped, at the end of a residual branch. See `tr.dropout.drop_path`.

    >>> import tinyreg as tr
    >>> tr.nn.DropPath(0.5, rng=tr.Generator(2))(tr.ones((4, 2)))[:, 0]
    tensor([2., 0., 2., 2.])
    """

    drop = staticmethod(dropout.drop_path)


# ---- Monte Carlo dropout ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def monte_carlo(model: Module) -> Iterator[None]:
    """Have every dropout layer of a model drop in this context, whatever its mode; other layers keep to theirs.

    Afterwards each is as it was, also after an exception.

    Source: Gal and Ghahramani, "Dropout as a Bayesian Approximation", 2016.

    >>> import tinyreg as tr
    >>> layer = tr.nn.Dropout(0.5, rng=tr.Generator(2)).eval()
    >>> with tr.nn.monte_carlo(layer):
    ...     layer(tr.ones(5))
    tensor([2., 0., 2., 2., 2.])
    """
    with _put_back(model, "sampling"):
        for module in model.modules():
            if hasattr(module, "sampling"):
                module.sampling = True
        yield


def monte_carlo_predict(model: Module, *inputs: Any, passes: int = 30) -> tuple[Any, Any]:
    """(mean, standard deviation) of the outputs of `passes` forward passes, with dropout in each and no gradient.

    model: a Module with dropout; for the time of the call everything else in it is in `eval` mode. inputs: what it takes.
    passes: at least 2; the deviation divides by passes - 1. It says how far the sub-networks differ, element by element.

    Raises `ValueError` for fewer than two passes, and for a model without dropout, whose deviation would be 0.

    Source: Gal and Ghahramani, "Dropout as a Bayesian Approximation", 2016.

    >>> import tinyreg as tr
    >>> model = tr.nn.Sequential(tr.nn.Dropout(0.5, rng=tr.Generator(2)))
    >>> mean, std = tr.nn.monte_carlo_predict(model, tr.ones(2), passes=1000)
    >>> bool(abs(mean - 1).max() < 0.2), bool(abs(std - 1).max() < 0.2)
    (True, True)
    """
    if passes < 2:
        raise ValueError(f"monte_carlo_predict: got passes={passes}, expected at least 2")
    if not any(getattr(module, "p", 0) for module in model.modules() if hasattr(module, "sampling")):
        raise ValueError(f"monte_carlo_predict: got {type(model).__name__} without dropout, expected some layer with p > 0")
    with _put_back(model, "training"), monte_carlo(model.eval()), no_grad():
        outputs = ops.stack([model(*inputs) for _ in range(passes)], axis=0)
        return ops.mean(outputs, axis=0), ops.std(outputs, axis=0, correction=1)


@contextlib.contextmanager
def _put_back(model: Module, flag: str) -> Iterator[None]:
    """Give every module of a model its flag back in the end."""
    before = [(module, getattr(module, flag)) for module in model.modules() if hasattr(module, flag)]
    try:
        yield
    finally:
        for module, value in before:
            setattr(module, flag, value)
