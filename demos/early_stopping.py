"""Section 6.6: where early stopping stops, what it gains, and whether it acts like L2, in a network and a linear model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import tinyreg as tr

from .base import Demo, Result, Settings
from .data import Split, digits
from .estimate import INTERVALS, Estimate, over
from .learning import accuracy, answers
from .linear_stopping import ARMS, BY_L2, FAST_TIMES, PATIENTS, STOPPED, TIMES, TO_THE_END, Descents, Linear, descents
from .overfitting import EACH, STRENGTHS, Course, by_strength, chosen, network, watched, weights
from .seeds import Tick

PATIENCE = 10  # as in the chapter's code


class Network(NamedTuple):
    """A network after training; distances are those of all weights together."""

    epochs: int  # that made its weights what they are
    loss: float  # on test digits, in nats
    accuracy: float  # on test digits, in %
    norm: float
    moved: float  # distance from where it started
    apart: float  # distance from the network that was stopped early
    same: float  # to how many test digits it gives the answer of that network, in %


class Run(NamedTuple):
    """What one seed gave."""

    courses: dict[float, Course]  # of trainings to the end, by the strength of L2
    strength: float  # the one that was chosen
    networks: dict[str, Network]  # for each of ARMS
    linear: Descents


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Networks that start from the same weights and see the same batches, and a linear model."""
    training, validation, test = digits(EACH, EACH, seed=seed)
    models, courses = by_strength(training, validation, seed, fast, tick)
    strength, last = chosen(courses), len(courses[0.0].norm)
    stopped, early = network(seed), tr.training.EarlyStopping(patience=PATIENCE)
    watched(stopped, training, validation, seed, fast, callbacks=[early])
    tick()
    ends = {TO_THE_END: (models[0.0], last), STOPPED: (stopped, early.best_epoch or 0), BY_L2: (models[strength], last)}
    networks = {arm: seen(model, epochs, network(seed), stopped, test) for arm, (model, epochs) in ends.items()}
    linear = descents(seed, fast, PATIENCE)
    tick()
    return Run(courses, strength, networks, linear)


def seen(model: tr.nn.Module, epochs: int, start: tr.nn.Module, stopped: tr.nn.Module, test: Split) -> Network:
    """What is measured of a network."""
    logits, w = answers(model, test.inputs), weights(model)
    return Network(
        epochs,
        tr.losses.cross_entropy(logits, test.labels).item(),
        accuracy(logits, test.labels).item(),
        tr.norm(w).item(),
        tr.norm(w - weights(start)).item(),
        tr.norm(w - weights(stopped)).item(),
        accuracy(logits, tr.argmax(answers(stopped, test.inputs), axis=1)).item(),
    )


# ---- what came out ---------------------------------------------------------------------------------------------------

LOSS, ACCURACY = "test loss (nats)", "test accuracy (%)"
NORM, APART = "norm of the weights", "distance from stopped early"
OF_NETWORK: dict[str, tuple[int, Callable[[Network], float]]] = {  # decimals, and the number of a network
    "epochs": (0, lambda network: network.epochs),
    LOSS: (3, lambda network: network.loss),
    ACCURACY: (1, lambda network: network.accuracy),
    NORM: (1, lambda network: network.norm),
    "distance from the start": (1, lambda network: network.moved),
    APART: (1, lambda network: network.apart),
    "answers as stopped early (%)": (1, lambda network: network.same),
}
OF_LINEAR: dict[str, tuple[int, Callable[[Linear], float]]] = {
    "steps": (0, lambda linear: linear.steps),
    "error (% of the variance)": (1, lambda linear: linear.error),
    NORM: (2, lambda linear: linear.norm),
    f"{APART} (%)": (1, lambda linear: linear.apart),
}


