"""Wrong versions of the engine, made from its source as those of VJPs are, and put in place of its functions."""

from __future__ import annotations

import ast
import contextlib
import contextvars
import inspect
import sys
from types import FunctionType

import pytest
from operand_programs import PROGRAMS

import tinyreg as tr
from tinyreg.core import primitive, tape
from tinyreg.testing.mutation.rules import rewritten
from tinyreg.testing.mutation.source import mutants

MISTAKES = [
    "A.pop() -> A.pop(0)",
    "A.extend(B) -> A.extend(B[:1]); A.extend(B[-1:])",
    "not A.isdisjoint(B) -> A.issuperset(B)",
    "A.setdefault(B, C) -> A.update({B: C})",
    "A + B -> A.__iadd__(B)",
    "A + wrap(B, C) -> wrap(A._array.__iadd__(B), C)",
    "A[B] = C -> A[B - 1] = C",
    "Result(A, B) -> Result(A, 0)",
    "wrap(A, B) -> wrap(A)",
    "(recording, A) -> (recording, False); (recording, True)",
    "A.get(B) or C -> next(iter(A.values()), None) or C",
    "[*A, *B] -> [*A]; [*B]",
    "type(A) is B and C and D -> type(A) is B and C; C and D; type(A) is B and D",
    "A.array(B, dtype=C) -> A.asarray(B, dtype=C)",
    "A.zeros(B, dtype=C) -> A.ones(B, dtype=C)",
    "A.sum(axis=B, keepdims=C, dtype=D) -> A.mean(axis=B, keepdims=C, dtype=D)",
]
"""What else people get wrong in an engine: wherever the left side stands, the right side is a mutant."""


TOLD = ["if A: A(...)", "if (A := B.get()) is not None: ..."]
"""Where the engine tells a listener of what it does."""


EQUIVALENT = {
    # ---- the order, and what is done although nobody needs it
    "for A, B in C: ... -> for A, B in reversed([*C]): ...": "the order of these does not matter",
    "for A, B, C in D: ... -> for A, B, C in reversed([*D]): ...": "the order of these does not matter",
    "for A in B.further: ... -> for A in reversed([*B.further]): ...": "the order of these does not matter",
    "if not A.isdisjoint(B.parents): ... -> if True: ...": "of an entry none of whose parents is wanted nothing is asked",
    "(recording, create_graph) -> (recording, True)": "VJPs are given bare arrays, and an op on these is not recorded",
    "A or self._plan(B) -> self._plan(B)": "the plan is made anew",
    "if A.further: ... -> if True: ...": "there is nothing to add",
    "for A in filter(B, C): ... -> for A in reversed([*filter(B, C)]): ...": "the order of these does not matter",
    "if A is B.dtype and C.shape == D != (): ... -> if False: ...": "what follows changes nothing here, and takes longer",
    "if A.without: ... -> if True: ...": "there is nothing to leave out",
    "if A.base is not None or id(A) in B: ... -> if True: ...": "not to copy saves time",
    "if not is_recording(): ... -> if False: ...": "without recording there are no parents, which ends it too",
    "if A.dtype != B.dtype: ... -> if True: ...": "a cast to the dtype that it has",
    "A if A.dtype == B.dtype else A.astype(B.dtype) -> A.astype(B.dtype)": "a cast to the dtype that it has",
    "A if B else as_zero_dimensional(A) -> as_zero_dimensional(A)": "an array stays as it is",
    "A, B, C, D or current(), E -> A, B, C, D or current(), -E": "-True is as true",
    "dict[A, B]() -> dict()": "only a type checker reads it",
    # ---- what is the only one, or none
    "A.time >= B -> A.time > B": "the moment is a tick of its own, at which nothing was recorded",
    "A.time < B -> A.time <= B": "the moment is a tick of its own, at which nothing was recorded",
    "A.parents[0] -> A.parents[-1]": "a result has one parent",
    "(A[0], B[0]) -> (A[-1], B[0]); (A[0], B[-1])": "there is one result",
    "wrap(A[0]._array, B) -> wrap(A[-1]._array, B)": "there is one result",
    "len(A) == 1 -> len(A) == -1": "the other way takes any number of names",
    "if len(A) == 1: ... -> if False: ...": "the other way takes any number of names",
    "[A.B for A in C if A.B] -> [A.B for A in C]": "None leads nowhere",
    "A is not None and isinstance(B, Tensor) and C -> A is not None": "None leads nowhere, and of Tensors come Tensors",
    "{A: B for C, A in D if A} -> {A: B for C, A in D}": "None leads nowhere",
    "isinstance(A, Leaf) or B -> B": "a leaf that is born inside is another the next time, and so has no gradient",
    "A.grad is not UNKEPT and B -> B": "the walk ends in leaves and in what retains its gradient",
    "A.sum(axis=B, keepdims=True, dtype=C) -> A.sum(axis=B, dtype=C); A.sum(axis=B, keepdims=False, dtype=C)": (
        "the shape is given afterwards"
    ),
    "A.setdefault(id(B), C) -> A.setdefault(B, C)": "a Tensor is hashed by its identity",
}
"""Rules for what nothing can tell from the right engine, each with the reason."""

