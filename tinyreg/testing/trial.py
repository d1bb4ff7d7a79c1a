"""A trial: one call of a case with drawn incoming gradients, and the same problem as a function of flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..core.backend import get
from ..core.primitive import Primitive
from ..core.tape import walk
from ..core.tensor import Tensor
from .differences import Ladder, Probe, directions
from .run import Floats, OpRun, Run, as_list, flat, node, parted, placed_like, run
from .subject import Array, Call, Subject

ALL, SOME = 16, 6  # single elements along which differences are taken: all of so many, of more of them some


class Trial:
    """A case, one of its calls, and a seed, from which every property draws the rest for itself.

    explaining: whether a failure is looked into, which takes longer than to find it. again: the line of Python that a
    failure gives to see it again, where it is not one about the case. many: whether the gradients of many cases in turn are
    compared with its differences, those of mutants.
    """

    def __init__(
        self, case: Subject, call: Call, seed: int = 0, *, explaining: bool = True, again: str = "", many: bool = False
    ) -> None:
        self.case, self.call, self.seed, self.explaining, self.again = case, call, seed, explaining, again
        self.many = many
        self.wanted: list[int] = case.wanted(call) if case.order else []

    def rng(self, purpose: int) -> np.random.Generator:
        """Give random numbers for one purpose: the same ones whatever else was drawn."""
        return np.random.default_rng([self.seed, purpose])

    def run(self, call: Call | None = None, wanted: Sequence[int] | None = None, dtype: Any = np.float64) -> Run:
        """Give a run of the call, or of another one in its place."""
        return run(self.case, self.call if call is None else call, self.wanted if wanted is None else wanted, dtype)

    def incoming(self, purpose: int = 0) -> list[Array]:
        """Draw incoming gradients for the outputs: signed, and of sizes between 1/2 and 3."""
        return parted(draw_incoming(self.rng(purpose), sum(np.size(y) for y in self.outputs)), self.outputs)

    def reaching(self, fewer: Run, g: Sequence[Array]) -> list[Array]:
        """Give, of incoming gradients for all outputs, those for the outputs of a run with fewer leaves, maybe fewer."""
        parts = dict(zip(self._which, g, strict=True))
        return [parts[i] for i in fewer.live]

    @cached_property
    def outputs(self) -> list[Array]:
        """The results that have a gradient."""
        return self.run().outputs

    @cached_property
    def leaves(self) -> list[Array]:
        """The arrays that have a gradient."""
        return [self.call.arrays[i] for i in self.wanted]

    # ---- as a function of flat arrays

    @cached_property
    def _layout(self) -> list[tuple[int, int, int, tuple[int, ...]]]:
        """Of each wanted array: its position, where its elements begin and end in x, and its shape."""
        ends = [int(n) for n in np.cumsum([leaf.size for leaf in self.leaves])]
        return [(i, end - a.size, end, a.shape) for i, end, a in zip(self.wanted, ends, self.leaves, strict=True)]

    def moved(self, x: Floats) -> Call:
        """Give the call with the elements of its wanted arrays replaced by those of x, of which it gets a copy."""
        arrays = list(self.call.arrays)
        for i, start, end, shape in self._layout:
            arrays[i] = x[start:end].reshape(shape).copy()
        return Call(tuple(arrays), self.call.settings)

    @cached_property
    def x(self) -> Floats:
        """The elements of all wanted arrays."""
        return flat(self.leaves)

    @cached_property
    def v(self) -> Floats:
        """The elements of the incoming gradients of the numeric check."""
        return flat(self.incoming())

    @cached_property
    def _which(self) -> list[int]:
        """Which of the results have a gradient."""
        return self.run().live

    def f(self, x: Floats) -> Floats:
        """Give the elements of all results that have a gradient."""
        call = self.moved(x)
        if isinstance(self.case.op, Primitive):  # which gives arrays for arrays, and soonest
            results = as_list(self.case.op(*call.arrays, **call.settings))
        else:
            results = self.run(call, wanted=()).results
        return flat([results[i] for i in self._which])

    def gradient(self, x: Floats, v: Floats) -> Floats:
        """Give the elements of all gradients, for the incoming gradients v; zeros where nothing arrived."""
        forward = self.run(self.moved(x))
        gradients = forward.pull(parted(v, forward.outputs))
        return flat([np.zeros(a.shape) if g is None else g for g, a in zip(gradients, self.leaves, strict=True)])

    def second_gradient(self, x: Floats, v: Floats, w: Floats, backend: str = "numpy") -> Floats:
        """Give the gradient, by the tape, of w . gradient(x, v) with respect to x and to v."""
        parts = self.second(self.moved(x), parted(v, self.outputs), parted(w, self.leaves), backend)
        return flat([get(backend).to_host(part) for part in parts])

    def second(self, call: Call, g: Sequence[Array], w: Sequence[Array], backend: str = "numpy") -> list[Any]:
        """Give the gradients of w . gradient at a call for incoming gradients g, with respect to its leaves and to g."""
        xp = get(backend)
        forward = OpRun(self.case, call, self.wanted, backend=backend)
        incoming = [Tensor(part, requires_grad=True) for part in placed_like(forward.outputs, g)]
        gradients = forward.pull(incoming, create_graph=True)
        pairs = zip(gradients, w, strict=True)
        roots = [(node(g), xp.asarray(p)) for g, p in pairs if g is not None and g.requires_grad]
        table = walk(roots) if roots else {}
        ends = [*forward.leaves, *incoming]
        parts = [table.get(node(end)) for end in ends]
        return [xp.zeros(end.shape) if part is None else part for part, end in zip(parts, ends, strict=True)]

    @cached_property
    def scales(self) -> list[Floats]:
        """The distances over which the op changes here, for every element."""
        return [np.broadcast_to(np.asarray(scale, dtype=np.float64), self.x.shape) for scale in self.case.scales(self.call)]

    @cached_property
    def probe(self) -> Ladder:
        """The differences of f along directions: made once, however many gradients are compared with them."""
        entries = ALL if self.x.size <= ALL else SOME
        return self.probe_along(directions(self.x.size, self.rng(1), entries), self.v)

    @cached_property
    def line(self) -> Ladder:
        """The differences of f along one dense direction."""
        return self.probe_along(directions(self.x.size, self.rng(12), entries=0, random=1), self.v)

    @cached_property
    def turned(self) -> Trial:
        """A trial of the call with the elements of each array in reverse order, along its last axis."""
        turned = tuple(a[..., ::-1].copy() if getattr(a, "ndim", 0) else a for a in self.call.arrays)
        return Trial(self.case, Call(turned, self.call.settings), self.seed, many=self.many)

    def probe_along(self, along: Floats, v: Floats) -> Ladder:
        """Take the differences of f along given directions, for given incoming gradients."""
        scale, *further = self.scales
        return Ladder(Probe(self.f, self.x, v, along, self.rng(2), scale=scale, reach=self.case.reach), further, self.many)

    def place(self, k: int) -> tuple[int, tuple[int, ...]]:
        """Give the argument, and the index in it, of the k-th element of x."""
        for i, leaf in zip(self.wanted, self.leaves, strict=True):
            if k < leaf.size:
                return i, tuple(int(n) for n in np.unravel_index(k, leaf.shape))
            k -= leaf.size
        raise IndexError(k)


def draw_incoming(rng: np.random.Generator, n: int) -> Floats:
    """Draw incoming gradients, of both signs where there is more than one: eighths between 1/2 and 3 in size."""
    drawn: Floats = rng.integers(4, 25, n) * rng.choice([-0.125, 0.125], n)
    if n > 1 and abs(np.sign(drawn).sum()) == n:
        drawn[rng.integers(n)] *= -1
    return drawn
