"""An op of one's own in a model: with the snake activation a network goes on with what repeats, with relu it does not.

Source: Liu, Hartwig and Ueda, "Neural Networks Fail to Learn Periodic Functions and How to Fix It", 2020.

Run it: `python demos/examples/own_op.py`, after `pip install -e ".[testing]"` for the check of the derivative.
"""

import numpy as np
from matplotlib import pyplot as plt

import tinyreg as tr

STEPS = 3000


@tr.primitive
def snake(xp, x):
    """x + sin(x)^2."""
    return x + xp.sin(x) ** 2


@snake.vjp("x")
def _(g, x):
    return g * (1 + tr.sin(2 * x))


class Snake(tr.nn.Module):
    def forward(self, x):
        return snake(x)


print(tr.testing.check_gradients(snake, tr.tensor([-1.5, 0.3, 2.0])))

rng = np.random.default_rng(0)
x = rng.uniform(-8, 8, (200, 1))
inputs, targets = tr.tensor(x, dtype="float32"), tr.tensor(np.sin(x) + 0.1 * x, dtype="float32")
grid = np.linspace(-20, 20, 400)[:, None]
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.axvspan(-8, 8, color="#eeeeee")
axes.plot(grid, np.sin(grid) + 0.1 * grid, color="#7a7a7a", label="truth")
for activation, colour, dashes in ((tr.nn.ReLU, "#08306b", ":"), (Snake, "#e6701a", "--")):
    tr.seed(0)
    nn = tr.nn
    model = nn.Sequential(nn.Linear(1, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 1))
    optimizer = tr.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        tr.losses.mse(model(inputs), targets).backward()
        optimizer.step()
    with tr.no_grad():
        said = model(tr.tensor(grid, dtype="float32")).numpy()
    print(f"{activation.__name__}: root mean squared error {np.sqrt(np.mean((said - np.sin(grid) - 0.1 * grid) ** 2)):.2f}")
    axes.plot(grid, said, dashes, color=colour, label=activation.__name__.lower())
axes.legend(frameon=False)
axes.set(xlabel="x (data in the grey part)", ylim=(-4, 4))
figure.savefig("own_op.png", dpi=150)
