"""Real data that comes with scikit-learn: nothing is downloaded."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import tinyreg as tr


class Split(NamedTuple):
    """Images, float32 of shape (N, 64) with grey values from 0 to 1, and labels, int64 of shape (N,)."""

    images: tr.Tensor
    labels: tr.Tensor


def digits(each: int, seed: int, backend: str) -> tuple[Split, Split]:
    """The 1,797 handwritten digits of 8 x 8 pixels: `each` of every class, by `seed`, and the rest to validate."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    chosen = np.concatenate([order[labels[order] == k][:each] for k in range(10)])
    rest = np.setdiff1d(order, chosen)

    def split(rows: Any) -> Split:
        images_of, labels_of = (images[rows] / 16).astype(np.float32), labels[rows].astype(np.int64)
        return Split(tr.tensor(images_of, backend=backend), tr.tensor(labels_of, backend=backend))

    return split(chosen), split(rest)
