"""Random graphs of many ops, built in step over tinyreg and over the naive reference, and walked back in every way.

A failure prints the program that fails: a line for each op, backward, assignment or reference that was dropped.
"""

from __future__ import annotations

import contextlib
import gc
import itertools

import numpy as np
import pytest
import reference_tape as reference
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, precondition, rule

import tinyreg as tr
from tinyreg.core.fused import FUSED
from tinyreg.core.primitive import REGISTRY

LARGEST = 4.0  # of a value, before tanh bounds it
STEEPEST = 1e3  # of a derivative, before a factor bounds it
MOST_ELEMENTS = 8
CLOSE = {"rtol": 1e-9, "atol": 1e-9}

SHAPES = st.sampled_from([(), (2,), (3,), (1, 3), (2, 1), (2, 3)])
NUMBERS = st.lists(st.sampled_from([1.0, -1.0, 0.5, -0.75, 1.5, 0.0, -2.0]), min_size=6, max_size=6)
FACTORS = st.sampled_from([1.0, -1.0, -3.7, 0.25, 1000.0])


# ---- ops of several results, and with a fast form: of the tests' own, and in no registry


@tr.primitive
def cos_sin(xp, x):
    return xp.cos(x), xp.sin(x)


@cos_sin.vjp("x")
def _(g, x):
    return g[1] * tr.cos(x) - g[0] * tr.sin(x)


@tr.fused
def gated(x, w):
    return tr.tanh(x) * w


@gated.fast
def _(xp, x, w):
    gate = xp.tanh(x)
    return gate * w, gate


@gated.backward
def _(g, w, residuals, wanted):
    slope = (1 - residuals * residuals) * w
    return tuple(g * d if i in wanted else None for i, d in enumerate((slope, residuals)))


del REGISTRY["cos_sin"], FUSED["gated"]


# ---- what is done to a tensor, and to the reference


UNARY = {
    "negative": (lambda x: -x, lambda x: reference.scale(x, -1.0)),
    "2.5 x": (lambda x: 2.5 * x, lambda x: reference.scale(x, 2.5)),
    "exp of tanh": (lambda x: tr.exp(tr.tanh(x)), lambda x: reference.exp(reference.tanh(x))),
    "tanh": (tr.tanh, reference.tanh),
    "x x": (lambda x: x * x, lambda x: reference.multiply(x, x)),
    "x + x + x": (lambda x: x + x + x, lambda x: reference.scale(x, 3.0)),
    "x - x": (lambda x: x - x, lambda x: reference.scale(x, 0.0)),
}
BINARY = {
    "add": (tr.add, reference.add),
    "subtract": (tr.subtract, reference.subtract),
    "multiply": (tr.multiply, reference.multiply),
    "divide by exp of tanh": (
        lambda a, b: a / tr.exp(tr.tanh(b)),
        lambda a, b: reference.divide(a, reference.exp(reference.tanh(b))),
    ),
}


def fitting(a, b):
    """b, or its sum where it does not broadcast against a."""
    try:
        np.broadcast_shapes(a.tensor.shape, b.tensor.shape)
    except ValueError:
        return Known(b.tensor.sum(), reference.total(b.expected, tuple(range(b.tensor.ndim))), b.leaves, b.entries)
    return b


class Known:
    """A tensor, what it should be, and the leaves and entries that it rests on, which are numbered as they come."""

    def __init__(self, tensor, expected, leaves=frozenset(), entries=frozenset()):
        self.tensor, self.expected, self.leaves, self.entries = tensor, expected, leaves, entries


class Origin(Known):
    """A leaf: the columns of its elements, and the gradient that it should have. `probes` is the tensor it is added to."""

    def __init__(self, array, columns, number, probes=None):
        tensor = tr.tensor(array, requires_grad=True)
        super().__init__(tensor, reference.leaf(array, columns), frozenset({number}))
        self.columns, self.grad, self.probes = columns, None, probes


