"""Section 6.6: where early stopping stops, what it gains, and whether it acts like L2, in a network and a linear model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import tinyreg as tr

from . import arms
from .arms import about, weights
from .base import Demo, Result, Settings
from .compared import SCORES, Comparison, Score
from .data import Split
from .estimate import Estimate, over
from .learning import accuracy, answers
from .linear_stopping import ARMS, BY_L2, FAST_TIMES, PATIENTS, STOPPED, TIMES, TO_THE_END, Descents, Linear, descents
from .overfitting import SETTINGS, STRENGTHS, Course, by_strength, chosen
from .seeds import Tick

PATIENCE = 10  # epochs, as in the chapter's code
CLEAN, NOISY = SETTINGS


class Run(NamedTuple):
    """What one seed gave."""

    courses: dict[str, dict[float, Course]]  # by setting, of trainings to the end, by the strength of L2
    strengths: dict[str, float]  # by setting, the one that was chosen
    networks: dict[str, dict[str, float]]  # by `named`: scores of `arms.measured`, and of `seen`
    linear: Descents


def named(setting: str, arm: str) -> str:
    """How a network is called."""
    return f"{setting}: {arm}"


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Networks that start from the same weights and see the same batches, and a linear model."""
    run = Run({}, {}, {}, descents(seed, fast, PATIENCE))
    tick()
    for setting, arm in SETTINGS.items():
        models, courses, (*_, test) = by_strength(arm, seed, fast, tick)
        strength, last = chosen(courses), len(courses[0.0].norm)
        early = replace(arm, patience=PATIENCE * arm.epoch(fast))
        stopped, _, history = arms.trained(early, seed, fast)
        tick()
        losses = history["validation_loss"]
        best = losses.index(min(losses)) + 1
        ends = {TO_THE_END: (models[0.0], last), STOPPED: (stopped, best), BY_L2: (models[strength], last)}
        start = arms.network(arm, tr.Generator(seed))
        for name, (model, epochs) in ends.items():
            scores = arms.measured(model, test) | {"epochs": epochs} | seen(model, start, stopped, test)
            run.networks[named(setting, name)] = scores
        run.courses[setting], run.strengths[setting] = courses, strength
    return run


def seen(model: tr.nn.Module, start: tr.nn.Module, stopped: tr.nn.Module, test: Split) -> dict[str, float]:
    """How far all weights together are from the start and from those stopped early, and how alike answers are."""
    w = weights(model)
    alike = accuracy(answers(model, test.inputs), tr.argmax(answers(stopped, test.inputs), axis=1))
    return {
        "moved": tr.norm(w - weights(start)).item(),
        "apart": tr.norm(w - weights(stopped)).item(),
        "same": alike.item(),
    }


# ---- what came out ---------------------------------------------------------------------------------------------------

APART = "distance from stopped early"
OF_NETWORK: dict[str, tuple[str, int]] = {  # of what is seen: the name of a row, and decimals
    "epochs": ("epochs", 0),
    "norm": ("norm of the weights", 1),
    "moved": ("distance from the start", 1),
    "apart": (APART, 1),
    "same": ("answers as stopped early (%)", 1),
}
OF_LINEAR: dict[str, tuple[int, Callable[[Linear], float]]] = {
    "steps": (0, lambda linear: linear.steps),
    "error (% of the variance)": (1, lambda linear: linear.error),
    "norm of the weights": (2, lambda linear: linear.norm),
    f"{APART} (%)": (1, lambda linear: linear.apart),
}


def compared(runs: list[Run]) -> Comparison:
    """Stopped early and with L2 against to the end, in each setting."""
    against = {named(setting, arm): named(setting, TO_THE_END) for setting in SETTINGS for arm in (STOPPED, BY_L2)}
    return Comparison([run.networks for run in runs], against, {**SCORES, "apart": Score(APART, 1, "")})


