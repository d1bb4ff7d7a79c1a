"""Section 6.2: L2 in a network that overfits; in a linear model L2 and its closed form, L1, elastic net and exact zeros."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import tinyreg as tr

from .base import Demo, Result, Settings
from .data import Split, digits
from .estimate import INTERVALS, Estimate, listed, over
from .learning import accuracy, answers
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
from .overfitting import EACH, EPOCHS, FAST_EPOCHS, STRENGTHS, Course, by_strength, chosen
from .seeds import Tick


class Network(NamedTuple):
    """A network after training with L2 of that strength."""

    strength: float
    course: Course
    loss: float  # on test digits, in nats
    accuracy: float  # on test digits, in %


class Run(NamedTuple):
    """What one seed gave."""

    networks: dict[str, Network]  # without L2, and with the strength that was chosen
    paths: dict[str, list[Point]]  # by penalty, for each of PATH


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Networks for each strength of L2, and linear models for each penalty and strength."""
    training, validation, test = digits(EACH, EACH, seed=seed)
    models, courses = by_strength(training, validation, seed, fast, tick)
    strengths = {NONE: 0.0, L2: chosen(courses)}
    networks = {arm: Network(l2, courses[l2], *scores(models[l2], test)) for arm, l2 in strengths.items()}
    return Run(networks, paths(seed, fast, tick))


def scores(network: tr.nn.Module, test: Split) -> tuple[float, float]:
    """Cross-entropy in nats, and accuracy in %."""
    logits = answers(network, test.inputs)
    return tr.losses.cross_entropy(logits, test.labels).item(), accuracy(logits, test.labels).item()


# ---- what came out ---------------------------------------------------------------------------------------------------

GAP, LOSS = "gap of the losses (nats)", "test loss (nats)"
ACCURACY, ERROR = "test accuracy (%)", "error (% of the variance)"
MINUS = "\N{MINUS SIGN}"
KEPT = ("measurements kept, of 10", "permuted columns kept, of 10")
OF_NETWORK: dict[str, tuple[int, Callable[[Network], float]]] = {  # decimals, and the number of a network
    "training loss (nats)": (4, lambda network: network.course.training_loss[-1]),
    LOSS: (3, lambda network: network.loss),
    GAP: (3, lambda network: network.loss - network.course.training_loss[-1]),
    "validation loss above its lowest": (
        3,
        lambda network: network.course.validation_loss[-1] - min(network.course.validation_loss),
    ),
    ACCURACY: (1, lambda network: network.accuracy),
    "norm of the weights": (1, lambda network: network.course.norm[-1]),
}
OF_LINEAR: dict[str, tuple[int, Callable[[Point], float]]] = {
    KEPT[0]: (1, lambda point: point.kept[0]),
    KEPT[1]: (1, lambda point: point.kept[1]),
    ERROR: (1, lambda point: point.error),
}


def report(runs: list[Run], settings: Settings) -> Result:
    """A column for each penalty; panels for the network's losses, and for the zeros and the error of the linear model."""
    epochs, steps = (FAST_EPOCHS, FAST_STEPS) if settings.fast else (EPOCHS, STEPS)
    strengths = ", ".join(f"{strength:g}" for strength in STRENGTHS)
    farthest = max(point.off for run in runs for point in run.paths[L2])
    return Result(
        table=table(runs),
        note=f"{INTERVALS}, {len(runs)} seeds. Network: {10 * EACH} digits to learn from, {epochs} epochs,\n"
        f"{10 * EACH} others for validation and to choose the strength of L2 (of {strengths}), the\n"
        f"rest to test. Linear model: least squares for {PATIENTS[0]} patients with diabetes, from 10 measurements and\n"
        f"10 columns of them with the patients mixed up; kept: weights that are not exactly 0. {steps} steps for each\n"
        f"strength, which {PATIENTS[1]} patients choose; the others give the error. L1 and elastic net (half L1, half L2)\n"
        f"take proximal steps. Descent with L2 ended within {farthest:.0e} of the closed form, relative to its norm.",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def of_network(runs: list[Run], row: str, arm: str) -> list[float]:
    """A number of OF_NETWORK for each seed."""
    return [OF_NETWORK[row][1](run.networks[arm]) for run in runs]


def of_linear(runs: list[Run], row: str, arm: str) -> list[float]:
    """A number of OF_LINEAR for each seed, at the strength that was chosen."""
    return [OF_LINEAR[row][1](best(run.paths[arm])) for run in runs]


def table(runs: list[Run]) -> list[list[str]]:
    """The last epoch of the networks, and the linear models at the strengths that were chosen."""

    def typical(strengths: list[float]) -> str:
        return f"{median(strengths):g}" if any(strengths) else ""

    rows = [["", *ARMS]]
    blank = [""] * (len(ARMS) - 2)
    strengths = [typical([run.networks[arm].strength for run in runs]) for arm in (NONE, L2)]
    rows.append(["network: strength, median", *strengths, *blank])
    for row, (decimals, _) in OF_NETWORK.items():
        cells = [Estimate.of(of_network(runs, row, arm)).text(decimals) for arm in (NONE, L2)]
        rows.append([f"network: {row}", *cells, *blank])
    rows.append(["linear: strength, median", *(typical([best(run.paths[arm]).strength for run in runs]) for arm in ARMS)])
    for row, (decimals, _) in OF_LINEAR.items():
        cells = [Estimate.of(of_linear(runs, row, arm)).text(decimals) for arm in ARMS]
        rows.append([f"linear: {row}", *cells])
    return rows


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    gap = Estimate.change(of_network(runs, GAP, NONE), of_network(runs, GAP, L2)).said("lower", "higher", 3, " nats")
    return (
        f"Found {over(len(runs))}: with L2 a network's gap between training and test loss was {gap}; in a linear model, of "
        f"10 measurements and 10 permuted columns, {zeros(runs)}."
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

    gap = Estimate.change(of_network(runs, GAP, NONE), of_network(runs, GAP, L2)).text(3, "+")
    figure, (losses, kept, errors) = picture.new(
        f"L2 changed the gap of a network's losses by {gap.replace('-', MINUS)} nats; "
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
            curves = [getattr(run.networks[arm].course, f"{part}_loss") for run in runs]
            epochs = range(1, len(curves[0]) + 1)
            picture.curve(axes, epochs, curves, f"{part}, {arm}", look._replace(dashes=dashes))
    top = 2 * Estimate.of(of_network(runs, LOSS, NONE)).mean  # at the start they are far above
    axes.set(xlabel="epoch", ylabel="cross-entropy (nats)", ylim=(0, top), title="network, digits")


DEMO = Demo(
    name="weight_decay",
    section="6.2, exercise 6.1",
    question="Does L2 keep a network from overfitting, and which penalties make weights exactly 0, and the right ones?",
    seconds=35,
    seeds=8,
    steps=lambda fast: 1 + len(STRENGTHS) + len(ARMS[1:]),
    measure=measure,
    report=report,
)
