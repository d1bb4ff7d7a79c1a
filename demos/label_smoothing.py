"""Section 6.8: accuracy, confidence and calibration of networks that learn from smoothed labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tinyreg as tr

from .base import Demo, Result, Settings
from .data import Split, digits
from .digit_network import learn, linears
from .estimate import INTERVALS, PICKED, Estimate, over
from .learning import accuracy, answers
from .seeds import Tick

SMOOTHINGS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
USUAL = SMOOTHINGS.index(0.1)  # as in Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016
BINS = 15  # as in Guo et al., "On Calibration of Modern Neural Networks", 2017
EACH, EPOCHS, FAST_EPOCHS = 10, 200, 8


class Bin(NamedTuple):
    """Sums over the answers whose confidence is in an interval of width 1 / BINS."""

    answers: int
    confidence: float
    correct: int

    @property
    def gap(self) -> float:
        """By how much confidence is above accuracy, summed over the answers."""
        return self.confidence - self.correct


class Scores(NamedTuple):
    """On held-out digits: in %, but the loss, cross-entropy with labels as they are, in nats."""

    accuracy: float
    confidence: float
    loss: float
    bins: list[Bin]

    @property
    def overconfidence(self) -> float:
        """Confidence above accuracy, in points."""
        return self.confidence - self.accuracy

    @property
    def calibration_error(self) -> float:
        """100 sum_b n_b / N |confidence_b - accuracy_b| over bins: the expected calibration error, in points."""
        return 100 * sum(abs(one.gap) for one in self.bins) / sum(one.answers for one in self.bins)


Run = list[Scores]  # for each of SMOOTHINGS


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """A run for each smoothing; they start from the same weights and see the same batches."""
    training, held_out = digits(EACH, seed=seed)
    return [scores(trained(training, smoothing, seed, fast, tick), held_out) for smoothing in SMOOTHINGS]


def trained(training: Split, smoothing: float, seed: int, fast: bool, tick: Tick) -> tr.nn.Module:
    """A network that has learned from labels so smoothed."""
    rng = tr.Generator(seed)
    first, second, last = linears(rng)
    model = tr.nn.Sequential(first, tr.nn.ReLU(), second, tr.nn.ReLU(), last)
    loss = partial(tr.losses.cross_entropy, label_smoothing=smoothing)
    learn(model, training, FAST_EPOCHS if fast else EPOCHS, rng, tick, loss)
    return model


def scores(model: tr.nn.Module, held_out: Split) -> Scores:
    """What its answers are worth, and what it holds them to be worth."""
    logits = answers(model, held_out.inputs)
    confidence = tr.softmax(logits, axis=1).max(axis=1).numpy().astype(float)
    correct = (tr.argmax(logits, axis=1) == held_out.labels).numpy()
    loss = tr.losses.cross_entropy(logits, held_out.labels).item()
    share = accuracy(logits, held_out.labels).item()
    return Scores(share, 100 * float(confidence.mean()), loss, binned(confidence, correct))


def binned(confidence: np.ndarray, correct: np.ndarray) -> list[Bin]:
    """Answers by confidence, in (b / BINS, (b + 1) / BINS] for bin b. Both: (N,), probabilities and booleans."""
    of = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return [Bin(int((of == b).sum()), float(confidence[of == b].sum()), int(correct[of == b].sum())) for b in range(BINS)]


# ---- what came out ---------------------------------------------------------------------------------------------------

COLUMNS = {  # what of a run, and with how many decimals
    "accuracy (%)": ("accuracy", 1),
    "confidence (%)": ("confidence", 1),
    "confidence above accuracy": ("overconfidence", 1),
    "calibration error": ("calibration_error", 1),
    "loss (nats)": ("loss", 3),
}


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each smoothing, the reliability diagram, and what smoothing does to accuracy and confidence."""
    epochs = FAST_EPOCHS if settings.fast else EPOCHS
    return Result(
        table=table(runs),
        note=f"{10 * EACH} digits to learn from, {epochs} epochs; measured on all other digits. {len(runs)} seeds:\n"
        f"{INTERVALS}. Confidence: the mean of the largest probability.\n"
        f"Calibration error: how far confidence and accuracy are apart in {BINS} bins of confidence, in points.\n"
        f"Loss: cross-entropy with labels that are not smoothed.\n{PICKED}",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def table(runs: list[Run]) -> list[list[str]]:
    """All numbers of COLUMNS for each smoothing."""
    rows = [["smoothing", *COLUMNS]]
    for i, smoothing in enumerate(SMOOTHINGS):
        cells = [Estimate.of(of(runs, name, i)).text(decimals) for name, decimals in COLUMNS.values()]
        rows.append([f"{smoothing:g}", *cells])
    return rows


def of(runs: list[Run], name: str, i: int) -> list[float]:
    """A score for each seed, with smoothing i of SMOOTHINGS."""
    return [getattr(run[i], name) for run in runs]


def change(runs: list[Run], name: str, i: int, among: int = 1) -> Estimate:
    """What smoothing i changed in a score."""
    return Estimate.change(of(runs, name, 0), of(runs, name, i), among=among)


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    before, after = (Estimate.of(of(runs, "overconfidence", i)).text(1) for i in (0, USUAL))
    share, error = (
        change(runs, name, USUAL).said("lower", "higher", 1, " points") for name in ("accuracy", "calibration_error")
    )
    return (
        f"Found {over(len(runs))}: with smoothing {SMOOTHINGS[USUAL]:g}, confidence minus accuracy went from {before} to "
        f"{after} points, held-out accuracy was {share}, and the calibration error {error}, which was least {least(runs)}."
    )


def least(runs: list[Run]) -> str:
    """With which smoothing the calibration error was least, in words."""
    errors = [Estimate.of(of(runs, "calibration_error", i)).mean for i in range(len(SMOOTHINGS))]
    if not (best := errors.index(min(errors))):
        return "without smoothing"
    if best == USUAL:
        return "there"
    error = change(runs, "calibration_error", best, len(SMOOTHINGS) - 1).said("lower", "higher", 1, " points")
    return f"with smoothing {SMOOTHINGS[best]:g}, where it was {error}"


def draw(runs: list[Run], settings: Settings) -> Path:
    """The reliability diagram, and accuracy and confidence over the smoothing."""
    from . import picture

    error, share = (
        " to ".join(f"{Estimate.of(of(runs, name, i)).mean:.1f}" for i in (0, USUAL))
        for name in ("calibration_error", "accuracy")
    )
    title = f"Smoothing {SMOOTHINGS[USUAL]:g}: calibration error from {error} points, accuracy from {share}%"
    figure, (diagram, shares) = picture.new(title, 2)
    diagram.plot([0, 100], [0, 100], color="#444444", linewidth=0.8, label="calibrated")
    for i, look in zip((0, 1, USUAL), picture.LOOKS, strict=False):
        confidence, accuracies = reliability([run[i].bins for run in runs])
        label = f"smoothing {SMOOTHINGS[i]:g}"
        diagram.plot(confidence, accuracies, look.dashes, color=look.colour, marker=look.marker, markersize=5, label=label)
    diagram.set(xlabel="confidence (%)", ylabel="accuracy (%)", xlim=(0, 101), ylim=(0, 101))
    places = range(len(SMOOTHINGS))
    for name, look in zip(("accuracy", "confidence"), picture.LOOKS, strict=False):
        picture.curve(shares, places, [[getattr(scores, name) for scores in run] for run in runs], name, look)
    shares.set_xticks(places, [f"{smoothing:g}" for smoothing in SMOOTHINGS])
    shares.set(xlabel="smoothing", ylabel="mean over held-out digits (%)")
    shares.legend(frameon=False)
    note = f"left: answers of all seeds, in bins with at least 1% of them; right: {picture.over_seeds(len(runs))}"
    return picture.save(figure, settings.out / "label_smoothing.png", note)


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
    seconds=15,
    seeds=10,
    steps=lambda fast: len(SMOOTHINGS) * (FAST_EPOCHS if fast else EPOCHS),
    measure=measure,
    report=report,
)
