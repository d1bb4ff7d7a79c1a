"""Section 6.2: L2 in a network that overfits; in a linear model L2 and its closed form, L1, elastic net and exact zeros."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from . import arms
from .arms import about
from .base import Demo, Result, Settings
from .compared import SCORES, Comparison, Score
from .estimate import Estimate, listed, over
from .linear_penalties import (
    ARMS,
    ELASTIC_NET,
    FAST_STEPS,
    L1,
    L2,
    MEASUREMENTS,
    NONE,
    PATH,
    PATIENTS,
    STEPS,
    Point,
    best,
    paths,
)
from .overfitting import SETTINGS, STRENGTHS, Course, by_strength, chosen
from .seeds import Tick

CLEAN, NOISY = SETTINGS


class Run(NamedTuple):
    """What one seed gave."""

    courses: dict[str, Course]  # of networks without L2, and with the strength that was chosen, by `named`
    networks: dict[str, dict[str, float]]  # scores of `arms.measured`, and of `overfit`, by `named`
    strengths: dict[str, float]  # those that were chosen, by setting
    paths: dict[str, list[Point]]  # by penalty, for each of PATH


def named(setting: str, arm: str) -> str:
    """How a network is called."""
    return f"{setting}: {arm}"


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Networks for each strength of L2, and linear models for each penalty and strength."""
    run = Run({}, {}, {}, paths(seed, fast, tick))
    for setting, settings in SETTINGS.items():
        models, courses, (*_, test) = by_strength(settings, seed, fast, tick)
        run.strengths[setting] = chosen(courses)
        for arm, strength in {NONE: 0.0, L2: run.strengths[setting]}.items():
            scores = arms.measured(models[strength], test)
            run.networks[named(setting, arm)] = scores | overfit(courses[strength], scores["loss"])
            run.courses[named(setting, arm)] = courses[strength]
    return run


def overfit(course: Course, loss: float) -> dict[str, float]:
    """How far a network that has this test loss overfits, in nats."""
    return {
        "gap": loss - course.training_loss[-1],
        "risen": course.validation_loss[-1] - min(course.validation_loss),
    }


# ---- what came out ---------------------------------------------------------------------------------------------------

KEPT = ("measurements kept, of 10", "permuted columns kept, of 10")
MINUS = "\N{MINUS SIGN}"
COLUMNS = {
    **SCORES,
    "gap": Score("test loss above training loss", 3, " nats"),
    "risen": Score("validation loss above its lowest", 3, " nats"),
    "norm": Score("norm of the weights", 1, ""),
}
OF_LINEAR: dict[str, tuple[int, Callable[[Point], float]]] = {
    KEPT[0]: (1, lambda point: point.kept[0]),
    KEPT[1]: (1, lambda point: point.kept[1]),
    "error (% of the variance)": (1, lambda point: point.error),
}


def compared(runs: list[Run]) -> Comparison:
    """L2 against none, in each setting."""
    against = {named(setting, L2): named(setting, NONE) for setting in SETTINGS}
    return Comparison([run.networks for run in runs], against, COLUMNS)


