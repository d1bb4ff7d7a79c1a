"""Module: a function with parameters and buffers, which are attributes. There is no registry.

Whatever stands in an attribute counts: a `Parameter`, a `Buffer`, a `Module`, or a list, tuple or dict of them. The
name of a parameter is the path to it, such as `blocks.0.weight`, as in PyTorch. A list or dict of more than 256
words or numbers, such as a vocabulary, is searched once, and again when its length changes.

A forward writes only buffers on its module, all in one step, so threads may share a module.
"""

from __future__ import annotations

import reprlib
import textwrap
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar, Final, NamedTuple, ParamSpec, Protocol, TypeVar

from ..arguments import flag
from ..core.backend import described
from ..core.tensor import Tensor, copy_for, replace
from ..creation import as_array
from .mode import modes
from .parameter import Buffer, Parameter

__all__ = ["Module"]

M = TypeVar("M", bound="Module")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
HOLDERS = (list, tuple, dict)
VALUES = {bool, int, float, str, type(None)}  # attributes of these types, the most of all, hold no parameter
DATA = VALUES | {bytes}
LARGE = 256

updating: Final = threading.RLock()
"""Held while buffers are read and replaced, so that of two threads that do so neither loses what the other did."""


class Unmatched(NamedTuple):
    """The names that `load_state_dict` found on one side only: of the module, and of the state."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class HasForward(Protocol[P, R_co]):
    """What a Module is to a type checker: a call takes what its own `forward` takes, and gives what that gives."""

    @property
    def forward(self) -> Callable[P, R_co]:
        """What it computes."""


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
        here = modes.get()
        return here.get(id(self), mode) if here else mode

    @training.setter
    def training(self, mode: bool) -> None:
        vars(self)["training"] = mode

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute what the module stands for; every Module writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward; write one")

    def __call__(self: HasForward[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `forward`."""
        return self.forward(*args, **kwargs)

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
            members: list[tuple[str, Any]] = []
            _add(members, "" if name == self.unnamed else name, value, {}, {})
            _name(members)
            for path, module in members:
                if isinstance(module, Module):
                    _name((f"{path}.{inner}", parameter) for inner, parameter in module.named_parameters())

    def members(self) -> list[tuple[str, Any]]:
        """List what the attributes hold by name, but for numbers and text; elements of lists, tuples and dicts apart."""
        own = self.__dict__
        known: dict[int, Any] = own.get("_data", {})
        members: list[tuple[str, Any]] = []
        data: dict[int, Any] = {}
        for name, value in list(own.items()):
            if type(value) in VALUES or name == "_data":
                continue
            if isinstance(value, HOLDERS):
                _add(members, "" if name == self.unnamed else name, value, known, data)
            else:
                members.append((name, value))
        if data != known:
            own["_data"] = data
        return members

    def children(self) -> list[Module]:
        """List the modules directly inside this one."""
        return [value for _, value in self.members() if isinstance(value, Module)]

    def named_modules(self) -> list[tuple[str, Module]]:
        """List this module, named "", and all inside it with their names; one that stands in two places comes once."""
        return [("", self), *_each_once(self._inside(Module, entered={id(self)}), but=self)]

    def modules(self) -> list[Module]:
        """List this module and all inside it, each once."""
        return [module for _, module in self.named_modules()]

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """List all parameters with their names; one that stands in two places comes once, under its first name."""
        named = _each_once(self._inside(Parameter, entered={id(self)}))
        _name(named)
        return named

    def parameters(self) -> list[Parameter]:
        """List all parameters, each once, so that they can be gone through more than once."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_buffers(self) -> list[tuple[str, Buffer]]:
        """List all buffers with their names, each once."""
        return _each_once(self._inside(Buffer, entered={id(self)}))

    def buffers(self) -> list[Buffer]:
        """List all buffers, each once."""
        return [buffer for _, buffer in self.named_buffers()]

    def _inside(
        self, kinds: Any, path: str = "", above: tuple[int, ...] = (), entered: set[int] | None = None
    ) -> list[tuple[str, Any]]:
        """List all of some kinds that this module and those inside it hold, with their paths.

        A module that stands inside itself, such as a parent that its child knows, is not entered again; nor is one of
        `entered`, to which each that is entered is added.
        """
        inside, above = [], (*above, id(self))
        for name, value in self.members():
            if isinstance(value, kinds):
                inside.append((path + name, value))
            if isinstance(value, Module) and id(value) not in (above if entered is None else entered):
                if entered is not None:
                    entered.add(id(value))
                inside += value._inside(kinds, f"{path}{name}.", above, entered)
        return inside

    # ---- modes and gradients

    def train(self: M, mode: bool = True) -> M:
        """Put this module and all inside it into training mode, or out of it; returns itself."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Put this module and all inside it out of training mode; returns itself."""
        return self.train(False)

    def freeze(self: M, frozen: bool = True) -> M:
        """Let no parameter of this module, nor of those inside it, get a gradient, or with False let all; returns itself.

        >>> import tinyreg as tr
        >>> model = tr.nn.Sequential(tr.nn.Linear(4, 8).freeze(), tr.nn.ReLU(), tr.nn.Linear(8, 2))
        >>> [name for name, p in model.named_parameters() if p.requires_grad]
        ['2.weight', '2.bias']
        """
        wanted = not flag("freeze", "frozen", frozen)
        for parameter in self.parameters():
            parameter.requires_grad = wanted
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    # ---- state

    def state_dict(self) -> dict[str, Tensor]:
        """Copy all parameters and buffers, by name: later training does not change the copies.

        >>> import tinyreg as tr
        >>> list(tr.nn.Linear(2, 1).state_dict())
        ['weight', 'bias']
        """
        return {name: Tensor(as_array(value.data)) for name, value in self._inside((Parameter, Buffer))}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Unmatched:
        """Give all parameters and buffers the values of `state`, which has exactly their names and shapes.

        Values are Tensors, arrays, or tensors of PyTorch; they are copied, and take the dtype and backend of what they
        replace. With `strict=False` names that only one side has are left alone; either way they are returned, as
        `missing_keys` and `unexpected_keys`.

        Raises `ValueError` for names that are missing or unknown, if strict, and for shapes that differ, `TypeError` for
        integers in place of floats or the other way round: all before anything is changed.
        """
        own = dict(self._inside((Parameter, Buffer)))
        missing, unknown = ([*own.keys() - state.keys()], [*state.keys() - own.keys()])
        for problem, names in (("lacks", missing), ("has unknown", unknown)):
            if names and flag("load_state_dict", "strict", strict):
                raise ValueError(
                    f"load_state_dict: the state {problem} {', '.join(sorted(names))}; expected exactly the names of "
                    f"{type(self).__name__}: {', '.join(own)}; strict=False leaves them alone"
                )
        values = {name: _unwrapped(state[name]) for name in own if name in state}
        for name, value in values.items():
            tensor = own[name]
            if getattr(value, "shape", None) != tensor.shape:
                raise ValueError(f"load_state_dict: got {name} {described(value)}, expected {described(tensor)}")
            if value.dtype.kind != tensor.dtype.kind:
                raise TypeError(f"load_state_dict: got {name} {described(value)}, expected {described(tensor)}")
        replace([own[name] for name in values], [copy_for(own[name], value) for name, value in values.items()])
        return Unmatched(sorted(missing), sorted(unknown))

    # ---- as text

    def extra_repr(self) -> str:
        """Show the settings, as they stand between the brackets of the module's text."""
        return ""

    @reprlib.recursive_repr("...")
    def __repr__(self) -> str:
        name, settings = type(self).__name__, self.extra_repr()
        inside = [f"({key}): {value!r}\n" for key, value in self.members() if isinstance(value, Module)]
        lines = textwrap.indent("".join(["\n", *inside]), "  ") if inside else ""
        return f"{name}({settings}{lines})"


def settings_of(layer: Module, *always: object, **usual: object) -> str:
    """The settings of a layer as text: some always, and by their names those that are not as usual."""
    unusual = [name for name, value in usual.items() if getattr(layer, name) != value]
    return ", ".join([*map(str, always), *(f"{name}={getattr(layer, name)!r}" for name in unusual)])


# ---- parts -----------------------------------------------------------------------------------------------------------


def _elements(held: Any) -> Collection[Any]:
    return held.values() if isinstance(held, dict) else held


def _add(
    members: list[tuple[str, Any]],
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
        members.append((path, value))
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
            _add(members, f"{path}{key}", element, known, data, (*above, value))
        elif type(element) not in VALUES:
            members.append((f"{path}{key}", element))


def _is_data(held: Any, depth: int = 4) -> bool:
    """Whether a list, tuple or dict holds nothing that is a tensor or a module, or a place that is free for one."""
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
