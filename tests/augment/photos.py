"""Colour images for tests and demos: pieces of the two photographs that come with scikit-learn."""

import numpy as np


def patches(n, size=32, seed=0):
    """n square pieces of the two photographs, by turns, from random places: (n, 3, size, size), float32 in [0, 1]."""
    from sklearn.datasets import load_sample_image

    rng = np.random.default_rng(seed)
    pictures = [load_sample_image(name).transpose(2, 0, 1) / np.float32(255) for name in ("china.jpg", "flower.jpg")]
    found = []
    for i in range(n):
        picture = pictures[i % 2]
        top, left = (int(rng.integers(0, length - size + 1)) for length in picture.shape[1:])
        found.append(picture[:, top : top + size, left : left + size])
    return np.stack(found) if found else np.empty((0, 3, size, size), dtype=np.float32)
