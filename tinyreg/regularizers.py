"""Regularizers: what a loss adds for the size of the weights, as compositions with the chapter's factors.

`weights` is one Tensor or several; `strength` is lambda. Leave biases and the parameters of norms out by not passing them:
`weights(model)` gives the others. Sums and squares of float16 are worked out in float32, and rounded at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from . import ops
from .arguments import axis as checked_axis
from .arguments import number
from .core.backend import Array, described, get, is_float
from .core.tensor import Tensor
from .creation import backend_of
from .hints import with_axis
from .normalization.inputs import one_sample_alone
from .ops.precision import narrowed, widened
from .transforms import grad

if TYPE_CHECKING:
    from .nn import Module, Parameter

Weights = Tensor | Array | Iterable[Tensor | Array]
"""One weight, or several."""
Strength = float | Tensor
"""A number, or a Tensor of one that asks for a gradient itself."""


def weights(model: Module) -> list[Parameter]:
    """The parameters of a model that penalties are meant for: those of two or more axes that may be shrunk.

    That leaves out biases and the weights of norms, whose size says nothing about how steep a model is, and whatever was
    made with `Parameter(..., decay=False)`. PyTorch users write `[p for p in model.parameters() if p.ndim > 1]`.

    Raises `TypeError` for anything but a module.

    >>> import tinyreg as tr
    >>> model = tr.nn.Sequential(tr.nn.Linear(3, 4), tr.nn.BatchNorm(4), tr.nn.ReLU(), tr.nn.Linear(4, 2))
    >>> [weight.shape for weight in tr.regularizers.weights(model)]
    [(4, 3), (2, 4)]
    """
    if not callable(getattr(model, "parameters", None)):
        raise TypeError(f"weights: got {model!r:.80}, expected a module, such as tr.nn.Linear")
    return [p for p in model.parameters() if p.ndim > 1 and p.decay]


def l2(weights: Weights, strength: Strength) -> Tensor:
    """(strength / 2) sum w^2, over all weights together.

    weights: one Tensor or several, of any shapes, such as `regularizers.weights(model)`. strength: at least 0. With the
    half, the gradient is strength * w, so that SGD multiplies w by 1 - lr * strength (a penalty without it, as in Keras,
    is twice as strong).

    Raises `ValueError` for a negative strength, and for no weights at all.

    >>> import tinyreg as tr
    >>> tr.regularizers.l2([tr.tensor([3.0, 4.0]), tr.tensor([[1.0]])], 0.5)
    tensor(6.5)
    """
    each = _listed("l2", weights)
    half = _at_least_0("l2", "strength", strength) / 2
    return _rounded(_total("l2", each, half, ops.square), each)


def l1(weights: Weights, strength: Strength) -> Tensor:
    """strength * sum |w|, over all weights together.

    weights: one Tensor or several, of any shapes, such as `regularizers.weights(model)`. strength: at least 0. The gradient
    at 0 is 0. Descending along it makes weights small, but hardly ever exactly 0.

    Raises `ValueError` for a negative strength, and for no weights at all.

    >>> import tinyreg as tr
    >>> tr.regularizers.l1(tr.tensor([3.0, -4.0]), 0.5)
    tensor(3.5)
    """
    each = _listed("l1", weights)
    return _rounded(_total("l1", each, strength, ops.abs), each)


def elastic_net(weights: Weights, l1: Strength, l2: Strength) -> Tensor:
    """l1 sum |w| + l2 sum w^2, over all weights together.

    weights: one Tensor or several, of any shapes. l1, l2: strengths, at least 0. The second term has no half, unlike
    `regularizers.l2`, so its gradient is 2 l2 w.

    Raises `ValueError` for a negative strength, and for no weights at all.

    Source: Zou and Hastie, "Regularization and Variable Selection via the Elastic Net", 2005.

    >>> import tinyreg as tr
    >>> tr.regularizers.elastic_net(tr.tensor([3.0, -4.0]), l1=1.0, l2=0.1)
    tensor(9.5)
    """
    each = _listed("elastic_net", weights)
    first = _total("elastic_net", each, l1, ops.abs, "l1")
    return _rounded(first + _total("elastic_net", each, l2, ops.square, "l2"), each)


@with_axis
def group_lasso(weights: Weights, strength: Strength, *, axis: int = 0) -> Tensor:
    """strength sum_g sqrt(n_g) |w_g|_2, where a group g is all that a weight has at one index along `axis`.

    weights: one Tensor or several, each with that axis; n_g: how many elements a group has. For a Linear's weight, axis 0
    groups what leads to each output, and 1 what comes from each input. strength: at least 0. Whole groups become small
    together; the gradient of one that is 0 is 0.

    Raises `ValueError` for a negative strength, for no weights at all, and for one without that axis.

    Source: Yuan and Lin, "Model selection and estimation in regression with grouped variables", 2006.

    >>> import tinyreg as tr
    >>> tr.regularizers.group_lasso(tr.tensor([[3.0, 0.0, 0.0, 4.0], [0.0, 0.0, 0.0, 0.0]]), 0.5)
    tensor(5.)
    """

    def sizes(w: Tensor) -> Tensor:
        along = checked_axis("group_lasso", axis, w.ndim)
        others = tuple(i for i in range(w.ndim) if i != along)
        lengths = ops.norm(w, axis=others) if others else ops.abs(w)
        return math.sqrt(math.prod(w.shape[i] for i in others)) * lengths

    each = _listed("group_lasso", weights)
    return _rounded(_total("group_lasso", each, strength, sizes), each)


def orthogonal(weights: Weights, strength: Strength) -> Tensor:
    """strength |W W^T - I|_F^2 for a matrix W of no more rows than columns, otherwise strength |W^T W - I|_F^2.

    weights: one Tensor or several, of two or more axes; all but the first together are the columns. strength: at least 0.
    It is 0 where the rows (or columns) are orthonormal, so that W keeps lengths.

    Raises `ValueError` for a negative strength, for no weights at all, and for one of fewer than two axes.

    Source: Bansal, Chen and Wang, "Can We Gain More from Orthogonality Regularizations in Training Deep Networks?", 2018.

    >>> import tinyreg as tr
    >>> tr.regularizers.orthogonal(tr.tensor([[0.0, 2.0], [1.0, 0.0]]), 0.5)
    tensor(4.5)
    """

    def squares(w: Tensor) -> Tensor:
        if w.ndim < 2:
            raise ValueError(
                f"orthogonal: got weight {described(w)}, expected at least two axes; leave biases out, as "
                "tr.regularizers.weights(model) does"
            )
        matrix = ops.reshape(w, (w.shape[0], -1))
        rows, columns = matrix.shape
        product = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
        unit = get(backend_of(w)).eye(min(rows, columns), dtype=w.dtype)
        return ops.square(product - unit)

    each = _listed("orthogonal", weights)
    return _rounded(_total("orthogonal", each, strength, squares), each)


def gradient_penalty(
    f: Callable[[Tensor], Tensor], x: Tensor | Array, strength: Strength, *, target: float = 0.0
) -> Tensor:
    """strength mean_i (|d f / d x_i|_2 - target)^2 over the samples x_i: how steep f is in its input.

    f: a function of a Tensor (N, ...), such as a model, each of whose results depends on one sample only; they are summed
    before the gradient is taken. x: floats, (N, ...). target: 0 flattens f; with 1, at points between real and generated
    samples, it is the penalty of a Wasserstein GAN. The penalty is differentiable in x and in whatever f closes over, by
    the tape of its own gradient; where that is 0, the gradient of its norm is 0.

    Raises `ValueError` for a negative strength or target, for an x without samples, and for a batch norm by the batch's own
    statistics in f, which mixes the samples: put the model in `eval` mode, freeze its batch norms, or use layer norms.

    Source: Drucker and Le Cun, "Improving Generalization Performance Using Double Backpropagation", 1992; Gulrajani et al.,
    "Improved Training of Wasserstein GANs", 2017, for the target.

    >>> import tinyreg as tr
    >>> w = tr.tensor([[3.0], [4.0]], requires_grad=True)
    >>> penalty = tr.regularizers.gradient_penalty(lambda x: x @ w, tr.ones((5, 2)), 0.5)
    >>> penalty.backward()
    >>> penalty.item(), w.grad.tolist()
    (12.5, [[3.0], [4.0]])
    """
    strength = _at_least_0("gradient_penalty", "strength", strength)
    if not callable(f):
        raise TypeError(f"gradient_penalty: got f={f!r:.80}, expected a function of x, such as a model")
    target = number("gradient_penalty", "target", target, least=0, expected="at least 0")
    if not getattr(x, "shape", ()) or not x.size:
        raise ValueError(
            f"gradient_penalty: got x {described(x)}, expected samples along the first axis; x[None] makes one sample of x"
        )
    with one_sample_alone("gradient_penalty"):
        slopes = grad(lambda x: ops.sum(f(x)))(x)
    if not isinstance(x, Tensor) and not slopes.requires_grad:
        slopes = slopes.data  # arrays in, arrays out
    slopes = widened(ops.reshape(slopes, (x.shape[0], -1)))
    squares = ops.square(ops.norm(slopes, axis=1) - target) if target else ops.sum(ops.square(slopes), axis=1)
    return _rounded(strength * ops.mean(squares), [x])


# ---- parts -----------------------------------------------------------------------------------------------------------


def _listed(name: str, weights: Weights) -> list[Tensor]:
    """Check the weights, and give them as a list."""
    if hasattr(weights, "parameters"):
        raise TypeError(f"{name}: got a {type(weights).__name__}, expected weights: tr.regularizers.weights(model)")
    if not isinstance(weights, Iterable):
        raise TypeError(f"{name}: got weights={weights!r:.80}, expected a Tensor or several")
    each: list[Tensor] = [weights] if hasattr(weights, "dtype") else list(weights)  # type: ignore[list-item]
    if not each:
        raise ValueError(f"{name}: got no weights, expected at least one; an iterator serves only once, so pass a list")
    for weight in each:
        if not is_float(weight):
            raise TypeError(f"{name}: got weight {described(weight):.80}, expected a tensor or an array of floats")
    return each


def _rounded(penalty: Tensor, weights: list[Tensor]) -> Tensor:
    """A penalty that was worked out in a wider dtype, in that of the widest weight."""
    return narrowed(penalty, max(weights, key=lambda weight: weight.dtype.itemsize))


def _at_least_0(name: str, label: str, value: Strength) -> Strength:
    """Check a strength, and give a number as Python's."""
    if not getattr(value, "requires_grad", False):
        return number(name, label, value, least=0, expected="at least 0")
    if not value >= 0:
        raise ValueError(f"{name}: got {label}={value}, expected at least 0")
    return value


def _total(
    name: str, weights: list[Tensor], strength: Strength, size: Callable[[Tensor], Tensor], label: str = "strength"
) -> Tensor:
    """strength times the sum of size(w) over every element of every weight, and 0 for a strength of 0 whatever they are."""
    strength = _at_least_0(name, label, strength)
    nothing = isinstance(strength, int | float) and not strength
    each = [ops.sum(ops.where(False, w, 0.0) if nothing else size(widened(w))) for w in weights]
    return strength * sum(each[1:], start=each[0])
