"""Mixup and CutMix: each sample mixed with another of its batch, and their labels alike."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..arguments import integer, number
from ..core.backend import Array, described, get, is_float
from ..core.tensor import Tensor
from ..creation import backend_of
from ..random import Generator, as_generator
from .drawing import LARGEST, accumulated, check_floats, check_images, is_array
from .erasing import box


def mixup(
    images: Tensor | Array,
    labels: Tensor | Array,
    *,
    alpha: float,
    num_classes: int | None = None,
    per: str = "sample",
    rng: Generator | int | None = None,
) -> tuple[Tensor, Tensor]:
    """lambda x_i + (1 - lambda) x_j and lambda y_i + (1 - lambda) y_j, with lambda from Beta(alpha, alpha).

    images: (N, ...), floats, with samples along the first axis: images, rows, sequences, embeddings; the result is
    differentiable in them. labels: class indices, integers (N,), for which `num_classes` has to be given; or one-hot or
    soft labels (N, K). j: the batch in random order. alpha: at least 0; 0 mixes nothing. per: a lambda for each
    "sample", or one for the whole "batch", as in the authors' code. rng: a generator or a seed; the default generator
    if None. Returns (images, soft labels), the labels as floats (N, K), also where nothing was mixed.

    What counts with a share of 0 does not enter at all, even if it is NaN. Indices, such as tokens, cannot be mixed:
    mix their embeddings.

    Raises `TypeError` and `ValueError` for images, labels and alpha that are none of these, and `IndexError` for a
    class index out of range.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.

    >>> import tinyreg as tr
    >>> images, labels = tr.tensor([[[[0.0]]], [[[1.0]]]]), tr.tensor([0, 1])
    >>> mixed, soft = tr.augment.mixup(images, labels, alpha=1.0, num_classes=2, rng=tr.Generator(3))
    >>> mixed.numpy().round(2).tolist() == soft[:, 1:, None, None].numpy().round(2).tolist()
    True
    """
    check_floats("mixup", images, "floats; for bytes use images / 255.0, and of tokens mix the embeddings")
    if not images.ndim:
        raise ValueError(f"mixup: got images {described(images)}, expected (N, ...), samples along the first axis")
    soft, alpha = _checked("mixup", images, labels, alpha, num_classes)
    rng = as_generator(rng, "mixup")
    if per not in ("sample", "batch"):
        raise ValueError(f"mixup: got per={per!r}, expected 'sample' or 'batch'")
    if not alpha:
        return images, soft
    share = _shares(images, alpha, images.shape[0] if per == "sample" else 1, rng)
    order = _order(images, rng)
    return _between(ops.take(images, order, axis=0), images, share), _between(ops.take(soft, order, axis=0), soft, share)


def cutmix(
    images: Tensor | Array,
    labels: Tensor | Array,
    *,
    alpha: float,
    num_classes: int | None = None,
    rng: Generator | int | None = None,
) -> tuple[Tensor, Tensor]:
    """x_i with a box out of x_j, and lambda y_i + (1 - lambda) y_j, where lambda is the share of x_i that is still seen.

    images: (N, C, height, width), floats. labels: class indices, integers (N,), for which `num_classes` has to be
    given; or one-hot or soft labels (N, K). j: the batch in random order. alpha: at least 0; 0 mixes nothing. rng: a
    generator or a seed; the default generator if None. Returns (images, soft labels), the labels as floats (N, K), also
    where nothing was mixed.

    Each sample has a box of its own: of sides sqrt(1 - l) times those of the image, with l from Beta(alpha, alpha),
    around a random pixel. What is over the edge is cut off, and lambda counted after that.

    Raises `TypeError` and `ValueError` for images, labels and alpha that are none of these, and `IndexError` for a
    class index out of range.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", 2019.

    >>> import tinyreg as tr
    >>> images, labels = tr.tensor([[[[0.0] * 4] * 4], [[[1.0] * 4] * 4]]), tr.tensor([0, 1])
    >>> mixed, soft = tr.augment.cutmix(images, labels, alpha=1.0, num_classes=2, rng=tr.Generator(3))
    >>> mixed.mean(axis=(1, 2, 3)).tolist() == soft[:, 1].tolist()
    True
    """
    check_images("cutmix", images)
    soft, alpha = _checked("cutmix", images, labels, alpha, num_classes)
    rng = as_generator(rng, "cutmix")
    if not alpha:
        return images, soft
    xp = get(backend_of(images))
    side = xp.sqrt(1 - _shares(images, alpha, images.shape[0], rng))
    rows, columns = (xp.floor(side * n) for n in images.shape[2:])
    inside = box(images, rows, columns, rng)
    order = _order(images, rng)
    share = 1 - inside.mean(axis=(1, 2, 3)).astype(soft.dtype)
    mixed = ops.where(inside, ops.take(images, order, axis=0), images)
    return mixed, _between(ops.take(soft, order, axis=0), soft, share)


def _between(first: Any, second: Any, share: Any) -> Any:
    """share * second + (1 - share) * first, with a share for each sample; what has none is left out: inf * 0 is NaN."""
    share = share.astype(first.dtype, copy=False).reshape(-1, *[1] * (first.ndim - 1))
    if ((share == 0) | (share == 1)).any():
        first, second = ops.where(share == 1, 0.0, first), ops.where(share == 0, 0.0, second)
    return share * second + (1 - share) * first


def _shares(images: Any, alpha: float, n: int, rng: Generator) -> Any:
    """Draws from Beta(alpha, alpha)."""
    return rng.beta(alpha, alpha, n, accumulated(images.dtype), backend_of(images))


def _order(images: Any, rng: Generator) -> Any:
    return rng.permutation(images.shape[0], backend_of(images))


def _checked(
    name: str, images: Tensor | Array, labels: Tensor | Array, alpha: Any, num_classes: int | None
) -> tuple[Any, float]:
    """The labels as soft labels, and alpha, after every argument was looked at."""
    alpha = number(name, "alpha", alpha, least=0, most=LARGEST, expected="a number of at least 0; 0 mixes nothing")
    if num_classes is not None:
        num_classes = integer(name, "num_classes", num_classes, least=1, expected="how many classes there are")
    n = images.shape[0]
    if not is_array(labels) or not (is_float(labels) or labels.dtype.kind in "biu"):
        raise TypeError(f"{name}: got labels {labels!r:.80}, expected integers (N,) or floats (N, K); use tr.tensor(...)")
    if is_float(labels) or (labels.ndim == 2 and labels.shape[1] == num_classes):
        classes = "K" if num_classes is None else num_classes
        if labels.ndim != 2 or labels.shape[0] != n or num_classes not in (None, labels.shape[1]):
            raise ValueError(f"{name}: got labels {described(labels)}, expected soft labels of shape [{n}, {classes}]")
        return (labels if is_float(labels) else ops.astype(labels, images.dtype)), alpha
    if labels.shape != (n,) or labels.dtype.kind == "b":
        raise ValueError(f"{name}: got labels {described(labels)}, expected class indices of shape [{n}], one an image")
    if num_classes is None:
        raise ValueError(f"{name}: got num_classes=None with class indices, expected how many classes there are")
    if n and not (ops.min(labels) >= 0 and ops.max(labels) < num_classes):
        raise IndexError(
            f"{name}: got class indices from {int(ops.min(labels))} to {int(ops.max(labels))}, expected 0 to "
            f"{num_classes - 1}"
        )
    hot = ops.expand_dims(labels, axis=1) == get(backend_of(labels)).arange(num_classes)
    return ops.astype(hot, images.dtype), alpha
