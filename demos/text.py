"""Sections 6.7 and 6.9: a small Transformer on text, with and without regularization, with and without augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import tinyreg as tr

from . import arms
from .base import Demo, Result, Settings
from .compared import SCORES, Comparison
from .data import Split
from .docstrings import LENGTH, PACKAGES, PADDING, Texts, docstrings, encode, python, vocabulary
from .estimate import Estimate, listed, over
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
NONE, ANY, BACK = "none", "one of the four", "back-translation"
THERE = ("eng", "spa")  # the pair of languages through which sentences are translated and back
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


@cache
def translators() -> tuple[Any, Any]:
    """There and back. Raises where Apertium or the pair is not installed, and where it does not work."""
    return text.Apertium(*THERE, timeout=60), text.Apertium(*THERE[::-1], timeout=60)


def untranslated() -> str:
    """Why there is no back-translation; empty where there is."""
    try:
        translators()
    except (OSError, RuntimeError, ValueError) as error:
        return str(error)
    return ""


@lru_cache(maxsize=2)
def returned(sentences: tuple[str, ...]) -> dict[str, str]:
    """Each sentence as it comes back from the other language; they go there all at once, since a call takes long."""
    gap = "\n\n"
    back = text.back_translation(gap.join(sentences), *translators()).split(gap)
    return {one: other.strip() for one, other in zip(sentences, back, strict=True)}


def half_returned(known: Mapping[str, str], sentence: str, *, rng: tr.Generator) -> str:
    """The sentence, or in half of all cases what it became by translation and back."""
    return known[sentence] if int(rng.integers(0, 2)) else sentence


def compared() -> list[str]:
    """The names of what is compared: the single edits, and back-translation where there is one."""
    return [name for name in edits() if name != ANY] + [BACK] * (not untranslated())


def named(network: str, edit: str) -> str:
    """How a training is called."""
    return f"{network}: {edit}"


Run = dict[str, dict[str, float]]  # scores of `arms.quality` on held-out sentences, and "training" accuracy, by `named`


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """A run for each edit and network; those of a network start from the same weights and see the same batches."""
    texts = docstrings(FAST_EACH if fast else EACH, seed=seed)
    learned, held_out = (Split(encode(part.sentences), part.labels) for part in texts)
    run: Run = {}
    for name in compared():
        edit = partial(half_returned, returned(tuple(texts[0].sentences))) if name == BACK else edits()[name]
        for network in NETWORKS:
            model = trained(Edited(texts[0], edit, seed), network == NETWORKS[1], seed, fast, tick)
            scores = arms.quality(answers(model, held_out.inputs), held_out.labels)
            run[named(network, name)] = scores | {"training": score(model, learned)}
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


def tried(runs: list[Run]) -> list[str]:
    """What was measured in all runs, but for no edit: back-translation may be missing in some."""
    return [name for name in (*edits(), BACK) if name != NONE and all(named(NETWORKS[0], name) in run for run in runs)]


def comparison(runs: list[Run]) -> Comparison:
    """Each edit against none, for each network."""
    against = {named(network, name): named(network, NONE) for network in NETWORKS for name in tried(runs)}
    rows = [named(network, name) for network in NETWORKS for name in (NONE, *tried(runs))]
    return Comparison([{row: run[row] for row in rows} for run in runs], against, SCORES)


def report(runs: list[Run], settings: Settings) -> Result:
    """A row for each network and edit."""
    each, epochs = (FAST_EACH, FAST_EPOCHS) if settings.fast else (EACH, EPOCHS)
    training = [Estimate.of([run[named(network, NONE)]["training"] for run in runs]).text(1) for network in NETWORKS]
    known = "WordNet" if isinstance(thesaurus(), text.WordNet) else f"a small {thesaurus()!r} of the demo's own"
    found = comparison(runs)
    back = "Apertium translates to Spanish and back, half of the time." if BACK in tried(runs) else untranslated()
    return Result(
        table=found.table(),
        note=f"The task: from which of the packages {listed(PACKAGES)} is the first sentence of a docstring? Sentences are "
        f"those of {python()}, {each} of each package to learn from, in {epochs} epochs of Adam at {LEARNING_RATE:g}, "
        f"newly edited in each; the test is on all others, as they stand. Synonyms are from {known}. Back-translation: "
        f"{back} Regularized: with layer norm, dropout {DROPOUT:g} and label smoothing {SMOOTHING:g}. On what they "
        f"learned from, the two Transformers had {' and '.join(training)} % right without augmentation. "
        f"{len(runs)} seeds.\n{found.note()}",
        finding=finding(runs),
        picture=draw(runs, settings),
    )


def finding(runs: list[Run]) -> str:
    """What was found, in a sentence that is true whichever way it went."""
    found = comparison(runs)
    back = "back-translation was not tried"
    if BACK in tried(runs):
        plain, regularized = (found.said(named(network, BACK), "accuracy") for network in NETWORKS)
        back = f"with back-translation held-out accuracy was {plain} for the plain Transformer, {regularized} for the other"
    bests = " and ".join(best(found, network) for network in NETWORKS)
    return f"Found {over(len(runs))}, in sentences of {python()}: {back}; of other edits {bests} did best."


def best(found: Comparison, network: str) -> str:
    """The edit but back-translation with the highest accuracy, and what it changed."""
    names = {arm: arm.partition(": ")[2] for arm in found.against if arm.startswith(f"{network}:")}
    arm = max((arm for arm, name in names.items() if name != BACK), key=lambda arm: found.changes[arm, "accuracy"].mean)
    return f"{names[arm]} ({found.changes[arm, 'accuracy'].text(1, '+')})"


def draw(runs: list[Run], settings: Settings) -> Path:
    """What each edit changed for both networks: accuracy, and loss."""
    from . import picture

    found, names = comparison(runs), tried(runs)
    shown = BACK if BACK in names else names[0]
    gains = " and ".join(
        f"{found.changes[named(network, shown), 'accuracy'].text(1, '+')} points ({network})" for network in NETWORKS
    )
    gains = gains.replace("-", "\N{MINUS SIGN}")
    title = f"Of the sentences to learn from: {shown} changed held-out accuracy by {gains}"
    figure, panels = picture.new(title, 2)
    for axes, score in zip(panels, ("accuracy", "loss"), strict=True):
        for k, (network, look) in enumerate(zip(NETWORKS, picture.LOOKS, strict=False)):
            by_pair = [found.differences(named(network, name), score) for name in names]
            picture.points(axes, names, by_pair, f"{network} Transformer", look, 0.25 * k)
        axes.axvline(0, color="#444444", linewidth=0.8)
        axes.set(xlabel=f"change of held-out {score} ({SCORES[score].unit.strip()})")
    panels[1].set_yticklabels([])
    note = f"{picture.over_seeds(len(runs))}; regularized: layer norm, dropout, label smoothing; {python()}"
    return picture.save(figure, settings.out / "text.png", note)


DEMO = Demo(
    name="text",
    section="6.7, 6.9",
    question="What do edits of text bring a small Transformer that sorts sentences, with and without regularization?",
    seconds=60,
    seeds=5,
    steps=lambda fast: len(compared()) * len(NETWORKS) * (FAST_EPOCHS if fast else EPOCHS),
    measure=measure,
    report=report,
)
