"""Section 6.3, exercise 6.2: passes that differ, sub-networks, their average and spread, and how much to drop where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import tinyreg as tr

from .base import Demo, Result, Settings
from .data import Split, digits, patches
from .digit_network import learn, linears
from .estimate import INTERVALS, PICKED, Estimate, listed, over
from .learning import accuracy, answers
from .seeds import Tick
from .sub_networks import averaged, different, disagreement, passes, spread, told

Rates = tuple[float, float, float]  # what is dropped of the input, of the hidden layer, and before the output
CHAPTER = {"input": (0.1, 0.2), "hidden": (0.3, 0.5), "before the output": (0.0, 0.3)}
TRIED = (0.1, 0.2, 0.3, 0.5, 0.7)  # in each part alone
ARMS: dict[str, Rates] = {  # the chapter's highest rates, of which more is measured
    "none": (0.0, 0.0, 0.0),
    "input 0.2": (0.2, 0.0, 0.0),
    "hidden 0.5": (0.0, 0.5, 0.0),
    "output 0.3": (0.0, 0.0, 0.3),
    "all three": (0.2, 0.5, 0.3),
}
FULL = "all three"
EACH, EPOCHS, FAST_EPOCHS = 10, 200, 3
PASSES, FAST_PASSES, PHOTOS_EACH = 30, 3, 250
AVERAGED = (1, 2, 3, 5, 10, 20, 30)


class Score(NamedTuple):
    """On held-out digits: accuracy in %, and cross-entropy in nats."""

    accuracy: float
    loss: float


class Views(NamedTuple):
    """What a network's passes with dropout show."""

    training_outputs: float  # how many different ones in as many passes, in training mode
    evaluation_outputs: float  # and in evaluation mode
    averages: list[Score]  # of as many sub-networks as AVERAGED says
    digit_spread: float  # of the probability of the likeliest class, in points; mean over held-out digits
    photo_spread: float
    told_by_spread: float  # in how many pairs of a photograph and a digit the photograph has more of it, in %
    told_by_disagreement: float
    told_by_doubt: float  # the same of 1 - confidence in evaluation mode


