"""Rotate, flip, crop, brightness and cutout by other libraries, image by image, as one writes a `Dataset`.

Each loop takes images as `images` lays them out, and the numbers drawn for each image: the angle, whether it is mirrored,
the crop's top and left, the factor of brightness, the row and column of the box's middle. It returns the batch.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Protocol

import numpy as np

SIZE, PADDING, BOX = 32, 4, 8
DEGREES, FACTORS = (-15.0, 15.0), (0.8, 1.2)


class Loop(Protocol):
    """What does the same as tinyreg, image by image. To make one imports its library."""

    distribution: str
    """What it is installed as."""
    draws: bool
    """Whether it draws numbers of its own, so that what it makes cannot be compared number by number."""

    def images(self, x: Any) -> Any:
        """Images (N, 3, height, width) as it takes them."""

    def __call__(self, images: Any, numbers: Any) -> Any:
        """The images, changed."""


def box(row: int, column: int) -> tuple[slice, slice]:
    """The rows and columns of the box around a pixel, without what is over the edge."""
    rows, columns = (slice(max(p - BOX // 2, 0), max(p + BOX - BOX // 2, 0)) for p in (row, column))
    return rows, columns


class SciPy:
    """scipy.ndimage turns, NumPy does the rest."""

    distribution, draws = "scipy", False

    def __init__(self) -> None:
        self.ndimage = importlib.import_module("scipy.ndimage")

    def images(self, x: Any) -> Any:
        """(N, 3, height, width)."""
        return x

    def __call__(self, images: Any, numbers: Any) -> Any:
        """The images, changed."""
        made, around = [], ((0, 0), (PADDING, PADDING), (PADDING, PADDING))
        for image, angle, flipped, top, left, factor, row, column in zip(images, *numbers, strict=True):
            image = self.ndimage.rotate(image, angle, axes=(2, 1), reshape=False, order=1, mode="grid-constant")
            image = image[:, :, ::-1] if flipped else image
            image = np.pad(image, around)[:, top : top + SIZE, left : left + SIZE]
            image = np.clip(image * factor, 0, 1)
            image[:, *box(row, column)] = 0
            made.append(image)
        return np.stack(made)


class TorchVision:
    """torchvision's functions of transforms, on Tensors."""

    distribution, draws = "torchvision", False

    def __init__(self) -> None:
        self.functional = importlib.import_module("torchvision.transforms.v2.functional")
        self.torch = importlib.import_module("torch")
        self.torch.set_num_threads(1)

    def images(self, x: Any) -> Any:
        """(N, 3, height, width), as a Tensor."""
        return self.torch.from_numpy(x)

    def __call__(self, images: Any, numbers: Any) -> Any:
        """The images, changed."""
        f, made = self.functional, []
        numbers = [values.tolist() for values in numbers]
        for image, angle, flipped, top, left, factor, row, column in zip(images, *numbers, strict=True):
            image = f.rotate(image, angle, interpolation=f.InterpolationMode.BILINEAR)
            image = f.horizontal_flip(image) if flipped else image
            image = f.crop(f.pad(image, PADDING), top, left, SIZE, SIZE)
            image = f.adjust_brightness(image, factor)
            rows, columns = box(row, column)
            erased = rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start
            made.append(f.erase(image, *erased, self.torch.zeros(1)))
        return self.torch.stack(made)


class Albumentations:
    """Albumentations' transforms, composed, which compute with OpenCV and draw their numbers."""

    distribution, draws = "albumentations", True

    def __init__(self) -> None:
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would look for a newer version online
        a = importlib.import_module("albumentations")
        importlib.import_module("cv2").setNumThreads(0)
        factors = FACTORS[0] - 1, FACTORS[1] - 1
        self.transform = a.Compose(
            [
                a.Rotate(DEGREES, p=1),
                a.HorizontalFlip(p=0.5),
                a.Pad(PADDING, p=1),
                a.RandomCrop(SIZE, SIZE, p=1),
                a.RandomBrightnessContrast(0, factors, p=1),  # its contrast is a factor alone
                a.CoarseDropout((1, 1), (BOX, BOX), (BOX, BOX), p=1),
            ],
            seed=0,
        )

    def images(self, x: Any) -> Any:
        """(N, height, width, 3)."""
        return np.ascontiguousarray(np.moveaxis(x, 1, -1))

    def __call__(self, images: Any, numbers: Any) -> Any:
        """The images, changed."""
        return np.stack([self.transform(image=image)["image"] for image in images])


LOOPS: dict[str, type[Loop]] = {"scipy.ndimage": SciPy, "torchvision": TorchVision, "albumentations": Albumentations}
