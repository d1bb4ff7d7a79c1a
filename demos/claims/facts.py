"""Claims that no score of a trained network decides: each function measures a pair of numbers for a seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import tinyreg as tr

from .. import arms, batch_norm_runs, bias_variance, layer_norm, linear_penalties, sub_networks, text
from ..arms import once
from ..data import Split, digits
from ..docstrings import docstrings, encode
from ..learning import answers
from ..linear_model import descend, diabetes, distance, model, ridge
from ..linear_stopping import BY_L2, STOPPED, descents
from ..sequences import inked_columns
from ..spectral_norm import layer_norm as largest

nn = tr.nn
Pair = tuple[float, float]
PASSES, FAST_PASSES = 50, 5


def idle() -> None:
    """No bar: a claim is one step."""


# ---- bias and variance

NOISE = bias_variance.NOISES[-1]


@once
def _parts(width: int, seed: int, fast: bool) -> bias_variance.Parts:
    return bias_variance.solved(bias_variance.problems(seed)[NOISE], NOISE, width, seed, fast, idle)


def parts_and_error(seed: int, fast: bool) -> Pair:
    """Bias squared, variance and noise of networks of 32 units together, and the error that was measured."""
    parts = _parts(32, seed, fast)
    return parts.error, parts.measured


def part(name: str, few: int, many: int) -> Callable[[int, bool], Pair]:
    """Measures a part of the error of networks of so few units, and of so many."""
    return lambda seed, fast: (getattr(_parts(few, seed, fast), name), getattr(_parts(many, seed, fast), name))


# ---- weights


def step_with_l2(seed: int, fast: bool) -> Pair:
    """The distance of a step with L2 from (1 - rate l2) w - rate g."""
    rng = tr.Generator(seed)
    w, x = tr.tensor(rng.normal(shape=(20, 5)), requires_grad=True), rng.normal(shape=(30, 20))
    tr.square(x @ w).mean().backward()
    assert w.grad is not None
    rate, l2 = 0.1, 0.01
    by_hand = (1 - rate * l2) * w.detach() - rate * w.grad
    tr.optim.SGD([w], lr=rate, l2=l2).step()
    return 0.0, distance(w.detach(), by_hand)


def selected(seed: int, fast: bool) -> Pair:
    """Which share of real and of permuted columns has a weight, with the L1 that is best on validation, in %."""
    steps = linear_penalties.FAST_STEPS if fast else linear_penalties.STEPS
    patients = diabetes(*linear_penalties.PATIENTS, seed=seed, permuted=True)
    found = linear_penalties.best(linear_penalties.path(linear_penalties.L1, patients, steps))
    real, permuted = (100 * count / linear_penalties.MEASUREMENTS for count in found.kept)
    return real, permuted


def closed_form(seed: int, fast: bool) -> Pair:
    """How far descent with L2 ends from the closed form, in % of its length."""
    (patients, _), strength = diabetes(150, seed=seed), 0.1
    linear = model(patients)
    descend(linear, patients, 20 if fast else 1000, momentum=0.9, l2=strength)
    return 0.0, 100 * distance(linear.weight.detach(), ridge(patients, strength))


# ---- dropout


def mean_over_masks(seed: int, fast: bool) -> Pair:
    """The mean of 100 units, which is 100, and its mean over 10,000 masks, in %."""
    rng = tr.Generator(seed)
    h = tr.abs(rng.normal(shape=100))
    masked = nn.Dropout(0.5, rng=rng)(tr.broadcast_to(h, (10_000, 100)))
    return 100.0, 100 * (masked.mean() / h.mean()).item()


def at_inference(seed: int, fast: bool) -> Pair:
    """The largest difference of what goes into dropout and comes out of it in evaluation mode."""
    x = tr.Generator(seed).normal(shape=(20, 30))
    return 0.0, tr.abs(nn.Dropout(0.5).eval()(x) - x).max().item()


def passes_differ(seed: int, fast: bool) -> Pair:
    """One output, and how many different ones 20 passes have."""
    rng = tr.Generator(seed)
    layers = nn.Sequential(nn.Linear(30, 30, rng=rng), nn.ReLU(), nn.Dropout(0.5, rng=rng))
    return 1.0, sub_networks.different(sub_networks.passes(layers, rng.normal(shape=(5, 30)), 20))


@once
def _passes(seed: int, fast: bool) -> tuple[tr.Tensor, tr.Tensor, tr.Tensor]:
    """Of a network with dropout on test digits: log p of its passes and of the whole, and the labels."""
    arm = arms.Arm(dropout=(0.0, 0.5, 0.5))
    network, (_, _, test), _ = arms.trained(arm, seed, fast)
    count = FAST_PASSES if fast else PASSES
    whole = tr.log_softmax(answers(network, test.inputs), axis=1)
    return sub_networks.passes(network.train(), test.inputs, count), whole, test.labels


def _loss(log_p: tr.Tensor, labels: tr.Tensor) -> float:
    return float(tr.losses.cross_entropy(log_p, labels).item())


def one_and_averaged(seed: int, fast: bool) -> Pair:
    """The loss of one sub-network, on average, and that of the average of all."""
    passes, _, labels = _passes(seed, fast)
    each = [_loss(one, labels) for one in tr.unstack(passes)]
    return math.fsum(each) / len(each), _loss(sub_networks.averaged(passes), labels)


def averaged_and_whole(seed: int, fast: bool) -> Pair:
    """The loss of the average of sub-networks, and of the network without dropout."""
    passes, whole, labels = _passes(seed, fast)
    return _loss(sub_networks.averaged(passes), labels), _loss(whole, labels)


def by_disagreement(seed: int, fast: bool) -> Pair:
    """50, and in how many of all pairs of a right and a wrong answer the passes disagree more on the wrong one, in %."""
    passes, _, labels = _passes(seed, fast)
    return 50.0, _told(sub_networks.averaged(passes), labels, sub_networks.disagreement(passes))


def better_than_by_confidence(seed: int, fast: bool) -> Pair:
    """The same for how little confidence the network without dropout has, and for the disagreement."""
    passes, whole, labels = _passes(seed, fast)
    doubt = -whole.max(axis=1).numpy()
    return _told(whole, labels, doubt), _told(whole, labels, sub_networks.disagreement(passes))


def _told(log_p: tr.Tensor, labels: tr.Tensor, doubt: Any) -> float:
    right = (tr.argmax(log_p, axis=1) == labels).numpy()
    return sub_networks.told(doubt[right], doubt[~right])


# ---- norms


def movement(seed: int, fast: bool) -> Pair:
    """How far the inputs of layers move in an epoch without and with batch norm, in % of their spread."""
    runs = batch_norm_runs
    each, epochs = (runs.FAST_EACH, runs.FAST_EPOCHS) if fast else (runs.EACH, runs.EPOCHS)
    training, _ = digits(each, seed=seed)
    without, within = (runs.losses_and_moves(training, arm, seed, epochs, idle)[1] for arm in (runs.NONE, runs.BEFORE))
    return 100 * math.fsum(without) / len(without), 100 * math.fsum(within) / len(within)


def _alone(norm: tr.nn.Module, seed: int) -> Pair:
    """The largest difference of a row by itself and among others."""
    x = tr.Generator(seed).normal(shape=(16, 8))
    with tr.no_grad():
        return 0.0, tr.abs(norm(x)[:1] - norm(x[:1])).max().item()


def batch_norm_alone(seed: int, fast: bool) -> Pair:
    """Of batch norm in evaluation mode, after some training."""
    norm = nn.BatchNorm(8)
    norm(tr.Generator(seed + 1).normal(shape=(64, 8)))
    return _alone(norm.eval(), seed)


def layer_norm_alone(seed: int, fast: bool) -> Pair:
    """Of layer norm in training mode."""
    return _alone(nn.LayerNorm(8), seed)


def _reading(network: str, seed: int, fast: bool) -> Pair:
    """Accuracy of a network that reads digits column by column, with batch norm and with layer norm, in %."""
    demo = layer_norm
    each, epochs = (demo.FAST_SEQUENCE_EACH, demo.FAST_EPOCHS) if fast else (demo.SEQUENCE_EACH, demo.SEQUENCE_EPOCHS)
    columns, others, _ = map(inked_columns, digits(each, demo.SEQUENCE_HELD_OUT, seed=seed))
    norms = demo.BATCH_NORM, demo.LAYER_NORM
    scores = [demo.of_reader(columns, others, network, norm, seed, epochs, idle)[0] for norm in norms]
    by_batch, by_layer = (one["accuracy"] for one in scores)
    return by_batch, by_layer


READING: dict[str, Callable[[int, bool], Pair]] = {name: partial(_reading, name) for name in layer_norm.READERS}

# ---- stopping, edits, and the rest


@once
def _descents(seed: int, fast: bool) -> dict[str, Any]:
    return descents(seed, fast, patience=20).ends


def stopped_from_ridge(seed: int, fast: bool) -> Pair:
    """How far least squares that was stopped early is from the ridge regression of theory, in % of its length."""
    return 0.0, _descents(seed, fast)[BY_L2].apart


def errors_of_stopped_and_ridge(seed: int, fast: bool) -> Pair:
    """The errors of both on other patients, in % of the variance."""
    ends = _descents(seed, fast)
    return ends[STOPPED].error, ends[BY_L2].error


@once
def _read(edit: str, seed: int, fast: bool) -> float:
    """Accuracy on held-out sentences of a network that learned from edited ones, in %."""
    texts = docstrings(text.FAST_EACH if fast else text.EACH, seed=seed)
    batches = text.Edited(texts[0], text.edits()[edit], seed)
    return text.score(text.trained(batches, True, seed, fast, idle), Split(encode(texts[1].sentences), texts[1].labels))


def _editing(edit: str, seed: int, fast: bool) -> Pair:
    return _read(text.NONE, seed, fast), _read(edit, seed, fast)


EDITING: dict[str, Callable[[int, bool], Pair]] = {
    edit: partial(_editing, edit) for edit in ("synonym replacement", "random insertion", "random swap")
}


def beyond_the_limit(seed: int, fast: bool) -> Pair:
    """By which share of the limit a clipped gradient is longer than it; 0 where it is not."""
    w = tr.tensor(tr.Generator(seed).normal(shape=50), requires_grad=True)
    (100 * tr.square(w).sum()).backward()
    tr.optim.clip_grad_norm([w], 1.0)
    return 0.0, max(tr.norm(w.grad).item() - 1.0, 0.0)


def largest_singular_value(seed: int, fast: bool) -> Pair:
    """1, and the largest singular value of a layer after 100 passes in training mode."""
    rng = tr.Generator(seed)
    layer = nn.SpectralNorm(nn.Linear(30, 20, rng=rng), rng=rng)
    for _ in range(100):
        layer(rng.normal(shape=(2, 30)))
    return 1.0, largest(layer.eval())
