"""Section 6.9, the main job: the chapter's ladder of techniques against overfitting, each alone, and one on another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tinyreg as tr
from tinyreg.augment import Compose, rotate, shift

from .base import Demo, Result, Settings
from .data import Split, mnist
from .estimate import INTERVALS, PICKED, Estimate, over
from .learning import answers, apart, train
from .seeds import Tick
from .sizes import more, wide

LEARNED, VALIDATION = 50, 50  # digits of every class; all others are the test
WIDTH, BATCH, LEARNING_RATE, MOMENTUM = 128, 50, 0.05, 0.9
EPOCHS, FAST_EPOCHS = 60, 2
BASELINE = "baseline"
RUNGS: dict[str, dict[str, Any]] = {  # from below, in the order of the chapter; strengths by the validation digits
    "dropout 0.2": {"dropout": 0.2},
    "weight decay 3e-4": {"l2": 3e-4},
    "batch norm": {"norm": tr.nn.BatchNorm},
    "augmentation": {"transform": Compose([rotate, shift])},
    "early stopping": {"patience": 20},
}
WATCHED = (BASELINE, list(RUNGS)[-2])  # of those stacked: with validation loss at every epoch
Norm = Callable[[int], tr.nn.Module]  # makes a layer for so many units


class Scores(NamedTuple):
    """On the test digits."""

    accuracy: float  # in %
    loss: float  # cross-entropy in nats
    calibration: float  # expected calibration error, in points


class Course(NamedTuple):
    """Cross-entropy after each epoch, in nats."""

    training: list[float]  # mean over the epoch's batches, as they were learned from
    validation: list[float]


class Run(NamedTuple):
    """What one seed gave, by rung; the baseline is in all of them."""

    alone: dict[str, Scores]
    stacked: dict[str, Scores]
    courses: dict[str, Course]  # of those WATCHED


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Networks for every rung; they start from the same weights and see the same batches."""
    parts = mnist(more(LEARNED), VALIDATION, seed=seed)
    run = Run({}, {}, {})
    below: dict[str, Any] = {}
    for rung, settings in {BASELINE: {}, **RUNGS}.items():
        below |= settings
        model, course = trained(parts, seed, fast, watched=rung in WATCHED, **below)
        run.stacked[rung] = run.alone[rung] = scores(model, parts[-1])
        if rung in WATCHED:
            run.courses[rung] = course
        tick()
        if below != settings:
            run.alone[rung] = scores(trained(parts, seed, fast, **settings)[0], parts[-1])
            tick()
    return run


def trained(
    parts: list[Split],
    seed: int,
    fast: bool,
    *,
    dropout: float = 0.0,
    l2: float = 0.0,
    norm: Norm = lambda units: tr.nn.Sequential(),
    transform: Compose | None = None,
    patience: int | None = None,
    watched: bool = False,
) -> tuple[tr.nn.Module, Course]:
    """A network that learned with these techniques, and how where that is watched.

    Only early stopping takes anything from the second of the parts.
    """
    learned, validation, _ = parts
    model = network(tr.Generator(seed), dropout, norm)
    history = train(
        model,
        learned,
        validation=[validation] if watched or patience else None,
        loss=tr.losses.cross_entropy,
        optimizer=tr.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, l2=l2),
        epochs=FAST_EPOCHS if fast else EPOCHS,
        batch_size=BATCH,
        rng=tr.Generator(seed),
        transform=transform and apart(transform, seed),
        callbacks=[] if patience is None else [tr.training.EarlyStopping(patience=patience)],
        tick=lambda: None,
    )
    return model, Course(history["loss"], history["validation_loss"] if watched else [])


def network(rng: tr.Generator, dropout: float, norm: Norm) -> tr.nn.Sequential:
    """784-128-128-10, with a norm before and dropout behind each relu."""
    nn, hidden, width = tr.nn, [], wide(WIDTH)
    for inputs in (28 * 28, width):
        hidden += [nn.Linear(inputs, width, rng=rng), norm(width), nn.ReLU(), nn.Dropout(dropout, rng=rng)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, 10, nonlinearity="linear", rng=rng))


def scores(model: tr.nn.Module, test: Split) -> Scores:
    """What the network is worth."""
    logits = answers(model, test.inputs)
    return Scores(
        100 * tr.metrics.accuracy(logits, test.labels),
        tr.losses.cross_entropy(logits, test.labels).item(),
        100 * tr.metrics.calibration_error(logits, test.labels),
    )


# ---- what came out ---------------------------------------------------------------------------------------------------

