"""Step 5: the derivative of a derivative.

A VJP of tinyreg is written with ops. So when the backward is played with `create_graph=True`, what the VJPs do
is put on a tape too, and the gradient is a result like any other: it can be differentiated in turn.
`tr.grad(f)` is the function that gives the gradient of f, so `tr.grad(tr.grad(f))` gives the second derivative.
No op has a rule for that, and none is needed. For x * x * x at x = 5:

    value 125, first derivative 75, second derivative 30

The second derivatives of a function of many numbers are a matrix, the Hessian H, with a row and a column for
each number. For a million weights that is 10**12 numbers, but H times one vector v is only the gradient of
(gradient * v).sum(): `tr.hvp`. For w[0] * w[0] + 3 * w[0] * w[1], H is [[2, 3], [3, 0]], whose first column is

    H times [1.0, 0.0] is [2.0, 3.0]

Before you run this: what is H times [0.0, 1.0], and what are the third and fourth derivative of x * x * x at 5?

    python demos/internals/05_second_order.py
"""

from collections.abc import Callable

import tinyreg as tr


def cube(x: tr.Tensor) -> tr.Tensor:
    """x * x * x."""
    return x * x * x


def quadratic(w: tr.Tensor) -> tr.Tensor:
    """A function of two numbers."""
    return w[0] * w[0] + 3 * w[0] * w[1]


def derivatives(f: Callable[[tr.Tensor], tr.Tensor], x: float, n: int) -> list[str]:
    """The value of f at x, and its first n derivatives."""
    derived = []
    for _ in range(n + 1):
        derived.append(f"{f(tr.tensor(x)):g}")
        f = tr.grad(f)
    return derived


x = tr.tensor(5.0, requires_grad=True)
cube(x).backward(create_graph=True)
assert x.grad is not None
print("the tape of the first derivative, with what the VJPs of multiply did:")
print(tr.tape(x.grad, x=x), "\n")

value, first, second, third, fourth = derivatives(cube, 5.0, 4)
print(f"value {value}, first derivative {first}, second derivative {second}")

w = tr.tensor([10.0, -7.0])
for v in ([1.0, 0.0], [0.0, 1.0]):
    print(f"H times {v} is {tr.hvp(quadratic, w, tr.tensor(v)).numpy().tolist()}")
print(f"third derivative {third}, fourth derivative {fourth}")
