"""Schedules against PyTorch's values; saving and loading; arguments that do not fit."""

import json

import pytest
from leaves import leaf, two_groups

import tinyreg as tr
from tinyreg.optim import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR, StepLR

pytestmark = pytest.mark.usefixtures("backend")


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
