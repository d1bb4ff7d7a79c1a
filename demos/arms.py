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
from .deep_network import scaled
from .learning import answers, train
from .mixup import apart
from .overfitting import weights
from .sizes import chosen, wide

F = TypeVar("F", bound=Callable[..., Any])
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
    l2: float = 0.0
    l1: float = 0.0  # by its gradient
    proximal: float = 0.0  # the same penalty by proximal steps
    smoothing: float = 0.0
    augmentation: str = ""  # of AUGMENTATIONS
    patience: int = 0  # steps without a lower validation loss, after which it stops; 0 is to go on to the end
    clip: float = 0.0  # the largest norm of the gradient; 0 is any


class Look(tr.training.Callback):
    """Looks at the network at each of MOMENTS."""

    def __init__(self, parts: Sequence[Split], epochs: int) -> None:
        self.parts, self.seen = parts, dict[str, float]()
        self.moments = {name: max(epochs // part, 1) for name, part in MOMENTS.items()}

    def on_epoch_end(self, run: tr.training.Run) -> None:
        """One epoch is done."""
        for moment in [name for name, epoch in self.moments.items() if epoch == run.epoch]:
            self.seen |= {f"{name} {moment}": value for name, value in course(run.model, self.parts).items()}


def trained(arm: Arm, seed: int, fast: bool) -> tuple[tr.nn.Module, Sequence[Split], dict[str, float]]:
    """A network, the digits (to learn from, to validate by, to test), and what was seen of it at each of MOMENTS.

    Arms of one seed start from the same weights and see the same batches, where these are of one size.
    """
    parts = digits(FAST_EACH if fast else arm.each, arm.redrawn, seed, FAST_TEST if fast else None)
    model = network(arm, tr.Generator(seed))
    a_epoch = -(-len(parts[0].labels) // arm.batch)
    epochs = max((FAST_STEPS if fast else arm.steps) // a_epoch, 1)
    look = Look(parts, epochs)
    callbacks: list[Any] = [look]  # Proximal is one by what it does, not by its class
    callbacks += [tr.optim.Proximal(model, l1=arm.proximal)] if arm.proximal else []
    callbacks += [tr.training.EarlyStopping(patience=max(arm.patience // a_epoch, 1))] if arm.patience else []
    train(
        model,
        parts[0],
        validation=[parts[1]] if arm.patience else None,
        loss=partial(tr.losses.cross_entropy, label_smoothing=arm.smoothing),
        optimizer=tr.optim.SGD(model.parameters(), lr=arm.rate, momentum=0.9, l2=arm.l2),
        penalty=partial(absolute, strength=arm.l1) if arm.l1 else None,
        clip_norm=arm.clip or None,
        epochs=epochs,
        batch_size=arm.batch,
        rng=tr.Generator(seed),
        transform=apart(AUGMENTATIONS[arm.augmentation], seed) if arm.augmentation else None,
        callbacks=callbacks,
        capture=not fast,
        tick=lambda: None,
    )
    return model, parts, look.seen


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
    norms = {"batch": nn.BatchNorm, "layer": nn.LayerNorm}
    before, after = ([], [norms["batch"]]) if arm.norm == "batch after" else ([norms[arm.norm]] if arm.norm else [], [])
    first, *others = (nn.Dropout(p, rng=rng) for p in arm.dropout)
    layers: list[nn.Module] = [nn.Flatten(), first]
    width = wide(arm.width)
    for inputs, dropout in zip((28 * 28, width), others, strict=True):
        linear = scaled(nn.Linear(inputs, width, rng=rng), arm.scale)
        layers += [linear, *(norm(width) for norm in before), nn.ReLU(), *(norm(width) for norm in after), dropout]
    return nn.Sequential(*layers, scaled(nn.Linear(width, 10, nonlinearity="linear", rng=rng), arm.scale))


def absolute(model: tr.nn.Module, strength: float) -> tr.Tensor:
    """strength |w|_1 of all weights but biases."""
    return tr.regularizers.l1(tr.regularizers.weights(model), strength)


def scores(arm: Arm, seed: int, fast: bool) -> dict[str, float]:
    """All that is measured of an arm, by name: on test digits, but where the name says otherwise."""
    model, parts, seen = trained(arm, seed, fast)
    logits, labels = answers(model, parts[2].inputs), parts[2].labels
    flat = weights(model)
    return {
        "accuracy": 100 * tr.metrics.accuracy(logits, labels),
        "loss": tr.losses.cross_entropy(logits, labels).item(),
        "calibration": 100 * tr.metrics.calibration_error(logits, labels),
        "confidence": 100 * tr.softmax(logits, axis=1).max(axis=1).mean().item(),
        "norm": tr.norm(flat).item(),
        "zeros": 100 * (flat == 0).astype("float32").mean().item(),
        "correlation": correlation(hidden(model, parts[2].inputs)),
        **seen,
        **course(model, parts),
    }


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
