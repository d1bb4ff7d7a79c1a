"""Indexing: what is taken many times adds up, what is chosen is in order, and an axis that is not there is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyreg as tr
from tinyreg.core.backend import get
from tinyreg.ops import scattering
from tinyreg.ops.indexing import Slot, scatter


def tensor(values, dtype="float32", **more):
    return tr.tensor(np.asarray(values), dtype=dtype, backend=tr.zeros(0).backend, **more)


# ---- what is taken many times

TAKEN = {
    "a row": lambda w, many: w[many],
    "an element": lambda w, many: w[many, many],
    "a column": lambda w, many: w[:, many],
    "behind a new axis": lambda w, many: w[..., None, many],
    "take": lambda w, many: tr.take(w, many, axis=1),
    "take_along_axis": lambda w, many: tr.take_along_axis(w, tr.broadcast_to(many[:, None], (5000, w.shape[1])), axis=0),
    "tile": lambda w, many: tr.tile(w, (5000, 1)),
    "an embedding": lambda w, many: tr.where(tr.expand_dims(many == 1, -1), 0.0, tr.take(w, many, axis=0)),
}


@pytest.mark.parametrize("call", TAKEN.values(), ids=TAKEN)
@pytest.mark.parametrize("wide", [2, 20])
def test_what_is_taken_5000_times_has_a_gradient_of_5000_in_float16(call, wide, backend):
    many = tensor(np.zeros(5000), "int64")
    w = tr.zeros((2, wide), dtype="float16", requires_grad=True)
    y = call(w, many)
    y.backward(tr.ones_like(y))
    assert w.grad.dtype == np.float16
    assert w.grad.numpy().max() == 5000


def test_the_way_back_of_a_second_derivative_sums_in_float32_too(backend):
    y = scatter(tr.ones(5000, dtype="float16"), tensor(np.zeros(5000), "int64"), key=(Slot(0),), shape=(3,))
    assert y.tolist() == [5000, 0, 0]


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_along_an_axis_that_is_out_of_range_is_refused(index):
    with pytest.raises(IndexError, match=r"take_along_axis: got indices int64\[2, 1\] .* out of range for a length of 3"):
        tr.take_along_axis(tr.ones((2, 3)), np.array([[0], [index]]), axis=1)


@pytest.mark.parametrize("indices", [np.zeros(2, int), np.zeros((2, 1)), np.zeros((2, 1), bool)])
def test_indices_along_an_axis_are_integers_of_as_many_axes(indices):
    with pytest.raises(IndexError, match="expected integer indices with as many axes as x"):
        tr.take_along_axis(tr.ones((2, 3)), indices, axis=1)


def test_lines_of_one_index_are_taken_for_all(backend):
    x = tr.tensor(np.arange(6.0).reshape(2, 3), backend=tr.zeros(0).backend, requires_grad=True)
    y = tr.take_along_axis(x, tensor([[1, 0, 1]], "int64"), axis=0)
    y.sum().backward()
    assert y.tolist() == [[3.0, 1.0, 5.0]]
    assert x.grad.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]


@st.composite
def keyed(draw):
    """A key with an integer array among other parts, for an array of shape (3, 4, width)."""
    width = draw(st.sampled_from([1, 5, 40]))

    def index(n):
        low = st.integers(-n, n - 1)
        return np.array(draw(st.lists(low, min_size=1, max_size=6)))

    rows = index(3)
    other = index(4)[: len(rows)]
    rows = rows[: len(other)]
    mask = np.array([True, False, True, True])
    key = draw(
        st.sampled_from(
            [
                (rows,),
                (slice(None), other),
                (rows, other),
                (rows, slice(None), 0),
                (..., other % width),
                (None, rows, slice(1, 3)),
                (rows, None, slice(None)),
                (slice(None, None, -1), other, slice(None)),
                (1, other),
                (rows[:, None], other),
                (np.array([0, 2, 2]), mask),
                (slice(None), mask),
            ]
        )
    )
    return width, key


@given(keyed(), st.sampled_from([0, scattering._FEW]))
def test_every_key_adds_up_as_one_by_one(drawn, few):
    width, key = drawn
    x = tr.zeros((3, 4, width), dtype="float64", requires_grad=True)
    y = x[key]
    g = np.random.default_rng(0).normal(size=y.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scattering, "_FEW", few)  # 0: also few elements are added as many are
        y.backward(tr.tensor(g))
    expected = np.zeros((3, 4, width))
    np.add.at(expected, key, g)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-13, atol=1e-13)


def test_sums_are_the_same_bits_each_time():
    rng = np.random.default_rng(0)
    index, g = rng.integers(0, 7, 3000), tr.tensor(rng.normal(size=(3000, 20)).astype("float32"))
    gradients = [tr.grad(lambda x: (tr.take(x, index, axis=0) * g).sum())(tr.zeros((7, 20))).numpy() for _ in range(3)]
    assert all(np.array_equal(gradients[0], other) for other in gradients)


def test_nothing_taken_and_rows_of_no_elements_have_a_gradient_of_zeros(backend):
    for shape in ((3, 20), (3, 2), (3, 0)):
        x = tr.zeros(shape, requires_grad=True)
        x[tensor([], "int64")].sum().backward()
        assert x.grad.tolist() == np.zeros(shape).tolist()


def test_a_key_without_integers_is_not_added_up(monkeypatch):
    monkeypatch.setattr("tinyreg.ops.indexing.scatter_add", None)  # to call it would be an error
    x = tr.zeros((3, 4), requires_grad=True)
    (x[1:].sum() + x[tr.tensor([True, False, True])].sum()).backward()
    assert x.grad.tolist() == [[1.0] * 4, [1.0] * 4, [2.0] * 4]


# ---- what is chosen


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "bool"])
@pytest.mark.parametrize("largest", [True, False])
def test_topk_of_a_long_axis_is_the_beginning_of_the_stable_sort(dtype, largest, backend):
    rng = np.random.default_rng(0)
    for k in (0, 1, 7, 25, 100):
        x = tensor(rng.integers(0, 6, (2, 100, 3)), dtype)
        values, indices = tr.topk(x, k, axis=1, largest=largest)
        order = tr.argsort(x, axis=1, descending=largest)[:, :k]
        assert indices.tolist() == order.tolist()
        assert values.tolist() == tr.sort(x, axis=1, descending=largest)[:, :k].tolist()


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_topk_puts_nan_where_sort_puts_it(share, backend):
    rng = np.random.default_rng(0)
    x = rng.normal(size=200).round(1)
    x[rng.random(200) < share] = np.nan
    for largest in (True, False):
        order = tr.argsort(tensor(x), descending=largest)[:20]
        assert tr.topk(tensor(x), 20, largest=largest)[1].tolist() == order.tolist()


def test_topk_of_a_long_axis_does_not_sort_all_of_it(monkeypatch):
    lengths = []

    def argsort(x, **more):
        lengths.append(x.shape[more.get("axis", -1)])
        return np.argsort(x, **more)

    monkeypatch.setitem(get("numpy").__dict__, "argsort", argsort)
    tr.topk(tr.arange(1000), 5)
    assert max(lengths) < 50


# ---- axes and numbers

X = tr.ones((2, 3))
ALONG = {
    "take": lambda axis: tr.take(X, np.array([0]), axis=axis),
    "take_along_axis": lambda axis: tr.take_along_axis(X, np.zeros((2, 3), int), axis=axis),
    "sort": lambda axis: tr.sort(X, axis=axis),
    "argsort": lambda axis: tr.argsort(X, axis=axis),
    "topk": lambda axis: tr.topk(X, 1, axis=axis),
    "split": lambda axis: tr.split(X, 1, axis=axis),
    "unstack": lambda axis: tr.unstack(X, axis=axis),
    "flip": lambda axis: tr.flip(X, axis=axis),
    "roll": lambda axis: tr.roll(X, 1, axis=axis),
    "squeeze": lambda axis: tr.squeeze(tr.ones((1, 1)), axis=axis),
    "expand_dims": lambda axis: tr.expand_dims(tr.ones(3), axis=axis),
    "permute_dims": lambda axis: tr.permute_dims(X, (0, axis)),
    "flip, several": lambda axis: tr.flip(X, axis=(0, axis)),
    "roll, several": lambda axis: tr.roll(X, (1, 1), axis=(0, axis)),
    "squeeze, several": lambda axis: tr.squeeze(tr.ones((1, 1)), axis=(0, axis)),
    "expand_dims, several": lambda axis: tr.expand_dims(tr.ones(()), axis=(0, axis)),
}


@pytest.mark.parametrize("call", ALONG.values(), ids=ALONG)
@pytest.mark.parametrize("axis", [2, 5, -3])
def test_an_axis_that_is_not_there_is_refused(call, axis):
    with pytest.raises(ValueError):  # noqa: PT011  (each in its own words)
        call(axis)


@pytest.mark.parametrize("name", [name for name in ALONG if name != "permute_dims"])
@pytest.mark.parametrize("axis", [1.0, "1"])
def test_an_axis_that_is_no_integer_is_refused(name, axis):
    with pytest.raises(TypeError, match="(axis|shift)=.*expected an integer"):
        ALONG[name](axis)


NUMBERS = {
    "topk": lambda n: tr.topk(X, n)[0],
    "split": lambda n: tr.split(X, n)[0],
    "split, a list": lambda n: tr.split(X, [n])[0],
    "split, an array": lambda n: tr.split(X, np.array([n]))[0],
    "roll": lambda n: tr.roll(X, n),
    "roll, several": lambda n: tr.roll(X, (n, n), axis=(0, 1)),
    "tile": lambda n: tr.tile(X, n),
    "tile, several": lambda n: tr.tile(X, (n, n)),
    "tile, a list": lambda n: tr.tile(X, [n]),
    "pad": lambda n: tr.pad(X, [(n, n), (0, n)]),
    "diagonal": lambda n: tr.diagonal(X, n),
    "trace": lambda n: tr.trace(X, n),
    "tril": lambda n: tr.tril(X, n),
    "triu": lambda n: tr.triu(X, n),
    "take": lambda n: tr.take(X, np.array([0, 1]), axis=n),
    "max_pool2d": lambda n: tr.max_pool2d(X, n, n, 0, n),
    "max_pool2d, a pair": lambda n: tr.max_pool2d(X, [n, n], stride=(n, 1)),
    "avg_pool2d": lambda n: tr.avg_pool2d(X, n, n),
    "conv2d": lambda n: tr.conv2d(X[None, None], tr.ones((1, 1, 2, 2)), stride=n, padding=n, dilation=n, groups=n),
    "MaxPool2d": lambda n: tr.nn.MaxPool2d(n, n)(X),
    "AvgPool2d": lambda n: tr.nn.AvgPool2d((n, n), n)(X),
    "Conv2d": lambda n: tr.nn.Conv2d(n, n, n, n, n, n, n, rng=0)(X[None, None]),
    "Embedding": lambda n: tr.nn.Embedding(n + n, n, n, rng=0)(np.array([0, 1])),
}


@pytest.mark.parametrize("call", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("one", [np.int64(1), np.int32(1), np.uint8(1), np.array(1)])
def test_numpys_numbers_are_as_good_as_pythons(call, one):
    found, expected = call(one), call(1)
    assert found.tolist() == expected.tolist()
    assert found.dtype == expected.dtype


@pytest.mark.parametrize("call", [NUMBERS[name] for name in NUMBERS if name != "split, an array"])
@pytest.mark.parametrize("number", [1.5, np.float32(1), "1"])
def test_what_is_no_integer_is_refused(call, number):
    with pytest.raises(TypeError, match="expected .*integer"):
        call(number)


def test_layers_show_pythons_numbers():
    one = np.int64(1)
    assert repr(tr.nn.Conv2d(one, one, one, stride=one)) == repr(tr.nn.Conv2d(1, 1, 1, stride=1))
    assert repr(tr.nn.MaxPool2d((one, one), one)) == "MaxPool2d((1, 1), stride=1)"
    assert repr(tr.nn.Embedding(np.int64(4), np.int64(3), np.int64(-1))) == "Embedding(4, 3, padding_idx=3)"


@pytest.mark.parametrize("layer", [lambda rng: tr.nn.Conv2d(1, 2, 3, rng=rng), lambda rng: tr.nn.Embedding(4, 3, rng=rng)])
def test_a_seed_is_a_generator_and_0_is_a_seed(layer):
    drawn = layer(0).weight.tolist()
    assert drawn == layer(tr.Generator(0)).weight.tolist() == layer(np.int64(0)).weight.tolist()
    assert drawn != layer(None).weight.tolist()
    with pytest.raises(TypeError, match=r"(Conv2d|Embedding): got rng=.*, expected a tr\.Generator"):
        layer(np.random.default_rng(0))
