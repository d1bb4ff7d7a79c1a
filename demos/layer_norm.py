"""Section 6.5: layer norm against batch norm, as batches shrink to one digit, and in an LSTM and a Transformer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import tinyreg as tr

from . import arms
from .arms import Arm, about
from .base import Demo, Result, Settings
from .compared import SCORES, Comparison
from .data import Split, digits
from .estimate import Estimate, clearly, listed, over
from .learning import answers, train
from .seeds import Tick
from .sequences import FEATURES, ColumnLSTM, ColumnTransformer, Norm, inked_columns
from .sizes import wide

nn = tr.nn
SIZES, EPOCHS, RATE_OF_ONE = (1, 2, 5, 10, 25, 50), 10, 0.001
SEQUENCE_EACH, SEQUENCE_HELD_OUT, SEQUENCE_BATCH, SEQUENCE_EPOCHS = 30, 50, 30, 20
FAST_SEQUENCE_EACH, FAST_EPOCHS = 3, 2
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


Run = dict[str, dict[str, float]]  # scores of `arms.quality`, by `named`; none where training is refused


def named(row: str, norm: str) -> str:
    """How a network is called."""
    return f"{row}: {norm}"


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Networks of one row start from the same weights and see the same batches."""
    run: Run = {}
    for size in SIZES:
        for norm in NORMS:
            if size > 1 or norm != BATCH_NORM:  # a single value has no variance: nn.BatchNorm refuses it
                model, (*_, test), _ = arms.trained(of_size(norm, size), seed, fast)
                run[named(batches_of(size), norm)] = arms.quality(answers(model, test.inputs), test.labels)
            tick()
    each, epochs = (FAST_SEQUENCE_EACH, FAST_EPOCHS) if fast else (SEQUENCE_EACH, SEQUENCE_EPOCHS)
    columns, others = map(inked_columns, digits(each, seed=seed))
    for network in READERS:
        for norm in NORMS:
            rows = (network, by_own(network))
            for row, scores in zip(rows, of_reader(columns, others, network, norm, seed, epochs, tick), strict=True):
                run[named(row, norm)] = scores
    return run


def of_size(norm: str, size: int) -> Arm:
    """A network that learns in batches of `size`, with a learning rate in proportion to it."""
    words = {BATCH_NORM: "batch", LAYER_NORM: "layer"}
    arm = Arm(norm=words.get(norm, ""), batch=size, rate=RATE_OF_ONE * size)
    return replace(arm, steps=EPOCHS * arm.epoch(False))


def of_reader(
    columns: Split, others: Split, network: str, name: str, seed: int, epochs: int, tick: Tick
) -> tuple[dict[str, float], dict[str, float]]:
    """Scores after training to read sequences: as always, and by the statistics of the test digits themselves."""
    rng = tr.Generator(seed)
    model = nn.Sequential(READERS[network](NORMS[name], rng), nn.Linear(wide(FEATURES), 10, nonlinearity="linear", rng=rng))
    train(
        model,
        columns,
        loss=tr.losses.cross_entropy,
        optimizer=tr.optim.Adam(model.parameters(), lr=SEQUENCE_RATE),
        epochs=epochs,
        batch_size=SEQUENCE_BATCH,
        rng=rng,
        tick=lambda: None,
    )
    tick()
    usual = arms.quality(answers(model, others.inputs), others.labels)
    with tr.no_grad():
        return usual, arms.quality(model.train()(others.inputs), others.labels)


# ---- what came out ---------------------------------------------------------------------------------------------------


