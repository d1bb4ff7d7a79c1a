"""A Wasserstein GAN with gradient penalty, a gradient of second order: noise becomes points on eight islands.

Run it: `python demos/examples/wgan.py`
"""

import numpy as np
from matplotlib import pyplot as plt

import tinyreg as tr

STEPS = 1500
BATCH, CRITIC_STEPS = 128, 5
tr.seed(0)
nn, rng = tr.nn, np.random.default_rng(0)


def network(inputs, outputs):
    hidden = [nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(64, outputs))


def real(n):
    angle = rng.integers(0, 8, n) * np.pi / 4
    return tr.tensor(np.stack([np.cos(angle), np.sin(angle)], 1) + 0.05 * rng.normal(size=(n, 2)), dtype="float32")


def generated(n):
    return generator(tr.tensor(rng.normal(size=(n, 2)), dtype="float32"))


generator, critic = network(2, 2), network(2, 1)
of_generator = tr.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
of_critic = tr.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
distances = []
for _ in range(STEPS):
    for _ in range(CRITIC_STEPS):
        x, fake = real(BATCH), generated(BATCH).detach()
        share = tr.tensor(rng.random((BATCH, 1)), dtype="float32")
        distance = critic(x).mean() - critic(fake).mean()
        penalty = tr.regularizers.gradient_penalty(critic, share * x + (1 - share) * fake, 1.0, target=1.0)
        of_critic.zero_grad()
        (penalty - distance).backward()
        of_critic.step()
    of_generator.zero_grad()
    (-critic(generated(BATCH)).mean()).backward()
    of_generator.step()
    distances.append(distance.item())

z = generated(1000).numpy() @ [1, 1j]
on_island = np.abs(z - np.exp(np.round(4 / np.pi * np.angle(z)) * np.pi / 4 * 1j)) < 0.2
print(f"{on_island.mean():.0%} of the points are on an island")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(*real(1000).T.numpy(), ".", color="#7a7a7a", markersize=3, label="real")
left.plot(z.real, z.imag, ".", color="#e6701a", markersize=3, label="generated")
left.set_aspect("equal")
left.legend(frameon=False, loc="center")
right.plot(distances, color="#08306b", linewidth=0.8)
right.set(xlabel="step", ylabel="distance, by the critic", ylim=(0, None))
figure.savefig("wgan.png", dpi=150)
