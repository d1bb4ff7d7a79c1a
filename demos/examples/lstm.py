"""An LSTM on sequences: it has seen waves of many periods, and goes on with one that it has not.

Run it: `python demos/examples/lstm.py`
"""

import numpy as np
from matplotlib import pyplot as plt

import tinyreg as tr

STEPS = 400
SEEN, TO_COME = 60, 60
tr.seed(0)
rng = np.random.default_rng(0)


def waves(periods):
    """One wave for each period, with any phase: (time, wave, 1)."""
    turns = np.arange(SEEN + TO_COME)[:, None] / np.asarray(periods) + rng.random(len(periods))
    return tr.tensor(np.sin(2 * np.pi * turns)[..., None], dtype="float32")


class Forecast(tr.nn.Module):
    def __init__(self):
        self.lstm = tr.nn.LSTM(1, 48)
        self.read = tr.nn.Linear(48, 1, nonlinearity="linear")

    def forward(self, x, state=None):
        hidden, state = self.lstm(x, state)
        return x + self.read(hidden), state  # the next value, at every time


model = Forecast()
optimizer = tr.optim.Adam(model.parameters(), lr=0.005)
for _ in range(STEPS):
    x = waves(rng.uniform(10, 40, 32))
    optimizer.zero_grad()
    tr.losses.mse(model(x[:-1])[0], x[1:]).backward()
    tr.optim.clip_grad_norm(model.parameters(), 1.0)
    optimizer.step()

truth = waves([17.0, 33.0])
with tr.no_grad():
    said, state = model(truth[:SEEN])
    values = [said[-1:]]
    while len(values) < TO_COME:  # it goes on with what it said itself
        said, state = model(values[-1], state)
        values.append(said)
truth, forecast = truth.numpy()[..., 0], tr.concat(values).numpy()[..., 0]
print(f"mean error of the {TO_COME} values to come: {np.abs(forecast - truth[SEEN:]).mean():.2f}")

figure, panels = plt.subplots(2, 1, figsize=(8, 4), layout="constrained", sharex=True)
for i, axes in enumerate(panels):
    axes.plot(truth[:, i], color="#7a7a7a", label="truth")
    axes.plot(range(SEEN, SEEN + TO_COME), forecast[:, i], "--", color="#e6701a", label="the LSTM goes on")
    axes.axvline(SEEN - 0.5, color="#444444", linewidth=0.8)
panels[0].set_ylim(-1.2, 2.2)
panels[0].legend(frameon=False, loc="upper left", ncols=2)
panels[1].set_xlabel("time")
figure.savefig("lstm.png", dpi=150)
