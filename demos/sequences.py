"""Digits of 8 x 8 pixels as sequences, of one length or of many, and networks that read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinyreg as tr

from .data import Split
from .sizes import wide

FEATURES, HEADS, HIDDEN = 32, 4, 64
Norm = Callable[[int], tr.nn.Module]  # of a number of features


def pixels(digits: Split) -> Split:
    """Pixel by pixel, row after row: inputs of shape (N, 64, 1)."""
    return Split(digits.inputs.reshape((len(digits.labels), 64, 1)), digits.labels)


def inked_columns(digits: Split) -> Split:
    """Column by column, those without ink left out: inputs of shape (N, 8, 8), in the end of which 0 is padding."""
    columns = digits.inputs.numpy().reshape(-1, 8, 8).transpose(0, 2, 1)
    empty_last = np.argsort(~columns.any(axis=2), axis=1, kind="stable")
    moved = np.take_along_axis(columns, empty_last[:, :, None], axis=1)
    return Split(tr.tensor(moved, backend=digits.inputs.backend), digits.labels)


def padding(columns: tr.Tensor) -> tr.Tensor:
    """Where a sequence of `inked_columns` is over: booleans of shape (N, 8)."""
    over: tr.Tensor = tr.all(columns == 0, axis=2)
    return over


class LastState(tr.nn.Module):
    """The last h of a recurrent network alone, (N, hidden): a Sequential hands on one result."""

    def __init__(self, reader: tr.nn.RNN | tr.nn.LSTM) -> None:
        self.reader = reader

    def forward(self, x: tr.Tensor, lengths: tr.Tensor | None = None) -> tr.Tensor:
        """h after the last step of each sequence."""
        _, state = self.reader(x, lengths=lengths)
        h: tr.Tensor = state[0] if isinstance(state, tuple) else state  # an LSTM has a memory c too
        return h[0]


class NormalizedLSTM(tr.nn.LSTM):
    """An LSTM with a norm on both of the sums that go into the gates, the same at each step.

    In the source the memory c is normalized too.

    Source: Ba, Kiros and Hinton, "Layer Normalization", 2016.
    """

    def __init__(self, norm: Norm, rng: tr.Generator) -> None:
        super().__init__(8, wide(FEATURES), batch_first=True, rng=rng)
        self.norm_x, self.norm_h = norm(4 * wide(FEATURES)), norm(4 * wide(FEATURES))

    def step(self, x: Any, h: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        """A step of an LSTM."""
        return super().step(self.norm_x(x), self.norm_h(h), state)


class ColumnLSTM(tr.nn.Module):
    """Of sequences that end in padding, (N, T, 8): the last h of a `NormalizedLSTM`."""

    def __init__(self, norm: Norm, rng: tr.Generator) -> None:
        self.last = LastState(NormalizedLSTM(norm, rng))

    def forward(self, x: tr.Tensor) -> tr.Tensor:
        """(N, FEATURES)."""
        return self.last(x, lengths=tr.logical_not(padding(x)).sum(axis=1))


class ColumnTransformer(tr.nn.Module):
    """Of sequences that end in padding, (N, T, 8), T up to 8: the mean of block(W x + positions) where there is none."""

    def __init__(self, norm: Norm, rng: tr.Generator) -> None:
        self.project = tr.nn.Linear(8, wide(FEATURES), nonlinearity="linear", rng=rng)
        self.positions = tr.nn.Parameter(rng.normal(shape=(8, wide(FEATURES))))
        self.block = tr.nn.TransformerBlock(wide(FEATURES), HEADS, wide(HIDDEN), dropout=0.0, batch_first=True, rng=rng)
        for name in ("norm1", "norm2"):
            setattr(self.block, name, norm(wide(FEATURES)))

    def forward(self, x: tr.Tensor) -> tr.Tensor:
        """(N, FEATURES)."""
        over = padding(x)
        y = self.block(self.project(x) + self.positions[: x.shape[1]], src_key_padding_mask=over)
        there = tr.astype(tr.logical_not(over), "float32")[:, :, None]
        mean: tr.Tensor = (y * there).sum(axis=1) / there.sum(axis=1)
        return mean
