"""What ops and their VJPs refuse, and in which dtypes they work."""

import inspect
import traceback

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.primitive import REGISTRY


@pytest.fixture(autouse=True)
def _ops_made_here_are_forgotten():
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def leaf(values, dtype="float64"):
    return tr.tensor(np.array(values, dtype=dtype), requires_grad=True)


def make_scaled():
    @tr.primitive
    def scaled(xp, x, weight=None, *, by=2.0):
        return x * by if weight is None else x * by * weight

    scaled.vjp("x")(lambda g, weight, by: g * by if weight is None else g * by * weight)
    scaled.vjp("weight")(lambda g, x, by: g * by * x)
    return scaled


def _times(factor):
    return lambda g: factor * g


def make_both():
    @tr.primitive
    def both(xp, x):
        return x * x, 3 * x, xp.argsort(x)

    @both.vjp("x")
    def _(g, x, y):
        assert g[2] is None
        return 2 * g[0] * x + 3 * g[1]

    return both


# ---- dtypes


@pytest.mark.parametrize("scalar", [2, 2.0, True, np.float64(2.0), np.float32(2.0), np.int64(2)])
@pytest.mark.parametrize("op", [tr.add, tr.multiply, tr.divide, tr.pow, tr.maximum])
def test_a_scalar_never_widens_a_tensor(op, scalar):
    x = tr.tensor([1.0, 2.0])
    assert op(x, scalar).dtype == np.float32
    assert op(scalar, x).dtype == np.float32
    assert (scalar * x).dtype == np.float32
    assert isinstance(scalar * x, tr.Tensor)


@pytest.mark.parametrize("array", [np.ones(2), np.ones(()), np.ones(2, dtype=np.int64)])
def test_arrays_promote_as_in_numpy(array):
    x = tr.tensor([1.0, 2.0])
    for y in (x + array, array + x, tr.add(array, x)):
        assert isinstance(y, tr.Tensor)
        assert y.dtype == np.result_type(np.float32, array.dtype) == np.float64


def test_two_numbers_chosen_by_where_have_the_default_dtype():
    assert tr.where(tr.tensor([True, False]), 1.0, 0.0).dtype == np.float32


# ---- what ops refuse


def test_what_is_no_array():
    x = tr.ones(2)
    with pytest.raises(TypeError, match=r"add: argument x2: got \[1.0, 2.0\], expected a Tensor, an array .*tr.tensor"):
        tr.add(x, [1.0, 2.0])
    with pytest.raises(TypeError, match="multiply: argument x1: got 'a', expected"):
        "a" * x
    with pytest.raises(TypeError, match="exp: argument x: got masked_array"):
        tr.exp(np.ma.masked_array([1.0]))


def test_shapes_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"add: got x1 float32\[2\], x2 float32\[3\] on numpy; expected shapes that broadc"
    ):
        tr.ones(2) + tr.ones(3)
    with pytest.raises(ValueError, match=r"matmul: got x1 float32\[2, 3\], x2 float32\[2, 3\].*as many columns in x1"):
        tr.ones((2, 3)) @ tr.ones((2, 3))
    with pytest.raises(IndexError, match=r"getitem: got x float32\[2\] on numpy; expected indices that are in range"):
        tr.ones(2)[5]
    with pytest.raises(ValueError, match="sum: got axis=3 for an array of 1 axis, expected an axis from -1 to 0"):
        tr.sum(tr.ones(2), axis=3)


def test_integers_that_ask_for_a_gradient():
    with pytest.raises(TypeError, match=r"requires_grad: got int64, expected floats"):
        tr.tensor([1, 2], requires_grad=True)
    x = tr.tensor([1, 2])
    with pytest.raises(TypeError, match="only floats have gradients"):
        x.requires_grad = True
    assert not x.requires_grad


def test_item_assignment():
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match="does not support item assignment.*tr.where, tr.concat or tr.stack"):
        x[0] = 3.0
    np.testing.assert_array_equal(x.data, [1.0, 2.0])


def test_a_misspelt_argument_without_a_gradient_is_refused_where_it_is_declared():
    text = r"chosen\(x, index\): got nondifferentiable=\{'indices'\}, expected any of its arguments"
    with pytest.raises(TypeError, match=text):

        @tr.primitive(nondifferentiable=("indices",))
        def chosen(xp, x, index):
            return x[index]


def test_an_op_goes_by_another_name_on_the_tape_and_in_errors():
    @tr.primitive(name="doubled")
    def twice(xp, x):
        return 2 * x

    @twice.vjp("x")
    def _(g):
        return 2.0 * g

    other = twice.named("two_times")
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    assert [entry.op.name for entry in tr.tape(other(twice(x)))] == ["doubled", "two_times"]
    other(twice(x)).sum().backward()
    assert x.grad.numpy().tolist() == [4.0, 4.0]
    for op, name in ((twice, "doubled"), (other, "two_times")):
        with pytest.raises(TypeError, match=rf"expected {name}\(x\)"):
            op(x, axis=1)


def test_a_traceback_shows_the_line_that_matched_the_call():
    with pytest.raises(ValueError, match="add: got") as raised:
        tr.ones(2) + tr.ones(3)
    frames = [frame for frame in traceback.extract_tb(raised.value.__traceback__) if "call of add" in frame.filename]
    assert [frame.line for frame in frames] == ["return _apply((x1, x2, ), {})"]
    assert frames[0].name == "add"


def test_defaults_of_settings_may_be_any_values_and_need_not_stand_behind_arrays():
    @tr.primitive(nondifferentiable=True)
    def odd(xp, x, weight=None, *, kind=np.float32, low=-float("inf"), needed):
        return x.astype(kind) + max(low, needed)

    assert odd(tr.ones(1), needed=2.0).tolist() == [3.0]
    assert odd(tr.ones(1), low=5.0, needed=2.0).tolist() == [6.0]
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'needed'"):
        odd(tr.ones(1))
    assert inspect.signature(odd).parameters["kind"].default is np.float32


@pytest.mark.parametrize(
    "call",
    [
        lambda x: tr.flip(x, axis=4),
        lambda x: tr.roll(x, 1, axis=4),
        lambda x: tr.expand_dims(x, axis=4),
        lambda x: tr.tril(x),
    ],
)
def test_an_op_that_complains_itself_is_named_once(call):
    with pytest.raises(ValueError, match=r"^(\w+): got x float32\[3\] on numpy, .*, expected [^:]*$") as raised:
        call(tr.ones(3))
    assert str(raised.value).count("expected") == 1


@pytest.mark.parametrize("make", [tr.primitive, tr.fused])
def test_what_is_no_function_and_a_name_that_is_no_text_are_refused(make):
    with pytest.raises(TypeError, match="got 3, name='', expected a function and a text"):
        make(3)
    with pytest.raises(TypeError, match="name=3, expected a function"):
        make(name=3)(lambda *operands: operands[-1])
