"""The Tensor: an array, and the entry of the tape that made it.

A Tensor that wants a gradient and was not computed is a leaf: its node is a `Leaf`, which holds the gradient.
Its operators and methods are ops: `tinyreg.ops.operators` has the table, and binds them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..interrupts import set_together
from . import errors
from .backend import DTYPES, FLOATS, HOMES, Array, DType, Host, Shape, get, home, transfer
from .conversion import arrayed, checked, copied
from .protocols import Protocols
from .tape import UNKEPT, Leaf, Node, explainer, spoil, walk, watch

if TYPE_CHECKING:
    from ..ops.operators import Methods

    class _Base(Methods, Protocols): ...

else:
    _Base = Protocols


new = object.__new__


class Tensor(_Base):
    """An array that can be recorded: make one with `tr.tensor(data)`, or wrap an array without a copy: `Tensor(array)`.

    Raises `TypeError` where the data is no array of a known backend, or has a dtype that can have no gradient.

    >>> import tinyreg as tr
    >>> x = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__weakref__", "_array", "_leaf", "_node")
    __array_ufunc__: Any  # bound by operators too, so that `ndarray + tensor` asks the tensor

    _array: Array
    _node: Node | None  # None: no gradient is wanted
    _leaf: Leaf | None  # its node while it is frozen; not there where it never had one

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        where = home(data)
        if where is None:
            raise TypeError(f"Tensor: got {data!r}, expected an array; for numbers and lists use tr.tensor(...)")
        if data.dtype not in DTYPES:
            checked(data.dtype, "Tensor: got an array")  # which says no
        self._array, self._node = where.asarray(data), None
        self.requires_grad = requires_grad

    # ---- what it is

    @property
    def data(self) -> Array:
        """The array itself, also when 0-d. Give a leaf a new value with `assign`.

        `w.data -= rate * g`, which changes the array in place, counts as that: a tape that used the tensor can no longer be
        walked. It also changes whatever shares the array, such as `w.detach()`.
        """
        return self._array

    @data.setter
    def data(self, value: Array) -> None:
        if value is not self._array:
            raise AttributeError("data: got another array, expected the tensor's own, changed in place; use assign(value)")
        if self.is_leaf:
            replace([self], [value])
        else:
            spoil(self._node)

    shape: Shape = property(attrgetter("_array.shape"), doc="The length of each axis.")  # type: ignore[assignment]
    ndim: int = property(attrgetter("_array.ndim"), doc="The number of axes.")  # type: ignore[assignment]
    size: int = property(attrgetter("_array.size"), doc="The number of elements.")  # type: ignore[assignment]
    dtype: DType = property(attrgetter("_array.dtype"), doc="The dtype of the elements.")  # type: ignore[assignment]

    backend: str = property(lambda self: HOMES[type(self._array)].name, doc="The name of the backend of the array.")  # type: ignore

    @property
    def is_leaf(self) -> bool:
        """Whether it was not computed."""
        return self._node is None or isinstance(self._node, Leaf)

    @property
    def requires_grad(self) -> bool:
        """Whether ops on it are recorded. Settable on leaves: False freezes one, and True makes it what it was.

        While it is frozen it has no `.grad`, and a backward adds nothing to it, also over a tape that used it before.
        """
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if wanted == self.requires_grad:
            return
        if not self.is_leaf:
            raise RuntimeError("requires_grad: got False for a computed tensor, expected a leaf; use detach()")
        if self.dtype not in FLOATS:
            raise TypeError(f"requires_grad: got {self.dtype}, expected floats: only floats have gradients; use float32")
        self._leaf = leaf = _leaf_of(self) or Leaf(self.shape, self.dtype)
        set_together(([leaf], "frozen", [not wanted]), ([self], "_node", [leaf if wanted else None]))

    # ---- gradients

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward passes have added up: of a leaf, or where `retain_grad` asked for it."""
        return None if self._node is None or self._node.grad is UNKEPT else self._node.grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if self._node is None:
                raise RuntimeError("grad: this tensor wants no gradient; set requires_grad=True first")
            own = type(self._array), self.shape, self.dtype
            if not isinstance(value, Tensor) or (type(value._array), value.shape, value.dtype) != own:
                raise errors.gradient_unlike(self, value)
        if (node := _leaf_of(self)) and (value is not None or node.grad is not UNKEPT):
            node.grad = value

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def retain_grad(self) -> None:
        """Keep the gradient of this computed tensor too, when a backward passes it."""
        if self._node is None:
            raise RuntimeError("retain_grad: this tensor wants no gradient; nothing that it came from requires one")
        if self._node.grad is UNKEPT:
            self._node.grad = None

    def backward(
        self, grad: Tensor | Array | float | None = None, *, create_graph: bool = False, retain_graph: bool | None = None
    ) -> None:
        """Add the gradient of this tensor with respect to each leaf to the leaf's `.grad`.

        `grad` is the incoming gradient, of this tensor's shape; a tensor of one element needs none. `create_graph=True`
        records the backward itself, so that it can be differentiated; it ties each leaf to its own tape through `.grad`,
        a reference cycle that `tr.grad` does not make. The tape is freed as it is walked unless `retain_graph`, which
        follows `create_graph` by default.

        Threads may go back at the same time over tapes of their own that share leaves: each adds to a leaf in one step.
        While one does, no other may change those leaves (`assign`, an optimizer's step).

        Raises `RuntimeError` where nothing was recorded, the tape was freed or a leaf has changed since, and `ValueError`
        for an incoming gradient that is missing or of another shape.

        >>> import tinyreg as tr
        >>> x = tr.tensor(3.0, requires_grad=True)
        >>> (x * x).backward()
        >>> x.grad
        tensor(6.)
        """
        if self._node is None:
            raise errors.not_computed(self)
        g = incoming(self, grad)
        root = self._node, g if create_graph else g._array
        _add_up(walk([root], create_graph=create_graph, retain_graph=retain_graph), g._array, create_graph)

    # ---- values, in and out

    def assign(self, value: Any) -> Tensor:
        """Give this leaf a new value of the same shape; a tape that used the old one can no longer be walked.

        The value is copied, and cast to the tensor's dtype. Raises `RuntimeError` for a computed tensor and `ValueError`
        for another shape.

        >>> import tinyreg as tr
        >>> tr.zeros(2).assign([3.0, 4.0])
        tensor([3., 4.])
        """
        if not self.is_leaf:
            raise RuntimeError("assign: got a computed tensor, expected a leaf; compute a new tensor instead")
        replace([self], [copy_for(self, value)])
        return self

    def detach(self) -> Tensor:
        """The same array as a tensor of its own, cut off from the tape."""
        if (listener := explainer.get()) is not None:
            listener("detach", None, [self._node], [self._array], self._array)
        return wrap(self._array)

    def numpy(self) -> Host:
        """A copy as a NumPy array, cut off from the tape."""
        array: Host = get("numpy").array(get(self.backend).to_host(self._array))
        return array

    def __getstate__(self) -> tuple[Array, str, bool]:
        return self.numpy(), self.backend, self.is_leaf and self.requires_grad  # a tape does not travel

    def __setstate__(self, state: tuple[Array, str, bool]) -> None:
        array, backend, requires_grad = state
        Tensor.__init__(self, transfer(array, get(backend)), requires_grad)

    def __repr__(self) -> str:
        notes = [get("numpy").array2string(self.numpy(), separator=", ", prefix="tensor(")]
        notes += [f"dtype={self.dtype}"] * (self.dtype.name not in ("float32", "int64", "bool"))
        notes += [f"backend={self.backend!r}"] * (self.backend != "numpy")
        return f"tensor({', '.join(notes + ['requires_grad=True'] * self.requires_grad)})"


def wrap(array: Array, node: Node | None = None) -> Tensor:
    """A Tensor over an array as it is, past all checks: how every op makes its result."""
    made = new(Tensor)
    made._array, made._node = array, node
    return made


PLACES = ("_node", False), ("_leaf", True)
"""Where the node of a leaf is, by whether that is frozen."""


def _leaf_of(x: Tensor) -> Any:
    """The node of a tensor, also of a frozen leaf."""
    return x._node or getattr(x, "_leaf", None)


def copy_for(leaf: Tensor, value: Any) -> Array:
    """A copy of a value, as an array that the leaf can have; `ValueError` for another shape."""
    array = arrayed(value._array if isinstance(value, Tensor) else value, "assign")
    array = copied(array, get(leaf.backend), leaf.dtype)
    if array.shape != leaf.shape:
        raise ValueError(f"assign: got shape {list(array.shape)}, expected {list(leaf.shape)}, the tensor's own")
    return array


def replace(leaves: Sequence[Tensor], arrays: Sequence[Array], *further: tuple[Any, str, Any]) -> None:
    """Make each array, as it is and past all checks, the value of its leaf: how `assign` and the optimizers change leaves.

    All of them or none, and with them further changes: see `set_together`.
    """
    if (listener := watch.get()) is not None:
        for leaf in leaves:
            listener(leaf)
    before: list[Any] = [_leaf_of(leaf) for leaf, _ in zip(leaves, arrays, strict=True)]
    after = [node and node.replaced() for node in before]
    nodes = [(leaves, name, [n if n and n.frozen is frozen else None for n in after]) for name, frozen in PLACES]
    set_together((leaves, "_array", arrays), *nodes, (filter(None, before), "retired", [True] * len(before)), *further)


def incoming(y: Tensor, grad: Any) -> Tensor:
    """The incoming gradient of y, as a Tensor like y; for one element it may be None, which counts as 1."""
    xp = get(y.backend)
    if grad is None and y.size != 1:
        raise errors.no_scalar(y)
    if not isinstance(grad, Tensor):
        grad = wrap(xp.ones_like(y._array) if grad is None else xp.asarray(arrayed(grad, "backward"), y.dtype))
    if grad.shape != y.shape or grad.backend != y.backend:
        raise errors.incoming_unlike(y, grad)
    return grad if grad.dtype == y.dtype else grad.astype(y.dtype)  # type: ignore[no-any-return]


_adding = threading.RLock()


def _add_up(table: dict[Node, Any], start: Array, create_graph: bool) -> None:
    """Add what a walk back from `start` arrived with to the gradients of the leaves, all or none."""
    with _adding:  # so that no other thread adds to a leaf meanwhile
        totals, held = dict[Node, Any](), {id(start)}
        for node, gradient in table.items():
            if type(node) is Leaf and node.retired:  # by another thread, meanwhile
                raise errors.outdated(node)
            if node.grad is not UNKEPT and not getattr(node, "frozen", False):
                array, tape = (gradient._array, gradient._node) if create_graph else (gradient, None)
                if array.base is not None or id(array) in held:
                    array = array.copy()  # a view, or an array that someone else holds too
                held.add(id(array))
                totals[node] = wrap(array, tape) if node.grad is None else node.grad + wrap(array, tape)
        set_together((totals, "grad", totals.values()))
