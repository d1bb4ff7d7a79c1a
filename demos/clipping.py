"""Section 6.8: recurrent networks that read digits pixel by pixel, with and without clipping of the gradient's norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinyreg as tr

from .base import Demo, Result, Settings
from .data import Split, digits
from .digit_network import LEARNING_RATE, MOMENTUM
from .estimate import INTERVALS, PICKED, Estimate, clearly, listed, over
from .learning import accuracy, answers, train
from .seeds import Tick
from .sequences import LastState, pixels
from .sizes import wide

HIDDEN, MAX_NORM = 32, 1.0
EACH, HELD_OUT, BATCH, EPOCHS = 50, 50, 50, 15
FAST_EACH, FAST_HELD_OUT, FAST_EPOCHS = 6, 5, 2


class Kind(NamedTuple):
    """A network, the scale of its initial recurrent weights (1 is orthogonal), and the learning rate."""

    network: str = "tanh"
    scale: float = 1.0
    rate: float = LEARNING_RATE

    def __str__(self) -> str:
        """As a row of the table."""
        usual = Kind()
        unusual = [f"rate {self.rate:g}"] * (self.rate != usual.rate)
        unusual += [f"weights times {self.scale:g}"] * (self.scale != usual.scale)
        return f"{self.network} ({', '.join(unusual)})" if unusual else self.network


USUAL = Kind()  # with the learning rate and momentum of the other demos
SCALES = (0.5, 1.0, 1.5, 2.0)
KINDS = (USUAL, *(Kind(rate=rate) for rate in (0.01, 0.2)), *(Kind(scale=s) for s in SCALES if s != 1), Kind("LSTM"))
LIMITS = (math.inf, MAX_NORM)


class Clipped(tr.optim.SGD):
    """SGD with momentum that clips by the norm, and keeps the norms before; a step whose gradient overflowed is skipped."""

    def __init__(self, model: tr.nn.Module, rate: float, max_norm: float) -> None:
        super().__init__(model.parameters(), lr=rate, momentum=MOMENTUM)
        self.max_norm, self.norms = max_norm, list[float]()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Clip, then step."""
        self.norms.append(float(tr.optim.clip_grad_norm(self.parameters, self.max_norm, on_nonfinite="skip")))
        return super().step(closure)


class Scores(NamedTuple):
    """Of one training."""

    norms: list[float]  # of the gradient before clipping, at each step
    losses: list[float]  # in training, for each epoch, in nats
    loss: float  # on held-out digits, in nats
    accuracy: float  # on held-out digits, in %
    calibration: float  # the expected calibration error, in points


class Run(NamedTuple):
    """For each of KINDS the training without and with clipping; and gradients at the start."""

    scores: dict[Kind, list[Scores]]
    by_pixel: dict[float, list[float]]  # the norm, over digits, of the gradient with respect to each pixel, by scale


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """The two trainings of a kind start from the same weights and see the same batches."""
    each, held = (FAST_EACH, FAST_HELD_OUT) if fast else (EACH, HELD_OUT)
    training, held_out, _ = (pixels(part) for part in digits(each, held, seed=seed))
    epochs = FAST_EPOCHS if fast else EPOCHS
    scores = {
        kind: [trained(training, held_out, kind, max_norm, seed, epochs, tick) for max_norm in LIMITS] for kind in KINDS
    }
    return Run(scores, {scale: by_pixel(network(Kind(scale=scale), tr.Generator(seed)), training) for scale in SCALES})


def network(kind: Kind, rng: tr.Generator) -> tr.nn.Sequential:
    """It reads a digit and gives logits."""
    reader: Any = (tr.nn.LSTM if kind.network == "LSTM" else tr.nn.RNN)(1, wide(HIDDEN), batch_first=True, rng=rng)
    reader.weight_hh_l0.assign(kind.scale * reader.weight_hh_l0.detach())
    return tr.nn.Sequential(LastState(reader), tr.nn.Linear(wide(HIDDEN), 10, nonlinearity="linear", rng=rng))


def trained(training: Split, held_out: Split, kind: Kind, max_norm: float, seed: int, epochs: int, tick: Tick) -> Scores:
    """Train a network, and try it on other digits."""
    rng = tr.Generator(seed)
    model = network(kind, rng)
    optimizer = Clipped(model, kind.rate, max_norm)
    loss = tr.losses.cross_entropy
    history = train(model, training, tick=tick, loss=loss, optimizer=optimizer, epochs=epochs, batch_size=BATCH, rng=rng)
    logits = answers(model, held_out.inputs)
    labels = held_out.labels
    share, error = accuracy(logits, labels).item(), 100 * tr.metrics.calibration_error(logits, labels)
    return Scores(optimizer.norms, history["loss"], loss(logits, labels).item(), share, error)


def by_pixel(model: tr.nn.Module, training: Split) -> list[float]:
    """The norm, over all digits, of the gradient of the loss with respect to each pixel, in the order of reading."""
    gradient = tr.grad(lambda x: tr.losses.cross_entropy(model(x), training.labels))(training.inputs)
    norms: list[float] = tr.sqrt(tr.square(gradient).sum(axis=(0, 2))).tolist()
    return norms


