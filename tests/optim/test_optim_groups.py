"""Parameter groups that change between steps, refused states, threads, numbers of NumPy, and PyTorch's ways to call."""

import copy
import pickle
import threading

import numpy as np
import pytest
from leaves import GRADIENTS, W, each_maker, leaf, run, set_gradient

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")


def stepped(optimizer, ws, gradients):
    for g in gradients:
        for w in ws:
            set_gradient(w, g)
        optimizer.step()


ADDED = {
    "a group": lambda groups, b: groups.append({**groups[0], "params": [b]}),
    "a group without settings": lambda groups, b: groups.append({"params": [b]}),
    "a group of one": lambda groups, b: groups.append({"params": b}),
    "a parameter": lambda groups, b: groups[0]["params"].append(b),
    "an iterator": lambda groups, b: groups[0].update(params=iter([*groups[0]["params"], b])),
    "a tuple": lambda groups, b: groups[0].update(params=(*groups[0]["params"], b)),
    "a whole list": lambda groups, b: groups.__setitem__(slice(None), [{"params": [*groups[0]["params"], b]}]),
}


@each_maker
@pytest.mark.parametrize("add", ADDED.values(), ids=ADDED)
def test_what_is_added_moves_as_if_it_had_an_optimizer_of_its_own(make, add):  # apex#292, mmdetection#4967
    a, b, a_alone, b_alone = (leaf(W) for _ in range(4))
    optimizer, of_a, of_b = make([a]), make([a_alone]), make([b_alone])
    stepped(optimizer, [a], GRADIENTS)
    add(optimizer.param_groups, b)
    stepped(optimizer, [a, b], GRADIENTS)
    stepped(of_a, [a_alone], GRADIENTS * 2)
    stepped(of_b, [b_alone], GRADIENTS)
    np.testing.assert_array_equal(a.numpy(), a_alone.numpy())
    np.testing.assert_array_equal(b.numpy(), b_alone.numpy())
    optimizer.zero_grad()
    assert b.grad is None
    assert optimizer.parameters == [a, b]
    assert len(optimizer.state_dict()["state"]) == 2


@each_maker
def test_add_param_group_takes_settings_of_its_own(make):
    a, b, alone = leaf(W), leaf(W), leaf(W)
    optimizer, other = make([a]), make([{"params": [alone], "lr": 0.3}])
    optimizer.add_param_group({"params": (p for p in [b]), "lr": np.float32(0.3)})
    other.lr = float(np.float32(0.3))
    stepped(optimizer, [a, b], GRADIENTS)
    stepped(other, [alone], GRADIENTS)
    np.testing.assert_array_equal(b.numpy(), alone.numpy())
    twin = make([{"params": [leaf(W)]}, {"params": [leaf(W)]}])
    twin.load_state_dict(optimizer.state_dict())
    assert [group["lr"] for group in twin.param_groups] == [0.1, float(np.float32(0.3))]


@each_maker
def test_what_is_taken_out_stays_and_begins_anew_when_it_returns(make):
    a, b, alone = leaf(W), leaf(W), leaf(W)
    optimizer, of_b = make([a, b]), make([alone])
    stepped(optimizer, [a, b], GRADIENTS)
    removed = optimizer.param_groups[0]["params"].pop()
    before = removed.numpy()
    stepped(optimizer, [a, b], GRADIENTS)
    np.testing.assert_array_equal(removed.numpy(), before)
    optimizer.param_groups[0]["params"].insert(0, b)
    alone.assign(before)
    stepped(optimizer, [a, b], GRADIENTS)
    stepped(of_b, [alone], GRADIENTS)
    np.testing.assert_array_equal(b.numpy(), alone.numpy())


def test_a_parameter_that_changes_its_group_keeps_its_state():
    a, b, alone = leaf(W), leaf(W), leaf(W)
    optimizer = tr.optim.SGD([{"params": [a, b]}, {"params": [leaf(W)], "lr": 0.5}], lr=0.1, momentum=0.9)
    other = tr.optim.SGD([alone], lr=0.1, momentum=0.9)
    stepped(optimizer, [a, b], GRADIENTS)
    stepped(other, [alone], GRADIENTS)
    optimizer.param_groups[1]["params"].insert(0, optimizer.param_groups[0]["params"].pop())
    other.lr = 0.5
    stepped(optimizer, [a, b], GRADIENTS)
    stepped(other, [alone], GRADIENTS)
    np.testing.assert_array_equal(b.numpy(), alone.numpy())


