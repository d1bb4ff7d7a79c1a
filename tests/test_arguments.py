"""What every public function accepts as a number or an axis, and the errors for anything else."""

import math

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import arguments
from tinyreg.random import as_generator, default_generator

ONES = [1, np.int64(1), np.uint8(1), np.array(1), tr.tensor(1)]


@pytest.mark.parametrize("value", ONES)
def test_an_integer_of_any_kind_is_pythons(value):
    found = arguments.integer("f", "n", value)
    assert found == 1
    assert type(found) is int


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float16(0.5), np.array(0.5), tr.tensor(0.5)])
def test_a_number_of_any_kind_is_pythons(value):
    found = arguments.number("f", "p", value)
    assert found == 0.5
    assert type(found) is float


@pytest.mark.parametrize("value", ONES)
def test_a_number_that_is_an_integer_stays_one(value):
    assert type(arguments.number("f", "p", value)) is int


@pytest.mark.parametrize("value", [True, np.True_, 1.0, np.float64(1), "1", None, [1], np.array([1])])
def test_what_is_no_integer_is_named(value):
    with pytest.raises(TypeError, match=r"^f: got n=.*, expected an integer of at least 0$"):
        arguments.integer("f", "n", value, least=0)


@pytest.mark.parametrize("value", [True, False, np.True_, np.array(False)])
def test_true_and_false_are_pythons(value):
    assert arguments.flag("f", "on", value) is bool(value)


@pytest.mark.parametrize("value", ["no", 1, 0.0, None, [], np.array([True])])
def test_what_is_neither_true_nor_false_is_named(value):
    with pytest.raises(TypeError, match=r"^f: got on=.*, expected True or False$"):
        arguments.flag("f", "on", value)


@pytest.mark.parametrize(
    "value", [True, np.True_, "0.5", None, [0.5], 1j, np.array([0.5]), tr.ones((), requires_grad=True)]
)
def test_what_is_no_number_is_named(value):
    with pytest.raises(TypeError, match=r"^f: got p=.*, expected a number from 0 to 1$"):
        arguments.number("f", "p", value, least=0, most=1)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, np.float32("nan")])
def test_a_number_out_of_bounds_is_named(value):
    with pytest.raises(ValueError, match=r"^f: got p=.*, expected a number from 0 to 1$"):
        arguments.number("f", "p", value, least=0, most=1)


def test_an_integer_below_the_least_is_named():
    with pytest.raises(ValueError, match="^f: got n=0, expected a number of samples$"):
        arguments.integer("f", "n", 0, least=1, expected="a number of samples")


@pytest.mark.parametrize(("value", "found"), [(0, 0), (-1, 1), (-2, 0), (np.int64(-1), 1)])
def test_an_axis_is_counted_from_the_front(value, found):
    assert arguments.axis("f", value, 2) == found


@pytest.mark.parametrize("value", [2, -3, 5])
def test_an_axis_that_is_not_there_does_not_wrap_around(value):
    with pytest.raises(ValueError, match=f"^f: got axis={value} for an array of 2 axes, expected an axis from -2 to 1$"):
        arguments.axis("f", value, 2)


def test_axes_keep_their_order():
    assert arguments.axes("f", (-1, 0), 3) == (2, 0)
    assert arguments.axes("f", [1], 3) == (1,)
    assert arguments.axes("f", None, 3) == (0, 1, 2)
    assert arguments.axes("f", -1, 3) == (2,)


@pytest.mark.parametrize("values", [(0, 0), (1, -1)])
def test_an_axis_that_stands_twice_is_an_error(values):
    with pytest.raises(ValueError, match="^f: got axes=.* for an array of 2 axes, expected each axis once$"):
        arguments.axes("f", values, 2, name="axes")


def test_a_0d_array_has_no_axis():
    with pytest.raises(ValueError, match="expected no axis, since a 0-d array has none"):
        arguments.axis("f", 0, 0)


def test_an_rng_is_a_generator_a_seed_or_the_default_one():
    own = tr.Generator(3)
    assert as_generator(own) is own
    assert as_generator(None) is default_generator
    for seed in (0, 42, np.int64(42)):
        assert as_generator(seed).state == tr.Generator(int(seed)).state


@pytest.mark.parametrize("rng", [np.random.default_rng(0), "0", 0.0, True])
def test_an_rng_of_another_kind_is_named(rng):
    with pytest.raises(
        TypeError, match=r"^Dropout: got rng=.*, expected a tr\.Generator, an integer seed of at least 0, or"
    ):
        as_generator(rng, "Dropout")
