"""Derivatives of functions: f in, its gradient, products with its Jacobian, or the whole Jacobian out. They nest.

f takes Tensors and returns one. It may close over other tensors: a result depends on those too, and can be
differentiated with respect to them. An argument may also be a dict of Tensors, or a tuple or list of them, as deep as one
likes; its derivative is of the same form.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, overload

from .arguments import integer
from .core.backend import Array, described, get, is_float
from .core.tape import Leaf, is_recording, reach, recording, tick, walk
from .core.tensor import Tensor, wrap
from .creation import as_array, ones_like, zeros_like
from .ops import positive, reshape, stack
from .structure import leaves, mapped

P = ParamSpec("P")
Tensors = tuple[Tensor, ...]
Points = Tensor | Array | float | Mapping[str, Any] | Sequence[Tensor | Array | float | Mapping[str, Any]]
"""The arguments of a function: one, or several."""


@overload
def grad(f: Callable[P, Tensor], argnums: int = 0) -> Callable[P, Tensor]: ...
@overload
def grad(f: Callable[P, Tensor], argnums: Sequence[int]) -> Callable[P, Tensors]: ...
def grad(f: Callable[..., Tensor], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that returns the gradient of a scalar f: d f / d x for the argument x at `argnums`.

    The gradient has the shape of the argument, or its form where that is a dict of Tensors, or a tuple or list of them;
    several `argnums` give a tuple. Unlike `backward`, it writes to no `.grad` and leaves no reference cycle.

    Raises `TypeError` for an argument or a result that is not of floats, and `ValueError` where f returns no scalar and for
    `argnums` that are not there or stand twice.

    >>> import tinyreg as tr
    >>> tr.grad(lambda x: x * x * x)(2.0)
    tensor(12.)
    >>> tr.grad(tr.grad(lambda x: x * x * x))(2.0)
    tensor(12.)
    >>> tr.grad(lambda p: p["w"] * p["w"] + p["b"])({"w": tr.tensor(3.0), "b": tr.tensor(1.0)})
    {'w': tensor(6.), 'b': tensor(1.)}
    """
    return _named(lambda *args, **kwargs: value_and_grad(f, argnums)(*args, **kwargs)[1], "grad", f)