@each_maker
def test_what_was_frozen_for_a_while_goes_on_with_its_state(make):
    w, other, alone = leaf(W), leaf(W), leaf(W)
    optimizer, of_one = make([w, other]), make([alone])
    stepped(optimizer, [w, other], GRADIENTS)
    w.requires_grad = False
    frozen = w.numpy()
    stepped(optimizer, [other], GRADIENTS)
    np.testing.assert_array_equal(w.numpy(), frozen)
    w.requires_grad = True
    stepped(optimizer, [w, other], GRADIENTS)
    stepped(of_one, [alone], GRADIENTS * 2)
    np.testing.assert_array_equal(w.numpy(), alone.numpy())


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda groups, w: groups[0]["params"].append(w), ValueError, "SGD: got a parameter twice"),
        (lambda groups, w: groups.append({"params": [w]}), ValueError, "SGD: got a parameter twice"),
        (lambda groups, w: groups[0]["params"].append(w * 2), ValueError, "which is no leaf"),
        (lambda groups, w: groups.append({"params": [leaf(W)], "rate": 1.0}), ValueError, "got a group with params, rate"),
        (lambda groups, w: groups.append([leaf(W)]), ValueError, r"got a group \[tensor"),
        (lambda groups, w: groups[0].pop("params"), ValueError, "got a group with lr"),
        (lambda groups, w: groups[0].update(params=[]), ValueError, "got no parameters"),
        (lambda groups, w: groups[0].update(params=3), TypeError, "SGD: got 3, expected tensors"),
    ],
)
def test_groups_that_were_changed_to_something_wrong_move_nothing(change, error, text):
    w = leaf(W)
    optimizer = tr.optim.SGD([w], lr=0.1)
    set_gradient(w, GRADIENTS[0])
    change(optimizer.param_groups, w)
    for act in (optimizer.step, optimizer.zero_grad, optimizer.state_dict):
        with pytest.raises(error, match=text):
            act()
    np.testing.assert_array_equal(w.numpy(), W)
    assert w.grad is not None


def test_a_group_that_is_refused_is_not_added():
    w = leaf(W)
    optimizer = tr.optim.Adam([w])
    for group, error in (({"params": [w]}, ValueError), ({"params": [leaf(W)], "lr": -1.0}, ValueError), ([w], ValueError)):
        with pytest.raises(error):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1
    run(w, optimizer)


# ---- states that are refused


def test_a_refused_load_leaves_nothing_behind(tmp_path):
    pytest.importorskip("safetensors")
    one = tr.nn.Linear(2, 1)
    saved = tr.optim.SGD(one.parameters(), lr=0.5)
    tr.optim.StepLR(saved, 1)
    tr.training.save(tmp_path / "run", optimizer=saved, model=one)
    other = tr.optim.SGD(tr.nn.Linear(2, 1).parameters(), lr=0.1)
    before = [dict(group) for group in other.param_groups]
    with pytest.raises(ValueError, match="nothing was changed|weight"):
        tr.training.load(tmp_path / "run", optimizer=other, model=tr.nn.Linear(3, 1))
    assert other.param_groups == before
    tr.optim.CosineAnnealingLR(other, 10)
    assert other.lr == 0.1


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_refused_load_of_a_schedule_too_leaves_nothing_behind(tmp_path, by_hand):
    pytest.importorskip("safetensors")

    def made(lr, steps):
        optimizer = tr.optim.Adam(tr.nn.Linear(2, 1).parameters(), lr=lr)
        schedule = tr.optim.CosineAnnealingLR(optimizer, 10)
        for parameter in optimizer.parameters:
            set_gradient(parameter, np.ones(parameter.shape))
        for _ in range(steps):
            optimizer.step()
            schedule.step()
        return optimizer, schedule

    def all_of(optimizer, schedule):
        groups = [{**group, "params": len(group["params"])} for group in optimizer.param_groups]
        states = [
            s and {k: v if k == "step" else v.tolist() for k, v in s.items()} for s in optimizer.state_dict()["state"]
        ]
        return groups, states, schedule.last_epoch, schedule.base_lrs, schedule.get_last_lr()

    optimizer, schedule = made(0.5, 3)
    tr.training.save(tmp_path / "run", optimizer=optimizer, schedule=schedule, model=tr.nn.Linear(2, 1))
    other, own = made(0.1, 1)
    if by_hand:
        other.lr = 0.03
        own.state_dict()
    before = all_of(other, own)
    with pytest.raises(ValueError, match="weight"):
        tr.training.load(tmp_path / "run", optimizer=other, schedule=own, model=tr.nn.Linear(3, 1))
    assert all_of(other, own) == before


