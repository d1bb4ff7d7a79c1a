"""What random programs are made of: formulas of one value and of two, and what is known of a value."""

from __future__ import annotations

import numpy as np
import reference_tape as reference

UNARY = {
    "tr.tanh({0})": reference.tanh,
    "tr.sin({0})": reference.sin,
    "-{0}": lambda x: reference.scale(x, -1.0),
    "2.5 * {0}": lambda x: reference.scale(x, 2.5),
    "{0} * {0}": lambda x: reference.multiply(x, x),
    "({0} + {0} + {0})": lambda x: reference.scale(x, 3.0),
    "({0} - {0})": lambda x: reference.scale(x, 0.0),
    "tr.exp(tr.tanh({0}))": lambda x: reference.exp(reference.tanh(x)),
    "above({0})": reference.above,
    "scaled({0}, 0.5, shift=2.0)": lambda x: reference.add(reference.scale(x, 0.5), reference.constant(2.0)),
    "gated({0}, {0})": lambda x: reference.multiply(reference.tanh(x), x),
    "mixed({0}, {0}, 3.0 * {0})": lambda x: reference.scale(reference.multiply(x, x), 4.0),
    "tr.checkpoint(tr.sin)({0})": reference.sin,
    "tr.checkpoint(tr.checkpoint(lambda t: gated(t, t)))({0})": lambda x: reference.multiply(reference.tanh(x), x),
    "tanh_times({0}, 0.5)": lambda x: reference.scale(reference.tanh(x), 0.5),
    "({0} + summed({0}))": lambda x: reference.add(x, reference.all_total(x)),
    "tr.no_grad(lambda: {0} * 1.0)()": lambda x: reference.constant(x.v, x.order),
}
BINARY = {
    "({0} + {1})": reference.add,
    "({0} - {1})": reference.subtract,
    "{0} * {1}": reference.multiply,
    "{0} / tr.exp(tr.tanh({1}))": lambda a, b: reference.divide(a, reference.exp(reference.tanh(b))),
    "product({0}, {1}, 2.0, {1})": lambda a, b: reference.scale(reference.multiply(a, reference.multiply(b, b)), 2.0),
    "product({0}, {1})": reference.multiply,
    "product(0.5, {0}, {1})": lambda a, b: reference.scale(reference.multiply(a, b), 0.5),
    "scaled({0}, {1})": lambda a, b: reference.multiply(a, reference.constant(b.v)),
    "gated({0}, {1} + 0.0 * {0})": lambda a, b: reference.multiply(reference.tanh(a), b),
    "tr.where(np.arange({0}.size).reshape({0}.shape) % 2 == 0, {0}, {1})": lambda a, b: chosen(a, b),
}


def chosen(a, b):
    """a at every second element, and b at the others."""
    first = reference.constant((np.arange(a.v.size).reshape(a.v.shape) % 2 == 0) * 1.0)
    second = reference.subtract(reference.constant(1.0), first)
    return reference.add(reference.multiply(a, first), reference.multiply(b, second))


class Known:
    """A value of the program by name, what it should be, and by number the leaves and entries that it rests on.

    exact: whether it is of float64 throughout. certain: whether it rests on all of these, and not only on some.
    """

    def __init__(self, name, expected, dtype, leaves=frozenset(), entries=frozenset(), exact=True, certain=True):
        self.name, self.expected, self.dtype = name, expected, dtype
        self.leaves, self.entries, self.exact, self.certain = leaves, entries, exact, certain
        self.entry = None  # that of its own
        self.wants = bool(leaves)
        self.shape, self.ndim, self.size = expected.v.shape, expected.v.ndim, expected.v.size


class Origin(Known):
    """A leaf: the columns of its elements, and the gradient that it should have, another `Known` or None.

    probed: the name of the tensor to which it was added, so that its gradient is that of the tensor too.
    """

    def __init__(self, name, array, columns, number, dtype):
        super().__init__(name, reference.leaf(array, columns), dtype, frozenset({number}), exact=dtype == "float64")
        self.columns, self.grad, self.probed = columns, None, None
        self.version = 0


def incoming(shape, factor):
    """A gradient of both signs and of other than unit size."""
    size = int(np.prod(shape))
    return factor * np.array([(-1) ** i * (1 + i / 2) for i in range(size)]).reshape(shape)