@overload
def value_and_grad(f: Callable[P, Tensor], argnums: int = 0) -> Callable[P, tuple[Tensor, Tensor]]: ...
@overload
def value_and_grad(f: Callable[P, Tensor], argnums: Sequence[int]) -> Callable[P, tuple[Tensor, Tensors]]: ...
def value_and_grad(f: Callable[..., Tensor], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that returns (f, gradient of f): as `grad`, with the value as well.

    >>> import tinyreg as tr
    >>> tr.value_and_grad(lambda x: x * x)(3.0)
    (tensor(9.), tensor(6.))
    """

    def both(*args: Any, **kwargs: Any) -> Any:
        trace = _Trace("grad", f, args, _as_tuple(argnums), kwargs)
        if trace.y.shape != ():
            raise ValueError(
                f"grad: the function returned {described(trace.y)}, expected a scalar; use tr.jacobian, or sum the result"
            )
        gradients = trace.formed(trace.pull(ones_like(trace.y), again=False))
        return trace.value(), gradients if isinstance(argnums, Sequence) else gradients[0]

    return _named(both, "value_and_grad", f)


def vjp(f: Callable[..., Tensor], *primals: Tensor | Array | float) -> tuple[Tensor, Callable[[Any], Tensors]]:
    """(f(*primals), pull): pull(g) is the tuple of vector-Jacobian products g J, one for each primal.

    g has the shape of f's result. pull may be called any number of times.

    >>> import tinyreg as tr
    >>> y, pull = tr.vjp(lambda a, b: a * b, 2.0, 3.0)
    >>> pull(1.0)
    (tensor(3.), tensor(2.))
    """
    trace = _Trace("vjp", f, primals, tuple(range(len(primals))), {})
    return trace.value(), lambda g: trace.formed(trace.pull(_like(g, trace.y, "vjp", "the incoming gradient")))


def jvp(f: Callable[..., Tensor], primals: Points, tangents: Points) -> tuple[Tensor, Tensor]:
    """(f(*primals), J v): the value, and the Jacobian-vector product with v = tangents.

    primals, tangents: tuples, or one value each; a tangent has the shape of its primal. Since g J is linear in g, J v is
    its derivative with respect to g in the direction v: two backwards, and no rule beside the VJPs.

    >>> import tinyreg as tr
    >>> tr.jvp(lambda x: x * x, 3.0, 1.0)
    (tensor(9.), tensor(6.))
    """
    primals, tangents = _pairs("jvp", primals, tangents)
    trace = _Trace("jvp", f, primals, tuple(range(len(primals))), {})
    directions = _along("jvp", tangents, trace.forms)
    g = zeros_like(trace.y, requires_grad=True)
    with recording(True):
        total = _inner(trace.pull(g), directions)
    further = trace.goes_on or any(v.requires_grad for v in directions)
    seed = ones_like(total) if further else ones_like(total)._array
    start: Any = g._node
    roots: Any = [(total._node, seed)]
    product = walk(roots, since=trace.since, targets=[start], create_graph=further).get(start)
    return trace.value(), zeros_like(trace.y) if product is None else product if further else wrap(product)


@overload
def hvp(f: Callable[..., Tensor], primals: tuple[Any, ...] | list[Any], tangents: Points) -> Tensors: ...
@overload
def hvp(f: Callable[..., Tensor], primals: Tensor | float, tangents: Points) -> Tensor: ...
def hvp(f: Callable[..., Tensor], primals: Points, tangents: Points) -> Tensor | Tensors:
    """H v: the product of the Hessian of a scalar f with v = tangents, without the Hessian.

    primals, tangents: tuples, or one value each, which then gives one result.

    >>> import tinyreg as tr
    >>> tr.hvp(lambda x: (x * x * x).sum(), tr.tensor([1.0, 2.0]), tr.tensor([1.0, 0.0]))
    tensor([6., 0.])
    """
    points, directions = _pairs("hvp", primals, tangents)
    every = tuple(range(len(points)))

    def slope(*xs: Any) -> Tensor:
        gradients = grad(f, every)(*xs)
        return _inner([*leaves(gradients)], _along("hvp", directions, gradients))

    products = grad(slope, every)(*points)
    return products if isinstance(primals, tuple | list) else products[0]


@overload
def jacobian(f: Callable[P, Tensor], argnums: int = 0) -> Callable[P, Tensor]: ...
@overload
def jacobian(f: Callable[P, Tensor], argnums: Sequence[int]) -> Callable[P, Tensors]: ...
def jacobian(f: Callable[..., Tensor], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that returns the Jacobian of f: d f_i / d x_j, of shape (shape of f's result, shape of x).

    One backward for each element of f's result. Several `argnums` give a tuple.

    >>> import tinyreg as tr
    >>> tr.jacobian(lambda x: x * x)(tr.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def whole(*args: Any, **kwargs: Any) -> Any:
        trace = _Trace("jacobian", f, args, _as_tuple(argnums), kwargs)
        xp, shape, n = get(trace.y.backend), trace.y.shape, trace.y.size
        rows = [trace.pull(wrap((xp.arange(n) == i).astype(trace.y.dtype).reshape(shape))) for i in range(n)]
        blocks = [
            reshape(stack(*[row[i] for row in rows]), (*shape, *x.shape))
            if rows
            else wrap(xp.zeros((*shape, *x.shape), x.dtype))
            for i, x in enumerate(trace.inputs)
        ]
        formed = trace.formed(blocks)
        return formed if isinstance(argnums, Sequence) else formed[0]

    return _named(whole, "jacobian", f)


@overload
def hessian(f: Callable[P, Tensor], argnums: int = 0) -> Callable[P, Tensor]: ...
@overload
def hessian(f: Callable[P, Tensor], argnums: Sequence[int]) -> Callable[P, tuple[Tensors, ...]]: ...
def hessian(f: Callable[..., Tensor], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that returns the Hessian of a scalar f: d^2 f / d x_i d x_j, of shape (shape of x, shape of x).

    Several `argnums` give a tuple of tuples, row by row; a dict gives a dict of dicts.

    >>> import tinyreg as tr
    >>> tr.hessian(lambda x: (x * x * x).sum())(tr.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    if isinstance(argnums, Sequence):
        if not argnums:
            raise ValueError("hessian: got argnums=(), expected at least one argument")
        rows = [_slopes_of_each(grad(f, i), argnums) for i in argnums]
        return _named(lambda *args, **kwargs: tuple(row(*args, **kwargs) for row in rows), "hessian", f)
    return _named(_slopes_of_each(grad(f, argnums), argnums), "hessian", f)


def _slopes_of_each(f: Callable[..., Any], argnums: int | Sequence[int]) -> Callable[..., Any]:
    """The Jacobian of a function that gives a Tensor, or of each Tensor in the dict, tuple or list that it gives."""

    def whole(*args: Any, **kwargs: Any) -> Any:
        if not any(map(_is_several, args)):
            return jacobian(f, argnums)(*args, **kwargs)
        with recording(False):
            form = f(*args, **kwargs)
        numbers = iter(range(sum(1 for _ in leaves(form))))

        def one(_: Tensor) -> Any:
            k = next(numbers)
            return jacobian(lambda *xs: [*leaves(f(*xs, **kwargs))][k], argnums)(*args)

        return mapped(one, form)

    return whole


class _Trace:
    """One run of f on a tape of its own, which begins at its differentiated arguments."""

    def __init__(self, name: str, f: Callable[..., Any], args: Sequence[Any], argnums: Sequence[int], kwargs: Any) -> None:
        _check_function(name, f)
        n = len(args)
        chosen = [i % max(n, 1) for i in (integer(name, "argnums", i) for i in argnums)]
        for i in argnums:
            if not -n <= i < n:
                raise ValueError(
                    f"{name}: got {n} arguments, expected one at position {i}; argnums counts positional arguments, from 0"
                )
        if not chosen or len(set(chosen)) < len(chosen):
            raise ValueError(f"{name}: got argnums={tuple(argnums)}, expected at least one argument, and each once")
        following = is_recording()
        with recording(True):
            self.forms = [_begun(name, i, args[i]) for i in chosen]
            self.inputs = [*leaves(self.forms)]
            self.since = tick()
            places = dict(zip(chosen, self.forms, strict=True))
            self.y = f(*[places.get(i, a) for i, a in enumerate(args)], **kwargs)
        if not isinstance(self.y, Tensor):
            raise TypeError(
                f"{name}: the function returned {described(self.y)}, expected a Tensor; compute it from the arguments, "
                "without .data, .item() or .numpy()"
            )
        if not is_float(self.y):
            raise TypeError(f"{name}: the function returned {described(self.y)}, expected floats: only they have gradients")
        self.goes_on = following and self._rests_on_more()

    def _rests_on_more(self) -> bool:
        """Whether the result rests on more than fresh arguments: on what f closes over, or on an enclosing trace.

        Then that can be differentiated too, so values and gradients of this trace stay on the tape.
        """
        above = {parent for entry in reach([self.y._node], self.since) for parent in entry.parents}
        ends = {n for n in above | {self.y._node} if n and (isinstance(n, Leaf) or n.time < self.since)}
        return not ends <= {x._node for x in self.inputs if isinstance(x._node, Leaf)}

    def value(self) -> Tensor:
        """The result of f, on the tape only where that goes on beyond this trace."""
        result: Tensor = self.y
        return result if self.goes_on else result.detach()

    def formed(self, each: Iterable[Tensor]) -> tuple[Any, ...]:
        """Values for all inputs, in the form of the arguments that these stand in."""
        following = iter(each)
        return tuple(mapped(lambda _: next(following), form) for form in self.forms)

    def pull(self, g: Tensor, *, again: bool = True) -> tuple[Tensor, ...]:
        """The gradient of every input, given that of the result; zeros where the result does not depend on it."""
        create_graph = self.goes_on or g.requires_grad
        roots: Any = [(self.y._node, g if create_graph else g._array)]
        nodes: Any = [x._node for x in self.inputs]
        table = walk(roots, since=self.since, targets=nodes, create_graph=create_graph, retain_graph=again or create_graph)
        pairs = [(x, table.get(node)) for x, node in zip(self.inputs, nodes, strict=True)]
        return tuple(zeros_like(x) if g is None else g if create_graph else wrap(g) for x, g in pairs)


def _inner(xs: Sequence[Tensor], ys: Sequence[Tensor]) -> Tensor:
    """The sum of all products of corresponding elements."""
    return functools.reduce(lambda a, b: a + b, [(x * y).sum() for x, y in zip(xs, ys, strict=True)])


def _begun(name: str, position: int, value: Any) -> Any:
    """Begin a tape at an argument, or at each Tensor in it."""
    if _is_several(value):
        return mapped(lambda each: _begin(name, position, each), value)
    return _begin(name, position, value)


def _is_several(value: Any) -> bool:
    """Whether a value stands for several Tensors; a tuple or list of numbers alone stands for an array."""
    is_held = isinstance(value, tuple | list) and any(hasattr(each, "shape") for each in leaves(value))
    return is_held or isinstance(value, dict)


def _begin(name: str, position: int, value: Any) -> Tensor:
    """Begin a tape at an argument: at a fresh leaf, or at a copy of a tensor that an outer tape follows."""
    x = value if isinstance(value, Tensor) else wrap(as_array(value))
    if not is_float(x):
        raise TypeError(
            f"{name}: argument {position} is {described(x)}, expected floats: only they have gradients. Write 3.0 for 3, "
            "or use astype"
        )
    return positive(x) if x.requires_grad else Tensor(x._array, requires_grad=True)


def _like(value: Any, x: Tensor, name: str, what: str) -> Tensor:
    """Make a value a Tensor with the dtype and backend of x, whose shape it must have."""
    made = value if isinstance(value, Tensor) else wrap(as_array(value, x.dtype, x.backend))
    if made.shape != x.shape:
        raise ValueError(f"{name}: got {what} of shape {list(made.shape)}, expected {list(x.shape)}")
    return made if made.dtype == x.dtype else made.astype(x.dtype)


def _along(name: str, tangents: Any, points: Any) -> list[Tensor]:
    """The tangents of all Tensors in points, which have the form of these."""
    if isinstance(points, Tensor):
        return [_like(tangents, points, name, "a tangent")]
    by_name = isinstance(points, dict)
    if (
        by_name != isinstance(tangents, dict)
        or not isinstance(tangents, dict | tuple | list)
        or len(tangents) != len(points)
    ):
        raise ValueError(f"{name}: got tangents {tangents!r:.80}, expected the form of {points!r:.80}")
    if by_name and set(tangents) != set(points):
        raise ValueError(f"{name}: got tangents for {[*tangents]}, expected them for {[*points]}")
    return [t for key in (points if by_name else range(len(points))) for t in _along(name, tangents[key], points[key])]


def _pairs(name: str, primals: Any, tangents: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Check that there is a tangent for each primal, and give both as tuples."""
    points, directions = _as_tuple(primals), _as_tuple(tangents)
    if len(points) != len(directions):
        raise ValueError(f"{name}: got {len(points)} primals and {len(directions)} tangents, expected one for each")
    return points, directions


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _check_function(name: str, f: object) -> None:
    """Refuse what cannot be called."""
    if not callable(f):
        raise TypeError(f"{name}: got {described(f):.80}, expected a function; a tensor has y.backward()")


def _named(transformed: Callable[..., Any], name: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """Name a function that a transform made after the transform and f."""
    _check_function(name, f)
    transformed.__name__ = transformed.__qualname__ = f"{name}({getattr(f, '__name__', repr(f))})"
    return transformed
