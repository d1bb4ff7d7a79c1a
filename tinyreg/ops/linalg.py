"""Products, diagonals and triangles of matrices, and of stacks of them: the last two axes are the matrix."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from .. import arguments
from ..arguments import integer
from ..core.backend import Array, Backend, Shape, accumulator, get
from ..core.fused import fused
from ..core.primitive import primitive
from ..core.tensor import Tensor
from . import reduction
from .elementwise import multiply
from .shape import broadcast_to, expand_dims, matrix_transpose, reshape, squeeze

__all__ = ["diagonal", "einsum", "linear", "matmul", "outer", "trace", "tril", "triu"]


@primitive(broadcasting=True, expects="as many columns in x1 as rows in x2, at least one axis each, stacks that broadcast")
def matmul(xp: Backend, x1: Array, x2: Array) -> Array:
    """The matrix product, x1 @ x2.

    x1: (..., n, k) or (k,); x2: (..., k, m) or (k,). The axes in front broadcast; a 1-d x1 is a row, a 1-d x2 a column,
    whose axis the result does not have. Derivatives: g @ x2^T and x1^T @ g, summed over the copies.

    >>> import tinyreg as tr
    >>> tr.tensor([[1.0, 2.0]]) @ tr.tensor([3.0, 4.0])
    tensor([11.])
    """
    return xp.matmul(x1, x2)


@matmul.vjp("x1")
def _(g: Any, x2: Any, x1_like: Any) -> Any:
    if x2.ndim == 1:
        return expand_dims(g, axis=-1) * x2
    if x1_like.ndim == 1:
        return matmul(expand_dims(g, axis=-2), matrix_transpose(x2))  # a row for each matrix: the engine adds them up
    return matmul(g, matrix_transpose(x2))


@matmul.vjp("x2")
def _(g: Any, x1: Any, x2_like: Any) -> Any:
    if x1.ndim == 1:
        return expand_dims(x1, axis=-1) * expand_dims(g, axis=-2) if x2_like.ndim > 1 else g * x1
    if x2_like.ndim == 1:
        return squeeze(matmul(matrix_transpose(x1), expand_dims(g, axis=-1)), axis=-1)
    return matmul(matrix_transpose(x1), g)


def outer(x1: Tensor | Array, x2: Tensor | Array) -> Tensor:
    """The outer product of two vectors, y[i, j] = x1[i] x2[j].

    x1: (n,); x2: (m,); the result: (n, m). Raises `ValueError` for other numbers of axes (as in the array API; NumPy
    flattens its arguments first).

    >>> import tinyreg as tr
    >>> tr.outer(tr.tensor([1.0, 2.0]), tr.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    arguments.arrays("outer", x1=x1, x2=x2)
    if x1.ndim != 1 or x2.ndim != 1:
        raise ValueError(
            f"outer: got shapes {list(x1.shape)} and {list(x2.shape)}, expected two arrays of one axis; flatten them "
            "first, or use einsum"
        )
    return multiply(expand_dims(x1, axis=-1), x2)


# ---- einsum ----------------------------------------------------------------------------------------------------------


@primitive(
    name="einsum",
    broadcasting=True,
    expects="a term of subscripts for each array, and equal lengths where letters are equal",
)
def contract(xp: Backend, *xs: Array, subscripts: str) -> Array:
    """The einsum of arrays, with a letter for each axis and the result's letters written out. See `einsum`."""
    dtype = xp.result_type(*xs)
    wide = accumulator(dtype)
    operands = [xp.asarray(x, dtype=wide) for x in xs] if wide else xs
    return xp.einsum(subscripts, *operands, optimize=len(xs) > 1).astype(dtype, copy=False)


@contract.vjp("xs")
def _(g: Any, others: Any, xs_like: Any, subscripts: str, position: int) -> Any:
    """einsum of g and the other arrays to the letters of this one, its diagonals put back by unit matrices."""
    given, output = subscripts.split("->")
    terms, like = given.split(","), xs_like[position]
    letters, deltas = _without_repeats(terms[position], unused=_unused(subscripts))
    sources = [output, *terms[:position], *terms[position + 1 :], *deltas]
    held = "".join(letter for letter in letters if any(letter in source for source in sources))
    units = [get(like.backend).eye(like.shape[letters.index(delta[1])], dtype=like.dtype) for delta in deltas]
    arrays = [g, *others[:position], *others[position + 1 :], *units]
    y = contract(*arrays, subscripts=f"{','.join(sources)}->{held}")
    if y.shape == like.shape:
        return y
    lengths = dict(zip(held, y.shape, strict=True))
    present = [lengths.get(letter, 1) for letter in letters]  # 1 for a letter that was only summed over
    full = [n if m == 1 else m for n, m in zip(like.shape, present, strict=True)]
    return broadcast_to(reshape(y, shape=tuple(present)), shape=tuple(full))


def _unused(subscripts: str) -> list[str]:
    return [letter for letter in string.ascii_letters if letter not in subscripts]


def _without_repeats(term: str, unused: Sequence[str]) -> tuple[str, list[str]]:
    """A term with a new letter in the place of each repeated one, and the pairs of an old letter and a new one."""
    new = iter(unused)
    letters = [next(new) if letter in term[:i] else letter for i, letter in enumerate(term)]
    return "".join(letters), [old + fresh for old, fresh in zip(term, letters, strict=True) if old != fresh]


def einsum(subscripts: str, *operands: Tensor | Array) -> Tensor:
    """The sum of products that `subscripts` describe: "ij,jk->ik" is a @ b, y[i, k] = sum over j of a[i, j] b[j, k].

    subscripts: a term for each operand, with a letter for each axis. "..." stands for further axes, which broadcast; a
    letter repeated within a term takes the diagonal; letters that the result does not name are summed over. Without
    "->" the result has "...", then the letters that occur once, in alphabetical order. Axes of length 1 broadcast. A
    result without "..." is summed over those axes too, as in PyTorch (NumPy refuses).

    Raises `ValueError` where subscripts and operands do not fit. Derivative: the einsum of the incoming gradient and
    the other operands.

    >>> import tinyreg as tr
    >>> x = tr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> tr.einsum("ij,j->i", x, tr.tensor([1.0, 1.0]))
    tensor([3., 7.])
    >>> tr.einsum("ii", x)
    tensor(5.)
    """
    return contract(*operands, subscripts=_written_out(subscripts, [getattr(x, "ndim", 0) for x in operands]))


def _written_out(subscripts: str, ndims: list[int]) -> str:
    """Subscripts with a letter for every axis, and with the result's."""
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: got {type(subscripts).__name__} for the subscripts, expected text such as 'ij,jk->ik'")
    given, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = given.split(",")
    if len(terms) != len(ndims):
        raise ValueError(
            f"einsum: got {subscripts!r} for {len(ndims)} operands, expected a term for each, with commas between"
        )
    widths = [ndim - len(term.replace("...", "")) for term, ndim in zip(terms, ndims, strict=True)]
    for term, ndim, width in zip(terms, ndims, widths, strict=True):
        if width < 0 or (width and "..." not in term):
            raise ValueError(f"einsum: got {term!r} for an operand of {ndim} axes, expected a letter for each or '...'")
    stack = "".join(_unused(subscripts)[: max(widths)])
    if not arrow:
        once = sorted(letter for letter in set(given) if letter.isalpha() and given.count(letter) == 1)
        output = "..." + "".join(once)
    terms = [term.replace("...", stack[len(stack) - width :]) for term, width in zip(terms, widths, strict=True)]
    return f"{','.join(terms)}->{output.replace('...', stack)}"


@fused(expects="x (..., in), weight (out, in) and bias (out,)")
def linear(x: Tensor | Array, weight: Tensor | Array, bias: Tensor | Array | None = None) -> Tensor:
    """y = x W^T + b.

    x: (..., in); weight: (out, in), as in PyTorch; bias: (out,), or None; y: (..., out). Derivatives: g W for x, g^T x for
    the weight and the sum of g for the bias, over all axes but the last.

    >>> import tinyreg as tr
    >>> tr.linear(tr.tensor([1.0, 2.0]), tr.tensor([[3.0, 4.0]]), tr.tensor([0.5]))
    tensor([11.5])
    """
    y = matmul(x, matrix_transpose(weight))
    return y if bias is None else y + bias


# ---- diagonals and triangles -----------------------------------------------------------------------------------------


def _expect_matrices(op: str, x: Any) -> None:
    arguments.arrays(op, x=x)
    if x.ndim < 2:
        raise ValueError(f"{op}: got shape {list(x.shape)}, expected at least two axes")


@primitive
def diagonal(xp: Backend, x: Array, /, offset: int = 0) -> Array:
    """The diagonal of each matrix: y[..., i] = x[..., i, i + offset], or x[..., i - offset, i] below the main one.

    x: (..., n, m). A diagonal that lies outside of the matrix is empty. As in the array API the last two axes are the
    matrix (NumPy takes the first two). Derivative: the incoming gradient on the diagonal, with zeros beside it.

    >>> import tinyreg as tr
    >>> tr.diagonal(tr.tensor([[1.0, 2.0], [3.0, 4.0]]), offset=1)
    tensor([2.])
    """
    _expect_matrices("diagonal", x)
    return _flat(x)[_along_diagonal(x.shape, integer("diagonal", "offset", offset))]


@primitive(name="diag_embed")
def on_diagonal(xp: Backend, x: Array, /, shape: Shape, offset: int) -> Array:
    """Put x on the diagonals of matrices of zeros: the gradient of `diagonal`."""
    y = xp.zeros(shape, dtype=x.dtype)
    _flat(y)[_along_diagonal(shape, offset)] = x
    return y


diagonal.vjp("x")(lambda g, x_like, offset: on_diagonal(g, shape=x_like.shape, offset=offset))
on_diagonal.vjp("x")(lambda g, offset: diagonal(g, offset))


def _flat(matrices: Array) -> Array:
    *stack, n, m = matrices.shape
    return matrices.reshape(*stack, n * m)


def _along_diagonal(shape: Shape, offset: int) -> tuple[Any, slice]:
    """Where the diagonal of a matrix is in its elements, row after row."""
    n, m = shape[-2:]
    length = max(0, min(n + min(offset, 0), m - max(offset, 0)))
    start = offset if offset >= 0 else -offset * m
    return ..., slice(start, start + length * (m + 1), m + 1)


def trace(x: Tensor | Array, offset: int = 0) -> Tensor:
    """The sum of the diagonal of each matrix. See `diagonal`.

    x: (..., n, m); the result: (...).

    >>> import tinyreg as tr
    >>> tr.trace(tr.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    return reduction.sum(diagonal(x, offset), axis=-1)


@primitive
def tril(xp: Backend, x: Array, /, k: int = 0) -> Array:
    """Each matrix with zeros above its k-th diagonal (0: the main one, 1: that above it, -1: that below).

    x: (..., n, m). Derivative: the incoming gradient, with zeros at the same places.

    >>> import tinyreg as tr
    >>> tr.tril(tr.ones((2, 2)))
    tensor([[1., 0.],
            [1., 1.]])
    """
    _expect_matrices("tril", x)
    return xp.tril(x, integer("tril", "k", k))


@primitive
def triu(xp: Backend, x: Array, /, k: int = 0) -> Array:
    """Each matrix with zeros below its k-th diagonal (0: the main one, 1: that above it, -1: that below).

    x: (..., n, m). Derivative: the incoming gradient, with zeros at the same places.

    >>> import tinyreg as tr
    >>> tr.triu(tr.ones((2, 2)))
    tensor([[1., 1.],
            [0., 1.]])
    """
    _expect_matrices("triu", x)
    return xp.triu(x, integer("triu", "k", k))


tril.vjp("x")(lambda g, k: tril(g, k=k))
triu.vjp("x")(lambda g, k: triu(g, k=k))
