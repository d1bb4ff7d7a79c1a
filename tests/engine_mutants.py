"""Wrong versions of the engine, each the source of one function with one fragment replaced."""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from typing import NamedTuple

from tinyreg import switches
from tinyreg.core import checkpoint, conversion, fused, primitive, tape, tensor


class Mutant(NamedTuple):
    """Where the function lives, its name, the fragment of its source that is replaced, and by what."""

    owner: object
    function: str
    right: str
    wrong: str


FIT = "raw.sum(axis=tuple(axes), keepdims=True, dtype=accumulator(raw.dtype))"
FIRST_COPY = "raw[tuple(slice(0, 1) if i in axes else slice(None) for i in range(raw.ndim))]"
ACCUMULATE = "_sum(table.get(parent), contribution)"
RETAINED = "table.get(entry) if entry.grad is not UNKEPT else"
RESTORE = "try:\n        yield\n    finally:\n        self._variable.reset(token)"
ABOVE = "itertools.chain(roots, *(entry.parents for entry in inside))"
PRIMITIVE, TENSOR, CHECKPOINT, FUSED = primitive.Primitive, tensor.Tensor, checkpoint._Checkpoint, fused.Fused

MUTANTS = {
    # ---- contributions that meet
    "assign for accumulate": Mutant(tape, "walk", ACCUMULATE, "contribution"),
    "the first contribution only": Mutant(tape, "_sum", "as_zero_dimensional(before + g)", "before"),
    "accumulate in place": Mutant(tape, "_sum", "before + g", "before.__iadd__(g)"),
    "a sum of 0-d arrays left a scalar": Mutant(tape, "_sum", "as_zero_dimensional(before + g)", "before + g"),
    "the last of equal roots": Mutant(tape, "walk", "_sum(table.get(node), g)", "g"),
    # ---- order and extent
    "forward order": Mutant(tape, "walk", "entries.pop()", "entries.pop(0)"),
    "order of discovery": Mutant(tape, "reach", 'entries.sort(key=attrgetter("time"))', "entries.reverse()"),
    "stops at the first parent": Mutant(tape, "reach", "node.parents)", "node.parents[:1])"),
    "stops at the last parent": Mutant(tape, "reach", "node.parents)", "node.parents[-1:])"),
    "begins at the moment itself": Mutant(tape, "reach", "node.time >= since", "node.time > since"),
    "targets ignored": Mutant(tape, "_contributions", "parent if parent in wanted else None", "parent"),
    "targets only where every parent leads to one": Mutant(
        tape, "_leading_to", "not wanted.isdisjoint(entry.parents)", "wanted.issuperset(entry.parents)"
    ),
    "targets only one entry deep": Mutant(tape, "_leading_to", "in entries:", "in entries[::-1]:"),
    "VJPs of unwanted arguments run": Mutant(PRIMITIVE, "_asked", "if parents[i] is not None:", "if True:"),
    "a joint VJP only where all are wanted": Mutant(
        PRIMITIVE, "_asked", "elif wanting:", "elif len(wanting) == len(served):"
    ),
    # ---- freeing, and what a tape refuses
    "entries not freed": Mutant(tape, "walk", "if not retain:", "if False:"),
    "entries always freed": Mutant(tape, "walk", "if not retain:", "if True:"),
    "freed under create_graph": Mutant(
        tape, "walk", "create_graph if retain_graph is None else retain_graph", "retain_graph"
    ),
    "retained whatever retain_graph says": Mutant(
        tape, "walk", "create_graph if retain_graph is None else retain_graph", "create_graph or retain_graph"
    ),
    "a freed entry not noticed": Mutant(tape, "reach", "node.saved is None", "False"),
    "a retired leaf not noticed": Mutant(tape, "reach", "if node.retired:", "if False:"),
    "a result changed in place not noticed": Mutant(tape, "spoil", "saved = None", "saved = {}"),
    "the result and not its entry": Mutant(tape, "spoil", "node.parents[0] if type(node) is Result else node", "node"),
    "a leaf not retired": Mutant(tape.Leaf, "replaced", "self.retired = True", "self.retired = False"),
    "a new value forgets the gradient": Mutant(tape.Leaf, "replaced", "self.grad, self.name", "None, self.name"),
    "assign without a new leaf": Mutant(tensor, "replace", "leaf._node.replaced()", "leaf._node"),
    "assign shares its value": Mutant(conversion, "copied", "to.array", "to.asarray"),
    # ---- shape and dtype
    "un-broadcast keeps the first copy": Mutant(tape, "fitted", FIT, FIRST_COPY),
    "un-broadcast by the mean": Mutant(tape, "fitted", FIT, "raw.mean(axis=tuple(axes), keepdims=True)"),
    "un-broadcast of leading axes only": Mutant(
        tape, "fitted", "*(added + i for i, n in enumerate(shape) if n == 1)", "*()"
    ),
    "un-broadcast of length 1 only": Mutant(tape, "fitted", "*range(added)", "*()"),
    "un-broadcast of the wrong axes": Mutant(tape, "fitted", "*(added + i for", "*(raw.ndim - 1 - i for"),
    "un-broadcast of an op that does not broadcast": Mutant(tape, "fitted", "op.broadcasting and repeated", "repeated"),
    "a gradient that is none": Mutant(tape, "fitted", 'getattr(raw, "dtype", None) not in DTYPES', "False"),
    "a complex gradient": Mutant(tape, "fitted", " not in DTYPES", " is None"),
    "a gradient not cast": Mutant(tape, "fitted", "raw.astype(parent.dtype)", "raw"),
    "a dtype not looked at": Mutant(tape, "fitted", " and raw.dtype == parent.dtype", ""),
    "an incoming gradient not cast": Mutant(
        tensor, "incoming", "grad if grad.dtype == y.dtype else grad.astype(y.dtype)", "grad"
    ),
    # ---- several results
    "the wrong result": Mutant(tape.Result, "hand_over", "together[self.index] = ", "together[self.index - 1] = "),
    "assign for accumulate, of a result": Mutant(tape.Result, "hand_over", "_sum(together[self.index], g)", "g"),
    "results nobody used count as one": Mutant(tape, "complete", "xp.zeros(", "xp.ones("),
    "results lifted as the first": Mutant(PRIMITIVE, "_lifted", "Result(entry, i)", "Result(entry, 0)"),
    "results recorded as the first": Mutant(PRIMITIVE, "apply", "Result(entry, i)", "Result(entry, 0)"),
    "results of a checkpoint recorded as the first": Mutant(
        checkpoint, "checkpoint", "Result(entry, i)", "Result(entry, 0)"
    ),
    # ---- what leaves are given
    "grad assigned": Mutant(tensor, "_backward", " if node.grad is None else node.grad + wrap(array, tape)", ""),
    "grad added in place": Mutant(
        tensor, "_backward", "node.grad + wrap(array, tape)", "wrap(node.grad._array.__iadd__(array), tape)"
    ),
    "grad shares memory with another": Mutant(tensor, "_backward", " or id(array) in held", ""),
    "grad is a view": Mutant(tensor, "_backward", "array.base is not None or ", ""),
    "leaves updated one by one": Mutant(tensor, "_backward", "totals[node] = ", "node.grad = "),
    "retain_grad lost": Mutant(tape, "walk", RETAINED, ""),
    "retain_grad of what got nothing": Mutant(tape, "walk", RETAINED, RETAINED.replace("get", "setdefault")),
    # ---- second order
    "create_graph not recorded": Mutant(tape, "walk", "recording(create_graph)", "recording(False)"),
    "grad detached": Mutant(tensor, "_backward", "(gradient._array, gradient._node)", "(gradient._array, None)"),
    "lifted parents missing": Mutant(primitive, "_lift", "else wrap(value, node)", "else wrap(value)"),
    "lifted result missing": Mutant(PRIMITIVE, "_lifted", "if several else entry", "if several else None"),
    "lifted operands missing": Mutant(
        PRIMITIVE, "_lifted", "list(entry.parents[s.first :])", "[None for _ in entry.parents]"
    ),
    # ---- plans and recording
    "a stale plan": Mutant(PRIMITIVE, "_recorded", "self._plans.get(wanting)", "next(iter(self._plans.values()), None)"),
    "plans of different arguments confused": Mutant(PRIMITIVE, "_recorded", "map(bool, nodes)", "sorted(map(bool, nodes))"),
    "every operand told that it is the first": Mutant(PRIMITIVE, "_asked", "position=i - first", "position=0"),
    "an argument without a gradient stays a parent": Mutant(PRIMITIVE, "_recorded", "if plan.without:", "if False:"),
    "a lone operand kept": Mutant(PRIMITIVE, "_further", "None if alone and node else a", "a"),
    "no_grad ignored by ops": Mutant(PRIMITIVE, "apply", "any(nodes) and is_recording()", "any(nodes)"),
    "no_grad that records": Mutant(
        tape, "no_grad", "functools.partial(recording, False)", "functools.partial(recording, True)"
    ),
    "recording not restored": Mutant(switches.Switch, "__call__", "self._variable.reset(token)", "pass"),
    "recording not restored after an exception": Mutant(
        switches.Switch, "__call__", RESTORE, "yield\n    self._variable.reset(token)"
    ),
    "detach that cuts nothing off": Mutant(TENSOR, "detach", "wrap(self._array)", "wrap(self._array, self._node)"),
    # ---- checkpoints and fast forms
    "a checkpoint with a moved generator": Mutant(
        CHECKPOINT, "pull", 'replay.enter_context(_put_back(saved["touched"]))', ""
    ),
    "a checkpoint that leaves its generator behind": Mutant(checkpoint, "_put_back", "state in now:", "state in ():"),
    "a checkpoint that notes the last state": Mutant(
        checkpoint,
        "checkpoint",
        "touched.setdefault(id(thing), (thing, _state(thing)))",
        "touched[id(thing)] = thing, _state(thing)",
    ),
    "a checkpoint that tells no outer one": Mutant(checkpoint, "checkpoint", "if outer:", "if False:"),
    "a buffer that changes unnoticed": Mutant(tensor, "replace", "watch.get() or ", ""),
    "a checkpoint that loses what it closes over": Mutant(
        checkpoint, "checkpoint", ABOVE, "[a._node for a in args if isinstance(a, Tensor)]"
    ),
    "a checkpoint that is not recorded again": Mutant(CHECKPOINT, "pull", "(recording, True)", "(recording, False)"),
    "a checkpoint that ignores create_graph": Mutant(CHECKPOINT, "pull", "parents, create_graph)\n", "parents, False)\n"),
    "a checkpoint that walks on beyond itself": Mutant(fused, "pull_through", "since=since, ", ""),
    "a fast backward under create_graph": Mutant(FUSED, "pull", "if not create_graph:", "if True:"),
    "a fast backward never run": Mutant(FUSED, "pull", "if not create_graph:", "if False:"),
    "a fast form under create_graph without lifted arguments": Mutant(FUSED, "pull", "self._lifted(entry)", "entry.saved"),
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
    for op in [*primitive.REGISTRY.values(), *fused.FUSED.values()]:
        op._plans.clear()
