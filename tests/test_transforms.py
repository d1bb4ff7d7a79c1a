"""grad, vjp, jvp, hvp, jacobian, hessian: values, nesting, and what they leave behind."""

import weakref

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import structure


def cube(x):
    return (x * x * x).sum()


def array(*values):
    return np.array(values, dtype=np.float64)


def test_grad_of_one_and_of_several_arguments():
    f = lambda a, b: a * a * b
    assert tr.grad(f)(3.0, 2.0).item() == 12.0
    assert tr.grad(f, 1)(3.0, 2.0).item() == 9.0
    assert [g.item() for g in tr.grad(f, (0, 1))(3.0, 2.0)] == [12.0, 9.0]
    assert tr.grad(f, -1)(3.0, 2.0).item() == 9.0
    value, gradient = tr.value_and_grad(f)(3.0, 2.0)
    assert (value.item(), gradient.item(), value.requires_grad) == (18.0, 12.0, False)


def test_grad_writes_to_no_leaf():
    x, w = tr.tensor(array(1, 2), requires_grad=True), tr.tensor(array(3, 4), requires_grad=True)
    tr.grad(lambda t: (t * w).sum())(x)
    assert x.grad is None
    assert w.grad is None


def test_a_result_that_does_not_depend_on_the_argument():
    assert tr.grad(lambda x: tr.tensor(3.0))(2.0).item() == 0.0
    assert tr.grad(lambda a, b: b * b, (0, 1))(tr.ones(()), 3.0)[0].item() == 0.0
    assert tr.jvp(lambda x: tr.tensor(3.0), 2.0, 1.0)[1].item() == 0.0


def test_nesting():
    power = lambda x: x**5
    for order, expected in enumerate([80.0, 160.0, 240.0, 240.0, 120.0]):
        f = power
        for _ in range(order + 1):
            f = tr.grad(f)
        assert f(2.0).item() == expected


def test_an_inner_derivative_is_not_confused_with_an_outer_one():
    assert tr.grad(lambda y: tr.grad(lambda x: x * y)(3.0))(2.0).item() == 1.0
    assert tr.grad(lambda x: x * tr.grad(lambda y: x * y)(2.0))(5.0).item() == 10.0
    assert tr.grad(lambda x: x * tr.grad(lambda y: x + y)(1.0))(1.0).item() == 1.0


def test_forward_over_reverse_and_reverse_over_forward():
    assert tr.grad(lambda a: tr.jvp(lambda x: x**3, a, 1.0)[1])(2.0).item() == 12.0
    assert tr.jvp(tr.grad(lambda x: x**3), 2.0, 1.0)[1].item() == 12.0
    assert tr.jvp(lambda a: tr.jvp(lambda x: x**3, a, 1.0)[1], 2.0, 1.0)[1].item() == 12.0


def test_what_is_closed_over_can_be_differentiated_too():
    w = tr.tensor(array(1, 2), requires_grad=True)
    slope = tr.grad(lambda x: (x * x * w).sum())(array(3, 4))
    (slope * slope).sum().backward()
    np.testing.assert_array_equal(w.grad.data, 8 * array(9, 16) * array(1, 2))
    with tr.no_grad():
        assert not tr.grad(lambda x: (x * w).sum())(array(3, 4)).requires_grad


def test_results_that_rest_on_nothing_else_are_off_the_tape():
    assert not tr.grad(cube)(array(1, 2)).requires_grad
    assert not tr.jvp(cube, array(1, 2), array(1, 0))[1].requires_grad
    assert not tr.hvp(cube, array(1, 2), array(1, 0)).requires_grad
    assert not tr.hessian(cube)(array(1, 2)).requires_grad


def test_vjp_can_be_pulled_again():
    y, pull = tr.vjp(lambda a, b: a * b, array(1, 2), array(3, 4))
    np.testing.assert_array_equal(y.data, [3, 8])
    for g in (array(1, 0), array(-2, 5)):
        a, b = pull(g)
        np.testing.assert_array_equal(a.data, g * array(3, 4))
        np.testing.assert_array_equal(b.data, g * array(1, 2))


def test_jvp_and_hvp_against_whole_matrices():
    f = lambda x: tr.sin(x) * x.sum()
    x, v = array(0.5, -1.0, 2.0), array(1.0, 2.0, -1.0)
    np.testing.assert_allclose(tr.jvp(f, x, v)[1].data, tr.jacobian(f)(x).data @ v, rtol=1e-13)
    g = lambda x: (tr.sin(x) * x.sum()).sum()
    np.testing.assert_allclose(tr.hvp(g, x, v).data, tr.hessian(g)(x).data @ v, rtol=1e-13)
    pair = tr.hvp(lambda a, b: (a * a * b).sum(), (x, v), (v, x))
    np.testing.assert_allclose(pair[0].data, 2 * v * v + 2 * x * x, rtol=1e-13)


