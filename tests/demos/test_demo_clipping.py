"""The demo of clipping: the networks that read pixels, the norms that are kept, and what is said of them."""

import math

import numpy as np
import pytest
from fast_runs import fast_run, fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos.base import Settings
from demos.clipping import (
    DEMO,
    KINDS,
    LIMITS,
    SCALES,
    USUAL,
    Clipped,
    Kind,
    Run,
    Scores,
    by_pixel,
    finding,
    largest,
    network,
    vanishing,
)
from demos.data import digits
from demos.sequences import LastState, pixels


def some(backend, *shape):
    return tr.tensor(np.random.default_rng(0).normal(size=shape).astype("float32"), backend=backend)


def test_digits_are_read_in_the_order_of_their_pixels():
    part = digits(2, seed=0)[0]
    read = pixels(part)
    assert read.inputs.shape == (20, 64, 1)
    np.testing.assert_array_equal(read.inputs.numpy()[:, :, 0], part.inputs.numpy())


@pytest.mark.parametrize("kind", [tr.nn.LSTM, tr.nn.RNN])
def test_the_last_state_is_the_last_output(kind, backend):
    reader, x = kind(3, 4, batch_first=True, rng=tr.Generator(0)), some(backend, 5, 6, 3)
    np.testing.assert_array_equal(LastState(reader)(x).numpy(), reader(x)[0].numpy()[:, -1])


@pytest.mark.parametrize("name", ["tanh", "LSTM"])
def test_the_scale_is_that_of_recurrent_weights_alone(name):
    plain, scaled = (network(Kind(name, scale), tr.Generator(0)) for scale in (1.0, 2.0))
    for (path, one), (_, other) in zip(plain.named_parameters(), scaled.named_parameters(), strict=True):
        np.testing.assert_array_equal((2 if "weight_hh" in path else 1) * one.numpy(), other.numpy(), err_msg=path)


def test_a_step_is_clipped_and_its_norm_before_is_kept(backend):
    model = tr.nn.Linear(1, 1, bias=False)
    optimizer = Clipped(model, 0.1, 1.0)
    before = model.weight.numpy().copy()
    for factor, moved in ((5.0, 0.1), (0.5, 0.09 + 0.05), (math.inf, 0.0)):  # momentum 0.9
        optimizer.zero_grad()
        (factor * model.weight.sum()).backward()
        optimizer.step()
        np.testing.assert_allclose(before - model.weight.numpy(), moved, rtol=1e-4, atol=1e-7)
        before = model.weight.numpy().copy()
    assert optimizer.norms == [5.0, 0.5, math.inf]


def test_gradients_by_pixel_are_those_of_the_loss():
    part = pixels(digits(1, seed=0)[0])
    model = network(USUAL, tr.Generator(0))
    got = by_pixel(model, part)

    def loss(inputs):
        return tr.losses.cross_entropy(model(inputs), part.labels).item()

    x = part.inputs.numpy()
    last = []
    for n in range(len(x)):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[n, -1, 0] += sign * 0.01
            ends.append(loss(tr.tensor(moved)))
        last.append((ends[0] - ends[1]) / 0.02)
    assert len(got) == 64
    assert got[-1] == pytest.approx(np.linalg.norm(last), rel=0.01)


def test_the_table_has_the_numbers_of_the_runs(tmp_path):
    runs = fast_runs(DEMO)
    for row, kind in zip(DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).table[1:], KINDS, strict=True):
        without, clipped = ([run.scores[kind][i] for run in runs] for i in range(len(LIMITS)))
        losses = [np.mean([scores.loss for scores in arm]) for arm in (without, clipped)]
        assert row[0] == str(kind)
        assert row[1] == f"{np.exp(np.mean([np.log(scores.norms[0]) for scores in without])):.2g}"
        assert [cell.split(" ")[0] for cell in row[3:6]] == [
            f"{losses[0]:.2f}", f"{losses[1]:.2f}", f"{losses[1] - losses[0]:+.2f}",
        ]  # fmt: skip


def test_both_arms_start_from_the_same_weights_and_the_same_batch():
    for without, clipped in fast_run(DEMO).scores.values():
        assert without.norms[0] == clipped.norms[0]


def test_the_largest_norm_is_that_of_each_epoch():
    assert largest(Scores([1.0, 100.0, 10.0, 1.0], [2.0, 1.0], 1.0, 90.0, 5.0)) == [2.0, 1.0]


def made(e, effects):
    scores = {
        kind: [Scores([1.0], [2.0], 2.0 + e, 50.0 + e, 5.0), Scores([1.0], [2.0], 2.0 + effect, 60.0 - e, 5.0)]
        for kind, effect in zip(KINDS, effects, strict=True)
    }
    return Run(scores, {scale: [10.0**scale, 1.0] for scale in SCALES})


@pytest.mark.parametrize(
    ("effects", "clearly", "not_clearly", "named"),
    [
        ((-1.0, 0, 1.0, -1.0, 0, -0.8, 0), [-1.0], [], (2, 3, 5)),
        ((1.0, 0, 1.0, 0, 0, 0, 0.8), [1.0], [], (2, 6)),
        ((0, 0.5, 0, 0, 0, 0, 0), [], [0.0, None], ()),  # of six ± 0.63
    ],
)
def test_the_finding_says_what_the_numbers_say(effects, clearly, not_clearly, named):
    said = finding([made(e, effects) for e in (-0.1, 0.0, 0.1)])
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert [i for i, kind in enumerate(KINDS[1:], 1) if str(kind) in said] == list(named)
    assert "2.00 ± 0.25" in said


def test_the_gradients_for_the_first_pixel_are_set_against_those_for_the_last():
    assert vanishing([made(0.0, (0,) * len(KINDS))]) == "3e+00, 1e+01, 3e+01 and 1e+02"
