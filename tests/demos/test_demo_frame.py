"""What all demos use: means with intervals, what these allow to be said, training, and pictures."""

import math
import signal

import matplotlib.image
import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

import tinyreg as tr
from demos import picture
from demos.estimate import Estimate, clearly, listed, over
from demos.learning import accuracy, answers, train

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=12).filter(lambda values: np.std(values) > 1e-6)

# ---- intervals


@given(VALUES)
def test_an_estimate_is_the_mean_with_the_95_percent_interval_of_student(values):
    found = Estimate.of(values)
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, np.mean(values), scipy.stats.sem(values))
    assert found.mean - found.half == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert found.mean + found.half == pytest.approx(high, rel=1e-9, abs=1e-9)


@given(VALUES, st.randoms(use_true_random=False))
def test_a_change_is_clear_where_the_paired_t_test_rejects_at_5_percent(before, random):
    after = [value + random.uniform(-1, 2) for value in before]
    assume(np.ptp(np.subtract(after, before)) > 1e-9)  # of equal changes scipy warns that there is nothing to test
    expected = scipy.stats.ttest_rel(after, before)
    found = Estimate.change(before, after)
    assert found.mean == pytest.approx(np.mean(after) - np.mean(before), abs=1e-9)
    if abs(expected.pvalue - 0.05) > 1e-6:
        assert found.clear == (expected.pvalue < 0.05)


@given(VALUES, st.integers(1, 30))
def test_the_intervals_of_several_to_pick_from_hold_together_by_bonferroni(values, among):
    found = Estimate.of(values, among=among)
    low, high = scipy.stats.t.interval(1 - 0.05 / among, len(values) - 1, np.mean(values), scipy.stats.sem(values))
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high), rel=1e-9, abs=1e-9)
    assert found == Estimate.change([0.0] * len(values), values, among=among)


def test_the_best_of_several_that_do_nothing_is_clear_in_5_percent_at_most():
    noise = np.random.default_rng(0).normal(size=(2000, 7, 5))  # experiments, arms, seeds
    picked = noise[np.arange(2000), np.abs(noise.mean(axis=2)).argmax(axis=1)].tolist()
    alone, together = (np.mean([Estimate.of(values, among=among).clear for values in picked]) for among in (1, 7))
    assert together < 0.05 < alone


def test_a_single_seed_has_no_interval_and_finds_nothing():
    found = Estimate.change([1.0], [0.1])
    assert (found.mean, found.half, found.clear) == (pytest.approx(-0.9), math.inf, False)
    assert found.text(2) == "-0.90"
    assert found.said("lower", "higher", 2, " nats") == "not clearly different (-0.90 nats)"
    assert over(1) == "over a single seed, which says little"


def test_no_change_at_all_is_not_clear():
    assert not Estimate.change([1.0, 2.0], [1.0, 2.0]).clear


@pytest.mark.parametrize(
    ("after", "text"),
    [
        ([0.5, 0.6, 0.41], "0.50 nats lower"),
        ([1.5, 1.6, 1.41], "0.50 nats higher"),
        ([0.5, 1.6, 0.91], "not clearly different (+0.00 ± 1.24 nats)"),
    ],
)
def test_a_change_is_said_as_the_numbers_have_it(after, text):
    assert Estimate.change([1.0, 1.1, 0.9], after).said("lower", "higher", 2, " nats") == text


@pytest.mark.parametrize(
    ("means", "text"),
    [
        ({"a": -2, "b": 0.5, "c": -3}, "clearly lower only with a and c"),
        ({"a": 2, "b": 4, "c": 3}, "clearly higher only with a, b and c"),
        ({"a": -2, "b": 0.5, "c": 3}, "clearly lower only with a and clearly higher only with c"),
        ({"a": -1, "b": 0.5, "c": 0}, "not clearly different with any"),
    ],
)
def test_of_several_changes_those_that_are_clear_are_named(means, text):
    assert clearly({name: Estimate(mean, 1.0) for name, mean in means.items()}, "lower", "higher") == text


