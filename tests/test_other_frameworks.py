"""Functions of other frameworks under our check: it passes right ones, and fails wrong ones that their own check passes."""

import numpy as np
import pytest

from tinyreg.testing import PROPERTIES, Case, check_gradients, run_property, strategies
from tinyreg.testing.mutation import check_mutants

POINT = [-3.0, -0.5, 0.25, 2.0]


def test_autograd_checks_the_first_argument_only():
    autograd = pytest.importorskip("autograd")
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    def made(vjp_of_w):
        @primitive
        def scaled(x, w):
            return x * w

        defvjp(scaled, lambda y, x, w: lambda g: g * w, lambda y, x, w: lambda g: vjp_of_w(g, x))

        def vjp(g, x, w):
            pull, _ = autograd.make_vjp(lambda both: scaled(*both))((x, w))
            return tuple(pull(g))

        return scaled, vjp

    x, w = np.array([1.5, -0.5]), np.array([0.5, 2.0])
    wrong, vjp = made(lambda g, x: g)
    check_grads(wrong, modes=["rev"])(x, w)  # raises where it finds an error
    report = check_gradients(wrong, x, w, vjp=vjp)
    assert not report
    assert "looks like: missing factor " in str(report)
    right, vjp = made(lambda g, x: g * x)
    report = check_gradients(right, x, w, vjp=vjp)
    assert report, str(report)


def test_jax_passes_an_error_of_one_in_a_hundred_thousand():
    jax = pytest.importorskip("jax", exc_type=ImportError)
    from jax.test_util import check_grads

    def made(factor):
        @jax.custom_vjp
        def f(x):
            return x * jax.nn.sigmoid(x)

        def forward(x):
            return f(x), x

        def backward(x, g):
            s = jax.nn.sigmoid(x)
            return (g * (s + x * s * (1 - s)) * factor,)

        f.defvjp(forward, backward)

        def vjp(g, x):
            return np.asarray(jax.vjp(f, x)[1](jax.numpy.asarray(g))[0])

        return f, (lambda x: np.asarray(f(x))), vjp

    with jax.enable_x64(True):
        f, on_arrays, vjp = made(1 + 1e-5)
        check_grads(f, (np.array(POINT),), order=1, modes=["rev"])
        assert "looks like: factor 1 + 1e-05" in str(check_gradients(on_arrays, POINT, vjp=vjp))
        _, on_arrays, vjp = made(1.0)
        report = check_gradients(on_arrays, POINT, vjp=vjp)
        assert report, str(report)


def test_pytorch_passes_gradients_that_are_clipped():
    torch = pytest.importorskip("torch", exc_type=ImportError)

    def made(clipped):
        class Cube(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x**3

            @staticmethod
            def backward(ctx, g):
                return (g.clamp(-1, 1) if clipped else g) * 3 * ctx.saved_tensors[0] ** 2

        def vjp(g, x):
            leaf = torch.tensor(x.copy(), requires_grad=True)
            return torch.autograd.grad(Cube.apply(leaf), leaf, torch.tensor(g.copy()))[0].numpy()

        return Cube, (lambda x: Cube.apply(torch.tensor(x.copy())).numpy()), vjp

    cube, f, vjp = made(clipped=True)
    assert torch.autograd.gradcheck(cube.apply, torch.tensor(POINT, dtype=torch.float64, requires_grad=True))
    assert "looks like: clip(g, -1, 1) for g" in str(check_gradients(f, POINT, vjp=vjp))
    cube, f, vjp = made(clipped=False)
    report = check_gradients(f, POINT, vjp=vjp)
    assert report, str(report)
    there_is_one = "`0` -> `-1`"
    a_tensor_for_an_array = (
        "`torch.autograd.grad(Cube.apply(leaf), leaf, torch.tensor(g.copy()))[0].numpy()` -> "
        "`torch.autograd.grad(Cube.apply(leaf), leaf, torch.tensor(g.copy()))[0]`"
    )
    equivalent = {there_is_one: "torch gives one gradient", a_tensor_for_an_array: "NumPy takes either"}
    drawn = strategies.elementwise()
    case = Case(f, drawn, lambda x: x**3, order=1, vjp=vjp, name="cube", equivalent=equivalent)
    for which in PROPERTIES.values():
        if which.applies(case):
            run_property(case, which)
    assert check_mutants(case).mutants > 20
