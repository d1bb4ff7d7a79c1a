"""Module: a function with parameters and buffers, found by looking at its attributes. There is no registry.

Whatever stands in an attribute counts: a `Parameter`, a `Buffer`, a `Module`, or a list, tuple or dict of them. The
name of a parameter is the path to it, such as `blocks.0.weight`, as in PyTorch. A list or dict of more than 256
words, numbers or lists of such, as a vocabulary is, is looked through once, and again when its length changes.

A forward writes nothing on its module but buffers, those in one step, so threads may share a module.
"""

from __future__ import annotations

import reprlib
import textwrap
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from ..core.backend import described, home
from ..core.tape import Leaf
from ..core.tensor import Tensor
from ..creation import as_array
from ..switches import Manager, Switch

M = TypeVar("M", bound="Module")
HOLDERS = (list, tuple, dict)
VALUES = {bool, int, float, str, type(None)}  # attributes of these types, the most of all, hold no parameter
DATA = VALUES | {bytes}
LARGE = 256

updating = threading.RLock()
"""Held while buffers are read and replaced, so that of two threads that do so neither loses what the other did."""

_modes = Switch[Mapping[int, bool]]("modes", {}, replayed=True)
promoting = Switch("promoting", False, replayed=True)
"""Whether layers take inputs of other dtypes, for checks that try one function in several."""


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

    @property
    def training(self) -> bool:
        """Whether layers that differ in training, such as dropout, are to act so: see `train`, `eval` and `in_mode`."""
        mode: bool = self.__dict__.get("training", True)
        modes = _modes.get()
        return modes.get(id(self), mode) if modes else mode

    @training.setter
    def training(self, mode: bool) -> None:
        vars(self)["training"] = mode

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
        if isinstance(value, Parameter):
            _name([(name, value)])
        elif isinstance(value, Module | list | tuple | dict):
            found: list[tuple[str, Any]] = []
            _add(found, "" if name == self.unnamed else name, value, {}, {})
            _name(found)
            for path, module in found:
                if isinstance(module, Module):
                    _name((f"{path}.{inner}", parameter) for inner, parameter in module.named_parameters())

    def members(self) -> list[tuple[str, Any]]:
        """What the attributes hold, by name, but for plain values; the elements of lists, tuples and dicts one by one."""
        found: list[tuple[str, Any]] = []
        known, data = vars(self).get("_data", {}), dict[int, Any]()
        for name, value in list(vars(self).items()):
            if type(value) in VALUES or name == "_data":
                continue
            if isinstance(value, HOLDERS):
                _add(found, "" if name == self.unnamed else name, value, known, data)
            else:
                found.append((name, value))
        if data != known:
            vars(self)["_data"] = data
        return found

    def children(self) -> list[Module]:
        """The modules directly inside this one."""
        return [value for _, value in self.members() if isinstance(value, Module)]

    def named_modules(self) -> list[tuple[str, Module]]:
        """This module, named "", and all inside it with their names; one that stands in two places comes once."""
        return [("", self), *_each_once(self._inside(Module, entered={id(self)}), but=self)]

    def modules(self) -> list[Module]:
        """This module and all inside it, each once."""
        return [module for _, module in self.named_modules()]

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """All parameters with their names; one that stands in two places comes once, under its first name."""
        found = _each_once(self._inside(Parameter, entered={id(self)}))
        _name(found)
        return found

    def parameters(self) -> list[Parameter]:
        """All parameters, each once: a list, so that it can be gone through more than once."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_buffers(self) -> list[tuple[str, Buffer]]:
        """All buffers with their names, each once."""
        return _each_once(self._inside(Buffer, entered={id(self)}))

    def buffers(self) -> list[Buffer]:
        """All buffers, each once."""
        return [buffer for _, buffer in self.named_buffers()]

    def _inside(
        self, kinds: Any, path: str = "", above: tuple[int, ...] = (), entered: set[int] | None = None
    ) -> list[tuple[str, Any]]:
        """All of some kinds that this module and those inside it hold, with their paths.

        No module is entered within itself, so that one may know its parent; and none of `entered`, which grows.
        """
        found, above = [], (*above, id(self))
        for name, value in self.members():
            if isinstance(value, kinds):
                found.append((path + name, value))
            if isinstance(value, Module) and id(value) not in (above if entered is None else entered):
                if entered is not None:
                    entered.add(id(value))
                found += value._inside(kinds, f"{path}{name}.", above, entered)
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
        return {name: Tensor(as_array(value.data)) for name, value in self._inside((Parameter, Buffer))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give all parameters and buffers the values of `state`, which has exactly their names and shapes.

        Values are Tensors, arrays, or tensors of PyTorch; they are copied, and take the dtype and backend of what they
        replace.

        Raises `ValueError` for names that are missing or unknown and for shapes that differ, `TypeError` for integers
        in place of floats or the other way round: all before anything is changed.
        """
        own = dict(self._inside((Parameter, Buffer)))
        for problem, names in (("lacks", own.keys() - state.keys()), ("has unknown", state.keys() - own.keys())):
            if names:
                raise ValueError(
                    f"load_state_dict: the state {problem} {', '.join(sorted(names))}; expected exactly the names of "
                    f"{type(self).__name__}: {', '.join(own)}"
                )
        values = {name: _unwrapped(state[name]) for name in own}
        for name, tensor in own.items():
            value = values[name]
            if getattr(value, "shape", None) != tensor.shape:
                raise ValueError(f"load_state_dict: got {name} {described(value)}, expected {described(tensor)}")
            if value.dtype.kind != tensor.dtype.kind:
                raise TypeError(f"load_state_dict: got {name} {described(value)}, expected {described(tensor)}")
        for name, tensor in own.items():
            tensor.assign(values[name])

    # ---- as text

    def extra_repr(self) -> str:
        """The settings, as they stand between the brackets of the module's text."""
        return ""

    @reprlib.recursive_repr("...")
    def __repr__(self) -> str:
        name, settings = type(self).__name__, self.extra_repr()
        inside = [f"({key}): {value!r}\n" for key, value in self.members() if isinstance(value, Module)]
        return f"{name}({settings}" + textwrap.indent("".join(["\n", *inside]), "  ") * bool(inside) + ")"


