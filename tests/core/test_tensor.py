"""Tensors as values: making, showing, converting, comparing, and their dtypes."""

import pickle

import numpy as np
import pytest

import tinyreg as tr


def test_dtypes_of_new_data():
    assert tr.tensor(1.5).dtype == tr.tensor([[1.5]]).dtype == np.float32
    assert tr.tensor([1, 2]).dtype == np.int64
    assert tr.tensor([True]).dtype == np.bool_
    assert tr.tensor(np.ones(2)).dtype == tr.tensor(np.float64(1.0)).dtype == np.float64
    assert tr.tensor([np.float64(0.1)]).dtype == tr.tensor([np.ones(2)]).dtype == np.float64
    assert tr.tensor(np.ones(2, dtype=np.float16)).dtype == np.float16
    assert tr.tensor([1, 2], dtype="float64").dtype == np.float64
    assert tr.zeros(2).dtype == tr.ones((2, 1)).dtype == tr.full(2, 1.5).dtype == np.float32
    assert tr.full(2, 3).dtype == tr.arange(3).dtype == np.int64
    assert tr.arange(0.0, 1.0, 0.25).dtype == np.float32
    assert tr.zeros_like(np.ones(2)).dtype == tr.ones_like(tr.zeros(2, dtype="float64")).dtype == np.float64


def test_the_default_dtype_can_be_set():
    tr.set_default_dtype("float64")
    try:
        assert tr.tensor(0.5).dtype == tr.zeros(2).dtype == np.float64
    finally:
        tr.set_default_dtype("float32")
    with pytest.raises(TypeError, match="set_default_dtype: got int64, expected float16, float32 or float64"):
        tr.set_default_dtype("int64")
    assert tr.get_default_dtype() == np.float32


def test_the_default_dtype_can_be_set_for_a_while():
    with tr.set_default_dtype("float64"):
        assert tr.tensor(0.5).dtype == tr.nn.Linear(1, 1).weight.dtype == np.float64
        with pytest.raises(TypeError), tr.set_default_dtype("float16"):
            tr.tensor(object())
        assert tr.get_default_dtype() == np.float64
    assert tr.get_default_dtype() == np.float32


def test_tensor_copies_what_it_is_given():
    array = np.ones(2)
    x = tr.tensor(array)
    array[0] = 5.0
    assert x.tolist() == [1.0, 1.0]
    y = tr.tensor(x)
    assert not np.shares_memory(x.data, y.data)
    assert np.shares_memory(tr.Tensor(array).data, array)
    with pytest.raises(TypeError, match=r"Tensor: got 3.0, expected an array; for numbers and lists use tr.tensor"):
        tr.Tensor(3.0)


@pytest.mark.parametrize("data", ["text", [1 + 2j], [object()], None])
def test_what_cannot_be_a_tensor(data):
    with pytest.raises(TypeError, match="tensor: got data of dtype .*, expected booleans, integers or floats"):
        tr.tensor(data)


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError, match="inhomogeneous"):
        tr.tensor([[1.0], [1.0, 2.0]])


def test_data_is_an_array_also_when_0d_and_cannot_be_set():
    x = tr.tensor(2.0)
    assert isinstance(x.data, np.ndarray)
    assert x.data.shape == ()
    with pytest.raises(AttributeError):
        x.data = np.ones(2)


def test_repr_and_format():
    assert repr(tr.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(tr.tensor([1.0], dtype="float64", requires_grad=True)) == "tensor([1.], dtype=float64, requires_grad=True)"
    assert repr(tr.tensor([1, 2])) == "tensor([1, 2])"
    assert f"{tr.tensor(2.5):.2f}" == "2.50"
    assert f"{tr.tensor([1.0])}" == "tensor([1.])"


def test_numbers_out_of_a_tensor():
    x = tr.tensor(2.0)
    assert (float(x), int(x), bool(x), x.item()) == (2.0, 2, True, 2.0)
    assert [10, 20, 30][tr.tensor(1)] == 20
    assert tr.tensor([[1.5], [2.5]]).tolist() == [[1.5], [2.5]]
    two = tr.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match=r"item: got float32\[2\], expected a tensor of one element"):
        two.item()
    with pytest.raises(ValueError, match=r"the truth value of float32\[2\] is ambiguous; use .any\(\) or .all\(\)"):
        bool(two)
    with pytest.raises(TypeError, match=r"got float32\[\] as an index, expected one integer"):
        [1, 2][x]


def test_a_tensor_is_a_sequence():
    rows = tr.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(rows) == 2
    assert [row.tolist() for row in rows] == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(TypeError, match="0-d tensor"):
        len(tr.tensor(1.0))
    with pytest.raises(TypeError, match="0-d tensor"):
        iter(tr.tensor(1.0))


def test_numpy_gives_a_copy_and_only_when_asked_where_it_would_cut_the_tape():
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    copy = x.numpy()
    copy[0] = 9.0
    assert x.tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(np.asarray(x.detach()), [1.0, 2.0])
    with pytest.raises(TypeError, match=r"got float32\[2\] on numpy that requires a gradient where NumPy.*use .numpy\(\)"):
        np.asarray(x)
    with pytest.raises(TypeError):
        np.exp(x)


def test_comparison_is_elementwise_among_numbers():
    x = tr.tensor([1.0, 2.0])
    assert (x == 2.0).tolist() == [False, True]
    assert (x != np.array([1.0, 0.0])).tolist() == [False, True]
    assert (x < 2.0).tolist() == [True, False]
    assert (x == None) is False  # noqa: E711  (what == gives is the point)
    assert (x != "text") is True
    assert hash(x) != hash(tr.tensor([1.0, 2.0]))


