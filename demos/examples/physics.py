"""A physics-informed network: it solves u'' = -u, u(0) = 0, u'(0) = 1, though nobody shows it the solution, sin.

The loss has second derivatives of the network in it, so training takes third ones.

Run it: `python demos/examples/physics.py`
"""

import numpy as np
from matplotlib import pyplot as plt

import tinyreg as tr

STEPS = 2000

tr.seed(0)
nn = tr.nn
model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1, nonlinearity="linear"))
optimizer = tr.optim.Adam(model.parameters(), lr=0.01)
schedule = tr.optim.CosineAnnealingLR(optimizer, STEPS)
times = tr.tensor(np.linspace(0, 2 * np.pi, 60)[:, None], dtype="float32")


def u(t):
    """What is sought; 0 at 0 whatever the network says."""
    return t * model(t)


slope = tr.grad(lambda t: u(t).sum())
curvature = tr.grad(lambda t: slope(t).sum())
losses = []
for _ in range(STEPS):
    optimizer.zero_grad()
    equation = tr.losses.mse(curvature(times), -u(times))
    start = tr.square(slope(tr.zeros((1, 1))) - 1).sum()
    loss = equation + start
    loss.backward()
    optimizer.step()
    schedule.step()
    losses.append(loss.item())

with tr.no_grad():
    found = u(times).numpy()[:, 0]
t = times.numpy()[:, 0]
print(f"largest error of u on [0, 2 pi]: {np.abs(found - np.sin(t)).max():.3f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.plot(t, np.sin(t), color="#7a7a7a", label="sin t")
left.plot(t, found, "--", color="#e6701a", label="the network")
left.set(xlabel="t", ylabel="u")
left.legend(frameon=False)
right.semilogy(losses, color="#08306b", linewidth=0.8)
right.set(xlabel="step", ylabel="loss")
figure.savefig("physics.png", dpi=150)
