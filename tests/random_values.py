"""Random programs: the choice of what they do next, and the steps that give a value."""

from __future__ import annotations

import itertools

import numpy as np
import reference_tape as reference
from random_formulas import BINARY, UNARY, Known, Origin, incoming
from random_ops import STEEPEST, close

import tinyreg as tr

LARGEST = 4.0  # of a value, before tanh bounds it
MOST_ELEMENTS = 6
SCRATCH = 3  # the last columns, for what `tr.grad` and the like differentiate by
RECENT = 8  # the values among which most operands are chosen

PRELUDE = "import numpy as np\nfrom random_ops import *\n\nimport tinyreg as tr\n"
SPACE: dict = {}
exec(PRELUDE, SPACE)

SHAPES = [(), (2,), (3,), (1, 2), (2, 1), (2, 2)]
NUMBERS = [1.0, -1.0, 0.5, -0.75, 1.5, 0.0, -2.0]


class Values:
    """The values of a program, and how it comes to more of them."""

    def __init__(self, steps):
        self.steps = steps
        self.lines, self.space = [], dict(SPACE)
        self.values, self.leaves, self.origins = [], [], []  # origins: leaves and what was added to intermediates
        self.count, self.names = itertools.count(), itertools.count()
        self.spent, self.doubtful = set(), set()  # the leaves that have changed and entries that were freed; or perhaps
        self.versions = {}  # of the leaves that have changed
        self.counters = []  # buffers that checkpoints change, which have 7 by now
        self.columns = self.done = 0
        self.n = 0

    # ---- choosing, writing and checking

    def pick(self, options):
        """One of the options, by the number of this step."""
        self.n, i = divmod(self.n, len(options))
        return options[i]

    def value(self):
        recent = self.values[: -RECENT - 1 : -1]
        return self.pick(self.pick([recent, recent, recent, self.leaves]))

    def root(self):
        """A value whose gradient the reference knows."""
        return self.pick([x for x in self.values[::-1] if x.expected.order][: 2 * RECENT])

    def run(self, line):
        self.lines.append(line)
        exec(line, self.space)

    def check(self, name, x):
        """The tensor of this name is as it should be; the line that says so is written where it is not."""
        try:
            close(eval(name, self.space), x.expected.v, x.dtype, x.exact)
        except AssertionError:
            values = np.array2string(x.expected.v, separator=", ", floatmode="unique", max_line_width=10**6)
            self.lines.append(f"close({name}, {values}, {x.dtype!r}, exact={x.exact})")
            raise

    def claim(self, text):
        """A line that asserts: written where it fails."""
        if not eval(text, self.space):
            self.lines.append(f"assert {text}")
            raise AssertionError(text)

    def named(self):
        return f"v{next(self.names)}"

    def begin(self, array, dtype="float64"):
        columns = slice(self.columns, self.columns + array.size)
        self.columns = columns.stop
        leaf = Origin(f"x{len(self.origins)}", array, columns, next(self.count), dtype)
        self.run(f"{leaf.name} = tr.tensor({array.tolist()}, dtype={dtype!r}, requires_grad=True)")
        self.origins.append(leaf)
        return leaf

    def room_for(self, size):
        return self.columns + size + SCRATCH <= reference.COLUMNS

    def made(self, text, expected, *inputs, entry=None, dtype=None, certain=True):
        """Give a name to the value of an expression of these inputs."""
        name = self.named()
        self.run(f"{name} = {text}")
        return self.known(name, expected, *inputs, entry=entry, dtype=dtype, certain=certain)

    def known(self, name, expected, *inputs, entry=None, dtype=None, certain=True):
        """Take in the outcome of an op on these inputs, held to what it should be and kept within bounds."""
        leaves = frozenset().union(*(x.leaves for x in inputs))
        entry = next(self.count) if entry is None else entry
        entries = frozenset().union(*(x.entries for x in inputs), {entry})
        dtype = dtype or str(np.result_type(*(x.dtype for x in inputs)))
        exact = dtype == "float64" and all(x.exact for x in inputs)
        certain = certain and all(x.certain for x in inputs)
        x = Known(name, expected, dtype, leaves, entries if leaves else frozenset(), exact, certain)
        x.entry = entry
        self.check(name, x)
        self.settle(x)
        return self.bounded(x)

    def bounded(self, x):
        """Take in a value, or one within bounds that is made of it."""
        if x.size > MOST_ELEMENTS:
            return self.made(f"{x.name}.sum(axis=0)", reference.total(x.expected, 0), x)
        for form, expected in self.bounds(x.expected):
            return self.made(form.format(x.name), expected, x)
        self.values.append(x)
        return x

    def settle(self, x):
        """Whether it wants a gradient: that follows where it is certain on what it rests, and otherwise it is looked at."""
        if x.certain:
            self.claim(f"{x.name}.requires_grad is {bool(x.leaves)}")
            return
        x.wants = eval(f"{x.name}.requires_grad", self.space)
        if not x.wants:
            assert not any(part.any() for part in x.expected.parts[1:]), "it has a derivative, and wants no gradient"
            x.leaves = x.entries = frozenset()

    def bounds(self, x):
        """The ops that keep a value within bounds, where it needs some."""
        if np.abs(x.v).max(initial=0.0) > LARGEST:
            x = reference.tanh(x)
            yield "tr.tanh({0})", x
        if (steepest := max(np.abs(part).max(initial=0.0) for part in x.parts)) > STEEPEST:
            factor = 2.0 ** np.floor(np.log2(STEEPEST / steepest))
            yield f"({{0}} * {factor!r})", reference.scale(x, factor)

    def fitting(self, a, b):
        """b, or its sum where it does not broadcast to the shape of a."""
        try:
            if np.broadcast_shapes(a.shape, b.shape) == a.shape:
                return b
        except ValueError:
            pass
        return self.summed(b)

    def summed(self, b):
        return self.made(f"{b.name}.sum()", reference.all_total(b.expected), b)

    def formula(self, t, c):
        """An expression of t and perhaps c, each given by its text, value and dtype; the same for its result."""
        for _ in range(1 + self.pick([0, 1, 2])):
            if self.pick([True, True, False]):
                text = self.pick([*UNARY])
                t = f"({text.format(t[0])})", UNARY[text](t[1]), t[2]
            else:
                text = self.pick([*BINARY])
                t = f"({text.format(t[0], c[0])})", BINARY[text](t[1], c[1]), str(np.result_type(t[2], c[2]))
            for form, expected in self.bounds(t[1]):
                t = form.format(t[0]), expected, t[2]
        return t

    # ---- values

    def leaf_step(self):
        shape = self.pick(SHAPES)
        if self.room_for(6):
            dtype = self.pick(["float64", "float64", "float64", "float32"])
            leaf = self.begin(np.array([self.pick(NUMBERS) for _ in range(int(np.prod(shape)))]).reshape(shape), dtype)
            self.values.append(leaf)
            self.leaves.append(leaf)

    def constant(self):
        shape = self.pick(SHAPES)
        array = np.array([self.pick(NUMBERS) for _ in range(int(np.prod(shape)))]).reshape(shape)
        dtype = self.pick(["float64", "float32"])
        x = Known(self.named(), reference.constant(array), dtype, exact=dtype == "float64")
        self.run(f"{x.name} = tr.tensor({array.tolist()}, dtype={x.dtype!r})")
        self.values.append(x)

    def unary(self):
        x, text = self.value(), self.pick([*UNARY])
        self.made(text.format(x.name), UNARY[text](x.expected), x, certain="no_grad" not in text)

    def binary(self):
        a, text = self.value(), self.pick([*BINARY])
        b = self.fitting(a, self.value())
        self.made(text.format(a.name, b.name), BINARY[text](a.expected, b.expected), a, b, certain="scaled" not in text)

    def of_three(self):
        a, b = self.value(), self.value()
        b = b if b.shape == a.shape else a
        c = self.pick([a, b])
        expected = reference.multiply(b.expected, reference.add(a.expected, c.expected))
        self.made(f"mixed({a.name}, {b.name}, {c.name})", expected, a, b, c)

    def total(self):
        x, axis = self.value(), self.pick([0, 1, 2])
        axes = tuple(range(x.ndim)) if axis >= x.ndim else axis
        self.made(f"{x.name}.sum(axis={axes})", reference.total(x.expected, axes), x)

    def reshaped(self):
        x = self.value()
        self.reshaped_to(x, self.pick(["flat", "row", "column", "turned", "repeated"]))

    def reshaped_to(self, x, form):
        shape, axes = x.shape, tuple(reversed(range(x.ndim)))
        if form == "turned":
            return self.made(f"tr.permute_dims({x.name}, axes={axes})", reference.permute_dims(x.expected, axes), x)
        if form == "repeated":
            return self.made(
                f"tr.broadcast_to({x.name}, {(2, *shape)})", reference.broadcast_to(x.expected, (2, *shape)), x
            )
        to = {"flat": (x.size,), "row": (1, x.size), "column": (x.size, 1)}[form]
        return self.made(f"{x.name}.reshape({to})", reference.reshape(x.expected, to), x)

    def matmul(self):
        a, b = self.value(), self.value()
        if not (a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]):
            b, a = self.reshaped_to(a, "column"), self.reshaped_to(a, "row")
        if a.shape[1:] == b.shape[:1]:  # they may have been summed to keep them small
            self.made(f"{a.name} @ {b.name}", reference.matmul(a.expected, b.expected), a, b)

    def indexed(self):
        x, rows = self.value(), [self.pick([0, 1, 2]) for _ in range(1 + self.pick([0, 1, 2]))]
        key = [row % x.shape[0] for row in rows] if x.ndim and x.shape[0] else None
        text = "None" if key is None else f"np.array({key})"
        self.made(f"{x.name}[{text}]", reference.getitem(x.expected, key if key is None else np.array(key)), x)

    def joined(self):
        a, b, f = self.value(), self.value(), self.pick(["stack", "concat"])
        b = b if b.shape == a.shape else a
        if a.ndim or f == "stack":
            self.made(f"tr.{f}({a.name}, {b.name})", getattr(reference, f)(a.expected, b.expected), a, b)

    def several(self):
        """An op of several results, of which some are not used."""
        x, used, form = self.value(), self.pick([(0,), (1,), (0, 1)]), self.pick(["cos_sin", "sin_gated", "unstack"])
        if form == "unstack":
            text, rows = f"tr.unstack(tr.stack({x.name}, 2.0 * {x.name}))", [x.expected, reference.scale(x.expected, 2.0)]
        elif form == "sin_gated":
            text, rows = (
                f"sin_gated({x.name}, {x.name})",
                [reference.sin(x.expected), reference.multiply(*[x.expected] * 2)],
            )
        else:
            text, rows = f"cos_sin({x.name})", [reference.cos(x.expected), reference.sin(x.expected)]
        self.take_apart(text, rows, used, x)

    def take_apart(self, text, rows, used, *inputs, dtype=None):
        together, entry = self.named(), next(self.count)
        self.run(f"{together} = {text}")
        for i in used:
            name = self.named()
            self.run(f"{name} = {together}[{i}]")
            self.known(name, rows[i], *inputs, entry=entry, dtype=dtype)
        self.run(f"del {together}")

    def cut_off(self):
        x, how = self.value(), self.pick(["detached", "island", "interrupted", "frozen"])
        name = self.named()
        self.run(
            {
                "detached": f"{name} = {x.name}.detach()",
                "island": f"with tr.no_grad():\n    {name} = {x.name} * 1.0\n    with tr.no_grad():\n        pass",
                "interrupted": f"try:\n    with tr.no_grad():\n        {name} = tr.sin({x.name}) * 0.0 + {x.name}\n"
                "        raise KeyError\nexcept KeyError:\n    pass",
                "frozen": f"@tr.no_grad\ndef frozen(t):\n    return t * 1.0\n{name} = frozen({x.name})",
            }[how]
        )
        y = Known(name, reference.constant(x.expected.v, x.expected.order), x.dtype, exact=x.exact)
        self.check(name, y)
        self.settle(y)
        self.values.append(y)

    def in_context(self):
        x, text = self.value(), self.pick([*UNARY])
        name = self.named()
        contexts = [
            "tr.explain()",
            "tr.use('standin')",
            "tr.unchecked('labels')",
            "np.errstate(all='raise')",
            "strength(2.0)",
        ]
        self.run(f"with {self.pick(contexts)}:\n    {name} = {text.format(x.name)}")
        self.known(name, UNARY[text](x.expected), x, certain="no_grad" not in text)

    def cast(self):
        x, dtype = self.value(), self.pick(["float64", "float32"])
        self.made(f"{x.name}.astype({dtype!r})", x.expected, x, dtype=dtype)

    # ---- functions that run again, and their derivatives

    def checkpointed(self):
        """A function that closes over a value, draws numbers and may be nested, with one result or several."""
        x = self.value()
        c, form, nested = (
            self.fitting(x, self.value()),
            self.pick(["one", "two", "dict", "draws", "draws", "counts"]),
            self.pick([0, 0, 1, 2]),
        )
        (first, *one), (second, *two) = (
            self.formula(("t", x.expected, x.dtype), ("c", c.expected, c.dtype)) for _ in range(2)
        )
        inputs, i = (x, c), next(self.names)
        checkpoint = "tr.checkpoint(" * (1 + nested) + f"f{i}" + ")" * (1 + nested)
        if form == "draws":
            self.run(
                f"rng = tr.Generator({i})\ndef f{i}(t, c={c.name}, rng=rng):\n    y = {first}\n"
                f"    return y * rng.uniform(0.5, 1.5, shape=y.shape, dtype={one[1]!r})"
            )
            drawn = tr.Generator(i).uniform(0.5, 1.5, shape=one[0].v.shape, dtype=one[1])
            self.uncertain(
                f"{checkpoint}({x.name})", reference.multiply(one[0], reference.constant(drawn)), one[1], *inputs
            )
            self.claim(f"rng.uniform() == (lambda r: r.uniform(shape=1 + {one[0].v.size})[-1])(tr.Generator({i}))")
            return
        if form == "counts":
            number = self.pick([1.0, 2.0, -1.0])
            self.run(
                f"n{i} = tr.tensor({number}, dtype={one[1]!r})\ndef f{i}(t, c={c.name}, n=n{i}):\n    y = {first}\n"
                f"    n.assign(n + 1.0)\n    return y * n * strength.get()"
            )
            name = self.named()
            self.run(f"with strength(0.5):\n    {name} = {checkpoint}({x.name})\nn{i}.assign(7.0)")
            self.known(name, reference.scale(one[0], 0.5 * (number + 1.0)), x, c, dtype=one[1], certain=False)
            self.counters.append(f"n{i}")
            return
        results = {"one": "y", "two": f"(y, 3.0, {second})", "dict": f'{{"y": y, "z": [{second}]}}'}[form]
        self.run(f"def f{i}(t, c={c.name}):\n    y = {first}\n    return {results}")
        call = f"{checkpoint}({x.name})" if self.pick([True, False]) else f"{checkpoint}(t={x.name})"
        if form == "one":
            self.uncertain(call, *one, *inputs)
            return
        places = ("[0]", "[2]") if form == "two" else ('["y"]', '["z"][0]')
        whole, entry = self.named(), next(self.count)
        self.run(f"{whole} = {call}")
        for place, y in zip(places, (one, two), strict=True):
            if self.pick([True, True, False]):
                self.uncertain(f"{whole}{place}", *y, *inputs, entry=entry)
        self.run(f"del {whole}")

    def uncertain(self, text, expected, dtype, *inputs, entry=None):
        """A value that rests on some of the inputs, since a formula may leave one out, or differentiate it away."""
        return self.made(text, expected, *inputs, entry=entry, dtype=dtype, certain=False)

    def transformed(self):
        """A derivative of a function in the midst of a program, itself to be differentiated: at x + p with p = 0 by p."""
        x = self.value()
        x = x if x.size <= SCRATCH else self.summed(x)
        if x.expected.order < 2:
            return
        c = self.fitting(x, self.value())
        scratch = slice(reference.COLUMNS - SCRATCH, reference.COLUMNS - SCRATCH + x.size)
        t = reference.add(x.expected, reference.leaf(np.zeros(x.shape), scratch))
        text, inner, result = self.formula(("t", t, x.dtype), ("c", c.expected, c.dtype))
        scalar = reference.all_total(inner)
        if not scalar.order:
            return
        f = f"lambda t, c={c.name}: ({text}).sum()"
        slope = reference.slope(scalar, scratch, x.shape)
        weights = reference.constant(incoming(x.shape, 1.0))
        along = reference.all_total(reference.multiply(slope, weights))
        form = self.pick(["grad", "grad", "of grad", "hvp", "jvp", "vjp", "value"])
        u = f"np.array({incoming(x.shape, 1.0).tolist()}, dtype={x.dtype!r})"
        if form in ("of grad", "hvp") and slope.order < 1:
            form = "grad"
        text, expected = {
            "grad": lambda: (f"tr.grad({f})({x.name})", slope),
            "value": lambda: (f"tr.value_and_grad({f})({x.name})[1]", slope),
            "vjp": lambda: (f"tr.vjp({f}, {x.name})[1](1.0)[0]", slope),
            "jvp": lambda: (f"tr.jvp({f}, {x.name}, {u})[1]", along),
            "hvp": lambda: (f"tr.hvp({f}, {x.name}, {u})", reference.slope(along, scratch, x.shape)),
            "of grad": lambda: (
                f"tr.grad(lambda t: (tr.grad({f})(t) * {u}).sum())({x.name})",
                reference.slope(along, scratch, x.shape),
            ),
        }[form]()
        dtype = result if form == "jvp" else x.dtype
        self.made(text, reference.without(expected, scratch), x, c, dtype=dtype, certain=False)
