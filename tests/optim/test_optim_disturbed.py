"""A step in which something happens: Ctrl-C, memory that is short, a closure that fails; and what a step holds on to."""

import signal
import tracemalloc

import numpy as np
import pytest
from leaves import leaf, set_gradient

import tinyreg as tr
from tinyreg.optim.optimizer import elementwise


class Disturbed(tr.optim.Optimizer):
    """Moves against the gradient, counts in a state, and does something at the n-th call since it was told to."""

    state_names = ("total",)

    def __init__(self, parameters, happens, **settings):
        super().__init__(parameters, lr=1.0, **settings)
        self.happens, self.at, self.seen = happens, 0, []

    def direction(self, xp, g, state, settings):
        self.seen.append(g.size)
        if len(self.seen) == self.at:
            self.happens()
        state["total"] = state.get("total", 0.0) + g
        return g


class InBlocks(Disturbed):
    @elementwise
    def direction(self, xp, g, state, settings):
        return super().direction(xp, g, state, settings)


def press():
    signal.raise_signal(signal.SIGINT)


def short():
    raise MemoryError


def two(kind, happens, at=2):
    """An optimizer of two parameters that do not go together, after a step, before another in which something happens."""
    ws = [leaf([1.0, 2.0]), leaf([3.0], "float32")]
    optimizer = kind(ws, happens)
    for w in ws:
        set_gradient(w, np.ones(w.shape))
    optimizer.step()
    optimizer.at = len(optimizer.seen) + at
    return optimizer, ws


def totals(optimizer):
    return [state["total"].tolist() for state in optimizer.state_dict()["state"]]


@pytest.mark.parametrize("kind", [Disturbed, InBlocks])
@pytest.mark.parametrize("at", [1, 2])
def test_ctrl_c_waits_until_a_step_is_done(kind, at):
    optimizer, ws = two(kind, press, at)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step()
    assert [w.tolist() for w in ws] == [[-1.0, 0.0], [1.0]]
    assert totals(optimizer) == [[2.0, 2.0], [2.0]]


def test_ctrl_c_waits_until_a_group_is_added():
    w, other = leaf([1.0]), leaf([2.0])

    def pressing():
        press()
        yield other

    optimizer = tr.optim.SGD([w], lr=1.0)
    with pytest.raises(KeyboardInterrupt):
        optimizer.add_param_group({"params": pressing()})
    assert optimizer.parameters == [w, other]


def test_where_memory_is_short_a_direction_of_your_own_changes_nothing_and_a_marked_one_says_what_it_may_have_done():
    optimizer, ws = two(Disturbed, short)
    with pytest.raises(MemoryError) as caught:
        optimizer.step()
    assert not hasattr(caught.value, "__notes__")
    assert [w.tolist() for w in ws] == [[0.0, 1.0], [2.0]]
    assert totals(optimizer) == [[1.0, 1.0], [1.0]]
    optimizer, ws = two(InBlocks, short)
    with pytest.raises(MemoryError) as caught:
        optimizer.step()
    (note,) = caught.value.__notes__
    assert note == "InBlocks.step: some parameters may have moved, and some not; go on from a saved state"
    assert [w.tolist() for w in ws] == [[-1.0, 0.0], [2.0]]  # each with its state
    assert totals(optimizer) == [[2.0, 2.0], [1.0]]


def test_a_closure_that_fails_leaves_recording_as_it_was():
    w = leaf([1.0])
    optimizer = tr.optim.SGD([w], lr=1.0)
    with tr.no_grad():
        try:
            optimizer.step(lambda: 1 / 0)
        except ZeroDivisionError:  # which holds on to all that was there
            assert not (w * 2.0).requires_grad
        else:
            raise AssertionError


# ---- what it costs


@pytest.mark.parametrize("kind", [Disturbed, InBlocks])
def test_only_a_marked_direction_gets_a_large_array_in_blocks(kind):
    block = 2**16
    for sizes, blocks in [([block], 1), ([8 * block], 1), ([8 * block + 1], 9), ([block // 2] * 17, 9)]:
        ws = [leaf(np.ones(n), "float16") for n in sizes]
        for w in ws:
            set_gradient(w, np.full(w.shape, 0.25))
        optimizer = kind(ws, None)
        optimizer.step()
        assert len(optimizer.seen) == (blocks if kind is InBlocks else 1)
        assert sum(optimizer.seen) == sum(sizes)
        for w in ws:
            assert w.dtype == "float16"
            assert (w.numpy() == 0.75).all()


def test_an_optimizer_holds_one_state_for_each_parameter():
    """Also after a parameter was left out of a step, and after the state was saved."""
    size = 10**6
    ws = [leaf(np.ones(size), "float32"), leaf(np.ones(3))]
    optimizer = Disturbed(ws, None)
    for w in ws:
        set_gradient(w, np.ones(w.shape))
    optimizer.step()
    tracemalloc.start()
    try:
        for with_other in (False, True, False):
            set_gradient(ws[1], np.ones(3) if with_other else None)
            optimizer.step()
            optimizer.state_dict()
            optimizer.step()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2.5 * 4 * size  # a value and a state
