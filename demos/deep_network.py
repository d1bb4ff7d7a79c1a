"""A deep network for digits of 8 x 8 pixels, with a choice of what stands between its layers, and layers to put there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tinyreg as tr

from .sizes import wide

DEPTH, WIDTH = 6, 32
Between = Callable[[], Sequence[tr.nn.Module]]


def deep(rng: tr.Generator, between: Between, scale: float = 1.0) -> tr.nn.Sequential:
    """64-32-...-32-10 with DEPTH hidden layers, each followed by what between() gives; initial weights times `scale`."""
    layers: list[tr.nn.Module] = []
    width = wide(WIDTH)
    for inputs in [64] + [width] * (DEPTH - 1):
        layers += [scaled(tr.nn.Linear(inputs, width, rng=rng), scale), *between()]
    return tr.nn.Sequential(*layers, scaled(tr.nn.Linear(width, 10, nonlinearity="linear", rng=rng), scale))


def scaled(layer: tr.nn.Linear, scale: float) -> tr.nn.Linear:
    """The layer, its weight multiplied."""
    layer.weight.assign(scale * layer.weight.detach())
    return layer


class GroupedBatchNorm(tr.nn.BatchNorm):
    """Batch norm by the statistics of groups of `size` samples of the batch: their noise without that of small batches.

    The batch must be a multiple of `size`, or smaller than that: then it is one group.

    Source: Hoffer, Hubara and Soudry, "Train longer, generalize better", 2017, where it is ghost batch normalization.
    """

    def __init__(self, num_features: int, size: int) -> None:
        super().__init__(num_features)
        self.size = size

    def forward(self, x: tr.Tensor) -> tr.Tensor:
        """Each group by itself in training; by running averages out of it."""
        groups = tr.split(x, max(len(x) // self.size, 1)) if self.training else [x]
        y: tr.Tensor = tr.concat(*[super(GroupedBatchNorm, self).forward(group) for group in groups], axis=0)
        return y


class Watch(tr.nn.Module):
    """Hands on what it gets, (N, C), and keeps the mean and standard deviation of each unit over an epoch of training."""

    def __init__(self) -> None:
        self.batches: list[tuple[tr.Tensor, tr.Tensor]] = []
        self.epochs: list[tuple[tr.Tensor, tr.Tensor]] = []

    def forward(self, x: tr.Tensor) -> tr.Tensor:
        """Returns x; batches are taken to be of one size."""
        if self.training:
            seen = x.detach()
            self.batches.append((seen.mean(axis=0), tr.square(seen).mean(axis=0)))
        return x

    def end_epoch(self) -> None:
        """The batches since the last time are an epoch."""
        mean, square = (sum(values) / len(self.batches) for values in zip(*self.batches, strict=True))
        self.epochs.append((mean, tr.sqrt(tr.maximum(square - mean * mean, 0.0))))
        self.batches = []

    def moves(self) -> list[float]:
        """From each epoch to the next: how far units move, in standard deviations that they had.

        The distance is the Wasserstein-2 distance of normal distributions, |(mean, std) - (mean', std')|; distances and
        standard deviations are root mean squares over units.
        """
        return [
            (tr.sqrt((tr.square(mean - old_mean) + tr.square(std - old_std)).sum() / tr.square(old_std).sum())).item()
            for (old_mean, old_std), (mean, std) in zip(self.epochs, self.epochs[1:], strict=False)
        ]


class Watching(tr.training.Callback):
    """Tells each of its watches where an epoch ends."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self.watches = watches

    def on_epoch_end(self, run: tr.training.Run) -> None:
        """One epoch is done."""
        for watch in self.watches:
            watch.end_epoch()