class RandomGraphs(RuleBasedStateMachine):
    values = Bundle("values")
    leaves = Bundle("leaves")

    def __init__(self):
        super().__init__()
        self.numbers, self.columns, self.origins = itertools.count(), 0, []
        self.spent = set()  # the leaves that have changed and the entries that were freed
        self.rng = tr.Generator(0)

    # ---- values

    def begin(self, array):
        columns = slice(self.columns, self.columns + array.size)
        self.columns = columns.stop
        self.origins.append(Origin(array, columns, next(self.numbers)))
        return self.origins[-1]

    def known(self, tensor, expected, *inputs, entry=None):
        """The outcome of an op on known inputs, held to what it should be and kept within bounds."""
        leaves = frozenset().union(*(x.leaves for x in inputs))
        entries = frozenset().union(*(x.entries for x in inputs), {next(self.numbers) if entry is None else entry})
        np.testing.assert_allclose(tensor.data, expected.v, **CLOSE)
        assert tensor.shape == expected.v.shape
        assert tensor.requires_grad == bool(leaves)
        while tensor.size > MOST_ELEMENTS:
            tensor, expected = tensor.sum(axis=0), reference.total(expected, 0)
        if np.abs(expected.v).max() > LARGEST:
            tensor, expected = tr.tanh(tensor), reference.tanh(expected)
        steepest = max(np.abs(expected.J).max(), np.abs(expected.H).max())
        if steepest > STEEPEST:
            tensor, expected = tensor * (STEEPEST / steepest), reference.scale(expected, STEEPEST / steepest)
        return Known(tensor, expected, leaves, entries if leaves else frozenset())

    @initialize(targets=(values, leaves), shape=SHAPES, numbers=NUMBERS)
    def first_leaf(self, shape, numbers):
        return self.begin(np.array(numbers)[: np.prod(shape, dtype=int)].reshape(shape))

    @precondition(lambda self: self.columns + 6 <= reference.COLUMNS)
    @rule(targets=(values, leaves), shape=SHAPES, numbers=NUMBERS)
    def leaf(self, shape, numbers):
        return self.first_leaf(shape, numbers)

    @rule(target=values, shape=SHAPES, numbers=NUMBERS)
    def constant(self, shape, numbers):
        array = np.array(numbers)[: np.prod(shape, dtype=int)].reshape(shape)
        return Known(tr.tensor(array), reference.constant(array))

    @rule(target=values, x=values, name=st.sampled_from(sorted(UNARY)))
    def unary(self, x, name):
        ours, theirs = UNARY[name]
        return self.known(ours(x.tensor), theirs(x.expected), x)

    @rule(target=values, a=values, b=values, name=st.sampled_from(sorted(BINARY)))
    def binary(self, a, b, name):
        (ours, theirs), b = BINARY[name], fitting(a, b)
        return self.known(ours(a.tensor, b.tensor), theirs(a.expected, b.expected), a, b)

    @rule(target=values, x=values, axis=st.integers(0, 2))
    def total(self, x, axis):
        axes = tuple(range(x.tensor.ndim)) if axis >= x.tensor.ndim else axis
        return self.known(x.tensor.sum(axis=axes), reference.total(x.expected, axes), x)

    @rule(target=values, x=values, form=st.sampled_from(["flat", "row", "column", "turned", "repeated"]))
    def reshaped(self, x, form):
        size, shape, axes = x.tensor.size, x.tensor.shape, tuple(reversed(range(x.tensor.ndim)))
        if form == "turned":
            return self.known(tr.permute_dims(x.tensor, axes=axes), reference.permute_dims(x.expected, axes), x)
        if form == "repeated":
            return self.known(tr.broadcast_to(x.tensor, (2, *shape)), reference.broadcast_to(x.expected, (2, *shape)), x)
        to = {"flat": (size,), "row": (1, size), "column": (size, 1)}[form]
        return self.known(x.tensor.reshape(to), reference.reshape(x.expected, to), x)

    @rule(target=values, a=values, b=values)
    def matmul(self, a, b):
        if not (a.tensor.ndim == b.tensor.ndim == 2 and a.tensor.shape[1] == b.tensor.shape[0]):
            a, b = self.reshaped(a, "row"), self.reshaped(a, "column")
        return self.known(a.tensor @ b.tensor, reference.matmul(a.expected, b.expected), a, b)

    @rule(target=values, x=values, rows=st.lists(st.integers(0, 2), min_size=1, max_size=4))
    def indexed(self, x, rows):
        key = np.array(rows) % x.tensor.shape[0] if x.tensor.ndim else None
        return self.known(x.tensor[key], reference.getitem(x.expected, key), x)

    @rule(target=values, a=values, b=values)
    def stacked(self, a, b):
        if a.tensor.shape != b.tensor.shape:
            b = a
        return self.known(tr.stack(a.tensor, b.tensor), reference.stack(a.expected, b.expected), a, b)

    @rule(target=values, x=values, used=st.sampled_from(["first", "second", "both"]))
    def several(self, x, used):
        entry, (cosine, sine) = next(self.numbers), cos_sin(x.tensor)
        made = []
        if used != "second":
            made.append(self.known(cosine, reference.cos(x.expected), x, entry=entry))
        if used != "first":
            made.append(self.known(sine, reference.sin(x.expected), x, entry=entry))
        return multiple(*made)

    @rule(target=values, x=values, how=st.sampled_from(["detached", "unrecorded", "interrupted"]))
    def cut_off(self, x, how):
        if how == "detached":
            tensor = x.tensor.detach()
        with contextlib.suppress(KeyError), tr.no_grad():
            if how != "detached":
                tensor = x.tensor * 1.0
            if how == "interrupted":
                raise KeyError
        return self.known(tensor, reference.constant(x.expected.v))

    @rule(target=values, x=values, closed_over=values, results=st.sampled_from([1, 2]))
    def checkpointed(self, x, closed_over, results):
        c, masks, entry = fitting(x, closed_over), [], next(self.numbers)
        inner = c.tensor  # what the function closes over, also where `forget` takes it from c

        def f(t):
            masks.append(self.rng.uniform(0.5, 1.5, shape=t.shape, dtype="float64"))
            y = tr.tanh(t * inner) * masks[-1]
            return y if results == 1 else (y, t - inner)

        tensors = tr.checkpoint(f)(x.tensor)
        product = reference.tanh(reference.multiply(x.expected, c.expected))
        expected = [reference.multiply(product, reference.constant(masks[0]))]
        expected.append(reference.subtract(x.expected, c.expected))
        tensors = [tensors] if results == 1 else tensors
        return multiple(*[self.known(t, e, x, c, entry=entry) for t, e in zip(tensors, expected, strict=False)])

    @rule(target=values, x=values, w=values)
    def fast_form(self, x, w):
        w = w if w.tensor.shape == x.tensor.shape else x
        expected = reference.multiply(reference.tanh(x.expected), w.expected)
        return self.known(gated(x.tensor, w.tensor), expected, x, w)

    @rule(target=values, x=values, closed_over=values)
    def derivative(self, x, closed_over):
        c = fitting(x, closed_over)
        tensor = tr.grad(lambda t: (tr.sin(t) * c.tensor).sum())(x.tensor)
        expected = reference.cos(x.expected)
        shape = np.broadcast_shapes(x.tensor.shape, c.tensor.shape)
        weights = reference.broadcast_to(c.expected, shape)
        added = len(shape) - x.tensor.ndim
        axes = [i for i, n in enumerate(shape) if i < added or n != x.tensor.shape[i - added]]
        weights = reference.reshape(reference.total(weights, tuple(axes)), x.tensor.shape)
        return self.known(tensor, reference.multiply(expected, weights), x, c)

    # ---- what is done with them

    @rule(x=consumes(values))
    def forget(self, x):
        if not isinstance(x, Origin):
            del x.tensor
        gc.collect(0)

    @rule(leaf=leaves, numbers=NUMBERS)
    def assign(self, leaf, numbers):
        array = np.array(numbers)[: leaf.tensor.size].reshape(leaf.tensor.shape)
        leaf.tensor.assign(array)
        self.spent |= leaf.leaves
        leaf.expected, leaf.leaves = reference.leaf(array, leaf.columns), frozenset({next(self.numbers)})

    @rule(leaf=leaves)
    def zero(self, leaf):
        leaf.tensor.zero_grad()
        leaf.grad = None

    @rule(target=values, x=values)
    def retain(self, x):
        """The gradient of x + p is that of p: so it can be told without a walk back what an intermediate should have."""
        if self.columns + x.tensor.size > reference.COLUMNS:
            return multiple()
        p = self.begin(np.zeros(x.tensor.shape))
        y = self.known(x.tensor + p.tensor, reference.add(x.expected, p.expected), x, p)
        y.tensor.retain_grad()
        p.probes = y.tensor
        return y

    @rule(root=values, factor=FACTORS, retain_graph=st.sampled_from([True, True, True, False]))
    def backward(self, root, factor, retain_graph):
        g = incoming(root, factor)
        held = [(leaf.tensor.grad.data, leaf.tensor.grad.numpy()) for leaf in self.origins if leaf.tensor.grad is not None]
        if self.refuses(root, g):
            return
        root.tensor.backward(g, retain_graph=retain_graph)
        slopes, _ = reference.pulled(root.expected, g)
        for leaf in self.reached(root):
            slope = slopes[leaf.columns].reshape(leaf.tensor.shape)
            leaf.grad = slope if leaf.grad is None else leaf.grad + slope
        if not retain_graph:
            self.spent |= root.entries
        self.compare()
        for array, before in held:
            np.testing.assert_array_equal(array, before)
        arrays = [leaf.tensor.grad.data for leaf in self.origins if leaf.tensor.grad is not None] + [g]
        assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(arrays, 2))

    @rule(root=values, factor=FACTORS, numbers=NUMBERS)
    def backward_twice(self, root, factor, numbers):
        """u is the direction of the second derivative; the incoming gradient is differentiated too."""
        v = tr.tensor(incoming(root, factor), requires_grad=True)
        if self.refuses(root, v, create_graph=True):
            return
        self.forget_gradients()
        root.tensor.backward(v, create_graph=True)
        slopes, curvature = reference.pulled(root.expected, v.data)
        direction, along = np.zeros(reference.COLUMNS), 0.0
        for leaf, number in zip(self.reached(root), itertools.cycle(numbers), strict=False):
            u = incoming(leaf, 1.0 + number)
            direction[leaf.columns] = u.ravel()
            leaf.grad = slopes[leaf.columns].reshape(leaf.tensor.shape)
            along = along + (leaf.tensor.grad * u).sum()
        self.compare()
        self.forget_gradients()
        along.backward(retain_graph=True)
        for leaf in self.origins:
            found = 0.0 if leaf.tensor.grad is None else leaf.tensor.grad.data
            np.testing.assert_allclose(found, (curvature @ direction)[leaf.columns].reshape(leaf.tensor.shape), **CLOSE)
        np.testing.assert_allclose(v.grad.data, root.expected.J @ direction, **CLOSE)
        self.forget_gradients()

    def refuses(self, root, g, **how):
        """Whether this root cannot be walked back from; then it must say so, and leave all gradients as they are."""
        if not root.leaves:
            with pytest.raises(RuntimeError, match="was not computed from a tensor that requires a gradient"):
                root.tensor.backward(g, **how)
        elif self.spent & (root.leaves | root.entries):
            with pytest.raises(RuntimeError, match="was changed after the tape used it|was freed by an earlier backward"):
                root.tensor.backward(g, **how)
        else:
            return False
        self.compare()
        return True

    def reached(self, root):
        return [leaf for leaf in self.origins if leaf.leaves <= root.leaves]

    def forget_gradients(self):
        for leaf in self.origins:
            self.zero(leaf)
            if leaf.probes is not None:
                leaf.probes.zero_grad()

    def compare(self):
        """Every gradient that there should be is there, and no other."""
        for leaf in self.origins:
            for tensor in [leaf.tensor] + [leaf.probes] * (leaf.probes is not None):
                assert (tensor.grad is None) == (leaf.grad is None)
                if leaf.grad is not None:
                    np.testing.assert_allclose(tensor.grad.data, leaf.grad, **CLOSE)


def incoming(x, factor):
    """A gradient for x, of both signs and of other than unit size."""
    shape = x.tensor.shape
    return factor * np.array([(-1) ** i * (1 + i / 2) for i in range(x.tensor.size)]).reshape(shape)


RandomGraphs.TestCase.settings = settings(stateful_step_count=25)
TestRandomGraphs = RandomGraphs.TestCase
