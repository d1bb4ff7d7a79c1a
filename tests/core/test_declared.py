"""What is declared of an op, and what of it shows in results, on the tape and in errors."""

import collections
import inspect
import linecache
import traceback

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.fused import FUSED
from tinyreg.core.primitive import REGISTRY
from tinyreg.core.tape import explainer


@pytest.fixture(autouse=True)
def _ops_made_here_are_forgotten():
    before = dict(REGISTRY), dict(FUSED)
    yield
    for registry, ops in zip((REGISTRY, FUSED), before, strict=True):
        registry.clear()
        registry.update(ops)


def leaf(values, dtype="float64"):
    return tr.tensor(np.array(values, dtype=dtype), requires_grad=True)


def double(xp, x):
    """2 x."""
    return x * 2.0


def definition(x):
    """2 x."""
    return x * 2.0


@pytest.mark.parametrize(("make", "f"), [(tr.primitive, double), (tr.fused, definition)])
def test_an_op_is_documented_as_its_function_and_takes_what_is_declared_with_it(make, f):
    op = make(f, name="doubled")
    assert (op.__doc__, op.__module__, op.__name__) == ("2 x.", __name__, f.__name__)
    assert (op.name, repr(op)) == ("doubled", "<op doubled(x)>")
    other = op.named("twice")
    assert (repr(op), repr(other)) == ("<op doubled(x)>", "<op twice(x)>")


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, "added(a, b)"),
        ({"broadcasting": True}, "shapes that broadcast against each other"),
        ({"expects": "equal shapes"}, "equal shapes"),
        ({"expects": "equal shapes", "broadcasting": True}, "equal shapes"),
    ],
)
def test_what_an_op_expects_is_what_was_declared(declared, expected):
    @tr.primitive(nondifferentiable=True, **declared)
    def added(xp, a, b):
        return a + b

    with pytest.raises(ValueError, match="^added: got") as raised:
        added(tr.ones(2), tr.ones(3))
    assert str(raised.value).startswith(f"added: got a float32[2], b float32[3] on numpy; expected {expected}. ")


def test_each_of_six_arguments_has_a_gradient_of_its_own():
    @tr.primitive
    def weighted(xp, a, b, c, d, e, f):
        return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f

    for i, name in enumerate("abcdef", 1):
        weighted.vjp(name)(_times(i))
    for i in range(6):
        w = leaf(1.0)
        weighted(*(w if i == j else 1.0 for j in range(6))).backward()
        assert w.grad.item() == i + 1


def _times(factor):
    return lambda g: factor * g


@pytest.mark.parametrize("first", [0, 1, 2])
def test_each_operand_has_a_gradient_whichever_alone_wants_one(first):
    w, parts = leaf([1.0, 2.0]), [np.ones(2)] * 3
    y = tr.stack([*parts[:first], w, *parts[first + 1 :]])
    y.backward(np.arange(6.0).reshape(3, 2))
    assert w.grad.tolist() == [2.0 * first, 2.0 * first + 1]


def test_what_a_vjp_may_name_of_operands_and_of_the_result():
    @tr.primitive
    def product(xp, w, *xs):
        return w * xs[0] * xs[1]

    product.vjp("w")(lambda g, w, y: g * y / w)
    product.vjp("xs")(lambda g, w, xs, others, y, position: g * w * others[1 - position])
    w, a, b = leaf(2.0), leaf(3.0), leaf(5.0)
    product(w, a, b).backward()
    assert [t.grad.item() for t in (w, a, b)] == [15.0, 10.0, 6.0]
    with pytest.raises(TypeError, match="got the names position, expected g first"):
        product.vjp("w")(lambda g, xs, position: g)

    @tr.primitive
    def plain(xp, x, w):
        return x * w

    for name in ("others", "position", "wanted", "xp"):
        with pytest.raises(TypeError, match=f"plain.vjp.*: got the names {name}, expected g first"):
            plain.vjp("x")(eval(f"lambda g, {name}: g"))


def test_every_residual_must_be_exact():
    @tr.primitive(residuals=("mask", "halves"))
    def both(xp, x):
        return x, x > 0, x / 2

    with pytest.raises(TypeError, match=r"both: the residual halves is float64\[2\], expected booleans or integers"):
        both(leaf([1.0, 2.0]))


def test_an_argument_without_a_gradient_is_no_parent_and_may_change():
    condition, w = leaf([1.0, 0.0]), leaf([1.0, 2.0])
    y = tr.where(condition, w, 0.0)
    assert y._node.parents[0] is None
    condition.assign([0.0, 0.0])
    y.sum().backward()
    assert w.grad.tolist() == [1.0, 0.0]
    assert condition.grad is None


def test_an_error_of_an_op_leaves_numpys_settings_as_they_are():
    with np.errstate(all="raise"):
        with pytest.raises(FloatingPointError, match="overflow"):
            tr.exp(tr.tensor([1000.0]))
        assert np.geterr()["under"] == "raise"
        assert tr.exp(tr.tensor([-1000.0])).tolist() == [0.0]
        assert np.geterr()["under"] == "raise"


def test_several_results_may_come_in_a_named_tuple():
    """As NumPy's own functions of linear algebra return them."""
    Parts = collections.namedtuple("Parts", ("squares", "triples"))

    @tr.primitive
    def parts(xp, x):
        return Parts(x * x, 3.0 * x)

    parts.vjp("x")(lambda g, x: 2.0 * g[0] * x + 3.0 * g[1])
    x = leaf([1.0, 2.0])
    squares, triples = parts(x)
    assert (squares.tolist(), triples.tolist()) == ([1.0, 4.0], [3.0, 6.0])
    (squares + triples).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    squares, triples = parts(np.ones(2))
    assert (squares.tolist(), triples.tolist()) == ([1.0, 1.0], [3.0, 3.0])


