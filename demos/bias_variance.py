"""Section 6.1: the error of a network as bias squared, variance and noise, as its size grows and as it learns longer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import tinyreg as tr

from .base import Demo, Result, Settings
from .data import digits
from .estimate import INTERVALS, PICKED, Estimate, over
from .learning import answers, train
from .seeds import Tick
from .sizes import wide

WIDEST = 512
FAST_WIDTHS = (1, 8, 64)
# Standard deviations of the noise added to each of a digit's ten targets; 0.3 is also that of the targets themselves.
NOISES = (0.1, 0.3)
HELD_OUT_EACH, SAMPLES, SETS = 50, 100, 10
# So many steps that networks of 128 units and more fit their noisy targets.
LEARNING_RATE, STEPS, FAST_STEPS = 0.01, 500, 20
LOOKED_AT = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # after so many steps, networks of LEARNING units on the noisiest targets
LEARNING = 128


class Parts(NamedTuple):
    """Squared errors, summed over the ten targets and averaged over digits."""

    noise: float  # that was added
    bias: float  # squared
    variance: float
    measured: float  # the error on noisy targets of held-out digits
    training: float  # that on the noisy targets which were learned

    @property
    def error(self) -> float:
        """What the decomposition makes of the error on noisy targets."""
        return self.bias + self.variance + self.noise


class Run(NamedTuple):
    """What one seed gave."""

    by_width: list[list[Parts]]  # for each of NOISES, one for each width
    by_steps: list[Parts]  # one for each of LOOKED_AT


class Problem(NamedTuple):
    """What is learned, with noise in its targets, and held-out digits with their targets, without noise and with."""

    sets: tuple[tr.Tensor, tr.Tensor]  # (SETS, SAMPLES, 64) and (SETS, SAMPLES, 10)
    inputs: tr.Tensor
    targets: tr.Tensor
    noisy: tr.Tensor


class Networks(tr.nn.Module):
    """`members` networks of one hidden layer of relu that know nothing of each other, as stacked matrices.

    x: (members, N, 64), or (N, 64) for all alike; the result is (members, N, 10).
    """

    def __init__(self, members: int, width: int, rng: tr.Generator) -> None:
        def stacked(inputs: int, outputs: int, nonlinearity: str) -> tr.nn.Parameter:
            drawn = [tr.nn.init.weight((outputs, inputs), nonlinearity, rng=rng).T for _ in range(members)]
            return tr.nn.Parameter(tr.stack(drawn, axis=0))

        self.inner, self.inner_bias = stacked(64, width, "relu"), tr.nn.Parameter(tr.zeros((members, 1, width)))
        self.outer, self.outer_bias = stacked(width, 10, "linear"), tr.nn.Parameter(tr.zeros((members, 1, 10)))

    def forward(self, x: tr.Tensor) -> tr.Tensor:
        """relu(x V + a) W + b."""
        y: tr.Tensor = tr.relu(x @ self.inner + self.inner_bias) @ self.outer + self.outer_bias
        return y


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """The parts for each noise and width. Widths share training sets and noise; noises share initial weights too."""
    found = problems(seed)
    by_width = [[solved(found[std], std, width, seed, fast, tick) for width in widths(fast)] for std in NOISES]
    seen = Seen(found[NOISES[-1]], NOISES[-1])
    solved(found[NOISES[-1]], NOISES[-1], LEARNING, seed, fast, tick, [seen])
    return Run(by_width, seen.parts)


def problems(seed: int) -> dict[float, Problem]:
    """One for each of NOISES, with the same digits and the same noise but for its size."""
    held_out, pool = digits(HELD_OUT_EACH, seed=seed)
    rng = tr.Generator(seed)
    sets = tr.stack([rng.permutation(len(pool.labels))[:SAMPLES] for _ in range(SETS)], axis=0)
    learned, targets = one_hot(pool.labels)[sets], one_hot(held_out.labels)
    of_learned, of_held_out = rng.normal(shape=learned.shape), rng.normal(shape=targets.shape)
    inputs = pool.inputs[sets]
    return {
        std: Problem((inputs, learned + std * of_learned), held_out.inputs, targets, targets + std * of_held_out)
        for std in NOISES
    }


class Seen(tr.training.Callback):
    """Takes the error apart after each of LOOKED_AT."""

    def __init__(self, problem: Problem, std: float) -> None:
        self.problem, self.std, self.parts = problem, std, list[Parts]()

    def on_epoch_end(self, run: tr.training.Run) -> None:
        """One epoch, which is a step, is done."""
        if run.epoch in LOOKED_AT:
            self.parts.append(apart(run.model, self.problem, self.std))


def solved(
    problem: Problem,
    std: float,
    width: int,
    seed: int,
    fast: bool,
    tick: Tick,
    callbacks: Sequence[tr.training.Callback] = (),
) -> Parts:
    """Train a network of this width on each training set, all at once, and take their errors apart."""
    networks = Networks(SETS, width, tr.Generator(seed))
    # The mean over all networks makes the gradient of each SETS times smaller; Adam does not go by its size.
    optimizer = tr.optim.Adam(networks.parameters(), lr=LEARNING_RATE)
    steps = FAST_STEPS if fast else STEPS
    # One batch is all training sets, so an epoch is a step.
    loss = tr.losses.mse
    train(
        networks,
        [problem.sets],
        tick=lambda: None,
        loss=loss,
        optimizer=optimizer,
        epochs=steps,
        callbacks=callbacks,
    )
    tick()
    return apart(networks, problem, std)


def apart(networks: tr.nn.Module, problem: Problem, std: float) -> Parts:
    """The errors of networks, each of which learns from a training set of its own."""
    said = answers(networks, problem.inputs)
    bias, variance = decomposed(said, problem.targets)
    training = squared(answers(networks, problem.sets[0]) - problem.sets[1])
    return Parts(10 * std**2, bias, variance, squared(said - problem.noisy), training)


def decomposed(said: tr.Tensor, targets: tr.Tensor) -> tuple[float, float]:
    """(bias squared, variance) of answers of several networks: |E f - y|^2 and E |f - E f|^2, averaged over digits.

    said: (networks, N, K); targets: (N, K), without noise. Both are unbiased: variance / R is that of the mean of R.
    """
    variance = tr.var(said, axis=0, correction=1).sum(axis=-1).mean().item()
    return squared(tr.mean(said, axis=0) - targets) - variance / len(said), variance


def squared(difference: tr.Tensor) -> float:
    """The square summed over the last axis, averaged over the others."""
    return float(tr.square(difference).sum(axis=-1).mean().item())


def one_hot(labels: tr.Tensor) -> tr.Tensor:
    """(N, 10): 1 at the label, 0 elsewhere."""
    targets: tr.Tensor = tr.astype(labels[:, None] == tr.arange(10), "float32")
    return targets


def widths(fast: bool) -> Sequence[int]:
    """Which are tried; all powers of 2 up to the widest."""
    return FAST_WIDTHS if fast else [2**k for k in range(wide(WIDEST).bit_length())]


# ---- what came out ---------------------------------------------------------------------------------------------------


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each width, and a panel for each noise."""
    sizes, steps = widths(settings.fast), FAST_STEPS if settings.fast else STEPS
    off = max(abs(parts.measured - parts.error) for run in runs for of_noise in run.by_width for parts in of_noise)
    return Result(
        table=table(runs, sizes),
        note=f"Squared error on {10 * HELD_OUT_EACH} held-out digits, summed over ten targets: one-hot, plus normal noise\n"
        f"of known variance; {len(runs)} seeds: {INTERVALS}. For each seed {SETS} training\n"
        f"sets of {SAMPLES} digits, and a network on each, {steps} full steps of Adam at {LEARNING_RATE:g}; variance is\n"
        "over these sets, their noise and initial weights. Bias is against the labels: noise that they have of their own\n"
        "counts as bias. To answer 0.1 to everything has 0.9 + noise. The sum of the parts and the error measured on\n"
        f"noisy targets differed by at most {off:.3f}.\n{PICKED}",
        finding=finding(runs, sizes),
        picture=draw(runs, sizes, settings),
    )


