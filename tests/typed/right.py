"""Code of a user without a mistake: what each line gives stands behind it. It is checked, and never run."""

from typing import Any, assert_type

import numpy as np

import tinyreg as tr
from tinyreg import losses, nn, normalization, optim

x = tr.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
w = tr.ones((2, 2))


# ---- ops, methods, operators

assert_type(tr.exp(x), tr.Tensor)
assert_type(tr.sum(x, 0), tr.Tensor)
assert_type(tr.sum(x, axis=(0, 1), keepdims=True), tr.Tensor)
assert_type(tr.concat(x, w, axis=1), tr.Tensor)
assert_type(tr.concat([x, w]), tr.Tensor)
assert_type(tr.where(x > 0, x, 0.0), tr.Tensor)
assert_type(tr.maximum(x1=x, x2=1.0), tr.Tensor)
assert_type(tr.reshape(x, (4,)), tr.Tensor)
assert_type(tr.linear(x, w, None), tr.Tensor)
assert_type(tr.gelu(x, approximate="tanh"), tr.Tensor)
assert_type(tr.softmax(x, axis=-1), tr.Tensor)
assert_type(tr.norm(x, 2, axis=0), tr.Tensor)
assert_type(tr.svd(x), tuple[tr.Tensor, tr.Tensor, tr.Tensor])
assert_type(tr.qr(x), tuple[tr.Tensor, tr.Tensor])
assert_type(tr.unstack(x), tuple[tr.Tensor, ...])
assert_type(tr.topk(x, 1), tuple[tr.Tensor, tr.Tensor])

assert_type(x.sum(0), tr.Tensor)
assert_type(x.sum(axis=1, keepdims=True).exp(), tr.Tensor)
assert_type(x.reshape(4, 1), tr.Tensor)
assert_type(x.unstack(), tuple[tr.Tensor, ...])
assert_type(x.norm(2, axis=0), tr.Tensor)
assert_type(x.clip(0.0), tr.Tensor)
assert_type(x.astype("float64"), tr.Tensor)
assert_type(x.T, tr.Tensor)
assert_type(x[0, 1:], tr.Tensor)
assert_type(-x, tr.Tensor)
assert_type(x + 1, tr.Tensor)
assert_type(2.0 * x, tr.Tensor)
assert_type(x @ w, tr.Tensor)
assert_type(x**2, tr.Tensor)
assert_type(x == w, tr.Tensor)
assert_type(sum([x, w], start=x), tr.Tensor)
assert_type(max(x[0, 0], x[0, 1]), tr.Tensor)
assert_type(abs(x), tr.Tensor)
assert_type(tr.sum(x, axis=[0, 1]), tr.Tensor)
assert_type(x.reshape([4]), tr.Tensor)
assert_type(x > 1, tr.Tensor)
assert_type([row for row in x], list[tr.Tensor])  # noqa: C416
assert_type(x.shape, tuple[int, ...])
assert_type(x.ndim, int)
assert_type(x.numpy(), np.ndarray[Any, np.dtype[Any]])
assert_type(x.grad, tr.Tensor | None)
assert_type(x.requires_grad, bool)


# ---- layers, losses, optimizers


class Net(nn.Module):
    """A network of a user, whose forward says what a call takes and gives."""

    def __init__(self, hidden: int) -> None:
        self.inner = nn.Linear(2, hidden)
        self.activation = tr.relu
        self.outer = nn.WeightNorm(nn.Linear(hidden, 1))
        self.norm = nn.BatchNorm(hidden)

    def forward(self, x: tr.Tensor, scale: float = 1.0) -> tr.Tensor:
        """A hidden layer."""
        h = self.norm(self.activation(self.inner(x)))
        return scale * self.outer(h)


class Pair(nn.Module):
    """A network with two results."""

    def forward(self, x: tr.Tensor) -> tuple[tr.Tensor, tr.Tensor]:
        """Twice the same."""
        return x, x