def test_two_vjps_that_share_work_each_serve_their_arguments():
    @tr.primitive
    def sums(xp, a, b, c, d):
        return a + 2 * b + 3 * c + 4 * d

    sums.vjp("a", "b")(lambda g: (g, 2 * g))
    sums.vjp("c", "d")(lambda g: (3 * g, 4 * g))
    arguments = [leaf(float(i)) for i in range(4)]
    sums(*arguments).backward()
    assert [x.grad.item() for x in arguments] == [1.0, 2.0, 3.0, 4.0]


def test_operands_come_one_by_one_or_in_one_list_and_nothing_else():
    x = tr.ones(1)
    assert tr.concat([x, x]).shape == tr.concat((x, x)).shape == tr.concat(x, x).shape == (2,)
    with pytest.raises(TypeError, match=r"concat: argument xs: got \["):
        tr.concat([x, x], x)


def make_own():
    @tr.primitive(nondifferentiable=True)
    def own(xp, x: np.ndarray, weight: np.ndarray | None = None, *, by: float = 2.0):
        """by x, or by x weight."""
        return x * by if weight is None else x * by * weight

    return own


def test_a_signature_shows_names_and_defaults_and_settings_come_by_position_too():
    own = make_own()
    assert repr(own) == "<op own(x, weight=None, by=2.0)>"
    assert [p.kind for p in inspect.signature(own).parameters.values()] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 3
    assert own(tr.ones(1), None, 3.0).tolist() == own(tr.ones(1), by=3.0).tolist() == [3.0]
    assert own(tr.ones(1), 5.0).tolist() == [10.0]


def test_an_optional_array_has_its_own_default_where_a_setting_is_needed():
    @tr.primitive(nondifferentiable=True)
    def own(xp, x, weight=None, *, by=2.0, needed):
        return x * by * needed if weight is None else x * by * needed * weight

    assert own(tr.ones(1), needed=3.0).tolist() == [6.0]
    assert own(tr.ones(1), 5.0, needed=3.0).tolist() == [30.0]
    assert [p.kind for p in inspect.signature(own).parameters.values()][2:] == [inspect.Parameter.KEYWORD_ONLY] * 2
    with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments but 3"):
        own(tr.ones(1), 5.0, 2.0)


def test_a_method_is_documented_as_its_op():
    own = make_own()
    assert own.call.__doc__ == own.__doc__ == "by x, or by x weight."
    assert tr.Tensor.exp.__doc__ == tr.exp.__doc__


def test_a_call_that_does_not_fit_says_what_would():
    @tr.primitive(nondifferentiable=True)
    def along(xp, x, *, axis=None):
        return x

    for op, expected in (
        (make_own(), r"own\(x, weight=None, by=2.0\)"),
        (along, r"along\(x, axis=None\), where axis is PyTorch's dim"),
    ):
        with pytest.raises(
            TypeError, match=rf"^expected {expected}; {op.name}\(\) got an unexpected keyword argument 'other'"
        ):
            op(tr.ones(1), other=1)


def test_a_traceback_shows_the_source_of_the_call():
    @tr.primitive(nondifferentiable=True, name="public")
    def own(xp, x, *, by=2.0):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as raised:
        own(tr.ones(1))
    (frame,) = [f for f in traceback.extract_tb(raised.value.__traceback__) if f.filename == "<tinyreg call of public>"]
    assert frame.name == "public"
    source = "def call(x, by):\n    return _apply((x, ), {'by': by if _type(by) in _SIMPLE else _setting('by', by)})\n"
    assert "".join(linecache.getlines(frame.filename)) == source
    assert frame.line == source.splitlines()[1].strip()


def test_an_op_of_one_array_takes_no_list_of_it():
    with pytest.raises(TypeError, match=r"exp: argument x: got \["):
        tr.exp([tr.ones(1)])


class Scalar:
    """One number of a library that gives it a dtype, and no axes."""

    dtype = np.dtype("float32")

    def item(self):
        return 3.0


def test_one_number_of_another_library_is_a_setting():
    assert make_own()(tr.ones(1), by=Scalar()).tolist() == [3.0]


def test_a_vjp_is_of_arguments_that_there_are_and_names_what_there_is():
    own = make_own()
    with pytest.raises(TypeError, match=r"own.vjp\('z',\): got the names z, expected g first"):
        own.vjp("z")(lambda g: g)
    with pytest.raises(TypeError, match=r"own.vjp\('x',\): got the names wait, expected g first"):
        own.vjp("x")(lambda g, x, wait: g)


def test_an_error_of_a_vjp_leaves_numpys_settings_as_they_are():
    @tr.primitive
    def own(xp, x):
        return 2.0 * x

    @own.vjp("x")
    def _(g):
        raise ArithmeticError("in the VJP")

    with np.errstate(under="raise"):
        with pytest.raises(ArithmeticError, match="in the VJP"):
            own(leaf(1.0)).backward()
        assert np.geterr()["under"] == "raise"


def test_who_listens_is_told_of_the_parents_that_have_a_gradient_or_of_all_where_nothing_is_recorded():
    told = []
    condition, w = leaf([1.0, 0.0]), leaf([1.0, 2.0])
    with explainer(lambda *given: told.append(given)):
        y = tr.where(condition, w, 0.0)
        with tr.no_grad():
            tr.where(condition, w, 0.0)
    (name, entry, parents, arrays, result), (_, no_entry, nodes, _, _) = told
    assert (name, entry) == ("where", y._node)
    assert [*parents] == [None, w._node, None]
    assert [*arrays] == [condition.data, w.data, 0.0]
    assert result is y.data
    assert (no_entry, [*nodes]) == (None, [condition._node, w._node, None])
