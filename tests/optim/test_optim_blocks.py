"""Large parameters are moved in blocks: nothing of it can be seen, and directions of your own get all."""

import numpy as np
import pytest
from leaves import each_maker, leaf, set_gradient

import tinyreg as tr

SIZE = 2**19 + 2**17 + 5  # in several blocks, the last one shorter
PIECE = 2**17  # in one
on_each_backend = pytest.mark.usefixtures("backend")


def pieces(array):
    return np.split(array, range(PIECE, len(array), PIECE))


def joined(tensors):
    return np.concatenate([tensor.numpy() for tensor in tensors])


def give(rng, whole, cut):
    g = rng.normal(size=SIZE)
    set_gradient(whole, g)
    for w, part in zip(cut, pieces(g), strict=True):
        set_gradient(w, part)


@pytest.fixture
def pair():
    """A large parameter, and the same values as several that are not."""

    def make(dtype="float32"):
        values = np.random.default_rng(0).normal(size=SIZE)
        return leaf(values, dtype), [leaf(part, dtype) for part in pieces(values)]

    return make


@on_each_backend
@each_maker
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_large_parameter_moves_bit_for_bit_as_its_pieces(make, dtype, pair):
    whole, cut = pair(dtype)
    one, other = make([whole]), make(cut)
    rng = np.random.default_rng(1)
    for _ in range(3):
        give(rng, whole, cut)
        one.step()
        other.step()
        np.testing.assert_array_equal(whole.numpy(), joined(cut))
    assert (whole.dtype, whole.shape) == (dtype, (SIZE,))
    (state,), states = one.state_dict()["state"], other.state_dict()["state"]
    for name, value in (state or {}).items():
        if name == "step":
            assert value == 3
        else:
            np.testing.assert_array_equal(value.numpy(), joined([each[name] for each in states]))


@on_each_backend
def test_momentum_of_a_large_parameter_may_begin_later(pair):
    whole, cut = pair()
    one, other = (tr.optim.SGD(parameters, lr=0.1) for parameters in ([whole], cut))
    rng = np.random.default_rng(2)
    for momentum in (0.0, 0.9, 0.9):
        for optimizer in (one, other):
            optimizer.param_groups[0]["momentum"] = momentum
        give(rng, whole, cut)
        one.step()
        other.step()
        np.testing.assert_array_equal(whole.numpy(), joined(cut))


@on_each_backend
@each_maker
def test_many_of_which_some_decay_move_bit_for_bit_as_each_alone(make):
    rng = np.random.default_rng(3)
    values = [rng.normal(size=(100, 200 + i)) for i in range(30)]  # one flat array of several blocks
    together, alone = ([tr.nn.Parameter(leaf(v, "float32"), decay=i % 3 != 1) for i, v in enumerate(values)] for _ in "ab")
    one, many = make(together), [make([w]) for w in alone]
    for _ in range(2):
        for w, other in zip(together, alone, strict=True):
            g = rng.normal(size=w.shape)
            set_gradient(w, g)
            set_gradient(other, g)
        handed = [(w.grad, w.grad.numpy()) for w in together]
        for optimizer in (one, *many):
            optimizer.step()
        for w, other, (g, before) in zip(together, alone, handed, strict=True):
            np.testing.assert_array_equal(w.numpy(), other.numpy())
            np.testing.assert_array_equal(g.numpy(), before)


@on_each_backend
@each_maker
def test_values_and_gradients_of_a_large_parameter_that_were_handed_out_stay(make, pair):
    w, _ = pair()
    optimizer = make([w])
    rng = np.random.default_rng(4)
    handed = []
    for _ in range(2):
        set_gradient(w, rng.normal(size=SIZE))
        handed += [(tensor, tensor.numpy()) for tensor in (w.detach(), w.grad)]
        optimizer.step()
    for tensor, before in handed:
        np.testing.assert_array_equal(tensor.numpy(), before)


@on_each_backend
@each_maker
def test_a_loaded_state_of_a_large_parameter_goes_on_bit_for_bit(make, pair):
    w, _ = pair()
    optimizer = make([w])
    rng = np.random.default_rng(5)
    set_gradient(w, rng.normal(size=SIZE))
    optimizer.step()
    state, twin = optimizer.state_dict(), leaf(w.numpy(), "float32")
    other = make([twin])
    other.load_state_dict(state)
    for _ in range(2):
        g = rng.normal(size=SIZE)
        set_gradient(w, g)
        set_gradient(twin, g)
        optimizer.step()
        other.step()
        np.testing.assert_array_equal(w.numpy(), twin.numpy())


# ---- directions of your own


@on_each_backend
@pytest.mark.parametrize("base", [tr.optim.Optimizer, tr.optim.SGD, tr.optim.Adam])
def test_your_own_direction_gets_whole_arrays(base, pair):
    class Normalized(base):
        def direction(self, xp, g, state, settings):
            return g / xp.max(xp.abs(g))

    w, _ = pair("float64")
    before, g = w.numpy(), np.random.default_rng(6).normal(size=SIZE)
    set_gradient(w, g)
    Normalized([w], lr=0.5).step()
    np.testing.assert_allclose(w.numpy(), before - 0.5 * g / abs(g).max(), rtol=1e-14)


@on_each_backend
def test_your_own_direction_gets_those_that_decay_apart():
    seen = []

    class Seeing(tr.optim.Optimizer):
        def direction(self, xp, g, state, settings):
            seen.append(g.size)
            return g

    ws = [tr.nn.Parameter(leaf(np.ones(n)), decay=n % 2 == 0) for n in (1, 2, 3, 4)]
    for w in ws:
        set_gradient(w, np.ones(w.shape))
    Seeing(ws, lr=0.5, l2=0.5).step()
    assert sorted(seen) == [4, 6]
    assert [w.numpy()[0] for w in ws] == [0.5, 0.25, 0.5, 0.25]


@on_each_backend
def test_your_own_direction_may_keep_the_gradient_that_it_got(pair):
    class Previous(tr.optim.Optimizer):
        state_names = ("previous",)

        def direction(self, xp, g, state, settings):
            previous = state.get("previous", 0.0)
            state["previous"] = g
            return g + previous

    ws, values = [leaf(np.zeros(3)), leaf(np.zeros(2))], ([1.0, 2.0, 3.0], [4.0, 5.0])
    optimizer = Previous(ws, lr=1.0)
    for factor in (1.0, 10.0, 100.0):
        for w, value in zip(ws, values, strict=True):
            set_gradient(w, factor * np.array(value))
        optimizer.step()
    assert ws[1].tolist() == [-4.0 * 122, -5.0 * 122]


def test_a_gradient_that_is_read_only_is_enough():
    for decay in (True, False):
        w = tr.nn.Parameter(tr.tensor([1.0, 2.0]), decay=decay)
        g = np.ones(2, "float32")
        g.flags.writeable = False
        w.grad = tr.Tensor(g)
        tr.optim.SGD([w], lr=1.0, momentum=0.9, l2=1.0).step()
        assert w.tolist() == ([-1.0, -1.0] if decay else [0.0, 1.0])
