"""A naive reference for the engine: no tape, no walk back, and nothing of tinyreg.

Every value carries its whole Jacobian and Hessian with respect to the elements of all leaves, worked out forwards with it.
J has the shape of the value and then an axis for those elements, H has two, so every rule is one of three: a linear op
does to J and H what it does to the value, an elementwise op is the chain rule, a bilinear op is the product rule.
"""

from typing import NamedTuple

import numpy as np

COLUMNS = 16  # the elements of all leaves together


class Value(NamedTuple):
    """A value v, its first derivatives J = dv/dx and its second ones H = d2v/dxdx."""

    v: np.ndarray
    J: np.ndarray
    H: np.ndarray


def constant(array):
    v = np.asarray(array, dtype=np.float64)
    return Value(v, np.zeros((*v.shape, COLUMNS)), np.zeros((*v.shape, COLUMNS, COLUMNS)))


def leaf(array, columns):
    """A value whose elements are differentiated: `columns`, a slice, says where they stand among all of them."""
    v, J, H = constant(array)
    return Value(v, np.eye(COLUMNS)[columns].reshape(J.shape), H)


def pulled(x, v):
    """v J and v H: the gradient and the Hessian of sum(v x)."""
    return np.tensordot(v, x.J, v.ndim), np.tensordot(v, x.H, v.ndim)


def linear(f):
    """f(part, tail, ...) acts on the leading axes of a part: of v, where the tail is (), of J and of H."""

    def op(x, *settings):
        return Value(*[f(part, part.shape[x.v.ndim :], *settings) for part in x])

    return op


broadcast_to = linear(lambda a, tail, shape: np.broadcast_to(a, (*shape, *tail)))
reshape = linear(lambda a, tail, shape: a.reshape((*shape, *tail)))
permute_dims = linear(lambda a, tail, axes: a.transpose((*axes, *range(len(axes), a.ndim))))
total = linear(lambda a, tail, axis: np.asarray(a.sum(axis=axis)))
getitem = linear(lambda a, tail, key: np.asarray(a[key]))
scale = linear(lambda a, tail, factor: np.asarray(a * factor))


def elementwise(f, slope, curvature):
    """d f(x) = f' dx and d2 f(x) = f' d2x + f'' dx dx; f' and f'' are given x and f(x)."""

    def op(x):
        y = np.asarray(f(x.v))
        first, second = (np.asarray(d(x.v, y))[..., None] for d in (slope, curvature))
        square = x.J[..., :, None] * x.J[..., None, :]
        return Value(y, first * x.J, first[..., None] * x.H + second[..., None] * square)

    return op


exp = elementwise(np.exp, lambda x, y: y, lambda x, y: y)
tanh = elementwise(np.tanh, lambda x, y: 1 - y * y, lambda x, y: -2 * y * (1 - y * y))
sin = elementwise(np.sin, lambda x, y: np.cos(x), lambda x, y: -y)
cos = elementwise(np.cos, lambda x, y: -np.sin(x), lambda x, y: -y)
reciprocal = elementwise(np.reciprocal, lambda x, y: -y * y, lambda x, y: 2 * y**3)


def bilinear(times):
    """d(a b) = da b + a db and d2(a b) = d2a b + da db + db da + a d2b, with the axes of dx in front."""

    def op(a, b):
        da, db = (np.moveaxis(x.J, -1, 0) for x in (a, b))
        d2a, d2b = (np.moveaxis(x.H, (-2, -1), (0, 1)) for x in (a, b))
        J, crossed = times(da, b.v) + times(a.v, db), times(da[:, None], db)
        H = times(d2a, b.v) + crossed + crossed.swapaxes(0, 1) + times(a.v, d2b)
        return Value(np.asarray(times(a.v, b.v)), np.moveaxis(J, 0, -1), np.moveaxis(H, (0, 1), (-2, -1)))

    return op


matmul = bilinear(np.matmul)


def multiply(a, b):
    shape = np.broadcast_shapes(a.v.shape, b.v.shape)
    return bilinear(np.multiply)(broadcast_to(a, shape), broadcast_to(b, shape))


divide = lambda a, b: multiply(a, reciprocal(b))
add = lambda a, b: Value(*[np.asarray(p + q) for p, q in zip(a, b, strict=True)])
subtract = lambda a, b: add(a, scale(b, -1.0))
stack = lambda *xs: Value(*map(np.stack, zip(*xs, strict=True)))
