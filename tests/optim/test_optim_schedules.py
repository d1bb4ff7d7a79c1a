"""Schedules against PyTorch's values; saving and loading; arguments that do not fit."""

import json
import threading

import numpy as np
import pytest
from leaves import leaf

import tinyreg as tr
from tinyreg.optim import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR, StepLR

pytestmark = pytest.mark.usefixtures("backend")


def two_groups():
    return tr.optim.SGD([{"params": [leaf([1.0])], "lr": 0.5}, {"params": [leaf([1.0])]}], lr=0.1)


def warm_up_and_cosine(o):
    return SequentialLR(o, [LinearLR(o, 0.1, total_iters=3), CosineAnnealingLR(o, 4)], [3])


def three_in_a_row(o):
    return SequentialLR(o, [LinearLR(o, 0.5, total_iters=2), StepLR(o, 2), CosineAnnealingLR(o, 2)], [2, 6])


# From PyTorch 2.13, for initial rates of 0.5 and 0.1:
#
#   def rates(make):
#       o = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": 0.5}, {"params": [torch.zeros(1)]}], lr=0.1)
#       s = make(o)
#       got = [s.get_last_lr()]
#       for _ in range(8):
#           o.step()
#           s.step()
#           got.append(s.get_last_lr())
#       return [list(group) for group in zip(*got)]
PYTORCH = {
    "step": (
        lambda o: StepLR(o, 3, gamma=0.5),
        [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125],
        [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025],
    ),
    "cosine": (
        lambda o: CosineAnnealingLR(o, 4, eta_min=0.05),
        [0.5, 0.4340990257669732, 0.275, 0.11590097423302684, 0.05, 0.1159009742330268, 0.275, 0.43409902576697335, 0.5],
        [
            0.1,
            0.09267766952966369,
            0.075,
            0.057322330470336316,
            0.05,
            0.057322330470336316,
            0.075,
            0.09267766952966372,
            0.1,
        ],
    ),
    "linear": (
        lambda o: LinearLR(o, 0.25, total_iters=4),
        [0.125, 0.21875, 0.3125, 0.40625, 0.5, 0.5, 0.5, 0.5, 0.5],
        [0.025, 0.04375, 0.0625, 0.08125, 0.1, 0.1, 0.1, 0.1, 0.1],
    ),
    "linear by default": (
        lambda o: LinearLR(o),
        [0.16666666666666666, 0.23333333333333334, 0.3, 0.36666666666666675, 0.43333333333333346, 0.5, 0.5, 0.5, 0.5],
        [0.03333333333333333, 0.04666666666666667, 0.06, 0.07333333333333335, 0.08666666666666668, 0.1, 0.1, 0.1, 0.1],
    ),
    "linear down": (
        lambda o: LinearLR(o, 1.0, 0.5, 3),
        [0.5, 0.4166666666666667, 0.33333333333333337, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25],
        [0.1, 0.08333333333333334, 0.06666666666666668, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05],
    ),
    "warm-up and cosine": (
        warm_up_and_cosine,
        [0.05, 0.2, 0.35, 0.5, 0.42677669529663687, 0.25, 0.07322330470336313, 0.0, 0.0732233047033631],
        [0.01, 0.04, 0.07, 0.1, 0.08535533905932738, 0.05, 0.014644660940672627, 0.0, 0.014644660940672622],
    ),
    "three in a row": (
        three_in_a_row,
        [0.25, 0.375, 0.5, 0.5, 0.05, 0.05, 0.5, 0.25, 0.0],
        [0.05, 0.075, 0.1, 0.1, 0.01, 0.01, 0.1, 0.05, 0.0],
    ),
}


@pytest.mark.parametrize(("make", "first", "second"), PYTORCH.values(), ids=PYTORCH)
def test_rates_are_those_of_pytorch(make, first, second):
    optimizer = two_groups()
    schedule = make(optimizer)
    for t, rates in enumerate(zip(first, second, strict=True)):
        assert schedule.last_epoch == t
        assert schedule.get_last_lr() == pytest.approx(rates, rel=1e-12, abs=1e-16)
        assert [group["lr"] for group in optimizer.param_groups] == schedule.get_last_lr()
        assert all(type(rate) is float for rate in schedule.get_last_lr())
        schedule.step()


def test_the_optimizer_moves_with_the_scheduled_rate():
    w = leaf([1.0])
    optimizer = tr.optim.SGD([w], lr=0.5)
    schedule = StepLR(optimizer, 1, gamma=0.5)
    for _ in range(3):
        w.grad = tr.ones_like(w)
        optimizer.step()
        schedule.step()
    assert w.tolist() == [1.0 - 0.5 - 0.25 - 0.125]


def test_sequences_can_be_parts_of_sequences():
    flat, nested = two_groups(), two_groups()
    expected = three_in_a_row(flat)
    first = SequentialLR(nested, [LinearLR(nested, 0.5, total_iters=2), StepLR(nested, 2)], [2])
    schedule = SequentialLR(nested, [first, CosineAnnealingLR(nested, 2)], [6])
    for _ in range(9):
        assert schedule.get_last_lr() == expected.get_last_lr()
        schedule.step()
        expected.step()


