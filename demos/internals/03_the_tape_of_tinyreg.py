"""Step 3: the same with tinyreg, and what a tape saves.

`requires_grad=True` says from where the tape is to begin, `backward` plays it, and `tr.tape` shows it. This is
the tape of step 2, y = x * x + x at x = 3:

    entry  op and inputs   result     saves        bytes
    #0     multiply(x, x)  float32[]  x1, x2 (#0)      4
    #1     add(#0, x)      float32[]

Look at "saves". The VJP of x1 * x2 needs x2 for x1, and x1 for x2, so an entry of multiply saves both; here
they are one number of 4 bytes, saved once. A sum answers g whatever it was given: it saves nothing. And the tape
saves only what it will need: where w is constant, nobody wants w's gradient, so nothing is saved for it. This is
the memory that grows with a network and with its batches.

Now a layer, tanh(x @ w), for 4 samples of 3 numbers, and 2 results each. tanh saves what goes into
it, by which it knows its slope: 4 x 2 numbers. The matrix product saves x for w's gradient: 4 x 3 numbers. A float32
has 4 bytes, so

    with w to be learned, the tape saves 80 bytes

Before you run this: how many bytes are saved if x is what is learned, and w is constant?

    python demos/internals/03_the_tape_of_tinyreg.py
"""

import tinyreg as tr

x = tr.tensor(3.0, requires_grad=True)
y = x * x + x
print(tr.tape(y, x=x))
y.backward()
print(f"\ny = {y:g}, its gradient {x.grad:g}")

z = tr.tensor(3.0, requires_grad=True)
doubled = z
for _ in range(10):
    doubled = doubled + doubled
print(f"doubled ten times: {len(tr.tape(doubled))} entries that save {tr.tape(doubled).nbytes} bytes,", end=" ")
doubled.backward()
print(f"and the gradient is {z.grad:,.0f}")


def layer(learned: str) -> tr.Tensor:
    """tanh(x @ w), with a tape that begins at x or at w."""
    x = tr.full((4, 3), 0.1, requires_grad=learned == "x")
    w = tr.full((3, 2), 0.1, requires_grad=learned == "w")
    y: tr.Tensor = tr.tanh(x @ w)
    return y


print(f"with w to be learned, the tape saves {tr.tape(layer('w')).nbytes} bytes")
tape = tr.tape(layer("x"))
of_w, of_tanh = (row.saved[0].nbytes for row in tape)
print(f"with x instead, {tape.nbytes} bytes: {of_w} of w, for the gradient of x, and {of_tanh} of what goes into tanh")
