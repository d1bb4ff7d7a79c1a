"""Inverses, determinants and decompositions of matrices, and of stacks of them: the last two axes are the matrix.

They take float32 and float64, and integers as float64. What a matrix does not have, an inverse or a Cholesky factor, is
a `ValueError` on every backend. On CuPy a stack is one batch, but for stacks of large matrices, which `solve`, `det`,
`slogdet` and `svd` go through one by one.
"""

from __future__ import annotations

from typing import Any

from .. import arguments
from ..core.backend import Array, Backend, get
from ..core.primitive import primitive
from ..core.tensor import Tensor
from . import elementwise, reduction
from .elementwise import equal, sign, where
from .linalg import diagonal, tril
from .precision import narrowed, widened
from .reduction import norm, prod
from .shape import expand_dims, matrix_transpose, squeeze

__all__ = [
    "cholesky",
    "det",
    "eigh",
    "inv",
    "largest_singular_value",
    "matrix_norm",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
]

SQUARE = "square matrices of float32 or float64"


def _transposed(xp: Backend, x: Array) -> Array:
    return xp.swapaxes(x, -1, -2)


def _finite(xp: Backend, x: Array) -> Array:
    """x itself; `ValueError` for infinities and NaN, with which LAPACK's iterations may never end."""
    if not xp.isfinite(x).all():
        raise ValueError("There are infinities or NaN in x")
    return x


def _reciprocal(x: Any) -> Any:
    """1 / x, and 0 where x is 0."""
    zero = equal(x, 0.0)
    return where(zero, 0.0, 1 / where(zero, 1.0, x))


# ---- inverses and determinants ---------------------------------------------------------------------------------------


