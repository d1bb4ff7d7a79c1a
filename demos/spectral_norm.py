"""Section 6.8: the Lipschitz constant of a network with spectral normalization, and its accuracy under growing noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import tinyreg as tr

from .base import Demo, Result, Settings
from .data import Split, digits
from .digit_network import learn, linears
from .estimate import INTERVALS, Estimate, over, together
from .learning import accuracy, answers
from .seeds import Tick

ARMS = ("plain", "spectral norm")
EACH, EPOCHS, FAST_EPOCHS = 50, 60, 3
NOISES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)  # standard deviations; pixels are from 0 to 1
DRAWS = 5  # of noise, for each digit


class Scores(NamedTuple):
    """Of a trained network. The Lipschitz constant is that of the ten logits with respect to the 64 pixels."""

    layers: list[float]  # the largest singular value of the weight that each layer uses
    steepest: float  # the largest norm of the Jacobian over held-out digits, which is below the Lipschitz constant
    training_accuracy: float  # in %
    accuracies: list[float]  # on held-out digits with noise, for each of NOISES, in %
    loss: float  # on held-out digits, in nats
    calibration: float  # the expected calibration error, in points
    radius: float  # up to which length no change makes the answer to a held-out digit wrong; the mean over digits

    @property
    def bound(self) -> float:
        """The product of the layers' norms, which is above the Lipschitz constant."""
        return math.prod(self.layers)


