"""Wrong versions of the engine, each the source of one function with one fragment replaced."""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from typing import NamedTuple

from tinyreg import conversion, recompute, signature
from tinyreg.core import primitive, tape, tensor


class Mutant(NamedTuple):
    """Where the function lives, its name, the fragment of its source that is replaced, and by what."""

    owner: object
    function: str
    right: str
    wrong: str


FIT = "raw.sum(axis=tuple(axes), keepdims=True, dtype=accumulator(raw.dtype))"
FIRST_COPY = "raw[tuple(slice(0, 1) if i in axes else slice(None) for i in range(raw.ndim))]"
ACCUMULATE = "fitted if before is None else before + fitted"
RESTORE = "try:\n        yield\n    finally:\n        variable.reset(token)"
ABOVE = "itertools.chain(roots, *(entry.parents for entry in inside))"
COPY = "return to.array(transfer(array, to), dtype=dtype)\n    except"
PRIMITIVE, TENSOR, CHECKPOINT, FUSED = primitive.Primitive, tensor.Tensor, recompute._Checkpoint, recompute.Fused

MUTANTS = {
    # ---- contributions that meet
    "assign for accumulate": Mutant(tape, "walk", ACCUMULATE, "fitted"),
    "the first contribution only": Mutant(tape, "walk", ACCUMULATE, "fitted if before is None else before"),
    "accumulate in place": Mutant(tape, "walk", "before + fitted", "before.__iadd__(fitted)"),
    "a sum of 0-d arrays left a scalar": Mutant(tape, "walk", "as_zero_dimensional(total)", "total"),
    "the last of equal roots": Mutant(tape, "walk", "as_zero_dimensional(table[node] + g) if node in table else g", "g"),
    # ---- order and extent
    "forward order": Mutant(tape, "walk", "entries.pop()", "entries.pop(0)"),
    "order of discovery": Mutant(tape, "reach", 'entries.sort(key=attrgetter("time"))', "entries.reverse()"),
    "stops at the first parent": Mutant(tape, "reach", "node.parents)", "node.parents[:1])"),
    "stops at the last parent": Mutant(tape, "reach", "node.parents)", "node.parents[-1:])"),
    "begins at the moment itself": Mutant(tape, "reach", "node.time >= since", "node.time > since"),
    "targets ignored": Mutant(tape, "walk", "parent if parent in wanted else None", "parent"),
    "targets only where every parent leads to one": Mutant(
        tape, "_leading_to", "not wanted.isdisjoint(entry.parents)", "wanted.issuperset(entry.parents)"
    ),
    "targets only one entry deep": Mutant(tape, "_leading_to", "in entries:", "in entries[::-1]:"),
    "VJPs of unwanted arguments run": Mutant(signature, "pulling", "{call} if {asked}", "{call} if True"),
    "a joint VJP only where all are wanted": Mutant(signature, "pulling", '" or "', '" and "'),
    # ---- freeing, and what a tape refuses
    "entries not freed": Mutant(tape, "walk", "if not retain:", "if False:"),
    "entries always freed": Mutant(tape, "walk", "if not retain:", "if True:"),
    "freed under create_graph": Mutant(
        tape, "walk", "create_graph if retain_graph is None else retain_graph", "retain_graph"
    ),
    "retained whatever retain_graph says": Mutant(
        tape, "walk", "create_graph if retain_graph is None else retain_graph", "create_graph or retain_graph"
    ),
    "a freed entry not noticed": Mutant(tape, "reach", "node.kept is None", "False"),
    "a retired leaf not noticed": Mutant(tape, "reach", "if node.retired:", "if False:"),
    "a result changed in place not noticed": Mutant(tape, "spoil", "kept = None", "kept = {}"),
    "the result and not its entry": Mutant(tape, "spoil", "node.parents[0] if type(node) is Result else node", "node"),
    "a leaf not retired": Mutant(tape.Leaf, "replaced", "self.retired = True", "self.retired = False"),
    "a new value forgets the gradient": Mutant(tape.Leaf, "replaced", "self.grad, self.name", "None, self.name"),
    "assign without a new leaf": Mutant(tensor, "replace", "leaf._node.replaced()", "leaf._node"),
    "assign shares its value": Mutant(conversion, "copied", COPY, COPY.replace("array", "asarray", 1)),
    # ---- shape and dtype
    "un-broadcast keeps the first copy": Mutant(tape, "_fit", FIT, FIRST_COPY),
    "un-broadcast by the mean": Mutant(tape, "_fit", FIT, "raw.mean(axis=tuple(axes), keepdims=True)"),
    "un-broadcast of leading axes only": Mutant(tape, "_fit", "*(added + i for i, n in enumerate(shape) if n == 1)", "*()"),
    "un-broadcast of length 1 only": Mutant(tape, "_fit", "*range(added)", "*()"),
    "un-broadcast of the wrong axes": Mutant(tape, "_fit", "*(added + i for", "*(raw.ndim - 1 - i for"),
    "un-broadcast of an op that does not broadcast": Mutant(tape, "_fit", "op.broadcasting and repeated", "repeated"),
    "a gradient that is none": Mutant(tape, "_fit", 'not hasattr(raw, "shape") or raw.dtype not in DTYPES', "False"),
    "a complex gradient": Mutant(tape, "_fit", " or raw.dtype not in DTYPES", ""),
    "a gradient not cast": Mutant(tape, "_fit", "raw.astype(parent.dtype)", "raw"),
    "a dtype not looked at": Mutant(tape, "walk", " and raw.dtype is parent.dtype", ""),
    "an incoming gradient not cast": Mutant(
        TENSOR, "_incoming", "grad if grad.dtype == self.dtype else grad.astype(self.dtype)", "grad"
    ),
    # ---- several results
    "the wrong result": Mutant(tape, "_hand_over", "together[result.index] = g", "together[result.index - 1] = g"),
    "assign for accumulate, of a result": Mutant(tape, "_hand_over", "as_zero_dimensional(before + g)", "g"),
    "results nobody used count as one": Mutant(tape, "complete", "xp.zeros(", "xp.ones("),
    "results lifted as the first": Mutant(PRIMITIVE, "_lifted", "Result(entry, i)", "Result(entry, 0)"),
    "results recorded as the first": Mutant(PRIMITIVE, "apply", "Result(entry, i)", "Result(entry, 0)"),
    "results of a checkpoint recorded as the first": Mutant(
        recompute, "checkpoint", "Result(entry, i)", "Result(entry, 0)"
    ),
    # ---- what leaves are given
    "grad assigned": Mutant(tensor, "_backward", " if node.grad is None else node.grad + wrap(array, tape)", ""),
    "grad added in place": Mutant(
        tensor, "_backward", "node.grad + wrap(array, tape)", "wrap(node.grad._array.__iadd__(array), tape)"
    ),
    "grad shares memory with another": Mutant(tensor, "_backward", " or id(array) in held", ""),
    "grad is a view": Mutant(tensor, "_backward", "array.base is not None or ", ""),
    "leaves updated one by one": Mutant(tensor, "_backward", "totals[node] = ", "node.grad = "),
    "retain_grad lost": Mutant(tape, "walk", "if entry.grad is not UNKEPT:", "if False:"),
    "retain_grad of what got nothing": Mutant(tensor, "_backward", " and gradient is not None", ""),
    # ---- second order
    "create_graph not recorded": Mutant(tape, "walk", "recording(create_graph)", "recording(False)"),
    "grad detached": Mutant(tensor, "_backward", "(gradient._array, gradient._node)", "(gradient._array, None)"),
    "lifted parents missing": Mutant(primitive, "_lift", "else wrap(value, node)", "else wrap(value)"),
    "lifted result missing": Mutant(PRIMITIVE, "_lifted", "if several else entry", "if several else None"),
    "lifted operands missing": Mutant(
        PRIMITIVE, "_lifted", "list(entry.parents[self.signature.first :])", "[None for _ in entry.parents]"
    ),
    # ---- plans and recording
    "a stale plan": Mutant(PRIMITIVE, "apply", "self._plans.get(wanting)", "next(iter(self._plans.values()), None)"),
    "plans of different arguments confused": Mutant(PRIMITIVE, "apply", "bit += bit", "bit += 1"),
    "every operand told that it is the first": Mutant(signature, "pulling", "position=i - {first}", "position=0"),
    "an argument without a gradient stays a parent": Mutant(PRIMITIVE, "apply", "if plan.dropped:", "if False:"),
    "a lone operand kept": Mutant(PRIMITIVE, "_rest", "None if alone and wants else a", "a"),
    "no_grad ignored by ops": Mutant(PRIMITIVE, "apply", "wanting and is_recording()", "wanting"),
    "no_grad that records": Mutant(
        tape, "no_grad", "functools.partial(recording, False)", "functools.partial(recording, True)"
    ),
    "recording not restored": Mutant(tape, "_set", "variable.reset(token)", "pass"),
    "recording not restored after an exception": Mutant(tape, "_set", RESTORE, "yield\n    variable.reset(token)"),
    "detach that cuts nothing off": Mutant(TENSOR, "detach", "wrap(self._array)", "wrap(self._array, self._node)"),
    # ---- checkpoints and fast forms
    "a checkpoint with a moved generator": Mutant(CHECKPOINT, "pull", ', _as_found(kept["touched"])', ""),
    "a checkpoint that leaves its generator behind": Mutant(recompute, "_as_found", "state in now:", "state in ():"),
    "a checkpoint that notes the last state": Mutant(
        recompute,
        "_noting",
        "touched.setdefault(id(thing), (thing, _state(thing)))",
        "touched[id(thing)] = thing, _state(thing)",
    ),
    "a checkpoint that tells no outer one": Mutant(recompute, "_noting", "if outer:", "if False:"),
    "a buffer that changes unnoticed": Mutant(tensor, "replace", "watch.get() or ", ""),
    "a checkpoint that loses what it closes over": Mutant(
        recompute, "checkpoint", ABOVE, "[a._node for a in args if isinstance(a, Tensor)]"
    ),
    "a checkpoint that is not recorded again": Mutant(CHECKPOINT, "pull", "recording(True)", "recording(False)"),
    "a checkpoint that ignores create_graph": Mutant(CHECKPOINT, "pull", "parents, create_graph)\n", "parents, False)\n"),
    "a checkpoint that walks on beyond itself": Mutant(recompute, "pull_through", "since=since, ", ""),
    "a fast backward under create_graph": Mutant(FUSED, "pull", "if not create_graph:", "if True:"),
    "a fast backward never run": Mutant(FUSED, "pull", "if not create_graph:", "if False:"),
    "a fast form under create_graph without lifted arguments": Mutant(FUSED, "pull", "self._lifted(entry)", "entry.kept"),
}

