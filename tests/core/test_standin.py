"""The stand-in keeps CuPy's manners: what it refuses, and where it answers otherwise than NumPy."""

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from standin.array import ndarray
from standin.module import OWN, PREFIXES, SPECIAL, cupy, cupyx, special
from standin.names import NAMES

import tinyreg


@pytest.fixture
def x():
    return cupy.asarray([1.0, 2.0, 4.0])


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["concat", "permute_dims", "pow", "acos", "vecdot", "float128", "errstate", "special"])
def test_a_name_that_cupy_lacks_is_missing(name):
    assert hasattr(np, name) or name in ("errstate", "special", "float128")
    with pytest.raises(AttributeError, match=rf"^CuPy 13\.\S+ and 14\.\S+ has no cupy\.{name}$"):
        getattr(cupy, name)


def test_methods_and_attributes_that_cupy_lacks_are_missing(x):
    for name in ("mT", "__index__", "to_device", "ctypes"):
        assert hasattr(np.ndarray, name)
        with pytest.raises(AttributeError, match=f"has no attribute ndarray.{name}"):
            getattr(x, name)


def test_the_stand_in_adds_no_names_to_cupys():
    class Plain:
        __slots__ = ("_held",)
        _held: int
        __getattr__ = None

    copied = {"__slotnames__"}  # Python's own note on a class whose instances were copied or pickled
    assert {*vars(ndarray)} - {*vars(Plain), *vars(object)} - copied <= {*NAMES["methods"], *NAMES["attributes"]}
    assert {*SPECIAL, *OWN} <= {*NAMES["functions"], *NAMES["ufuncs"], *NAMES["values"]}


def test_what_cupy_has_and_the_stand_in_does_not_says_so():
    with pytest.raises(NotImplementedError, match=r"does not play cupy\.ElementwiseKernel"):
        cupy.ElementwiseKernel  # noqa: B018  (the look-up is what raises)
    assert not hasattr(cupy.zeros(1), "device")


@pytest.mark.parametrize(
    "call",
    [
        lambda x: cupy.exp(x, where=x > 1),
        lambda x: cupy.sum(x, where=x > 1),
        lambda x: cupy.sum(x, initial=0),
        lambda x: cupy.linalg.svd(x, hermitian=True),
        lambda x: cupy.argsort(x, stable=True),
        lambda x: x.argsort(kind="stable"),
        lambda x: x.astype("float32", casting="safe", device=None),
        lambda x: cupy.arange(3, like=x),
    ],
)
def test_a_keyword_that_cupy_lacks_is_refused(x, call):
    with pytest.raises(TypeError, match=r"unexpected keyword argument '\w+'; CuPy 13\.\S+ and 14\.\S+ takes \("):
        call(x)


# ---- NumPy stays out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [np.asarray, np.array, lambda x: np.array([x, x]), lambda x: np.ones(3) @ x])
def test_nothing_turns_into_a_numpy_array_unasked(x, convert):
    with pytest.raises(TypeError):
        convert(x)


def test_the_refusal_is_cupys():
    with pytest.raises(TypeError, match=r"^Implicit conversion to a NumPy array is not allowed"):
        np.asarray(cupy.zeros(3))


@pytest.mark.parametrize("other", [np.ones(3), np.array(1.0), [1.0, 2.0, 3.0], None, "1"])
@pytest.mark.parametrize(
    "call",
    [
        lambda x, other: x + other,
        lambda x, other: other - x,
        lambda x, other: x @ other,
        lambda x, other: x == other,
        lambda x, other: cupy.maximum(x, other),
        lambda x, other: cupy.exp(other),
        lambda x, other: cupy.sum(other),
        lambda x, other: cupy.where(x > 1, x, other),
        lambda x, other: cupy.concatenate([x, other]),
        lambda x, other: cupy.einsum("i,i", x, other),
        lambda x, other: x.__setitem__(0, other),
        lambda x, other: x.__iadd__(other),
        lambda x, other: cupy.add.at(x, 0, other),
    ],
)
def test_what_is_neither_an_array_of_its_own_nor_a_number_is_refused(x, call, other):
    with pytest.raises((TypeError, ValueError)):
        call(x, other)


def test_numbers_of_python_and_numpy_are_taken(x):
    for number in (2, 2.0, np.float64(2), np.int32(2), np.float32(2)):
        for y in (x * number, number * x, cupy.multiply(number, x)):
            assert type(y) is ndarray
            assert y.get().tolist() == [2.0, 4.0, 8.0]
    assert (cupy.ones(1, "float32") * 2.0).dtype == (2.0 * cupy.ones(1, "float32")).dtype == np.float32


def test_numpys_functions_come_back_as_cupys(x):
    for y in (np.exp(x), np.sum(x), np.float64(1) + x):
        assert type(y) is ndarray


def test_the_way_in_and_out_copies():
    host = np.zeros(2)
    device = cupy.asarray(host)
    out = device.get()
    host[0], out[1] = 1.0, 2.0
    assert cupy.asnumpy(device).tolist() == [0.0, 0.0]
    assert type(cupy.asnumpy(device)) is np.ndarray
    assert cupy.asarray(device) is device
    assert cupy.array(device) is not device


