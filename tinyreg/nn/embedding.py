"""The embedding: a table with a row for each token."""

from __future__ import annotations

from .. import ops
from ..arguments import integer
from ..core.backend import Array, described
from ..core.tensor import Tensor
from ..random import Generator, as_generator
from .module import Module, settings_of
from .parameter import Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """y = weight[index]: a row of the table for every index.

    index: integers of any shape, from 0 to num_embeddings - 1; weight: (num_embeddings, embedding_dim), which starts from
    normal numbers of variance 1, as in PyTorch; y: (..., embedding_dim). padding_idx: a row that starts from 0 and stays
    there, since no gradient reaches it and optimizers do not shrink 0; below 0 it counts from the end, as in PyTorch.
    rng: a generator or a seed; by default that of `tr.seed`.

    Raises `TypeError` for an index that is not of integers, `IndexError` for one out of range.

    >>> import tinyreg as tr
    >>> layer = tr.nn.Embedding(10, 3, rng=tr.Generator(0))
    >>> layer(tr.tensor([[1, 2], [2, 9]])).shape
    (2, 2, 3)
    """

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    weight: Parameter

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *, rng: Generator | int | None = None
    ) -> None:
        num_embeddings = integer("Embedding", "num_embeddings", num_embeddings, least=1)
        embedding_dim = integer("Embedding", "embedding_dim", embedding_dim, least=1)
        if padding_idx is not None:
            given = integer("Embedding", "padding_idx", padding_idx)
            padding_idx = given + num_embeddings if given < 0 else given
            if not 0 <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: got padding_idx={given}, expected 0 to {num_embeddings - 1}")
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        table = as_generator(rng, "Embedding").normal(shape=(num_embeddings, embedding_dim))
        if padding_idx is not None:
            table[padding_idx] = 0.0
        self.weight = Parameter(table)

    def forward(self, index: Tensor | Array) -> Tensor:
        """The rows of the table."""
        if getattr(getattr(index, "dtype", None), "kind", None) not in ("i", "u"):
            raise TypeError(f"Embedding: got {described(index)}, expected integers: which rows to take")
        array = index.data if isinstance(index, Tensor) else index
        if not bool(ops.all((array >= 0) & (array < self.num_embeddings))):  # CuPy would wrap around
            raise IndexError(f"Embedding: got an index out of range, expected 0 to {self.num_embeddings - 1}")
        rows = ops.take(self.weight, index, axis=0)
        if self.padding_idx is None:
            return rows
        return ops.where(ops.expand_dims(array == self.padding_idx, axis=-1), rows.detach(), rows)

    def extra_repr(self) -> str:
        """The size of the table."""
        return settings_of(self, self.num_embeddings, self.embedding_dim, padding_idx=None)
