"""What a step rests on, and what happens when it changes between calls, or within: never a wrong replay."""

from __future__ import annotations

import collections
import math
import os
import random
import types

import numpy as np
import pytest
from captured.steps import compare, data, layers, network, plain, state, values

import tinyreg as tr
from tinyreg import nn, optim

pytestmark = pytest.mark.usefixtures("each_executor")

# ---- numbers that are inputs


def test_a_rate_that_is_set_by_hand_between_calls_is_an_input():
    def between(i, model, optimizer):
        optimizer.lr = 0.1 / (1 + i)

    assert compare(network, data(8), between=between).replays == 5


def test_the_rates_of_groups_and_what_schedules_note_are_inputs():
    groups = lambda p: optim.AdamW([{"params": p[:2], "lr": 0.2}, {"params": p[2:]}], lr=0.1)

    def between(i, model, optimizer):
        optimizer.param_groups[i % 2]["lr"] *= 0.9

    assert compare(lambda: network(optimizer=groups), data(8), between=between).replays == 5


@pytest.mark.parametrize("rate", [0, 0.0, 1, 1e-300])
def test_a_rate_of_another_kind_is_taken_as_eagerly(rate):
    def between(i, model, optimizer):
        optimizer.lr = rate if i > 4 else 0.1

    compare(network, data(12), between=between)


def test_a_rate_that_is_refused_is_refused_as_eagerly():
    model, optimizer = network()
    step = tr.capture(plain(model, optimizer))
    for batch in data(5):
        step(*batch)
    before = state(model, optimizer)
    optimizer.param_groups[0]["lr"] = "fast"
    with pytest.raises(TypeError, match="lr"):
        step(*data(1)[0])
    optimizer.param_groups[0]["lr"] = -1.0
    with pytest.raises(ValueError, match="lr"):
        step(*data(1)[0])
    optimizer.param_groups[0]["lr"] = 0.1
    assert state(model, optimizer)[0] == before[0]


# ---- generators


def test_a_generator_that_is_replaced_or_reseeded_is_seen():
    def between(i, model, optimizer):
        if i in (5, 9):
            model.layers[1].rng = tr.Generator(i)
        if i == 7:
            model.layers[1].rng.state = tr.Generator(3).state
        if i == 11:
            tr.seed(5)

    model = lambda: layers(nn.Dropout(0.5, rng=tr.Generator(0)), nn.Dropout(0.5))
    compare(lambda: network(model), data(16), between=between, programs=3)


def test_a_generator_of_the_step_itself_draws_the_same_at_every_call():
    def body(model, optimizer):
        def step(x, y):
            noise = tr.Generator(3).normal(shape=(5, 4))
            noise += 1
            return tr.dropout.dropout(model(x + noise), 0.5, training=True, rng=7), tr.Generator(1).normal(shape=(2,))

        return step

    assert compare(network, data(6), body).replays == 3


def test_shares_that_need_more_than_sixteen_bits_are_captured():
    compare(lambda: network(lambda: layers(nn.Dropout(0.2))), data(6))
    step = tr.capture(lambda x: tr.tensor(tr.random.default_generator.bernoulli(0.2, (10_000,))) * x)
    tr.seed(0)
    captured = [values(step(tr.ones(1))) for _ in range(6)]
    tr.seed(0)
    expected = [values(tr.tensor(tr.random.default_generator.bernoulli(0.2, (10_000,))) * tr.ones(1)) for _ in range(6)]
    assert captured == expected
    assert step.replays == 3


def test_a_generator_of_the_step_itself_without_a_seed_is_refused():
    step = tr.capture(lambda x: x + tr.Generator().normal())
    step(tr.ones(2))
    with pytest.raises(tr.CaptureError, match="random numbers"):
        step(tr.ones(2))


# ---- contexts around the call


def test_no_grad_around_the_call_is_part_of_the_key():
    def body(model, optimizer):
        def step(x, y):
            loss = tr.losses.cross_entropy(model(x), y)
            if loss.requires_grad:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            return loss * 2 if loss.requires_grad else loss

        return step

    model, optimizer = network()
    step = tr.capture(body(model, optimizer))
    twin, twin_optimizer = network()
    eager = body(twin, twin_optimizer)
    for i, batch in enumerate(data(12)):
        outcomes = []
        for f in (step, eager):
            if i % 2:
                with tr.no_grad():
                    outcomes.append(values(f(*batch)))
            else:
                outcomes.append(values(f(*batch)))
        assert outcomes[0] == outcomes[1]
        assert state(model, optimizer) == state(twin, twin_optimizer)
    assert len(step._variants) == 2
    assert step.replays == 6