EQUIVALENT = {"begins at the moment itself": "the moment is a tick of its own, at which nothing was recorded"}


def mutated(mutant):
    """The function and its mutant; a fragment that is not there exactly once is an error."""
    right = inspect.unwrap(vars(mutant.owner)[mutant.function])
    source = textwrap.dedent(inspect.getsource(right))
    count = source.count(mutant.right)
    assert count == 1, f"{mutant.function} has {mutant.right!r} {count} times, expected once: bring the mutant up to date"
    # A method that says super() finds its class in a variable of this name.
    body = textwrap.indent(source.replace(mutant.right, mutant.wrong), "    ")
    text = f"def made(__class__):\n{body}\n    return {mutant.function}"
    made = {}
    exec(compile(text, f"<mutant of {mutant.function}>", "exec", annotations.compiler_flag), right.__globals__, made)
    return right, inspect.unwrap(made["made"](mutant.owner))


@contextlib.contextmanager
def planted(mutant):
    """The library with one function wrong, and with no plan from before or after, because plans outlive what made them.

    Only the code of the function is exchanged: so it is wrong wherever it is bound, under any name.
    """
    right, wrong = mutated(mutant)
    code = right.__code__
    try:
        right.__code__ = wrong.__code__
        forget_plans()
        yield
    finally:
        right.__code__ = code
        forget_plans()


def forget_plans():
    for op in [*primitive.REGISTRY.values(), *recompute.FUSED.values()]:
        op._plans.clear()