HELD_ELSEWHERE = {
    "A and is_recording() -> is_recording()": "a plan for no argument keeps nothing; tests/core/test_conversions.py",
    "if HOMES.get(type(A)) is None: ... -> if True: ...": "an array of NumPy stays as it is; tests/core/test_backends.py",
    "A._array if isinstance(A, B) else A -> A": "NumPy takes a Tensor for its array; tests/core/test_backends.py",
    "if type(A) is Leaf and A.retired: ... -> if False: ...; if A is Leaf and A.retired: ...": (
        "another thread may have given a leaf a value meanwhile; tests/core/test_threads.py has it"
    ),
    "not A or (B is not None and B.definitions) -> not A": "tests/explore/test_explain.py looks into definitions",
    "A._wrapped(B, C, D, E) -> A._wrapped(B, C, E, D)": "tests/explore/test_explain.py has what listeners get",
    "A is not None and A.definitions -> A is not None": "tests/explore/test_explain.py looks into definitions",
    "A.asarray(arrayed(B, C), D) -> A.asarray(B, D)": "NumPy takes most of it; tests/core/test_conversions.py has others",
}
"""Rules for what no program here can tell, and other tests can: `scripts/mutants core` asks these."""


def more(node):
    """What else could stand in the place of a node: a condition without a choice, nothing, another order."""
    for rule in MISTAKES:
        yield from rewritten(rule, node)
    if isinstance(node, ast.If):
        yield from (ast.If(ast.Constant(always), node.body, node.orelse) for always in (True, False))
    elif isinstance(node, ast.For):
        backwards = ast.parse(f"reversed([*{ast.unparse(node.iter)}])", mode="eval").body
        yield ast.copy_location(ast.For(node.target, backwards, node.body, node.orelse), node)
    elif isinstance(node, ast.Try) and node.finalbody:
        yield ast.If(ast.Constant(True), [*node.body, *node.finalbody], [])
    elif _can_be_left_out(node):
        yield None


def wrong_versions(f):
    """The mutants of a function of the engine.

    None takes one parameter for another, since a tensor in the place of its array is the end of Python; and none is in what
    the engine tells a listener, which the tests of `tinyreg.explore` hold.
    """
    found = mutants(f, more)
    exchanged = {m.name for m in found if isinstance(m.change.new, ast.Name) and isinstance(m.change.old, ast.Name)}
    return [m for m in found if m.name not in exchanged and not any(map(m.change.within, TOLD))]


def _can_be_left_out(node):
    """Whether a statement gives no value to a name, which would not be there without it, and is no text."""
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    is_call = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant | ast.Yield)
    return is_call or (isinstance(node, ast.Assign) and not names)


MODULES = [sys.modules[home.__module__] for home in (tape.walk, tr.Tensor, primitive.Primitive, tr.fused, tr.checkpoint)]
CLASSES = [
    value for m in MODULES for value in vars(m).values() if isinstance(value, type) and value.__module__ == m.__name__
]
NO_PART = {"__init__", "__get__", "__str__", "__repr__", "__reduce__", "__getstate__", "__setstate__", "numpy", "order"}
NO_PART |= {"_understood", "_tensor", "_tensors", "named", "vjp", "primitive", "fused", "fast"}
NO_PART |= {"requires_grad", "grad", "zero_grad", "retain_grad"}
"""What makes, copies and names the parts, and what the tests of their own hold: no step of recording or of the way back."""


def functions():
    """The functions and methods that record, go back and run again, by name: all of the engine's modules but `NO_PART`."""
    found = {}
    for module in dict.fromkeys(MODULES):
        owners = [module, *(c for c in CLASSES if c.__module__ == module.__name__)]
        for f in map(
            inspect.unwrap, filter(callable, _with_accessors(v for owner in owners for v in vars(owner).values()))
        ):
            if isinstance(f, FunctionType) and f.__code__.co_filename == module.__file__ and f.__name__ not in NO_PART:
                found[f"{module.__name__.rpartition('.')[2]}.{f.__qualname__}"] = f
    return found


def _with_accessors(values):
    return [f for value in values for f in ((value.fget, value.fset) if isinstance(value, property) else (value,))]


def counts():
    """How many mutants the engine has, and how many of them no rule excuses."""
    found = [mutant for f in functions().values() for mutant in wrong_versions(f)]
    return len(found), sum(not excused(mutant) for mutant in found)


def excused(mutant):
    """The rules by which no program can tell a mutant from the right engine."""
    return [rule for rule in EQUIVALENT | HELD_ELSEWHERE if mutant.change.fits(rule)]


@contextlib.contextmanager
def planted(right, mutant):
    """The library with one function wrong, and with no plan from before or after, because plans outlive what made them.

    Only the code of the function is exchanged: so it is wrong wherever it is bound, under any name. What it does to a
    class, which it may take for an object, is undone.
    """
    code, classes = right.__code__, [(c, dict(vars(c))) for c in CLASSES]
    try:
        right.__code__ = mutant.function.__code__
        forget_plans()
        yield
    finally:
        right.__code__ = code
        forget_plans()
        for c, before in classes:
            for name in vars(c).keys() ^ before.keys() | {n for n in before if vars(c).get(n) is not before[n]}:
                if name in before:
                    setattr(c, name, before[name])
                else:
                    delattr(c, name)


def noticed(program):
    """Whether a program says that something is wrong: in a context of its own, so that no switch stays as it was left."""
    try:
        contextvars.copy_context().run(program)
    except (Exception, pytest.fail.Exception):
        return True
    return False


def verdicts(f, step=1):
    """What was found of the mutants of a function: the name, whether a program notices it, and the rules that excuse it."""
    found = []
    for mutant in wrong_versions(f)[::step]:
        with planted(f, mutant):
            found.append((f"{mutant.name}   {mutant.line}", any(map(noticed, PROGRAMS)), excused(mutant)))
    return found


def forget_plans():
    for op in [*primitive.REGISTRY.values(), *sys.modules[tr.fused.__module__].FUSED.values()]:
        op._plans.clear()
