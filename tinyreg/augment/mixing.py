"""Mixup and CutMix: each image mixed with another of its batch, and their labels alike."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.backend import get
from ..creation import backend_of
from ..random import Generator, default_generator
from ..signature import described
from .drawing import accumulated, check_images, column
from .erasing import box


def mixup(
    images: Any,
    labels: Any,
    *,
    alpha: float,
    num_classes: int | None = None,
    per: str = "sample",
    rng: Generator | None = None,
) -> tuple[Any, Any]:
    """lambda x_i + (1 - lambda) x_j and lambda y_i + (1 - lambda) y_j, with lambda from Beta(alpha, alpha).

    images: (N, C, height, width), floats. labels: class indices, integers (N,), for which `num_classes` has to be given; or
    soft labels, floats (N, K). j: the batch in random order. alpha: at least 0; 0 mixes nothing. per: a lambda for each
    "sample", or one for the whole "batch", as in the authors' code. rng: the default generator if None. Returns
    (images, soft labels), the labels as floats (N, K), also where nothing was mixed.

    Raises `TypeError` and `ValueError` for images, labels and alpha that are none of these, and `IndexError` for a class
    index out of range.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.

    >>> import tinyreg as tr
    >>> images, labels = tr.tensor([[[[0.0]]], [[[1.0]]]]), tr.tensor([0, 1])
    >>> mixed, soft = tr.augment.mixup(images, labels, alpha=1.0, num_classes=2, rng=tr.Generator(3))
    >>> mixed.numpy().round(2).tolist() == soft[:, 1:, None, None].numpy().round(2).tolist()
    True
    """
    soft = _checked("mixup", images, labels, alpha, num_classes)
    if per not in ("sample", "batch"):
        raise ValueError(f"mixup: got per={per!r}, expected 'sample' or 'batch'")
    if not alpha:
        return images, soft
    share = _shares(images, alpha, images.shape[0] if per == "sample" else 1, rng)
    order = _order(images, rng)
    weight = column(share)
    mixed = _between(ops.take(images, order, axis=0), images, weight.astype(images.dtype, copy=False))
    return mixed, _between(ops.take(soft, order, axis=0), soft, share[:, None].astype(soft.dtype, copy=False))


def cutmix(
    images: Any, labels: Any, *, alpha: float, num_classes: int | None = None, rng: Generator | None = None
) -> tuple[Any, Any]:
    """x_i with a box out of x_j, and lambda y_i + (1 - lambda) y_j, where lambda is the share of x_i that is still seen.

    images: (N, C, height, width), floats. labels: class indices, integers (N,), for which `num_classes` has to be given; or
    soft labels, floats (N, K). j: the batch in random order. alpha: at least 0; 0 mixes nothing. rng: the default generator
    if None. Returns (images, soft labels), the labels as floats (N, K), also where nothing was mixed.

    Each sample has a box of its own: of sides sqrt(1 - l) times those of the image, with l from Beta(alpha, alpha), around
    a random pixel. What is over the edge is cut off, and lambda counted after that.

    Raises `TypeError` and `ValueError` for images, labels and alpha that are none of these, and `IndexError` for a class
    index out of range.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", 2019.

    >>> import tinyreg as tr
    >>> images, labels = tr.tensor([[[[0.0] * 4] * 4], [[[1.0] * 4] * 4]]), tr.tensor([0, 1])
    >>> mixed, soft = tr.augment.cutmix(images, labels, alpha=1.0, num_classes=2, rng=tr.Generator(3))
    >>> mixed.mean(axis=(1, 2, 3)).tolist() == soft[:, 1].tolist()
    True
    """
    soft = _checked("cutmix", images, labels, alpha, num_classes)
    if not alpha:
        return images, soft
    xp = get(backend_of(images))
    side = xp.sqrt(1 - _shares(images, alpha, images.shape[0], rng))
    rows, columns = (xp.floor(side * n).astype(xp.int64) for n in images.shape[2:])
    inside = box(images, rows, columns, rng)
    order = _order(images, rng)
    kept = 1 - inside.mean(axis=(1, 2, 3)).astype(soft.dtype)
    mixed = ops.where(inside, ops.take(images, order, axis=0), images)
    return mixed, _between(ops.take(soft, order, axis=0), soft, kept[:, None])


def _between(first: Any, second: Any, share: Any) -> Any:
    return share * second + (1 - share) * first


def _shares(images: Any, alpha: float, n: int, rng: Generator | None) -> Any:
    """Draws from Beta(alpha, alpha)."""
    return (rng or default_generator).beta(alpha, alpha, n, accumulated(images.dtype), backend_of(images))


def _order(images: Any, rng: Generator | None) -> Any:
    return (rng or default_generator).permutation(images.shape[0], backend_of(images))


def _checked(name: str, images: Any, labels: Any, alpha: Any, num_classes: int | None) -> Any:
    """The labels as soft labels, after every argument was looked at."""
    check_images(name, images)
    if not isinstance(alpha, int | float) or not 0 <= alpha < float("inf"):
        raise ValueError(f"{name}: got alpha={alpha!r}, expected a number of at least 0; 0 mixes nothing")
    n = images.shape[0]
    if not hasattr(labels, "dtype") or labels.dtype.kind not in "iuf":
        raise TypeError(f"{name}: got labels {labels!r:.80}, expected integers (N,) or floats (N, K); use tr.tensor(...)")
    if labels.dtype.kind == "f":
        if labels.ndim != 2 or labels.shape[0] != n or num_classes not in (None, labels.shape[1]):
            told = "K" if num_classes is None else num_classes
            raise ValueError(f"{name}: got labels {described(labels)}, expected soft labels of shape [{n}, {told}]")
        return labels
    if labels.shape != (n,):
        raise ValueError(f"{name}: got labels {described(labels)}, expected class indices of shape [{n}], one an image")
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"{name}: got num_classes={num_classes!r} with class indices, expected how many classes there are")
    if n and not (ops.min(labels) >= 0 and ops.max(labels) < num_classes):
        raise IndexError(
            f"{name}: got class indices from {int(ops.min(labels))} to {int(ops.max(labels))}, expected 0 to "
            f"{num_classes - 1}"
        )
    hot = ops.expand_dims(labels, axis=1) == get(backend_of(labels)).arange(num_classes)
    return ops.astype(hot, images.dtype)