WAYS = ("alone", "stacked")
LAST = list(RUNGS)[-1]
UNITS = {"accuracy": "%", "loss": "nats", "calibration": "points"}
DECIMALS = {"accuracy": 1, "loss": 3, "calibration": 1}


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each rung; panels for the overfitting, and for accuracy and loss of every rung."""
    epochs = FAST_EPOCHS if settings.fast else EPOCHS
    return Result(
        table=table(runs),
        note=f"On the test digits: {INTERVALS}, {len(runs)} seeds.\n"
        f"A network 784-{wide(WIDTH)}-{wide(WIDTH)}-10 learns from {10 * more(LEARNED)} digits of 28 x 28 pixels in "
        f"{epochs} epochs.\n"
        f"{10 * VALIDATION} others say when to stop early; the test is all the rest of 5,000. Loss in nats; calibration\n"
        "error in points. Stacked: with all rungs above it in the table. Augmentation: turns and shifts, of tr.augment's\n"
        f"default strengths. {PICKED}",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def of(runs: list[Run], way: str, rung: str, number: str) -> list[float]:
    """One of the scores for each seed."""
    return [getattr(getattr(run, way)[rung], number) for run in runs]


def change(runs: list[Run], number: str) -> Estimate:
    """Of all rungs together against the baseline."""
    return Estimate.change(*(of(runs, "stacked", rung, number) for rung in (BASELINE, LAST)))


def table(runs: list[Run]) -> list[list[str]]:
    """All scores, alone and stacked."""
    rows = [["", *(f"{way}: {number}" for way in WAYS for number in UNITS)]]
    for rung in (BASELINE, *RUNGS):
        cells = [Estimate.of(of(runs, way, rung, n)).text(d) for way in WAYS for n, d in DECIMALS.items()]
        rows.append([rung if rung == BASELINE else f"+ {rung}", *cells])
    return rows


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence of at most 25 words that is true whichever way it went."""
    accuracy, loss = change(runs, "accuracy"), change(runs, "loss")
    begin = f"Found {over(len(runs))}: all {len(RUNGS)} rungs together"
    if not (accuracy.clear or loss.clear):
        points, nats = accuracy.text(1, "+"), loss.text(2, "+")
        return f"{begin} changed neither test accuracy ({points} points) nor loss ({nats} nats) clearly."
    changes = accuracy.said("lower", "higher", 1, " points"), loss.said("lower", "higher", 2, " nats")
    said = "{} made test accuracy {} and loss {}".format(begin, *changes)
    best = helped_most(runs) if accuracy.clear and loss.clear else ""
    return f"{said}; alone, {best} helped most." if best else f"{said}."


def helped_most(runs: list[Run]) -> str:
    """The rung that alone brought clearly more accuracy than the baseline and every other rung; none is empty."""
    accuracies = {rung: of(runs, "alone", rung, "accuracy") for rung in (BASELINE, *RUNGS)}
    best = max(accuracies, key=lambda rung: Estimate.of(accuracies[rung]).mean)
    others = [values for rung, values in accuracies.items() if rung != best]
    ahead = [Estimate.change(values, accuracies[best], among=len(RUNGS) * len(others)) for values in others]
    return best if best != BASELINE and all(one.clear for one in ahead) else ""


def draw(runs: list[Run], settings: Settings) -> Path:
    """The overfitting, and test loss and accuracy of every rung, alone and on those before it."""
    from . import picture

    before, after = (Estimate.of(of(runs, "stacked", rung, "accuracy")).text(1) for rung in (BASELINE, LAST))
    title = f"Overfitting, and the ladder against it: from {before}% to {after}% of new digits read correctly"
    figure, (course, *ladders) = picture.new(title, 3, width=3.9)
    base, stacked = ([run.courses[rung] for run in runs] for rung in WATCHED)
    curves = {
        "training, baseline": [one.training for one in base],
        "validation, baseline": [one.validation for one in base],
        "validation, with the rungs": [one.validation for one in stacked],
    }
    for (label, values), look in zip(curves.items(), picture.LOOKS, strict=False):
        picture.curve(course, range(1, len(values[0]) + 1), values, label, look)
    course.set(xlabel="epoch", ylabel="loss (nats)", ylim=(0, None), title="the baseline overfits")
    for axes, number in zip(ladders, ("loss", "accuracy"), strict=True):
        names = [BASELINE, *(f"+ {rung}" for rung in RUNGS)]
        for i, (way, look) in enumerate(zip(WAYS, picture.LOOKS[::2], strict=False)):
            values = [of(runs, way, rung, number) for rung in (BASELINE, *RUNGS)]
            picture.points(axes, names, values, way, look, i / 4)
        axes.axvline(Estimate.of(of(runs, "alone", BASELINE, number)).mean, color="#444444", linewidth=0.8)
        axes.set(xlabel=f"{number} ({UNITS[number]})", title=f"test {number}")
    ladders[1].tick_params(labelleft=False)
    ladders[1].legend(frameon=False)
    return picture.save(figure, settings.out / "ladder.png", picture.over_seeds(len(runs)))


DEMO = Demo(
    name="ladder",
    section="6.9",
    question="Does the chapter's ladder against overfitting help on digits never seen, rung by rung and all together?",
    seconds=45,
    seeds=8,
    steps=lambda fast: 2 * len(RUNGS),
    measure=measure,
    report=report,
)