def report(runs: list[Run], settings: Settings) -> Result:
    """A column for each of ARMS; panels for losses and norms of the network, and for norms in the linear model."""
    strengths = ", ".join(f"{strength:g}" for strength in STRENGTHS)
    return Result(
        table=table(runs),
        note=f"{INTERVALS}, {len(runs)} seeds. Network: {10 * EACH} digits to learn from,\n"
        f"{10 * EACH} others to see by when to stop (patience: {PATIENCE} epochs) and to choose the strength of L2\n"
        f"(of {strengths}; median: {median(run.strength for run in runs):g}), the rest to test. Linear model: least\n"
        f"squares for {PATIENTS[0]} patients with diabetes, {PATIENTS[1]} others to see by when to stop, the rest to test; "
        "its L2\nis ridge regression of strength 1 / (learning rate x steps), for which theory takes that many steps.",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def of(runs: list[Run], row: str, arm: str) -> list[float]:
    """A number of OF_NETWORK for each seed."""
    return [OF_NETWORK[row][1](run.networks[arm]) for run in runs]


def of_linear(runs: list[Run], row: str, arm: str) -> list[float]:
    """A number of OF_LINEAR for each seed."""
    return [OF_LINEAR[row][1](run.linear.ends[arm]) for run in runs]


def table(runs: list[Run]) -> list[list[str]]:
    """All of OF_NETWORK and OF_LINEAR, for each of ARMS."""
    rows = [["", *ARMS]]
    for row, (decimals, _) in OF_NETWORK.items():
        rows.append([f"network: {row}", *(Estimate.of(of(runs, row, arm)).text(decimals) for arm in ARMS)])
    for row, (decimals, _) in OF_LINEAR.items():
        rows.append([f"linear: {row}", *(Estimate.of(of_linear(runs, row, arm)).text(decimals) for arm in ARMS)])
    return rows


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""

    def said(row: str, before: str, after: str, unit: str) -> str:
        decimals, change = OF_NETWORK[row][0], Estimate.change(of(runs, row, before), of(runs, row, after))
        return change.said("lower", "higher", decimals, unit)

    stop, last = (Estimate.of(of(runs, "epochs", arm)).mean for arm in (STOPPED, TO_THE_END))
    without, theory = (Estimate.of(of_linear(runs, f"{APART} (%)", arm)).text(0) for arm in (TO_THE_END, BY_L2))
    return (
        f"Found {over(len(runs))}: stopped after {stop:.0f} of {last:.0f} epochs, a network's test loss was "
        f"{said(LOSS, TO_THE_END, STOPPED, ' nats')}; L2 made the distance from stopped to last weights "
        f"{said(APART, TO_THE_END, BY_L2, '')}, and in a linear model it was {theory}% with the L2 of theory and "
        f"{without}% without."
    )


def draw(runs: list[Run], settings: Settings) -> Path:
    """Losses with where it stops, norms over epochs, and norms and distances in the linear model over steps."""
    from . import picture

    norms = [Estimate.of(of(runs, NORM, arm)).text(1) for arm in ARMS]
    figure, (losses, norm, linear) = picture.new(
        f"Norm of a network's weights: {norms[0]} after all epochs, {norms[1]} stopped early, {norms[2]} with L2", 3
    )
    epochs = range(1, len(runs[0].courses[0.0].norm) + 1)
    for part, look in zip(("training", "validation"), picture.LOOKS, strict=False):
        picture.curve(losses, epochs, [getattr(run.courses[0.0], f"{part}_loss") for run in runs], part, look)
    for i, strength in enumerate((0.0, *STRENGTHS)):
        label = f"L2, {strength:g}" if strength else "without L2"
        picture.curve(norm, epochs, [run.courses[strength].norm for run in runs], label, picture.LOOKS[i])
    top = 2 * Estimate.of(of(runs, LOSS, TO_THE_END)).mean  # at the start they are far above
    mark_stops(losses, runs, "validation_loss")
    mark_stops(norm, runs, "norm")
    losses.set(xlabel="epoch", ylabel="cross-entropy (nats)", ylim=(0, top), title="network")
    norm.set(xlabel="epoch", ylabel=NORM, ylim=(0, None), title="network")

    times = FAST_TIMES if settings.fast else TIMES
    labels = {"norm": "stopped then", "ridge_norm": "L2, by theory", "apart": "distance of the two"}
    for (name, label), look in zip(labels.items(), picture.LOOKS, strict=False):
        values = [[getattr(moment, name) for moment in run.linear.moments] for run in runs]
        picture.curve(linear, times, values, label, look)
    linear.set(xlabel="steps", ylabel=NORM, xscale="log", ylim=(0, None), title="linear model")
    norm.legend(frameon=False, fontsize="small", ncols=2, loc="lower right")
    linear.legend(frameon=False, fontsize="small")
    return picture.save(figure, settings.out / "early_stopping.png", picture.over_seeds(len(runs)))


def mark_stops(axes: Any, runs: list[Run], column: str) -> None:
    """A cross for each seed where the network was stopped."""
    stops = [(run.networks[STOPPED].epochs, getattr(run.courses[0.0], column)) for run in runs]
    axes.scatter(
        [epoch for epoch, _ in stops],
        [values[epoch - 1] for epoch, values in stops],
        marker="x",
        color="#b00020",
        zorder=3,
        label="stopped early, each seed",
    )


DEMO = Demo(
    name="early_stopping",
    section="6.6",
    question="Where does early stopping stop, what does it gain, and does it act like L2?",
    seconds=20,
    seeds=10,
    steps=lambda fast: 1 + len(STRENGTHS) + 2,
    measure=measure,
    report=report,
)
