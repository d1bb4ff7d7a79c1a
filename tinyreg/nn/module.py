"""Module: a function with parameters and buffers, found by looking at its attributes. There is no registry.

Whatever stands in an attribute counts: a `Parameter`, a `Buffer`, a `Module`, or a list, tuple or dict of them. The
name of a parameter is the path to it, such as `blocks.0.weight`, as in PyTorch.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from ..core.tape import Leaf
from ..core.tensor import Tensor
from ..creation import as_array
from ..signature import PLAIN, described

M = TypeVar("M", bound="Module")
HOLDERS = (list, tuple, dict)
VALUES = PLAIN - {tuple}  # attributes of these types, the most of all, hold no parameter


class Parameter(Tensor):
    """A Tensor that is trained: it wants a gradient, and a Module that holds it in an attribute finds it.

    data: as for `tr.tensor`; it is copied. decay: whether optimizers may shrink it (`l2=`, `weight_decay=`); layers say
    False for their biases. The name, by which the tape calls it, is set by the Module.

    >>> import tinyreg as tr
    >>> tr.nn.Parameter([1.0, 2.0])
    Parameter([1., 2.], requires_grad=True)
    """

    __slots__ = ("_name", "decay")

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
        """Whether it is trained. False freezes it and drops its gradient."""
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


class Module:
    """A function with parameters: write `forward`, and put parameters, buffers and modules in attributes.

    >>> import tinyreg as tr
    >>> class Scale(tr.nn.Module):
    ...     def __init__(self, factor):
    ...         self.factor = tr.nn.Parameter(factor)
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> scale = Scale(2.0)
    >>> scale(tr.tensor([1.0, 3.0])).tolist()
    [2.0, 6.0]
    >>> scale.named_parameters()
    [('factor', Parameter(2., requires_grad=True))]
    """

    unnamed: ClassVar[str] = ""
    """The attribute that is left out of names: what it holds goes by its keys alone, as the layers of a Sequential."""

    training: bool = True
    """Whether layers that differ in training, such as dropout, are to act so: see `train` and `eval`."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every Module writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward; write one")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What `forward` gives."""
        return self.forward(*args, **kwargs)

    def joins(self, ahead: Sequence[Module]) -> int:
        """How many of the layers ahead in a Sequential this one does too: those are handed to its `forward` after x."""
        return 0

    # ---- what it holds

    def __setattr__(self, name: str, value: Any) -> None:
        held = vars(self).get(name)
        if isinstance(held, Parameter | Buffer) and isinstance(value, Tensor) and type(value) is not type(held):
            raise TypeError(
                f"{type(self).__name__}.{name}: got a plain {described(value)} in place of a {type(held).__name__}; to "
                f"give it a new value use .{name}.assign(...)"
            )
        super().__setattr__(name, value)
        if isinstance(value, Parameter | Module | list | tuple | dict):
            for path, parameter in self.named_parameters():
                parameter.name = path  # an outer module gives it a longer one later

    def members(self) -> list[tuple[str, Any]]:
        """What the attributes hold, by name, but for plain values; the elements of lists, tuples and dicts one by one."""
        found: list[tuple[str, Any]] = []
        for name, value in vars(self).items():
            if type(value) in VALUES:
                continue
            if isinstance(value, HOLDERS):
                _add_elements(found, "" if name == self.unnamed else f"{name}.", value)
            else:
                found.append((name, value))
        return found

    def children(self) -> list[Module]:
        """The modules directly inside this one."""
        return [value for _, value in self.members() if isinstance(value, Module)]

    def modules(self) -> list[Module]:
        """This module and all inside it, each once."""
        inside = [self, *(module for child in self.children() for module in child.modules())]
        return list(dict.fromkeys(inside))

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """All parameters with their names; one that stands in two places comes once, under its first name."""
        return _each_once(self._tensors(Parameter))

    def parameters(self) -> list[Parameter]:
        """All parameters, each once: a list, so that it can be gone through more than once."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_buffers(self) -> list[tuple[str, Buffer]]:
        """All buffers with their names, each once."""
        return _each_once(self._tensors(Buffer))

    def buffers(self) -> list[Buffer]:
        """All buffers, each once."""
        return [buffer for _, buffer in self.named_buffers()]

    def _tensors(self, kind: Any, path: str = "") -> list[tuple[str, Any]]:
        """All tensors of a kind in this module and inside it, with their paths."""
        found = []
        for name, value in self.members():
            if isinstance(value, kind):
                found.append((path + name, value))
            elif isinstance(value, Module):
                found += value._tensors(kind, f"{path}{name}.")
        return found

    # ---- modes and gradients

    def train(self: M, mode: bool = True) -> M:
        """Put this module and all inside it into training mode, or out of it; returns itself."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Put this module and all inside it out of training mode; returns itself."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    # ---- state

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of all parameters and buffers, by name: later training does not change them.

        >>> import tinyreg as tr
        >>> list(tr.nn.Linear(2, 1).state_dict())
        ['weight', 'bias']
        """
        return {name: Tensor(as_array(value.data)) for name, value in self._tensors((Parameter, Buffer))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give all parameters and buffers the values of `state`, which has exactly their names and shapes.

        Values are Tensors or arrays; they are copied, and take the dtype and backend of what they replace.

        Raises `ValueError` for names that are missing or unknown and for shapes that differ, `TypeError` for integers
        in place of floats or the other way round: all before anything is changed.
        """
        own = dict(self._tensors((Parameter, Buffer)))
        for problem, names in (("lacks", own.keys() - state.keys()), ("has unknown", state.keys() - own.keys())):
            if names:
                raise ValueError(
                    f"load_state_dict: the state {problem} {', '.join(sorted(names))}; expected exactly the names of "
                    f"{type(self).__name__}: {', '.join(own)}"
                )
        for name, tensor in own.items():
            value = state[name]
            if getattr(value, "shape", None) != tensor.shape:
                raise ValueError(f"load_state_dict: got {name} {described(value)}, expected {described(tensor)}")
            if value.dtype.kind != tensor.dtype.kind:
                raise TypeError(f"load_state_dict: got {name} {described(value)}, expected {described(tensor)}")
        for name, tensor in own.items():
            tensor.assign(state[name])

    # ---- as text

    def extra_repr(self) -> str:
        """The settings, as they stand between the brackets of the module's text."""
        return ""

    def __repr__(self) -> str:
        name, settings = type(self).__name__, self.extra_repr()
        inside = [f"({key}): {value!r}\n" for key, value in self.members() if isinstance(value, Module)]
        return f"{name}({settings}" + textwrap.indent("".join(["\n", *inside]), "  ") * bool(inside) + ")"


def _add_elements(found: list[tuple[str, Any]], path: str, held: Any) -> None:
    """Add what a list, tuple or dict holds, one by one, also what such hold in it."""
    for key, value in held.items() if isinstance(held, dict) else enumerate(held):
        if isinstance(value, HOLDERS):
            _add_elements(found, f"{path}{key}.", value)
        else:
            found.append((f"{path}{key}", value))


def _each_once(named: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    seen: dict[int, tuple[str, Any]] = {}
    for name, value in named:
        seen.setdefault(id(value), (name, value))
    return list(seen.values())
