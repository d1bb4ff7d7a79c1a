"""Step 1: one op, forward and back, by hand.

A program works out a number, the loss, by one op after another. Its gradient says how fast the loss changes
with each number that went in: where it is 20, a number larger by 0.001 makes the loss larger by about 0.020.

No op has to see the whole program for that. It is given g, how fast the loss changes with the op's *result*, and
answers how fast it changes with each of the op's *arguments*. This answer is called its vector-Jacobian
product, VJP. Take a * b: where a grows by a little, the product grows b times as much, and the loss g times as
much as the product. So the answers are g * b for a, and g * a for b.

Here is a neuron with one weight. It should give 1 for the input 2, and its weight is 3:

    product = w * x           6
    error   = product - 1     5
    loss    = error * error   25

Now back, from the last op to the first. The loss changes as fast as itself, so the first g is 1. The last op is
asked for both of its arguments; both are error, so error gets two parts, and they add up:

    error * error   gives error    10 = 5 + 5
    product - 1     gives product  10
    w * x           gives w        20

Before you run this: the script then takes one step against the gradient, w - 0.125 * 20. What will the loss be?

    python demos/internals/01_one_op_by_hand.py
"""

x = 2.0  # the input


def multiply(a: float, b: float) -> float:
    """The op: forward."""
    return a * b


def multiply_vjp(g: float, a: float, b: float) -> tuple[float, float]:
    """The op, backward: what it answers for a and for b, given g."""
    return g * b, g * a


def forward(w: float) -> tuple[float, float, float]:
    """The three ops, in order."""
    product = multiply(w, x)
    error = product - 1.0
    return product, error, multiply(error, error)


def backward(w: float) -> tuple[float, float, float]:
    """The answers of the three ops, in reverse order: the gradients of error, product and w."""
    _, error, _ = forward(w)
    for_first, for_second = multiply_vjp(1.0, error, error)
    for_error = for_first + for_second
    for_product = for_error  # a difference passes on what it is given: product - 1 changes as fast as product
    for_w, _ = multiply_vjp(for_product, w, x)
    return for_error, for_product, for_w


w = 3.0
for op, result in zip(("product = w * x", "error   = product - 1", "loss    = error * error"), forward(w), strict=True):
    print(f"{op:<25} {result:g}")

for_error, for_product, for_w = backward(w)
print(f"error * error   gives error    {for_error:g} = {for_error / 2:g} + {for_error / 2:g}")
print(f"product - 1     gives product  {for_product:g}")
print(f"w * x           gives w        {for_w:g}")

change = forward(w + 0.001)[-1] - forward(w)[-1]
print(f"w larger by 0.001: the loss is larger by {change:.3f}")

print(f"after one step w is {w - 0.125 * for_w:g}, and the loss is {forward(w - 0.125 * for_w)[-1]:g}")
