"""Step 4: broadcasting, and its undoing.

A layer adds one bias to every sample: x + b with x of shape (4, 3) and b of shape (3,). The array library acts
as if b stood there four times, once in each row. That is convenient, and it is one more use of a number that is
used several times: each element of b is in four sums, so by step 2 its gradient has four parts, and they add
up.

So the rule for the backward: where an axis was stretched, sum the gradient over that axis. `undo` below does
it, for axes that were put in front and for axes of length 1 that were made longer. In tinyreg the engine does
it, in one place, for every op that broadcasts; a VJP does not have to know. If it were forgotten, the gradient
of b would have the shape of x.

Let the incoming gradient be 1 everywhere, as it is for (x + b).sum(). Then

    b of shape (3,): its gradient is [4, 4, 4]

Before you run this: what is the gradient for b of shape (4, 1), and what for b of shape ()?

    python demos/internals/04_broadcasting_undone.py
"""

from typing import Any

import numpy as np

import tinyreg as tr


def undo(g: Any, shape: tuple[int, ...]) -> Any:
    """The gradient of an argument of that shape, from the gradient of what it was stretched to."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))  # axes put in front
    stretched = tuple(axis for axis, n in enumerate(shape) if n == 1 and g.shape[axis] != 1)
    return g.sum(axis=stretched, keepdims=True)


def of_tinyreg(shape: tuple[int, ...]) -> Any:
    """The gradient that tinyreg gives for the same sum."""
    return tr.grad(lambda b: (tr.zeros((4, 3)) + b).sum())(tr.zeros(shape)).numpy()


for shape in ((3,), (4, 1), ()):
    by_hand = undo(np.ones((4, 3)), shape)
    assert by_hand.shape == shape
    assert np.array_equal(by_hand, of_tinyreg(shape))
    print(f"b of shape {shape}: its gradient is {by_hand.astype(int).tolist()}")