def test_shapes_of_jacobian_and_hessian():
    f = lambda a, b: a @ b
    a, b = np.ones((2, 3)), np.ones((3, 4))
    assert tr.jacobian(f)(a, b).shape == (2, 4, 2, 3)
    assert [j.shape for j in tr.jacobian(f, (0, 1))(a, b)] == [(2, 4, 2, 3), (2, 4, 3, 4)]
    scalar = lambda a, b: (a @ b).sum()
    blocks = tr.hessian(scalar, (0, 1))(a, b)
    assert [[block.shape for block in row] for row in blocks] == [
        [(2, 3, 2, 3), (2, 3, 3, 4)],
        [(3, 4, 2, 3), (3, 4, 3, 4)],
    ]
    nothing = tr.jacobian(lambda x: x[:0])(a)
    assert isinstance(nothing, tr.Tensor)
    assert nothing.shape == (0, 3, 2, 3)


def test_what_the_transforms_refuse():
    with pytest.raises(TypeError, match=r"grad: argument 0 is int64\[\], expected floats.*Write 3.0 for 3"):
        tr.grad(cube)(3)
    with pytest.raises(ValueError, match=r"grad: the function returned float64\[2\], expected a scalar; use tr.jacobian"):
        tr.grad(lambda x: x)(array(1, 2))
    with pytest.raises(
        TypeError, match="grad: the function returned 3.0, expected a Tensor; compute it from the arguments"
    ):
        tr.grad(lambda x: 3.0)(1.0)
    for argnums, given, position in [(1, (1.0,), 1), (0, (), 0), ((0, 5), (1.0, 1.0), 5)]:
        with pytest.raises(ValueError, match=f"got {len(given)} arguments, expected one at position {position}; argnums"):
            tr.grad(lambda *args: args[0], argnums)(*given)
    with pytest.raises(ValueError, match="jvp: got 2 primals and 1 tangents"):
        tr.jvp(lambda a, b: a * b, (1.0, 2.0), (1.0,))
    with pytest.raises(ValueError, match=r"vjp: got the incoming gradient of shape \[2\], expected \[\]"):
        tr.vjp(cube, array(1, 2))[1](array(1, 2))
    for transform in (tr.jvp, tr.hvp):
        with pytest.raises(ValueError, match=rf"{transform.__name__}: got a tangent of shape \[\], expected \[2\]"):
            transform(cube, array(1, 2), 1.0)


@pytest.mark.parametrize("argnums", [[0, 1], (0, 1), [-2, -1], (np.int64(0), 1)])
def test_several_arguments_in_a_list_or_a_tuple(argnums):
    f = lambda a, b: a * a * b
    assert [t.item() for t in tr.grad(f, argnums)(2.0, 3.0)] == [12.0, 4.0]
    assert [t.item() for t in tr.jacobian(f, argnums)(2.0, 3.0)] == [12.0, 4.0]
    assert [[t.item() for t in row] for row in tr.hessian(f, argnums)(2.0, 3.0)] == [[6.0, 4.0], [4.0, 0.0]]


@pytest.mark.parametrize("transform", [tr.grad, tr.value_and_grad, tr.jacobian, tr.hessian])
def test_arguments_that_cannot_be_chosen(transform):
    for argnums, error, text in [
        ((0, 0), ValueError, "expected at least one argument, and each once"),
        ((0, -2), ValueError, "expected at least one argument, and each once"),
        ((), ValueError, "expected at least one argument"),
        (-3, ValueError, "got 2 arguments, expected one at position -3"),
        ("x", TypeError, "got argnums='x', expected an integer"),
        (0.5, TypeError, "got argnums=0.5, expected an integer"),
    ]:
        with pytest.raises(error, match=text):
            transform(lambda a, b: a * b, argnums)(1.0, 2.0)


@pytest.mark.parametrize("name", ["grad", "value_and_grad", "jacobian", "hessian", "vjp", "jvp", "hvp"])
def test_what_is_no_function_is_refused_with_a_remedy(name):
    given = {"vjp": (1.0,), "jvp": (1.0, 1.0), "hvp": (1.0, 1.0)}.get(name, ())
    with pytest.raises(
        TypeError, match=r"(grad|jacobian|vjp|jvp): got float.*\[\], expected a function; a tensor has y.back"
    ):
        getattr(tr, name)(tr.tensor(2.0), *given)