def report(runs: list[Run], settings: Settings) -> Result:
    """A column for each penalty; panels for the network's losses, and for the zeros and the error of the linear model."""
    steps = FAST_STEPS if settings.fast else STEPS
    strengths = ", ".join(f"{strength:g}" for strength in STRENGTHS)
    farthest = max(point.off for run in runs for point in run.paths[L2])
    return Result(
        table=table(runs),
        note=f"{about(SETTINGS[CLEAN])} {arms.NOISY} 500 others are for validation and choose the strength of L2 (of "
        f"{strengths}). {len(runs)} seeds.\n{compared(runs).note()}\n"
        f"Linear model: least squares for {PATIENTS[0]} patients with diabetes, from 10 measurements and 10 columns of "
        f"them with the patients mixed up; kept: weights that are not exactly 0. {steps} steps for each strength, which "
        f"{PATIENTS[1]} patients choose; the others give the error. L1 and elastic net (half L1, half L2) take proximal "
        f"steps. Descent with L2 ended within {farthest:.0e} of the closed form, relative to its norm.",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def of_linear(runs: list[Run], row: str, arm: str) -> list[float]:
    """A number of OF_LINEAR for each seed, at the strength that was chosen."""
    return [OF_LINEAR[row][1](best(run.paths[arm])) for run in runs]


def table(runs: list[Run]) -> list[list[str]]:
    """The last epoch of the networks, and the linear models at the strengths that were chosen."""
    found, rows, blank = compared(runs), [["", *ARMS]], [""] * (len(ARMS) - 2)
    for setting in SETTINGS:
        rows.append([f"{setting}: strength, median", "", f"{median(run.strengths[setting] for run in runs):g}", *blank])
        rows += [row + blank for row in found.upright(setting, [named(setting, NONE), named(setting, L2)], COLUMNS)]
    strengths = [median(best(run.paths[arm]).strength for run in runs) for arm in ARMS]
    rows.append(["linear: strength, median", *(f"{strength:g}" if strength else "" for strength in strengths)])
    for row, (decimals, _) in OF_LINEAR.items():
        cells = [Estimate.of(of_linear(runs, row, arm)).text(decimals) for arm in ARMS]
        rows.append([f"linear: {row}", *cells])
    return rows


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    found = compared(runs)
    losses = [found.said(named(setting, L2), "loss") for setting in SETTINGS]
    return (
        f"Found {over(len(runs))}: with L2 a network's test loss was {losses[0]}, with noisy labels {losses[1]}; in a "
        f"linear model, of 10 measurements and 10 permuted columns, {zeros(runs)}."
    )


def zeros(runs: list[Run]) -> str:
    """Which penalties made no weight 0, and how many the others kept, in words."""
    full = [arm for arm in ARMS[1:] if all(min(of_linear(runs, row, arm)) == MEASUREMENTS for row in KEPT)]
    kept = [f"{arm} kept {kept_by(runs, arm)}" for arm in ARMS[1:] if arm not in full]
    return ", ".join(([f"{listed(full)} made no weight 0"] if full else []) + kept)


def kept_by(runs: list[Run], arm: str) -> str:
    """How many measurements and permuted columns were kept on average."""
    return " and ".join(f"{Estimate.of(of_linear(runs, row, arm)).mean:.1f}" for row in KEPT)


def draw(runs: list[Run], settings: Settings) -> Path:
    """Losses over epochs, and over strengths how many weights are not 0 and what the error is."""
    from . import picture

    loss = compared(runs).changes[named(CLEAN, L2), "loss"].text(3, "+")
    figure, (losses, kept, errors) = picture.new(
        f"L2 changed a network's test loss by {loss.replace('-', MINUS)} nats; "
        f"L1 kept {kept_by(runs, L1)} of 10 measurements and 10 permuted columns",
        3,
    )
    draw_losses(losses, runs)
    looks = dict(zip(ARMS, picture.LOOKS, strict=False))
    for arm in ARMS[1:]:
        parts = {"measurements": "-", "permuted": ":"} if arm in (L1, ELASTIC_NET) else {"either": looks[arm].dashes}
        for k, (part, dashes) in enumerate(parts.items()):
            counts = [[point.kept[k] for point in run.paths[arm]] for run in runs]
            picture.curve(kept, PATH, counts, f"{arm}: {part}", looks[arm]._replace(dashes=dashes))
    for arm in (L2, L1, ELASTIC_NET):
        changes = [[point.error - run.paths[NONE][0].error for point in run.paths[arm]] for run in runs]
        picture.curve(errors, PATH, changes, arm, looks[arm])
    errors.axhline(0, color="#444444", linewidth=0.8)
    for axes, name in ((kept, "weights that are not 0, of 10 and 10"), (errors, "change of the error (% of the variance)")):
        axes.set(xlabel="strength", ylabel=name, xscale="log", title="linear model, patients")
        axes.legend(frameon=False, fontsize="small")
    return picture.save(figure, settings.out / "weight_decay.png", picture.over_seeds(len(runs)))


def draw_losses(axes: Any, runs: list[Run]) -> None:
    """Training and validation loss of the networks."""
    from . import picture

    for arm, look in zip((NONE, L2), picture.LOOKS, strict=False):
        for part, dashes in (("training", ":"), ("validation", "-")):
            curves = [getattr(run.courses[named(CLEAN, arm)], f"{part}_loss") for run in runs]
            epochs = range(1, len(curves[0]) + 1)
            picture.curve(axes, epochs, curves, f"{part}, {arm}", look._replace(dashes=dashes))
    axes.set(xlabel="epoch", ylabel="cross-entropy (nats)", ylim=(0, 1.5), title=f"network, {CLEAN}")


DEMO = Demo(
    name="weight_decay",
    section="6.2, exercise 6.1",
    question="Does L2 keep a network from overfitting, and which penalties make weights exactly 0, and the right ones?",
    seconds=60,
    seeds=7,
    steps=lambda fast: len(SETTINGS) * (1 + len(STRENGTHS)) + len(ARMS[1:]),
    measure=measure,
    report=report,
)