def curves(runs: list[Run], k: int, part: str) -> list[list[float]]:
    """For each seed, a part over the widths; k: of which of NOISES."""
    return [[getattr(parts, part) for parts in run.by_width[k]] for run in runs]


def over_steps(runs: list[Run], part: str) -> list[list[float]]:
    """For each seed, a part over the steps."""
    return [[getattr(parts, part) for parts in run.by_steps] for run in runs]


def means(curves: list[list[float]]) -> list[float]:
    """Over seeds, for each width."""
    return [Estimate.of(values).mean for values in zip(*curves, strict=True)]


def table(runs: list[Run], sizes: Sequence[int]) -> list[list[str]]:
    """For each width and noise, and after so many steps: bias squared, variance, and their sum with the noise."""
    columns = [["hidden units", *map(str, sizes)]]
    rows = [f"{LEARNING}, after {steps} steps" for steps, _ in zip(LOOKED_AT, runs[0].by_steps, strict=False)]
    columns[0] += rows
    for k, parts in enumerate(part[0] for part in runs[0].by_width):
        heads = {"bias": "bias²", "variance": "variance", "error": f"+ noise {parts.noise:.1f} = error"}
        for part, head in heads.items():
            cells = [Estimate.of(values).text(3) for values in zip(*curves(runs, k, part), strict=True)]
            learning = [Estimate.of(values).text(3) for values in zip(*over_steps(runs, part), strict=True)]
            columns.append([head, *cells, *(learning if k == len(NOISES) - 1 else [""] * len(rows))])
    return [list(row) for row in zip(*columns, strict=True)]


