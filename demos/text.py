"""Sections 6.7 and 6.9: a small Transformer on text, with and without regularization, with and without augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import tinyreg as tr

from .base import Demo, Result, Settings
from .data import Split
from .docstrings import LENGTH, PACKAGES, PADDING, Texts, docstrings, encode, python, vocabulary
from .estimate import INTERVALS, PICKED, Estimate, over
from .learning import accuracy, answers, train
from .seeds import Tick
from .sizes import wide

text = tr.augment.text
Edit = Callable[..., str]

EACH, FAST_EACH, BATCH = 40, 5, 20
WIDTH, HEADS, HIDDEN, LEARNING_RATE = 32, 4, 64, 0.003
EPOCHS, FAST_EPOCHS = 30, 1
DROPOUT, SMOOTHING = 0.3, 0.1  # the least that the chapter has for hidden layers, and what the paper on Transformers has
NETWORKS = ("plain", "regularized")
NONE, ANY = "none", "one of the four"
OWN_SYNONYMS = {  # for where there is no WordNet
    "return": ["give"], "create": ["make", "build"], "make": ["create"], "get": ["fetch"], "given": ["specified"],
    "specified": ["given"], "convert": ["turn"], "string": ["text"], "message": ["note"], "error": ["mistake", "fault"],
    "name": ["title"], "list": ["sequence"], "called": ["invoked"], "call": ["invoke"], "start": ["begin"],
    "stop": ["halt", "end"], "wait": ["pause"], "file": ["document"], "check": ["verify"], "remove": ["delete"],
    "add": ["append"], "function": ["method"], "method": ["function"], "object": ["thing"], "value": ["content"],
}  # fmt: skip


class Transformer(tr.nn.Module):
    """W mean(block(table[words] + positions)) + b, the mean over the words that are there.

    words: (N, LENGTH), as from `encode`; the result is (N, classes). dropout: also of what goes into the block.
    """

    def __init__(self, rng: tr.Generator, *, dropout: float = 0.0, layer_norm: bool = True) -> None:
        nn = tr.nn
        self.table = nn.Embedding(max(vocabulary().values()) + 1, wide(WIDTH), rng=rng)
        self.positions = nn.Parameter(rng.normal(shape=(LENGTH, wide(WIDTH))))
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.block = nn.TransformerBlock(wide(WIDTH), HEADS, wide(HIDDEN), dropout=dropout, batch_first=True, rng=rng)
        if not layer_norm:
            for name in ("norm1", "norm2"):
                setattr(self.block, name, nn.Sequential())
        self.classify = nn.Linear(wide(WIDTH), len(PACKAGES), nonlinearity="linear", rng=rng)

    def forward(self, words: tr.Tensor) -> tr.Tensor:
        """The logits."""
        padding = words == PADDING
        x = self.block(self.dropout(self.table(words) + self.positions), src_key_padding_mask=padding)
        there = tr.astype(tr.logical_not(padding), "float32")[:, :, None]
        logits: tr.Tensor = self.classify((x * there).sum(axis=1) / there.sum(axis=1))
        return logits


class Edited:
    """The batches of an epoch, in a new order and newly edited each time. The order depends on the seed alone."""

    def __init__(self, texts: Texts, edit: Edit | None, seed: int) -> None:
        self.texts, self.edit = texts, edit
        self.order, self.rng = tr.Generator(seed), tr.Generator(1000 + seed)

    def __iter__(self) -> Iterator[tuple[tr.Tensor, tr.Tensor]]:
        order = self.order.permutation(len(self.texts.labels))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            sentences = [self.texts.sentences[i] for i in rows.tolist()]
            if self.edit is not None:
                sentences = [self.edit(sentence, rng=self.rng) for sentence in sentences]
            yield encode(sentences), self.texts.labels[rows]


@cache
def thesaurus() -> Any:
    """WordNet where it is installed, otherwise a small mapping of our own."""
    try:
        return text.WordNet()
    except FileNotFoundError:
        return text.Thesaurus(OWN_SYNONYMS)


def edits() -> dict[str, Edit | None]:
    """The changes that are compared, by name; each changes about one word in ten, as its source recommends."""
    known = thesaurus()
    single: dict[str, Edit] = {
        "synonym replacement": partial(text.synonym_replacement, thesaurus=known),
        "random insertion": partial(text.random_insertion, thesaurus=known),
        "random swap": text.random_swap,
        "random deletion": text.random_deletion,
    }
    return {NONE: None, **single, ANY: partial(one_of, list(single.values()))}


def one_of(edits: Sequence[Edit], sentence: str, *, rng: tr.Generator) -> str:
    """The sentence after one of the edits, chosen at random."""
    return edits[int(rng.integers(0, len(edits)))](sentence, rng=rng)


class Scores(NamedTuple):
    """Accuracy in %."""

    held_out: float
    training: float


Run = dict[str, list[Scores]]  # by the name of the edit, for each of NETWORKS


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """A run for each edit and network; those of a network start from the same weights and see the same batches."""
    texts = docstrings(FAST_EACH if fast else EACH, seed=seed)
    learned, held_out = (Split(encode(part.sentences), part.labels) for part in texts)
    run: Run = {}
    for name, edit in edits().items():
        models = [trained(Edited(texts[0], edit, seed), regularized, seed, fast, tick) for regularized in (False, True)]
        run[name] = [Scores(score(model, held_out), score(model, learned)) for model in models]
    return run


def trained(batches: Edited, regularized: bool, seed: int, fast: bool, tick: Tick) -> Transformer:
    """A network that has learned from these batches."""
    model = Transformer(tr.Generator(seed), dropout=DROPOUT * regularized, layer_norm=regularized)
    loss = partial(tr.losses.cross_entropy, label_smoothing=SMOOTHING * regularized)
    optimizer = tr.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    train(model, batches, loss=loss, optimizer=optimizer, epochs=FAST_EPOCHS if fast else EPOCHS, tick=tick)
    return model


def score(model: Transformer, split: Split) -> float:
    """The accuracy on sentences as they stand."""
    return float(accuracy(answers(model, split.inputs), split.labels).item())


# ---- what came out ---------------------------------------------------------------------------------------------------


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each edit, and two columns for each network."""
    each, epochs = (FAST_EACH, FAST_EPOCHS) if settings.fast else (EACH, EPOCHS)
    trained = [Estimate.of([run[NONE][k].training for run in runs]).text(1) for k in range(len(NETWORKS))]
    known = "WordNet" if isinstance(thesaurus(), text.WordNet) else f"a small {thesaurus()!r} of the demo's own"
    return Result(
        table=table(runs),
        note=f"Accuracy in % on held-out sentences: {INTERVALS}, {len(runs)} seeds; changes are\n"
        "against no augmentation, in points, from pairs of runs. The task: from which of the packages "
        f"{', '.join(PACKAGES[:2])},\n{', '.join(PACKAGES[2:-1])} and {PACKAGES[-1]} is the first sentence of a docstring? "
        f"Sentences are those of {python()},\n{each} of each package to learn from, in {epochs} epochs of Adam at "
        f"{LEARNING_RATE:g}, newly edited in each; synonyms are from {known}.\nRegularized: with layer norm, dropout "
        f"{DROPOUT:g} and label smoothing {SMOOTHING:g}. On what they learned from, the two Transformers\nhad "
        f"{' and '.join(trained)} without augmentation.\n{PICKED}",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def held_out(runs: list[Run], edit: str, network: int) -> list[float]:
    """The accuracy for each seed."""
    return [run[edit][network].held_out for run in runs]


def change(runs: list[Run], edit: str, network: int, among: int = 1) -> Estimate:
    """Of the accuracy, by an edit."""
    return Estimate.change(held_out(runs, NONE, network), held_out(runs, edit, network), among=among)


def table(runs: list[Run]) -> list[list[str]]:
    """For each edit and network: accuracy, and its change."""
    rows = [["augmentation", *(cell for network in NETWORKS for cell in (f"{network} Transformer", "change"))]]
    for edit in runs[0]:
        row = [edit]
        for k in range(len(NETWORKS)):
            changed = "" if edit == NONE else change(runs, edit, k).text(1, "+")
            row += [Estimate.of(held_out(runs, edit, k)).text(1), changed]
        rows.append(row)
    return rows


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    plain, regularized = (change(runs, ANY, k).said("lower", "higher", 1, " points") for k in range(len(NETWORKS)))
    return (
        f"Found {over(len(runs))}: with one of four edits to each sentence of {python()}, held-out accuracy was {plain} "
        f"for the plain Transformer, and {regularized} for the regularized one; of single edits {best(runs, 0)} "
        f"and {best(runs, 1)} did best."
    )


def best(runs: list[Run], network: int) -> str:
    """The single edit with the highest accuracy, and what it changed."""
    edits = [edit for edit in runs[0] if edit not in (NONE, ANY)]
    changes = {edit: change(runs, edit, network, len(edits)) for edit in edits}
    name = max(changes, key=lambda edit: changes[edit].mean)
    return f"{name} ({changes[name].text(1, '+')})"


def draw(runs: list[Run], settings: Settings) -> Path:
    """Accuracy with each edit for both networks, and beside it what the edit changed."""
    from . import picture

    gains = " and ".join(f"{change(runs, ANY, k).text(1, '+')} points ({network})" for k, network in enumerate(NETWORKS))
    gains = gains.replace("-", "\N{MINUS SIGN}")
    title = f"Edits of the sentences to learn from, one of four at random,\nchanged the held-out accuracy by {gains}"
    figure, (levels, changes) = picture.new(title, 2)
    names = list(runs[0])
    for k, (network, look) in enumerate(zip(NETWORKS, picture.LOOKS, strict=False)):
        accuracies = [held_out(runs, name, k) for name in names]
        by_pair = [[a - before for a, before in zip(of, accuracies[0], strict=True)] for of in accuracies]
        for axes, values in ((levels, accuracies), (changes, by_pair)):
            picture.points(axes, names, values, f"{network} Transformer", look, 0.25 * k)
    changes.axvline(0, color="#444444", linewidth=0.8)
    changes.set_yticklabels([])
    levels.set(xlabel="accuracy on held-out sentences (%)")
    changes.set(xlabel="change against no augmentation (points)")
    note = f"{picture.over_seeds(len(runs))}; regularized: layer norm, dropout, label smoothing; {python()}"
    return picture.save(figure, settings.out / "text.png", note)


DEMO = Demo(
    name="text",
    section="6.7, 6.9",
    question="What do edits of text bring a small Transformer that sorts sentences, with and without regularization?",
    seconds=70,
    seeds=5,
    steps=lambda fast: len(edits()) * len(NETWORKS) * (FAST_EPOCHS if fast else EPOCHS),
    measure=measure,
    report=report,
)
