"""The demo of batch norm: what its layers measure, steps that are counted, and what is said of them."""

import math
import re

import numpy as np
import pytest
from fast_runs import fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos.base import Settings
from demos.batch_norm import BEST, COLUMNS, DEMO, REACHED, STEPS, cell_text, finding
from demos.batch_norm_runs import (
    AFTER,
    ARMS,
    BEFORE,
    NOISE,
    NONE,
    RATE,
    RATES,
    SCALE,
    SCALES,
    TARGET,
    Reached,
    Run,
    steps_to_target,
)
from demos.compared import SCORES
from demos.data import digits
from demos.deep_network import GroupedBatchNorm, Watch, deep


def random(backend, *shape):
    return tr.tensor(np.random.default_rng(0).normal(1, 2, shape).astype("float32"), backend=backend)


def test_groups_are_normalized_by_their_own_statistics(backend):
    x = random(backend, 12, 5)
    groups = x.numpy().reshape(3, 4, 5)
    expected = (groups - groups.mean(axis=1, keepdims=True)) / np.sqrt(groups.var(axis=1, keepdims=True) + 1e-5)
    layer = GroupedBatchNorm(5, 4)
    np.testing.assert_allclose(layer(x).numpy(), expected.reshape(12, 5), rtol=1e-4, atol=1e-5)
    mean, var = layer.running_mean.numpy(), layer.running_var.numpy()
    alone = (x.numpy() - mean) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(layer.eval()(x).numpy(), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [12, 50])
def test_one_group_is_plain_batch_norm(size, backend):
    x = random(backend, 12, 5)
    grouped, plain = GroupedBatchNorm(5, size), tr.nn.BatchNorm(5)
    np.testing.assert_array_equal(grouped(x).numpy(), plain(x).numpy())
    np.testing.assert_array_equal(grouped.running_var.numpy(), plain.running_var.numpy())


def test_a_watch_has_the_moments_of_an_epoch_and_the_distance_of_normal_distributions(backend):
    epochs = [random(backend, 3, 8, 5), 2 * random(backend, 3, 8, 5) + 1]
    watch = Watch()
    for epoch in epochs:
        for batch in epoch:
            assert watch(batch) is batch
        watch.end_epoch()
    watch.eval()(random(backend, 8, 5))  # does not count
    assert watch.batches == []
    values = [epoch.numpy().reshape(24, 5).astype(float) for epoch in epochs]
    (mean, std), (new_mean, new_std) = ((v.mean(axis=0), v.std(axis=0)) for v in values)
    expected = math.sqrt(((new_mean - mean) ** 2 + (new_std - std) ** 2).sum() / (std**2).sum())
    assert watch.moves() == [pytest.approx(expected, rel=1e-4)]


def test_the_scale_multiplies_every_initial_weight_and_draws_the_same_numbers():
    plain, scaled = (deep(tr.Generator(0), ARMS[BEFORE], scale) for scale in (1.0, 0.5))
    for (name, one), (_, other) in zip(plain.named_parameters(), scaled.named_parameters(), strict=True):
        factor = 0.5 if one.ndim == 2 else 1.0
        np.testing.assert_array_equal(factor * one.numpy(), other.numpy(), err_msg=name)


def test_training_stops_at_the_target_and_at_nan():
    for loss, stops in ((TARGET + 0.01, False), (TARGET, True), (math.nan, True), (math.inf, True)):
        run = tr.training.Run(tr.nn.Linear(1, 1), None, epochs=5)
        run.history.append({"loss": loss})
        Reached().on_epoch_end(run)
        assert run.stop == stops


def test_a_training_that_diverges_never_reaches_the_target():
    training = digits(10, seed=0)[0]
    assert steps_to_target(training, NONE, 1.0, 4.0, 0, 2, lambda: None) == math.inf


def test_the_table_has_the_numbers_of_the_runs(tmp_path):
    runs = fast_runs(DEMO)
    rows = {row[0]: row[1:] for row in DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).table}
    for arm in ARMS:
        assert rows[arm][3].split(" ")[0] == f"{np.mean([run.moves[arm] for run in runs]):.2f}"
    for name in NOISE:
        cells = rows[f"500 digits: {name}"][len(COLUMNS) :: 2]
        for cell, (score, (_, decimals, _)) in zip(cells, SCORES.items(), strict=True):
            assert cell.split(" ")[0] == f"{np.mean([run.noise[name][score] for run in runs]):.{decimals}f}"


def made(usual, best, share, loss=1.0):
    """A run in which each arm takes as many steps; `share` of the cells are reached; by 10 the loss is so much."""
    steps = {}
    for arm in ARMS:
        cells = np.full(len(SCALES) * len(RATES), math.inf)
        cells[: round(share[arm] * len(cells))] = 200.0
        table = cells.reshape(len(SCALES), len(RATES)).tolist()
        table[SCALE] = [best[arm]] * len(RATES)
        table[SCALE][RATE] = usual[arm]
        steps[arm] = table
    moves = {NONE: [0.3, 0.5], BEFORE: [0.1, 0.1], AFTER: [0.5, 0.7]}
    losses = {arm: [1.0] for arm in ARMS}
    noise = {name: dict.fromkeys(SCORES, 1.0) for name in NOISE}
    noise["by 10"] = dict.fromkeys(SCORES, 1.0) | {"loss": loss}
    return Run(300, steps, losses, moves, noise)


def shifted(e, sign=1):
    best = {NONE: 80.0, BEFORE: 80.0 - sign * (50.0 + e), AFTER: math.inf}
    share = dict.fromkeys(ARMS, 0.4) | {BEFORE: 0.8}
    return made(dict.fromkeys(ARMS, 250.0), best, share, 1.0 - sign * 0.5 + e / 100)


@pytest.mark.parametrize(
    ("sign", "noise", "clearly", "not_clearly"),
    [
        (1, 0.5, [-50, -0.5], []),
        (-1, 0.5, [50], [0]),
        (1, 10.0, [-50], [-0.5]),  # the loss by itself: ± 0.25, as one of twelve changes ± 0.9
        (1, 50.0, [], [-50, -0.5]),
    ],
)
def test_the_finding_says_what_the_numbers_say(sign, noise, clearly, not_clearly):
    said = finding([shifted(e, sign) for e in (-noise, 0.0, noise)])
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert re.search("80%.* 60%", said)


def test_steps_that_were_not_reached_count_as_all_there_are():
    never = dict.fromkeys(ARMS, math.inf)
    run = made({**never, BEFORE: 100.0}, {**never, NONE: 50.0}, dict.fromkeys(ARMS, 0.0))
    assert [COLUMNS[STEPS][1](run, arm) for arm in ARMS] == [300, 100, 300]
    assert [COLUMNS[BEST][1](run, arm) for arm in ARMS] == [50, 100, 300]
    assert cell_text([math.inf, math.inf], 300.0) == "not reached"
    assert cell_text([math.inf, 100.0], 200.0) == "> 200"
    assert cell_text([90.0, 100.0], 95.0) == "95"


def test_settings_are_counted():
    run = made(dict.fromkeys(ARMS, 100.0), dict.fromkeys(ARMS, math.inf), dict.fromkeys(ARMS, 0.0))
    assert COLUMNS[REACHED][1](run, NONE) == pytest.approx(100 / (len(SCALES) * len(RATES)))
