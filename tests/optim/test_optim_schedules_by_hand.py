"""Rates that were set by hand, and what a schedule takes as its own: PyTorch's values, but where a test says otherwise."""

import json
import threading

import numpy as np
import pytest
from leaves import leaf, two_groups

import tinyreg as tr
from tinyreg.optim import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR, StepLR

pytestmark = pytest.mark.usefixtures("backend")


def one_group(lr=0.1):
    return tr.optim.SGD([leaf([1.0])], lr=lr)


def by_group(optimizer, lr):
    for group in optimizer.param_groups:
        group["lr"] = lr


SET = {"by lr": lambda optimizer, lr: setattr(optimizer, "lr", lr), "in the group": by_group}
by_hand = pytest.mark.parametrize("set_rate", SET.values(), ids=SET)


@by_hand
def test_a_schedule_begins_at_the_rate_that_was_set(set_rate):  # pytorch#156846, #78003
    optimizer = one_group()
    StepLR(optimizer, 1).step()
    set_rate(optimizer, 1e-3)
    schedule = CosineAnnealingLR(optimizer, 10)
    assert optimizer.lr == 1e-3
    schedule.step()
    assert optimizer.lr == pytest.approx(1e-3 * 0.97552825814757, rel=1e-12)


def test_a_schedule_begins_where_an_earlier_one_has_come_to():
    optimizer = one_group()
    StepLR(optimizer, 1).step()
    schedule, found = CosineAnnealingLR(optimizer, 10), [optimizer.lr]
    for _ in range(3):
        schedule.step()
        found.append(optimizer.lr)
    assert found == pytest.approx([0.01, 0.00975528258147577, 0.009045084971874739, 0.007938926261462368], rel=1e-12)


BETWEEN = {
    "step": (lambda o: StepLR(o, 2), 1e-3, [1e-4, 1e-4, 1e-5]),
    "cosine": (
        lambda o: CosineAnnealingLR(o, 10, eta_min=0.01),
        0.03,
        [0.02854397327054447, 0.026276158471385605, 0.023418545115859883],
    ),
    "linear": (lambda o: LinearLR(o, 0.5, total_iters=4), 0.2, [0.24, 0.28, 0.32, 0.32]),
}


@by_hand
@pytest.mark.parametrize(("make", "lr", "expected"), BETWEEN.values(), ids=BETWEEN)
@pytest.mark.parametrize("resumed", [False, True])
def test_a_running_schedule_goes_on_from_the_rate_that_was_set(make, lr, expected, set_rate, resumed):
    optimizer = one_group()
    schedule = make(optimizer)
    schedule.step()
    set_rate(optimizer, lr)
    if resumed:
        saved = json.loads(json.dumps([optimizer.state_dict(), schedule.state_dict()]))
        optimizer = one_group(7.0)
        schedule = make(optimizer)
        optimizer.load_state_dict(saved[0])
        schedule.load_state_dict(saved[1])
        assert optimizer.lr == lr
    for rate in expected:
        schedule.step()
        assert optimizer.lr == pytest.approx(rate, rel=1e-12)


def test_rates_of_groups_are_followed_one_by_one():
    optimizer = two_groups()
    schedule = StepLR(optimizer, 1)
    optimizer.param_groups[1]["lr"] = 3.0
    schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.05, 0.3], rel=1e-12)


def test_at_the_end_of_a_cosine_it_starts_anew_from_the_rate_that_was_set():  # PyTorch goes up to twice the first rate
    optimizer = one_group()
    schedule = CosineAnnealingLR(optimizer, 2)
    schedule.step()
    schedule.step()
    assert optimizer.lr == 0
    optimizer.lr = 0.05
    state = schedule.state_dict()
    schedule.load_state_dict(state)
    assert optimizer.lr == 0.05
    schedule.step()
    assert optimizer.lr == pytest.approx(0.025)


def test_the_factors_of_two_schedules_that_take_turns_multiply():
    optimizer = one_group()
    schedules = LinearLR(optimizer, 0.5, total_iters=4), CosineAnnealingLR(optimizer, 8)
    found = []
    for t in range(5):
        found.append(optimizer.lr)
        if t == 2:
            saved = [part.state_dict() for part in (optimizer, *schedules)]
            optimizer = one_group(3.0)
            schedules = LinearLR(optimizer, 0.5, total_iters=4), CosineAnnealingLR(optimizer, 8)
            for part, state in zip((optimizer, *schedules), saved, strict=True):
                part.load_state_dict(state)
        for schedule in schedules:
            schedule.step()
    expected = [0.05, 0.06012123539097771, 0.06401650429449553, 0.06049240016597269, 0.05]
    assert found == pytest.approx(expected, rel=1e-12)


@by_hand
def test_a_sequence_begins_at_the_rate_that_was_set(set_rate):  # PyTorch goes back to the very first rate
    optimizer = one_group()
    StepLR(optimizer, 1).step()
    set_rate(optimizer, 1e-3)
    parts = LinearLR(optimizer, 0.5, total_iters=2), CosineAnnealingLR(optimizer, 4)
    schedule, found = SequentialLR(optimizer, parts, np.array([2])), []
    for _ in range(4):
        found.append(optimizer.lr)
        schedule.step()
    assert found == pytest.approx([5e-4, 7.5e-4, 1e-3, 1e-3 * 0.8535533905932737], rel=1e-12)


def test_a_group_that_is_added_takes_part():
    optimizer = one_group()
    schedule = StepLR(optimizer, 1)
    schedule.step()
    optimizer.add_param_group({"params": [leaf([1.0])], "lr": 2.0})
    schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.001, 0.2], rel=1e-12)
    with pytest.raises(ValueError, match="got 1 base rates, expected 2"):
        schedule.load_state_dict({"schedule": "StepLR", "last_epoch": 1, "base_lrs": [1.0], "lrs": [1.0]})
    assert schedule.get_last_lr() == pytest.approx([0.001, 0.2], rel=1e-12)


