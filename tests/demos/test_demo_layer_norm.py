"""The demo of layer norm: sequences and their padding, the networks that read them, and what is said of them."""

import re

import numpy as np
import pytest
from fast_runs import fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos.base import Settings
from demos.compared import SCORES
from demos.data import digits
from demos.layer_norm import (
    BATCH_NORM,
    DEMO,
    EPOCHS,
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
    named,
    of_size,
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


def test_the_table_has_the_numbers_of_the_runs_and_nothing_that_is_refused(tmp_path):
    runs = fast_runs(DEMO)
    table = DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).table[1:]
    rows = [*map(batches_of, SIZES), *READERS, *map(by_own, READERS)]
    assert {row[0] for row in table} == {named(row, norm) for row in rows for norm in NORMS} - {
        named(batches_of(1), BATCH_NORM)
    }
    for name, *cells in table:
        for k, (score, (_, decimals, _)) in enumerate(SCORES.items()):
            assert cells[2 * k].split(" ")[0] == f"{np.mean([run[name][score] for run in runs]):.{decimals}f}"
            against_itself = name.endswith(BATCH_NORM) or name.startswith(f"{batches_of(1)}:")
            assert bool(cells[2 * k + 1]) != against_itself


def test_an_epoch_is_all_digits_and_the_rate_is_in_proportion_to_the_batch():
    for size in SIZES:
        arm = of_size(LAYER_NORM, size)
        assert (arm.batch, arm.norm, arm.epochs(False)) == (size, "layer", EPOCHS)
        assert arm.rate / size == of_size(LAYER_NORM, 1).rate


def made(effects, noise):
    """Of three seeds: every score is 1, and with layer norm it changes so much."""
    runs = []
    for e in (-noise, 0.0, noise):
        run = {}
        for row in [*map(batches_of, SIZES), *READERS, *map(by_own, READERS)]:
            run |= {named(row, norm): dict.fromkeys(SCORES, 1.0) for norm in NORMS}
            run[named(row, LAYER_NORM)] = dict.fromkeys(SCORES, 1.0 + effects.get(row, 0.0) + e)
        del run[named(batches_of(1), BATCH_NORM)]
        runs.append(run)
    return runs


@pytest.mark.parametrize(
    ("effects", "noise", "clearly", "not_clearly", "sizes"),
    [
        (
            {batches_of(2): -2.0, batches_of(5): -1.0, batches_of(50): 0.5, LSTM: -0.3, TRANSFORMER: 0.2},
            0.0001,
            [-0.3, 0.2],
            [],
            "lower .* 2 and 5 .* higher .* 50;",
        ),
        ({batches_of(5): -0.2, LSTM: -0.3}, 1.0, [], [None, -0.3, 0.0], "refuses batches of 1,"),
    ],
)
def test_the_finding_says_what_the_numbers_say(effects, noise, clearly, not_clearly, sizes):
    said = finding(made(effects, noise))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert re.search(sizes, said)
