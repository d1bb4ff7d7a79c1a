"""What an error of an op says: what was got, by the op's name, what was expected, and the complaint itself."""

import re

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


def raising(error, **declared):
    """An op that raises an error."""

    @tr.primitive(nondifferentiable=True, **declared)
    def own(xp, x, weight=None, *, by=1.0):
        raise error

    return own


def said(op, *args, kind=ValueError):
    with pytest.raises(kind) as raised:
        op(*args)
    assert type(raised.value) is kind
    return str(raised.value)


def test_arguments_that_were_not_given_are_not_listed():
    own = raising(ValueError("no"))
    assert said(own, tr.ones(2)) == "own: got x float32[2] on numpy; expected own(x, weight=None, by=1.0). no"
    assert said(own, tr.ones(2), 3.0).startswith("own: got x float32[2], weight 3.0 on numpy; expected own(")


def test_sixteen_operands_are_listed_and_of_more_the_first_sixteen_and_how_many_follow():
    for n, more in ((16, ""), (17, ", and 1 more"), (20, ", and 4 more")):
        text = said(tr.concat, [tr.ones((1, 2))] * (n - 1) + [tr.ones(3)])
        shown = ["xs float32[1, 2]"] * min(n - 1, 16) + ["xs float32[3]"] * (n == 16)
        assert text.startswith(f"concat: got {', '.join(shown)}{more} on numpy; expected ")


@pytest.mark.parametrize("by", ["own", "public"])
def test_a_complaint_of_the_op_by_either_of_its_names_is_told_once(by):
    text = said(raising(ValueError(f"{by}: got by=3, expected 1"), name="public"), tr.ones(2))
    assert text == "public: got x float32[2] on numpy, by=3, expected 1"


@pytest.mark.parametrize("complaint", ["helper: got by=3, expected 1", "own", "public", "own: by=3"])
def test_any_other_complaint_stands_behind_what_is_expected(complaint):
    text = said(raising(ValueError(complaint), name="public"), tr.ones(2))
    assert text == f"public: got x float32[2] on numpy; expected public(x, weight=None, by=1.0). {complaint}"


def test_what_an_op_expects_is_said_in_its_own_words():
    text = said(raising(ValueError("no"), expects="something else"), tr.ones(2))
    assert text == "own: got x float32[2] on numpy; expected something else. no"


@pytest.mark.parametrize("kind", [MemoryError, FloatingPointError])
def test_where_the_call_is_right_nothing_else_is_expected(kind):
    assert said(raising(kind("too much")), tr.ones(2), kind=kind) == "own: got x float32[2] on numpy. too much"


class OddError(Exception):
    """Of no kind that an op raises."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TypeError, TypeError),
        (IndexError, IndexError),
        (NotImplementedError, NotImplementedError),
        (OverflowError, OverflowError),
        (np.linalg.LinAlgError, ValueError),
        (KeyError, RuntimeError),
        (OddError, RuntimeError),
    ],
)
def test_an_error_is_of_the_kind_that_it_was(error, kind):
    assert said(raising(error("no")), tr.ones(2), kind=kind).startswith("own: got x float32[2] on numpy; expected own(")


def test_an_unknown_name_in_a_vjp_is_told_with_all_that_it_may_name():
    own = raising(ValueError)
    names = "by, weight, weight_like, x, x_like, y"
    text = re.escape(f"own.vjp('x',): got the names b, expected g first and then any of {names}; a VJP names what the tape")
    with pytest.raises(TypeError, match=f"^{text}"):
        own.vjp("x")(lambda g, b: g)


def test_a_backward_of_what_was_not_computed_says_of_what():
    with pytest.raises(RuntimeError, match=r"^backward: float32\[2\] was not computed from a tensor that requires a grad"):
        tr.ones(2).backward()


def test_the_warning_of_a_number_cut_off_says_of_what():
    with pytest.warns(UserWarning, match=r"^float\(\) of float32\[1\] that requires a gradient gives a number"):
        float(tr.ones(1, requires_grad=True))


def test_an_array_of_another_dtype_is_told_by_dtype_and_shape():
    with pytest.raises(TypeError, match=r"^multiply: argument x2: got complex64\[\] of dtype complex64, expected booleans"):
        tr.ones(2) * np.complex64(1j)