def test_explain_around_the_call_forces_it_to_run_eagerly():
    model, optimizer = network()
    step = tr.capture(plain(model, optimizer))
    for batch in data(5):
        step(*batch)
    replays = step.replays
    x, y = data(1)[0]
    with tr.explain():
        step(x, y)
        with pytest.raises(tr.explore.NonFiniteError, match="NaN"):
            step(x * math.nan, y)
    assert step.replays == replays
    step(x, y)
    assert step.replays == replays + 1


def test_checks_and_dtypes_of_the_context_are_part_of_the_key():
    step = tr.capture(lambda x, y: tr.losses.cross_entropy(x, y) + tr.ones(1))
    x, y = tr.ones((2, 3)), np.array([0, 2])
    before = tr.get_default_dtype()
    for _ in range(5):
        assert step(x, y).dtype == "float32"
        with tr.unchecked("labels"):
            step(x, y)
        try:
            tr.set_default_dtype("float64")
            assert step(x, y).dtype == "float64"
        finally:
            tr.set_default_dtype(before)
    assert len(step._variants) == 3
    with pytest.raises(IndexError):
        step(x, np.array([0, 3]))


# ---- what a step does beside computing


def added(thing, x):
    if next(thing.numbers) == 1:  # in the second call
        thing.latest = x


def added_to_a_list(thing, x):
    thing.seen.append(1)


def added_to_a_set(thing, x):
    thing.chosen.add(len(thing.chosen))


def added_to_a_deque(thing, x):
    thing.queue.append(1)


def counted(thing, x):
    thing.count += 1


def moved_on(thing, x):
    return next(thing.numbers)


def drawn_by_python(thing, x):
    return random.random()


def drawn_by_a_python_generator(thing, x):
    return thing.python.random()


def drawn_by_numpy(thing, x):
    return float(np.random.rand())


def drawn_by_a_numpy_generator(thing, x):
    return 1.0 if thing.numpy.random() < 1 else 0.0  # a branch that always goes the same way


def drawn_by_a_new_numpy_generator(thing, x):
    return 1.0 if np.random.default_rng().random() < 1 else 0.0


def drawn_by_an_old_numpy_generator(thing, x):
    return 1.0 if thing.old.rand() < 1 else 0.0


def drawn_from_the_system(thing, x):
    return 1.0 if os.urandom(1) != b"ab" else 0.0


@pytest.mark.parametrize(
    ("beside", "match"),
    [
        (added, "makes thing.latest, which was not there before"),
        (added_to_a_list, "how many values thing.seen holds, from 1 to 2"),
        (added_to_a_set, "thing"),
        (added_to_a_deque, "how many values thing.queue holds"),
        (counted, "the number thing.count from 1 to 2"),
        (moved_on, r"in .*test_traps.py:\d+: y = x .*: mul\(1\) first, mul\(2\) then"),
        (drawn_by_python, r"random numbers, at .*test_traps.py:\d+: return random.random\(\)"),
        (drawn_by_a_python_generator, r"random numbers, at .*: return thing.python.random\(\)"),
        (drawn_by_numpy, "random numbers"),
        (drawn_by_a_numpy_generator, "random numbers"),
        (drawn_by_a_new_numpy_generator, r"random numbers, at .*test_traps.py:\d+"),
        (drawn_by_an_old_numpy_generator, "random numbers"),
        (drawn_from_the_system, "random numbers"),
    ],
)
def test_what_a_replay_would_not_do_again_is_refused_and_nothing_has_changed(beside, match):
    thing = types.SimpleNamespace(seen=[], chosen=set(), queue=collections.deque(), count=0, numbers=iter(range(99)))
    thing.python, thing.numpy, thing.old = random.Random(0), np.random.default_rng(0), np.random.RandomState(0)
    w = tr.ones(2)

    def step(x):
        y = x * (beside(thing, x) or 1.0) * w
        w.assign(y)
        return y

    def now():
        held = thing.seen, thing.chosen, [*thing.queue], thing.count, thing.python.getstate(), thing.old.get_state()
        return repr((held, thing.numpy.bit_generator.state, random.getstate(), np.random.get_state(), w.tolist()))

    step = tr.capture(step)
    step(tr.ones(2))
    if beside is moved_on:
        step(tr.ones(2))
        with pytest.raises(tr.CaptureError, match=match):
            step(tr.ones(2))
        return
    before = now()
    for _ in range(1 if beside is added else 2):
        with pytest.raises(tr.CaptureError, match=match):
            step(tr.ones(2))
        assert now() == before


