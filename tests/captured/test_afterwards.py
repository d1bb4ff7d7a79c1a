"""After capture a model goes on as ever, and the program can be read."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from captured.steps import compare, data, layers, network, plain, poison, state, values

import tinyreg as tr
from tinyreg import nn, optim

pytestmark = pytest.mark.usefixtures("each_executor")


def test_after_capture_a_model_is_saved_loaded_trained_eagerly_and_captured_again(tmp_path):
    runs = []
    for wrapped in (lambda f: f, tr.capture):
        model, optimizer = network(optimizer=lambda p: optim.Adam(p, lr=0.01))
        step, batches = wrapped(plain(model, optimizer)), iter(data(30))
        run = runs.append([]) or runs[-1]
        for _ in range(6):
            run.append(values(step(*next(batches))))
        saved = pickle.loads(pickle.dumps((model.state_dict(), optimizer.state_dict())))
        plain(model, optimizer)(*next(batches))
        run.append(values(step(*next(batches))))
        model.load_state_dict(saved[0])
        optimizer.load_state_dict(saved[1])
        for _ in range(3):
            run.append(values(step(*next(batches))))
        model.parameters()[0].assign(np.ones((8, 4), "f4"))
        run.append(values(step(*next(batches))))
        again = wrapped(plain(model, optimizer))
        for _ in range(5):
            run.append(values(again(*next(batches))))
        run.append(state(model, optimizer))
        assert "Linear" in repr(model)
    assert runs[0] == runs[1]


def test_values_that_somebody_holds_stay_as_they_were():
    model, optimizer = network()
    step = tr.capture(plain(model, optimizer))
    held = []
    for batch in data(9):
        step(*batch)
        held.append([(p.detach(), p.numpy(), p.data[:1], p.numpy()[:1]) for p in model.parameters()])
    for each in held:
        for tensor, copied, part, part_copy in each:
            assert values(tensor) == values(copied)
            assert part.tobytes() == part_copy.tobytes()


def test_a_state_of_ones_own_follows_by_assignment_and_in_place():
    class Own:
        def __init__(self):
            self.average, self.total, self.list = tr.zeros(4), np.zeros(4, "f4"), [tr.ones(4)]

    def body(own):
        def step(x):
            own.average = 0.9 * own.average + 0.1 * x.mean(axis=0)
            own.total += x.data.sum(axis=0)
            own.list[0] = own.list[0] * own.average
            return own.average, own.list[0]

        return step

    runs = []
    for wrapped in (lambda f: f, tr.capture):
        own = Own()
        alias = own.total
        step = wrapped(body(own))
        runs.append([(values(step(x)), own.total.tobytes(), alias.tobytes(), values(own.average)) for x, _ in data(7)])
    assert runs[0] == runs[1]


def test_the_program_is_read_line_by_line():
    step = compare(network, data(5))
    text = repr(step.program)
    assert "steps.py:" in text
    assert "matmul" in text
    assert "float32[5, 8]" in text
    assert "block 0" in text
    assert "bytes go out" in text


def test_memory_of_results_is_shared_only_where_lives_do_not_overlap():
    program = compare(lambda: network(lambda: layers(nn.LayerNorm(8), nn.GELU())), data(5)).program
    from tinyreg.captured.recording import View, found

    order, lives = program.instructions, {}
    for n, i in enumerate(order):
        for view in (*found(View, (i.args, i.settings)), *([i.out] if i.out else [])):
            lives.setdefault(view.storage, [n, n])[1] = n
    for view in program.copies:
        lives[view.storage][1] = len(order)
    blocks = {}
    for storage, block in program.block_of.items():
        blocks.setdefault(block.number, []).append(lives[storage])
    assert len(program.block_of) > len(blocks)
    for each in blocks.values():
        each.sort()
        assert all(end < start for (_, end), (start, _) in itertools.pairwise(each))


def test_a_poisoned_block_is_never_read():
    model, optimizer = network()
    step = tr.capture(plain(model, optimizer))
    for batch in data(6):
        loss = step(*batch)
        poison(step)
    assert np.isfinite(loss.item())
