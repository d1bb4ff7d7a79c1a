"""Whoever holds an old value of the state, in whatever way, keeps it; and memory that nobody holds is used again."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
from captured.steps import data, layers, network, plain, poison, state, values

import tinyreg as tr
from tinyreg import nn, optim

pytestmark = pytest.mark.usefixtures("each_executor")

WAYS = {
    "the array": lambda p: p.data,
    "a part": lambda p: p.data[:1],
    "a part of a part": lambda p: p.data.T[..., :2][::2],
    "its memory": lambda p: p.data.base if p.data.base is not None else p.data,
    "a detached tensor": lambda p: p.detach(),
    "a view of a detached tensor": lambda p: p.detach().T,
    "a buffer": lambda p: memoryview(p.data),
    "an array over a buffer": lambda p: np.asarray(memoryview(p.data)),
    "by DLPack": lambda p: np.from_dlpack(p.data),
    "an iterator": lambda p: p.data.flat,
}


def content(held):
    if isinstance(held, dict):
        return [content(each) for each in held.values()]
    if isinstance(held, list):
        return [content(each) for each in held]
    if held is None or isinstance(held, bool | int | float):
        return repr(held)
    array = np.asarray(held.data if isinstance(held, tr.Tensor) else held)
    return array.dtype.str, array.shape, array.tobytes()


def pair():
    """A captured step and its eager twin, each with its model and optimizer."""

    def made():
        return network(lambda: layers(nn.BatchNorm(8), nn.ReLU()), lambda p: optim.Adam(p, lr=0.01))

    model, optimizer = made()
    twin = made()
    return model, optimizer, tr.capture(plain(model, optimizer)), twin, plain(*twin)


def follow(hold, count, calls=24, every=1):
    """Hold something of some states, and assert that all of it stays as it was, and that all is as without capture."""
    model, optimizer, step, twin, eager = pair()
    held = []
    for i, batch in enumerate(data(calls)):
        assert values(step(*batch)) == values(eager(*batch))
        poison(step)
        assert state(model, optimizer) == state(*twin), i
        if i % every == every - 1:
            thing = hold(model, optimizer)
            held = [*held, (thing, content(thing))][-count:]
        assert all(content(each) == was for each, was in held), i
    assert step.replays >= calls - 4


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("way", WAYS)
def test_who_holds_a_parameter_keeps_its_value(way, count, every):
    follow(lambda model, _: [WAYS[way](p) for p in model.parameters()], count, every=every)
    follow(lambda model, _: WAYS[way](model.parameters()[-1]), count, every=every)


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_who_holds_a_state_dict_keeps_its_values(count, every):
    follow(lambda model, _: model.state_dict(), count, every=every)
    follow(lambda _, optimizer: optimizer.state_dict()["state"], count, every=every)


def test_who_holds_results_keeps_them():
    _, _, step, _, eager = pair()
    pairs = [(step(*batch), eager(*batch)) for batch in data(16)]
    assert all(values(one) == values(other) for one, other in pairs)


def test_who_holds_a_value_at_times_finds_memory_used_again():
    model, _, step, _, _ = pair()
    batches = data(40)
    for batch in batches[:8]:
        step(*batch)
    held = [(p.data, p.data.copy()) for p in model.parameters()]
    for batch in batches[8:20]:
        step(*batch)
    assert all(one.tobytes() == other.tobytes() for one, other in held)
    del held
    seen = []
    for batch in batches[20:]:
        step(*batch)
        seen.append(model.parameters()[0].data.__array_interface__["data"][0])
    assert len(set(seen[4:])) == 2


def test_an_array_that_its_holder_changed_is_not_given_out_again():
    model, optimizer, step, twin, eager = pair()
    for i, batch in enumerate(data(20)):
        step(*batch)
        eager(*batch)
        if i in (8, 13):
            for each in (model, twin[0]):
                each.parameters()[0].data.setflags(write=False)
        flags = [[p.data.flags.writeable for p in each.parameters()] for each in (model, twin[0])]
        assert flags[0] == flags[1], i
        assert state(model, optimizer) == state(*twin)


def test_memory_does_not_grow_where_somebody_holds_one_value_after_the_other():
    model, _, step, _, _ = pair()
    (batch,) = data(1)
    held, sizes = [], []
    gc.disable()
    tracemalloc.start()
    try:
        for i in range(200):
            step(*batch)
            held = [*held, model.parameters()[i % 4].data][-(1 + i % 9) :]
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        gc.enable()
    assert step.replays >= 195
    assert max(sizes[150:]) - max(sizes[50:150]) < 20_000


def test_memory_that_was_held_once_is_let_go():
    model, _, step, _, _ = pair()
    held = []
    for batch in data(30):
        step(*batch)
        held.append([p.data for p in model.parameters()])
    executor = step._variants[0].executor
    assert max(map(len, executor._memories.values())) <= 4
    assert len(executor._turns) <= 8


def test_what_was_recorded_is_let_go_of():
    tr.seed(0)
    model = tr.nn.Linear(300, 300)
    optimizer = tr.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x = tr.ones((500, 300))

    @tr.capture
    def step():
        optimizer.zero_grad()
        y = model(x)
        for _ in range(20):
            y = tr.sin(y) * 0.5
        loss = y.mean()
        loss.backward()
        optimizer.step()
        return loss

    step()
    tracemalloc.start()
    try:
        for _ in range(6):
            step()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert step.replays == 4
    program = step.program
    planned = sum(block.size for block in program.blocks)
    going = sum(program.storages[storage].memory.nbytes for storage in program.out)
    recorded = 40 * x.data.nbytes  # two for each turn of the loop, which the backward needs
    assert held < planned + 3 * going + 2_500_000  # with the text and the code of the program
    assert held < recorded