@primitive(expects=f"{SQUARE} that are not singular")
def inv(xp: Backend, x: Array) -> Array:
    """The inverse of each matrix. To multiply by it, `solve` is faster and more exact.

    x: (..., n, n). Raises `ValueError` for a singular matrix; NaN for one with an element that is not finite.
    Derivative: -y^T g y^T.

    >>> import tinyreg as tr
    >>> tr.inv(tr.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    with xp.checked_linalg():
        y = xp.linalg.inv(x)
    finite = xp.isfinite(x).all(axis=(-2, -1), keepdims=True)
    return xp.where(finite, y, xp.nan)  # which LAPACK gives some elements of only


@inv.vjp("x")
def _(g: Any, y: Any) -> Any:
    transposed = matrix_transpose(y)
    return -(transposed @ g @ transposed)


@primitive(broadcasting=True, expects=f"{SQUARE}, not singular, in a; as many rows in b; stacks that broadcast")
def solve(xp: Backend, a: Array, b: Array) -> Array:
    """The x for which a @ x = b.

    a: (..., n, n); b: (..., n, m), or a vector (n,); the axes in front broadcast. Raises `ValueError` where a matrix in
    a is singular. Derivatives: solve(a^T, g) for b, and -solve(a^T, g) @ x^T for a.

    >>> import tinyreg as tr
    >>> tr.solve(tr.tensor([[2.0, 0.0], [0.0, 4.0]]), tr.tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """
    if b.ndim == 1:
        return solve.forward(xp, a, b[:, None])[..., 0]
    stack = xp.broadcast(a[..., :1, :1], b[..., :1, :1]).shape[:-2]  # CuPy does not broadcast them itself
    a, b = (xp.broadcast_to(x, (*stack, *x.shape[-2:])) for x in (a, b))
    with xp.checked_linalg():
        return xp.linalg.solve(a, b)


@solve.vjp("a", "b")
def _(g: Any, a: Any, y: Any, b_like: Any) -> Any:
    if b_like.ndim > 1:
        gb = solve(matrix_transpose(a), g)
        return -(gb @ matrix_transpose(y)), gb
    gb = solve(matrix_transpose(a), expand_dims(g, axis=-1))
    return -(gb * expand_dims(y, axis=-2)), squeeze(gb, axis=-1)


@primitive(expects=SQUARE)
def det(xp: Backend, x: Array) -> Array:
    """The determinant of each matrix.

    x: (..., n, n); the result: (...). Derivative: the cofactors of x, also where x is singular; it raises `ValueError`
    where x is not finite. The third derivative needs singular values that differ. For large matrices, whose determinant
    may overflow, see `slogdet`.

    >>> import tinyreg as tr
    >>> tr.det(tr.tensor([[2.0, 1.0], [0.0, 4.0]]))
    tensor(8.)
    """
    return xp.linalg.det(x)


@det.vjp("x")
def _(g: Any, x: Any) -> Any:
    """g times the cofactors of x, which are det(x) x^-T where x is not singular."""
    return expand_dims(g, axis=(-2, -1)) * cofactor(x)


@primitive(expects=SQUARE)
def cofactor(xp: Backend, x: Array) -> Array:
    """The cofactors of each matrix: the derivative of `det`, det(x) inv(x)^T where x is not singular.

    For x = u s v^T that is det(u v^T) u diag(product of the s other than s[i]) v^T: no division, so right at a singular
    x too. x: (..., n, n). Derivative: the same with products of the s other than s[i] and s[j], also right there.

    >>> import tinyreg as tr
    >>> from tinyreg.ops.decomposition import cofactor
    >>> x = tr.tensor([[1.0, 2.0], [2.0, 4.0]])
    >>> tr.round(cofactor(x), decimals=4)
    tensor([[ 4., -2.],
            [-2.,  1.]])
    """
    u, s, vh = xp.linalg.svd(_finite(xp, x), full_matrices=False)
    others = xp.where(xp.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]).prod(axis=-1)
    orientation = xp.sign(xp.linalg.det(u) * xp.linalg.det(vh))
    return orientation[..., None, None] * ((u * others[..., None, :]) @ vh)


@cofactor.vjp("x")
def _(g: Any, x: Any, x_like: Any) -> Any:
    """det(u) det(v) u M vh, for an M from u^T g v and the products of the s other than s[i] and s[j]."""
    u, s, vh = svd(x)
    same = get(x_like.backend).eye(s.shape[-1], dtype=bool)
    others = where(same[:, None, :] | same[None, :, :], 1.0, expand_dims(s, axis=(-3, -2)))
    pairs = where(same, 0.0, prod(others, axis=-1))
    turned = matrix_transpose(u) @ g @ matrix_transpose(vh)
    on_diagonal = squeeze(pairs @ expand_dims(diagonal(turned), axis=-1), axis=-1)
    inner = u * expand_dims(on_diagonal, axis=-2) - u @ (pairs * matrix_transpose(turned))
    return expand_dims(sign(det(u) * det(vh)), axis=(-2, -1)) * (inner @ vh)


@primitive(expects=SQUARE, result=tuple[Tensor, Tensor])
def slogdet(xp: Backend, x: Array) -> tuple[Array, Array]:
    """The sign of each determinant, and the logarithm of its absolute value: 0 and -inf for a singular matrix.

    x: (..., n, n); the results: (...). Derivative of the logarithm: inv(x)^T, which raises `ValueError` where x is
    singular; that of the sign is 0.

    >>> import tinyreg as tr
    >>> tr.slogdet(tr.tensor([[-1.0, 0.0], [0.0, 1.0]]))
    (tensor(-1.), tensor(0.))
    """
    signs, logarithms = xp.linalg.slogdet(x)
    return signs, logarithms


@slogdet.vjp("x")
def _(g: Any, x: Any) -> Any:
    """g x^-T for the g of the logarithm; the sign has no gradient."""
    return expand_dims(g[1], axis=(-2, -1)) * matrix_transpose(inv(x))


# ---- decompositions --------------------------------------------------------------------------------------------------


@primitive(expects=f"{SQUARE} that are positive definite")
def cholesky(xp: Backend, x: Array, /, upper: bool = False) -> Array:
    """The lower triangular y with y y^T = x; with `upper`, the upper triangular one with y^T y = x.

    x: (..., n, n), positive definite; of a matrix that is not symmetric the symmetric part (x + x^T) / 2 is taken
    (NumPy reads the lower triangle only). Raises `ValueError` where that is not positive definite. Derivative: with
    respect to every element of x as it stands, so the gradient is a symmetric matrix.

    Source: Murray, "Differentiation of the Cholesky decomposition", 2016.

    >>> import tinyreg as tr
    >>> tr.cholesky(tr.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    with xp.checked_linalg():
        lower = xp.linalg.cholesky((x + _transposed(xp, x)) / 2)
    return _transposed(xp, lower) if upper else lower


@cholesky.vjp("x")
def _(g: Any, y: Any, upper: bool) -> Any:
    """y^-T S y^-1, for the lower y, and the symmetric S whose lower triangle is half that of y^T g."""
    lower, g = (matrix_transpose(y), matrix_transpose(g)) if upper else (y, g)
    transposed = matrix_transpose(lower)
    product = tril(transposed @ g)
    symmetric = (product + matrix_transpose(tril(product, k=-1))) / 2
    half = solve(transposed, symmetric)
    return solve(transposed, matrix_transpose(half))


@primitive(expects="matrices of float32 or float64 with at least as many rows as columns", result=tuple[Tensor, Tensor])
def qr(xp: Backend, x: Array) -> tuple[Array, Array]:
    """The product x = q r of a q with orthonormal columns and an upper triangular r, in the reduced form.

    x: (..., n, m) with n >= m; q: (..., n, m); r: (..., m, m). Raises `ValueError` for n < m. The derivative needs
    columns that are linearly independent, and raises `ValueError` where r is singular.

    Source: Walter, Lehmann and Lamour, "On Evaluating Higher-Order Derivatives of the QR Decomposition of Tall Matrices
    with Full Column Rank in Forward and Reverse Mode Algorithmic Differentiation", 2012.

    >>> import tinyreg as tr
    >>> q, r = tr.qr(tr.tensor([[0.0, 2.0], [3.0, 1.0]]))
    >>> tr.abs(r)
    tensor([[3., 1.],
            [0., 2.]])
    """
    if x.shape[-2] < x.shape[-1]:
        raise ValueError(f"the matrices have {x.shape[-2]} rows and {x.shape[-1]} columns; transpose them perhaps")
    with xp.checked_linalg():
        q, r = xp.linalg.qr(x)
    return q, r


@qr.vjp("x")
def _(g: Any, y: Any) -> Any:
    """(gq + q S) r^-T, for the symmetric S whose lower triangle is that of r gr^T - gq^T q."""
    (gq, gr), (q, r) = g, y
    product = r @ matrix_transpose(gr) - matrix_transpose(gq) @ q
    symmetric = tril(product) + matrix_transpose(tril(product, k=-1))
    return matrix_transpose(solve(r, matrix_transpose(gq + q @ symmetric)))


@primitive(expects=SQUARE, result=tuple[Tensor, Tensor])
def eigh(xp: Backend, x: Array) -> tuple[Array, Array]:
    """The eigenvalues w of each symmetric matrix, in ascending order, and eigenvectors v, so that x = v diag(w) v^T.

    x: (..., n, n); of a matrix that is not symmetric the symmetric part (x + x^T) / 2 is taken (NumPy reads the lower
    triangle only). w: (..., n); v: (..., n, n), the eigenvectors as columns, each up to its sign. Derivative: with
    respect to every element of x as it stands, so the gradient is symmetric. That of v is undefined where eigenvalues
    are equal; there the part that turns one eigenvector into the other counts as 0, which is right for results that do
    not depend on it. Raises `ValueError` for infinities and NaN.

    Source: Giles, "Collected Matrix Derivative Results for Forward and Reverse Mode Algorithmic Differentiation", 2008.

    >>> import tinyreg as tr
    >>> w, v = tr.eigh(tr.tensor([[2.0, 0.0], [0.0, 1.0]]))
    >>> w
    tensor([1., 2.])
    """
    with xp.checked_linalg():
        w, v = xp.linalg.eigh((_finite(xp, x) + _transposed(xp, x)) / 2)
    return w, v


@eigh.vjp("x")
def _(g: Any, y: Any) -> Any:
    """v (diag(gw) + F * (v^T gv)) v^T made symmetric, F[i, j] = 1 / (w[j] - w[i]), 0 between equals."""
    (gw, gv), (w, v) = g, y
    gaps = expand_dims(w, axis=-2) - expand_dims(w, axis=-1)
    turned = _reciprocal(gaps) * (matrix_transpose(v) @ gv)
    gx = (v @ turned + v * expand_dims(gw, axis=-2)) @ matrix_transpose(v)
    return (gx + matrix_transpose(gx)) / 2


@primitive(expects="matrices of float32 or float64", result=tuple[Tensor, Tensor, Tensor])
def svd(xp: Backend, x: Array, /, full_matrices: bool = False) -> tuple[Array, Array, Array]:
    """The singular value decomposition x = u diag(s) vh: u and vh^T with orthonormal columns, s in descending order.

    x: (..., n, m); with k = min(n, m), u: (..., n, k); s: (..., k); vh: (..., k, m). This is the reduced form; the full
    one, NumPy's default, has no derivative, and `full_matrices=True` raises `ValueError`. Derivative of s[i]: u[:, i]
    vh[i, :], and 0 where s[i] is 0. Those of u and vh are undefined where singular values are equal or 0; there the
    part that is undefined counts as 0, which is right for results that do not depend on it. Raises `ValueError` for
    infinities and NaN.

    Source: Townsend, "Differentiating the Singular Value Decomposition", 2016.

    >>> import tinyreg as tr
    >>> u, s, vh = tr.svd(tr.tensor([[0.0, 2.0], [3.0, 0.0]]))
    >>> s
    tensor([3., 2.])
    """
    if full_matrices:
        raise ValueError("the full form has no derivative; leave full_matrices out")
    with xp.checked_linalg():
        u, s, vh = xp.linalg.svd(_finite(xp, x), full_matrices=False)
    return u, s, vh


@svd.vjp("x")
def _(g: Any, y: Any) -> Any:
    """u (diag(gs) + F * (A - A^T) s + s F * (B - B^T)) vh for a square x, with A = u^T gu, B = v^T gv.

    F[i, j] = 1 / (s[j]^2 - s[i]^2). Where u or vh spans a part of the space, what turns it out of that is added.
    """
    (gu, gs, gvh), (u, s, vh) = g, y
    rows, columns = expand_dims(s, axis=-1), expand_dims(s, axis=-2)
    gaps = _reciprocal((columns - rows) * (columns + rows))
    towards_u, towards_v = matrix_transpose(u) @ gu, gvh @ matrix_transpose(vh)
    turned_u, turned_v = gaps * towards_u, gaps * matrix_transpose(towards_v)
    inner = (turned_u + matrix_transpose(turned_u)) * columns + rows * (turned_v + matrix_transpose(turned_v))
    left = u @ inner + u * (expand_dims(gs, axis=-2) * sign(columns))
    if u.shape[-2] > s.shape[-1]:  # u spans a part of the space only, and may turn out of it
        left = left + (gu - u @ towards_u) * _reciprocal(columns)
    gx = left @ vh
    if vh.shape[-1] > s.shape[-1]:
        gx = gx + (u * _reciprocal(columns)) @ (gvh - towards_v @ vh)
    return gx


# ---- norms -----------------------------------------------------------------------------------------------------------


def svdvals(x: Tensor | Array) -> Tensor:
    """The singular values of each matrix, in descending order. See `svd`.

    x: (..., n, m); the result: (..., min(n, m)). A second derivative needs values that differ and are not 0.

    >>> import tinyreg as tr
    >>> tr.svdvals(tr.tensor([[0.0, 2.0], [3.0, 0.0]]))
    tensor([3., 2.])
    """
    arguments.arrays("svdvals", x=x)
    return narrowed(svd(widened(x))[1], x)


def largest_singular_value(x: Tensor | Array) -> Tensor:
    """The spectral norm of each matrix, the largest |x v| for |v| = 1.

    x: (..., n, m), not empty; the result: (...). Derivative: u v^T, of the singular vectors that belong to it; shared
    equally by values that tie; 0 for a matrix of zeros.

    >>> import tinyreg as tr
    >>> tr.largest_singular_value(tr.tensor([[0.0, 2.0], [3.0, 0.0]]))
    tensor(3.)
    """
    return reduction.max(svdvals(x), axis=-1)


NORMS: dict[Any, Any] = {
    "fro": lambda x: norm(x, axis=(-2, -1)),
    "nuc": lambda x: reduction.sum(svdvals(x), axis=-1),
    2: largest_singular_value,
    1: lambda x: reduction.max(reduction.sum(elementwise.abs(x), axis=-2), axis=-1),
    float("inf"): lambda x: reduction.max(reduction.sum(elementwise.abs(x), axis=-1), axis=-1),
}


def matrix_norm(x: Tensor | Array, ord: str | float = "fro", keepdims: bool = False) -> Tensor:
    """A norm of each matrix: `"fro"` sqrt(sum x^2), `"nuc"` the sum of the singular values, 2 the largest of them.

    Also 1 and inf: the largest sum of |x| over a column, or over a row. x: (..., n, m); the result: (...), or with
    `keepdims` (..., 1, 1). Raises `ValueError` for another `ord`. Derivatives: those of `norm`, `svdvals` and `max`, so
    0 for a matrix of zeros.

    >>> import tinyreg as tr
    >>> tr.matrix_norm(tr.tensor([[0.0, 4.0], [3.0, 0.0]]), "nuc")
    tensor(7.)
    """
    arguments.arrays("matrix_norm", x=x)
    if ord not in NORMS:
        raise ValueError(f"matrix_norm: got ord {ord!r}, expected one of {', '.join(map(repr, NORMS))}")
    if x.ndim < 2:
        raise ValueError(f"matrix_norm: got shape {list(x.shape)}, expected at least two axes; for vectors use norm")
    y = narrowed(NORMS[ord](widened(x)), x)
    return expand_dims(y, axis=(-2, -1)) if keepdims else y
