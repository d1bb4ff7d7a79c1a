"""Section 6.9, the main job: the chapter's ladder of techniques against overfitting, each alone, and one on another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tinyreg as tr
from tinyreg.augment import Compose, rotate, shift

from .base import Demo, Result, Settings, Tick
from .data import Split
from .digit_network import BATCH, LEARNING_RATE, MOMENTUM, WIDTH, linears
from .estimate import INTERVALS, PICKED, Estimate, clearly, over
from .learning import accuracy, answers, train
from .mixup import apart, digit_images
from .overfitting import EACH, EPOCHS, FAST_EPOCHS

BASELINE = "baseline"
RUNGS: dict[str, dict[str, Any]] = {  # from below; of what the chapter says, and a norm takes the place of another
    "dropout 0.5": {"dropout": 0.5},
    "weight decay 1e-4": {"l2": 1e-4},
    "layer norm": {"norm": tr.nn.LayerNorm},
    "batch norm": {"norm": tr.nn.BatchNorm},
    "augmentation": {"transform": Compose([rotate, shift])},
    "early stopping": {"patience": 10},
}
Norm = Callable[[int], tr.nn.Module]  # makes a layer for so many units


class Scores(NamedTuple):
    """Accuracy in %."""

    training: float  # on the digits learned from, as they are
    test: float

    @property
    def gap(self) -> float:
        """In points."""
        return self.training - self.test


class Run(NamedTuple):
    """What one seed gave, by rung; the baseline is in both."""

    alone: dict[str, Scores]
    stacked: dict[str, Scores]


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Networks for every rung; they start from the same weights and see the same batches."""
    parts = digit_images(EACH, EACH, seed=seed)
    stacked = {BASELINE: scores(parts, seed, fast)}
    alone = dict(stacked)
    tick()
    below: dict[str, Any] = {}
    for rung, settings in RUNGS.items():
        below |= settings
        alone[rung] = scores(parts, seed, fast, **settings)
        tick()
        stacked[rung] = alone[rung] if below == settings else scores(parts, seed, fast, **below)
        tick()
    return Run(alone, stacked)


def scores(
    parts: list[Split],
    seed: int,
    fast: bool,
    *,
    dropout: float = 0.0,
    l2: float = 0.0,
    norm: Norm = lambda units: tr.nn.Sequential(),
    transform: Compose | None = None,
    patience: int | None = None,
) -> Scores:
    """Train a network with these techniques, and try it. Only early stopping looks at the second of the parts."""
    training, validation, test = parts
    model = network(tr.Generator(seed), dropout, norm)
    early: dict[str, Any] = {}
    if patience is not None:
        early = {"validation": [validation], "callbacks": [tr.training.EarlyStopping(patience=patience)]}
    train(
        model,
        training,
        loss=tr.losses.cross_entropy,
        optimizer=tr.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, l2=l2),
        epochs=FAST_EPOCHS if fast else EPOCHS,
        batch_size=BATCH,
        rng=tr.Generator(seed),
        transform=transform and apart(transform, seed),
        tick=lambda: None,
        **early,
    )
    return Scores(*(accuracy(answers(model, part.inputs), part.labels).item() for part in (training, test)))


def network(rng: tr.Generator, dropout: float, norm: Norm) -> tr.nn.Sequential:
    """That of `digit_network`, with a norm before and dropout behind each relu."""
    nn, layers = tr.nn, linears(rng)
    hidden = [part for linear in layers[:-1] for part in (linear, norm(WIDTH), nn.ReLU(), nn.Dropout(dropout, rng=rng))]
    return nn.Sequential(nn.Flatten(), *hidden, layers[-1])


# ---- what came out ---------------------------------------------------------------------------------------------------

