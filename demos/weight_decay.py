"""Exercise 6.1: a network on a small dataset with and without L2; training and validation curves compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import tinyreg as tr

from .base import Demo, Difference, Result, Settings, mean_and_spread, over_seeds
from .data import Split, digits

# A network that overfits without L2, to which these were fitted; the strength is a usual one and was not tuned.
EACH, WIDTH, BATCH, LEARNING_RATE, MOMENTUM = 5, 128, 25, 0.05, 0.9
STRENGTH = 0.01
EPOCHS, FAST_EPOCHS, EVERY = 300, 20, 4


class Scores(NamedTuple):
    """The state of a run at one moment: cross-entropy without the penalty in nats, accuracy in %, all weights' norm."""

    training_loss: float
    validation_loss: float
    training_accuracy: float
    validation_accuracy: float
    weight_norm: float


Run = list[Scores]  # after every EVERY-th epoch


def network(rng: tr.Generator) -> tr.nn.Sequential:
    """Two hidden layers of relu, from 64 pixels to 10 classes."""
    nn = tr.nn
    hidden = [nn.Linear(64, WIDTH, rng=rng), nn.ReLU(), nn.Linear(WIDTH, WIDTH, rng=rng), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(WIDTH, 10, rng=rng))


def train(training: Split, validation: Split, strength: float, seed: int, epochs: int, tick: Callable[[], Any]) -> Run:
    """One run of SGD. Runs of one seed start from the same weights and see the same batches."""
    rng = tr.Generator(seed)
    model = network(rng)
    weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]  # the biases stay free
    optimizer = tr.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    run: Run = []
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(training.labels))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            loss = tr.losses.cross_entropy(model(training.images[batch]), training.labels[batch])
            loss = loss + tr.regularizers.l2(weights, strength)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % EVERY == 0:
            run.append(scores(model, weights, training, validation))
        tick()
    return run


def scores(model: tr.nn.Module, weights: Sequence[tr.Tensor], training: Split, validation: Split) -> Scores:
    """How good the model is by now."""
    with tr.no_grad():
        answers = [(model(split.images), split.labels) for split in (training, validation)]
        losses = [tr.losses.cross_entropy(logits, labels).item() for logits, labels in answers]
        shares = [(tr.argmax(logits, axis=1) == labels).mean().item() for logits, labels in answers]
        norm = sum(tr.square(w).sum().item() for w in weights) ** 0.5
    return Scores(losses[0], losses[1], 100 * shares[0], 100 * shares[1], norm)


def both(seed: int, tick: Callable[[], Any], epochs: int, backend: str) -> tuple[Run, Run]:
    """A run without and a run with L2, on the same data."""
    with tr.use(backend):
        splits = digits(EACH, seed, backend)
        return train(*splits, 0.0, seed, epochs, tick), train(*splits, STRENGTH, seed, epochs, tick)


def run(settings: Settings) -> Result | None:
    """The whole demo."""
    epochs = FAST_EPOCHS if settings.fast else EPOCHS
    pairs = over_seeds(settings.seeds, 2 * epochs, partial(both, epochs=epochs, backend=settings.backend))
    if not pairs:
        return None
    plain, regularized = ([pair[i] for pair in pairs] for i in (0, 1))
    return Result(
        table=table(plain, regularized),
        note=f"After {epochs} epochs on {10 * EACH} digits: mean ± standard deviation over {len(pairs)} seeds.\n"
        "The change is with minus without L2, from pairs of runs: mean ± standard error.",
        finding=finding(plain, regularized),
        picture=draw(plain, regularized, settings),
        complete=len(pairs) == settings.seeds,
    )


# ---- what came out ---------------------------------------------------------------------------------------------------

ROWS: dict[str, tuple[int, Callable[[Run], float]]] = {  # decimals, and the number of a run
    "training loss (nats)": (4, lambda run: run[-1].training_loss),
    "validation loss (nats)": (3, lambda run: run[-1].validation_loss),
    "gap of the losses": (3, lambda run: run[-1].validation_loss - run[-1].training_loss),
    "validation loss over its lowest": (3, lambda run: run[-1].validation_loss - min(s.validation_loss for s in run)),
    "training accuracy (%)": (1, lambda run: run[-1].training_accuracy),
    "validation accuracy (%)": (1, lambda run: run[-1].validation_accuracy),
    "gap of the accuracies (points)": (1, lambda run: run[-1].training_accuracy - run[-1].validation_accuracy),
    "norm of the weights": (1, lambda run: run[-1].weight_norm),
}


