"""What planted errors are made of: small ops outside the registry, and the table of those that one check alone catches."""

from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np

import tinyreg as tr
from tinyreg.core.fused import FUSED
from tinyreg.core.primitive import REGISTRY
from tinyreg.testing import Call, Case

ONE = np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.875]])
TWO = np.array([[1.25, 0.625, -0.5], [-1.75, 2.5, 1.0]])


def op(forward, broadcasting=False, **vjps):
    """A primitive that is not in the registry."""
    with patch.dict(REGISTRY):  # which may have an op of that name
        made = tr.primitive(broadcasting=broadcasting)(forward)
    for name, vjp in vjps.items():
        made.vjp(name)(vjp)
    return made


def square(xp, x):
    return x * x


def slope(g, x):
    return 2.0 * g * x


def bare(x):
    """The array of a Tensor, or an array itself."""
    return x.data if isinstance(x, tr.Tensor) else x


def case(op_, reference=None, **details):
    return Case(op_, st.nothing(), reference, name="planted", **details)


def squared(forward=square, vjp=slope, reference=lambda x: x * x, **details):
    return case(op(forward, x=vjp), reference, **details)


def fast(forward, backward, **details):
    """A fast form of x1 x2."""

    @tr.fused
    def product(x1, x2):
        return x1 * x2

    product.fast(forward)
    product.backward(backward)
    del FUSED["product"]
    return case(product, **details)


def called(*arrays, **settings):
    return Call(arrays, settings)


PLANTED = {}


def planted(which):
    """A function that makes a case and one or more calls, at which it fails one check alone."""

    def declare(make):
        name = f"{which}: {make.__name__.replace('_', ' ')}"
        assert name not in PLANTED
        PLANTED[name] = which, make
        return make

    return declare
