"""Section 6.4, exercise 6.3: batch norm before and after relu: speed, sensitivity, the inputs of layers, and noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import batch_norm_runs as measured
from .base import Demo, Result, Settings
from .batch_norm_runs import ARMS, BEFORE, FEW, NONE, RATES, SCALES, SIZES, TARGET, Run
from .deep_network import DEPTH, WIDTH
from .estimate import INTERVALS, PICKED, Estimate, listed, over
from .sizes import wide


def usual(run: Run, arm: str) -> float:
    """Steps to TARGET with the usual rate and scale; all there are where it was not reached."""
    return min(run.steps[arm][measured.SCALE][measured.RATE], run.budget)


def fewest(run: Run, arm: str) -> float:
    """Steps to TARGET with the best of RATES and the usual scale; all there are where it was not reached."""
    return min(*run.steps[arm][measured.SCALE], run.budget)


def reached(run: Run, arm: str) -> float:
    """In how many of all settings TARGET was reached, in %."""
    found = [math.isfinite(steps) for row in run.steps[arm] for steps in row]
    return 100 * sum(found) / len(found)


def movement(run: Run, arm: str) -> float:
    """How far layer inputs moved in an epoch, the mean over epochs."""
    return math.fsum(run.moves[arm]) / len(run.moves[arm])


STEPS, BEST, REACHED, MOVEMENT = f"steps to {TARGET:g} nats", "with the best rate", "settings that do (%)", "movement"
COLUMNS: dict[str, tuple[int, Callable[[Run, str], float]]] = {  # decimals, and the number of a run's arm
    STEPS: (0, usual),
    BEST: (0, fewest),
    REACHED: (0, reached),
    MOVEMENT: (2, movement),
}
SCORES = {"accuracy (%)": ("accuracy", 1), "loss (nats)": ("loss", 3)}


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each arm and each size of the groups; heat maps, losses, movements and the effect of noise."""
    return Result(
        table=table(runs),
        note=note(runs, settings.fast),
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def note(runs: list[Run], fast: bool) -> str:
    """What the numbers are."""
    m = measured
    each, epochs, noise_epochs = (
        (m.FAST_EACH, m.FAST_EPOCHS, m.FAST_NOISE_EPOCHS) if fast else (m.EACH, m.EPOCHS, m.NOISE_EPOCHS)
    )
    return (
        f"{DEPTH} hidden layers of {wide(WIDTH)}. {len(runs)} seeds: {INTERVALS}.\n"
        f"Steps: of SGD at rate {RATES[m.RATE]:g} in batches of {m.BATCH} from {10 * each} digits, until the mean "
        f"training loss of an\nepoch is {TARGET:g}; {runs[0].budget} where {epochs} epochs do not do. Best rate: of "
        f"{numbers(RATES)}. Settings: each\nof these with initial weights times {numbers(SCALES)}. Movement: of layer "
        "inputs, each unit's\nmean and standard deviation, from one epoch to the next, in standard deviations. Accuracy "
        f"and loss: on\nheld-out digits, after {noise_epochs} epochs with {10 * FEW} digits in batches of {m.NOISE_BATCH}; "
        "by 10: normalized by the statistics of groups\nof 10 digits of the batch.\n"
        f"{PICKED}"
    )


def numbers(values: Sequence[float]) -> str:
    """Numbers in words."""
    return listed([f"{value:g}" for value in values])


def of(runs: list[Run], column: str, arm: str) -> list[float]:
    """A number of COLUMNS for each seed."""
    return [COLUMNS[column][1](run, arm) for run in runs]


def scores(runs: list[Run], size: int | None, name: str) -> list[float]:
    """A score for each seed, by the statistics of `size` digits; without batch norm where that is None."""
    return [getattr(run.quiet if size is None else run.noisy[SIZES.index(size)], name) for run in runs]


def table(runs: list[Run]) -> list[list[str]]:
    """COLUMNS for each arm, and SCORES by size of the groups."""
    rows = [["batch norm", *COLUMNS, *SCORES]]
    for arm in ARMS:
        cells = [Estimate.of(of(runs, column, arm)).text(decimals) for column, (decimals, _) in COLUMNS.items()]
        rows.append([arm, *cells, *(score_cells(runs, None) if arm == NONE else [""] * len(SCORES))])
    return rows + [[f"{BEFORE}, by {size}", *[""] * len(COLUMNS), *score_cells(runs, size)] for size in SIZES]


def score_cells(runs: list[Run], size: int | None) -> list[str]:
    """SCORES by the statistics of `size` digits."""
    return [Estimate.of(scores(runs, size, name)).text(decimals) for name, decimals in SCORES.values()]


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    steps = Estimate.change(of(runs, BEST, NONE), of(runs, BEST, BEFORE)).said("fewer", "more", 0, "")
    without, share = (Estimate.of(of(runs, REACHED, arm)).mean for arm in (NONE, BEFORE))
    accuracies = {
        size: Estimate.change(scores(runs, None, "accuracy"), scores(runs, size, "accuracy"), among=len(SIZES))
        for size in SIZES
    }
    best = max(SIZES, key=lambda size: accuracies[size].mean)
    return (
        f"Found {over(len(runs))}: with batch norm before relu the steps to {TARGET:g} nats at the best rate were {steps}, "
        f"and {share:.0f}% of rates and initial scales got there, against {without:.0f}%; learning from "
        f"{10 * FEW} digits, accuracy was best by the statistics of {best}, and against none "
        f"{accuracies[best].said('lower', 'higher', 1, ' points')}."
    )


# ---- the picture -----------------------------------------------------------------------------------------------------


def named(arm: str) -> str:
    """An arm in a legend."""
    return "no batch norm" if arm == NONE else f"batch norm {arm}"


def draw(runs: list[Run], settings: Settings) -> Path:
    """Above, steps for each setting; below, losses and movements over epochs, and accuracy by size of the groups."""
    from . import picture

    shares = ", ".join(f"{Estimate.of(of(runs, REACHED, arm)).mean:.0f}% ({arm})" for arm in ARMS)
    title = (
        f"Batch norm: {TARGET:g} nats were reached within {runs[0].budget} steps at {shares} of rates and initial scales"
    )
    figure, panels = picture.new(title, 3, rows=2)
    for axes, arm in zip(panels[:3], ARMS, strict=True):
        heat_map(axes, runs, arm)
    loss, moves, noise = panels[3:]
    epochs = range(1, len(runs[0].losses[NONE]) + 1)
    for arm, look in zip(ARMS, picture.LOOKS, strict=False):
        picture.curve(loss, epochs, [run.losses[arm] for run in runs], named(arm), look)
        picture.curve(moves, epochs[1:], [run.moves[arm] for run in runs], named(arm), look)
    loss.set(xlabel="epoch", ylabel="training loss (nats)", title="learning at the usual rate and scale")
    moves.set(xlabel="epoch", ylabel="movement (standard deviations)", title="layer inputs: how far they move in an epoch")
    loss.legend(frameon=False)

    places = range(len(SIZES))
    by_size = [[score.accuracy for score in run.noisy] for run in runs]
    picture.curve(noise, places, [[run.quiet.accuracy] * len(SIZES) for run in runs], named(NONE), picture.LOOKS[0])
    picture.curve(noise, places, by_size, named(BEFORE), picture.LOOKS[1])
    noise.set_xticks(places, [f"{size}" for size in SIZES])
    noise.set(xlabel="digits whose statistics are used", ylabel="held-out accuracy (%)")
    noise.set_title(f"noise of statistics ({10 * FEW} digits to learn from)")
    noise.legend(frameon=False)
    return picture.save(figure, settings.out / "batch_norm.png", picture.over_seeds(len(runs)))


def heat_map(axes: Any, runs: list[Run], arm: str) -> None:
    """Mean steps for each scale and rate; where some seeds need more than there are, > says so."""
    most = runs[0].budget
    means, labels = [], []
    for i, _ in enumerate(SCALES):
        cells = [[run.steps[arm][i][j] for run in runs] for j in range(len(RATES))]
        means.append([Estimate.of([min(steps, most) for steps in cell]).mean for cell in cells])
        labels.append([cell_text(cell, mean) for cell, mean in zip(cells, means[-1], strict=True)])
    axes.grid(visible=False)
    axes.imshow(means, cmap="Blues", vmin=0, vmax=1.6 * most, aspect="auto")
    for i, row in enumerate(labels):
        for j, text in enumerate(row):
            axes.text(j, i, text, ha="center", va="center")
    axes.set_xticks(range(len(RATES)), [f"{rate:g}" for rate in RATES])
    axes.set_yticks(range(len(SCALES)), [f"{scale:g}" for scale in SCALES])
    axes.set(xlabel="learning rate", ylabel="scale of initial weights", title=f"steps to {TARGET:g} nats: {named(arm)}")


def cell_text(steps: Sequence[float], mean: float) -> str:
    """What is written in a cell of a heat map."""
    late = sum(not math.isfinite(one) for one in steps)
    return "not reached" if late == len(steps) else f"{'> ' * bool(late)}{mean:.0f}"


DEMO = Demo(
    name="batch_norm",
    section="6.4, exercise 6.3",
    question="Does a deep network learn faster by batch norm, from which weights, at which rates, and does it regularize?",
    seconds=45,
    seeds=5,
    steps=lambda fast: measured.trainings(),
    measure=measured.measure,
    report=report,
)