def test_names_are_listed_in_words():
    assert [listed(["a", "b", "c"][:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_pairs_must_be_as_many_before_as_after():
    with pytest.raises(ValueError, match="shorter"):
        Estimate.change([1.0, 2.0], [1.0])


# ---- training

X, LABELS = [[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]], [1, 0, 1, 0]


def trained(tick, callbacks=()):
    model = tr.nn.Linear(2, 2, rng=tr.Generator(0))
    settings = {"loss": tr.losses.cross_entropy, "optimizer": tr.optim.SGD(model.parameters(), lr=0.1), "epochs": 5}
    return train(model, (tr.tensor(X), tr.tensor(LABELS)), tick=tick, callbacks=callbacks, rng=tr.Generator(0), **settings)


def test_training_ticks_after_each_epoch_and_shows_no_bar_of_its_own(backend, capsys):
    ticks = []
    assert len(trained(lambda: ticks.append(1))["loss"]) == len(ticks) == 5
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_ends_the_demo_and_not_one_training_of_it():
    ticks = []

    def tick():
        ticks.append(1)
        if len(ticks) == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trained(tick)
    assert len(ticks) == 3


def test_a_tick_follows_what_the_other_callbacks_do():
    order = []

    class Noting(tr.training.Callback):
        def on_epoch_end(self, run):
            order.append("callback")

    trained(lambda: order.append("tick"), [Noting()])
    assert order == ["callback", "tick"] * 5


def test_accuracy_is_the_share_of_labels_with_the_largest_logit_in_percent(backend):
    logits = tr.tensor([[0.1, 0.9], [2.0, -1.0], [0.3, 0.2], [-1.0, -0.5]])
    assert accuracy(logits, tr.tensor([1, 0, 1, 1])).item() == 75


def test_answers_are_those_of_evaluation_without_a_tape_and_leave_the_mode(backend):
    model = tr.nn.Sequential(tr.nn.Linear(2, 2), tr.nn.Dropout(0.5))
    first, again = (answers(model, tr.tensor(X)) for _ in range(2))
    np.testing.assert_array_equal(first.numpy(), again.numpy())
    assert not first.requires_grad
    assert model.training
    assert model[1].training
    model.eval()
    answers(model, tr.tensor(X))
    assert not model.training


# ---- pictures


def drawn(tmp_path, title="a title", note="a note", runs=((1.0, 2.0, 4.0), (2.0, 2.0, 3.0)), arms=2):
    figure, axes = picture.new(title, 2)
    for i in range(arms):
        picture.curve(axes[0], (0, 1, 2), runs, f"arm {i}", picture.LOOKS[i])
        picture.points(axes[1], ("first", "second"), [[run[0] for run in runs]] * 2, f"arm {i}", picture.LOOKS[i], 0.2 * i)
    return picture.save(figure, tmp_path / "new" / "folder" / "a.png", note), axes


def test_a_curve_is_the_mean_with_its_interval_as_a_band(tmp_path):
    _, (left, _) = drawn(tmp_path, arms=1)
    (line,), (band,) = left.lines, left.collections
    np.testing.assert_array_equal(line.get_ydata(), [1.5, 2.0, 3.5])
    half = Estimate.of([1.0, 2.0]).half
    at_start = sorted({y for x, y in band.get_paths()[0].vertices.tolist() if x == 0})
    assert at_start == pytest.approx([1.5 - half, 1.5 + half])


def test_rows_of_points_have_means_and_intervals(tmp_path):
    _, (_, right) = drawn(tmp_path, arms=1)
    (container,) = right.containers
    np.testing.assert_array_equal(container.lines[0].get_xdata(), [1.5, 1.5])
    low, high = container.lines[2][0].get_paths()[0].vertices[:, 0]
    assert (high - low) / 2 == pytest.approx(Estimate.of([1.0, 2.0]).half)
    assert [text.get_text() for text in right.get_yticklabels()] == ["first", "second"]


def test_one_seed_is_drawn_without_intervals(tmp_path):
    path, (left, right) = drawn(tmp_path, runs=((1.0, 2.0, 4.0),), arms=1)
    assert path.exists()
    assert not left.collections
    assert right.containers[0].lines[2] == ()


def test_a_picture_without_arms_or_with_many_can_be_saved(tmp_path):
    for arms in (0, len(picture.LOOKS)):
        path, _ = drawn(tmp_path, arms=arms)
        assert matplotlib.image.imread(path).shape[1] == 2 * 5.2 * 150


def test_looks_differ_in_more_than_colour():
    assert len({(look.dashes, look.marker) for look in picture.LOOKS}) == len(picture.LOOKS)
    assert len({look.colour for look in picture.LOOKS}) == len(picture.LOOKS)
