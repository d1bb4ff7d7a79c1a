"""Fast forms beside their definitions: one entry, whose second derivatives come from the definition, run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

from ..switches import F
from .primitive import P, Primitive, R
from .tape import Contributions, Entry, Parents, explainer, tick, walk
from .tensor import Tensor

FUSED: dict[str, Fused[..., Any]] = {}


class Fused(Primitive[P, R]):
    """A composition with a fast form: one entry and a backward of its own, beside the definition that both must equal.

    An ordinary backward runs the fast one. Under `create_graph` the definition is run again on the tape and
    differentiated, so a second derivative needs no code of its own.
    """

    registry: dict[str, Any] = FUSED
    skip: int = 0
    offers: frozenset[str] = frozenset({"xp", "wanted"})

    def __init__(self, definition: Callable[P, R], **declared: Any) -> None:
        super().__init__(definition, residuals=("residuals",), **declared)
        self.definition = definition
        self.always_saved: Sequence[str] = self.signature.arguments  # the definition needs them

    def _apart(self, outcome: Any) -> tuple[Any, dict[str, Any]]:
        """The result and the residuals, which may be anything, since second derivatives come from the definition."""
        y, residuals = outcome
        return y, {"residuals": residuals}

    def fast(self, forward: F) -> F:
        """Declare the fast forward, `f(xp, arrays..., *, settings...)`: the result, and whatever the backward needs."""
        self.forward = forward
        return forward

    def backward(self, f: F) -> F:
        """Declare the fast backward: the VJP of every differentiable argument at once, which only ever gets arrays.

        It names what it needs, as a VJP does: g first, then arguments, settings, `residuals` (what the forward returned
        beside the result), `xp`, and `wanted` (the positions of the arguments that want a gradient). Of several results g
        is a list, with None for those that nobody used. It returns the gradient of the argument, or a tuple for several
        (None where it is not wanted), in arrays that nobody else holds.
        """
        return self.vjp(*(name for name in self.signature.arguments if name not in self.nondifferentiable))(f)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The fast form where there is one, otherwise the definition."""
        listener = explainer.get()
        by_definition = not self.rules or (listener is not None and listener.definitions)
        return (self.definition if by_definition else self.call)(*args, **kwargs)

    def pull(self, entry: Entry, parents: Parents, g: Any, create_graph: bool) -> Contributions:
        """By the fast backward, or under `create_graph` by the definition, run again."""
        if not create_graph:
            return self._asked(entry.plan, entry.saved, g, parents)
        since, saved = tick(), self._lifted(entry)
        definition: Any = self.definition
        outcome = definition(*[saved[name] for name in self.signature.arguments], **entry.settings)
        return pull_through(outcome, g, since, parents, create_graph)


def pull_through(outcome: Any, g: Any, since: int, parents: Parents, create_graph: bool) -> Contributions:
    """What reaches `parents` from an outcome that was just computed again, on a tape that began at `since`.

    A parent that stands there twice is handed everything at once, so that nothing counts double.
    """
    several = isinstance(outcome, tuple)
    pairs = zip(outcome, g, strict=True) if several else [(outcome, g)]
    roots = [(r._node, gr) for r, gr in pairs if gr is not None and isinstance(r, Tensor) and r._node]
    places = {parent: i for i, parent in enumerate(parents) if parent}
    table = walk(roots, since=since, targets=places, create_graph=create_graph)
    return [(i, table[parent]) for parent, i in places.items() if table.get(parent) is not None]


@overload
def fused(definition: Callable[P, R], /) -> Fused[P, R]: ...
@overload
def fused(**declared: Any) -> Callable[[Callable[P, R]], Fused[P, R]]: ...
def fused(definition: Any = None, **declared: Any) -> Any:
    """Give a composition a fast form beside its definition: `@fused` on the definition, then `.fast` and `.backward`.

    Until both are declared, it is its definition, which stays at hand as `.definition`.

    >>> import tinyreg as tr
    >>> @tr.fused
    ... def half_square(x):
    ...     return 0.5 * (x * x)
    >>> @half_square.fast
    ... def _(xp, x):
    ...     return 0.5 * x * x, None
    >>> @half_square.backward
    ... def _(g, x):
    ...     return g * x
    >>> x = tr.tensor(3.0, requires_grad=True)
    >>> half_square(x).backward()
    >>> x.grad
    tensor(3.)
    """
    return Fused(definition, **declared) if definition else lambda f: Fused(f, **declared)
