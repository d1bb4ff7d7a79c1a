"""What may become a tensor and what a tensor may become: dtypes, foreign data, numbers, NumPy's functions, other names."""

import math
import operator
import warnings

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.random import default_generator

UNLIKE = {
    "complex": np.array([1 + 2j, 1j]),
    "object": np.array([1.0, 2.0], dtype=object),
    "text": np.array(["1.5", "2"]),
    "longdouble": np.array([1.0, 2.0], dtype=np.longdouble),
    "dates": np.array(["2020", "2021"], dtype="M8[Y]"),
    "durations": np.array([1, 2], dtype="m8[s]"),
    "structured": np.zeros(2, dtype=[("a", "f4")]),
}


def leaf(values=(1.0, 2.0)):
    return tr.tensor(np.array(values, dtype=np.float32), requires_grad=True)


# ---- dtypes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", UNLIKE)
def test_an_array_of_another_dtype_comes_in_by_no_door(kind):
    array, w = UNLIKE[kind], leaf()
    doors = [
        lambda: w * array,
        lambda: array * w,
        lambda: tr.where(np.array([True, False]), w, array),
        lambda: tr.tensor(array),
        lambda: tr.Tensor(array),
        lambda: w.assign(array),
        lambda: (w * w).backward(array),
        lambda: tr.full(2, array),
        lambda: tr.zeros_like(array),
        lambda: tr.vjp(tr.square, w)[1](array),
        lambda: tr.jvp(tr.square, w, array),
        lambda: tr.hvp(lambda w: (w * w * w).sum(), w, array),
        lambda: tr.grad(lambda x: (w * x).sum())(array),
    ]
    if kind != "object":  # whose elements are numbers of Python
        doors += [lambda: tr.tensor(array[0]), lambda: tr.tensor(list(array)), lambda: w.assign(list(array))]
    for door in doors:
        with pytest.raises(TypeError):
            door()
    assert w.grad is None
    assert w.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("kind", ["complex", "object", "longdouble"])
def test_a_comparison_with_another_dtype_is_refused_too(kind):
    with pytest.raises(TypeError, match=r"equal: got x2 of dtype .*, expected booleans, integers or floats"):
        operator.eq(leaf(), UNLIKE[kind])


@pytest.mark.parametrize("scalar", [np.complex64(1j), np.longdouble(1)])
def test_a_scalar_of_another_dtype_is_refused(scalar):
    with pytest.raises(TypeError, match=r"multiply: argument x2: got .* expected booleans, integers or floats"):
        leaf() * scalar


@pytest.mark.parametrize("dtype", ["complex64", "longdouble", "object", "U3", "M8[s]"])
def test_another_dtype_cannot_be_asked_for(dtype):
    asked = [
        lambda: tr.tensor([1.0], dtype=dtype),
        lambda: tr.zeros(2, dtype=dtype),
        lambda: tr.ones(2, dtype=dtype),
        lambda: tr.full(2, 1.0, dtype=dtype),
        lambda: tr.arange(3, dtype=dtype),
        lambda: tr.zeros_like(leaf(), dtype=dtype),
        lambda: tr.ones_like(leaf(), dtype=dtype),
        lambda: leaf().astype(dtype),
        lambda: tr.set_default_dtype(dtype),
        lambda: tr.Generator(0).normal(shape=2, dtype=dtype),
        lambda: tr.Generator(0).uniform(shape=2, dtype=dtype),
    ]
    for f in asked:
        with pytest.raises(TypeError):
            f()
    assert tr.get_default_dtype() == np.float32


def test_an_op_whose_result_no_tensor_can_have():
    @tr.primitive(nondifferentiable=True)
    def spectrum(xp, x):
        return xp.fft.fft(x)

    @tr.primitive(nondifferentiable=True)
    def both(xp, x):
        return x, x + 1j

    with pytest.raises(TypeError, match="spectrum: the result would be of dtype complex"):
        spectrum(leaf())
    with pytest.raises(TypeError, match="both: the result would be of dtype complex"):
        both(leaf())


def test_other_byte_orders_are_turned_round():
    x = tr.tensor(np.array([1.0, 2.0], dtype=">f4"), requires_grad=True)
    assert x.dtype == np.float32
    assert tr.zeros(2).assign(np.array([1, 2], dtype=">i4")).tolist() == [1.0, 2.0]
    with pytest.raises(TypeError, match="other byte orders are not supported"):
        tr.Tensor(np.array([1.0], dtype=">f4"))  # of which it would have to make a copy


# ---- foreign data ----------------------------------------------------------------------------------------------------


