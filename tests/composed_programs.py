"""Small programs that notice a wrong engine, as engine_programs: several results, second order, checkpoints, fast forms."""

import numpy as np
import pytest
import reference_tape as reference
from engine_programs import PROGRAMS, leaf, op, program, same

import tinyreg as tr
from tinyreg.core.fused import FUSED

# ---- several results

__all__ = ["PROGRAMS"]  # these, and those of engine_programs


def rotation(xp, x):
    return xp.cos(x), xp.sin(x)


def cos_sin(x):
    """Both results, by an op that is made anew, so that no mutant leaves a plan with it."""
    return op(rotation, x=lambda g, y: g[1] * y[0] - g[0] * y[1])(x)


@program
def several_results():
    for a, b in ((2.0, 0.0), (0.0, 3.0), (2.0, 3.0)):
        x = leaf([0.5, 1.0])
        cosine, sine = cos_sin(x)
        y = a * cosine + b * sine if a and b else a * cosine if a else b * sine
        del cosine, sine
        y.backward(np.array([1.0, -1.0]))
        same(x.grad, np.array([1.0, -1.0]) * (b * np.cos(x.data) - a * np.sin(x.data)))


@program
def several_results_to_second_order():
    x = leaf(0.5)
    cosine, sine = cos_sin(x)
    (cosine + 2.0 * sine * sine).backward(create_graph=True)
    first, x.grad = x.grad, None
    same(first.detach(), -np.sin(0.5) + 2 * np.sin(1.0))
    first.backward()
    same(x.grad, -np.cos(0.5) + 4 * np.cos(1.0))


@program
def results_of_several_shapes():
    split = op(lambda xp, x: (x[:1], x[1:]), x=lambda g: tr.concat(*g))
    x = leaf([1.0, 2.0, 3.0])
    split(x)[1].backward(np.array([5.0, -7.0]))
    same(x.grad, [0.0, 5.0, -7.0])


# ---- second order


@program
def second_derivatives():
    powers = {
        "arguments": (lambda x: x * x * x, 12.0),
        "the result": (lambda x: tr.exp(tr.tanh(x)) / np.exp(np.tanh(2.0)), None),
        "operands": (lambda x: tr.einsum("i,i,i->", x.reshape((1,)), x.reshape((1,)), x.reshape((1,))), 12.0),
    }
    t = np.tanh(2.0)
    for f, expected in powers.values():
        x = leaf(2.0)
        f(x).backward(create_graph=True)
        first, x.grad = x.grad, None
        first.backward()
        same(x.grad, (1 - t * t) ** 2 - 2 * t * (1 - t * t) if expected is None else expected)


@program
def a_gradient_penalty():
    w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (w * x * x).sum().backward(create_graph=True)
    slope = x.grad
    w.zero_grad()
    (slope * slope).sum().backward()
    same(w.grad, 8 * w.data * x.data**2)


@program
def an_ordinary_gradient_is_not_on_the_tape():
    x = leaf(2.0)
    (x * x).backward()
    assert not x.grad.requires_grad


