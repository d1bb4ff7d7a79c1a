"""Section 6.5: layer norm against batch norm, as batches shrink to one digit, and in an LSTM and a Transformer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinyreg as tr

from .base import Demo, Result, Settings
from .data import Split, digits
from .digit_network import BATCH, LEARNING_RATE, MOMENTUM, WIDTH, linears
from .estimate import INTERVALS, PICKED, Estimate, clearly, listed, over
from .learning import accuracy, answers, train
from .seeds import Tick
from .sequences import FEATURES, ColumnLSTM, ColumnTransformer, Norm, inked_columns
from .sizes import wide

nn = tr.nn
SIZES, EACH, EPOCHS, FAST_EPOCHS = (1, 2, 5, 10, 25, 50), 10, 20, 2
SEQUENCE_EACH, SEQUENCE_HELD_OUT, SEQUENCE_BATCH, SEQUENCE_EPOCHS = 30, 50, 30, 20
FAST_SEQUENCE_EACH = 3
SEQUENCE_RATE = 0.003
LSTM, TRANSFORMER = "LSTM", "Transformer"


class BatchNormLast(nn.BatchNorm):
    """Batch norm with channels last, (..., num_features): over samples and, where there are any, steps, padding too."""

    def forward(self, x: tr.Tensor) -> tr.Tensor:
        """As rows of features."""
        y: tr.Tensor = super().forward(x.reshape((-1, self.num_features))).reshape(x.shape)
        return y


NORMS: dict[str, Norm] = {"no norm": lambda _: nn.Sequential(), "batch norm": BatchNormLast, "layer norm": nn.LayerNorm}
_, BATCH_NORM, LAYER_NORM = NORMS


READERS: dict[str, Callable[[Norm, tr.Generator], tr.nn.Module]] = {LSTM: ColumnLSTM, TRANSFORMER: ColumnTransformer}


def batches_of(size: int) -> str:
    """The name of a row."""
    return f"batches of {size}"


def by_own(network: str) -> str:
    """The name of a row."""
    return f"{network}, own statistics"


Run = dict[str, dict[str, float | None]]  # by row and norm: accuracy on held-out digits in %; None where it is refused


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Networks of one row start from the same weights and see the same batches."""
    training, held_out = digits(EACH, seed=seed)
    epochs = FAST_EPOCHS if fast else EPOCHS
    run: Run = {
        batches_of(n): {name: of_size(training, held_out, name, n, seed, epochs, tick) for name in NORMS} for n in SIZES
    }
    each, epochs = (FAST_SEQUENCE_EACH, FAST_EPOCHS) if fast else (SEQUENCE_EACH, SEQUENCE_EPOCHS)
    columns, others, _ = map(inked_columns, digits(each, SEQUENCE_HELD_OUT, seed=seed))
    for network in READERS:
        scores: dict[str, tuple[float | None, float | None]] = {
            name: of_reader(columns, others, network, name, seed, epochs, tick) for name in NORMS
        }
        run[network], run[by_own(network)] = ({name: pair[i] for name, pair in scores.items()} for i in (0, 1))
    return run


def of_size(training: Split, held_out: Split, name: str, size: int, seed: int, epochs: int, tick: Tick) -> float | None:
    """Accuracy after training in batches of `size`, with a learning rate in proportion to it."""
    tick()
    if name == BATCH_NORM and size == 1:
        return None  # a single value has no variance: nn.BatchNorm refuses it
    rng, norm = tr.Generator(seed), NORMS[name]
    first, second, last = linears(rng)
    model = nn.Sequential(first, norm(wide(WIDTH)), nn.ReLU(), second, norm(wide(WIDTH)), nn.ReLU(), last)
    optimizer = tr.optim.SGD(model.parameters(), lr=LEARNING_RATE * size / BATCH, momentum=MOMENTUM)
    learn(model, training, optimizer, epochs, size, rng)
    return float(accuracy(answers(model, held_out.inputs), held_out.labels).item())


def of_reader(
    columns: Split, others: Split, network: str, name: str, seed: int, epochs: int, tick: Tick
) -> tuple[float, float]:
    """Accuracy after training to read sequences: as always, and by the statistics of the held-out digits themselves."""
    rng = tr.Generator(seed)
    model = nn.Sequential(READERS[network](NORMS[name], rng), nn.Linear(wide(FEATURES), 10, nonlinearity="linear", rng=rng))
    optimizer = tr.optim.Adam(model.parameters(), lr=SEQUENCE_RATE)
    learn(model, columns, optimizer, epochs, SEQUENCE_BATCH, rng)
    tick()
    usual = accuracy(answers(model, others.inputs), others.labels).item()
    with tr.no_grad():
        return usual, accuracy(model.train()(others.inputs), others.labels).item()


def learn(model: tr.nn.Module, training: Split, optimizer: Any, epochs: int, size: int, rng: tr.Generator) -> None:
    """Train in batches of `size`."""
    loss = tr.losses.cross_entropy
    settings: dict[str, Any] = {"loss": loss, "optimizer": optimizer, "epochs": epochs, "batch_size": size, "rng": rng}
    train(model, training, tick=lambda: None, **settings)


