"""Section 6.3, exercise 6.2: passes that differ, sub-networks, their average and spread, and how much to drop where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import tinyreg as tr

from . import arms
from .arms import Arm, about
from .base import Demo, Result, Settings
from .compared import SCORES, Comparison, Score
from .data import Split, patches
from .estimate import Estimate, listed, over, together
from .learning import answers
from .seeds import Tick
from .sub_networks import averaged, different, disagreement, passes, spread, told

Rates = tuple[float, float, float]  # what is dropped of the input, between the hidden layers, and before the output
CHAPTER = {"input": (0.1, 0.2), "hidden": (0.3, 0.5), "before the output": (0.0, 0.3)}
TRIED = (0.1, 0.2, 0.3, 0.5, 0.7)  # in each part alone
ARMS: dict[str, Rates] = {  # the chapter's highest rates, of which more is measured
    "none": (0.0, 0.0, 0.0),
    "input 0.2": (0.2, 0.0, 0.0),
    "hidden 0.5": (0.0, 0.5, 0.0),
    "output 0.3": (0.0, 0.0, 0.3),
    "all three": (0.2, 0.5, 0.3),
}
NONE, FULL = "none", "all three"
CLEAN, NOISY = "500 digits", "noisy labels"
SETTINGS = {CLEAN: Arm(), NOISY: Arm(redrawn=0.3)}
PASSES, FAST_PASSES, PHOTOS_EACH = 30, 3, 250
EVERY = 4  # of the test digits, one in so many goes through all passes
AVERAGED = (1, 2, 3, 5, 10, 20, 30)


class Quality(NamedTuple):
    """On test digits: accuracy in %, and cross-entropy in nats."""

    accuracy: float
    loss: float


class Views(NamedTuple):
    """What a network's passes with dropout show."""

    training_outputs: float  # how many different ones in as many passes, in training mode
    evaluation_outputs: float  # and in evaluation mode
    whole: Quality  # in evaluation mode
    averages: list[Quality]  # of as many sub-networks as AVERAGED says
    digit_spread: float  # of the probability of the likeliest class, in points; mean over test digits
    photo_spread: float
    told_by_spread: float  # in how many pairs of a photograph and a digit the photograph has more of it, in %
    told_by_disagreement: float
    told_by_doubt: float  # the same of 1 - confidence in evaluation mode


class Run(NamedTuple):
    """What one seed gave."""

    scores: dict[str, dict[str, float]]  # of `arms.measured`, by `named`, for each setting and each of ARMS
    losses: dict[Rates, float]  # on test digits, for each of `all_rates`
    views: dict[str, Views]  # of ARMS