# ---- shapes and dtypes


def test_dtypes_layouts_and_places_of_numbers_are_programs_of_their_own():
    step = tr.capture(lambda x, by: x * by)
    kinds = [np.ones((2, 3), dtype) for dtype in ("f2", "f4", "f8", "i4")]
    kinds += [np.asfortranarray(kinds[1]), kinds[1][:1]]
    for _ in range(5):
        for x in kinds:
            made = step(x, 2)
            assert values(made) == values(x * 2)
    assert step.replays == 2 * len(kinds)
    step(kinds[1], 3)
    step(kinds[1], 3.0)
    with pytest.raises(tr.CaptureError, match=r"8 kinds of calls.*4\.0"):
        step(kinds[1], 4.0)


# ---- what is given back


def test_a_step_that_returns_a_generator_is_refused():
    step = tr.capture(lambda x: (y for y in x.data))
    step(tr.ones(2))
    with pytest.raises(tr.CaptureError, match="returns a generator"):
        step(tr.ones(2))


def test_results_in_lists_and_dicts_are_new_ones_at_every_call():
    Pair = collections.namedtuple("Pair", "a b")
    step = tr.capture(lambda x: {"list": [x, x * 2], "pair": Pair(x + 1, None), 3: (1, "two", 2.5, True, x.data)})
    outcomes = [step(tr.full(2, float(i))) for i in range(6)]
    for i, outcome in enumerate(outcomes):
        assert outcome["list"][1].tolist() == [2.0 * i] * 2
        assert isinstance(outcome["pair"], Pair)
        assert outcome["pair"].a.tolist() == [i + 1.0] * 2
        assert outcome[3][:4] == (1, "two", 2.5, True)
        assert isinstance(outcome[3][4], np.ndarray)
    assert step.replays == 3
    outcomes[4]["list"][1].data[...] = 7
    assert outcomes[5]["list"][1].tolist() == [10.0, 10.0]


def test_what_was_given_may_be_changed_afterwards():
    step = tr.capture(lambda x: x)
    x = np.ones(2, "f4")
    kept = [step(x) for _ in range(5)]
    x[...] = 5
    assert [k.tolist() for k in kept[1:]] == [[1.0, 1.0]] * 4


def test_a_model_that_is_moved_to_another_backend_is_refused_and_can_come_back():
    model, optimizer = network()
    step, batch = tr.capture(plain(model, optimizer)), data(1)[0]
    for _ in range(5):
        step(*batch)
    weight = model.layers[0].weight
    held = weight._array
    weight._array = weight.to("standin").data
    with pytest.raises(tr.CaptureError, match="on standin"):
        step(*batch)
    weight._array = held
    step(*batch)
    assert step.replays == 3
    x = tr.tensor(batch[0].numpy(), backend="standin")
    with pytest.raises(tr.CaptureError, match="on standin"):
        step(x, batch[1])


def test_constants_of_numbers_are_captured():
    step = tr.capture(lambda x: x * tr.tensor([1.0, 2.0]) + tr.tensor(3.0) + tr.zeros(2) + tr.tensor([[1]]))
    for _ in range(5):
        assert step(tr.ones(2)).tolist() == [[5.0, 6.0]]
    assert step.replays == 2


@pytest.mark.usefixtures("each_executor")
def test_a_frozen_leaf_that_a_step_moves_has_its_next_value_for_tapes_too():
    w = tr.tensor([1.0, 2.0], requires_grad=True)
    step = tr.capture(lambda x: w.assign(w * 0.5 + x))

    def frozen_step():
        w.requires_grad = False
        step(tr.ones(2))
        w.requires_grad = True

    for _ in range(4):
        frozen_step()
    before = (w * w).sum()
    frozen_step()
    assert step.replays == 2
    with pytest.raises(RuntimeError, match="was changed after the tape used it"):
        before.backward()
    (w * w).sum().backward()
    assert w.grad.tolist() == (2 * w).tolist()