def test_loading_replaces_all_of_a_group():
    scheduled, plain = (tr.optim.SGD([leaf(W)], lr=0.1) for _ in range(2))
    tr.optim.StepLR(scheduled, 1)
    scheduled.load_state_dict(plain.state_dict())
    assert scheduled.param_groups[0].keys() == plain.param_groups[0].keys()


# ---- nothing of what counts nothing


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_rate_of_zero_moves_nothing_whatever_the_gradient(dtype):
    w = leaf(W, dtype)
    for optimizer in (tr.optim.SGD([w], lr=0.0), tr.optim.SGD([w], lr=0.0, momentum=0.9), tr.optim.Adam([w], lr=0.0)):
        with np.errstate(invalid="ignore"):  # infinity over infinity, in Adam
            np.testing.assert_array_equal(run(w, optimizer, [np.array([[np.inf, np.nan], [1.0, -np.inf]])]), W)


def test_betas_of_zero_forget_an_infinite_gradient():
    w = leaf([1.0])
    optimizer = tr.optim.Adam([w], lr=0.0, betas=(0.0, 0.0))
    with np.errstate(invalid="ignore"):
        run(w, optimizer, [np.array([np.inf])])
    run(w, optimizer, [np.array([2.0])])
    optimizer.lr = 0.1
    np.testing.assert_allclose(run(w, optimizer, [np.array([2.0])]), [0.9], rtol=1e-6)


def test_an_average_of_infinite_weights_stays_what_they_are():
    w = leaf([np.inf, 1.0])
    average, forgetting = tr.optim.WeightAverage([w], decay=0.9), tr.optim.WeightAverage([w], decay=0.0)
    average.update()
    assert average.averages[0].tolist() == [np.inf, 1.0]
    w.assign([2.0, 3.0])
    forgetting.update()
    assert forgetting.averages[0].tolist() == [2.0, 3.0]


# ---- threads


