"""Overfitting and one cure: a network learns wrong labels by heart, and with dropout it does not.

300 digits to learn from, and 30% of their labels are drawn anew.

Run it: `python demos/examples/overfitting.py`
"""

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

import tinyreg as tr

EPOCHS = 120

rng = np.random.default_rng(0)
images, labels = load_digits(return_X_y=True)
order = rng.permutation(len(labels))
images, labels = tr.tensor(images[order] / 16, dtype="float32"), labels[order]
noisy = np.where(rng.random(300) < 0.3, rng.integers(0, 10, 300), labels[:300])
learned, others = (images[:300], tr.tensor(noisy)), (images[300:], tr.tensor(labels[300:]))


def history(dropout):
    """Train, and give what was seen after each epoch."""
    tr.seed(0)
    nn = tr.nn
    model = nn.Sequential(
        *(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(dropout)),
        *(nn.Linear(128, 128), nn.ReLU(), nn.Dropout(dropout)),
        nn.Linear(128, 10),
    )
    return tr.training.fit(
        model,
        learned,
        validation=[others],
        loss=tr.losses.cross_entropy,
        optimizer=tr.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        metrics={"accuracy": tr.metrics.accuracy},
        epochs=EPOCHS,
        batch_size=25,
        progress=False,
    )


figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
for axes, dropout in zip(panels, (0.0, 0.5), strict=True):
    seen = history(dropout)
    accuracy = 100 * seen["validation_accuracy"][-1]
    print(f"dropout {dropout}: {accuracy:.1f}% of other digits at the end, loss {seen['validation_loss'][-1]:.2f} nats")
    axes.plot(seen["loss"], color="#08306b", label="learned")
    axes.plot(seen["validation_loss"], "--", color="#e6701a", label="others")
    axes.set(title=f"dropout {dropout}: {accuracy:.0f}%", xlabel="epoch", ylim=(0, 4))
panels[0].set_ylabel("loss (nats)")
panels[0].legend(frameon=False)
figure.savefig("overfitting.png", dpi=150)
