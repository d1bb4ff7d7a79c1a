"""Mistakes of a user, each on a line that says which: a type checker refuses these lines and no other. It is never run."""

import tinyreg as tr
from tinyreg import losses, nn, optim

x = tr.tensor([1.0, 2.0], requires_grad=True)

tr.exp(x, betta=3)  # error: betta
tr.exp()  # error: too few
tr.exp(x, x)  # error: too many
tr.sum(x, axsi=0)  # error: axsi
tr.sum(x, keepdims="yes")  # error: keepdims
tr.sum(x, axis=0.5)  # error: axis
tr.gelu(x, approximat="tanh")  # error: approximat
tr.softmax(x, dim=0)  # error: dim
tr.concat(x, x, dim=0)  # error: dim
tr.svd(x).sum()  # error: tuple
tr.norm(x, 2, dim=0)  # error: dim
tr.maximum(x)  # error: too few
x.sum(axsi=0)  # error: axsi
x.mean(0, keepdim=True)  # error: keepdim
x.exp(2)  # error: too many
x.norm(dim=0)  # error: dim
x.cumsum(0)  # error: cumsum
tr.nosuch(x)  # error: nosuch
tr.zeros(2, 3)  # error: zeros
x.sum(0).backwards()  # error: backwards


class Net(nn.Module):
    """A network of a user."""

    def forward(self, x: tr.Tensor) -> tr.Tensor:
        """Twice x."""
        return 2 * x


net = Net()
net(x, 3)  # error: too many
net(x, scale=3.0)  # error: scale
net(x).sum(axsi=0)  # error: axsi
nn.Linear(2)  # error: too few
nn.Linear(2, 3)(x, x)  # error: too many
nn.LSTM(2, 3)(x).sum()  # error: tuple
losses.mse(x)  # error: too few
losses.mse(x, x, reduktion="sum")  # error: reduktion
losses.mse(x, x, reduction="average")  # error: reduction
losses.huber(x, x, delta="1")  # error: delta
losses.kl_divergence(x, x, dim=1)  # error: dim
tr.regularizers.l2(x, strengh=0.1)  # error: strengh
tr.metrics.accuracy(x)  # error: too few
optim.SGD(net.parameters(), learning_rate=0.1)  # error: learning_rate
tr.training.fit(net, (x, x), loss=losses.mse, optimizer=None, epochs=1, callbacks=[print])  # error: CallbackLike
tr.dropout.dropout(x, 0.5)  # error: training
tr.tensor([1.0], require_grad=True)  # error: require_grad


def cubed(x: tr.Tensor) -> tr.Tensor:
    """A scalar."""
    return (x * x * x).sum()


tr.grad(cubed)(x, 2)  # error: too many
tr.grad(cubed)(x).sum(axsi=0)  # error: axsi
tr.grad(cubed)(x, scael=2.0)  # error: scael
tr.grad(cubed, "x")  # error: grad


@tr.primitive
def power(xp: object, x: tr.Tensor, *, n: int = 3) -> tr.Tensor:
    """x to the power n."""
    return x**n


power(x, m=2)  # error: "m"
power(x, n="2")  # error: "n"