# ---- in one context --------------------------------------------------------------------------------------------------


def in_mode(model: Module, training: bool) -> Manager:
    """Have a model and all inside it act as in training, or as out of it, in this context and in no other thread.

    What `train` and `eval` have set is left alone.

    >>> import tinyreg as tr
    >>> from tinyreg.nn.module import in_mode
    >>> layer = tr.nn.Dropout(0.5)
    >>> with in_mode(layer, False):
    ...     layer(tr.ones(3)), layer.training
    (tensor([1., 1., 1.]), False)
    >>> layer.training
    True
    """
    return _modes({**_modes.get(), **dict.fromkeys(map(id, model.modules()), training)})


# ---- what a layer is given -------------------------------------------------------------------------------------------


def expect_dtype(layer: str, x: Any, parameter: Any, *, name: str = "x", mixed: bool = False) -> None:
    """Whether x has the dtype of a layer's parameter: an input never decides in what dtype a network computes.

    mixed: float16 will do too, for layers that compute it in the parameter's dtype and round. PyTorch does the same.

    Raises `TypeError` for another dtype, integers among them, and for what is neither a Tensor nor an array.
    """
    dtype = getattr(x, "dtype", None)
    if dtype == parameter.dtype or (mixed and dtype == "float16"):
        return
    if not isinstance(x, Tensor) and home(x, f"{layer}: ") is None:
        raise TypeError(f"{layer}: got {name}={x!r}, expected a Tensor or an array of {parameter.dtype}")
    if promoting.get():
        return
    other = f', or make the layer after tr.set_default_dtype("{dtype}")' * (x.dtype.kind == "f")
    raise TypeError(
        f"{layer}: got {name} {described(x)}, expected {parameter.dtype}, the dtype of the layer's parameters; use "
        f'{name}.astype("{parameter.dtype}"){other}'
    )


# ---- parts -----------------------------------------------------------------------------------------------------------


def _elements(held: Any) -> Collection[Any]:
    return held.values() if isinstance(held, dict) else held


def _add(
    found: list[tuple[str, Any]],
    path: str,
    value: Any,
    known: Mapping[int, tuple[Any, int]],
    data: dict[int, tuple[Any, int]],
    above: tuple[Any, ...] = (),
) -> None:
    """Add a value, or what a list, tuple or dict holds, one by one, also what such hold in it.

    known: the large ones that hold only data, with the lengths at which that was seen; data: which are so now.
    """
    if not isinstance(value, HOLDERS):
        found.append((path, value))
        return
    if len(value) > LARGE:
        before, length = known.get(id(value), (None, 0))
        if (before is value and length == len(value)) or _is_data(value):
            data[id(value)] = value, len(value)
            return
    if DATA.issuperset(map(type, _elements(value))) or any(value is outer for outer in above):
        return
    path = f"{path}." if path else ""
    for key, element in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(element, HOLDERS):
            _add(found, f"{path}{key}", element, known, data, (*above, value))
        elif type(element) not in VALUES:
            found.append((f"{path}{key}", element))


def _is_data(held: Any, depth: int = 4) -> bool:
    """Whether a list, tuple or dict holds nothing that is a tensor or a module, or a place that was kept free for one."""
    kinds = set(map(type, _elements(held)))
    if not depth or any(issubclass(kind, (Tensor, Module)) for kind in kinds):
        return False
    if isinstance(held, list | dict) and (not held or type(None) in kinds):
        return False
    inner = any(issubclass(kind, HOLDERS) for kind in kinds)
    return not inner or all(_is_data(each, depth - 1) for each in _elements(held) if isinstance(each, HOLDERS))


def _each_once(named: list[tuple[str, Any]], but: Any = None) -> list[tuple[str, Any]]:
    """Each value under its first name."""
    seen: dict[int, tuple[str, Any]] = {}
    for name, value in named:
        if value is not but:
            seen.setdefault(id(value), (name, value))
    return list(seen.values())


def _name(named: Iterable[tuple[str, Any]]) -> None:
    """Tell parameters their names, but for those that an outer module has given a longer one."""
    for path, value in named:
        if isinstance(value, Parameter) and value._name != path and not value._name.endswith(f".{path}"):
            value.name = path


def _unwrapped(value: Any) -> Any:
    """A tensor of PyTorch as an array; anything else as it is."""
    if isinstance(value, Tensor) or not hasattr(value, "numpy"):
        return value
    for step in ("detach", "cpu"):
        value = getattr(value, step)() if hasattr(value, step) else value
    try:
        return value.numpy()
    except TypeError:  # bfloat16, which NumPy lacks
        return value.float().numpy()