@program
def a_graph_beside_the_reference():
    a, b = np.array([[0.5, -1.0, 1.5], [2.0, 0.25, -0.75]]), np.array([[1.5], [-0.5]])
    v, u = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([1.0, -1.0, 2.0, 0.5, -0.5, 3.0, 0.25, -2.0])
    x, y = leaf(a), leaf(b)
    m = tr.tanh(x * y) / tr.exp(tr.tanh(y))
    p = m @ tr.permute_dims(x[np.array([1, 1])], axes=(1, 0))
    (p * m.sum(axis=1)).backward(v, create_graph=True)

    rx, ry = reference.leaf(a, slice(0, 6)), reference.leaf(b, slice(6, 8))
    rm = reference.divide(reference.tanh(reference.multiply(rx, ry)), reference.exp(reference.tanh(ry)))
    rp = reference.matmul(rm, reference.permute_dims(reference.getitem(rx, np.array([1, 1])), (1, 0)))
    pulled = reference.pulled(reference.multiply(rp, reference.total(rm, 1)), v)
    slopes, curvature = pulled.v, pulled.J
    np.testing.assert_allclose(x.grad.data.ravel(), slopes[:6], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(y.grad.data.ravel(), slopes[6:8], rtol=1e-10, atol=1e-12)
    along = (x.grad * u[:6].reshape(2, 3)).sum() + (y.grad * u[6:].reshape(2, 1)).sum()
    x.grad = y.grad = None
    along.backward()
    expected = curvature[:8, :8] @ u
    np.testing.assert_allclose(x.grad.data.ravel(), expected[:6], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(y.grad.data.ravel(), expected[6:], rtol=1e-10, atol=1e-12)


# ---- recording


@program
def recording_off_and_on_again():
    x = leaf(2.0)
    with tr.no_grad():
        assert not (x * x).requires_grad
        with tr.no_grad():
            pass
        assert not (x * x).requires_grad
    assert (x * x).requires_grad
    with pytest.raises(KeyError), tr.no_grad():
        raise KeyError
    assert (x * x).requires_grad
    assert not (x * x).detach().requires_grad
    (x * (x * x).detach()).backward()
    same(x.grad, 4.0)


# ---- checkpoints and fast forms


@program
def a_checkpoint_changes_nothing():
    w, x = leaf([2.0, 3.0]), leaf([1.0, -1.0])
    v = w * w

    def f(t):
        y = tr.tanh(t * v)
        return y, y, y * w

    a, b, c = tr.checkpoint(f)(x)
    assert [n for n in a._node.parents[0].parents if n is w._node]
    (a + 2.0 * b + 3.0 * c).backward(np.array([1.0, -2.0]))
    g, (vd, wd, xd) = np.array([1.0, -2.0]), (v.data, w.data, x.data)
    t = np.tanh(xd * vd)
    outer = g * (3 + 3 * wd) / np.cosh(xd * vd) ** 2
    same(x.grad, outer * vd)
    same(w.grad, outer * xd * 2 * wd + 3 * g * t)


@program
def a_checkpoint_to_second_order():
    w, x = leaf(3.0), leaf(2.0)
    tr.checkpoint(lambda t: w * t * t * t)(x).backward(create_graph=True)
    first, x.grad, w.grad = x.grad, None, None
    same(first.detach(), 36.0)
    first.backward()
    same(x.grad, 36.0)
    same(w.grad, 12.0)


@program
def a_checkpoint_keeps_to_itself():
    x = leaf(2.0)
    y = x * x
    z = tr.checkpoint(lambda t: t * y)(y)
    z.backward(retain_graph=True)
    same(x.grad, 32.0)
    z.backward()
    same(x.grad, 64.0)


@program
def a_checkpoint_draws_the_same_numbers():
    for nested in (False, True):
        rng, drawn = tr.Generator(0), []

        def f(t, rng=rng, drawn=drawn):
            drawn.append([rng.uniform(dtype="float64"), rng.uniform(dtype="float64")])
            return t * drawn[-1][0] + t * t * drawn[-1][1]

        x = leaf(2.0)
        y = tr.checkpoint(tr.checkpoint(f) if nested else f)(x)
        after = rng.state
        rng.uniform()
        moved = rng.state
        y.backward()
        assert after != moved == rng.state
        assert all(pair == drawn[0] for pair in drawn)
        same(x.grad, drawn[0][0] + 4 * drawn[0][1])


@program
def a_checkpoint_finds_its_buffers():
    count = tr.zeros((), dtype="float64")

    def f(t):
        count.assign(count + 1.0)
        return t * count

    x = leaf(1.0)
    y = tr.checkpoint(f)(x)
    count.assign(10.0)
    y.backward()
    same(x.grad, 1.0)
    same(count, 10.0)


def gate(ran):
    """x tanh(w), with a fast backward that is off by a factor of 7; `ran` is told of every run of the definition."""

    @tr.fused
    def gated(x, w):
        ran.append("definition")
        return x * tr.tanh(w)

    @gated.fast
    def _(xp, x, w):
        t = xp.tanh(w)
        return x * t, t

    @gated.backward
    def _(g, x, residuals):
        return 7.0 * g * residuals, 7.0 * g * x * (1 - residuals * residuals)

    del FUSED["gated"]
    return gated


@program
def a_fast_form():
    ran, x, w = [], leaf(2.0), leaf(0.5)
    gated, t = gate(ran), np.tanh(0.5)
    y = gated(x, w)
    same(y.detach(), 2 * t)
    y.backward()
    assert ran == []
    same(x.grad, 7 * t)
    same(w.grad, 14 * (1 - t * t))


@program
def a_fast_form_to_second_order():
    ran, x, w = [], leaf(2.0), leaf(0.5)
    gated, t = gate(ran), np.tanh(0.5)
    gated(x, w).backward(create_graph=True)
    assert ran == ["definition"]
    same(w.grad.detach(), 2 * (1 - t * t))
    first, x.grad, w.grad = w.grad, None, None
    first.backward()
    same(x.grad, 1 - t * t)
    same(w.grad, -4 * t * (1 - t * t))


@program
def a_fast_form_with_one_tensor_in_two_slots():
    x = leaf(0.5)
    gate([])(x, x).backward(create_graph=True)
    t = np.tanh(0.5)
    same(x.grad.detach(), t + 0.5 * (1 - t * t))
