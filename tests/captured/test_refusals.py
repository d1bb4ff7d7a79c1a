"""What cannot be replayed is refused with its line, or runs eagerly; and then, and after any error, nothing has changed."""

from __future__ import annotations

import random

import numpy as np
import pytest
from captured.steps import compare, data, layers, network, plain, state

import tinyreg as tr
from tinyreg import nn

FACTOR = 1.0


def stepping(loss_of):
    """A step with a loss of ones own: `loss_of(model, x, y)`."""

    def body(model, optimizer):
        def step(x, y):
            optimizer.zero_grad()
            loss = loss_of(model, x, y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    return body


def loss(model, x, y):
    return tr.losses.cross_entropy(model(x), y)


def item(model, x, y):
    made = loss(model, x, y)
    made.item()  # here
    return made


def printed(model, x, y):
    made = loss(model, x, y)
    str(made)  # here
    return made


def branching(model, x, y):
    made = loss(model, x, y)
    if made > 0.1:  # here
        made = made * 2
    return made


def to_numpy(model, x, y):
    np.asarray(model(x).detach())  # here
    return loss(model, x, y)


def numpy_random(model, x, y):
    return loss(model, x + np.random.default_rng(0).normal(size=(5, 4)).astype("f4"), y)  # here


def made_inside(model, x, y):
    return loss(model, x, y) * np.ones(1, "f4")  # here


def masked_elements(model, x, y):
    return model(x)[y > 0].sum()  # here


@pytest.mark.parametrize(
    "loss_of",
    [item, printed, branching, to_numpy, numpy_random, made_inside, masked_elements],
)
def test_what_cannot_be_replayed_is_refused_with_its_line_and_changes_nothing(loss_of):
    model, optimizer = network()
    step = tr.capture(stepping(loss_of)(model, optimizer))
    batches = data(4)
    step(*batches[0])
    before = state(model, optimizer)
    for batch in batches[1:]:
        with pytest.raises(tr.CaptureError, match=r"test_refusals\.py:\d+: .*# here"):
            step(*batch)
        assert state(model, optimizer) == before
    plain(model, optimizer)(*batches[1])  # and the model goes on
    assert state(model, optimizer) != before


class Counting:
    def __init__(self):
        self.n, self.seen = 0, []


def counting(count):
    def loss_of(model, x, y):
        count.n += 1
        return loss(model, x, y)

    return loss_of


def collecting(count):
    def loss_of(model, x, y):
        count.seen.append(1)
        return loss(model, x, y)

    return loss_of


@pytest.mark.parametrize(("make", "names"), [(counting, r"count\.n from \d+ to \d+"), (collecting, r"count\.seen")])
def test_python_values_that_the_step_changes_are_refused_by_name(make, names):
    model, optimizer = network()
    step = tr.capture(stepping(make(Counting()))(model, optimizer))
    step(*data(1)[0])
    with pytest.raises(tr.CaptureError, match=names):
        step(*data(1)[0])


def test_pythons_and_numpys_random_numbers_are_refused():
    for draw in (random.random, np.random.rand):
        model, optimizer = network()
        step = tr.capture(stepping(lambda model, x, y, draw=draw: loss(model, x, y) * draw())(model, optimizer))
        step(*data(1)[0])
        with pytest.raises(tr.CaptureError, match="random numbers"):
            step(*data(1)[0])


def test_a_number_that_differs_between_two_recordings_is_named():
    numbers = iter(range(1, 100))
    model, optimizer = network()
    step = tr.capture(stepping(lambda model, x, y: loss(model, x, y) * next(numbers))(model, optimizer))
    step(*data(1)[0])
    step(*data(1)[0])
    with pytest.raises(tr.CaptureError, match=r"test_refusals\.py:\d+.*\(2\) first.*\(3\) then"):
        step(*data(1)[0])


def test_gradients_that_add_up_from_call_to_call_are_refused():
    model, optimizer = network()

    def step(x, y):
        loss(model, x, y).backward()
        optimizer.step()

    step = tr.capture(step)
    step(*data(1)[0])
    step(*data(1)[0])
    with pytest.raises(tr.CaptureError, match="zero_grad"):
        step(*data(1)[0])


def test_gradients_that_the_step_leaves_for_others_are_refused():
    model, _ = network()
    step = tr.capture(lambda x, y: loss(model, x, y).backward())
    step(*data(1)[0])
    model.zero_grad()
    with pytest.raises(tr.CaptureError, match="keep_grads=True"):
        step(*data(1)[0])


# ---- what changes between calls is seen


def changed(between, *, programs, body=plain, model=lambda: layers(nn.Dropout(0.2)), calls=12):
    return compare(lambda: network(model), data(calls), body, between, programs=programs)


def test_a_rebound_global_is_seen():
    def between(i, model, optimizer):
        global FACTOR
        FACTOR = 1.0 + i // 6

    changed(between, programs=2, body=stepping(lambda model, x, y: loss(model, x, y) * FACTOR))


def test_a_rebound_closure_is_seen():
    factors = {}

    def body(model, optimizer):
        factor = 1.0

        def step(x, y):
            optimizer.zero_grad()
            made = loss(model, x, y) * factor
            made.backward()
            optimizer.step()
            return made

        def set_factor(value):
            nonlocal factor
            factor = value

        factors[id(model)] = set_factor
        return step

    changed(lambda i, model, optimizer: factors[id(model)](1.0 + i // 6), programs=2, body=body)


def test_a_share_a_mode_and_a_frozen_layer_are_seen():
    def between(i, model, optimizer):
        model.layers[1].p = 0.2 if i < 4 else 0.5
        model.train(i < 8)
        model.layers[0].weight.requires_grad = i < 12

    changed(between, programs=4, calls=17)


def test_momentum_and_decay_are_seen():
    def between(i, model, optimizer):
        optimizer.param_groups[0]["momentum"] = 0.9 if i < 6 else 0.5

    changed(between, programs=2)


def test_assigned_loaded_and_written_weights_are_taken_over():
    def between(i, model, optimizer):
        weight = model.layers[0].weight
        if i == 5:
            weight.assign(np.full((8, 4), 0.5))
        if i == 7:
            model.load_state_dict({name: value.numpy() * 0.5 for name, value in model.state_dict().items()})
        if i == 9:
            weight.data -= 0.25

    changed(between, programs=1)


def test_a_reseeded_generator_is_seen():
    changed(lambda i, model, optimizer: tr.seed(3) if i == 7 else None, programs=1)


def test_gradients_that_others_left_do_not_enter():
    def between(i, model, optimizer):
        if i == 7:
            model(data(1)[0][0]).sum().backward()

    changed(between, programs=1)


def test_two_tensors_that_come_to_share_memory_are_seen():
    def body(model, optimizer):
        a, b = tr.zeros(4), tr.ones(4)
        shared.append((a, b))

        def step(x, y):
            a.data[...] = a.data + x.data.sum(axis=0)
            b.data[...] = b.data * 2
            return a, b

        return step

    shared = []

    def between(i, model, optimizer):
        if i == 6:
            a, b = shared[-1]
            b._array = a._array

    changed(between, programs=2, body=body)


def test_a_label_out_of_range_gives_the_error_of_the_step_itself_and_changes_nothing():
    messages = []
    for wrapped in (lambda f: f, tr.capture):
        model, optimizer = network(lambda: layers(nn.Dropout(0.5)))
        step = wrapped(plain(model, optimizer))
        for batch in data(5):
            step(*batch)
        before = state(model, optimizer)
        with pytest.raises(IndexError) as caught:
            step(data(1)[0][0], np.array([0, 1, 2, 3, 0]))
        messages.append(str(caught.value))
        if wrapped is tr.capture:
            assert state(model, optimizer)[:2] == before[:2]
        messages.append(state(model, optimizer))
        step(*data(1)[0])
        messages.append(state(model, optimizer))
    assert messages[:3] == messages[3:]


def test_a_gradient_that_is_not_finite_gives_the_error_of_the_step_itself():
    def body(model, optimizer):
        def step(x, y):
            optimizer.zero_grad()
            made = loss(model, x, y)
            made.backward()
            tr.optim.clip_grad_norm(model.parameters(), 1.0)
            optimizer.step()
            return made

        return step

    model, optimizer = network()
    step = tr.capture(body(model, optimizer))
    for batch in data(5):
        step(*batch)
    before = state(model, optimizer)
    with pytest.raises(RuntimeError, match="got NaN or infinity"):
        step(data(1)[0][0] * float("nan"), data(1)[0][1])
    assert state(model, optimizer) == before


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_step_that_raises_gives_its_own_error_at_any_call_and_goes_on(at):
    model, optimizer = network()
    failing = [False]

    def step(x, y):
        optimizer.zero_grad()
        made = loss(model, x, y)
        made.backward()
        if failing[0]:
            raise LookupError("planted")
        optimizer.step()
        return made

    step, batches = tr.capture(step), data(12)
    for batch in batches[:at]:
        step(*batch)
    before, failing[0] = state(model, optimizer), True
    for _ in range(2):
        with pytest.raises(LookupError, match="planted"):
            step(*batches[at])
    assert state(model, optimizer) == before
    failing[0] = False
    model.zero_grad()
    for batch in batches[at:]:
        step(*batch)
    other, other_optimizer = network()
    for batch in batches:
        plain(other, other_optimizer)(*batch)
    assert state(model, optimizer) == state(other, other_optimizer)