def test_steps_of_several_threads_are_each_a_whole_one():
    ws, inside = [leaf([0.0]) for _ in range(20)], []

    class Slow(tr.optim.SGD):
        def direction(self, xp, g, state, settings):
            inside.append(1)
            threading.Event().wait(0.01)  # time for another thread
            d = super().direction(xp, len(inside) * g, state, settings)
            inside.pop()
            return d

    optimizer = Slow(ws, lr=1.0, momentum=0.5)
    for w in ws:
        set_gradient(w, [1.0])
    threads = [threading.Thread(target=optimizer.step) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [w.item() for w in ws] == [-(1 + 1.5 + 1.75)] * 20


def test_schedules_and_averages_count_the_steps_of_all_threads():
    class Slow(tr.optim.LRScheduler):
        def rate(self, initial_lr, t):
            threading.Event().wait(0.0001)  # time for another thread
            return initial_lr / (1 + t)

    w = leaf([0.0])
    schedule, average = Slow(tr.optim.SGD([w], lr=1.0)), tr.optim.WeightAverage([w], decay=0.5)
    w.assign([1.0])

    def work():
        for _ in range(10):
            schedule.step()
        average.update()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert schedule.last_epoch == 40
    assert schedule.get_last_lr() == pytest.approx([1 / 41])
    assert average.averages[0].tolist() == [1 - 0.5**4]


def test_what_holds_a_lock_is_copied_and_pickled():
    w = leaf(W)
    optimizer = tr.optim.Adam([w])
    parts = optimizer, tr.optim.StepLR(optimizer, 1), tr.optim.WeightAverage([w])
    for copied in (copy.deepcopy(parts), pickle.loads(pickle.dumps(parts))):
        copied[0].step()
        copied[1].step()
        copied[2].update()
        assert copied[0].lr == pytest.approx(1e-4)
    assert optimizer.lr == 1e-3


# ---- numbers of NumPy, and PyTorch's ways


def test_numbers_of_numpy_are_numbers():
    w, twin = leaf(W), leaf(W)
    numbers = {"lr": np.float32(0.25), "betas": np.array([0.5, 0.75]), "eps": np.float64(0.5), "l2": np.int64(1)}
    optimizer = tr.optim.Adam([w], **numbers)
    plain = tr.optim.Adam([twin], lr=0.25, betas=(0.5, 0.75), eps=0.5, l2=1)
    assert optimizer.state_dict()["param_groups"] == plain.state_dict()["param_groups"]
    np.testing.assert_array_equal(run(w, optimizer), run(twin, plain))
    assert tr.optim.SGD([w], lr=np.array(0.5), momentum=0.5, nesterov=np.bool_(True)).lr == 0.5


@pytest.mark.parametrize("wrong", ["0.1", True, [0.1], np.array([0.1]), 1j])
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(TypeError, match="SGD: got lr=.*, expected a number"):
        tr.optim.SGD([leaf(W)], lr=wrong)
    with pytest.raises(TypeError, match="SGD: got nesterov='no', expected True or False"):
        tr.optim.SGD([leaf(W)], lr=0.1, momentum=0.5, nesterov="no")


def test_parameters_with_names_are_taken_as_in_pytorch():
    model = tr.nn.Linear(2, 1)
    for given in (model.named_parameters(), [{"params": model.named_parameters()}], iter(model.parameters())):
        assert list(map(id, tr.optim.SGD(given, lr=0.1).parameters)) == list(map(id, model.parameters()))
    with pytest.raises(TypeError, match=r"SGD: got a Linear, expected its parameters; pass the result of its parameters"):
        tr.optim.SGD(model, lr=0.1)
    with pytest.raises(TypeError, match="SGD: got None, expected tensors made with requires_grad=True, in a list"):
        tr.optim.SGD(None, lr=0.1)


def test_gradients_may_be_made_zero_so_that_momentum_goes_on():
    w, unused = leaf(W), leaf(W)
    optimizer = tr.optim.SGD([w, unused], lr=1.0, momentum=0.5)
    run(w, optimizer, GRADIENTS[:1])
    optimizer.zero_grad(set_to_none=False)
    assert unused.grad is None
    assert not w.grad.numpy().any()
    optimizer.step()
    np.testing.assert_allclose(w.numpy(), W - 1.5 * GRADIENTS[0])


def test_a_step_may_be_given_a_closure():
    w = leaf([1.0, 2.0])
    optimizer = tr.optim.SGD([w], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with tr.no_grad():
        assert optimizer.step(closure).item() == 5.0
    np.testing.assert_allclose(w.numpy(), [0.8, 1.6])
    assert optimizer.step() is None


def test_a_setting_that_was_taken_out_is_that_of_the_optimizer_again():
    w = leaf([1.0])
    optimizer = tr.optim.SGD([{"params": [w], "lr": 0.5}], lr=0.25)
    set_gradient(w, [1.0])
    optimizer.step()
    del optimizer.param_groups[0]["lr"]
    optimizer.step()
    assert w.tolist() == [0.25]
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_one_parameter_in_the_place_of_another_is_seen():
    ws, new = [leaf([1.0]), leaf([1.0])], leaf([1.0])
    optimizer = tr.optim.SGD(ws, lr=0.5, momentum=0.9)
    for w in (*ws, new):
        set_gradient(w, [1.0])
    optimizer.step()
    optimizer.param_groups[0]["params"][1] = new
    optimizer.step()
    assert [w.item() for w in (*ws, new)] == pytest.approx([1 - 0.5 - 0.95, 0.5, 0.5])
    assert optimizer.parameters[1] is new


def test_a_rate_that_is_set_by_hand_is_no_longer_that_of_a_schedule_even_where_it_is_the_same():
    optimizer = tr.optim.SGD([leaf([1.0])], lr=0.5)
    tr.optim.StepLR(optimizer, 1, gamma=0.5).step()
    tr.optim.StepLR(optimizer, 1)
    assert optimizer.param_groups[0]["initial_lr"] == 0.5
    optimizer.lr = optimizer.lr
    tr.optim.StepLR(optimizer, 1)
    assert optimizer.param_groups[0]["initial_lr"] == 0.25


@each_maker
def test_settings_of_0_do_nothing_to_weights_that_are_infinite(make):
    alone, w, bias = leaf([np.inf, 1.0]), leaf([np.inf, 1.0]), tr.nn.Parameter(leaf([np.inf, 1.0]), decay=False)
    for optimizer in (make([alone]), make([w, bias])):
        optimizer.param_groups[0].update(l2=0.0, weight_decay=0.0)
        for each in optimizer.parameters:
            set_gradient(each, [1.0, 1.0])
        optimizer.step()
    for each in (alone, w, bias):
        assert each.numpy()[0] == np.inf
        assert each.numpy()[1] < 1.0