net = Net(3)
assert_type(net(x), tr.Tensor)
assert_type(net(x, scale=2.0), tr.Tensor)
assert_type(net.train(), Net)
assert_type(Pair()(x), tuple[tr.Tensor, tr.Tensor])
assert_type(nn.Linear(2, 3)(x), tr.Tensor)
assert_type(nn.Sequential(nn.Linear(2, 3), nn.ReLU())(x), tr.Tensor)
assert_type(nn.Dropout(0.5)(x), tr.Tensor)
assert_type(nn.LSTM(2, 3)(x), tuple[tr.Tensor, tuple[tr.Tensor, tr.Tensor]])
assert_type(nn.GRU(2, 3)(x), tuple[tr.Tensor, tr.Tensor])
assert_type(nn.MultiHeadAttention(2, 1)(x, x, x)[0], tr.Tensor)
assert_type(losses.mse(net(x), w), tr.Tensor)
assert_type(losses.huber(x, x, delta=2.0, reduction="none"), tr.Tensor)
assert_type(losses.cross_entropy(x, w[0], label_smoothing=0.1, weight=tr.ones(3)), tr.Tensor)
assert_type(losses.kl_divergence(x, x, axis=1), tr.Tensor)
assert_type(tr.regularizers.group_lasso(x, 0.1, axis=1), tr.Tensor)
assert_type(tr.metrics.accuracy(x, w[0]), float)
assert_type(normalization.batch_norm(x), tr.Tensor)
assert_type(normalization.batch_norm(x, return_stats=True), tuple[tr.Tensor, tr.Tensor, tr.Tensor])
assert_type(tr.dropout.dropout(x, 0.5, training=True), tr.Tensor)
assert_type(tr.regularizers.l2(tr.regularizers.weights(net), 0.1), tr.Tensor)
optim.SGD(net.parameters(), lr=0.1).step()
losses.mse(net(x), w).backward()
sgd = optim.SGD(net.parameters(), lr=0.1)
early, proximal = tr.training.EarlyStopping(), optim.Proximal(net, l1=0.1)  # which is a callback by its methods
run = tr.training.fit(net, (x, w), loss=losses.mse, optimizer=sgd, epochs=1, callbacks=[early, proximal])
assert_type(run, tr.training.History)


# ---- functions of functions, ops of one's own


def cubed(x: tr.Tensor) -> tr.Tensor:
    """A scalar."""
    return (x * x * x).sum()


def scaled(a: tr.Tensor, scale: float = 1.0) -> tr.Tensor:
    """A scalar."""
    return (a * scale).sum()


assert_type(tr.grad(cubed)(x), tr.Tensor)
assert_type(tr.grad(lambda x: x * x)(2.0), tr.Tensor)
assert_type(tr.grad(scaled)(x, scale=2.0), tr.Tensor)
assert_type(tr.grad(scaled, (0, 1))(x), tuple[tr.Tensor, ...])
assert_type(tr.value_and_grad(cubed)(x), tuple[tr.Tensor, tr.Tensor])
assert_type(tr.vjp(cubed, x)[0], tr.Tensor)
assert_type(tr.jvp(cubed, x, x), tuple[tr.Tensor, tr.Tensor])
assert_type(tr.hvp(cubed, x, x), tr.Tensor)
assert_type(tr.hvp(cubed, (x,), (x,)), tuple[tr.Tensor, ...])
assert_type(tr.hessian(cubed)(x), tr.Tensor)
assert_type(tr.checkpoint(cubed)(x), tr.Tensor)
assert_type(tr.checkpoint(net)(x), tr.Tensor)


@tr.primitive
def power(xp: object, x: tr.Tensor, *, n: int = 3) -> tr.Tensor:
    """x to the power n."""
    return x**n


@power.vjp("x")
def _(g: tr.Tensor, x: tr.Tensor, n: int) -> tr.Tensor:
    return g * n * x ** (n - 1)


@tr.fused
def half_square(x: tr.Tensor) -> tr.Tensor:
    """Half of x^2."""
    return 0.5 * (x * x)


assert_type(power(x, n=2), tr.Tensor)
assert_type(half_square(x), tr.Tensor)

with tr.no_grad():
    assert_type(net(x).detach(), tr.Tensor)