class Frame:
    """What tr.tensor sees of a data frame: an array, a shape and a size, and no dtype."""

    shape, ndim, size = (2, 2), 2, 4

    def __init__(self, values=((1.0, 2.0), (3.0, 4.0))):
        self.values = np.array(values)

    def __array__(self, dtype=None, copy=None):
        return self.values


class Series(Frame):
    dtype = np.dtype(np.float64)


class Sparse:
    """What it sees of a sparse matrix: a dtype, a shape, and no array."""

    dtype, shape = np.dtype(np.float64), (2, 2)

    def toarray(self):
        return np.eye(2)


class Attached:
    """A tensor of PyTorch that requires a gradient."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


@pytest.mark.parametrize("made", [Frame, Series])
def test_data_frames_and_series_are_arrays(made):
    assert tr.tensor(made()).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert tr.tensor(made()).dtype == np.float64
    assert tr.tensor(made(), dtype="float32").dtype == np.float32
    assert tr.tensor([made(), made()]).shape == (2, 2, 2)
    assert tr.zeros((2, 2)).assign(made()).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(TypeError, match="tensor: got data of dtype <U3"):
        tr.tensor(made([["red", "1"]]))


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (Sparse(), TypeError, r"tensor: got Sparse, expected a dense array; use .toarray\(\)"),
        (Attached(), TypeError, r"tensor: got Attached, of which NumPy makes no array. .*detach\(\).numpy\(\)"),
        ([Attached()], TypeError, "tensor: got list, of which NumPy makes no array"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), TypeError, r"tensor: got a masked array, .* \.filled\(value\)"),
        ([[1.0], [1.0, 2.0]], ValueError, "tensor: got sequences that are no array, expected equal lengths"),
        ([tr.zeros(2), tr.zeros(3)], ValueError, "tensor: got sequences that are no array, expected equal lengths"),
        ({"a": 1.0}, TypeError, "tensor: got data of dtype object"),
        ({1.0}, TypeError, "tensor: got data of dtype object"),
        ((i for i in range(2)), TypeError, "tensor: got data of dtype object"),
        (2**70, TypeError, "tensor: got data of dtype object"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_array_is_refused_without_a_circle(data, error, text):
    with pytest.raises(error, match=text) as raised:
        tr.tensor(data)
    assert "use tr.tensor" not in str(raised.value)
    assert "tr.tensor(...)" not in str(raised.value)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_of_numpy_is_an_array_of_two_axes():
    assert tr.tensor(np.matrix([[1.0, 2.0]])).tolist() == [[1.0, 2.0]]


def test_a_list_of_tensors_is_copied_where_no_gradient_is_lost():
    one, two = tr.tensor(1.5), tr.tensor([1.0, 2.0])
    assert tr.tensor([one, one]).tolist() == [1.5, 1.5]
    assert tr.tensor([one, one]).dtype == np.float32
    assert tr.tensor([two, [two[1], 4.0]]).tolist() == [[1.0, 2.0], [2.0, 4.0]]
    w = leaf()
    for data in ([w, w], [w[0], w[1]], [1.0, w[0]], [[w[0]], [2.0]]):
        with pytest.raises(TypeError, match=r"requires a gradient.*tr\.stack"):
            tr.tensor(data)
        with pytest.raises(TypeError, match=r"requires a gradient.*tr\.stack"):
            np.array(data)


# ---- numbers ---------------------------------------------------------------------------------------------------------


def put(array, key, value):
    array[key] = value


CUTS = {
    "float": float,
    "int": int,
    "complex": complex,
    "%": lambda t: f"{'%.2f' % t}",  # noqa: UP031
    "math.exp": math.exp,
    "math.floor": math.floor,
    "np.float64": np.float64,
    "element assignment": lambda t: put(np.zeros(2), 0, t),
    "element assignment of integers": lambda t: put(np.zeros(2, dtype=int), 0, t),
}


@pytest.mark.parametrize("name", CUTS)
def test_a_number_out_of_what_requires_a_gradient_comes_with_a_warning(name):
    w = tr.tensor(1.5, requires_grad=True)
    for t in (w, w * 2.0):
        with pytest.warns(UserWarning, match=r"requires a gradient.*use \.item\(\).*tr\.stack") as caught:
            CUTS[name](t)
        assert [note.filename for note in caught] == [__file__]
        with tr.no_grad():
            CUTS[name](t)  # where nothing is recorded there is nothing to cut
        CUTS[name](t.detach())


def test_what_asks_for_a_number_by_name_is_silent():
    w = tr.tensor([1.0, 3.0], requires_grad=True)
    loss = (w * w).sum()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss.item() == 10.0
        assert f"{loss:.2f}" == "10.00"
        assert f"{loss}" == repr(loss) == "tensor(10., requires_grad=True)"
        assert (w * w).tolist() == [1.0, 9.0]
        assert bool(loss > 1.0)
        assert min(w[0], w[1]).item() == 1.0


@pytest.mark.parametrize("f", [lambda t: np.full(2, t), lambda t: np.linspace(0, t, 3), lambda t: put(np.zeros(2), ..., t)])
def test_an_array_out_of_what_requires_a_gradient_is_refused(f):
    with pytest.raises(TypeError, match=r"requires a gradient where NumPy wants an array.*use \.numpy\(\)"):
        f(tr.tensor(1.5, requires_grad=True) * 2.0)


# ---- changes in place ------------------------------------------------------------------------------------------------


def test_the_idiom_of_a_step_on_data(backend):
    w = tr.tensor([1.0, 2.0], requires_grad=True)
    old = (w * w).sum()
    (w * w).sum().backward()
    w.data -= 0.5 * w.grad.data
    assert w.tolist() == [0.0, 0.0]
    assert w.grad.tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError, match="was changed after the tape used it"):
        old.backward()
    (w * w).sum().backward()
    assert w.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("make", [lambda w: w * 1.0, lambda w: tr.unstack(tr.stack([w, w]))[0]])
def test_a_computed_value_that_was_changed_stops_its_tape(backend, make):
    w = tr.tensor([1.0, 2.0], requires_grad=True)
    y = make(w)
    z = (y * y).sum()
    y.data *= 3.0
    with pytest.raises(RuntimeError, match="its result changed"):
        z.backward()
    assert w.grad is None


def test_data_takes_no_other_array():
    w = leaf()
    with pytest.raises(AttributeError, match=r"data: got another array.*use assign\(value\)"):
        w.data = np.zeros(2, dtype=np.float32)
    with pytest.raises(AttributeError):
        w.data = w.data.copy()
    assert w.tolist() == [1.0, 2.0]


def test_what_is_refused_has_changed_nothing():
    w = leaf()
    w.grad = tr.ones(2)
    state = default_generator.state
    attempts = [
        lambda: w.assign([1.0, 2.0, 3.0]),
        lambda: w.assign("text"),
        lambda: setattr(w, "grad", tr.ones(3)),
        lambda: tr.seed(-1),
        lambda: tr.seed("one"),
        lambda: setattr(default_generator, "state", {"bit_generator": "PCG64", "state": {}}),
        lambda: tr.set_default_dtype("float33"),
        lambda: tr.use("numpie"),
        lambda: setattr(tr.arange(2), "requires_grad", True),
    ]
    for attempt in attempts:
        with pytest.raises((TypeError, ValueError, KeyError)):
            attempt()
    loss = (w * w).sum()
    loss.backward()  # no attempt has retired the leaf
    assert w.tolist() == [1.0, 2.0]
    assert w.grad.tolist() == [3.0, 5.0]
    assert default_generator.state == state
    assert tr.zeros(1).backend == "numpy"


# ---- NumPy's operators and functions, and names from elsewhere -------------------------------------------------------


@pytest.mark.parametrize("left", [np.array([3.0, 5.0], dtype=np.float32), np.float32(3.0), np.float64(3.0)])
@pytest.mark.parametrize(
    "name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "eq", "ne", "lt", "le", "gt", "ge"]
)
def test_an_operator_with_an_array_on_its_left_is_the_op(name, left):
    import operator

    f, w = getattr(operator, name), leaf()
    found, right = f(left, w), f(tr.tensor(np.float32(left)), w)
    assert isinstance(found, tr.Tensor)
    assert (found.tolist(), found.dtype, found.requires_grad) == (right.tolist(), right.dtype, right.requires_grad)


def test_adding_a_tensor_to_an_array_gives_a_tensor_and_leaves_the_array():
    array = np.array([1.0, 2.0])
    total = array
    total += leaf()
    assert isinstance(total, tr.Tensor)
    assert total.requires_grad
    assert array.tolist() == [1.0, 2.0]
    assert (np.eye(2) @ leaf()).requires_grad


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda w: np.exp(w), r"np.exp got a Tensor.*use tr.exp\(x\)"),
        (lambda w: np.maximum(np.zeros(2), w), r"np.maximum got a Tensor.*use tr.maximum\(x\)"),
        (lambda w: np.arctan(w), r"np.arctan got a Tensor.*use \.numpy\(\)"),
        (lambda w: np.add(np.zeros(2), w, out=np.zeros(2)), "np.add got a Tensor"),
        (lambda w: np.add.reduce(w), "np.add got a Tensor"),
        (lambda w: w.sum(dim=0), "where axis is PyTorch's dim.*unexpected keyword argument 'dim'"),
        (lambda w: tr.mean(w, axis=0, keepdim=True), r"expected mean\(x, axis=None, keepdims=False\).*'keepdim'"),
        (lambda w: tr.softmax(w, dim=0), "softmax: got an unexpected keyword argument; dim is axis here"),
        (lambda w: w.norm(dim=0, keepdim=True), "norm: .* dim is axis here, keepdim is keepdims here"),
        (lambda w: tr.topk(w, 1, dim=0), "topk: .* dim is axis here"),
        (lambda w: tr.zeros(2, 3), r"zeros: got .* one by one, expected one tuple: zeros\(\(2, 3\)\)"),
        (lambda w: tr.ones(2, 3), r"ones\(\(2, 3\)\)"),
        (lambda w: tr.full(2, 3, 7.0), r"full\(\(2, 3\), 7.0\)"),
    ],
)
def test_habits_from_elsewhere_get_a_hint(call, hint):
    with pytest.raises(TypeError, match=hint):
        call(leaf())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("view", "reshape"),
        ("cuda", r"to\('cupy'\)"),
        ("cpu", r"to\('numpy'\)"),
        ("unsqueeze", "expand_dims"),
        ("clone", r"tr.tensor\(x\)"),
        ("tanh", r"tr.tanh\(x\)"),
        ("softmax", r"tr.softmax\(x\)"),
        ("add_", "tensors are not changed in place"),
    ],
)
def test_names_of_pytorch_get_a_hint(name, hint):
    with pytest.raises(AttributeError, match=f"'Tensor' object has no attribute '{name}'; use .*{hint}"):
        getattr(leaf(), name)


def test_a_name_that_is_nowhere_gets_none():
    for missing in ("foo", "_private", "__dunder__"):
        with pytest.raises(AttributeError, match=f"'Tensor' object has no attribute '{missing}'$"):
            getattr(leaf(), missing)
        with pytest.raises(AttributeError, match=f"module 'tinyreg' has no attribute '{missing}'$"):
            getattr(tr, missing)
    assert not hasattr(leaf(), "foo")
    assert not hasattr(leaf(), "view")
    assert not {"view", "tanh", "cuda"} & set(dir(leaf()))
    assert {"reshape", "exp", "data"} <= set(dir(leaf()))
    with pytest.raises(AttributeError, match="use tr.concat"):
        tr.cat  # noqa: B018
    with pytest.raises(AttributeError, match="use tr.nn.Linear"):
        tr.Linear  # noqa: B018


ROOMS = "activations augment dropout explore losses nn normalization ops optim random regularizers testing training"


@pytest.mark.parametrize("name", ["", *ROOMS.split()])
def test_dir_lists_the_public_names_all_of_them_and_nothing_else(name):
    room = getattr(tr, name) if name else tr
    names = dir(room)
    assert names == sorted(getattr(room, "__all__", names))
    assert all(hasattr(room, each) for each in names)
    assert not {"Any", "importlib", "annotations", "functools", "np", "core"} & set(names)
    assert not [each for each in names if each.startswith("_")]
    if not name:
        assert set(ROOMS.split()) <= set(names)


# ---- what looks like something else ----------------------------------------------------------------------------------


class Table(Frame):
    """A data frame with methods that masked and sparse arrays have too, as some have."""

    filled = toarray = None


def test_what_numpy_makes_an_array_of_is_taken_whatever_else_it_has():
    assert tr.tensor(Table()).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert tr.zeros((2, 2)).assign(Table()).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_an_array_is_moved_to_where_the_tensor_is_to_be():
    array = tr.tensor([1.0, 2.0], backend="standin").data
    assert tr.tensor(array, backend="numpy").backend == "numpy"
    x = tr.zeros(2)
    x.assign(array)
    assert (x.backend, x.tolist()) == ("numpy", [1.0, 2.0])


def test_a_number_that_is_too_large_for_a_dtype_is_an_error_where_numpy_was_asked_for_one():
    with np.errstate(all="raise"):
        assert tr.tensor([1e-60], dtype="float32").tolist() == [0.0]
        with pytest.raises(FloatingPointError, match="overflow"):
            tr.tensor([1e60], dtype="float32")
        assert np.geterr()["under"] == "raise"


def test_numpy_gets_an_array_of_the_dtype_that_it_asks_for():
    x = tr.tensor([1.5, 2.5])
    assert np.asarray(x).dtype == x.__array__().dtype == np.float32
    assert np.asarray(x, dtype="float64").tolist() == x.__array__("float64").tolist() == [1.5, 2.5]
    assert np.asarray(x, dtype="float64").dtype == x.__array__("float64").dtype == np.float64
    assert np.array(x, dtype="int64").tolist() == [1, 2]
