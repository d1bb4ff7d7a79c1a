"""Exercise 6.4: mixup on images, and beside it the other augmentations of section 6.7, each alone and all together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import tinyreg as tr
from tinyreg.augment import Compose

from . import arms
from .arms import AUGMENTATIONS, Arm, about
from .base import Demo, Result, Settings
from .compared import SCORES, Comparison
from .data import mnist
from .estimate import over
from .seeds import Tick

NONE, MIXUP = "none", "mixup 0.2"
SETTINGS = {"500 digits": Arm(), "noisy labels": Arm(redrawn=0.3)}
ON = {"500 digits": "on 500 digits", "noisy labels": "with noisy labels"}

Run = dict[str, dict[str, float]]  # scores of `arms.measured`, by `named`


def named(setting: str, augmentation: str) -> str:
    """A row of the table."""
    return f"{setting}: {augmentation}"


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """A training for each setting and augmentation; those of a setting have the same start and batches."""
    run: Run = {}
    for setting, arm in SETTINGS.items():
        for name in (NONE, *AUGMENTATIONS):
            model, (*_, test), _ = arms.trained(replace(arm, augmentation="" if name == NONE else name), seed, fast)
            run[named(setting, name)] = arms.measured(model, test)
            tick()
    return run


# ---- what came out ---------------------------------------------------------------------------------------------------


def compared(runs: list[Run]) -> Comparison:
    """Each augmentation against none, in each setting."""
    against = {named(setting, name): named(setting, NONE) for setting in SETTINGS for name in AUGMENTATIONS}
    return Comparison(runs, against, SCORES)


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each setting and augmentation."""
    found = compared(runs)
    return Result(
        table=found.table(),
        note=f"{about(Arm())} {arms.NOISY} {len(runs)} seeds.\nThe number of a mixup is its alpha; that of CutMix is 1. "
        "Geometric: turns and shifts. Other strengths: the defaults of tr.augment. All together: each kind half of the "
        f"time, mixup 1.\n{found.note()}",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    found = compared(runs)
    mixup = " and ".join(f"{found.said(named(setting, MIXUP), 'loss')} {ON[setting]}" for setting in SETTINGS)
    others = " and ".join(f"{helped(found, setting)} {ON[setting]}" for setting in SETTINGS)
    return (
        f"Found {over(len(runs))}: with {MIXUP.replace('mixup', 'mixup of alpha')} test loss was {mixup}; of the "
        f"{len(AUGMENTATIONS) - 1} other augmentations, {others} made test accuracy clearly better."
    )


def helped(found: Comparison, setting: str) -> str:
    """How many of the others made accuracy clearly higher, and which of them by most."""
    gains = {name: found.changes[named(setting, name), "accuracy"] for name in AUGMENTATIONS if name != MIXUP}
    clear = {name: gain.mean for name, gain in gains.items() if gain.clear and gain.mean > 0}
    return f"{len(clear)} (most: {max(clear, key=lambda name: clear[name])})" if clear else "none"


def draw(runs: list[Run], settings: Settings) -> Path:
    """The changes of accuracy and loss for each setting, and in the same rows what the augmentations make of images."""
    from . import picture

    found, names = compared(runs), list(AUGMENTATIONS)
    first = next(iter(SETTINGS))
    gains = [found.changes[named(first, MIXUP), score].text(SCORES[score].decimals, "+") for score in ("accuracy", "loss")]
    title = f"Mixup changed test accuracy by {gains[0]} points and loss by {gains[1]} nats"
    figure, (*panels, sheet) = picture.new(title.replace("-", "\N{MINUS SIGN}"), 3)
    for axes, score in zip(panels, ("accuracy", "loss"), strict=True):
        for k, (setting, look) in enumerate(zip(SETTINGS, picture.LOOKS, strict=False)):
            by_pair = [found.differences(named(setting, name), score) for name in names]
            picture.points(axes, names, by_pair, setting, look, 0.25 * k)
        axes.axvline(0, color="#444444", linewidth=0.8)
        axes.set(xlabel=f"change of test {score} ({SCORES[score].unit.strip()})", ylim=(0.5 - len(names), 0.5))
    panels[1].set_yticklabels([])
    sheet.imshow(contact_sheet(), extent=(0, 1, 0.5 - len(names), 0.5), aspect="auto", cmap="gray_r")
    sheet.set(xticks=[], yticks=[], xlabel="what is learned from with each")
    sheet.spines[:].set_visible(False)
    sheet.grid(False)
    return picture.save(figure, settings.out / "mixup.png", picture.over_seeds(len(runs)))


def contact_sheet(across: int = 10) -> Any:
    """A row for each of AUGMENTATIONS: `across` digits as it makes them, (height, width)."""
    images, labels = mnist(Arm().each, seed=0)[0]
    order = tr.Generator(0).permutation(len(labels))[:across]

    def row(transform: Compose) -> Any:
        tiles = transform(images[order], labels[order], tr.Generator(1))[0].numpy()[:, 0]
        return np.concatenate(np.pad(tiles, ((0, 0), (1, 1), (1, 1))), axis=1)

    return np.concatenate([row(transform) for transform in AUGMENTATIONS.values()])


DEMO = Demo(
    name="mixup",
    section="6.7, exercise 6.4",
    question="How much do mixup and the other augmentations of images improve a network that has few to learn from?",
    seconds=60,
    seeds=6,
    steps=lambda fast: len(SETTINGS) * (1 + len(AUGMENTATIONS)),
    measure=measure,
    report=report,
)
