"""Data augmentation: random changes that leave the label true, on whole batches of images and on text.

Every function takes images (N, C, height, width), floats in [0, 1], as Tensors or arrays, and gives the same kind back;
each sample gets random numbers of its own, from `rng`. Those that interpolate can be differentiated.

Values are looked at (which costs two passes, and on a GPU waits for them) only where the result is clipped to [0, 1].
"""

from . import text
from .colour import brightness, contrast, saturation
from .compose import Apply, Compose
from .erasing import cutout
from .geometry import crop, flip, rotate, scale, shift
from .mixing import cutmix, mixup
from .noise import gaussian_blur, gaussian_noise
from .preview import preview
from .sampling import affine, sample

__all__ = [
    "Apply",
    "Compose",
    "affine",
    "brightness",
    "contrast",
    "crop",
    "cutmix",
    "cutout",
    "flip",
    "gaussian_blur",
    "gaussian_noise",
    "mixup",
    "preview",
    "rotate",
    "sample",
    "saturation",
    "scale",
    "shift",
    "text",
]


def __dir__() -> list[str]:
    return __all__
