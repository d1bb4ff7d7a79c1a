"""Step 7: a step as a program, and how often it goes over memory.

An op of a tape goes over its arrays once, and writes what comes out, for the next op to read. Of an array of a
million numbers, 4 MB, little is still in the processor's cache by then: small ops wait for memory.

Yet most steps do the same at each call. `tr.capture` records one, and replays it as a program, which can be
printed. Its executor for NumPy makes the same calls into memory that is planned beforehand. The one that
`pip install -e '.[native]'` brings joins ops that go over the same elements to a group: one loop, in machine
code, whose steps hand on a number where calls hand on an array. Of `bend`, which is four ops, the last lines of
the two programs are

    bend, by NumPy: 4 calls of 4 recorded; 2 blocks of 8000000 bytes, 0 bytes go out
    bend, native: 0 calls and 1 groups in 1 runs of 4 recorded; 1 blocks of 4000000 bytes, 0 bytes go out

A block is memory that results share; the first program writes four results of 4 MB into two of them in turn,
the second writes one. `standardized` is a layer norm. It has to know the mean of a row before it can subtract
it, and the mean of the squares before it can divide. (`step.program.save_html("program.html")` shows all of a
program beside its source, each block with what stands in it from call to call.)

Before you run this: by NumPy it is 7 calls. How many groups will it be, and how many bytes will its blocks have?
And `of_columns`, where the mean is over the first axis, so that it is known only where the last row is read?

    python demos/internals/07_a_step_as_a_program.py
"""

from collections.abc import Callable

import tinyreg as tr

x = tr.Generator(0).normal(shape=(1000, 1000))


def bend(x: tr.Tensor) -> tr.Tensor:
    """Four ops on each element by itself."""
    return tr.relu(x * 2.0 + 1.0) * 0.5


def standardized(x: tr.Tensor, axis: int = 1) -> tr.Tensor:
    """(x - mean) / sqrt(mean of squares + 1e-5), along an axis."""
    centred = x - x.mean(axis=axis, keepdims=True)
    return centred / tr.sqrt(tr.square(centred).mean(axis=axis, keepdims=True) + 1e-5)


def of_columns(x: tr.Tensor) -> tr.Tensor:
    """The same along the first axis."""
    return standardized(x, axis=0)


def last_line(f: Callable[[tr.Tensor], tr.Tensor], executor: str) -> str:
    """What the program of a function says in the end."""
    step = tr.capture(f, executor=executor)
    for _ in range(4):  # the first call runs as always, two are recorded, and then it is a program
        step(x)
    return str(step.program).splitlines()[-1]


for f in (bend, standardized, of_columns):
    print(f"{f.__name__}, by NumPy: {last_line(f, 'numpy')}")
    print(f"{f.__name__}, native: {last_line(f, 'native')}")