def report(runs: list[Run], settings: Settings) -> Result:
    """A column for each of ARMS; panels for losses and norms of the network, and for norms in the linear model."""
    strengths = ", ".join(f"{strength:g}" for strength in STRENGTHS)
    chosen = " and ".join(f"{median([run.strengths[setting] for run in runs]):g}" for setting in SETTINGS)
    return Result(
        table=table(runs),
        note=f"{about(SETTINGS[CLEAN])} {arms.NOISY} 500 others say when to stop (patience: {PATIENCE} epochs) and choose "
        f"the strength of L2 (of {strengths}; median: {chosen}). {len(runs)} seeds.\n{compared(runs).note()}\n"
        f"Linear model: least squares for {PATIENTS[0]} patients with diabetes, {PATIENTS[1]} others to see by when to "
        "stop, the rest to test; its L2 is ridge regression of strength 1 / (learning rate x steps), for which theory "
        "takes that many steps.",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def of(runs: list[Run], setting: str, arm: str, score: str) -> list[float]:
    """A number of a network for each seed."""
    return [run.networks[named(setting, arm)][score] for run in runs]


def of_linear(runs: list[Run], row: str, arm: str) -> list[float]:
    """A number of OF_LINEAR for each seed."""
    return [OF_LINEAR[row][1](run.linear.ends[arm]) for run in runs]


def table(runs: list[Run]) -> list[list[str]]:
    """Scores and their changes, and the rows of OF_NETWORK and OF_LINEAR, for each of ARMS."""
    found = compared(runs)
    rows = [["", *ARMS]]
    for setting in SETTINGS:
        rows += found.upright(setting, [named(setting, arm) for arm in ARMS], SCORES)
        for score, (row, decimals) in OF_NETWORK.items():
            cells = [Estimate.of(of(runs, setting, arm, score)).text(decimals) for arm in ARMS]
            rows.append([f"{setting}: {row}", *cells])
    for row, (decimals, _) in OF_LINEAR.items():
        rows.append([f"linear: {row}", *(Estimate.of(of_linear(runs, row, arm)).text(decimals) for arm in ARMS)])
    return rows


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    found = compared(runs)
    stop, last = (Estimate.of(of(runs, CLEAN, arm, "epochs")).mean for arm in (STOPPED, TO_THE_END))
    losses = [found.said(named(setting, STOPPED), "loss") for setting in SETTINGS]
    without, theory = (Estimate.of(of_linear(runs, f"{APART} (%)", arm)).text(0) for arm in (TO_THE_END, BY_L2))
    return (
        f"Found {over(len(runs))}: stopped after {stop:.0f} of {last:.0f} epochs, a network's test loss was {losses[0]}, "
        f"with noisy labels {losses[1]}; in a linear model the distance from stopped to last weights was {theory}% with "
        f"the L2 of theory and {without}% without."
    )


def draw(runs: list[Run], settings: Settings) -> Path:
    """Losses with where it stops, norms over epochs, and norms and distances in the linear model over steps."""
    from . import picture

    losses = [
        " to ".join(Estimate.of(of(runs, setting, arm, "loss")).text(2) for arm in (TO_THE_END, STOPPED))
        for setting in SETTINGS
    ]
    title = f"Stopping early changed test loss from {losses[0]} nats, and with noisy labels from {losses[1]}"
    figure, (loss, norm, linear) = picture.new(title, 3)
    epochs = range(1, len(runs[0].courses[CLEAN][0.0].norm) + 1)
    for setting, looks in zip(SETTINGS, (picture.LOOKS[:2], picture.LOOKS[2:4]), strict=True):
        for part, look in zip(("training", "validation"), looks, strict=True):
            courses = [getattr(run.courses[setting][0.0], f"{part}_loss") for run in runs]
            picture.curve(loss, epochs, courses, f"{part}, {setting}", look)
        mark_stops(loss, runs, setting, "validation_loss")
    for i, strength in enumerate((0.0, *STRENGTHS)):
        label = f"L2, {strength:g}" if strength else "without L2"
        picture.curve(norm, epochs, [run.courses[CLEAN][strength].norm for run in runs], label, picture.LOOKS[i])
    mark_stops(norm, runs, CLEAN, "norm")
    loss.set(xlabel="epoch", ylabel="cross-entropy (nats)", ylim=(0, None), title="without L2; x: stopped, each seed")
    norm.set(xlabel="epoch", ylabel="norm of the weights", ylim=(0, None), title=CLEAN)

    times = FAST_TIMES if settings.fast else TIMES
    labels = {"norm": "stopped then", "ridge_norm": "L2, by theory", "apart": "distance of the two"}
    for (name, label), look in zip(labels.items(), picture.LOOKS, strict=False):
        values = [[getattr(moment, name) for moment in run.linear.moments] for run in runs]
        picture.curve(linear, times, values, label, look)
    linear.set(xlabel="steps", ylabel="norm of the weights", xscale="log", ylim=(0, None), title="linear model")
    for axes in (loss, norm, linear):
        axes.legend(frameon=False, fontsize="small")
    note = picture.over_seeds(len(runs))
    return picture.save(figure, settings.out / "early_stopping.png", note, legend=False)


def mark_stops(axes: Any, runs: list[Run], setting: str, column: str) -> None:
    """A cross for each seed where the network was stopped."""
    stops = [
        (int(run.networks[named(setting, STOPPED)]["epochs"]), getattr(run.courses[setting][0.0], column)) for run in runs
    ]
    axes.scatter(
        [epoch for epoch, _ in stops],
        [values[epoch - 1] for epoch, values in stops],
        marker="x",
        color="#b00020",
        zorder=3,
    )


DEMO = Demo(
    name="early_stopping",
    section="6.6",
    question="Where does early stopping stop, what does it gain, and does it act like L2?",
    seconds=60,
    seeds=10,
    steps=lambda fast: 1 + len(SETTINGS) * (1 + len(STRENGTHS) + 1),
    measure=measure,
    report=report,
)
