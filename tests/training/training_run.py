"""A run with everything random that there is, in a process of its own: test_training_killed.py kills it.

`python training_run.py CHECKPOINT RESULT` says where it is, a line at each moment, and goes on when it is answered.
"""

import os
import sys
from pathlib import Path

import tinyreg as tr
from tinyreg import training

MOMENTS = ("batch", "epoch", "half written", "written", "forced to disk", "replaced")


def say(moment):
    """Tell the parent, and wait for its answer."""
    sys.stdout.write(f"{moment}\n")
    sys.stdout.flush()
    sys.stdin.readline()


class Watched(training.Callback):
    """Says when a batch and an epoch end."""

    def on_batch_end(self, run):
        say("batch")

    def on_epoch_end(self, run):
        say("epoch")


class InHalves:
    """A file that is written in two halves."""

    def __init__(self, file):
        self.file, self.flush, self.fileno = file, file.flush, file.fileno

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        say("half written")
        self.file.write(data[len(data) // 2 :])
        say("written")


def watch_saving():
    """Put a moment between the steps of a save."""
    open_path, replace = Path.open, os.replace

    def open_in_halves(path, mode="r", **settings):
        file = open_path(path, mode, **settings)
        return InHalves(file) if path.suffix == ".part" else file

    def replace_slowly(*paths):
        say("forced to disk")
        replace(*paths)
        say("replaced")

    Path.open, os.replace = open_in_halves, replace_slowly


def network():
    """Dropout from the default generator and from one of its own, and statistics in buffers."""
    nn = tr.nn
    first = [nn.Linear(6, 16), nn.BatchNorm(16), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*first, nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.2, rng=tr.Generator(7)), nn.Linear(16, 3))


def objects():
    """What is trained, and what trains it, as at the start."""
    tr.seed(0)
    made = tr.Generator(1)
    x = tr.Tensor(made.normal(shape=(52, 6)))
    labels = tr.Tensor((x.numpy()[:, :3] + made.normal(shape=(52, 3))).argmax(axis=1))
    model = network()
    optimizer = tr.optim.AdamW(model.parameters(), lr=0.02)
    parts = {
        "model": model,
        "optimizer": optimizer,
        "schedule": tr.optim.CosineAnnealingLR(optimizer, T_max=8),
        "rng": tr.Generator(2),
        "early": training.EarlyStopping(patience=4),
    }
    return parts, (x[:40], labels[:40]), (x[40:], labels[40:])


def noisy(x, y, rng):
    return x + 0.1 * rng.normal(shape=x.shape), y


def train(checkpoint, callbacks=()):
    """The run; gives all that it left, and its history."""
    with tr.use("numpy"):
        return _train(*objects(), checkpoint, callbacks)


def _train(parts, data, validation, checkpoint, callbacks):
    history = training.fit(
        parts["model"],
        data,
        loss=tr.losses.cross_entropy,
        optimizer=parts["optimizer"],
        schedule=parts["schedule"],
        rng=parts["rng"],
        validation=validation,
        epochs=8,
        batch_size=16,
        transform=noisy,
        penalty=lambda model: tr.regularizers.l2(model.parameters(), 1e-3),
        clip_norm=1.0,
        metrics={"accuracy": lambda logits, labels: (tr.argmax(logits, axis=1) == labels).mean()},
        callbacks=[parts["early"], *callbacks],
        checkpoint=checkpoint,
        progress=False,
    )
    generators = {"default": tr.random.default_generator, "dropout": parts["model"][6].rng}
    return {**parts, **generators, "history": history}


def comparable(tree):
    """A tree with the bits of its tensors in their place, to be compared by ==."""
    if isinstance(tree, dict):
        return {key: comparable(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [comparable(value) for value in tree]
    return (str(tree.dtype), tree.shape, tree.numpy().tobytes()) if isinstance(tree, tr.Tensor) else tree


if __name__ == "__main__":
    checkpoint, result = sys.argv[1:]
    watch_saving()
    left = train(checkpoint, [Watched()])
    training.save(result, **left)