WAYS = ("alone", "stacked")
NUMBERS: dict[str, Callable[[Scores], float]] = {
    "training": lambda scores: scores.training,
    "test": lambda scores: scores.test,
    "gap": lambda scores: scores.gap,
}


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each rung; panels for accuracy alone and stacked, and for how it differs from the baseline's."""
    epochs = FAST_EPOCHS if settings.fast else EPOCHS
    return Result(
        table=table(runs),
        note=f"Accuracy in % and gap in points: {INTERVALS}, {len(runs)} seeds.\n"
        f"A network of two hidden layers learns from {10 * EACH} digits of 8 x 8 pixels, {epochs} epochs.\n"
        "Training: accuracy on these, as they are, after training. Stacked: with all rungs above it in the table, but\n"
        "batch norm takes the place of layer norm. Augmentation: turns and shifts, of tr.augment's default strengths.\n"
        f"{10 * EACH} digits apart from all these say when to stop early; all others are the test.\n{PICKED}",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def of(runs: list[Run], way: str, rung: str, number: str) -> list[float]:
    """One of NUMBERS for each seed."""
    return [NUMBERS[number](getattr(run, way)[rung]) for run in runs]


def change(runs: list[Run], way: str, rung: str, number: str, among: int = 1) -> Estimate:
    """Of one of NUMBERS, against the baseline."""
    return Estimate.change(of(runs, way, BASELINE, number), of(runs, way, rung, number), among=among)


def table(runs: list[Run]) -> list[list[str]]:
    """All NUMBERS, alone and stacked."""
    rows = [["", *(f"{way}: {number}" for way in WAYS for number in NUMBERS)]]
    for i, rung in enumerate((BASELINE, *RUNGS)):
        cells = [Estimate.of(of(runs, way, rung, number)).text(1) for way in WAYS for number in NUMBERS]
        rows.append([f"+ {rung}" if i else rung, *cells])
    return rows


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    gap, test = (Estimate.of(of(runs, "alone", BASELINE, number)).mean for number in ("gap", "test"))
    narrowed, improved = (
        clearly({rung: change(runs, "alone", rung, number, len(RUNGS)) for rung in RUNGS}, "lower", "higher")
        for number in ("gap", "test")
    )
    last = list(RUNGS)[-1]
    gap_of_all, test_of_all = (
        change(runs, "stacked", last, number).said("lower", "higher", 1, " points") for number in ("gap", "test")
    )
    return (
        f"Found {over(len(runs))}: alone, the gap of {gap:.1f} points between training and test accuracy was {narrowed}, "
        f"and the test accuracy of {test:.1f}% {improved}; all rungs stacked made the gap {gap_of_all} and the test "
        f"accuracy {test_of_all}."
    )


def draw(runs: list[Run], settings: Settings) -> Path:
    """Training and test accuracy of every rung, alone and stacked, and the change of test accuracy."""
    from . import picture

    rungs, last = [BASELINE, *RUNGS], list(RUNGS)[-1]
    before, after = (Estimate.of(of(runs, "stacked", rung, "test")).text(1) for rung in (BASELINE, last))
    figure, panels = picture.new(f"Test accuracy: {before}% for the baseline, {after}% with every rung of the ladder", 3)
    names = [BASELINE, *(f"+ {rung}" for rung in RUNGS)]
    for axes, way in zip(panels, WAYS, strict=False):
        for part, look in zip(("training", "test"), picture.LOOKS, strict=False):
            picture.points(axes, names, [of(runs, way, rung, part) for rung in rungs], part, look)
        means = [[Estimate.of(of(runs, way, rung, part)).mean for rung in rungs] for part in ("test", "training")]
        axes.hlines([-i for i in range(len(rungs))], *means, color="#7a7a7a", linewidth=1, label="gap")
        axes.set(xlabel="accuracy (%)", title={"alone": "each alone", "stacked": "each on those above"}[way])
    panels[1].sharex(panels[0])
    for i, (way, look) in enumerate(zip(WAYS, picture.LOOKS[2:], strict=False)):
        by_pair = [
            [b - a for a, b in zip(*(of(runs, way, r, "test") for r in (BASELINE, rung)), strict=True)] for rung in RUNGS
        ]
        picture.points(panels[2], names[1:], by_pair, way, look, i / 4)
    panels[2].axvline(0, color="#444444", linewidth=0.8)
    panels[2].set(xlabel="change of test accuracy (points)", title="against the baseline")
    panels[2].legend(frameon=False, fontsize="small")
    return picture.save(figure, settings.out / "ladder.png", picture.over_seeds(len(runs)))


DEMO = Demo(
    name="ladder",
    section="6.9",
    question="What does each rung of the chapter's ladder against overfitting bring, alone and on top of those before it?",
    seconds=40,
    seeds=8,
    steps=lambda fast: 1 + 2 * len(RUNGS),
    measure=measure,
    report=report,
)
