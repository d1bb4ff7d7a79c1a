"""Exercise 6.4: mixup on images, and beside it the other augmentations of section 6.7, each alone and all together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinyreg as tr
from tinyreg.augment import Apply, Compose

from .base import Demo, Result, Settings
from .data import Split, digits, patches
from .estimate import INTERVALS, PICKED, Estimate, clearly, over
from .learning import accuracy, answers, train
from .seeds import Tick
from .sizes import wide

SIZE = 8  # pixels, the height and width of all images of this demo
CHANNELS, HIDDEN, LEARNING_RATE, BATCH = (16, 32), 64, 0.003, 25
EPOCHS, FAST_EPOCHS = 150, 2
ALPHA = 1.0  # of mixup and CutMix, as their papers have it for small images
NONE, MIXUP, TOGETHER = "none", "mixup", "all together"


class Task(NamedTuple):
    """A set of images to tell apart."""

    load: Callable[..., list[Split]]  # as `digit_images`
    each: int  # images of every class to learn from
    held_out: int  # and others, of every class
    channels: int
    classes: int
    mirrored: bool  # whether an image mirrored is still one of its class
    size: int = SIZE  # pixels, height and width


def digit_images(*each: int, seed: int) -> list[Split]:
    """`digits` as (N, 1, SIZE, SIZE)."""
    return [Split(split.inputs.reshape(-1, 1, SIZE, SIZE), split.labels) for split in digits(*each, seed=seed)]


TASKS = {
    "digits": Task(digit_images, 5, 150, channels=1, classes=10, mirrored=False),
    "patches": Task(partial(patches, SIZE), 20, 500, channels=3, classes=2, mirrored=True),
}


def network(task: Task, rng: tr.Generator) -> tr.nn.Sequential:
    """Two convolutions and two dense layers."""
    nn = tr.nn
    first, second = CHANNELS
    return nn.Sequential(
        *(nn.Conv2d(task.channels, first, 3, padding="same", rng=rng), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(first, second, 3, padding="same", rng=rng), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(second * (SIZE // 4) ** 2, wide(HIDDEN), rng=rng), nn.ReLU()),
        nn.Linear(wide(HIDDEN), task.classes, nonlinearity="linear", rng=rng),
    )


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
        MIXUP: Compose([Apply(a.mixup, alpha=ALPHA, num_classes=task.classes)]),
        "CutMix": Compose([Apply(a.cutmix, alpha=ALPHA, num_classes=task.classes)]),
    }
    return {NONE: Compose([]), **kinds, TOGETHER: Compose(Apply(kind, chance=0.5) for kind in kinds.values())}


def apart(transform: Compose, seed: int) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """The transform with a generator of its own, so that the order of the batches does not depend on what it draws."""
    own = tr.Generator(1000 + seed)
    return lambda images, labels, rng: transform(images, labels, own)


class Scores(NamedTuple):
    """On images as they are: accuracy in %, cross-entropy in nats."""

    accuracy: float  # on held-out ones, as the loss
    loss: float
    training: float  # accuracy on those that it learned from


Run = dict[str, dict[str, Scores]]  # by task, by augmentation


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """A run for each task and augmentation; those of a task start from the same weights and see the same batches."""
    run: Run = {}
    for name, task in TASKS.items():
        training, held_out, _ = task.load(task.each, task.held_out, seed=seed)
        arms = augmentations(task).items()
        run[name] = {arm: scores(task, training, held_out, transform, seed, fast, tick) for arm, transform in arms}
    return run


def scores(task: Task, training: Split, held_out: Split, transform: Compose, seed: int, fast: bool, tick: Tick) -> Scores:
    """Train a network, and try it."""
    model = network(task, tr.Generator(seed))
    train(
        model,
        training,
        transform=apart(transform, seed),
        loss=tr.losses.cross_entropy,
        optimizer=tr.optim.Adam(model.parameters(), lr=LEARNING_RATE),
        epochs=FAST_EPOCHS if fast else EPOCHS,
        batch_size=BATCH,
        rng=tr.Generator(seed),
        tick=tick,
    )
    logits = answers(model, held_out.inputs)
    said, told = accuracy(logits, held_out.labels), tr.losses.cross_entropy(logits, held_out.labels)
    return Scores(said.item(), told.item(), accuracy(answers(model, training.inputs), training.labels).item())


# ---- what came out ---------------------------------------------------------------------------------------------------


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each augmentation, and three columns for each task."""
    sizes = " and ".join(f"{task.each * task.classes} {name}" for name, task in TASKS.items())
    least = min(Estimate.of([run[task][arm].training for run in runs]).mean for task in TASKS for arm in runs[0][task])
    return Result(
        table=table(runs),
        note=f"On held-out images: accuracy in % and cross-entropy in nats, {INTERVALS}, {len(runs)} seeds;\n"
        "changes are those of accuracy against no augmentation, in points, from pairs of runs. A small convolutional\n"
        f"network learns from {sizes} of {SIZE} x {SIZE} pixels, in {FAST_EPOCHS if settings.fast else EPOCHS} epochs of "
        f"Adam at {LEARNING_RATE:g}, after\nwhich it had at least {least:.0f} % of them right, unchanged, in every row. "
        "Digits: ten classes, never mirrored.\nPatches: which of two photographs is one from? Strengths: the defaults of "
        f"tr.augment, blur up to 1 pixel,\nalpha = {ALPHA:g}; all together: each kind half of the time.\n{PICKED}",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def of_arm(runs: list[Run], task: str, arm: str) -> list[float]:
    """The accuracy for each seed."""
    return [run[task][arm].accuracy for run in runs]


def change(runs: list[Run], task: str, arm: str, among: int = 1) -> Estimate:
    """Of the accuracy, by an augmentation."""
    return Estimate.change(of_arm(runs, task, NONE), of_arm(runs, task, arm), among=among)


def table(runs: list[Run]) -> list[list[str]]:
    """For each augmentation and task: accuracy, its change, and cross-entropy."""
    rows = [["augmentation", *(cell for task in TASKS for cell in (f"{task}: accuracy", "change", "loss"))]]
    for arm in runs[0]["digits"]:
        row = [arm]
        for task in TASKS:
            changed = "" if arm == NONE else change(runs, task, arm).text(1, "+")
            loss = Estimate.of([run[task][arm].loss for run in runs]).text(2)
            row += [Estimate.of(of_arm(runs, task, arm)).text(1), changed, loss]
        rows.append(row)
    return rows


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    said, others = [], []
    for task in TASKS:
        arms = [arm for arm in runs[0][task] if arm not in (NONE, MIXUP)]
        said.append(f"{change(runs, task, MIXUP).said('lower', 'higher', 1, ' points')} on {task}")
        others.append(f"{clearly({arm: change(runs, task, arm, len(arms)) for arm in arms}, 'lower', 'higher')} on {task}")
    return (
        f"Found {over(len(runs))}: with mixup the held-out accuracy was {' and '.join(said)}; of the {len(arms)} "
        f"other augmentations, it was {', and '.join(others)}."
    )


def draw(runs: list[Run], settings: Settings) -> Path:
    """The changes of accuracy for each task, and in the same rows what the augmentations make of images."""
    from . import picture

    gains = " and ".join(f"{change(runs, task, MIXUP).text(1, '+')} points on {task}" for task in TASKS)
    gains = gains.replace("-", "\N{MINUS SIGN}")
    figure, (changes, sheet) = picture.new(f"Mixup changed the held-out accuracy by {gains}", 2)
    arms = list(runs[0]["digits"])
    for k, (task, look) in enumerate(zip(TASKS, picture.LOOKS, strict=False)):
        before = of_arm(runs, task, NONE)
        by_pair = [[a - b for a, b in zip(of_arm(runs, task, arm), before, strict=True)] for arm in arms]
        picture.points(changes, arms, by_pair, task, look, 0.25 * k)
    changes.axvline(0, color="#444444", linewidth=0.8)
    changes.set(xlabel="change of the held-out accuracy (points)", ylim=(0.5 - len(arms), 0.5))
    sheet.imshow(contact_sheet(), extent=(0, 1, 0.5 - len(arms), 0.5), aspect="auto")
    sheet.set(xticks=[], yticks=[], xlabel="what is learned from with each, digits and patches")
    sheet.spines[:].set_visible(False)
    sheet.grid(False)
    return picture.save(figure, settings.out / "mixup.png", picture.over_seeds(len(runs)))


def contact_sheet(across: int = 5) -> Any:
    """A row for each augmentation: `across` images of each task, as it makes them, (height, width, 3)."""
    columns = []
    for task in TASKS.values():
        images, labels = task.load(task.each, seed=0)[0]
        order = tr.Generator(0).permutation(len(labels))[:across]
        chosen = Split(images[order], labels[order])
        rows = []
        for transform in augmentations(task).values():
            tiles = transform(*chosen, tr.Generator(1))[0].numpy()
            tiles = np.broadcast_to(tiles, (across, 3, SIZE, SIZE)).transpose(0, 2, 3, 1)
            rows.append(np.concatenate(np.pad(tiles, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1), axis=1))
        columns.append(np.concatenate(rows))
    return np.concatenate(columns, axis=1)


DEMO = Demo(
    name="mixup",
    section="6.7, exercise 6.4",
    question="How much do mixup and the other augmentations of images improve a network that has few to learn from?",
    seconds=30,
    seeds=5,
    steps=lambda fast: len(TASKS) * len(augmentations(TASKS["digits"])) * (FAST_EPOCHS if fast else EPOCHS),
    measure=measure,
    report=report,
)
