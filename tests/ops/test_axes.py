"""An axis that is not there is refused: by every op and activation that takes one, whatever else it takes."""

import inspect

import numpy as np
import pytest

import tinyreg as tr

OTHERS = {  # what an op takes besides one array and an axis
    "roll": {"shift": 1},
    "split": {"sections": 1},
    "take": {"indices": tr.tensor([0])},
    "take_along_axis": {"indices": tr.tensor(np.zeros((2, 3), "int64"))},
    "topk": {"k": 1},
}


def _taking(*names):
    found = {}
    for name in (*tr.ops.__all__, *tr.activations.__all__):
        parameters = inspect.signature(getattr(tr, name)).parameters
        found |= {(name, p): getattr(tr, name) for p in names if p in parameters}
    return found


TAKING = _taking("axis", "axes")
SEVERAL = {key: op for key, op in TAKING.items() if "tuple" in str(inspect.signature(op).parameters[key[1]].annotation)}
SEVERAL |= {key: op for key, op in TAKING.items() if str(inspect.signature(op).parameters[key[1]].annotation) == "Axis"}
SEVERAL |= {key: op for key, op in TAKING.items() if key[1] == "axes"}
NEW = {"expand_dims", "stack"}  # their axes are those of the result, which has one more


def _call(op, name, parameter, x, axis):
    operands = [x, x] if name in ("stack", "concat") else [x]
    others = OTHERS.get(name, {})
    arrays = [v for k, v in others.items() if k == "indices"]
    settings = {k: v for k, v in others.items() if k != "indices"}
    return op(*operands, *arrays, **settings, **{parameter: axis})


def test_ops_of_every_room_are_tried():
    assert {"sum", "cumulative_sum", "sort", "concat", "flip", "permute_dims", "softmax"} <= {name for name, _ in TAKING}
    assert {"sum", "flip", "permute_dims"} <= {name for name, _ in SEVERAL}


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("axis", [3, -4, 100])
@pytest.mark.parametrize(("name", "parameter"), TAKING)
def test_an_axis_out_of_range_is_refused(name, parameter, axis, grad):
    x = tr.tensor(np.ones((2, 3)), requires_grad=grad)
    given = (axis, 0) if parameter == "axes" else axis
    with pytest.raises((ValueError, IndexError), match=name):
        _call(TAKING[name, parameter], name, parameter, x, given)


@pytest.mark.parametrize(("name", "parameter"), [key for key in TAKING if key[0] not in NEW])
def test_an_axis_just_out_of_range_is_refused(name, parameter):
    for axis in (2, -3):
        with pytest.raises((ValueError, IndexError), match=name):
            _call(TAKING[name, parameter], name, parameter, tr.ones((2, 3)), (axis, 0) if parameter == "axes" else axis)


@pytest.mark.parametrize(("name", "parameter"), [key for key in TAKING if key[0] not in {*NEW, "take_along_axis"}])
def test_an_array_without_axes_has_none_to_give(name, parameter):
    for axis in (0, -1):
        with pytest.raises((ValueError, IndexError, TypeError), match=name):
            _call(TAKING[name, parameter], name, parameter, tr.tensor(1.0), (axis,) if parameter == "axes" else axis)


@pytest.mark.parametrize(("name", "parameter"), [key for key in SEVERAL if key[0] != "roll"])  # which rolls twice
def test_an_axis_that_stands_twice_is_refused(name, parameter):
    for axes in ((0, 0), (0, -2), (-1, 1)):
        if name == "expand_dims":
            axes = tuple(a if a >= 0 else a - 2 for a in axes) if axes != (-1, 1) else (-1, 3)
        with pytest.raises((ValueError, IndexError), match=name):
            SEVERAL[name, parameter](tr.ones((2, 3)), **{parameter: axes})


@pytest.mark.parametrize("axis", [1.0, "0", True, tr.tensor([0, 1])])
@pytest.mark.parametrize(("name", "parameter"), [key for key in TAKING if key[1] == "axis" and key[0] != "stack"])
def test_an_axis_that_is_no_integer_is_a_type_error(name, parameter, axis):
    with pytest.raises(TypeError):
        _call(TAKING[name, parameter], name, parameter, tr.ones((2, 3)), axis)


@pytest.mark.parametrize(("name", "parameter"), [key for key in TAKING if key[1] == "axis"])
def test_an_integer_of_numpy_is_an_axis(name, parameter):
    x = tr.ones((1, 3) if name == "squeeze" else (2, 3))
    one, other = (_call(TAKING[name, parameter], name, parameter, x, kind(0)) for kind in (int, np.int64))
    for a, b in zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]:
        np.testing.assert_array_equal(a.numpy(), b.numpy())
