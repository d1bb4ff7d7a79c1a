"""Random numbers: those of NumPy's generator from the same seed, drawn in the same order, on every backend and dtype."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.random import as_generator, default_generator

WORDS = 2**16


def of_numpy(seed):
    """NumPy's generator, which a `tr.Generator` draws from."""
    return np.random.Generator(np.random.PCG64(seed))


DRAWS = {
    "uniform": (lambda rng: rng.uniform(-3.0, 2.0, (4, 3)), "float32"),
    "uniform, by itself": (lambda rng: rng.uniform(), "float32"),
    "normal": (lambda rng: rng.normal(5.0, 0.25, (4, 3)), "float32"),
    "normal, by itself": (lambda rng: rng.normal(), "float32"),
    "beta": (lambda rng: rng.beta(0.5, 4.0, (4, 3)), "float32"),
    "integers": (lambda rng: rng.integers(-3, 9, (4, 3)), "int64"),
    "permutation": (lambda rng: rng.permutation(9), "int64"),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_numbers_are_those_of_numpy(name, backend):
    draw, dtype = DRAWS[name]
    mine, theirs = tr.Generator(3), of_numpy(3)
    for _ in range(2):
        drawn = draw(mine)
        expected = np.asarray(draw(theirs)).astype(dtype)
        assert drawn.dtype == dtype
        assert drawn.shape == expected.shape
        np.testing.assert_array_equal(tr.tensor(drawn).numpy(), expected)


@pytest.mark.parametrize("draw", ["uniform", "normal", "beta"])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_floats_have_the_dtype_that_is_asked_for(draw, dtype):
    at = (2.0, 3.0)
    drawn = getattr(tr.Generator(0), draw)(*at, (5,), dtype)
    assert drawn.dtype == dtype
    np.testing.assert_array_equal(drawn, getattr(of_numpy(0), draw)(*at, 5).astype(dtype))


@pytest.mark.parametrize("draw", ["uniform", "normal", "beta"])
def test_floats_have_the_default_dtype_otherwise(draw, float64):
    assert getattr(tr.Generator(0), draw)(2.0, 3.0, (2,)).dtype == "float64"


@pytest.mark.parametrize("name", [*DRAWS, "bernoulli"])
def test_the_backend_may_be_said(name):
    arguments = {
        "uniform": (0.0, 1.0, (2,), None),
        "normal": (0.0, 1.0, (2,), None),
        "beta": (1.0, 2.0, (2,), None),
        "integers": (0, 9, (2,)),
        "permutation": (4,),
        "bernoulli": (0.5, (2,)),
    }
    draw = name.partition(",")[0]
    with tr.use("standin"):
        drawn = getattr(tr.Generator(0), draw)(*arguments[draw], "numpy")
        assert type(drawn) is np.ndarray


@pytest.mark.parametrize("dtype", ["complex64", "U3"])
def test_a_dtype_that_tensors_have_not_is_refused(dtype):
    with pytest.raises(TypeError, match="Generator: asked for numbers"):
        tr.Generator(0).uniform(dtype=dtype)


@pytest.mark.parametrize("words", [0, 1, 2, 17, WORDS // 2, WORDS - 1, WORDS])
@pytest.mark.parametrize("below", [0.0, 0.5])
def test_a_mask_is_true_below_its_threshold(words, below):
    """Of the 16 bits for each element, with all those where they equal it: half of these where p lies halfway."""
    p = (words + below) / WORDS
    if p > 1:
        return
    n = 400_000
    drawn = tr.Generator(11).bernoulli(p, n, "numpy")
    parts = of_numpy(11).bit_generator.random_raw(n // 4).view(np.uint16)
    assert drawn[parts < words].all()
    assert not drawn[parts > words].any()
    ties = drawn[parts == words]
    assert abs(ties.sum() - below * len(ties)) <= 4 * max(len(ties), 1) ** 0.5 * (below > 0)


def test_a_seed_settles_the_ties_of_a_mask_too():
    p = 2.0**-17  # nothing but ties, of which every second counts
    masks = [tr.Generator(1).bernoulli(p, 2**20, "numpy") for _ in range(2)]
    assert masks[0].any()
    assert (masks[0] == masks[1]).all()


@pytest.mark.parametrize("shape", [(), 0, 1, 7, (3,), [2, 3], (2, 0), (5, 1, 3)])
def test_a_mask_has_the_shape_that_is_asked_for(shape):
    drawn = tr.Generator(0).bernoulli(0.3, shape)
    assert drawn.shape == np.empty(shape).shape
    assert drawn.dtype == bool


def test_a_mask_takes_a_word_for_four_elements():
    for n, words in ((1, 1), (4, 1), (5, 2), (8, 2), (9, 3)):
        mine, theirs = tr.Generator(0), of_numpy(0)
        mine.bernoulli(0.25, n)
        theirs.bit_generator.random_raw(words)
        assert mine.integers(0, 2**40) == theirs.integers(0, 2**40)


# ---- seeds and states


def test_a_generator_starts_from_its_seed_and_again():
    rng = tr.Generator(4)
    first = rng.normal(shape=5)
    assert rng.initial_seed() == 4
    rng.seed(4)
    np.testing.assert_array_equal(rng.normal(shape=5), first)
    rng.seed(5)
    assert rng.initial_seed() == 5
    np.testing.assert_array_equal(rng.normal(shape=3), of_numpy(5).normal(size=3).astype("float32"))


def test_without_a_seed_no_two_generators_are_alike():
    one, other = tr.Generator(), tr.Generator(None)
    assert one.initial_seed() is None
    assert one.integers(0, 2**62) != other.integers(0, 2**62)
    again = tr.Generator(1)
    again.seed(None)
    assert again.initial_seed() is None
    assert again.integers(0, 2**62) != tr.Generator(1).integers(0, 2**62)


@pytest.mark.parametrize("seed", [0, np.int64(7), 2**70])
def test_every_integer_of_at_least_0_is_a_seed(seed):
    assert tr.Generator(seed).integers(0, 2**62) == of_numpy(int(seed)).integers(0, 2**62)


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError), (True, TypeError)])
def test_what_is_no_seed_is_refused_and_changes_nothing(seed, error):
    message = "an integer of at least 0, or None for the system's entropy"
    with pytest.raises(error, match=message):
        tr.Generator(seed)
    rng = tr.Generator(2)
    rng.uniform()
    before = rng.state
    with pytest.raises(error, match=message):
        rng.seed(seed)
    assert rng.state == before
    assert rng.initial_seed() == 2


def test_a_state_is_a_value_and_can_be_set_again():
    rng = tr.Generator(0)
    rng.uniform(shape=3)
    state = copy.deepcopy(rng.state)
    first = rng.uniform(shape=3)
    assert rng.state != state
    rng.state = state
    np.testing.assert_array_equal(rng.uniform(shape=3), first)
    other = tr.Generator(1)
    other.state = state
    np.testing.assert_array_equal(other.uniform(shape=3), first)


STATE = tr.Generator(1).state


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"bit_generator": "MT19937"},
        None,
        {**STATE, "further": 1},
        {**STATE, "state": {**STATE["state"], "inc": 1.5}},
        {**STATE, "state": {**STATE["state"], "inc": -1}},
    ],
)
def test_what_is_no_state_is_refused_and_leaves_the_generator_to_all_threads(state):
    rng, drawn = tr.Generator(0), []
    with pytest.raises(ValueError, match="state: got .*, expected the state of a Generator"):
        rng.state = state
    thread = threading.Thread(target=lambda: drawn.append(rng.integers(0, 2**62)), daemon=True)
    thread.start()
    thread.join(5)
    assert drawn == [of_numpy(0).integers(0, 2**62)]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda rng: pickle.loads(pickle.dumps(rng))])