def test_numbers_of_numpy_are_numbers():
    for one, other in (
        (StepLR(one_group(), np.int64(1), np.float32(0.5)), StepLR(one_group(), 1, 0.5)),
        (CosineAnnealingLR(one_group(), np.int64(10), np.float32(0.5)), CosineAnnealingLR(one_group(), 10, 0.5)),
        (LinearLR(one_group(), np.float32(0.5), np.float64(1), np.int32(4)), LinearLR(one_group(), 0.5, 1, 4)),
    ):
        one.step()
        other.step()
        assert one.get_last_lr() == other.get_last_lr()
        assert type(one.get_last_lr()[0]) is float
    optimizer = one_group()
    optimizer.lr = np.float32(0.5)
    assert StepLR(optimizer, 1).get_last_lr() == [0.5]
    with pytest.raises(TypeError, match="StepLR: got step_size='2', expected at least 1"):
        StepLR(one_group(), "2")
    with pytest.raises(TypeError, match="StepLR: got None, expected an optimizer"):
        StepLR(None, 1)


# ---- what a schedule takes as its own


def test_a_rate_that_is_as_the_schedule_set_it_becomes_that_of_a_state_again_and_again():
    saved = StepLR(two_groups(), 1)
    states = []
    for _ in range(3):
        saved.step()
        states.append(saved.state_dict())
    optimizer = two_groups()
    schedule = StepLR(optimizer, 1)
    for state in (states[2], states[0], states[1]):
        schedule.load_state_dict(state)
        assert schedule.get_last_lr() == state["lrs"]
    schedule.step()
    assert schedule.get_last_lr() == states[2]["lrs"]


def test_a_rate_that_was_set_by_hand_to_what_it_was_stays_when_a_state_is_loaded():
    optimizer = one_group(0.5)
    schedule = StepLR(optimizer, 1)
    other = StepLR(one_group(0.5), 1)
    other.step()
    optimizer.lr = 0.5
    schedule.load_state_dict(other.state_dict())
    assert optimizer.lr == 0.5


def test_a_state_is_a_copy():
    schedule = StepLR(one_group(0.5), 1)
    state = schedule.state_dict()
    state["base_lrs"][0] = state["lrs"][0] = 9.0
    assert schedule.base_lrs == [0.5]
    other = StepLR(one_group(0.5), 1)
    other.step()
    schedule.load_state_dict(other.state_dict())  # it is as the schedule set it, so it becomes that of the state
    assert schedule.get_last_lr() == pytest.approx([0.05])


def test_a_load_that_fails_leaves_the_schedule_to_all_threads():
    class Failing(LRScheduler):
        fails = False

        def rate(self, initial_lr, t):
            if self.fails:
                raise ZeroDivisionError
            return initial_lr / 2**t

    schedule = Failing(one_group(0.5))
    schedule.fails = True
    try:
        schedule.load_state_dict({"schedule": "Failing", "last_epoch": 3})
    except ZeroDivisionError:  # which holds on to all that was there
        schedule.fails = False
        thread = threading.Thread(target=schedule.step, daemon=True)
        thread.start()
        thread.join(5)
    assert (schedule.last_epoch, schedule.get_last_lr()) == (1, [0.25])


def test_a_rate_that_is_none_is_refused_in_any_group():
    optimizer = two_groups()
    optimizer.param_groups[1]["lr"] = -1.0
    with pytest.raises(ValueError, match="StepLR: got lr=-1.0"):
        StepLR(optimizer, 1)


def test_groups_that_are_added_together_take_part():
    optimizer = one_group(0.5)
    schedule = StepLR(optimizer, 1)
    for lr in (0.25, 0.125):
        optimizer.add_param_group({"params": [leaf([1.0])], "lr": lr})
    schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.05, 0.025, 0.0125])
    assert all("initial_lr" in group for group in optimizer.param_groups)


@pytest.mark.parametrize(
    ("make", "steps", "lr", "expected"),
    [
        (lambda o: type("Reversed", (LRScheduler,), {"rate": lambda self, lr, t: 2 - lr})(o), 1, 0.5, [0.5, 0.5]),
        (lambda o: StepLR(o, 1), 13, 0.1, [0.01, 0.001]),
        (lambda o: CosineAnnealingLR(o, 3, eta_min=0.5), 2, 0.1, [0.5, 0.4]),
        (lambda o: CosineAnnealingLR(o, 2, eta_min=0.5), 1, 0.25, [0.5, 0.25]),
    ],
    ids=["falling", "far", "below the least", "the base is 0"],
)
def test_after_a_rate_that_was_set_come_those_of_its_base(make, steps, lr, expected):
    optimizer = one_group(0.5)
    schedule = make(optimizer)
    for _ in range(steps):
        schedule.step()
    optimizer.lr = lr
    rates = []
    for _ in expected:
        schedule.step()
        rates.append(optimizer.lr)
    assert rates == pytest.approx(expected, rel=1e-9)


def test_a_sequence_of_four_counts_from_each_milestone_and_keeps_its_own_list():
    optimizer = one_group(1.0)
    parts = [StepLR(optimizer, 1, gamma) for gamma in (0.5, 0.25, 0.125, 0.75)]
    schedule = SequentialLR(optimizer, parts, [1, 3, 4])
    parts.clear()
    rates = []
    for _ in range(6):
        schedule.step()
        rates.append(optimizer.lr)
    assert rates == pytest.approx([1.0, 0.25, 1.0, 1.0, 0.75, 0.75**2])
