"""State goes to PyTorch's modules of the same shape and back, and they then compute the same. Skipped without PyTorch."""

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import nn

torch = pytest.importorskip("torch")

rng = np.random.default_rng(3)
IMAGE, ROWS, TOKENS = rng.normal(size=(2, 4, 6, 5)), rng.normal(size=(5, 4)), rng.integers(0, 7, size=(3, 2))


def networks():
    """A network of each layer that both have, in training mode."""
    ours = nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1, groups=2),
        nn.BatchNorm(6, running="unbiased"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.GroupNorm(3, 6),
        nn.InstanceNorm(6, affine=True),
        nn.Flatten(),
        nn.Linear(36, 8),
        nn.LayerNorm(8),
        nn.GELU(),
        nn.Linear(8, 3, bias=False),
    )
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(4, 6, 3, padding=1, groups=2),
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.GroupNorm(3, 6),
        torch.nn.InstanceNorm2d(6, affine=True),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 8),
        torch.nn.LayerNorm(8),
        torch.nn.GELU(),
        torch.nn.Linear(8, 3, bias=False),
    )
    return ours, theirs


PAIRS = {
    "network": (*networks(), IMAGE),
    "embedding": (nn.Embedding(7, 3), torch.nn.Embedding(7, 3), TOKENS),
    "rms norm": (nn.RMSNorm(4), torch.nn.RMSNorm(4, eps=1e-6), ROWS),
    "batch norm of rows": (nn.BatchNorm(4, running="unbiased"), torch.nn.BatchNorm1d(4), ROWS),
}


def to_torch(state):
    return {name: torch.tensor(value.numpy()) for name, value in state.items()}


def compared(ours, theirs, data):
    x = data.astype("float32") if data.dtype.kind == "f" else data
    mine, other = ours(tr.tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(mine.numpy(), other.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_state_goes_to_pytorch(name):
    ours, theirs, data = PAIRS[name]
    theirs.load_state_dict(to_torch(ours.state_dict()), strict=True)
    compared(ours, theirs, data)  # in training, which moves the running averages of both
    compared(ours.eval(), theirs.eval(), data)
    for module in (ours, theirs):
        module.train()


@pytest.mark.parametrize("name", PAIRS)
def test_state_comes_from_pytorch(name):
    ours, theirs, data = PAIRS[name]
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    compared(ours, theirs, data)
    for (key, mine), (other, value) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert key == other
        np.testing.assert_allclose(mine.numpy(), value.numpy(), rtol=1e-5, atol=1e-7)