# ---- what came out ---------------------------------------------------------------------------------------------------


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each kind; panels for the loss and gradients over epochs, and for gradients over the pixels."""
    each, held, epochs = (FAST_EACH, FAST_HELD_OUT, FAST_EPOCHS) if settings.fast else (EACH, HELD_OUT, EPOCHS)
    return Result(
        table=table(runs),
        note=f"{10 * each} digits to learn from, read as 64 pixels; {wide(HIDDEN)} hidden units; SGD, "
        f"rate {LEARNING_RATE:g}, momentum {MOMENTUM:g}, batches of "
        f"{BATCH},\n{epochs} epochs. Clipped: to norm {MAX_NORM:g}. Loss and accuracy: on"
        f" {10 * held} other digits; to guess has {math.log(10):.2f} nats.\n{len(runs)} seeds: {INTERVALS}.\n"
        "First and largest gradient: norm over all weights, without clipping, geometric mean over seeds. Recurrent\n"
        "weights start orthogonal; those times 1.5 and 2 are no usual start, but show what exploding gradients do.\n"
        f"With weights times {listed([f'{scale:g}' for scale in SCALES])} the gradient at the start is {vanishing(runs)} "
        "times as\nlarge for the first pixel as for the last. Gradients that explode make much of rounding: on another "
        f"machine the\nnumbers of a seed are others.\n{PICKED}",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def of(runs: list[Run], kind: Kind, name: str) -> tuple[list[float], list[float]]:
    """A score for each seed, without and with clipping."""
    without, clipped = ([getattr(run.scores[kind][i], name) for run in runs] for i in range(len(LIMITS)))
    return without, clipped


def change(runs: list[Run], kind: Kind, among: int = 1) -> Estimate:
    """What clipping does to the loss."""
    return Estimate.change(*of(runs, kind, "loss"), among=among)


SHOWN = ("loss", "accuracy", "calibration")


def geometric(values: list[float]) -> float:
    """The geometric mean."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def table(runs: list[Run]) -> list[list[str]]:
    """For each kind: gradients without clipping, and what is learned without and with it."""
    rows = [["network", "first gradient", "largest", "loss", "clipped", "change", "accuracy (%)", "clipped"]]
    rows[0] += ["calibration error", "clipped"]
    for kind in KINDS:
        norms = [run.scores[kind][0].norms for run in runs]
        gradients = geometric([one[0] for one in norms]), geometric([max(*one) for one in norms])
        losses, shares, errors = ([Estimate.of(v) for v in of(runs, kind, name)] for name in SHOWN)
        rows.append([
            str(kind), *(f"{norm:.2g}" for norm in gradients), *(one.text(2) for one in losses),
            change(runs, kind).text(2, "+"), *(one.text(1) for one in shares),
            *(one.text(1) for one in errors),
        ])  # fmt: skip
    return rows


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    peak = geometric([max(run.scores[USUAL][0].norms) for run in runs])
    without, _ = of(runs, USUAL, "loss")
    others = {str(kind): change(runs, kind, len(KINDS) - 1) for kind in KINDS[1:]}
    return (
        f"Found {over(len(runs))}: with usual settings the gradient of a tanh network grew to {peak:.2g} without "
        f"clipping and its held-out loss was {Estimate.of(without).text(2)} nats, with clipping "
        f"{change(runs, USUAL).said('lower', 'higher', 2, ' nats')}; of {len(others)} other settings, clipping made the "
        f"loss {clearly(others, 'lower', 'higher')}."
    )


def vanishing(runs: list[Run]) -> str:
    """The ratio of the gradients for the first and the last pixel, for each scale."""
    ratios = [geometric([run.by_pixel[scale][0] / run.by_pixel[scale][-1] for run in runs]) for scale in SCALES]
    return listed([f"{ratio:.0e}" for ratio in ratios])


def draw(runs: list[Run], settings: Settings) -> Path:
    """Gradients at the start for each pixel, norms over the steps of training, and the loss over epochs."""
    from . import picture

    without, clipped = (Estimate.of(values).mean for values in of(runs, USUAL, "loss"))
    title = (
        f"A tanh network that reads 64 pixels: held-out loss {without:.2f} nats without clipping, "
        f"{clipped:.2f} nats with clipping to norm {MAX_NORM:g}"
    )
    figure, (loss, norms, backward) = picture.new(title, 3)
    for i, (name, look) in enumerate(zip(("without clipping", "with clipping"), picture.LOOKS[1::-1], strict=False)):
        losses_of = [run.scores[USUAL][i].losses for run in runs]
        epochs = range(1, len(losses_of[0]) + 1)
        picture.curve(loss, epochs, losses_of, name, look)
        picture.curve(norms, epochs, [largest(run.scores[USUAL][i]) for run in runs], name, look)
    loss.axhline(math.log(10), color="#444444", linewidth=0.8, label="to guess")
    norms.axhline(math.log10(MAX_NORM), color="#444444", linewidth=0.8, label="limit of clipping")
    loss.set(xlabel="epoch", ylabel="training loss (nats)")
    norms.set(xlabel="epoch", ylabel="largest gradient, unclipped (log10 of norm)")
    norms.legend(frameon=False)
    for scale, look in zip(SCALES, picture.LOOKS, strict=False):
        logs = [np.log10(run.by_pixel[scale]).tolist() for run in runs]
        picture.curve(backward, range(1, len(logs[0]) + 1), logs, f"recurrent weights times {scale:g}", look)
    backward.set(xlabel="pixel, in the order of reading", ylabel="gradient at the start (log10 of norm)")
    backward.legend(frameon=False)
    return picture.save(figure, settings.out / "clipping.png", picture.over_seeds(len(runs)))


def largest(scores: Scores) -> list[float]:
    """The logarithm of the largest norm of each epoch."""
    logs: list[float] = np.log10(scores.norms).reshape(len(scores.losses), -1).max(axis=1).tolist()
    return logs


DEMO = Demo(
    name="clipping",
    section="6.8",
    question="Does a recurrent network explode without gradient clipping and learn with it, and with which settings?",
    seconds=55,
    seeds=6,
    steps=lambda fast: len(KINDS) * len(LIMITS) * (FAST_EPOCHS if fast else EPOCHS),
    measure=measure,
    report=report,
)
