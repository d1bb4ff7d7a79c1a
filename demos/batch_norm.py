"""Section 6.4, exercise 6.3: batch norm before and after relu: speed, sensitivity, the inputs of layers, and noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import batch_norm_runs as measured
from .arms import about
from .base import Demo, Result, Settings
from .batch_norm_runs import ARMS, BEFORE, NOISE, NONE, RATES, SCALES, SIZES, TARGET, Run
from .compared import SCORES, Comparison
from .deep_network import DEPTH, WIDTH
from .estimate import Estimate, listed, over
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


def compared(runs: list[Run]) -> Comparison:
    """Batch norm by the statistics of so many digits, against none."""
    return Comparison([run.noise for run in runs], dict.fromkeys(list(NOISE)[1:], NONE), SCORES)


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
    each, epochs = (m.FAST_EACH, m.FAST_EPOCHS) if fast else (m.EACH, m.EPOCHS)
    return (
        f"Speed: {DEPTH} hidden layers of {wide(WIDTH)} and {10 * each} digits of 8 x 8 pixels. Steps: of SGD at rate "
        f"{RATES[m.RATE]:g} in batches of {m.BATCH}, until the mean training loss of an epoch is {TARGET:g}; "
        f"{runs[0].budget} where {epochs} epochs do not do. Best rate: of {numbers(RATES)}. Settings: each of these with "
        f"initial weights times {numbers(SCALES)}. Movement: of layer inputs, each unit's mean and standard deviation, "
        f"from one epoch to the next, in standard deviations. {len(runs)} seeds.\n"
        f"By so many: {about(NOISE[NONE])} Batch norm is before relu, by the statistics of groups of so many digits of the "
        f"batch.\n{compared(runs).note()}"
    )


def numbers(values: Sequence[float]) -> str:
    """Numbers in words."""
    return listed([f"{value:g}" for value in values])


def of(runs: list[Run], column: str, arm: str) -> list[float]:
    """A number of COLUMNS for each seed."""
    return [COLUMNS[column][1](run, arm) for run in runs]


def table(runs: list[Run]) -> list[list[str]]:
    """COLUMNS for each of ARMS; accuracy, loss and calibration for each of NOISE."""
    rows = [["batch norm", *COLUMNS, *[""] * (2 * len(SCORES))]]
    for arm in ARMS:
        cells = [Estimate.of(of(runs, column, arm)).text(decimals) for column, (decimals, _) in COLUMNS.items()]
        rows.append([arm, *cells, *[""] * (2 * len(SCORES))])
    (_, *heads), *others = compared(runs).table()
    rows[0][-len(heads) :] = heads
    return rows + [[f"500 digits: {name}", *[""] * len(COLUMNS), *cells] for name, *cells in others]


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    steps = Estimate.change(of(runs, BEST, NONE), of(runs, BEST, BEFORE)).said("fewer", "more", 0, "")
    without, share = (Estimate.of(of(runs, REACHED, arm)).mean for arm in (NONE, BEFORE))
    found = compared(runs)
    best = min(found.against, key=lambda name: Estimate.of(found.of(name, "loss")).mean)
    return (
        f"Found {over(len(runs))}: with batch norm before relu the steps to {TARGET:g} nats at the best rate were {steps}, "
        f"and {share:.0f}% of rates and initial scales got there, against {without:.0f}%; learning from 500 digits, test "
        f"loss was least by the statistics {best.replace('by', 'of')}, and against none {found.said(best, 'loss')}."
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
    losses = [[run.noise[f"by {size}"]["loss"] for size in SIZES] for run in runs]
    picture.curve(noise, places, [[run.noise[NONE]["loss"]] * len(SIZES) for run in runs], named(NONE), picture.LOOKS[0])
    picture.curve(noise, places, losses, named(BEFORE), picture.LOOKS[1])
    noise.set_xticks(places, [f"{size}" for size in SIZES])
    noise.set(xlabel="digits whose statistics are used", ylabel="test loss (nats)")
    noise.set_title("noise of statistics (500 digits to learn from)")
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
    seconds=60,
    seeds=6,
    steps=lambda fast: measured.trainings(),
    measure=measured.measure,
    report=report,
)
