"""Cases of the products of matrices, and of their decompositions.

Factors that are unique only up to signs are tried by what they determine: each pair of singular vectors, for one, by its
outer product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

import tinyreg as tr
from tinyreg.ops.decomposition import cofactor
from tinyreg.ops.linalg import contract, on_diagonal
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays, calls, resized, shapes

Array = NDArray[Any]
Pick = Callable[[Any], Any]
Shapes = Sequence[tuple[int, ...]]

OFFSETS = st.integers(-3, 3)
SQUARE = [(2, 2), (3, 3), (1, 1), (2, 2, 2), (2, 3, 1, 1), (0, 2, 2), (5, 5), (2, 1, 2, 3, 3), (11, 2, 2)]
TALL = [(3, 2), (2, 2), (2, 3, 1), (1, 3, 2), (3, 2, 1), (0, 3, 2), (7, 2), (5, 4), (2, 1, 2, 3, 2)]
ANY = [*TALL, (2, 3), (2, 1, 3), (3, 1, 2), (1, 1)]

# ---- products --------------------------------------------------------------------------------------------------------

EINSUMS: list[tuple[str, Shapes]] = [
    ("ij,jk->ik", [(2, 3), (3, 2)]),
    ("ij,jk,kl->il", [(2, 2), (2, 3), (3, 1)]),
    ("ba", [(2, 3)]),
    ("ii", [(3, 3)]),
    ("iij->ij", [(2, 2, 3)]),
    ("iii->i", [(2, 2, 2)]),
    ("ii,ij->j", [(2, 2), (2, 3)]),
    ("ij->", [(2, 3)]),
    ("ij->i", [(2, 3)]),
    ("ijk->j", [(2, 3, 2)]),
    ("ij,k->k", [(2, 2), (3,)]),
    ("ij,k->ik", [(2, 3), (3,)]),
    ("ij,j->i", [(2, 3), (1,)]),
    ("ij,j->i", [(2, 1), (3,)]),
    (",i->i", [(), (3,)]),
    ("ij,jk->ik", [(2, 0), (0, 2)]),
    ("...ij,...jk->...ik", [(2, 2, 1), (1, 2)]),
    ("...i,...i", [(2,), (2, 1, 2)]),
    ("i...j -> j...i", [(2, 1, 3)]),
    ("ij,kl->kl", [(2, 3), (2, 3)]),
    ("aab->b", [(2, 2, 3)]),
]


def _einsum(*operands: Any, subscripts: str) -> Any:
    return tr.einsum(subscripts, *operands)


def _einsums(pairs: Sequence[tuple[str, Shapes]]) -> SearchStrategy[Call]:
    def drawn(pair: tuple[str, Shapes]) -> SearchStrategy[Call]:
        return resized(*pair[1]).flatmap(lambda shapes: calls(*map(arrays, shapes), subscripts=st.just(pair[0])))

    return st.sampled_from(pairs).flatmap(drawn)


PRODUCTS: list[Shapes] = [
    [(1,), (1,)],
    [(2,), (2,)],
    [(2, 3), (3,)],
    [(3, 1), (1,)],
    [(2,), (2, 3)],
    [(2, 3), (3, 2)],
    [(3, 2), (2, 1)],
    [(2,), (3, 2, 2)],
    [(3, 2, 2), (2,)],
    [(2, 1, 3), (3, 2)],
    [(2, 3), (2, 3, 1)],
    [(2, 1, 2), (1, 2, 3)],
    [(2, 1, 1, 2), (3, 2, 2)],
    [(2,), (2, 1, 2, 3)],
    [(2, 1, 3, 2), (2,)],
    [(2, 0), (0, 3)],
    [(0, 2), (2,)],
    [(0,), (0,)],
]


def _products() -> SearchStrategy[Call]:
    """Calls of `matmul`: vectors, matrices, and stacks that broadcast."""
    shapes = st.sampled_from(PRODUCTS).flatmap(lambda pair: resized(*pair))
    return shapes.flatmap(lambda pair: calls(*map(arrays, pair)))


def _matrices(**settings: SearchStrategy[Any]) -> SearchStrategy[Call]:
    """Calls of an op on one array of at least two axes, without conditions."""
    return calls(arrays(shapes(min_dims=2)), **settings)


@st.composite
def _diagonals(pick: Pick) -> Call:
    (matrices,), settings = pick(_matrices(offset=OFFSETS))
    length = np.diagonal(matrices, settings["offset"], -2, -1).shape
    return Call((pick(arrays(length)),), {**settings, "shape": matrices.shape})


def _on_diagonal(x: Any, shape: Any, offset: int) -> Any:
    y = np.zeros(shape)
    rows, columns = np.nonzero(np.eye(shape[-2], shape[-1], k=offset))
    y[..., rows, columns] = x
    return y


# ---- decompositions --------------------------------------------------------------------------------------------------


def separated(shapes: Shapes) -> SearchStrategy[Array]:
    """Matrices whose eigenvalues and singular values differ by 1 at least, none near 0: 3, 6, 9 on the diagonal, and noise.

    No element is near 0, and no two columns or rows have nearly the same sum of sizes.
    """
    noise = st.sampled_from([k / 16 for k in (1, -1, 2, -2, 3, -3, 4, -4, 5, -5)])

    def drawn(shape: tuple[int, ...]) -> SearchStrategy[Array]:
        levels = 3.0 * np.eye(shape[-2], shape[-1]) * np.arange(1, shape[-1] + 1)
        return arrays(shape, noise).map(lambda found: found + levels)

    return st.sampled_from(shapes).flatmap(drawn)


SYSTEMS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 2), (2,)),
    ((1, 1), (1,)),
    ((3, 3), (3, 2)),
    ((2, 2, 2), (2,)),
    ((2, 1, 2, 2), (2, 2, 1)),
    ((2, 2), (2, 2, 1)),
    ((1, 1), (0, 1, 2)),
]


@st.composite
def _systems(pick: Pick) -> Call:
    """Calls of `solve`, with the rows of a in any order."""
    a, b = pick(st.sampled_from(SYSTEMS))
    order = pick(st.permutations(range(a[-1])))
    return Call((pick(separated([a]))[..., order, :], pick(arrays(b))), {})


def _symmetric(x: Array) -> Array:
    return (x + np.swapaxes(x, -1, -2)) / 2


def _cholesky(x: Array, upper: bool) -> Array:
    lower = np.linalg.cholesky(_symmetric(x))
    return np.swapaxes(lower, -1, -2) if upper else lower


def _cofactor(x: Array) -> Array:
    """By the determinants of the minors."""
    y = np.empty_like(x)
    for i, j in np.ndindex(x.shape[-2:]):
        minor = np.delete(np.delete(x, i, axis=-2), j, axis=-1)
        y[..., i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    return y


SVD, EIGH = "...ai,...ib->...iab", "...ai,...bi->...iab"


def _svd(x: Any) -> Any:
    u, s, vh = tr.svd(x)
    return s, tr.einsum(SVD, u, vh)


def _numpys_svd(x: Array) -> Any:
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return s, np.einsum(SVD, u, vh)


def _eigh(x: Any) -> Any:
    w, v = tr.eigh(x)
    return w, tr.einsum(EIGH, v, v)


def _numpys_eigh(x: Array) -> Any:
    w, v = np.linalg.eigh(_symmetric(x))
    return w, np.einsum(EIGH, v, v)


def _qr(x: Any) -> Any:
    return tr.einsum(SVD, *tr.qr(x))


def _numpys_qr(x: Array) -> Any:
    return np.einsum(SVD, *np.linalg.qr(x))


@st.composite
def _affine(pick: Pick) -> Call:
    ((inside, outside),) = pick(resized(pick(st.sampled_from([(2, 3), (3, 1), (1, 2)]))))
    x = pick(arrays((*pick(st.sampled_from([(2,), (), (3, 2), (1,), (0,)])), inside)))
    return Call((x, pick(arrays((outside, inside))), pick(st.one_of(arrays((outside,)), st.none()))), {})


CASES = [
    Case(tr.linear, _affine(), lambda x, w, b: x @ w.T + (0.0 if b is None else b), reach=math.inf),
    Case(tr.matmul, _products(), np.matmul, reach=math.inf),
    Case(tr.outer, calls(arrays(shapes(1, 1)), arrays(shapes(1, 1))), np.outer, reach=math.inf),
    Case(_einsum, _einsums(EINSUMS), lambda *xs, subscripts: np.einsum(subscripts, *xs), name="einsum", reach=math.inf),
    Case(
        contract,
        _einsums([pair for pair in EINSUMS if "->" in pair[0] and "..." not in pair[0]]),
        lambda *xs, subscripts: np.einsum(subscripts, *xs),
        points=[
            at(
                [[1.0, 2.0], [3.0, 4.0]],
                [[1.0, 0.0], [0.0, 2.0]],
                subscripts="ij,kl->kl",
                gradients=[[[3.0, 3.0], [3.0, 3.0]], [[10.0, 10.0], [10.0, 10.0]]],
            )
        ],
        reach=math.inf,
    ),
    Case(tr.diagonal, _matrices(offset=OFFSETS), lambda x, offset: np.diagonal(x, offset, -2, -1), reach=math.inf),
    Case(on_diagonal, _diagonals(), _on_diagonal, reach=math.inf),
    Case(tr.trace, _matrices(offset=OFFSETS), lambda x, offset: np.trace(x, offset, -2, -1), reach=math.inf),
    Case(tr.tril, _matrices(k=OFFSETS), np.tril, reach=math.inf),
    Case(tr.triu, _matrices(k=OFFSETS), np.triu, reach=math.inf),
    # inverses and determinants
    Case(tr.inv, calls(separated(SQUARE)), np.linalg.inv),
    Case(tr.solve, _systems(), np.linalg.solve),
    Case(
        tr.det,
        calls(arrays(st.sampled_from(SQUARE), unique=True)),  # some of them singular, none with all cofactors 0
        np.linalg.det,
        points=[
            at([[1.0, 2.0], [2.0, 4.0]], gradient=[[4.0, -2.0], [-2.0, 1.0]]),
            at(np.zeros((3, 3)), gradient=np.zeros((3, 3))),
        ],
        reach=math.inf,
    ),
    Case(
        cofactor,
        calls(separated([shape for shape in SQUARE if shape[-1] > 1])),
        _cofactor,
        points=[
            at([[2.0]], gradient=[[0.0]]),
            at([[1.0, 2.0], [2.0, 4.0]], gradient=[[1.0, -1.0], [-1.0, 1.0]]),
            at(np.zeros((2, 2)), gradient=[[1.0, -1.0], [-1.0, 1.0]]),
            at(np.zeros((3, 3)), gradient=np.zeros((3, 3))),
        ],
    ),
    Case(tr.slogdet, calls(separated(SQUARE)), lambda x: tuple(np.linalg.slogdet(x))),
    # decompositions
    Case(tr.cholesky, calls(separated(SQUARE), upper=st.booleans()), _cholesky),
    Case(_qr, calls(separated(TALL)), _numpys_qr, name="qr", primitive=tr.qr),
    Case(_eigh, calls(separated(SQUARE)), _numpys_eigh, name="eigh", primitive=tr.eigh),
    Case(_svd, calls(separated(ANY)), _numpys_svd, name="svd", primitive=tr.svd),
    # norms
    Case(
        tr.svdvals,
        calls(separated(ANY)),
        lambda x: np.linalg.svd(x, compute_uv=False),
        points=[
            at(np.eye(2), gradient=np.eye(2)),
            at([[2.0, 0.0], [0.0, 0.0]], gradient=[[1.0, 0.0], [0.0, 0.0]]),
            at([[0.0, 3.0], [-3.0, 0.0]], gradient=[[0.0, 1.0], [-1.0, 0.0]]),
        ],
    ),
    Case(
        tr.largest_singular_value,
        calls(separated(ANY)),
        lambda x: np.linalg.matrix_norm(x, ord=2),
        points=[at(3 * np.eye(2), gradient=np.eye(2) / 2), at(np.zeros((2, 3)), gradient=np.zeros((2, 3)))],
    ),
    Case(
        tr.matrix_norm,
        calls(separated(ANY), ord=st.sampled_from(["fro", "nuc", 2, 1, math.inf]), keepdims=st.booleans()),
        lambda x, ord, keepdims: np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims),
        points=[
            *(at(np.zeros((2, 3)), ord=ord, gradient=np.zeros((2, 3))) for ord in ("fro", "nuc", 2, 1, math.inf)),
            at(np.eye(2), ord="nuc", gradient=np.eye(2)),
            at(np.eye(2), ord=2, gradient=np.eye(2) / 2),
            at([[1.0, -1.0], [2.0, 2.0]], ord=1, gradient=[[0.5, -0.5], [0.5, 0.5]]),
            at([[1.0, -2.0], [3.0, 0.0]], ord=math.inf, gradient=[[0.5, -0.5], [0.5, 0.0]]),
        ],
    ),
]
