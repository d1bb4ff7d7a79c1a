"""Random programs for the engine, run in step over tinyreg and over the naive reference.

A program is a list of steps, pairs of a kind and a number; the number decides all else, among what there is by then, so
that any part of a list is a program too. What tinyreg is to do is written as Python, a line at a time, and run: a failure
shows these lines, with what was expected at their end, and so can be pasted and run alone.
"""

from __future__ import annotations

import functools

import numpy as np
import reference_tape as reference
from random_formulas import Known, Origin, incoming
from random_values import NUMBERS, PRELUDE, Values

FACTORS = [1.0, -1.0, -3.75, 0.25, 1000.0]
SPENT = ("was changed after the tape used it", "was freed by an earlier backward")


class Program(Values):
    """A run of a list of steps."""

    # ---- running all steps

    def play(self):
        self.leaf_step()
        for kind, number in self.steps:
            self.n = number
            STEPS[kind](self)
            self.done += 1
        self.compare()
        self.finish()

    def finish(self):
        """The way back over everything at once; and twice, if the number of steps is odd."""
        roots = [x for x in self.values if x.wants and x.expected.order and self.is_whole(x)]
        if not roots:
            return
        name = self.named()
        self.run(f"{name} = " + " + ".join(f"{x.name}.sum()" for x in roots))
        expected = functools.reduce(reference.add, [reference.all_total(x.expected) for x in roots])
        loss = self.known(name, expected, *roots)
        graph = len(self.steps) % 2 == 1
        self.give_up()
        self.run(f"{loss.name}.backward(create_graph={graph})")
        self.take_gradients(loss, np.array(1.0), graph, as_values=False)
        self.compare()
        grads = [leaf for leaf in self.origins if leaf.grad and leaf.grad.expected.order and leaf.grad.wants]
        if not graph or not grads:
            return
        name = self.named()
        self.run(
            f"{name} = " + " + ".join(f"({x.name}.grad * np.array({incoming(x.shape, 0.5).tolist()})).sum()" for x in grads)
        )
        weighed = [reference.multiply(x.grad.expected, reference.constant(incoming(x.shape, 0.5))) for x in grads]
        along = self.known(
            name,
            functools.reduce(reference.add, map(reference.all_total, weighed)),
            *(x.grad for x in grads),
            dtype="float64",
        )
        if along.wants and along.expected.order:
            self.give_up()
            self.run(f"{along.name}.backward()")
            self.take_gradients(along, np.array(1.0), graph=False)
            self.compare()

    def source(self):
        return "\n".join([PRELUDE, *self.lines])

    # ---- leaves

    def forget(self):
        """Nothing names a value any more."""
        i = self.pick(range(len(self.values)))
        if not isinstance(self.values[i], Origin) and self.values[i].name not in {p.probed for p in self.origins}:
            self.run(f"del {self.values.pop(i).name}")

    def changed(self):
        leaf, how = self.pick(self.leaves), self.pick(["assign", "data", "frozen"])
        numbers = leaf.expected.v
        if how == "frozen":  # and what it was afterwards
            self.run(f"{leaf.name}.requires_grad = False\n{leaf.name}.requires_grad = True")
            return
        if how == "assign":
            numbers = np.array([self.pick(NUMBERS) for _ in range(leaf.size)]).reshape(leaf.shape)
            self.run(f"a = np.array({numbers.tolist()})\nassert {leaf.name}.assign(a) is {leaf.name}\na[...] = 99.0")
        else:
            self.run(f"{leaf.name}.data += 0.0")  # other values may share its array
        self.spent |= leaf.leaves
        self.versions[min(leaf.leaves)] = leaf.version
        leaf.version += 1
        leaf.expected, leaf.leaves = reference.leaf(numbers, leaf.columns), frozenset({next(self.count)})

    def computed_is_changed(self):
        x = self.value()
        if x.wants and not isinstance(x, Origin):
            self.run(f"refused(lambda: {x.name}.assign(0.0), 'got a computed tensor')")
            self.run(f"try:\n    {x.name}.requires_grad = False\nexcept RuntimeError:\n    pass")
            self.claim(f"{x.name}.requires_grad")
            if x.entry is not None and self.pick([False, False, True]):
                self.run(f"{x.name}.data = {x.name}.data")  # as an operation in place does
                (self.spent if x.certain else self.doubtful).add(x.entry)

    def misfit(self):
        """What cannot be done, and changes nothing."""
        x = self.root()
        if not x.wants:
            return
        v, back = f"np.ones({x.shape})", f"{x.name}.backward"
        zero = f"({x.name} * 0.0).detach() + tr.zeros((), requires_grad=True)"
        call, text, error = self.pick(
            [
                (f"{back}(np.ones({(2, *x.shape)}))", "incoming gradient of", "ValueError"),
                (f"{back}(tr.tensor({v}, backend='standin'))", "incoming gradient of", "ValueError"),
                (f"{x.name} + tr.tensor({v}, backend='standin')", "expected one backend", "Exception"),
                (f"tr.checkpoint({x.name})", "expected a function", "TypeError"),
                (f"careless({zero}).sum().backward()", "returned a gradient of shape", "ValueError"),
            ]
        )
        self.run(f"refused(lambda: {call}, {text!r}, error={error})")
        self.compare()

    def zero(self):
        leaf = self.pick(self.leaves)
        self.run(f"{leaf.name}.zero_grad()" if self.pick([True, False]) else f"{leaf.name}.grad = None")
        leaf.grad = None

    def given(self):
        leaf = self.pick(self.leaves)
        array = incoming(leaf.shape, self.pick(FACTORS))
        self.run(f"{leaf.name}.grad = tr.tensor({array.tolist()}, dtype={leaf.dtype!r})")
        leaf.grad = Known("", reference.constant(array), leaf.dtype, exact=leaf.exact)

    def retain(self):
        """The gradient of x + p is that of p: so it can be told without a walk back what an intermediate should have."""
        x = self.value()
        if self.room_for(x.size) and x.dtype == "float64":
            p = self.begin(np.zeros(x.shape))
            name = self.named()
            self.run(f"{name} = {x.name} + {p.name}\n{name}.retain_grad()")
            p.probed = name
            self.known(name, reference.add(x.expected, p.expected), x, p)

    # ---- the way back

    def backward(self):
        root, factor = self.root(), self.pick(FACTORS)
        how = self.pick(["retained", "retained", "frozen", "freed", "watched", "in float32", "graph", "graph", "unlucky"])
        v = incoming(root.shape, factor)
        g = f"np.array({v.tolist()}, dtype={'float32' if how == 'in float32' else 'float64'!r})"
        self.run(f"g = {g}")
        call = f"{root.name}.backward({self.pick(['g', 'g', 'tr.tensor(g)'])}"
        if root.size == 1 and factor == 1.0:
            call = f"{root.name}.backward("
        graph, freed = how == "graph", how == "freed"
        text = f"{call}, create_graph=True)" if graph else f"{call}{', retain_graph=True' * (not freed)})"
        text = text.replace("(, ", "(")
        held = [f"h{i}" for i, leaf in enumerate(self.origins) if leaf.grad]
        for leaf in self.origins:
            if leaf.grad:
                leaf.held = eval(f"{leaf.name}.grad.numpy()", self.space)
        if held:
            names = ", ".join(f"{leaf.name}.grad" for leaf in self.origins if leaf.grad)
            self.run(f"{', '.join(held)}, = {names},")
        before = self.lines[:]
        if how == "unlucky" and root.wants and self.is_whole(root):
            lost = f"unlucky({root.name}).backward(np.ones({root.shape}), retain_graph=True)"
            self.run(f"refused(lambda: {lost}, '', error=ZeroDivisionError)")
            self.compare()
            return
        if self.refuses(root, text):
            if freed:  # unless it was refused
                self.doubtful.update(root.entries)
            return
        if how == "watched":
            text = f"watched(lambda: {text})"
        frozen = self.pick([leaf for leaf in self.leaves if leaf is not root and not leaf.probed] or [None])
        if how == "frozen" and frozen:
            text = f"{frozen.name}.requires_grad = False\n{text}\n{frozen.name}.requires_grad = True"
        self.run(text)
        self.take_gradients(root, v, graph, but=frozen if how == "frozen" else None)
        if freed:
            (self.spent if root.certain else self.doubtful).update(root.entries)
        self.compare()
        for leaf in self.origins:
            if f"h{self.origins.index(leaf)}" in held:
                same = (self.space[f"h{self.origins.index(leaf)}"].data == leaf.held).all()
                assert same, f"the gradient that {leaf.name} had before was written to, since line {len(before)}"
        arrays = f"[g{''.join(f', {leaf.name}.grad.data' for leaf in self.origins if leaf.grad)}]"
        self.claim(f"not any(np.may_share_memory(a, b) for i, a in enumerate({arrays}) for b in {arrays}[i + 1:])")
        self.claim(f"(g == {v.tolist()}).all()")

    def is_whole(self, root):
        return not (self.spent | self.doubtful) & (root.leaves | root.entries)

    def refuses(self, root, text):
        """Whether this root cannot be walked back from; then it must say so, and leave all gradients as they are."""
        if not root.wants:
            self.run(f"refused(lambda: {text}, 'was not computed from a tensor that requires a gradient')")
        elif self.is_whole(root):
            return False
        elif root.certain and self.spent & (root.leaves | root.entries):
            spent = self.spent & (root.leaves | root.entries)
            texts = [f"(the tape has version {self.versions[i]})" for i in spent & self.versions.keys()]
            texts += [SPENT[1]] * bool(spent - self.versions.keys() or self.doubtful & root.entries)
            self.run(f"refused(lambda: {text}, {', '.join(map(repr, texts))})")
        else:  # it may rest on what is spent
            self.run(
                f"try:\n    {text}\n    spent = False\n"
                f"except RuntimeError as error:\n    spent = any(text in str(error) for text in {SPENT})\n"
                "    assert spent, error"
            )
            if not self.space["spent"]:
                self.give_up()
        self.compare()
        return True

    def give_up(self):
        """It is not known what the gradients are now: none."""
        for leaf in self.origins:
            leaf.grad = None
            for name in [leaf.name] + [leaf.probed] * bool(leaf.probed):
                self.run(f"{name}.zero_grad()")

    def take_gradients(self, root, v, graph, as_values=True, but=None):
        """What each leaf should have now; under create_graph that is a value, which can be differentiated.

        but: a leaf that was frozen.
        """
        all_slopes, entry = reference.pulled(root.expected, v), next(self.count)
        for leaf in self.origins:
            if not leaf.leaves <= root.leaves or leaf is but:
                continue
            parts = [part[leaf.columns] for part in all_slopes.parts]
            slope = reference.Value(part.reshape((*leaf.shape, *part.shape[1:])) for part in parts)
            if not graph:
                slope = reference.constant(slope.v)
            if not root.certain and eval(f"{leaf.name}.grad is None", self.space):
                assert not slope.v.any(), f"{leaf.name} has no gradient"
                assert leaf.grad is None, f"{leaf.name} has lost its gradient"
                continue
            expected = slope if leaf.grad is None else reference.add(leaf.grad.expected, slope)
            exact = root.exact and leaf.exact and (leaf.grad is None or leaf.grad.exact)
            grad = Known("", expected, leaf.dtype, exact=exact, certain=False)
            if graph or (leaf.grad and leaf.grad.wants):
                grad.leaves = root.leaves | (leaf.grad.leaves if leaf.grad else frozenset())
                grad.entries = root.entries | {entry} | (leaf.grad.entries if leaf.grad else frozenset())
                grad.wants = True
            leaf.grad = grad
            if graph and as_values and self.pick([True, False]):
                self.gradient_as_value(leaf)

    def gradient_as_value(self, leaf):
        name = self.named()
        self.run(f"{name} = {leaf.name}.grad")
        x = Known(name, leaf.grad.expected, leaf.dtype, leaf.grad.leaves, leaf.grad.entries, leaf.grad.exact, certain=False)
        self.check(name, x)
        self.settle(x)
        self.bounded(x)

    def in_threads(self):
        """Several threads go back over tapes of their own that share leaves."""
        x = self.pick(self.leaves)
        c = self.pick([leaf for leaf in self.leaves if leaf.shape in ((), x.shape)] or [x])
        c = c if c.shape in ((), x.shape) else x
        formulas = [self.formula((x.name, x.expected, x.dtype), (c.name, c.expected, c.dtype)) for _ in range(2)]
        self.run(
            "in_threads(" + ", ".join(f"lambda: ({text} + {x.name}).sum().backward()" for text, _, _ in formulas) + ")"
        )
        for _, y, _ in formulas:
            root = Known(
                "",
                reference.all_total(reference.add(y, x.expected)),
                x.dtype,
                x.leaves | c.leaves,
                exact=x.exact and c.exact,
                certain=False,
            )
            self.take_gradients(root, np.array(1.0), graph=False)
        self.compare()

    def compare(self):
        """Every gradient that there should be is there, and no other."""
        for leaf in self.origins:
            for name in [leaf.name] + [leaf.probed] * bool(leaf.probed):
                if leaf.grad is None:
                    self.claim(f"{name}.grad is None")
                else:
                    self.check(f"{name}.grad", leaf.grad)
        for name in self.counters:
            self.claim(f"{name}.item() == 7.0")
        self.claim("(np.zeros(()) + tr.ones((), requires_grad=True)).requires_grad")


STEPS = {
    "nothing": lambda program: None,  # what a long program shrinks to
    "leaf": Program.leaf_step,
    **{
        name: getattr(Program, name)
        for name in dir(Program)
        if name
        in {
            "constant",
            "unary",
            "binary",
            "of_three",
            "total",
            "reshaped",
            "matmul",
            "indexed",
            "joined",
            "several",
            "cut_off",
            "in_context",
            "cast",
            "checkpointed",
            "transformed",
            "forget",
            "changed",
            "computed_is_changed",
            "misfit",
            "zero",
            "given",
            "retain",
            "backward",
            "in_threads",
        }
    },
}
OFTEN = {"unary": 4, "binary": 5, "backward": 5, "several": 2, "checkpointed": 2, "transformed": 2, "retain": 1}
KINDS = ["nothing"] + [kind for kind in STEPS for _ in range(OFTEN.get(kind, 1))]
