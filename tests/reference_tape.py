"""A naive reference for the engine: no tape, no walk back, and nothing of tinyreg.

Every value carries its derivatives with respect to the elements of all leaves, worked out forwards with it: a list of
arrays [v, J, H, T], each with one axis more for those elements. How long the list is says how often the value can still be
differentiated: its gradient is a value too, with one array fewer. Every rule is one of three: a linear op does to each
array what it does to the value, an elementwise op is the chain rule, a bilinear op is the product rule.
"""

from itertools import combinations

import numpy as np

COLUMNS = 12  # the elements of all leaves together
ORDER = 3


class Value:
    """A value v and its derivatives: J = dv/dx, H = d2v/dxdx, T = d3v/dxdxdx, as far as they go."""

    def __init__(self, parts):
        self.parts = [part if type(part) is np.ndarray else np.asarray(part) for part in parts]
        self.v = self.parts[0]

    J = property(lambda self: self.parts[1])
    H = property(lambda self: self.parts[2])
    order = property(lambda self: len(self.parts) - 1)


def constant(array, order=ORDER):
    v = np.asarray(array, dtype=np.float64)
    return Value(np.zeros((*v.shape, *[COLUMNS] * k)) if k else v for k in range(order + 1))


def leaf(array, columns):
    """A value whose elements are differentiated: `columns`, a slice, says where they stand among all of them."""
    x = constant(array)
    x.parts[1] = np.eye(COLUMNS)[columns].reshape(x.J.shape)
    return x


def pulled(x, v):
    """The gradient of sum(v x) with respect to all elements, as a value."""
    return Value(np.tensordot(v, part, v.ndim) for part in x.parts[1:])


def slope(x, columns, shape):
    """The gradient of a scalar with respect to some of the elements, in the shape of their leaf, as a value."""
    parts = [part[columns] for part in x.parts[1:]]
    return Value(part.reshape((*shape, *part.shape[1:])) for part in parts)


def without(x, columns):
    """The value where these elements stand still."""
    parts = [part.copy() for part in x.parts]
    for k, part in enumerate(parts):
        for axis in range(part.ndim - k, part.ndim):
            part[(*[slice(None)] * axis, columns)] = 0.0
    return Value(parts)


def up_to(order, *xs):
    """The values, cut to what all of them have."""
    order = min(order, *(x.order for x in xs))
    return [Value(x.parts[: order + 1]) for x in xs]


def linear(f):
    """f(part, tail, ...) acts on the leading axes of a part: tail is the shape of the axes of dx, () for v."""

    def op(x, *settings):
        return Value(f(part, part.shape[x.v.ndim :], *settings) for part in x.parts)

    return op


broadcast_to = linear(lambda a, tail, shape: np.broadcast_to(a, (*shape, *tail)))
reshape = linear(lambda a, tail, shape: a.reshape((*shape, *tail)))
permute_dims = linear(lambda a, tail, axes: a.transpose((*axes, *range(len(axes), a.ndim))))
total = linear(lambda a, tail, axis: a.sum(axis=axis))
getitem = linear(lambda a, tail, key: a[key])
scale = linear(lambda a, tail, factor: a * factor)


def all_total(x):
    return total(x, tuple(range(x.v.ndim)))


def elementwise(f, *slopes):
    """The chain rule: d f = f' dx, d2 f = f' d2x + f'' dx dx and so on; f' and the next are given x and f(x)."""

    def op(x):
        y = np.asarray(f(x.v))
        first, second, third = (np.asarray(d(x.v, y)) for d in slopes)
        parts, n = [y], y.ndim
        if x.order > 0:
            J = x.J
            parts.append(first[..., None] * J)
        if x.order > 1:
            H, square = x.H, J[..., :, None] * J[..., None, :]
            parts.append(first[..., None, None] * H + second[..., None, None] * square)
        if x.order > 2:
            crossed = J[..., :, None, None] * H[..., None, :, :]
            crossed = crossed + crossed.swapaxes(n, n + 1) + np.moveaxis(crossed, n, n + 2)
            cube = third[..., None, None] * square
            parts.append(
                first[..., None, None, None] * x.parts[3]
                + second[..., None, None, None] * crossed
                + cube[..., None] * J[..., None, None, :]
            )
        return Value(parts)

    return op


exp = elementwise(np.exp, *[lambda x, y: y] * 3)
tanh = elementwise(
    np.tanh,
    lambda x, y: 1 - y * y,
    lambda x, y: -2 * y * (1 - y * y),
    lambda x, y: (6 * y * y - 2) * (1 - y * y),
)
sin = elementwise(np.sin, lambda x, y: np.cos(x), lambda x, y: -y, lambda x, y: -np.cos(x))
cos = elementwise(np.cos, lambda x, y: -np.sin(x), lambda x, y: -y, lambda x, y: np.sin(x))
reciprocal = elementwise(np.reciprocal, lambda x, y: -y * y, lambda x, y: 2 * y**3, lambda x, y: -6 * y**4)
above = elementwise(
    lambda x: np.maximum(x, 0.0) ** 4,
    lambda x, y: 4 * np.maximum(x, 0.0) ** 3,
    lambda x, y: 12 * np.maximum(x, 0.0) ** 2,
    lambda x, y: 24 * np.maximum(x, 0.0),
)


SHARED_OUT = [
    [
        (i, np.argsort([*of_a, *(axis for axis in range(k) if axis not in of_a)]))
        for i in range(k + 1)
        for of_a in combinations(range(k), i)
    ]
    for k in range(ORDER + 1)
]
"""Of k axes of dx, which the first factor gets: how many, and the order that puts them where they belong."""


def bilinear(times):
    """The product rule: the k axes of d^k(a b) are shared out between a and b in every way."""

    def op(a, b):
        a, b = up_to(ORDER, a, b)
        das, dbs = ([_turned(part, part.ndim - k, k) for k, part in enumerate(x.parts)] for x in (a, b))
        parts = []
        for k in range(a.order + 1):
            products = []
            for i in range(k + 1):
                da = das[i]
                products.append(times(da.reshape((*da.shape[:i], *[1] * (k - i), *da.shape[i:])), dbs[k - i]))
            rest = range(k, products[0].ndim)
            whole = sum(products[i].transpose([*order, *rest]) for i, order in SHARED_OUT[k])
            parts.append(_turned(whole, k, len(rest)))
        return Value(parts)

    return op


def _turned(part, n, k):
    """The first n axes after the last k."""
    return part.transpose([*range(n, n + k), *range(n)])


matmul = bilinear(np.matmul)
_product = bilinear(np.multiply)


def together(a, b):
    """Two values in the shape that they broadcast to."""
    if a.v.shape == b.v.shape:
        return a, b
    shape = np.broadcast_shapes(a.v.shape, b.v.shape)
    return broadcast_to(a, shape), broadcast_to(b, shape)


def multiply(a, b):
    return _product(*together(a, b))


def add(a, b):
    return Value(p + q for p, q in zip(*(x.parts for x in up_to(ORDER, *together(a, b))), strict=True))


divide = lambda a, b: multiply(a, reciprocal(b))
subtract = lambda a, b: add(a, scale(b, -1.0))
stack = lambda *xs: Value(map(np.stack, zip(*(x.parts for x in up_to(ORDER, *xs)), strict=True)))
concat = lambda *xs: Value(map(np.concatenate, zip(*(x.parts for x in up_to(ORDER, *xs)), strict=True)))