@pytest.mark.parametrize("begun", [False, True])
def test_a_copy_goes_on_by_itself(copied, begun):
    rng = tr.Generator(6)
    if begun:
        rng.uniform()
    other = copied(rng)
    np.testing.assert_array_equal(rng.uniform(shape=4), other.uniform(shape=4))


@pytest.fixture
def impatient():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    yield
    sys.setswitchinterval(before)


def test_threads_that_draw_first_at_the_same_time_draw_from_one(impatient):
    """No number comes twice, wherever they start."""
    for seed in range(50):
        rng, drawn, gate = tr.Generator(seed), [], threading.Barrier(4)

        def draw(rng=rng, drawn=drawn, gate=gate):
            gate.wait()
            drawn.extend(rng.integers(0, 2**62, 3).tolist())

        threads = [threading.Thread(target=draw) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(drawn) == sorted(of_numpy(seed).integers(0, 2**62, 12).tolist())


def test_rng_is_a_generator_a_seed_or_none():
    rng = tr.Generator(0)
    assert as_generator(rng) is rng
    assert as_generator(None) is default_generator
    assert as_generator(3).initial_seed() == 3
    assert as_generator(3) is not as_generator(3)
    with pytest.raises(TypeError, match=r"dropout: got rng='0', expected a tr.Generator, an integer seed"):
        as_generator("0", "dropout")
    with pytest.raises(ValueError, match=r"rng: got rng=-1"):
        as_generator(-1)


def test_the_seed_of_the_library_is_that_of_the_default_generator():
    tr.seed(9)
    assert default_generator.initial_seed() == 9
    drawn = default_generator.uniform(shape=4)
    np.testing.assert_array_equal(drawn, of_numpy(9).uniform(size=4).astype("float32"))


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(p):
    with pytest.raises(ValueError, match=rf"bernoulli: got p={p}"):
        tr.Generator(0).bernoulli(p, 3)


# ---- while a step is recorded


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.uniform(1.0, 2.0, shape=(3,)),
        lambda rng: rng.normal(1.0, 2.0, shape=(3,), dtype="float64"),
        lambda rng: rng.beta(2.0, 3.0, shape=(3,)),
        lambda rng: rng.integers(2, 5, shape=(3,)),
        lambda rng: rng.bernoulli(0.3, (3,)),
    ],
)
def test_a_captured_step_draws_what_it_draws_eagerly(draw):
    eager, captured = tr.Generator(3), tr.Generator(3)
    step = tr.capture(lambda: tr.tensor(draw(captured)))
    for _ in range(6):
        expected, got = tr.tensor(draw(eager)), step()
        assert (got.dtype, got.tolist()) == (expected.dtype, expected.tolist())
        assert captured.state == eager.state
    assert step.replays == 3


def test_a_captured_step_may_put_back_a_state_that_it_has_looked_at():
    """So that it draws the same a second time, as a checkpoint does."""
    generators = [tr.Generator(3), tr.Generator(3)]

    def twice(rng):
        first = rng.state
        a = rng.normal(shape=(2,))
        second = rng.state
        b = rng.normal(shape=(2,))
        rng.state = first
        c = rng.normal(shape=(2,))
        rng.state = second
        return tr.tensor(a), tr.tensor(b), tr.tensor(c)

    step = tr.capture(lambda: twice(generators[0]))
    for _ in range(6):
        a, b, c = step()
        assert [x.tolist() for x in (a, b, c)] == [x.tolist() for x in twice(generators[1])]
        assert a.tolist() == c.tolist() != b.tolist()
        assert generators[0].state == generators[1].state
    assert step.replays == 3


def test_a_captured_step_puts_back_no_state_from_before_it():
    rng = tr.Generator(3)
    before = rng.state

    def step():
        rng.state = before
        return tr.tensor(rng.normal(shape=(2,)))

    captured = tr.capture(step)
    captured()
    after = rng.state
    with pytest.raises(tr.CaptureError, match="a generator is given a state from before the step"):
        captured()
    assert rng.state == after
