"""What a Module holds: parameters, which are trained, and buffers, which are not."""

from __future__ import annotations

from typing import Any

from ..core.tape import Leaf
from ..core.tensor import Tensor
from ..creation import as_array

__all__ = ["Buffer", "Parameter"]


class Parameter(Tensor):
    """A Tensor that is trained: it wants a gradient, and a Module that holds it in an attribute finds it.

    data: as for `tr.tensor`; it is copied. decay: whether optimizers may shrink it (`l2=`, `weight_decay=`); layers say
    False for their biases. The name, by which the tape calls it, is set by the Module.

    >>> import tinyreg as tr
    >>> tr.nn.Parameter([1.0, 2.0])
    Parameter([1., 2.], requires_grad=True)
    """

    __slots__ = ("_name", "decay")
    decay: bool

    def __init__(self, data: Any, *, requires_grad: bool = True, decay: bool = True) -> None:
        self._name, self.decay = "", decay
        super().__init__(as_array(data.data if isinstance(data, Tensor) else data), requires_grad)

    @property
    def name(self) -> str:
        """The path from the outermost Module, such as "0.weight"; empty where no Module holds it."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name
        if isinstance(self._node, Leaf):
            self._node.name = name

    @property
    def requires_grad(self) -> bool:
        """Whether it is trained. False freezes it, and True makes it what it was."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        Tensor.requires_grad.fset(self, wanted)  # type: ignore[attr-defined]
        self.name = self._name  # a new leaf does not know it yet

    def __getstate__(self) -> Any:
        return super().__getstate__(), self._name, self.decay

    def __setstate__(self, state: Any) -> None:
        tensor, self._name, self.decay = state
        super().__setstate__(tensor)

    def __repr__(self) -> str:
        return super().__repr__().replace("tensor", "Parameter", 1)


class Buffer(Tensor):
    """A Tensor that a Module keeps but does not train, such as a running mean: in `state_dict`, not in `parameters`.

    data: as for `tr.tensor`; it is copied. Give it a new value with `assign`.

    >>> import tinyreg as tr
    >>> tr.nn.Buffer([0.0, 0.0])
    Buffer([0., 0.])
    """

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        super().__init__(as_array(data.data if isinstance(data, Tensor) else data))

    def __repr__(self) -> str:
        return super().__repr__().replace("tensor", "Buffer", 1)
