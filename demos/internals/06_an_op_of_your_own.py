"""Step 6: an op of your own, checked, and watched failing.

An op is one function of arrays, with its VJP beside it. This one is a bell curve, exp(-x * x). Its derivative
is -2 * x * y, where y is the result; by naming x and y, the VJP says what the tape is to keep. `xp` is the
array library, NumPy or CuPy.

A derivative is easily got wrong, and a network often learns in spite of it. But it can be measured: move x by a
little, and see how the result moves. `tr.testing.check_gradients` does so, for the derivative and for the
derivative of the derivative, and says how far the two can be trusted; it needs `pip install -e '.[testing]'`. Of
the right VJP it says

    first order pass, second order pass

Two wrong ones follow. The first forgets the 2. The second gives the right numbers, but takes y off the tape, as
happens where a result is stored elsewhere and used again: whoever differentiates this VJP does not see that y
depends on x.

Before you run this: the check measures by what factor a gradient is off. Which factor will it name for the
first? And of the two orders, which will it find wrong in the second?

    python demos/internals/06_an_op_of_your_own.py
"""

from typing import Any

import tinyreg as tr


@tr.primitive
def bell(xp: Any, x: Any) -> Any:
    """exp(-x * x), elementwise."""
    return xp.exp(-x * x)


@bell.vjp("x")
def right(g: Any, x: Any, y: Any) -> Any:
    """g times the derivative."""
    return g * -2 * x * y


def without_the_2(g: Any, x: Any, y: Any) -> Any:
    """A factor is missing."""
    return g * -1 * x * y


def off_the_tape(g: Any, x: Any, y: Any) -> Any:
    """Right in its numbers; but y is cut off from x where it is a Tensor, as it is for second derivatives."""
    return g * -2 * x * (y.detach() if isinstance(y, tr.Tensor) else y)


def check() -> tr.testing.Report:
    """What is said of the op as it is now."""
    report = tr.testing.check_gradients(bell, [0.5, -1.5])
    verdicts = {one.key: one.verdict.value for one in report.checked}
    print(f"first order {verdicts['P3']}, second order {verdicts.get('P10', 'not tried')}")
    return report


print(f"the slope at 0.5 is {tr.grad(bell)(0.5):.4f}")
check()

print("\nwithout the 2:")
bell.vjp("x")(without_the_2)  # the VJP that was declared last counts
print(check().failures[0].partition("\n  reproduce")[0])

print("\ny off the tape:")
bell.vjp("x")(off_the_tape)
print(f"the slope at 0.5 is {tr.grad(bell)(0.5):.4f}")
check()