class Run(NamedTuple):
    """The score of every network, and for ARMS what their passes show."""

    scores: dict[Rates, Score]
    views: dict[str, Views]


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Train a network for each of the rates; they start from the same weights and see the same batches."""
    training, held_out = digits(EACH, seed=seed)
    photos = patches(8, PHOTOS_EACH, seed=seed)[0].inputs.mean(axis=1).reshape((2 * PHOTOS_EACH, 64))
    networks = {rates: trained(training, rates, seed, fast, tick) for rates in all_rates()}
    scores = {rates: score(answers(model, held_out.inputs), held_out.labels) for rates, model in networks.items()}
    count = FAST_PASSES if fast else PASSES
    return Run(scores, {arm: views(networks[rates], held_out, photos, count) for arm, rates in ARMS.items()})


def all_rates() -> list[Rates]:
    """Those of ARMS, and each of TRIED in each part alone; none twice."""
    return list(dict.fromkeys([*ARMS.values(), *(alone(part, p) for part in range(len(CHAPTER)) for p in TRIED)]))


def alone(part: int, p: float) -> Rates:
    """Dropout in one part; 0 is the input."""
    before, hidden, after = (p if i == part else 0.0 for i in range(len(CHAPTER)))
    return before, hidden, after


def trained(training: Split, rates: Rates, seed: int, fast: bool, tick: Tick) -> tr.nn.Module:
    """A network of two hidden layers that has learned with dropout before each layer."""
    nn, rng = tr.nn, tr.Generator(seed)
    first, second, last = linears(rng)
    masks = tr.Generator(int(rng.integers(0, 2**32)))  # of their own, so that batches are the same for all rates
    of_input, of_hidden, before_output = (nn.Dropout(p, rng=masks) for p in rates)
    model = nn.Sequential(of_input, first, nn.ReLU(), of_hidden, second, nn.ReLU(), before_output, last)
    learn(model, training, FAST_EPOCHS if fast else EPOCHS, rng, tick)
    return model


def score(logits: tr.Tensor, labels: tr.Tensor) -> Score:
    """How good answers are."""
    return Score(accuracy(logits, labels).item(), tr.losses.cross_entropy(logits, labels).item())


def views(model: tr.nn.Module, held_out: Split, photos: tr.Tensor, count: int) -> Views:
    """Look at `count` passes in training mode, in evaluation mode, and of Monte Carlo dropout."""
    some = held_out.inputs[:: len(held_out.labels) // 100]
    with tr.nn.monte_carlo(model):
        of_digits, of_photos = passes(model, held_out.inputs, count), passes(model, photos, count)
    doubts = [1 - tr.softmax(answers(model, x), axis=1).max(axis=1).numpy() for x in (held_out.inputs, photos)]
    return Views(
        different(passes(model.train(), some, count)),
        different(passes(model.eval(), some, count)),
        averages=[score(averaged(of_digits[:n]), held_out.labels) for n in AVERAGED if n <= count],
        digit_spread=100 * float(spread(of_digits).mean()),
        photo_spread=100 * float(spread(of_photos).mean()),
        told_by_spread=told(spread(of_digits), spread(of_photos)),
        told_by_disagreement=told(disagreement(of_digits), disagreement(of_photos)),
        told_by_doubt=told(*doubts),
    )


# ---- what came out ---------------------------------------------------------------------------------------------------

ROWS: dict[str, tuple[int, Callable[[Run, str], float]]] = {  # decimals, and the number of a run's arm
    "different outputs in training mode": (1, lambda run, arm: run.views[arm].training_outputs),
    "different outputs in evaluation mode": (1, lambda run, arm: run.views[arm].evaluation_outputs),
    "accuracy (%)": (1, lambda run, arm: run.scores[ARMS[arm]].accuracy),
    "accuracy of one sub-network": (1, lambda run, arm: run.views[arm].averages[0].accuracy),
    "accuracy of their average": (1, lambda run, arm: run.views[arm].averages[-1].accuracy),
    "loss (nats)": (3, lambda run, arm: run.scores[ARMS[arm]].loss),
    "loss of one sub-network": (3, lambda run, arm: run.views[arm].averages[0].loss),
    "loss of their average": (3, lambda run, arm: run.views[arm].averages[-1].loss),
    "spread on digits (points)": (1, lambda run, arm: run.views[arm].digit_spread),
    "spread on photographs (points)": (1, lambda run, arm: run.views[arm].photo_spread),
    "told apart by spread (%)": (1, lambda run, arm: run.views[arm].told_by_spread),
    "told apart by disagreement (%)": (1, lambda run, arm: run.views[arm].told_by_disagreement),
    "told apart by doubt (%)": (1, lambda run, arm: run.views[arm].told_by_doubt),
}


def report(runs: list[Run], settings: Settings) -> Result:
    """A column for each of ARMS; panels for the rates, the average of sub-networks, and their spread."""
    epochs, count = (FAST_EPOCHS, FAST_PASSES) if settings.fast else (EPOCHS, PASSES)
    return Result(
        table=table(runs),
        note=f"{10 * EACH} digits to learn from, {epochs} epochs; measured on all other digits, in evaluation mode if not\n"
        f"said otherwise. {len(runs)} seeds: {INTERVALS}. {count} passes each;\n"
        "sub-networks are passes of Monte Carlo dropout. Spread: standard deviation over them of the likeliest class's\n"
        "probability. Disagreement: mutual information of answer and sub-network. Doubt: 1 - confidence in evaluation\n"
        f"mode. Told apart: in how many pairs one of {2 * PHOTOS_EACH} patches of photographs has more than a digit;\n"
        f"50% is chance.\n{PICKED}",
        finding=finding(runs, count),
        picture=draw(runs, settings),
    )


def of(runs: list[Run], row: str, arm: str) -> list[float]:
    """A number of ROWS for each seed."""
    return [ROWS[row][1](run, arm) for run in runs]


def table(runs: list[Run]) -> list[list[str]]:
    """All of ROWS for each of ARMS."""
    cells = [[Estimate.of(of(runs, row, arm)).text(ROWS[row][0]) for arm in ARMS] for row in ROWS]
    return [["dropout", *ARMS], *([row, *line] for row, line in zip(ROWS, cells, strict=True))]


def finding(runs: list[Run], count: int) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    differ = [Estimate.of(of(runs, f"different outputs in {mode} mode", FULL)).mean for mode in ("training", "evaluation")]
    share = Estimate.change(of(runs, "accuracy (%)", "none"), of(runs, "accuracy (%)", FULL))
    average = Estimate.change(of(runs, "loss (nats)", FULL), of(runs, "loss of their average", FULL))
    return (
        f"Found {over(len(runs))}: with dropout everywhere {count} passes gave {differ[0]:.1f} outputs in training and "
        f"{differ[1]:.1f} in evaluation mode, accuracy was {share.said('lower', 'higher', 1, ' points')}, and with "
        f"sub-networks averaged, not scaled, loss was {average.said('lower', 'higher', 3, ' nats')}; alone, accuracy "
        f"gained most with {best_rates(runs)}."
    )


def changes(runs: list[Run], part: int) -> list[list[float]]:
    """For each seed, by how much accuracy changes with 0 and each of TRIED in this part alone, in points."""
    return [
        [run.scores[alone(part, p)].accuracy - run.scores[ARMS["none"]].accuracy for p in (0.0, *TRIED)] for run in runs
    ]


def best_rates(runs: list[Run]) -> str:
    """Which rate above 0 had the highest accuracy in each part alone, and whether that is clearly above none, in words."""
    said = []
    for part, name in enumerate(CHAPTER):
        estimates = [Estimate.of(values, among=len(TRIED)) for values in zip(*changes(runs, part), strict=True)][1:]
        gain, p = max(zip(estimates, TRIED, strict=True), key=lambda pair: pair[0].mean)
        said.append(f"{name} {p:g} ({'clear' if gain.clear and gain.mean > 0 else 'unclear'})")
    return listed(said)


def draw(runs: list[Run], settings: Settings) -> Path:
    """Accuracy over rates, loss over the number of sub-networks, and how well photographs are told from digits."""
    from . import picture

    before, after = (Estimate.of(of(runs, "accuracy (%)", arm)).text(1) for arm in ("none", FULL))
    title = (
        f"{10 * EACH} digits to learn from: held-out accuracy {before}% without dropout, {after}% with it in three parts"
    )
    figure, (rates, average, apart) = picture.new(title, 3)
    for part, ((name, (low, high)), look) in enumerate(zip(CHAPTER.items(), picture.LOOKS, strict=False)):
        picture.curve(rates, (0.0, *TRIED), changes(runs, part), f"{name} (chapter: {low:g} to {high:g})", look)
    rates.set(xlabel="share dropped, in this part alone", ylabel="change of held-out accuracy (points)")

    counts = AVERAGED[: len(runs[0].views[FULL].averages)]
    for arm, looks in (("hidden 0.5", picture.LOOKS[:2]), (FULL, picture.LOOKS[2:4])):
        averages = [[score.loss for score in run.views[arm].averages] for run in runs]
        picture.curve(average, counts, averages, f"{arm}: average", looks[0])
        scaled = [[loss] * len(counts) for loss in of(runs, "loss (nats)", arm)]
        picture.curve(average, counts, scaled, f"{arm}: scaled network", looks[1])
    average.set(xlabel="sub-networks averaged", ylabel="held-out cross-entropy (nats)", ylim=(0, None))
    average.legend(frameon=False, fontsize="small")

    names = [arm for arm in ARMS if arm != "none"]
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
    seconds=35,
    seeds=8,
    steps=lambda fast: len(all_rates()) * (FAST_EPOCHS if fast else EPOCHS),
    measure=measure,
    report=report,
)
