"""What random programs are made of beside tinyreg: ops that use every form of declaration, and checks. In no registry."""

import threading

import numpy as np
import pytest
import standin

import tinyreg as tr
from tinyreg.core.fused import FUSED
from tinyreg.core.primitive import REGISTRY
from tinyreg.core.tape import observed
from tinyreg.switches import Switch

standin.install()

STEEPEST = 1e3  # of a derivative, before a factor bounds it
SLACK = {"float64": 1e-9, "float32": STEEPEST * 2**-23 * 8}  # an error of the last bit, steepened; and several of them


strength = Switch("strength of the tests", 1.0, replayed=True)
"""What a function may depend on, and a checkpoint of it has to find again."""


@tr.primitive
def cos_sin(xp, x):
    return xp.cos(x), xp.sin(x), x > 0


@cos_sin.vjp("x")
def _(g, x):
    assert g[2] is None
    assert g[0].dtype == g[1].dtype == x.dtype
    return g[1] * tr.cos(x) - g[0] * tr.sin(x)


@tr.primitive
def summed(xp, x):
    return xp.sum(x)


@summed.vjp("x")
def _(g, x_like):
    assert x_like == (x_like.shape, x_like.dtype, len(x_like.shape), "numpy")
    return tr.broadcast_to(g, x_like.shape)


@tr.primitive(residuals=("mask",))
def above(xp, x):
    """x^4 where x is positive: smooth enough for three derivatives."""
    mask = x > 0
    return xp.where(mask, x**4, x * 0), mask


@above.vjp("x")
def _(g, x, mask):
    return 4.0 * g * (mask * x * x * x)


@tr.primitive(broadcasting=True, nondifferentiable=("factor",))
def scaled(xp, x, factor, *, shift=0.0):
    return x * factor + shift


@scaled.vjp("x")
def _(g, factor):
    return g * factor


@tr.primitive(broadcasting=True)
def product(xp, x, *ws):
    for w in ws:
        x = x * w
    return x


@product.vjp("x")
def _(g, ws):
    for w in ws:
        g = g * w
    return g


@product.vjp("ws")
def _(g, x, others, position):
    for i, w in enumerate(others):
        g = g if i == position else g * w
    return g * x


@tr.primitive
def mixed(xp, a, b, c):
    """a b + b c, of one shape."""
    return a * b + b * c


@mixed.vjp("a", "b")
def _(g, a, b, c):
    return g * b, g * (a + c)


@mixed.vjp("c")
def _(g, b):
    return g * b


@tr.fused
def gated(x, w):
    return tr.tanh(x) * w


@gated.fast
def _(xp, x, w):
    gate = xp.tanh(x)
    return gate * w, gate


@gated.backward
def _(g, w, residuals, wanted):
    slope = (1 - residuals * residuals) * w
    return tuple(g * d if i in wanted else None for i, d in enumerate((slope, residuals)))


@tr.fused
def sin_gated(x, w):
    return tr.sin(x), x * w


@sin_gated.fast
def _(xp, x, w):
    return (xp.sin(x), x * w), None


@sin_gated.backward
def _(g, xp, x, w, wanted):
    slopes = [xp.zeros_like(x), xp.zeros_like(x)]
    if g[0] is not None:
        slopes[0] = g[0] * xp.cos(x)
    if g[1] is not None:
        slopes = [slopes[0] + g[1] * w, g[1] * x]
    return tuple(slope if i in wanted else None for i, slope in enumerate(slopes))


@tr.fused(nondifferentiable=("factor",))
def tanh_times(x, factor):
    return tr.tanh(x) * factor


@tanh_times.fast
def _(xp, x, factor):
    y = xp.tanh(x)
    return y * factor, y


@tanh_times.backward
def _(g, x, factor, residuals):
    return g * factor * (1 - residuals * residuals)


@tr.primitive
def careless(xp, x):
    return xp.stack([x, x])


@careless.vjp("x")
def _(g):
    return g


@tr.primitive
def unlucky(xp, x):
    return x * 1.0


@unlucky.vjp("x")
def _(g):
    raise ZeroDivisionError


for name in ("cos_sin", "above", "scaled", "product", "mixed", "summed", "careless", "unlucky"):
    del REGISTRY[name]
del FUSED["gated"], FUSED["sin_gated"], FUSED["tanh_times"]


# ---- checks


def close(found, expected, dtype, exact=True):
    """The numbers that were expected, as far as dtypes allow, in an array of this shape and dtype."""
    expected = np.asarray(expected, dtype=np.float64)
    assert isinstance(found, tr.Tensor)
    assert isinstance(found.data, np.ndarray)
    assert found.dtype == dtype, f"got {found.dtype}, expected {dtype}"
    assert found.shape == expected.shape, f"got shape {found.shape}, expected {expected.shape}"
    slack = SLACK["float64" if exact else "float32"]
    largest = 1.0 + np.abs(expected).max(initial=0.0)
    assert np.abs(found.data - expected).max(initial=0.0) <= slack * largest, f"got {found.data!r}, expected {expected!r}"


def refused(f, *texts, error=RuntimeError):
    """f raises, and says one of these."""
    with pytest.raises(error) as raised:
        f()
    assert any(text in str(raised.value) for text in texts), f"it says {raised.value}"


def in_threads(*fs):
    """Run all at once; whatever one of them raises is raised."""
    errors = []

    def run(f):
        try:
            f()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(f,)) for f in fs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def watched(f):
    """Run f and look at every contribution: it has the shape and the dtype of what it is handed to."""

    def look(entry, parent, raw, contribution):
        assert contribution.shape == parent.shape
        assert contribution.dtype == parent.dtype
        assert parent in entry.parents

    with observed(look):
        f()