@pytest.mark.parametrize("make", [case[0] for case in PYTORCH.values()], ids=PYTORCH)
def test_a_loaded_schedule_goes_on_the_same(make):
    optimizer = two_groups()
    schedule = make(optimizer)
    for _ in range(4):
        schedule.step()
    saved = json.loads(json.dumps([optimizer.state_dict(), schedule.state_dict()]))
    other = tr.optim.SGD([{"params": [leaf([1.0])], "lr": 9.0}, {"params": [leaf([1.0])]}], lr=7.0)
    loaded = make(other)
    other.load_state_dict(saved[0])
    loaded.load_state_dict(saved[1])
    for _ in range(4):
        assert loaded.get_last_lr() == schedule.get_last_lr()
        loaded.step()
        schedule.step()


def test_a_loaded_schedule_sets_the_rate():
    optimizer = two_groups()
    schedule = StepLR(optimizer, 1)
    schedule.load_state_dict({"schedule": "StepLR", "last_epoch": 2})
    assert schedule.get_last_lr() == pytest.approx([0.005, 0.001], rel=1e-12)


def test_a_state_without_rates_sets_those_of_its_bases_and_one_with_them_leaves_what_was_set_by_hand():
    optimizer = two_groups()
    schedule = StepLR(optimizer, 1)
    schedule.step()
    optimizer.lr = 3.0
    state = schedule.state_dict()
    schedule.load_state_dict(state)
    assert schedule.get_last_lr() == [3.0, 3.0]
    schedule.load_state_dict({**{name: state[name] for name in ("schedule", "last_epoch")}, "base_lrs": [20.0, 10.0]})
    assert schedule.get_last_lr() == pytest.approx([2.0, 1.0], rel=1e-12)


def test_a_schedule_may_be_made_after_the_optimizer_was_loaded():
    optimizer = two_groups()
    schedule = StepLR(optimizer, 1)
    schedule.step()
    other = two_groups()
    other.load_state_dict(optimizer.state_dict())
    loaded = StepLR(other, 1)
    assert loaded.get_last_lr() == schedule.get_last_lr()  # it begins where the rate is, as in PyTorch
    loaded.load_state_dict(schedule.state_dict())
    for each in (schedule, loaded):
        each.step()
    assert loaded.get_last_lr() == schedule.get_last_lr() == pytest.approx([0.005, 0.001], rel=1e-12)


def test_a_state_that_does_not_fit_changes_nothing():
    optimizer = two_groups()
    schedule = StepLR(optimizer, 1)
    state = schedule.state_dict()
    for change, text in (
        ({"schedule": "LinearLR"}, r"StepLR\.load_state_dict: got the state of LinearLR, expected one of StepLR"),
        ({"last_epoch": -1}, "got last_epoch=-1, expected a number of steps"),
        ({"base_lrs": [0.5]}, r"StepLR\.load_state_dict: got 1 base rates, expected 2"),
        ({"lrs": [0.5]}, r"StepLR\.load_state_dict: got 1 rates, expected 2"),
        ({"gamma": 1}, "got a state with schedule, last_epoch, base_lrs, lrs, gamma, expected schedule, last_epoch"),
    ):
        with pytest.raises(ValueError, match=text):
            schedule.load_state_dict({**state, "last_epoch": 5, **change})
    assert schedule.last_epoch == 0
    assert schedule.get_last_lr() == [0.5, 0.1]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda o: StepLR(o, 0), "StepLR: got step_size=0, expected at least 1"),
        (lambda o: StepLR(o, 1, gamma=-0.5), "StepLR: got gamma=-0.5, expected at least 0"),
        (lambda o: CosineAnnealingLR(o, 0), "CosineAnnealingLR: got T_max=0, expected at least 1"),
        (lambda o: CosineAnnealingLR(o, 1, -0.5), "got eta_min=-0.5, expected at least 0"),
        (lambda o: LinearLR(o, 1.5), "LinearLR: got start_factor=1.5, expected a number from 0 to 1"),
        (lambda o: LinearLR(o, 1.0, -0.5), "got end_factor=-0.5, expected a number from 0 to 1"),
        (lambda o: LinearLR(o, total_iters=0), "got total_iters=0, expected at least 1"),
        (
            lambda o: SequentialLR(o, [], []),
            "SequentialLR: got 0 schedulers, expected at least one, and all of them for this optimizer",
        ),
        (lambda o: SequentialLR(o, [StepLR(two_groups(), 1)], []), "got 1 schedulers, expected at least one, and all"),
        (
            lambda o: SequentialLR(o, [StepLR(o, 1), StepLR(two_groups(), 1)], [2]),
            "got 2 schedulers, expected at least one, and",
        ),
        (lambda o: SequentialLR(o, [StepLR(o, 1)] * 3, [8, 1]), r"got milestones=\[8, 1\], expected 2 increasing numbers"),
        (lambda o: SequentialLR(o, [StepLR(o, 1)], [2]), r"got milestones=\[2\], expected 0 increasing numbers"),
        (
            lambda o: SequentialLR(o, [StepLR(o, 1)] * 3, [4, 4]),
            r"got milestones=\[4, 4\], expected 2 increasing numbers",
        ),
    ],
)
def test_arguments_that_do_not_fit(make, text):
    with pytest.raises(ValueError, match=text):
        make(two_groups())


def test_a_schedule_without_a_rate_says_so():
    with pytest.raises(NotImplementedError, match="Mine has no rate; write one"):
        type("Mine", (LRScheduler,), {})(two_groups())


# ---- rates that were set by hand. The values are PyTorch 2.13's, but where a test says otherwise


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