Run = list[Scores]  # for each of ARMS
Layers = Sequence[tr.nn.Linear | tr.nn.SpectralNorm[..., tr.Tensor]]


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Both networks; they start from the same weights and see the same batches and the same noise."""
    training, held_out = digits(EACH, seed=seed)
    return [scores(*trained(training, arm, seed, fast, tick), training, held_out, seed) for arm in ARMS]


def trained(training: Split, arm: str, seed: int, fast: bool, tick: Tick) -> tuple[tr.nn.Module, Layers]:
    """A network, and its layers with weights."""
    rng = tr.Generator(seed)
    layers: Layers = linears(rng)
    if arm == "spectral norm":
        starts = tr.Generator(seed)  # of their own, so that batches are the same for both
        layers = [tr.nn.SpectralNorm(layer, rng=starts) for layer in layers]
    first, second, last = layers
    model = tr.nn.Sequential(first, tr.nn.ReLU(), second, tr.nn.ReLU(), last)
    learn(model, training, FAST_EPOCHS if fast else EPOCHS, rng, tick)
    return model.eval(), layers


def scores(model: tr.nn.Module, layers: Layers, training: Split, held_out: Split, seed: int) -> Scores:
    """What is measured of a network."""
    rng = tr.Generator(seed)
    norms = [layer_norm(layer) for layer in layers]
    logits = answers(model, held_out.inputs)
    return Scores(
        norms,
        tr.svdvals(jacobians(model, held_out.inputs)).max().item(),
        accuracy(answers(model, training.inputs), training.labels).item(),
        [noisy_accuracy(model, held_out, std, rng) for std in NOISES],
        tr.losses.cross_entropy(logits, held_out.labels).item(),
        100 * tr.metrics.calibration_error(logits, held_out.labels),
        radii(logits, held_out.labels, math.prod(norms)).mean().item(),
    )


def layer_norm(layer: tr.nn.Linear | tr.nn.SpectralNorm[..., tr.Tensor]) -> float:
    """The largest singular value of the weight with which a layer, as it is in evaluation mode, multiplies."""
    with tr.no_grad():
        weight = layer.value(layer.weight) if isinstance(layer, tr.nn.SpectralNorm) else layer.weight
        return float(tr.svdvals(weight)[0].item())


def jacobians(model: tr.nn.Module, inputs: tr.Tensor) -> tr.Tensor:
    """(N, 10, 64): the derivatives of each logit with respect to each pixel, at each input by itself."""
    logits, pull = tr.vjp(model, inputs)
    classes = logits.shape[1]
    # No input is in another's logits, so the gradient of the sum over inputs is that of each.
    rows = [pull(tr.zeros_like(logits) + (tr.arange(classes) == k))[0] for k in range(classes)]
    stacked: tr.Tensor = tr.stack(rows, axis=1)
    return stacked.detach()


def noisy_accuracy(model: tr.nn.Module, held_out: Split, std: float, rng: tr.Generator) -> float:
    """With normal noise on each pixel; the mean over DRAWS of it."""
    x = held_out.inputs
    noisy = [x + std * rng.normal(shape=x.shape) for _ in range(DRAWS)]
    return float(sum(accuracy(answers(model, one), held_out.labels).item() for one in noisy)) / DRAWS


def radii(logits: tr.Tensor, labels: tr.Tensor, bound: float) -> tr.Tensor:
    """(N,): max(0, margin) / (sqrt(2) bound): no change of an input that is shorter can make the answer wrong.

    The margin is how far the logit of the label is above all others. A difference of two logits changes by at most
    sqrt(2) bound times the length of a change.

    Source: Tsuzuku, Sato and Sugiyama, "Lipschitz-Margin Training", 2018.
    """
    of_label = labels[:, None] == tr.arange(logits.shape[1])
    right = tr.where(of_label, logits, -math.inf).max(axis=1)
    margin = right - tr.where(of_label, -math.inf, logits).max(axis=1)
    distance: tr.Tensor = tr.maximum(margin, 0.0) / (math.sqrt(2) * bound)
    return distance


# ---- what came out ---------------------------------------------------------------------------------------------------


def numbers(scores: Scores) -> dict[str, tuple[float, int]]:
    """The rows of the table, each with its decimals."""
    return {
        **{f"norm of layer {i}": (norm, 2) for i, norm in enumerate(scores.layers, 1)},
        "Lipschitz constant, at most": (scores.bound, 2),
        "Lipschitz constant, at least": (scores.steepest, 2),
        "safe distance": (scores.radius, 3),
        "training accuracy (%)": (scores.training_accuracy, 1),
        "loss (nats)": (scores.loss, 3),
        "calibration error": (scores.calibration, 1),
        **{noisy(std): (share, 1) for std, share in zip(NOISES, scores.accuracies, strict=True)},
    }


def noisy(std: float) -> str:
    """The name of a row."""
    return f"accuracy, noise {std:g} (%)"


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each of `numbers`; panels for the Lipschitz constant and for the accuracy under noise."""
    epochs = FAST_EPOCHS if settings.fast else EPOCHS
    return Result(
        table=table(runs),
        note=f"{10 * EACH} digits to learn from, {epochs} epochs; accuracy, loss and calibration are on all others if "
        f"not said otherwise. {len(runs)} seeds: {INTERVALS}; those of changes are at the levels of Holm's procedure, and "
        "* marks those without 0. Norm: largest singular value, which spectral normalization estimates by one step of the "
        "power method a batch. The Lipschitz constant of the logits is at most the product of the norms, and at least the "
        "largest norm of the Jacobian at a held-out digit. Safe distance: by the product, no shorter change of a digit "
        "makes its answer wrong; the mean over digits. Noise: standard deviation at each pixel; pixels are from 0 to 1.",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def of(runs: list[Run], row: str) -> tuple[list[float], list[float]]:
    """A row's number for each seed, without and with spectral normalization."""
    plain, normalized = ([numbers(run[i])[row][0] for run in runs] for i in range(len(ARMS)))
    return plain, normalized


def table(runs: list[Run]) -> list[list[str]]:
    """All numbers, and how they change."""
    rows, changed = [["", *ARMS, "change"]], changes(runs)
    for row, (_, decimals) in numbers(runs[0][0]).items():
        cells = [Estimate.of(values).text(decimals) for values in of(runs, row)]
        rows.append([row, *cells, changed[row].text(decimals, "+") + "*" * changed[row].clear])
    return rows


def changes(runs: list[Run]) -> dict[str, Estimate]:
    """What spectral normalization changes in each row, by Holm's procedure over all of them."""
    pairs = {row: zip(*of(runs, row), strict=True) for row in numbers(runs[0][0])}
    return together({row: [after - before for before, after in pair] for row, pair in pairs.items()})


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    (low, low_now), (high, high_now) = (means(runs, f"Lipschitz constant, at {end}") for end in ("least", "most"))
    changed = changes(runs)
    none, most = (changed[noisy(std)].said("lower", "higher", 1, " points") for std in (NOISES[0], NOISES[-1]))
    distance = changed["safe distance"].said("shorter", "longer", 2, "")
    return (
        f"Found {over(len(runs))}: with spectral normalization the Lipschitz constant was between {low_now:.1f} and "
        f"{high_now:.1f}, without between {low:.1f} and {high:.1f}; held-out accuracy was {none} without noise and {most} "
        f"with noise {NOISES[-1]:g}, and the safe distance was {distance}."
    )


def means(runs: list[Run], row: str) -> list[float]:
    """The means of a row, without and with spectral normalization."""
    return [Estimate.of(values).mean for values in of(runs, row)]


def draw(runs: list[Run], settings: Settings) -> Path:
    """The two bounds of the Lipschitz constant, and the accuracy over the noise."""
    from . import picture

    bound, clean, worst = (
        " to ".join(f"{mean:.1f}" for mean in means(runs, row))
        for row in ("Lipschitz constant, at most", noisy(NOISES[0]), noisy(NOISES[-1]))
    )
    figure, (under_noise, constants) = picture.new(
        f"Spectral normalization: Lipschitz bound from {bound},\n"
        f"accuracy from {clean}% without noise and from {worst}% with noise {NOISES[-1]:g}",
        2,
    )
    for i, (arm, look) in enumerate(zip(ARMS, picture.LOOKS, strict=False)):
        picture.curve(under_noise, NOISES, [run[i].accuracies for run in runs], arm, look)
        values = [of(runs, f"Lipschitz constant, at {end}")[i] for end in ("most", "least")]
        picture.points(constants, ["product of the\nlayers' norms", "steepest at a\nheld-out digit"], values, arm, look)
    under_noise.set(
        xlabel="noise (standard deviation; pixels are from 0 to 1)", ylabel="held-out accuracy (%)", ylim=(0, 100)
    )
    constants.set(xlabel="bound of the Lipschitz constant of the logits", xscale="log", ylim=(-1.5, 0.5))
    constants.set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    return picture.save(figure, settings.out / "spectral_norm.png", picture.over_seeds(len(runs)))


DEMO = Demo(
    name="spectral_norm",
    section="6.8",
    question="How far does spectral normalization bring the Lipschitz constant down, and does it keep off noise?",
    seconds=15,
    seeds=10,
    steps=lambda fast: len(ARMS) * (FAST_EPOCHS if fast else EPOCHS),
    measure=measure,
    report=report,
)
