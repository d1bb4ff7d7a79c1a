"""The errors of the engine: what was got, what was expected, what to do. They stand here, so that it reads without them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .backend import Shape, described

if TYPE_CHECKING:
    from .protocols import Protocols
    from .signature import Signature
    from .tape import Entry, Leaf, Op
    from .tensor import Tensor

MANY = 16
"""How many arguments an error names one by one."""

KINDS: tuple[type[Exception], ...] = (TypeError, ValueError, IndexError, NotImplementedError)
KINDS += (FloatingPointError, MemoryError, OverflowError)
"""What an op raises: the kind of error that the array library raised, or RuntimeError."""

# ---- calls


def mixed(s: Signature, args: Sequence[Any], places: Sequence[str]) -> TypeError:
    """Arguments that live on several backends."""
    return TypeError(
        f"{s.name}: got {', '.join(map(described, args))} on {' and '.join(places)}, expected one backend; move one of "
        "them with .to(...)"
    )


def explained(s: Signature, error: Exception, arrays: Sequence[Any], place: str, expects: str) -> Exception:
    """The complaint of the array library or of the op itself, with the op, what it was given, and what it takes."""
    shown = [f"{s.argument(i)} {described(a)}" for i, a in enumerate(arrays[:MANY]) if a is not None]
    got = ", ".join(shown + [f"and {len(arrays) - MANY} more"] * (len(arrays) > MANY))
    kind = next((k for k in KINDS if isinstance(error, k)), RuntimeError)
    by, _, complaint = str(error).partition(": got ")
    if complaint and by in (s.name, s.own_name):  # the op's own, which says what is expected
        return kind(f"{s.name}: got {got} on {place}, {complaint}")
    expected = "" if kind in (FloatingPointError, MemoryError) else f"; expected {expects or s}"
    return kind(f"{s.name}: got {got} on {place}{expected}. {error}")


def array_as_setting(op: str, name: str, value: Any) -> TypeError:
    """An array or a Tensor for a setting."""
    return TypeError(
        f"{op}: got {described(value)} for the setting {name}, expected a plain Python value: a setting has no gradient. "
        "Use .item() or .tolist() if that is what you mean"
    )


# ---- declarations


def no_function(kind: str, forward: Any, name: Any) -> TypeError:
    """An op made of what is no function."""
    return TypeError(f"{kind}: got {forward!r:.80}, name={name!r:.80}, expected a function and a text")


def reserved(op: str, parameter: str, meaning: str) -> TypeError:
    """A parameter by a name that means something in a VJP."""
    return TypeError(
        f"{op}: got a parameter {parameter}, expected another name: in a VJP {parameter} is {meaning}",
    )


def not_on_offer(op: str, arguments: Sequence[str], got: Iterable[str], known: Iterable[str]) -> TypeError:
    """A VJP that asks for a name which is none of its op."""
    return TypeError(
        f"{op}.vjp{tuple(arguments)}: got the names {', '.join(got)}, expected g first and then any of "
        f"{', '.join(sorted(known))}; a VJP names what the tape is to keep"
    )


def no_vjp(op: str, argument: str) -> TypeError:
    """An argument that wants a gradient and has none."""
    return TypeError(
        f"{op}: argument {argument} wants a gradient but has no VJP; declare one with @{op}.vjp({argument!r}), or that it "
        f"has none with nondifferentiable=({argument!r},)"
    )


def float_residual(op: str, name: str, array: Any) -> TypeError:
    """A residual of floats."""
    return TypeError(
        f"{op}: the residual {name} is {described(array)}, expected booleans or integers: a float one would make second "
        "derivatives silently wrong. Work it out in the VJP, from arguments and y"
    )


# ---- backward


def not_computed(y: Tensor) -> RuntimeError:
    """A backward from what is not on the tape."""
    return RuntimeError(
        f"backward: {described(y)} was not computed from a tensor that requires a gradient, or recording was off "
        "(tr.no_grad); create its leaves with requires_grad=True"
    )


def no_scalar(y: Tensor) -> ValueError:
    """A backward from several elements without an incoming gradient."""
    return ValueError(
        f"backward: {described(y)} is no scalar; expected one element, or backward(grad) of its shape. Perhaps you meant "
        ".sum() or .mean() first"
    )


def incoming_unlike(y: Tensor, grad: Tensor) -> ValueError:
    """An incoming gradient that is not like the tensor."""
    return ValueError(
        f"backward: got an incoming gradient of {described(grad)} on {grad.backend}, expected shape {list(y.shape)} on "
        f"{y.backend}, like the tensor that backward was called on"
    )


def gradient_unlike(x: Tensor, value: Any) -> ValueError:
    """A value for `.grad` that is not like the tensor."""
    return ValueError(f"grad: got {described(value)}, expected as the tensor: {described(x)} on {x.backend}")


def outdated(leaf: Leaf) -> RuntimeError:
    """A tape that would go back to a tensor which has been given a new value since."""
    return RuntimeError(
        f"backward: {leaf} was changed after the tape used it (the tape has version {leaf.version}); run the forward "
        "again, or change leaves only after the backward"
    )


def freed(entry: Entry) -> RuntimeError:
    """A tape that would go back to an entry which no longer has what it saved."""
    return RuntimeError(
        f"backward: the entry of {entry.op.name} was freed by an earlier backward or its result changed; expected one not "
        "walked yet. Pass retain_graph=True to the first backward, or run the forward again"
    )


def no_gradient(op: Op, raw: Any, shape: Shape) -> TypeError:
    """A VJP that returned no array of floats."""
    return TypeError(
        f"backward of {op.name}: a VJP returned {described(raw)}, expected a gradient of shape {shape} in floats; an "
        "argument that has none is declared nondifferentiable"
    )


def no_broadcast(op: Op, raw: Any, shape: Shape) -> ValueError:
    """A VJP that returned a gradient of another shape, which broadcasting does not explain."""
    return ValueError(
        f"backward of {op.name}: a VJP returned a gradient of shape {raw.shape}, expected {shape}, the shape of its "
        "argument; sum over what the op repeated, or declare it @primitive(broadcasting=True)"
    )


# ---- what a tensor is not


def no_assignment() -> TypeError:
    """An assignment to elements."""
    return TypeError(
        "a Tensor does not support item assignment, because a tape may still need its values; build a new one with "
        "tr.where, tr.concat or tr.stack, or give a leaf a new value with assign"
    )


def no_array(x: Protocols) -> TypeError:
    """A Tensor where NumPy wants an array."""
    return TypeError(
        f"got {described(x)} on {x.backend}{' that requires a gradient' * x.requires_grad} where NumPy wants an array; "
        "that would cut it off from the tape or copy it off the device unasked. Use ops, such as tr.stack for a list of "
        "tensors; to leave the tape and the device, use .numpy()"
    )


def cut_off(x: Protocols, kind: type) -> str:
    """The warning about a number that is taken from a tensor with a gradient."""
    return (
        f"{kind.__name__}() of {described(x)} that requires a gradient gives a number that no gradient flows through, also "
        "where it is put into an array; use .item() if that is what you mean, otherwise tr.stack, tr.concat or tr.where"
    )
