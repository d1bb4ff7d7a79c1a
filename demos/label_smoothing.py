"""Section 6.8: accuracy, confidence and calibration of networks that learn from smoothed labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tinyreg as tr

from . import arms
from .arms import Arm, about
from .base import Demo, Result, Settings
from .compared import SCORES, Comparison, Score
from .data import Split
from .estimate import Estimate, listed, over
from .learning import answers
from .seeds import Tick

SMOOTHINGS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
USUAL = SMOOTHINGS.index(0.1)  # as in Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016
SETTINGS = {"as usual": Arm(), "five times the rate": Arm(rate=0.05), "noisy labels": Arm(redrawn=0.3)}
FIRST = next(iter(SETTINGS))
BINS = 15  # as in Guo et al., "On Calibration of Modern Neural Networks", 2017


class Bin(NamedTuple):
    """Sums over the answers whose confidence is in an interval of width 1 / BINS."""

    answers: int
    confidence: float
    correct: int


class Run(NamedTuple):
    """What one seed gave."""

    scores: dict[str, dict[str, float]]  # of `arms.measured`, by `named`
    bins: dict[str, list[Bin]]


def named(setting: str, i: int) -> str:
    """The arm with smoothing i of SMOOTHINGS."""
    return f"{setting}: {SMOOTHINGS[i]:g}"


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """A training for each setting and smoothing; those of a setting have the same start and batches."""
    run = Run({}, {})
    for setting, arm in SETTINGS.items():
        for i, smoothing in enumerate(SMOOTHINGS):
            model, (*_, test), _ = arms.trained(replace(arm, smoothing=smoothing), seed, fast)
            scores = arms.measured(model, test)
            run.scores[named(setting, i)] = scores | {"over": scores["confidence"] - scores["accuracy"]}
            run.bins[named(setting, i)] = bins(model, test)
            tick()
    return run


def bins(model: tr.nn.Module, test: Split) -> list[Bin]:
    """Its answers by their confidence."""
    logits = answers(model, test.inputs)
    confidence = tr.softmax(logits, axis=1).max(axis=1).numpy().astype(float)
    return binned(confidence, (tr.argmax(logits, axis=1) == test.labels).numpy())


def binned(confidence: np.ndarray, correct: np.ndarray) -> list[Bin]:
    """Answers by confidence, in (b / BINS, (b + 1) / BINS] for bin b. Both: (N,), probabilities and booleans."""
    of = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return [Bin(int((of == b).sum()), float(confidence[of == b].sum()), int(correct[of == b].sum())) for b in range(BINS)]


# ---- what came out ---------------------------------------------------------------------------------------------------

COLUMNS = {**SCORES, "over": Score("confidence above accuracy", 1, " points")}


def compared(runs: list[Run]) -> Comparison:
    """Each smoothing against none, in each setting."""
    against = {named(setting, i): named(setting, 0) for setting in SETTINGS for i in range(1, len(SMOOTHINGS))}
    return Comparison([run.scores for run in runs], against, COLUMNS)


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each setting and smoothing, the reliability diagram, and what smoothing does to calibration and loss."""
    found = compared(runs)
    return Result(
        table=found.table(),
        note=f"{about(Arm())} {arms.NOISY} {len(runs)} seeds.\n{found.note()}",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    found = compared(runs)
    said = {score: found.said(named(FIRST, USUAL), score) for score in SCORES}
    return (
        f"Found {over(len(runs))}: with smoothing {SMOOTHINGS[USUAL]:g} test accuracy was {said['accuracy']}, loss "
        f"{said['loss']}, and the calibration error {said['calibration']}; that error was least with "
        f"{listed([least(found, setting) for setting in SETTINGS])}."
    )


def least(found: Comparison, setting: str) -> str:
    """With which smoothing the calibration error was least, in words, and how much less that is where it is clear."""
    best = min(range(len(SMOOTHINGS)), key=lambda i: Estimate.of(found.of(named(setting, i), "calibration")).mean)
    clear = best and found.changes[named(setting, best), "calibration"].clear
    change = f", {found.said(named(setting, best), 'calibration')}" if clear else ""
    return f"{SMOOTHINGS[best]:g} ({setting}{change})"


def draw(runs: list[Run], settings: Settings) -> Path:
    """The reliability diagram, and calibration error and loss over the smoothing."""
    from . import picture

    found = compared(runs)
    error = " to ".join(f"{Estimate.of(found.of(named(FIRST, i), 'calibration')).mean:.1f}" for i in (0, USUAL))
    figure, (diagram, *panels) = picture.new(f"Smoothing {SMOOTHINGS[USUAL]:g}: calibration error from {error} points", 3)
    diagram.plot([0, 100], [0, 100], color="#444444", linewidth=0.8)
    for i, look in zip((0, 1, USUAL), picture.LOOKS, strict=False):
        confidence, accuracies = reliability([run.bins[named(FIRST, i)] for run in runs])
        label = f"smoothing {SMOOTHINGS[i]:g}"
        diagram.plot(confidence, accuracies, look.dashes, color=look.colour, marker=look.marker, markersize=5, label=label)
    diagram.set(xlabel="confidence (%)", ylabel="accuracy (%)", xlim=(0, 101), ylim=(0, 101), title=FIRST)
    diagram.legend(frameon=False)
    places = range(len(SMOOTHINGS))
    for axes, score in zip(panels, ("calibration", "loss"), strict=True):
        for setting, look in zip(SETTINGS, picture.LOOKS, strict=False):
            curves = [[run.scores[named(setting, i)][score] for i in places] for run in runs]
            picture.curve(axes, places, curves, setting, look)
        axes.set_xticks(places, [f"{smoothing:g}" for smoothing in SMOOTHINGS])
        axes.set(xlabel="smoothing", ylabel=COLUMNS[score].head, ylim=(0, None))
    panels[0].legend(frameon=False)
    note = f"left: answers of all seeds, in bins with at least 1% of them; others: {picture.over_seeds(len(runs))}"
    return picture.save(figure, settings.out / "label_smoothing.png", note, legend=False)


def reliability(runs: list[list[Bin]]) -> tuple[list[float], list[float]]:
    """Confidence and accuracy in %, of all seeds together, for each bin with at least 1% of all answers."""
    sums = [[sum(column) for column in zip(*bins, strict=True)] for bins in zip(*runs, strict=True)]
    fewest = 0.01 * sum(n for n, _, _ in sums)
    kept = [(100 * confidence / n, 100 * correct / n) for n, confidence, correct in sums if n >= fewest]
    return [confidence for confidence, _ in kept], [share for _, share in kept]


DEMO = Demo(
    name="label_smoothing",
    section="6.8",
    question="Does label smoothing make a network less overconfident, and how accurate and how well calibrated is it then?",
    seconds=40,
    seeds=10,
    steps=lambda fast: len(SETTINGS) * len(SMOOTHINGS),
    measure=measure,
    report=report,
)
