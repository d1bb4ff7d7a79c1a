"""A module as a function of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.backend import described
from ..core.tensor import Tensor
from ..structure import leaves, mapped
from .module import HOLDERS, HasForward, Module, P, R

__all__ = ["functional_call"]


def functional_call(module: HasForward[P, R], parameters: Mapping[str, Any], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a module with other Tensors in the place of its parameters or buffers: module(*args, **kwargs) with those.

    parameters: Tensors by the names of `named_parameters` and `named_buffers`, each of the shape of what it replaces; the
    others stay. Gradients flow to these Tensors, so the module is a function of its parameters, for `tr.grad`, `tr.hvp` or
    a step of meta-learning. The module itself does not change, but for buffers that are not replaced, such as running
    statistics. Threads may share it.

    Raises `ValueError` for names that the module lacks and for shapes that differ, and `TypeError` for what is no Tensor.

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning", 2017, for what it is used for.

    >>> import tinyreg as tr
    >>> model = tr.nn.Linear(2, 1, rng=0)
    >>> def loss(parameters):
    ...     return tr.square(tr.nn.functional_call(model, parameters, tr.ones((3, 2)))).sum()
    >>> tr.grad(loss)({"weight": tr.tensor([[1.0, 2.0]]), "bias": tr.tensor([0.0])})
    {'weight': tensor([[18., 18.]]), 'bias': tensor([18.])}
    """
    if not isinstance(module, Module):
        raise TypeError(f"functional_call: got {module!r:.80}, expected a Module")
    own: dict[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, value in parameters.items():
        if name not in own:
            raise ValueError(f"functional_call: got {name!r}, expected names of {type(module).__name__}: {', '.join(own)}")
        if not isinstance(value, Tensor):
            raise TypeError(f"functional_call: got {value!r:.80} as {name}, expected a Tensor")
        if value.shape != own[name].shape:
            raise ValueError(f"functional_call: got {name} {described(value)}, expected {described(own[name])}")
    replaced = {id(own[name]): value for name, value in parameters.items()}
    result: R = _copied(module, replaced)(*args, **kwargs)
    return result


def _copied(value: Any, known: dict[int, Any]) -> Any:
    """A value with others in the place of some that it holds, by their ids; modules on the way are copied, each once."""
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, Module):
        copy = known[id(value)] = object.__new__(type(value))
        held = {name: _copied(each, known) for name, each in vars(value).items()}
        modes = {name: getattr(value, name) for name in ("training", "sampling") if hasattr(value, name)}
        vars(copy).update(held | modes)  # which a context may have set for this module alone
        return copy
    if isinstance(value, HOLDERS) and any(isinstance(each, Module | Tensor) for each in leaves(value)):
        return mapped(lambda each: _copied(each, known), value)
    return value
