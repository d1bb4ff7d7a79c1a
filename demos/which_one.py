"""Section 6.9: the chapter's table of what to use for which problem, each of its techniques measured on each problem."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import tinyreg as tr

from . import arms
from .base import Demo, Result, Settings
from .docstrings import python
from .estimate import INTERVALS, PICKED, Estimate, listed, over
from .learning import accuracy, answers, train
from .problems import PROBLEMS, TECHNIQUES, WIDTH, Method, Problem
from .seeds import Tick
from .sizes import wide

NOTHING, TOGETHER = "nothing", "the recommended together"
RING = "recommended by the chapter"
SHOWN = {"held_out": ("accuracy (%)", 1), "loss": ("loss (nats)", 3), "calibration": ("calibration error", 1)}
LEARNING_RATE, PATIENCE = 0.003, 0.1  # the latter as a share of all epochs


class Scores(NamedTuple):
    """Accuracy in %, loss in nats, and calibration error in points; on held-out samples, but for one."""

    held_out: float
    training: float  # accuracy on samples learned from, as they are
    loss: float
    calibration: float


Run = dict[str, dict[str, Scores]]  # by problem, by method


def methods(problem: Problem) -> dict[str, Method]:
    """What is measured on a problem, by name."""
    single = {name: Method(**settings) for name, settings in TECHNIQUES.items() if name not in problem.left_out}
    together = {key: value for name in problem.recommended for key, value in TECHNIQUES[name].items()}
    return {NOTHING: Method(), **single, TOGETHER: Method(**together)}


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """A run for each problem and method; those of a problem start from the same weights and see the same batches."""
    run: Run = {}
    for name, problem in PROBLEMS.items():
        parts, run[name] = problem.parts(seed, fast), {}
        for way, method in methods(problem).items():
            run[name][way] = learned(problem, parts, method, seed, fast)
            tick()
    return run


def learned(problem: Problem, parts: list[Any], method: Method, seed: int, fast: bool) -> Scores:
    """How good a network is that was trained so."""
    training, learned_from, validation, held_out = parts
    model = problem.model(method, tr.Generator(seed))
    epochs = 1 if fast else problem.epochs
    optimizer = tr.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=method.weight_decay)
    early = tr.training.EarlyStopping(patience=max(round(PATIENCE * epochs), 1))
    train(
        model,
        **problem.learned_from(training, method, seed),
        **({"validation": validation, "callbacks": [early]} if method.stopped_early else {}),
        loss=partial(tr.losses.cross_entropy, label_smoothing=method.smoothing),
        optimizer=optimizer,
        schedule=tr.optim.StepLR(optimizer, max(7 * epochs // 8, 1)),  # so that little hangs on the last batches
        epochs=epochs,
        tick=lambda: None,
    )
    share, training = (accuracy(answers(model, split.inputs), split.labels).item() for split in (held_out, learned_from))
    found = arms.quality(answers(model, held_out.inputs), held_out.labels)
    return Scores(share, training, found["loss"], found["calibration"])


# ---- what came out ---------------------------------------------------------------------------------------------------


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each technique, and a column for each problem."""
    samples = ", ".join(f"{name}: {problem.samples(settings.fast)}" for name, problem in PROBLEMS.items())
    fits = [min(Estimate.of([run[p][way].training for run in runs]).mean for way in runs[0][p]) for p in PROBLEMS]
    return Result(
        table=table(runs),
        note="On held-out samples; after the row of nothing, changes, from pairs of runs. Each is a\n"
        f"{INTERVALS}, {len(runs)} seeds. * is what the chapter recommends for the problem.\n"
        f"Learned from: {samples};\nas many again say when to stop early. In the end all "
        f"networks had at least {', '.join(f'{fit:.0f}' for fit in fits)} % right of what they learned from.\n"
        f"The sentences are those of {python()}; their Transformer, that of the demo text, is plain but for what a row\n"
        "says, and never has batch norm, which would count the padding. Images go into two dense layers of "
        f"{wide(WIDTH)} units;\ntheir augmentation is geometric and of colour, with few data of all kinds; that of text "
        f"edits a word.\n{PICKED}",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def accuracies(runs: list[Run], problem: str, way: str) -> list[float]:
    """On held-out samples, for each seed; NaN where it was left out."""
    return [run[problem][way].held_out if way in run[problem] else math.nan for run in runs]


def change(runs: list[Run], problem: str, way: str, among: int = 1) -> Estimate:
    """Of the accuracy, against nothing."""
    return Estimate.change(accuracies(runs, problem, NOTHING), accuracies(runs, problem, way), among=among)


def table(runs: list[Run]) -> list[list[str]]:
    """Each score without anything, and what each technique changes, for each problem."""
    rows = [["", *PROBLEMS]]
    for score, (name, decimals) in SHOWN.items():
        first = [
            Estimate.of([getattr(run[problem][NOTHING], score) for run in runs]).text(decimals) for problem in PROBLEMS
        ]
        rows.append([f"{name}: {NOTHING}", *first])
        rows += [[f"{name}: {way}", *(cell(runs, p, way, score) for p in PROBLEMS)] for way in (*TECHNIQUES, TOGETHER)]
    return rows


def cell(runs: list[Run], problem: str, way: str, score: str) -> str:
    """What a technique changes in a score, with a star where the chapter recommends it; empty where it was left out."""
    if way not in runs[0][problem]:
        return ""
    before, after = ([getattr(run[problem][one], score) for run in runs] for one in (NOTHING, way))
    star = "* " if way in PROBLEMS[problem].recommended else ""
    return star + Estimate.change(before, after).text(SHOWN[score][1], "+")


def best(runs: list[Run], problem: str) -> tuple[str, Estimate]:
    """The technique by which accuracy changed most, upwards, and by how much."""
    ways = [way for way in runs[0][problem] if way in TECHNIQUES]
    changes = {way: change(runs, problem, way, len(ways)) for way in ways}
    return max(changes.items(), key=lambda item: item[1].mean)


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    winners = {name: best(runs, name) for name in PROBLEMS}
    firsts = [f"{way} for {name} ({gain.text(1, '+')})" for name, (way, gain) in winners.items()]
    helped = [name for name, (_, gain) in winners.items() if gain.clear and gain.mean > 0]
    named = sum(way in PROBLEMS[name].recommended for name, (way, _) in winners.items())
    return (
        f"Found {over(len(runs))}: held-out accuracy gained most, in points over nothing, with {listed(firsts)}, "
        f"{f'clearly only for {listed(helped)}' if helped else 'nowhere clearly'}; the chapter recommends {named} of these "
        f"{len(winners)} (text: {python()})."
    )


def draw(runs: list[Run], settings: Settings) -> Path:
    """What each technique changed, a panel for each problem, with rings around what the chapter recommends."""
    from . import picture

    winners = ", ".join(f"{name}: {best(runs, name)[0]}" for name in PROBLEMS)
    figure, panels = picture.new(f"The highest held-out accuracy came with\n{winners}", len(PROBLEMS))
    figure.set_size_inches(15, 5)
    ways = [*TECHNIQUES, TOGETHER]
    for axes, (name, problem) in zip(panels, PROBLEMS.items(), strict=True):
        before = accuracies(runs, name, NOTHING)
        by_pair = [[a - b for a, b in zip(accuracies(runs, name, way), before, strict=True)] for way in ways]
        picture.points(axes, ways, by_pair, "change against nothing", picture.LOOKS[0])
        ringed = [(Estimate.of(by_pair[ways.index(way)]).mean, -ways.index(way)) for way in problem.recommended]
        axes.scatter(*zip(*ringed, strict=True), s=160, facecolors="none", edgecolors=picture.LOOKS[1].colour, label=RING)
        axes.axvline(0, color="#444444", linewidth=0.8)
        axes.set(title=f"{name}: {problem.samples(settings.fast)}", xlabel="change of accuracy (points)")
        if axes is not panels[0]:
            axes.set_yticklabels([])
    note = f"{picture.over_seeds(len(runs))}; sentences of {python()}"
    return picture.save(figure, settings.out / "which_one.png", note)


DEMO = Demo(
    name="which_one",
    section="6.9",
    question="What helps most with images, with text, with few data and with much: is it what the chapter recommends?",
    seconds=75,
    seeds=5,
    steps=lambda fast: sum(len(methods(problem)) for problem in PROBLEMS.values()),
    measure=measure,
    report=report,
)