def finding(runs: list[Run], sizes: Sequence[int]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    first, last = ([of_seed[i] for of_seed in curves(runs, -1, "bias")] for i in (0, -1))
    bias = Estimate.change(first, last).said("lower", "higher", 2, "")
    steps = LOOKED_AT[: len(runs[0].by_steps)]
    return (
        f"Found {over(len(runs))}: bias squared was {bias} for {sizes[-1]} hidden units than for {sizes[0]}; by units the "
        f"error was {turns(curves(runs, -1, 'error'), sizes)}; by steps of {LEARNING} units it was "
        f"{turns(over_steps(runs, 'error'), steps)}."
    )


def turns(errors: list[list[float]], sizes: Sequence[int]) -> str:
    """How the error went with the width, by its largest rise and what came before and after. errors: by seed and width."""
    pairs = list(itertools.combinations(range(len(sizes)), 2))

    def clearly(i: int, j: int, sign: int) -> bool:
        before, after = ([of_seed[k] for of_seed in errors] for k in (i, j))
        change = Estimate.change(before, after, among=len(pairs))
        return change.clear and change.mean * sign > 0

    mean = means(errors)
    low, high = max(pairs, key=lambda pair: mean[pair[1]] - mean[pair[0]])
    least = f"least, {min(mean):.2f}, for {sizes[mean.index(min(mean))]}"
    if not clearly(low, high, 1):
        return f"{least}, with no clear rise: no U"
    rose = f"{least}, and rose by {mean[high] - mean[low]:.2f} from {sizes[low]} to {sizes[high]}"
    fell = clearly(0, low, -1)
    if clearly(high, -1, -1):
        return f"{rose}, {'double descent' if fell else 'a peak'} and no U"
    return f"{rose}, {'as a U' if fell else 'without a fall before'}"


def draw(runs: list[Run], sizes: Sequence[int], settings: Settings) -> Path:
    """The parts over the width, a panel for each noise, and over the steps."""
    from . import picture

    figure, (*panels, last) = picture.new(headline(runs, sizes), len(NOISES) + 1)
    labels = {"error": "error: the sum of the three", "bias": "bias squared", "training": "training error"}
    steps = LOOKED_AT[: len(runs[0].by_steps)]
    for part, look in zip(("error", "bias", "variance", "noise", "training"), picture.LOOKS, strict=False):
        for k, axes in enumerate(panels):
            picture.curve(axes, sizes, curves(runs, k, part), labels.get(part, part), look)
        picture.curve(last, steps, over_steps(runs, part), labels.get(part, part), look)
    for k, axes in enumerate(panels):
        # A hidden unit has 64 + 1 + 10 parameters, and the outputs have 10 more.
        axes.axvline((10 * SAMPLES - 10) / 75, color="#444444", linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, map(str, sizes))
        axes.set(xlabel="hidden units", title=f"noise of variance {runs[0].by_width[k][0].noise:.1f}", ylim=(0, None))
    last.set_xscale("log")
    last.set(xlabel="steps", title=f"the same noise, {LEARNING} units as they learn", ylim=(0, 2.5))
    panels[0].set_ylabel("squared error, summed over ten targets")
    note = f"{picture.over_seeds(len(runs))}; dotted upright: as many parameters as numbers to learn"
    return picture.save(figure, settings.out / "bias_variance.png", note)


def headline(runs: list[Run], sizes: Sequence[int]) -> str:
    """Where the error was least, as a title."""
    errors = [means(curves(runs, k, "error")) for k in range(len(NOISES))]
    least = [
        f"{min(of_noise):.2f}, for width {sizes[of_noise.index(min(of_noise))]} with noise of variance {first.noise:.1f}"
        for of_noise, (first, *_) in zip(errors, runs[0].by_width, strict=True)
    ]
    return f"The error was least, {'; '.join(least)}"


DEMO = Demo(
    name="bias_variance",
    section="6.1",
    question="How do bias, variance and noise make a network's error, and where does it turn as it grows or learns longer?",
    seconds=40,
    seeds=5,
    steps=lambda fast: len(NOISES) * len(widths(fast)) + 1,
    measure=measure,
    report=report,
)
