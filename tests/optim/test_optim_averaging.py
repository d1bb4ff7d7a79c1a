"""Weight averages: the formula, the context that puts them in place, and what they leave alone."""

import json

import numpy as np
import pytest
from leaves import leaf, set_gradient

import tinyreg as tr
from tinyreg.optim import WeightAverage

pytestmark = pytest.mark.usefixtures("backend")

SHAPES = [(2, 3), (), (0, 2), (4,), (200, 200)]
DTYPES = ["float64", "float64", "float32", "float32", "float64"]


def parameters(rng):
    return [leaf(rng.normal(size=shape), dtype) for shape, dtype in zip(SHAPES, DTYPES, strict=True)]


def assert_equal(tensors, arrays):
    for tensor, array in zip(tensors, arrays, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)


def test_it_is_the_exponential_average_and_starts_at_the_weights():
    rng = np.random.default_rng(0)
    ws = parameters(rng)
    average = WeightAverage(ws, decay=0.8)
    expected = [w.numpy() for w in ws]
    assert_equal(average.averages, expected)
    for _ in range(4):
        for w in ws:
            w.assign(rng.normal(size=w.shape))
        average.update()
        expected = [0.8 * a + (1 - 0.8) * w.numpy() for a, w in zip(expected, ws, strict=True)]
    for a, w, array in zip(average.averages, ws, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), array, rtol=1e-5 if w.dtype == "float32" else 1e-13, atol=1e-7)
        assert (a.dtype, a.shape, a.requires_grad) == (w.dtype, w.shape, False)


def test_the_averages_are_in_place_inside_the_context_and_the_weights_again_afterwards():
    rng = np.random.default_rng(1)
    ws = parameters(rng)
    average = WeightAverage(ws, decay=0.5)
    for w in ws:
        w.assign(rng.normal(size=w.shape))
    average.update()
    own, averages = [w.numpy() for w in ws], [a.numpy() for a in average.averages]
    with average.applied():
        assert_equal(ws, averages)
        ws[0].assign(np.zeros((2, 3)))
    assert_equal(ws, own)
    assert_equal(average.averages, averages)
    with pytest.raises(KeyError), average.applied():
        raise KeyError
    assert_equal(ws, own)
    average.copy_to_parameters()
    assert_equal(ws, averages)
    assert all(w.requires_grad for w in ws)


def test_training_goes_on_as_if_nothing_had_been():
    def trained(evaluates):
        rng = np.random.default_rng(2)
        ws = parameters(rng)
        optimizer, average = tr.optim.Adam(ws, lr=0.1), WeightAverage(ws, decay=0.5)
        for _ in range(4):
            for w in ws:
                set_gradient(w, rng.normal(size=w.shape))
            optimizer.step()
            average.update()
            if evaluates:
                with average.applied():
                    pass
        return [w.numpy() for w in ws + average.averages]

    assert all(map(np.array_equal, trained(True), trained(False)))


def test_a_tape_over_the_averages_cannot_be_walked_afterwards():
    w = leaf([1.0])
    average = WeightAverage([w])
    with average.applied():
        loss = (w * w).sum()
    with pytest.raises(RuntimeError, match="was changed after the tape"):
        loss.backward()


class Counted(tr.nn.Module):
    def __init__(self):
        self.weight, self.count = tr.nn.Parameter([1.0]), tr.nn.Buffer([0.0])


def test_of_a_module_the_parameters_are_averaged_and_the_buffers_left_alone():
    model = Counted()
    average = WeightAverage(model, decay=0.5)
    model.weight.assign([3.0])
    model.count.assign([10.0])
    average.update()
    assert [a.tolist() for a in average.averages] == [[2.0]]
    with average.applied():
        assert model.weight.tolist() == [2.0]
        assert model.count.tolist() == [10.0]
        model.count.assign([11.0])
    assert (model.weight.tolist(), model.count.tolist()) == ([3.0], [11.0])


def test_a_weight_that_stands_still_is_its_own_average():
    w = leaf(np.random.default_rng(3).normal(size=50), "float32")
    average = WeightAverage([w], decay=0.999)
    for _ in range(100):
        average.update()
    assert_equal(average.averages, [w.numpy()])


def test_averages_of_float16_do_not_get_stuck():
    w = leaf([1.0], "float16")
    average = WeightAverage([w], decay=0.999)
    w.assign([1.5])
    for _ in range(1000):
        average.update()  # by less than float16 can tell from 1
    assert average.averages[0].dtype == "float16"
    assert average.averages[0].item() == pytest.approx(1.5 - 0.5 * 0.999**1000, rel=1e-3)


def test_a_loaded_average_goes_on_bit_for_bit():
    rng = np.random.default_rng(4)
    ws = [*parameters(rng), leaf([1.0, 2.0], "float16")]
    average = WeightAverage(ws, decay=0.7)
    for w in ws:
        w.assign(rng.normal(size=w.shape))
    average.update()
    state = average.state_dict()
    assert json.dumps(state, default=lambda tensor: tensor.tolist())
    loaded = WeightAverage(ws, decay=0.1)
    loaded.load_state_dict(state)
    assert loaded.decay == 0.7
    for tensor in state["averages"]:
        tensor.data[...] = np.nan  # all were copied
    for each in (average, loaded):
        each.update()
    assert_equal(loaded.averages, [a.numpy() for a in average.averages])
    assert not np.isnan(average.averages[0].numpy()).any()


def test_states_and_arguments_that_do_not_fit():
    w = leaf([1.0, 2.0])
    average = WeightAverage([w], decay=0.5)
    for state, text in (
        ({"decay": 0.5}, "WeightAverage.load_state_dict: got a state with decay, expected decay, averages"),
        ({"decay": 1.0, "averages": [w]}, "got decay=1.0, expected at least 0, and below 1"),
        ({"decay": 0.1, "averages": []}, "got 0 averages, expected 1; load what was saved for the same parameters"),
        ({"decay": 0.1, "averages": [leaf([1.0])]}, r"got average 0 float64\[1\], expected floats of shape \[2\]"),
    ):
        with pytest.raises(ValueError, match=text):
            average.load_state_dict(state)
    assert average.decay == 0.5
    with pytest.raises(ValueError, match="WeightAverage: got decay=-0.1, expected at least 0, and below 1"):
        WeightAverage([w], decay=-0.1)
    with pytest.raises(ValueError, match="WeightAverage: got no parameters"):
        WeightAverage(tr.nn.ReLU())
    with pytest.raises(ValueError, match="WeightAverage: got float64.* which is no leaf"):
        WeightAverage([w * 2])
