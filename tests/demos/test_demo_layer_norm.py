"""The demo of layer norm: sequences and their padding, the networks that read them, and what is said of them."""

import re

import numpy as np
import pytest
from fast_runs import fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos.base import Settings
from demos.data import digits
from demos.layer_norm import (
    BATCH_NORM,
    DEMO,
    LAYER_NORM,
    LSTM,
    NORMS,
    READERS,
    SIZES,
    TRANSFORMER,
    BatchNormLast,
    batches_of,
    by_own,
    finding,
)
from demos.sequences import NormalizedLSTM, inked_columns, padding


def test_columns_without_ink_are_left_out_and_the_others_keep_their_order(backend):
    part = digits(3, seed=0)[0]
    read = inked_columns(part)
    assert read.inputs.backend == backend
    over = padding(read.inputs).numpy()
    for image, columns, empty in zip(part.inputs.numpy().reshape(-1, 8, 8), read.inputs.numpy(), over, strict=True):
        kept = [column for column in image.T if column.any()]
        np.testing.assert_array_equal(columns[: len(kept)], kept)
        assert not columns[len(kept) :].any()
        np.testing.assert_array_equal(empty, np.arange(8) >= len(kept))
    assert len(set(over.sum(axis=1))) > 1  # lengths differ


def test_batch_norm_of_sequences_is_over_samples_and_steps(backend):
    x = tr.tensor(np.random.default_rng(0).normal(1, 2, (4, 3, 5)).astype("float32"), backend=backend)
    values = x.numpy()
    expected = (values - values.mean(axis=(0, 1))) / np.sqrt(values.var(axis=(0, 1)) + 1e-5)
    np.testing.assert_allclose(BatchNormLast(5)(x).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_batch_norm_refuses_a_batch_of_one_as_the_demo_says():
    with pytest.raises(ValueError, match="expected  more than one value for each channel"):
        BatchNormLast(5)(tr.ones((1, 5)))


@pytest.mark.parametrize("network", READERS)
@pytest.mark.parametrize("name", NORMS)
def test_in_evaluation_mode_neither_padding_nor_the_other_digits_matter(network, name, backend):
    columns = inked_columns(digits(2, seed=0)[0]).inputs
    reader = READERS[network](NORMS[name], tr.Generator(0)).eval()
    together = reader(columns).numpy()
    lengths = (8 - padding(columns).numpy().sum(axis=1)).tolist()
    alone = np.concatenate([reader(columns[i : i + 1, :length]).numpy() for i, length in enumerate(lengths)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", READERS)
def test_in_training_mode_other_digits_matter_to_batch_norm_alone(network):
    columns = inked_columns(digits(2, seed=0)[0]).inputs
    for name, norm in NORMS.items():
        reader = READERS[network](norm, tr.Generator(0)).train()
        apart = np.abs(reader(columns).numpy()[:5] - reader(columns[:5]).numpy()).max()
        assert (apart > 1e-3) == (name == BATCH_NORM)


def test_the_norm_is_on_both_sums_that_go_into_the_gates():
    reader = NormalizedLSTM(tr.nn.LayerNorm, tr.Generator(0))
    x, h = (tr.tensor(np.random.default_rng(i).normal(size=(2, 128)).astype("float32")) for i in (0, 1))
    state = (tr.zeros((2, 32)), tr.ones((2, 32)))
    gates = [(v - v.mean(axis=1, keepdims=True)) / v.std(axis=1, keepdims=True) for v in (x.numpy(), h.numpy())]
    i, f, g, o = np.split(sum(gates), 4, axis=1)
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    c = sigmoid(f) + sigmoid(i) * np.tanh(g)
    np.testing.assert_allclose(reader.step(x, h, state)[0].numpy(), sigmoid(o) * np.tanh(c), rtol=1e-3, atol=1e-4)


def test_the_table_has_the_numbers_of_the_runs(tmp_path):
    runs = fast_runs(DEMO)
    for row in DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).table[1:]:
        values = {name: [run[row[0]][name] for run in runs] for name in NORMS}
        for name, cell in zip(NORMS, row[1:], strict=False):
            refused = (row[0], name) == (batches_of(1), BATCH_NORM)
            assert cell.split(" ")[0] == ("refused" if refused else f"{np.mean(values[name]):.1f}")
        if row[0] != batches_of(1):
            assert row[4].split(" ")[0] == f"{np.mean(values[LAYER_NORM]) - np.mean(values[BATCH_NORM]):+.1f}"


def made(e, changes):
    run = {row: dict.fromkeys(NORMS, 80.0 + e) for row in changes}
    for row, change in changes.items():
        run[row][LAYER_NORM] += change + e / 2
    run[batches_of(1)][BATCH_NORM] = None
    return run


def changes(**others):
    rows = [*map(batches_of, SIZES), LSTM, by_own(LSTM), TRANSFORMER, by_own(TRANSFORMER)]
    return dict.fromkeys(rows, 0.0) | others


@pytest.mark.parametrize(
    ("effects", "clearly", "not_clearly", "sizes"),
    [
        (
            {batches_of(2): 20.0, batches_of(5): 10.0, batches_of(50): -5.0, LSTM: 30.0, TRANSFORMER: -2.0},
            [30.0, -2.0],
            [],
            "lower .* 50 .* higher .* 2 and 5;",
        ),
        # ± 0.12 by itself, and ± 0.31 of six
        ({batches_of(5): 0.2, batches_of(10): -0.2, LSTM: -3.0}, [-3.0], [None, 0.0], "refuses batches of 1,"),
    ],
)
def test_the_finding_says_what_the_numbers_say(effects, clearly, not_clearly, sizes):
    said = finding([made(e, changes() | effects) for e in (-0.1, 0.0, 0.1)])
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert re.search(sizes, said)