def test_operators_and_methods_are_the_ops():
    x = tr.tensor([[1.0, -2.0], [3.0, 4.0]])
    assert (-x).tolist() == tr.negative(x).tolist()
    assert (x // 2).tolist() == [[0.0, -1.0], [1.0, 2.0]]
    assert (x % 3).tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert (2.0**x).tolist() == [[2.0, 0.25], [8.0, 16.0]]
    assert (1.0 - x).tolist() == [[0.0, 3.0], [-2.0, -3.0]]
    assert (12.0 / x).tolist() == [[12.0, -6.0], [4.0, 3.0]]
    assert ((x > 0) & (x < 4)).tolist() == [[True, False], [True, False]]
    assert (tr.tensor([6, 1]) & 3).tolist() == [2, 1]  # bit by bit, as in NumPy
    assert (~tr.tensor([0, 1])).tolist() == [-1, -2]
    assert (~(x > 0)).tolist() == [[False, True], [False, False]]
    assert abs(x).sum(axis=1).tolist() == [3.0, 7.0]
    assert x.sum(0).tolist() == [4.0, 2.0]
    assert x.reshape(4).shape == x.reshape((4,)).shape == x.reshape(-1).shape == x.flatten().shape == (4,)
    assert x.reshape(2, 1, 2).transpose(2, 0, 1).shape == x.reshape(2, 1, 2).permute_dims((2, 0, 1)).shape == (2, 2, 1)
    assert x.T.tolist() == x.mT.tolist() == x.transpose().tolist() == [[1.0, 3.0], [-2.0, 4.0]]
    assert x.max().item() == 4.0
    assert x.argmax(axis=1).tolist() == [0, 1]
    assert (np.ones((2, 2)) @ x).dtype == np.float64
    x += 1.0
    assert x.tolist() == [[2.0, -1.0], [4.0, 5.0]]


def test_freezing_a_leaf():
    w = tr.ones(2, requires_grad=True)
    w.sum().backward()
    w.requires_grad = False
    assert w.grad is None
    assert not (w * 2.0).requires_grad
    w.requires_grad = True
    assert (w * 2.0).requires_grad
    with pytest.raises(RuntimeError, match=r"got False for a computed tensor, expected a leaf; use detach\(\)"):
        (w * 2.0).requires_grad = False


def test_detach_cuts_the_tape():
    w = tr.ones(2, requires_grad=True)
    (w * w.detach()).sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


def test_astype_lets_gradients_pass_between_floats():
    x = tr.tensor([1.5, 2.5], requires_grad=True)
    y = x.astype("float64")
    assert y.dtype == np.float64
    (y * y).sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3.0, 5.0]
    assert not x.astype("int64").requires_grad


def test_float16_is_summed_in_float32():
    x = tr.ones(10_000, dtype="float16", requires_grad=True)
    assert x.sum().item() == 10_000
    assert x.sum().dtype == np.float16
    y = tr.ones((1,), dtype="float16", requires_grad=True)
    (y * np.ones(4096, dtype=np.float16)).backward(np.ones(4096, dtype=np.float16))
    assert y.grad.item() == 4096


def test_generators_are_reproducible_and_keep_their_place():
    a, b = tr.Generator(3), tr.Generator(3)
    np.testing.assert_array_equal(a.normal(shape=4), b.normal(shape=4))
    state = a.state
    drawn = a.uniform(-1.0, 1.0, (2, 2))
    a.state = state
    np.testing.assert_array_equal(a.uniform(-1.0, 1.0, (2, 2)), drawn)
    assert drawn.dtype == np.float32
    assert sorted(a.permutation(5).tolist()) == [0, 1, 2, 3, 4]
    assert set(a.integers(2, 4, 50).tolist()) == {2, 3}
    tr.seed(1)
    first = tr.random.default_generator.uniform()
    tr.seed(1)
    assert tr.random.default_generator.uniform() == first


def test_seeds_are_checked_at_once():
    for seed in ("a", -1, 1.5):
        with pytest.raises((TypeError, ValueError), match=f"seed: got seed={seed!r}, expected an integer of at least 0"):
            tr.Generator(seed)
    assert tr.Generator(np.int64(3)).permutation(3).tolist() == tr.Generator(3).permutation(3).tolist()


@pytest.mark.parametrize("backend_name", ["numpy", "standin"])
def test_a_pickled_tensor_comes_back_where_it_was_and_wants_a_gradient_where_it_is_a_leaf_that_does(backend_name):
    x = tr.tensor([1.0, 2.0], backend=backend_name)
    w = tr.tensor([1.0, 2.0], backend=backend_name, requires_grad=True)
    for tensor, wants in ((x, False), (w, True), (w * 2.0, False)):
        back = pickle.loads(pickle.dumps(tensor))
        assert (back.backend, back.tolist(), back.requires_grad) == (backend_name, tensor.tolist(), wants)


def test_a_tensor_shows_what_is_not_as_usual():
    assert repr(tr.tensor([True])) == "tensor([ True])"
    assert repr(tr.tensor([1])) == "tensor([1])"
    assert repr(tr.tensor([1.0], dtype="float64")) == "tensor([1.], dtype=float64)"
    assert repr(tr.tensor([1.0], backend="standin")) == "tensor([1.], backend='standin')"
    there = tr.tensor([1], dtype="int32", backend="standin")
    assert repr(there) == "tensor([1], dtype=int32, backend='standin')"