# ---- arrays all the way down -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        cupy.sum,
        lambda x: x.max(),
        lambda x: x[0],
        lambda x: x[cupy.asarray(1)],
        lambda x: cupy.argmin(x),
        lambda x: x @ x,
        lambda x: cupy.dot(x, x),
        lambda x: cupy.allclose(x, x),
        lambda x: cupy.linalg.norm(x),
        lambda x: cupy.einsum("i,i", x, x),
        lambda x: next(iter(x)),
        lambda x: -x[1],
    ],
)
def test_one_value_is_a_0_d_array(x, call):
    y = call(x)
    assert type(y) is ndarray
    assert y.shape == ()
    assert float(y) == y.item() == y.get()


def test_an_element_is_a_view(x):
    x[1][...] = 7.0
    assert x.get().tolist() == [1.0, 7.0, 4.0]
    assert x[1].base is not None
    assert x.base is None


def test_conversion_of_one_element(x):
    y = cupy.asarray([[3]])
    assert (int(y[0, 0]), float(y[0, 0]), bool(y), y.item(), y.tolist()) == (3, 3.0, True, 3, [[3]])
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)
    with pytest.raises(TypeError):
        range(y[0, 0])


# ---- indices ---------------------------------------------------------------------------------------------------------


def test_index_arrays_wrap_around_and_integers_raise(x):
    out_of_range = cupy.asarray([3, -4, 1])
    assert x[out_of_range].get().tolist() == [1.0, 4.0, 2.0]
    assert cupy.take(x, out_of_range).get().tolist() == x.take(out_of_range).get().tolist() == [1.0, 4.0, 2.0]
    assert cupy.take_along_axis(x, out_of_range, 0).get().tolist() == [1.0, 4.0, 2.0]
    with pytest.raises(IndexError):
        x[3]


def test_indices_wrap_along_their_own_axis():
    x = cupy.reshape(cupy.arange(24), (2, 3, 4))
    far = cupy.asarray([4, 5])
    assert x[..., far].get().tolist() == x[:, :, [0, 1]].get().tolist()
    assert x[None, far].get().tolist() == x[None, [0, 1]].get().tolist()
    assert x[0, ..., far].get().tolist() == x[0, ..., [0, 1]].get().tolist()
    assert x[x[..., 0] > 4, far[:1]].get().tolist() == x[x[..., 0] > 4, [0]].get().tolist()


def test_add_at_adds_up_and_takes_only_cupys_dtypes():
    for dtype in NAMES["ufunc.at"]["add"]:
        y = cupy.zeros(3, dtype)
        cupy.add.at(y, cupy.asarray([0, 2, 0]), cupy.asarray([1, 2, 3], dtype=dtype))
        cupyx.scatter_add(y, 1, 1)
        assert y.get().tolist() == [4, 1, 2]
    for dtype in ("int8", "bool", "int16"):
        with pytest.raises(TypeError, match=r"^cupy\.add\.at only supports"):
            cupy.add.at(cupy.zeros(3, dtype), 0, 1)
    with pytest.raises(NotImplementedError, match=r"multiply\.at"):
        cupy.multiply.at(cupy.zeros(3), 0, 1.0)


# ---- dtypes and linear algebra ---------------------------------------------------------------------------------------


def test_dtypes_follow_cupys_loops():
    assert cupy.floor(cupy.arange(3)).dtype == np.float64  # NumPy has a loop for integers
    assert special.erf(cupy.zeros(1, "float16")).dtype == np.float32
    assert special.erf(cupy.zeros(1, "float64")).item() == 0.0
    with pytest.raises(TypeError, match=r"^cupy\.remainder does not take complex128"):
        cupy.remainder(cupy.zeros(1, complex), 2)


@pytest.mark.parametrize("solve", [cupy.linalg.inv, cupy.linalg.cholesky, lambda a: cupy.linalg.solve(a, a)])
def test_a_matrix_that_cannot_be_solved_gives_nan_unless_told_to_raise(solve):
    bad = cupy.zeros((2, 2))
    assert np.isnan(solve(bad).get()).all()
    with pytest.raises(np.linalg.LinAlgError), cupyx.errstate(linalg="raise"):
        solve(bad)
    assert np.isnan(solve(bad).get()).all()


def test_solve_does_not_broadcast():
    a = cupy.asarray(np.eye(2)[None].repeat(3, 0))
    assert cupy.linalg.solve(a, cupy.ones((3, 2, 1))).shape == (3, 2, 1)
    assert cupy.linalg.solve(a[0], cupy.ones(2)).shape == (2,)
    for shape in ((2, 1), (3, 2), (1, 2, 1), (2,)):
        with pytest.raises(ValueError, match="a must have"):
            cupy.linalg.solve(a, cupy.ones(shape))


# ---- tinyreg -----------------------------------------------------------------------------------------------------------


def test_every_name_that_an_op_asks_of_its_library_is_cupys():
    """Also the names on paths that no test takes."""
    offered = {name.removeprefix("cupy.") for section in ("functions", "ufuncs", "values") for name in NAMES[section]}
    offered |= {f"{name}.at" for name in NAMES["ufunc.at"]} | {name.removeprefix("cupy.") for name in PREFIXES}
    offered |= set(vars(tinyreg.core.backend.get("standin")))  # what tinyreg supplies itself
    asked = {}
    for path in Path(inspect.getfile(tinyreg)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and re.fullmatch(r"xp(\.\w+)+", text := ast.unparse(node)):
                asked.setdefault(text.removeprefix("xp."), path.name)
    assert len(asked) > 50
    assert {name: where for name, where in asked.items() if name not in offered} == {}
