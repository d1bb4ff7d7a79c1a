"""Ways to train one network on MNIST's digits, and all that is measured of it: what the claims compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar, cast

import numpy as np

import tinyreg as tr
from tinyreg.augment import Apply, Compose

from .data import Split, mnist
from .deep_network import GroupedBatchNorm, scaled
from .learning import answers, apart, train
from .sizes import chosen, wide

F = TypeVar("F", bound=Callable[..., Any])
PIXELS = 28  # height and width of a digit
VALIDATION = 50  # digits of every class, which only early stopping and `course` look at
MOMENTS = {"at a twentieth": 20, "at a fifth": 5}  # of the steps
FAST_STEPS, FAST_EACH, FAST_TEST = 4, 2, 200
AUGMENTATIONS: dict[str, Compose] = {
    "geometric": Compose([tr.augment.rotate, tr.augment.shift]),
    "colour": Compose([tr.augment.brightness, tr.augment.contrast]),
    "noise": Compose([tr.augment.gaussian_noise]),
    "blur": Compose([tr.augment.gaussian_blur]),
    "erasing": Compose([tr.augment.cutout]),
    "mixup 0.2": Compose([Apply(tr.augment.mixup, alpha=0.2, num_classes=10)]),
    "mixup 1": Compose([Apply(tr.augment.mixup, alpha=1.0, num_classes=10)]),
    "CutMix": Compose([Apply(tr.augment.cutmix, alpha=1.0, num_classes=10)]),
}
"""Strengths are the defaults of tr.augment. No digit is mirrored."""
ALL_KINDS = "all together"
AUGMENTATIONS[ALL_KINDS] = Compose(Apply(kind, chance=0.5) for name, kind in AUGMENTATIONS.items() if name != "mixup 0.2")


@dataclass(frozen=True)
class Arm:
    """How a network of two hidden layers learns. What is not said is as in the baseline, which does nothing special."""

    each: int = 50  # digits of every class to learn from
    redrawn: float = 0.0  # the share of their labels that is drawn anew, so that nine in ten of these are wrong
    width: int = 128
    scale: float = 1.0  # of the initial weights
    steps: int = 500
    batch: int = 50
    rate: float = 0.01  # of SGD with momentum; by validation digits of seeds 100 to 102, as the strength of L2
    dropout: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the input, between the hidden layers, before the output
    norm: str = ""  # "batch" and "layer" stand before relu, "batch after" behind it
    groups: int = 0  # batch norm is by the statistics of so many digits of the batch; 0 is all
    l2: float = 0.0
    l1: float = 0.0  # by its gradient
    proximal: float = 0.0  # the same penalty by proximal steps
    smoothing: float = 0.0
    augmentation: str = ""  # of AUGMENTATIONS
    patience: int = 0  # steps without a lower validation loss, after which it stops; 0 is to go on to the end
    clip: float = 0.0  # the largest norm of the gradient; 0 is any

    def epoch(self, fast: bool) -> int:
        """How many steps an epoch has."""
        return -(-10 * (FAST_EACH if fast else self.each) // self.batch)

    def epochs(self, fast: bool) -> int:
        """How many there are where nothing stops it."""
        return max((FAST_STEPS if fast else self.steps) // self.epoch(fast), 1)


class Look(tr.training.Callback):
    """Looks at the network at each of MOMENTS."""

    def __init__(self, arm: Arm, seed: int, fast: bool) -> None:
        self.parts, self.seen = of_arm(arm, seed, fast), dict[str, float]()
        self.moments = {name: max(arm.epochs(fast) // part, 1) for name, part in MOMENTS.items()}

    def on_epoch_end(self, run: tr.training.Run) -> None:
        """One epoch is done."""
        for moment in [name for name, epoch in self.moments.items() if epoch == run.epoch]:
            self.seen |= {f"{name} {moment}": value for name, value in course(run.model, self.parts).items()}


def trained(
    arm: Arm, seed: int, fast: bool, *, callbacks: Sequence[Any] = (), watched: bool = False
) -> tuple[tr.nn.Module, Sequence[Split], tr.training.History]:
    """A network, the digits (to learn from, to validate by, to test), and how it learned.

    Arms of one seed start from the same weights and see the same batches, where these are of one size. watched: with the
    validation loss after each epoch.
    """
    parts, model = of_arm(arm, seed, fast), network(arm, tr.Generator(seed))
    own: list[Any] = [tr.optim.Proximal(model, l1=arm.proximal)] if arm.proximal else []
    early = [tr.training.EarlyStopping(patience=max(arm.patience // arm.epoch(fast), 1))] if arm.patience else []
    history = train(
        model,
        parts[0],
        validation=[parts[1]] if arm.patience or watched else None,
        loss=partial(tr.losses.cross_entropy, label_smoothing=arm.smoothing),
        optimizer=tr.optim.SGD(model.parameters(), lr=arm.rate, momentum=0.9, l2=arm.l2),
        penalty=partial(absolute, strength=arm.l1) if arm.l1 else None,
        clip_norm=arm.clip or None,
        epochs=arm.epochs(fast),
        batch_size=arm.batch,
        rng=tr.Generator(seed),
        transform=apart(AUGMENTATIONS[arm.augmentation], seed) if arm.augmentation else None,
        callbacks=[*callbacks, *own, *early],
        capture=not fast,
        tick=lambda: None,
    )
    return model, parts, history


def about(arm: Arm) -> str:
    """What an arm is, for a note."""
    width, rest = wide(arm.width), 10 * (500 - arm.each - VALIDATION)
    return (
        f"A network 784-{width}-{width}-10 learns from {10 * arm.each} of MNIST's digits for {arm.steps:,} steps of SGD at "
        f"rate {arm.rate:g} and momentum 0.9, in batches of {arm.batch}; the test is on {rest:,} others."
    )


NOISY = "Of noisy labels three in ten are drawn anew."


def of_arm(arm: Arm, seed: int, fast: bool) -> tuple[Split, Split, Split]:
    """The digits of an arm."""
    return digits(FAST_EACH if fast else arm.each, arm.redrawn, seed, FAST_TEST if fast else None)


def once(f: F) -> F:
    """f, worked out once for the same arguments at one size on one backend, of which the last eight are held."""
    held = lru_cache(maxsize=8)(lambda backend, size, *args: f(*args))
    return cast("F", lambda *args: held(tr.zeros(0).backend, chosen(), *args))


@once  # most arms ask for the same
def digits(each: int, redrawn: float, seed: int, most: int | None) -> tuple[Split, Split, Split]:
    """To learn from, to validate by, and to test, at most so many; some labels of the first are drawn anew."""
    learned, validation, test = mnist(each, VALIDATION, seed=seed)
    if redrawn:
        rng = tr.Generator(2000 + seed)
        anew = rng.uniform(shape=learned.labels.shape) < redrawn
        labels = tr.where(anew, rng.integers(0, 10, shape=learned.labels.shape), learned.labels)
        learned = Split(learned.inputs, labels)
    order = tr.Generator(seed).permutation(len(test.labels))[:most]
    return learned, validation, Split(test.inputs[order], test.labels[order])


def network(arm: Arm, rng: tr.Generator) -> tr.nn.Sequential:
    """784-width-width-10, the width that of the arm times that of the size."""
    nn = tr.nn
    of_batch = partial(GroupedBatchNorm, size=arm.groups) if arm.groups else nn.BatchNorm
    norms = {"batch": of_batch, "layer": nn.LayerNorm}
    before, after = ([], [norms["batch"]]) if arm.norm == "batch after" else ([norms[arm.norm]] if arm.norm else [], [])
    first, *others = (nn.Dropout(p, rng=rng) for p in arm.dropout)
    layers: list[nn.Module] = [nn.Flatten(), first]
    width = wide(arm.width)
    for inputs, dropout in zip((PIXELS**2, width), others, strict=True):
        linear = scaled(nn.Linear(inputs, width, rng=rng), arm.scale)
        layers += [linear, *(norm(width) for norm in before), nn.ReLU(), *(norm(width) for norm in after), dropout]
    return nn.Sequential(*layers, scaled(nn.Linear(width, 10, nonlinearity="linear", rng=rng), arm.scale))


def absolute(model: tr.nn.Module, strength: float) -> tr.Tensor:
    """strength |w|_1 of all weights but biases."""
    return tr.regularizers.l1(tr.regularizers.weights(model), strength)


def scores(arm: Arm, seed: int, fast: bool) -> dict[str, float]:
    """All that is measured of an arm, by name: on test digits, but where the name says otherwise."""
    look = Look(arm, seed, fast)
    model, parts, _ = trained(arm, seed, fast, callbacks=[look])
    return measured(model, parts[2]) | look.seen | course(model, parts)


def measured(model: tr.nn.Module, test: Split) -> dict[str, float]:
    """What is measured of a network, on test digits."""
    flat = weights(model)
    return {
        **quality(answers(model, test.inputs), test.labels),
        "norm": tr.norm(flat).item(),
        "zeros": 100 * (flat == 0).astype("float32").mean().item(),
        "correlation": correlation(hidden(model, test.inputs)),
    }


def quality(logits: tr.Tensor, labels: tr.Tensor) -> dict[str, float]:
    """How good answers are: accuracy, calibration error and mean confidence in %, and loss in nats."""
    return {
        "accuracy": 100 * tr.metrics.accuracy(logits, labels),
        "loss": tr.losses.cross_entropy(logits, labels).item(),
        "calibration": 100 * tr.metrics.calibration_error(logits, labels),
        "confidence": 100 * tr.softmax(logits, axis=1).max(axis=1).mean().item(),
    }


def weights(model: tr.nn.Module) -> tr.Tensor:
    """All weights in one row, without biases."""
    row: tr.Tensor = tr.concat([p.detach().reshape((-1,)) for p in model.parameters() if p.ndim > 1])
    return row


def course(model: tr.nn.Module, parts: Sequence[Split]) -> dict[str, float]:
    """Loss and accuracy on the digits that it learns from, with their labels, and on those for validation."""
    seen = {}
    for name, part in zip(("training", "validation"), parts, strict=False):
        logits = answers(model, part.inputs)
        seen[f"{name} accuracy"] = 100 * tr.metrics.accuracy(logits, part.labels)
        seen[f"{name} loss"] = tr.losses.cross_entropy(logits, part.labels).item()
    return seen | {"gap": seen["training accuracy"] - seen["validation accuracy"]}


def hidden(model: Any, inputs: tr.Tensor) -> tr.Tensor:
    """What the last hidden layer gives, (N, width)."""
    *layers, _ = model
    return answers(tr.nn.Sequential(*layers), inputs)


def correlation(units: tr.Tensor) -> float:
    """The mean |correlation| of two units, in %, of those that are not always the same."""
    values = units.numpy()
    alive = values[:, values.std(axis=0) > 1e-6]
    if alive.shape[1] < 2:
        return 0.0
    found = np.corrcoef(alive.T)
    return float(100 * np.abs(found[~np.eye(len(found), dtype=bool)]).mean())