def test_a_result_that_is_no_float_has_no_derivative():
    count = lambda x: (x > 0.0).sum()
    for call in (
        lambda: tr.grad(count)(1.0),
        lambda: tr.jacobian(lambda x: x > 0.0)(1.0),
        lambda: tr.vjp(lambda x: x.astype("int64"), 1.0),
        lambda: tr.jvp(count, 1.0, 1.0),
    ):
        with pytest.raises(TypeError, match=r"the function returned (int64|bool)\[\], expected floats"):
            call()
    assert tr.grad(lambda x: tr.tensor(1.0))(2.0).item() == 0.0  # a constant has one, which is zero


def test_hvp_wants_a_tangent_for_each_primal():
    with pytest.raises(ValueError, match="hvp: got 1 primals and 2 tangents"):
        tr.hvp(cube, 1.0, (1.0, 2.0))


TRANSFORMS = [tr.grad, tr.value_and_grad, tr.jacobian, tr.hessian]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_transformed_function_has_a_name_and_takes_keywords(transform):
    assert {transform(cube, argnums).__name__ for argnums in (0, (0,))} == {f"{transform.__name__}(cube)"}
    f = lambda x, *, power=1: x**power
    for argnums in (-1, (0,)):
        results = {str(transform(f, argnums)(2.0, **settings)) for settings in ({"power": 3}, {"power": 2}, {})}
        assert len(results) == 3


@pytest.mark.parametrize("transform", [*TRANSFORMS, tr.vjp, tr.jvp, tr.hvp])
def test_an_error_on_the_way_leaves_recording_as_it_was(transform):
    """Also while the error is held, with all that its frames hold."""

    @tr.primitive(name="broken")
    def broken(xp, x):
        return x + 0

    @broken.vjp("x")
    def _(g):
        raise ArithmeticError("back")

    def fails(x):
        raise ArithmeticError("there")

    w = tr.tensor(2.0, requires_grad=True)
    calls = {
        tr.vjp: lambda f: tr.vjp(f, 1.0)[1](1.0),
        tr.jvp: lambda f: tr.jvp(f, 1.0, 1.0),
        tr.hvp: lambda f: tr.hvp(f, 1.0, 1.0),
    }
    call = calls.get(transform, lambda f: transform(f)(1.0))
    for f in (fails, broken):
        with tr.no_grad():
            with pytest.raises(ArithmeticError) as held:
                call(f)
            assert not (w * w).requires_grad
        del held


def test_jvp_and_hvp_of_several_arguments_in_a_list_or_a_tuple():
    f = lambda a, b: a * a * b
    for kind in (list, tuple):
        assert tr.jvp(f, kind((2.0, 3.0)), kind((1.0, 10.0)))[1].item() == 12.0 + 40.0
        assert [h.item() for h in tr.hvp(f, kind((2.0, 3.0)), kind((1.0, 10.0)))] == [6.0 + 40.0, 4.0]
    with tr.no_grad():
        assert tr.jvp(f, (2.0, 3.0), (1.0, 10.0))[1].item() == 52.0


def test_tangents_and_incoming_gradients_take_the_dtype_of_what_they_are_for():
    seen = []

    @tr.primitive(name="looking")
    def looking(xp, x):
        return x + 0

    @looking.vjp("x")
    def _(g):
        seen.append(str(g.dtype))
        return g

    x = tr.tensor([1.0, 2.0])
    for tangent in (array(1, 0), tr.tensor(array(1, 0)), tr.tensor([1, 0])):
        assert tr.jvp(looking, x, tangent)[1].dtype == "float32"
        assert tr.hvp(lambda x: cube(looking(x)), x, tangent).dtype == "float32"
        assert tr.vjp(looking, x)[1](tangent)[0].dtype == "float32"
    assert set(seen) == {"float32"}


def test_a_product_can_be_differentiated_in_its_tangents_and_in_what_is_closed_over():
    w, v = tr.tensor(3.0, requires_grad=True), tr.tensor(1.0, requires_grad=True)
    tr.jvp(lambda a, b: a * b * b, (2.0, 5.0), (1.0, v))[1].backward()
    assert v.grad.item() == 20.0
    product = tr.jvp(lambda x: x + w, 2.0, 4.0)[1]
    assert isinstance(product, tr.Tensor)
    assert product.item() == 4.0
    tr.jvp(lambda x: x * w, 2.0, 4.0)[1].backward()
    assert w.grad.item() == 4.0