def compared(runs: list[Run]) -> Comparison:
    """Layer norm and none against batch norm, where that can be trained."""
    rows = [*(batches_of(size) for size in SIZES if size > 1), *READERS, *map(by_own, READERS)]
    against = {named(row, norm): named(row, BATCH_NORM) for row in rows for norm in NORMS if norm != BATCH_NORM}
    return Comparison(runs, against, SCORES)


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each size of batches and each network that reads sequences, with each norm."""
    found = compared(runs)
    return Result(
        table=found.table(),
        note=note(len(runs), settings.fast) + found.note(),
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def note(seeds: int, fast: bool) -> str:
    """What the numbers are."""
    each, epochs = (FAST_SEQUENCE_EACH, FAST_EPOCHS) if fast else (SEQUENCE_EACH, SEQUENCE_EPOCHS)
    return (
        f"{about(of_size(LAYER_NORM, SIZES[-1]))} Other sizes of batches have as many epochs, and a rate in proportion. "
        f"Norms are before relu. {seeds} seeds.\n"
        "LSTM and Transformer: a digit of 8 x 8 pixels is the sequence of its columns with ink, padded to 8; they learn "
        f"from {10 * each} in batches of {SEQUENCE_BATCH}, in {epochs} epochs of Adam; the test is on all others. Norms "
        "are on what goes into the gates, and in place of those of the block. Batch norm is over digits and steps, padding "
        "too, with the same running averages for all steps. Own statistics: in training mode, with all test digits as "
        "one batch.\nChanges are against batch norm. "
    )


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    found = compared(runs)
    sizes = [size for size in SIZES if named(batches_of(size), LAYER_NORM) in found.against]
    changes = {str(size): found.changes[named(batches_of(size), LAYER_NORM), "loss"] for size in sizes}
    refused = listed([str(size) for size in SIZES if size not in sizes])
    lstm, transformer = (found.said(named(row, LAYER_NORM), "loss") for row in (LSTM, TRANSFORMER))
    return (
        f"Found {over(len(runs))}: against batch norm, which refuses batches of {refused}, test loss with layer norm was, "
        f"by size of batches, {clearly(changes, 'lower', 'higher')}; it was {lstm} in an LSTM, and {transformer} in a "
        "Transformer."
    )


def draw(runs: list[Run], settings: Settings) -> Path:
    """Loss and accuracy over the size of batches, and accuracy of networks that read sequences."""
    from . import picture

    small = batches_of(next(size for size in SIZES if size > 1))
    levels = [", ".join(f"{mean(runs, named(row, norm), 'accuracy'):.0f}%" for norm in NORMS) for row in (small, LSTM)]
    title = f"Test accuracy with {', '.join(NORMS)}:\n{levels[0]} in {small}, {levels[1]} in an LSTM"
    figure, (*by_size, read) = picture.new(title, 3)
    networks = [*READERS, *map(by_own, READERS)]
    for k, (norm, look) in enumerate(zip(NORMS, picture.LOOKS, strict=False)):
        places = [i for i, size in enumerate(SIZES) if named(batches_of(size), norm) in runs[0]]
        for axes, score in zip(by_size, ("loss", "accuracy"), strict=True):
            curves = [[run[named(batches_of(SIZES[i]), norm)][score] for i in places] for run in runs]
            picture.curve(axes, places, curves, norm, look)
            axes.set_xticks(range(len(SIZES)), map(str, SIZES))
            axes.set(xlabel="digits in a batch", ylabel=f"test {SCORES[score].head}")
        accuracies = [[run[named(row, norm)]["accuracy"] for run in runs] for row in networks]
        picture.points(read, networks, accuracies, norm, look, 0.2 * k)
    read.set(xlabel="test accuracy (%)")
    return picture.save(figure, settings.out / "layer_norm.png", picture.over_seeds(len(runs)))


def mean(runs: list[Run], name: str, score: str) -> float:
    """Of a score over seeds."""
    return Estimate.of([run[name][score] for run in runs]).mean


DEMO = Demo(
    name="layer_norm",
    section="6.5",
    question="Does layer norm do where batch norm does not: in small batches, in an LSTM and in a Transformer?",
    seconds=50,
    seeds=6,
    steps=lambda fast: len(NORMS) * (len(SIZES) + len(READERS)),
    measure=measure,
    report=report,
)
