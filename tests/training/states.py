"""What is saved in the tests of saving, and whether it came back."""

import numpy as np

import tinyreg as tr


def same(one, other):
    """Whether two trees are the same: kinds, keys in order, numbers, dtypes, shapes and bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, tr.Tensor):
        return one.backend == other.backend and same(one.numpy(), other.numpy())
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.strides, one.tobytes()) == (
            other.dtype,
            other.shape,
            other.strides,
            other.tobytes(),
        )
    return repr(one) == repr(other)


class Counter:
    """The least that has a state."""

    def __init__(self, count=0):
        self.count = count

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]