# ---- what came out ---------------------------------------------------------------------------------------------------


def of(runs: list[Run], row: str, name: str) -> list[float]:
    """A number for each seed; none where the library refuses."""
    return [value for run in runs if (value := run[row][name]) is not None]


def change(runs: list[Run], row: str, among: int = 1) -> Estimate | None:
    """From batch norm to layer norm; None where batch norm cannot be trained."""
    before, after = of(runs, row, BATCH_NORM), of(runs, row, LAYER_NORM)
    return Estimate.change(before, after, among=among) if before else None


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each size of batches and each network that reads sequences."""
    return Result(
        table=table(runs),
        note=note(len(runs), settings.fast),
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def note(seeds: int, fast: bool) -> str:
    """What the numbers are."""
    epochs, each, long = (
        (FAST_EPOCHS, FAST_SEQUENCE_EACH, FAST_EPOCHS) if fast else (EPOCHS, SEQUENCE_EACH, SEQUENCE_EPOCHS)
    )
    return (
        f"Accuracy on held-out digits in %, {seeds} seeds: {INTERVALS};\n"
        "change: from batch norm to layer norm, in points. Batches: a network with two hidden layers of "
        f"{wide(WIDTH)}, norms before\nrelu, {10 * EACH} digits to learn from in {epochs} epochs, learning rate in "
        "proportion to the batch. LSTM and Transformer:\na digit is the sequence of its columns with ink, padded to 8; "
        f"{10 * each} digits in batches of {SEQUENCE_BATCH}, {long} epochs of Adam.\nNorms are on what goes into the gates,"
        " and in place of those of the block. Batch norm is over digits and steps,\npadding too, with the same running "
        "averages for all steps. Own statistics: in training mode, with all held-out\ndigits as one batch.\n"
        f"{PICKED}"
    )


def table(runs: list[Run]) -> list[list[str]]:
    """Accuracy for each norm, and by how much layer norm is better."""
    found = [["", *NORMS, "change"]]
    for row in runs[0]:
        cells = [Estimate.of(values).text(1) if (values := of(runs, row, name)) else "refused" for name in NORMS]
        found.append([row, *cells, changed.text(1, "+") if (changed := change(runs, row)) else ""])
    return found


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    changes = {str(n): changed for n in SIZES if (changed := change(runs, batches_of(n), len(SIZES)))}
    refused = listed([str(n) for n in SIZES if str(n) not in changes])
    lstm, transformer = (said(runs, row) for row in (LSTM, TRANSFORMER))
    return (
        f"Found {over(len(runs))}: against batch norm, which refuses batches of {refused}, held-out accuracy with layer "
        f"norm was, by size of batches, {clearly(changes, 'lower', 'higher')}; it was {lstm} in an LSTM, and {transformer} "
        "in a Transformer."
    )


def said(runs: list[Run], row: str) -> str:
    """From batch norm to layer norm, in words."""
    return Estimate.change(*(of(runs, row, name) for name in (BATCH_NORM, LAYER_NORM))).said(
        "lower", "higher", 1, " points"
    )


def draw(runs: list[Run], settings: Settings) -> Path:
    """Accuracy over the size of batches, and of networks that read sequences."""
    from . import picture

    small = batches_of(next(n for n in SIZES if change(runs, batches_of(n))))
    levels = [", ".join(f"{Estimate.of(of(runs, row, name)).mean:.0f}%" for name in NORMS) for row in (small, LSTM)]
    title = f"Held-out accuracy with {', '.join(NORMS)}:\n{levels[0]} in {small}, {levels[1]} in an LSTM"
    figure, (by_size, read) = picture.new(title, 2)
    networks = [row for row in runs[0] if row not in map(batches_of, SIZES)]
    for k, (name, look) in enumerate(zip(NORMS, picture.LOOKS, strict=False)):
        places = [i for i, n in enumerate(SIZES) if of(runs, batches_of(n), name)]
        curves = list(zip(*(of(runs, batches_of(SIZES[i]), name) for i in places), strict=True))
        picture.curve(by_size, places, curves, name, look)
        picture.points(read, networks, [of(runs, row, name) for row in networks], name, look, 0.2 * k)
    by_size.set_xticks(range(len(SIZES)), map(str, SIZES))
    by_size.set(xlabel="digits in a batch", ylabel="held-out accuracy (%)")
    read.set(xlabel="held-out accuracy (%)")
    return picture.save(figure, settings.out / "layer_norm.png", picture.over_seeds(len(runs)))


DEMO = Demo(
    name="layer_norm",
    section="6.5",
    question="Does layer norm do where batch norm does not: in small batches, in an LSTM and in a Transformer?",
    seconds=30,
    seeds=6,
    steps=lambda fast: len(NORMS) * (len(SIZES) + len(READERS)),
    measure=measure,
    report=report,
)