def table(plain: Sequence[Run], regularized: Sequence[Run]) -> list[list[str]]:
    """The last epoch in numbers: a row for each of ROWS."""
    rows = [["", "without L2", f"with L2, {STRENGTH:g}", "change"]]
    for (name, change), (decimals, number) in zip(changes(plain, regularized).items(), ROWS.values(), strict=True):
        cells = [mean_and_spread([number(run) for run in runs], decimals) for runs in (plain, regularized)]
        rows.append([name, *cells, change.text(decimals)])
    return rows


def changes(plain: Sequence[Run], regularized: Sequence[Run]) -> dict[str, Difference]:
    """What L2 changed in each of ROWS."""
    return {
        name: Difference.between([number(run) for run in plain], [number(run) for run in regularized])
        for name, (_, number) in ROWS.items()
    }


def finding(plain: Sequence[Run], regularized: Sequence[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    change = changes(plain, regularized)
    gap, loss = change["gap of the losses"], change["validation loss (nats)"]
    accuracy = change["validation accuracy (%)"]
    seeds = f"{len(plain)} seeds" if len(plain) > 1 else "a single seed, which says little"
    return (
        f"Found over {seeds}: with L2 of strength {STRENGTH:g}, "
        f"the gap between training and validation loss was {said(gap, 'narrower', 'wider', 3, ' nats')}, "
        f"the validation loss {said(loss, 'lower', 'higher', 3, ' nats')}, "
        f"and the validation accuracy {said(accuracy, 'lower', 'higher', 1, ' points')}."
    )


def said(change: Difference, less: str, more: str, decimals: int, unit: str) -> str:
    """A change in words; only one of more than two standard errors counts as one."""
    if not change.clear:
        return f"not clearly different ({change.text(decimals)}{unit})"
    return f"{abs(change.mean):.{decimals}f}{unit} {more if change.mean > 0 else less}"


def draw(plain: Sequence[Run], regularized: Sequence[Run], settings: Settings) -> Path:
    """Loss and accuracy over time, for training and validation, with and without L2."""
    from . import picture

    figure, (losses, accuracies) = picture.new(headline(plain, regularized), 2)
    epochs = [EVERY * (i + 1) for i in range(len(plain[0]))]
    arms = [("without L2", plain, "#08306b", ""), (f"with L2, strength {STRENGTH:g}", regularized, "#e6701a", "o")]
    for arm, runs, colour, marker in arms:
        for split, dashes in (("training", "--"), ("validation", "-")):
            look = picture.Look(colour, dashes, marker)
            for axes, score in ((losses, "loss"), (accuracies, "accuracy")):
                curves = [[getattr(scores, f"{split}_{score}") for scores in run] for run in runs]
                picture.curve(axes, epochs, curves, f"{split}, {arm}", look)
    losses.set(xlabel="epoch", ylabel="cross-entropy (nats)")
    accuracies.set(xlabel="epoch", ylabel="accuracy (%)")
    note = f"lines: mean of {len(plain)} seeds; bands: one standard deviation" if len(plain) > 1 else "one seed"
    return picture.save(figure, settings.out / "weight_decay.png", note)


def headline(plain: Sequence[Run], regularized: Sequence[Run]) -> str:
    """The two numbers that a reader looks for, as a title."""
    change = changes(plain, regularized)
    accuracy, gap = change["validation accuracy (%)"].text(1), change["gap of the losses"].text(3)
    return (
        f"{10 * EACH} handwritten digits to learn from: L2 changed the gap of the losses by {gap} nats\n"
        f"and the validation accuracy by {accuracy} points"
    ).replace("-", "\N{MINUS SIGN}")


DEMO = Demo(
    name="weight_decay",
    exercise="6.1",
    question=f"Does L2 keep a network that learns from {10 * EACH} handwritten digits from overfitting?",
    seconds=18,
    seeds=10,
    run=run,
)