def named(setting: str, arm: str) -> str:
    """How a training is called."""
    return f"{setting}: {arm}"


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Train a network for each of the rates; they start from the same weights and see the same batches."""
    photos = patches(arms.PIXELS, PHOTOS_EACH, seed=seed)[0].inputs.mean(axis=1, keepdims=True)
    run = Run({}, {}, {})
    names = {rates: arm for arm, rates in ARMS.items()}
    for setting, arm in SETTINGS.items():
        for rates in all_rates() if setting == CLEAN else names:
            model, (*_, test), _ = arms.trained(replace(arm, dropout=rates), seed, fast)
            scores = arms.measured(model, test)
            if rates in names:
                run.scores[named(setting, names[rates])] = scores
            if setting == CLEAN:
                run.losses[rates] = scores["loss"]
                if rates in names:
                    run.views[names[rates]] = views(model, test, photos, FAST_PASSES if fast else PASSES)
            tick()
    return run


def all_rates() -> list[Rates]:
    """Those of ARMS, and each of TRIED in each part alone; none twice."""
    return list(dict.fromkeys([*ARMS.values(), *(alone(part, p) for part in range(len(CHAPTER)) for p in TRIED)]))


def alone(part: int, p: float) -> Rates:
    """Dropout in one part; 0 is the input."""
    before, hidden, after = (p if i == part else 0.0 for i in range(len(CHAPTER)))
    return before, hidden, after


def quality(logits: tr.Tensor, labels: tr.Tensor) -> Quality:
    """How good answers are."""
    return Quality(100 * tr.metrics.accuracy(logits, labels), tr.losses.cross_entropy(logits, labels).item())


def views(model: tr.nn.Module, test: Split, photos: tr.Tensor, count: int) -> Views:
    """Look at `count` passes in training mode, in evaluation mode, and of Monte Carlo dropout."""
    inputs, labels = test.inputs[::EVERY], test.labels[::EVERY]
    with tr.nn.monte_carlo(model):
        of_digits, of_photos = passes(model, inputs, count), passes(model, photos, count)
    doubts = [1 - tr.softmax(answers(model, x), axis=1).max(axis=1).numpy() for x in (inputs, photos)]
    return Views(
        different(passes(model.train(), inputs[::10], count)),
        different(passes(model.eval(), inputs[::10], count)),
        whole=quality(answers(model, inputs), labels),
        averages=[quality(averaged(of_digits[:n]), labels) for n in AVERAGED if n <= count],
        digit_spread=100 * float(spread(of_digits).mean()),
        photo_spread=100 * float(spread(of_photos).mean()),
        told_by_spread=told(spread(of_digits), spread(of_photos)),
        told_by_disagreement=told(disagreement(of_digits), disagreement(of_photos)),
        told_by_doubt=told(*doubts),
    )


# ---- what came out ---------------------------------------------------------------------------------------------------

COLUMNS = {**SCORES, "correlation": Score("correlation of units (%)", 1, " points")}
ROWS: dict[str, tuple[int, Callable[[Views], float]]] = {  # decimals, and the number
    "different outputs in training mode": (1, lambda views: views.training_outputs),
    "different outputs in evaluation mode": (1, lambda views: views.evaluation_outputs),
    "loss of one sub-network": (3, lambda views: views.averages[0].loss),
    "loss of their average": (3, lambda views: views.averages[-1].loss),
    "loss of the scaled network": (3, lambda views: views.whole.loss),
    "spread on digits (points)": (1, lambda views: views.digit_spread),
    "spread on photographs (points)": (1, lambda views: views.photo_spread),
    "told apart by spread (%)": (1, lambda views: views.told_by_spread),
    "told apart by disagreement (%)": (1, lambda views: views.told_by_disagreement),
    "told apart by doubt (%)": (1, lambda views: views.told_by_doubt),
}


def compared(runs: list[Run]) -> Comparison:
    """Each of ARMS against none, in each setting."""
    against = {named(setting, arm): named(setting, NONE) for setting in SETTINGS for arm in ARMS if arm != NONE}
    return Comparison([run.scores for run in runs], against, COLUMNS)


def report(runs: list[Run], settings: Settings) -> Result:
    """A column for each of ARMS; panels for the rates, the average of sub-networks, and their spread."""
    count = FAST_PASSES if settings.fast else PASSES
    return Result(
        table=table(runs),
        note=f"{about(Arm())} {arms.NOISY} {len(runs)} seeds.\n{compared(runs).note()}\n"
        "Correlation: the mean |correlation| of two units of the last hidden layer, over test digits: how far they act "
        f"together. One in {EVERY} of the test digits goes through {count} passes; sub-networks are passes of Monte Carlo "
        "dropout. Spread: standard deviation over them of the likeliest class's probability. Disagreement: mutual "
        "information of answer and sub-network. Doubt: 1 - confidence in evaluation mode. Told apart: in how many pairs "
        f"one of {2 * PHOTOS_EACH} patches of photographs has more than a digit; 50% is chance.",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def of(runs: list[Run], row: str, arm: str) -> list[float]:
    """A number of ROWS for each seed."""
    return [ROWS[row][1](run.views[arm]) for run in runs]


def table(runs: list[Run]) -> list[list[str]]:
    """All of COLUMNS with their changes in each setting, and all of ROWS, for each of ARMS."""
    found, rows = compared(runs), [["dropout", *ARMS]]
    for setting in SETTINGS:
        rows += found.upright(setting, [named(setting, arm) for arm in ARMS], COLUMNS)
    cells = [[Estimate.of(of(runs, row, arm)).text(ROWS[row][0]) for arm in ARMS] for row in ROWS]
    return rows + [[row, *line] for row, line in zip(ROWS, cells, strict=True)]


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    found = compared(runs)
    loss, units = (found.said(named(CLEAN, FULL), score) for score in ("loss", "correlation"))
    noisy = found.said(named(NOISY, FULL), "accuracy")
    return (
        f"Found {over(len(runs))}: with dropout everywhere test loss was {loss}, accuracy with noisy labels {noisy}, and "
        f"the correlation of units {units}; alone, loss was least with {best_rates(runs)}."
    )


def changes(runs: list[Run], part: int) -> list[list[float]]:
    """For each seed, by how much the loss changes with 0 and each of TRIED in this part alone, in nats."""
    return [[run.losses[alone(part, p)] - run.losses[ARMS[NONE]] for p in (0.0, *TRIED)] for run in runs]


def best_rates(runs: list[Run]) -> str:
    """Which rate above 0 had the least loss in each part alone, and whether that is clearly below none, in words."""
    by_rate = [list(zip(*changes(runs, part), strict=True))[1:] for part in range(len(CHAPTER))]
    found = together({(part, p): by_rate[part][i] for part in range(len(CHAPTER)) for i, p in enumerate(TRIED)})
    said = []
    for part, name in enumerate(CHAPTER):
        p = min(TRIED, key=lambda p: found[part, p].mean)
        gain = found[part, p]
        said.append(f"{name} {p:g} ({'clear' if gain.clear and gain.mean < 0 else 'unclear'})")
    return listed(said)


def draw(runs: list[Run], settings: Settings) -> Path:
    """Accuracy over rates, loss over the number of sub-networks, and how well photographs are told from digits."""
    from . import picture

    before, after = (Estimate.of(compared(runs).of(named(CLEAN, arm), "loss")).text(3) for arm in (NONE, FULL))
    title = f"{CLEAN} to learn from: test loss {before} nats without dropout, {after} with it in three parts"
    figure, (rates, average, apart) = picture.new(title, 3)
    for part, ((name, (low, high)), look) in enumerate(zip(CHAPTER.items(), picture.LOOKS, strict=False)):
        picture.curve(rates, (0.0, *TRIED), changes(runs, part), f"{name} (chapter: {low:g} to {high:g})", look)
    rates.set(xlabel="share dropped, in this part alone", ylabel="change of test loss (nats)")

    counts = AVERAGED[: len(runs[0].views[FULL].averages)]
    for arm, looks in (("hidden 0.5", picture.LOOKS[:2]), (FULL, picture.LOOKS[2:4])):
        averages = [[one.loss for one in run.views[arm].averages] for run in runs]
        picture.curve(average, counts, averages, f"{arm}: average", looks[0])
        scaled = [[loss] * len(counts) for loss in of(runs, "loss of the scaled network", arm)]
        picture.curve(average, counts, scaled, f"{arm}: scaled network", looks[1])
    average.set(xlabel="sub-networks averaged", ylabel="test loss (nats)", ylim=(0, None))
    average.legend(frameon=False, fontsize="small")

    names = [arm for arm in ARMS if arm != NONE]
    for i, (by, look) in enumerate(zip(("spread", "disagreement", "doubt"), picture.LOOKS, strict=False)):
        picture.points(apart, names, [of(runs, f"told apart by {by} (%)", arm) for arm in names], f"by {by}", look, i / 5)
    apart.axvline(50, color="#444444", linewidth=0.8)
    apart.set(xlabel="photographs told from digits (% of pairs)", ylim=(None, 0.6))
    apart.legend(frameon=False, fontsize="small", ncols=3, loc="upper center")
    return picture.save(figure, settings.out / "dropout.png", picture.over_seeds(len(runs)))


DEMO = Demo(
    name="dropout",
    section="6.3, exercise 6.2",
    question="What does dropout do to a network's passes, sub-networks and accuracy, and how much should be dropped where?",
    seconds=50,
    seeds=8,
    steps=lambda fast: len(all_rates()) + len(ARMS),
    measure=measure,
    report=report,
)
