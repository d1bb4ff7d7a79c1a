"""Monte Carlo dropout: a network says where it does not know, because it has seen nothing there.

Run it: `python demos/examples/monte_carlo_dropout.py`
"""

import numpy as np
from matplotlib import pyplot as plt

import tinyreg as tr

STEPS = 3000

rng = np.random.default_rng(0)
x = np.concatenate([rng.uniform(-3, -1, 60), rng.uniform(0.5, 2.5, 60)])[:, None]
y = np.sin(2 * x) + 0.1 * rng.normal(size=x.shape)
inputs, targets = tr.tensor(x, dtype="float32"), tr.tensor(y, dtype="float32")

tr.seed(0)
nn = tr.nn
model = nn.Sequential(
    *(nn.Linear(1, 100), nn.ReLU(), nn.Dropout(0.05)),
    *(nn.Linear(100, 100), nn.ReLU(), nn.Dropout(0.05)),
    nn.Linear(100, 1, nonlinearity="linear"),
)
optimizer = tr.optim.Adam(model.parameters(), lr=0.003)
for _ in range(STEPS):
    optimizer.zero_grad()
    tr.losses.mse(model(inputs), targets).backward()
    optimizer.step()

grid = tr.tensor(np.linspace(-5, 5, 300), dtype="float32")
mean, deviation = (part.numpy()[:, 0] for part in nn.monte_carlo_predict(model, grid[:, None], passes=200))
grid = grid.numpy()
near = np.abs(grid[:, None] - x[:, 0]).min(axis=1) < 0.1
print(
    f"standard deviation of the passes: {deviation[near].mean():.2f} near the data, {deviation[~near].mean():.2f} elsewhere"
)

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for width in (1, 2):
    axes.fill_between(grid, mean - width * deviation, mean + width * deviation, color="#08306b", alpha=0.15, linewidth=0)
axes.plot(grid, mean, color="#08306b", label="mean of 200 passes, and 1 and 2 standard deviations")
axes.plot(grid, np.sin(2 * grid), ":", color="#7a7a7a", label="truth")
axes.plot(x, y, ".", color="#e6701a", label="data")
axes.legend(frameon=False, fontsize="small", loc="lower center")
axes.set(xlabel="x", ylim=(-3.5, 2.5))
figure.savefig("monte_carlo_dropout.png", dpi=150)