def test_values_rest_on_what_is_closed_over_and_on_what_is_born_inside():
    w, born = tr.tensor(3.0, requires_grad=True), []

    def f(x):
        born.append(tr.tensor(2.0, requires_grad=True))
        return x * born[-1] * born[-1]

    tr.grad(f)(3.0).backward()
    assert born[0].grad.item() == 4.0
    tr.value_and_grad(lambda x: x * w)(2.0)[0].backward()
    assert w.grad.item() == 2.0
    assert tr.value_and_grad(lambda x: w)(2.0)[0].requires_grad


def test_what_is_closed_over_may_come_from_a_tape_that_was_freed():
    w = tr.tensor(3.0, requires_grad=True)
    y = w * w
    y.backward()
    assert tr.grad(lambda x: x * y)(2.0).item() == 9.0
    assert tr.jvp(lambda x: x * y, 2.0, 1.0)[1].item() == 9.0


def test_grad_frees_what_was_saved_as_it_goes_back():
    seen = []

    @tr.primitive(name="first")
    def first(xp, x):
        return x + 0

    @first.vjp("x")
    def _(g):
        seen.append(saved[0]())
        return g

    saved = []

    def f(x):
        later = tr.exp(first(x))
        saved.append(weakref.ref(later.data))
        return (later * later).sum()

    tr.grad(f)(array(1, 2))
    assert seen == [None]


# ---- arguments that hold several tensors

TREE = {"w": np.array([1.0, 2.0]), "inner": [np.array([[0.5]]), (np.array(3.0),)]}


def of_tree(tree):
    """A scalar of all of a tree like TREE."""
    a, (b,) = tree["inner"]
    return (tree["w"] * tree["w"]).sum() * b + (a * b).sum() * tree["w"].sum()


def flattened(tree):
    w, a, b = structure.leaves(tree)
    return np.concatenate([np.ravel(np.asarray(each)) for each in (w, a, b)])


def of_flat(x):
    return of_tree({"w": x[:2], "inner": [tr.reshape(x[2:3], (1, 1)), (x[3],)]})


def test_a_derivative_has_the_form_of_its_argument():
    tree = structure.mapped(tr.tensor, TREE)
    x = tr.tensor(flattened(TREE))
    slope = tr.grad(of_tree)(tree)
    assert list(slope) == ["w", "inner"]
    assert isinstance(slope["inner"][1], tuple)
    np.testing.assert_allclose(flattened(slope), tr.grad(of_flat)(x).numpy())
    np.testing.assert_allclose(flattened(tr.vjp(of_tree, tree)[1](2.0)[0]), 2 * tr.grad(of_flat)(x).numpy())
    assert tr.jacobian(of_tree)(tree)["w"].shape == (2,)
    rows = structure.leaves(tr.hessian(of_tree)(tree))
    assert sorted(np.ravel(np.concatenate([r.numpy().ravel() for r in rows]))) == sorted(
        tr.hessian(of_flat)(x).numpy().ravel()
    )


def test_tangents_have_the_form_of_the_argument_whatever_the_order_of_their_names():
    tree = structure.mapped(tr.tensor, TREE)
    v = structure.mapped(lambda x: tr.tensor(np.cos(x)), TREE)
    x, flat = tr.tensor(flattened(TREE)), tr.tensor(flattened(v))
    turned = dict(reversed(v.items()))
    np.testing.assert_allclose(tr.jvp(of_tree, tree, turned)[1].item(), tr.jvp(of_flat, x, flat)[1].item())
    np.testing.assert_allclose(flattened(tr.hvp(of_tree, tree, turned)), tr.hvp(of_flat, x, flat).numpy())


@pytest.mark.parametrize("transform", [tr.jvp, tr.hvp])
@pytest.mark.parametrize(
    ("tangents", "message"),
    [
        ({"w": [1.0, 0.0]}, "expected the form of"),
        ({"w": [1.0, 0.0], "other": 1.0}, r"got tangents for \['w', 'other'\], expected them for \['w', 'b'\]"),
        (3.0, "expected the form of"),
        ({"w": [1.0], "b": 1.0}, r"a tangent of shape \[1\], expected \[2\]"),
    ],
)
def test_tangents_that_do_not_fit_a_dict_are_told(transform, tangents, message):
    with pytest.raises(ValueError, match=message):
        transform(lambda p: (p["w"] * p["b"]).sum(), {"w": tr.tensor([1.0, 2.0]), "b": tr.tensor(3.0)}, tangents)


def test_a_list_of_numbers_is_an_array_and_a_dict_of_integers_is_refused():
    assert tr.grad(lambda x: (x * x).sum())([1.0, 2.0]).tolist() == [2.0, 4.0]
    with pytest.raises(TypeError, match="argument 0 is int64.*expected floats"):
        tr.grad(lambda p: p["w"])({"w": tr.tensor(1)})
