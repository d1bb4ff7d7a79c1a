"""The problems of the chapter's table in section 6.9: data, a network, and what the chapter recommends for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import tinyreg as tr
from tinyreg.augment import Apply, Compose

from . import text
from .data import Split, mnist, patches
from .docstrings import PACKAGES, Texts, docstrings, encode
from .learning import apart
from .sizes import wide

WIDTH, BATCH, FAST_EACH = 128, 50, 5
TOGETHER = "all together"


class Method(NamedTuple):
    """What is done against overfitting."""

    dropout: float = 0.0
    augmented: bool = False
    weight_decay: float = 0.0
    stopped_early: bool = False
    norm: str = ""
    smoothing: float = 0.0


TECHNIQUES: dict[str, dict[str, Any]] = {
    "dropout": {"dropout": 0.3},  # of the chapter's range for hidden layers
    "augmentation": {"augmented": True},
    "weight decay": {"weight_decay": 0.1},  # with AdamW; as in Brown et al., "Language Models are Few-Shot Learners", 2020
    "early stopping": {"stopped_early": True},
    "layer norm": {"norm": "layer"},
    "batch norm": {"norm": "batch"},
    "label smoothing": {"smoothing": 0.1},
}


def norm(kind: str) -> tr.nn.Module:
    """A norm of WIDTH units, "layer" or "batch"; "" is none."""
    makers: dict[str, Callable[[], tr.nn.Module]] = {
        "": tr.nn.Sequential,
        "layer": partial(tr.nn.LayerNorm, wide(WIDTH)),
        "batch": partial(tr.nn.BatchNorm, wide(WIDTH)),
    }
    return makers[kind]()


class Task(NamedTuple):
    """A set of images to tell apart."""

    load: Callable[..., list[Split]]  # as `data.mnist`
    each: int  # images of every class to learn from
    held_out: int  # and others, of every class
    channels: int
    classes: int
    mirrored: bool  # whether an image mirrored is still one of its class
    size: int  # pixels, height and width


def augmentations(task: Task) -> dict[str, Compose]:
    """The chapter's kinds, by name; strengths are the defaults, but blur is kept below a pixel, as the images are small."""
    a = tr.augment
    cropped = Apply(a.crop, size=task.size, padding=task.size // 8)
    kinds = {
        "geometric": Compose([a.flip] * task.mirrored + [a.rotate, a.scale, cropped]),
        "colour": Compose([a.brightness, a.contrast, a.saturation]),
        "noise": Compose([a.gaussian_noise]),
        "blur": Compose([Apply(a.gaussian_blur, sigmas=(0.1, 1.0))]),
        "erasing": Compose([a.cutout]),
        "mixup": Compose([Apply(a.mixup, alpha=1.0, num_classes=task.classes)]),
        "CutMix": Compose([Apply(a.cutmix, alpha=1.0, num_classes=task.classes)]),
    }
    return {**kinds, TOGETHER: Compose(Apply(kind, chance=0.5) for kind in kinds.values())}


@dataclass(frozen=True)
class Images:
    """A set of images to tell apart, for a dense network."""

    name: str
    task: Task
    epochs: int
    recommended: tuple[str, ...]  # of TECHNIQUES, by the chapter
    kinds: tuple[str, ...] = ("geometric", "colour")  # of augmentation
    left_out: tuple[str, ...] = ()  # of TECHNIQUES

    def samples(self, fast: bool) -> str:
        """How many there are to learn from."""
        return f"{(FAST_EACH if fast else self.task.each) * self.task.classes:,} {self.name}"

    def parts(self, seed: int, fast: bool) -> list[Any]:
        """What to learn from; and as `Split`: the same, as much again to see by when to stop, and what is held out."""
        each = FAST_EACH if fast else self.task.each
        splits = self.task.load(each, each, self.task.held_out, seed=seed)[:3]
        return [splits[0], *splits]

    def model(self, method: Method, rng: tr.Generator) -> tr.nn.Module:
        """The network, which starts from the same weights whatever the method: two hidden layers of WIDTH units."""
        nn, width = tr.nn, wide(WIDTH)

        def hidden(inputs: int) -> list[tr.nn.Module]:
            return [nn.Linear(inputs, width, rng=rng), norm(method.norm), nn.ReLU(), nn.Dropout(method.dropout, rng=rng)]

        layers = [nn.Flatten(), *hidden(self.task.channels * self.task.size**2), *hidden(width)]
        return nn.Sequential(*layers, nn.Linear(width, self.task.classes, nonlinearity="linear", rng=rng))

    def learned_from(self, training: Split, method: Method, seed: int) -> dict[str, Any]:
        """What `train` is told about data: batches do not depend on the method, but for what augmentation changes."""
        kinds = augmentations(self.task)
        transform = Compose([kinds[kind] for kind in self.kinds if method.augmented])
        return {"data": training, "transform": apart(transform, seed), "rng": tr.Generator(seed), "batch_size": BATCH}


@dataclass(frozen=True)
class Sentences:
    """The task of the demo `text`, for its Transformer. Fields and methods are those of `Images`."""

    name: str
    each: int
    epochs: int
    recommended: tuple[str, ...]
    left_out: tuple[str, ...] = ("batch norm",)  # whose statistics would count the padding

    def samples(self, fast: bool) -> str:
        """How many there are to learn from."""
        return f"{(FAST_EACH if fast else self.each) * len(PACKAGES)} {self.name}"

    def parts(self, seed: int, fast: bool) -> list[Any]:
        """What to learn from, as `Texts`; and as `Split`, as for images."""
        each = FAST_EACH if fast else self.each
        texts = docstrings(each, each, seed=seed)
        return [texts[0], *(Split(encode(part.sentences), part.labels) for part in texts)]

    def model(self, method: Method, rng: tr.Generator) -> tr.nn.Module:
        """The Transformer, which starts from the same weights whatever the method, and has no norm but for "layer"."""
        return text.Transformer(rng, dropout=method.dropout, layer_norm=method.norm == "layer")

    def learned_from(self, training: Texts, method: Method, seed: int) -> dict[str, Any]:
        """What `train` is told about data: each sentence is changed by one of the edits, where augmentation is on."""
        return {"data": text.Edited(training, text.edits()[text.ANY if method.augmented else text.NONE], seed)}


DIGITS = Task(mnist, 50, 399, channels=1, classes=10, mirrored=False, size=28)
PATCHES = Task(partial(patches, 8), 20, 500, channels=3, classes=2, mirrored=True, size=8)
Problem = Images | Sentences
# Where samples are few, several times as many epochs as the network needs to fit them when nothing is done against it.
PROBLEMS: dict[str, Problem] = {
    "images": Images("digits", DIGITS, 60, ("dropout", "augmentation", "weight decay")),
    "text": Sentences("sentences", text.EACH, text.EPOCHS, ("layer norm", "dropout", "label smoothing")),
    "few data": Images(
        "patches",
        PATCHES._replace(each=10, held_out=1000),
        200,
        ("augmentation", "dropout", "early stopping"),
        (TOGETHER,),
    ),
    "much data": Images("patches", PATCHES._replace(each=1500, held_out=1000), 6, ("batch norm",)),
}
