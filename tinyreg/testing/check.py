"""What is checked of an op at one of its calls. Each check raises `AssertionError` and says what it saw.

Incoming gradients are drawn: signed, and of other sizes than 1. A gradient is compared with differences along every
element of every input; nothing is projected away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.backend import get
from ..core.primitive import Primitive
from ..core.tape import Node, observed, walk
from ..core.tensor import Tensor
from .case import Call, Case
from .numeric import Floats, Numeric, jacobian

CONFIDENCE = 16  # how many times its own estimated error a difference may be off
RESOLUTION = 1e-7  # a difference that is no better than this decides nothing


class Trial:
    """One call of an op with some of its float arrays as leaves; results and gradients as flat NumPy arrays."""

    def __init__(
        self,
        case: Case,
        call: Call,
        wanted: Sequence[int] | None = None,
        dtype: Any = np.float64,
        backend: str = "numpy",
    ) -> None:
        floats = [i for i in call.differentiable() if i not in case.fixed]
        self.wanted = floats if wanted is None else list(wanted)
        xp = get(backend)

        def placed(i: int, value: Any) -> Any:
            if not hasattr(value, "dtype"):
                return value
            array = xp.asarray(value.astype(dtype, copy=False) if value.dtype.kind == "f" else value)
            return Tensor(array, requires_grad=i in self.wanted)

        self.inputs = [placed(i, value) for i, value in enumerate(call.arrays)]
        self.leaves = [self.inputs[i] for i in self.wanted]
        settings = {
            name: np.dtype(dtype) if isinstance(value, np.dtype) and value.kind == "f" else value
            for name, value in call.settings.items()
        }
        outcome = case.op(*self.inputs, **settings)
        self.results = list(outcome) if isinstance(outcome, tuple | list) else [outcome]
        self.outputs = [r for r in self.results if isinstance(r, Tensor) and r.requires_grad]
        self.sizes = [r.size for r in self.outputs]

    def incoming(self, g: Floats) -> list[Any]:
        """A flat incoming gradient as one array for each output."""
        parts = np.split(g, np.cumsum(self.sizes)[:-1]) if self.sizes else []
        return [
            get(y.backend).asarray(part.reshape(y.shape).astype(y.dtype))
            for part, y in zip(parts, self.outputs, strict=True)
        ]

    def pull(self, g: Sequence[Any], create_graph: bool = False) -> list[Any]:
        """The gradient of every leaf: an array, a Tensor under `create_graph`, or None where nothing arrived."""
        roots = [(_node(y), part) for y, part in zip(self.outputs, g, strict=True)]
        table = walk(roots, create_graph=create_graph, retain_graph=True)
        return [table.get(_node(leaf)) for leaf in self.leaves]

    def flat_pull(self, g: Floats) -> Floats:
        """The gradient of all leaves one after the other, on NumPy; zeros where nothing arrived."""
        found = zip(self.pull(self.incoming(g)), self.leaves, strict=True)
        return flat([np.zeros(leaf.shape) if a is None else get(leaf.backend).to_host(a) for a, leaf in found])


def _node(tensor: Tensor) -> Node:
    assert tensor._node is not None
    return tensor._node


def flat(parts: Sequence[Any]) -> Floats:
    """Arrays one after the other, as one flat array."""
    return np.concatenate([np.ravel(p) for p in parts]) if parts else np.zeros(0)


def draw_incoming(rng: np.random.Generator, n: int) -> Floats:
    """Signed incoming gradients between 0.5 and 3 in size."""
    signs: Any = rng.choice([-1.0, 1.0], n)
    drawn: Floats = rng.uniform(0.5, 3.0, n) * signs
    return drawn


def _moved(call: Call, wanted: Sequence[int], x: Floats) -> Call:
    """The call with the elements of its wanted arrays replaced by those of x."""
    arrays, start = list(call.arrays), 0
    for i in wanted:
        size = call.arrays[i].size
        arrays[i] = x[start : start + size].reshape(call.arrays[i].shape)
        start += size
    return Call(tuple(arrays), call.settings)


def compare(name: str, call: Call, analytic: Floats, numeric: Numeric) -> None:
    """Fail where an analytic derivative is off by more than the numeric one can be."""
    size = np.maximum(np.abs(analytic), np.abs(numeric.value))
    assert np.all(np.isfinite(analytic)), f"{name}: the gradient is not finite at\n{_shown(call)}\nanalytic {analytic}"
    vague = numeric.error > RESOLUTION * (1 + size)
    assert not np.any(vague), f"{name}: unresolved, numeric error {numeric.error.max():.1e} at\n{_shown(call)}"
    wrong = np.abs(analytic - numeric.value) > CONFIDENCE * numeric.error + 1e-10 * (1 + size)
    if np.any(wrong):
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{name}: the gradient is wrong at {np.count_nonzero(wrong)} of {wrong.size} elements, first at {at}: analytic "
            f"{analytic[at]:.12g}, numeric {numeric.value[at]:.12g} +- {numeric.error[at]:.1e}, at\n{_shown(call)}"
        )


def _shown(call: Call) -> str:
    lines = [f"  argument {i}: {a!r}" for i, a in enumerate(call.arrays)]
    return "\n".join([*lines, *(f"  {name} = {value!r}" for name, value in call.settings.items())])


# ---- the checks ------------------------------------------------------------------------------------------------------


def check_forward(case: Case, call: Call, rng: np.random.Generator) -> None:
    """The value is the reference's; arrays give arrays, and the same ones."""
    trial = Trial(case, call, wanted=())
    on_arrays = case.op(*call.arrays, **call.settings)
    bare = list(on_arrays) if isinstance(on_arrays, tuple | list) else [on_arrays]
    for result, array in zip(trial.results, bare, strict=True):
        assert isinstance(result, Tensor), f"{case}: Tensors gave {type(result)}"
        # A composition of operators is NumPy's own arithmetic, which makes a scalar of what is 0-d.
        kinds = np.ndarray if isinstance(case.op, Primitive) else np.ndarray | np.generic
        assert isinstance(array, kinds), f"{case}: arrays gave {type(array)}"
        np.testing.assert_array_equal(result.data, array)
    if case.reference:
        expected = case.reference(*call.arrays, **call.settings)
        references = list(expected) if isinstance(expected, tuple | list) else [expected]
        for result, reference in zip(trial.results, references, strict=True):
            assert result.shape == np.shape(reference), f"{case}: shape {result.shape}, expected {np.shape(reference)}"
            np.testing.assert_allclose(result.data, reference, rtol=1e-12, atol=1e-12)


def check_first_order(case: Case, call: Call, rng: np.random.Generator) -> None:
    """The whole Jacobian, and the gradient for a drawn incoming one, against differences along every element."""
    trial = Trial(case, call)
    assert trial.outputs, f"{case}: no result has a gradient, though an argument wants one, at\n{_shown(call)}"

    def f(x: Floats) -> Floats:
        moved = Trial(case, _moved(call, trial.wanted, x))
        return flat([y.data for y in moved.outputs])

    numeric = jacobian(f, flat([call.arrays[i] for i in trial.wanted]))
    scales = draw_incoming(rng, sum(trial.sizes))
    rows = [trial.flat_pull(scale * row) / scale for scale, row in zip(scales, np.eye(scales.size), strict=True)]
    compare(case.name, call, np.stack(rows) if rows else np.zeros_like(numeric.value), numeric)
    # Together, and with the other sign: an error that depends on the sign or on the neighbours of g shows.
    compare(case.name, call, trial.flat_pull(-scales), Numeric(-scales @ numeric.value, np.abs(scales) @ numeric.error))


def check_second_order(case: Case, call: Call, rng: np.random.Generator) -> None:
    """The Jacobian of the gradient, with respect to inputs and incoming gradient, against differences of the gradient."""
    trial = Trial(case, call)
    n = sum(call.arrays[i].size for i in trial.wanted)
    g0 = draw_incoming(rng, sum(trial.sizes))

    def gradient(z: Floats) -> Floats:
        return Trial(case, _moved(call, trial.wanted, z[:n])).flat_pull(z[n:])

    numeric = jacobian(gradient, np.concatenate([flat([call.arrays[i] for i in trial.wanted]), g0]))
    g = [Tensor(part, requires_grad=True) for part in trial.incoming(g0)]
    gradients = trial.pull(g, create_graph=True)
    ends = [*trial.leaves, *g]
    rows = [_row(k, gradients, trial.leaves, ends) for k in range(n)]
    compare(f"{case}, second order", call, np.stack(rows) if rows else np.zeros_like(numeric.value), numeric)


def _row(k: int, gradients: Sequence[Tensor | None], leaves: Sequence[Tensor], ends: Sequence[Tensor]) -> Floats:
    """The gradient of the k-th element of all gradients, one after the other, with respect to every end."""
    table: dict[Node, Any] = {}
    for found, leaf in zip(gradients, leaves, strict=True):
        if 0 <= k < leaf.size and found is not None and found._node is not None:
            one = np.zeros(leaf.size)
            one[k] = 1.0
            table = walk([(found._node, one.reshape(leaf.shape))], retain_graph=True)
        k -= leaf.size
    return flat([table.get(_node(end), np.zeros(end.shape)) for end in ends])


def check_contract(case: Case, call: Call, rng: np.random.Generator) -> None:
    """Gradients have their tensor's shape and memory of their own; inputs are not touched; each argument stands alone."""
    for array in call.arrays:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    before = [np.array(a, copy=True) for a in call.arrays]
    trial = Trial(case, call)
    g = trial.incoming(draw_incoming(rng, sum(trial.sizes)))
    for part in g:
        part.flags.writeable = False
    once, twice = trial.pull(g), trial.pull(g)
    for i, (leaf, first, second) in enumerate(zip(trial.leaves, once, twice, strict=True)):
        if first is not None:
            assert (first.shape, first.dtype) == (leaf.shape, leaf.dtype), f"{case}: {first.shape} {first.dtype}"
            np.testing.assert_array_equal(first, second, err_msg=f"{case}: a second backward differs")
            alone = Trial(case, call, wanted=[trial.wanted[i]]).pull(g)[0]
            np.testing.assert_array_equal(alone, first, err_msg=f"{case}: argument {i} alone differs")
    for array, copy in zip(call.arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy, err_msg=f"{case}: an input was changed")
    _check_memory(case, call, g)


def _check_memory(case: Case, call: Call, g: Sequence[Any]) -> None:
    """What a leaf gets as `.grad` shares memory with nothing."""
    trial = Trial(case, call)
    for y, part in zip(trial.outputs, g, strict=True):
        y.backward(part, retain_graph=True)
    others = [*call.arrays, *g, *(y.data for y in trial.outputs)]
    grads = [leaf.grad.data for leaf in trial.leaves if leaf.grad is not None]
    for i, grad in enumerate(grads):
        for other in [*others, *grads[:i]]:
            assert not np.shares_memory(grad, other), f"{case}: a gradient shares memory with another array"


def check_layouts(case: Case, call: Call, rng: np.random.Generator) -> None:
    """Inputs and incoming gradients in Fortran order, reversed and strided: the same values and gradients."""
    plain = Trial(case, call)
    g = plain.incoming(draw_incoming(rng, sum(plain.sizes)))
    for relaid in (np.asfortranarray, _reversed, _strided):
        other = Trial(case, Call(tuple(relaid(a) if getattr(a, "ndim", 0) else a for a in call.arrays), call.settings))
        pairs = [*zip(plain.outputs, other.outputs, strict=True)]
        for y, z in pairs:
            np.testing.assert_allclose(z.data, y.data, rtol=1e-12, atol=1e-12)
        for a, b in zip(plain.pull(g), other.pull([relaid(part) if part.ndim else part for part in g]), strict=True):
            if a is not None:
                np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-11, err_msg=f"{case}: {relaid.__name__}")


def _reversed(a: Any) -> Any:
    return a[::-1].copy()[::-1]


def _strided(a: Any) -> Any:
    wide = np.repeat(a, 2, axis=-1)
    return wide[..., ::2]


def check_float32(case: Case, call: Call, rng: np.random.Generator) -> None:
    """float32 in, float32 out and back: already in what each VJP returns, before the engine's cast."""
    double, single = Trial(case, call), Trial(case, call, dtype=np.float32)
    raw: list[Any] = []
    g = draw_incoming(rng, sum(double.sizes))
    with observed(lambda entry, parent, contribution, fitted: raw.append((entry.op.name, contribution.dtype))):
        gradient = single.flat_pull(g)
    for y in single.outputs:
        assert y.dtype == np.float32, f"{case}: float32 gave {y.dtype}"
    for name, dtype in raw:
        assert dtype == np.float32, f"{case}: the VJP of {name} gave {dtype} for float32"
    exact = double.flat_pull(g)
    np.testing.assert_allclose(gradient, exact, rtol=2e-4, atol=2e-4 * (1 + np.max(np.abs(exact), initial=0)))


def check_backend(case: Case, call: Call, rng: np.random.Generator, backend: str) -> None:
    """The same values, gradients and second derivatives as on NumPy."""
    here, there = Trial(case, call), Trial(case, call, backend=backend)
    for y, z in zip(here.results, there.results, strict=True):
        np.testing.assert_allclose(z.numpy(), y.numpy(), rtol=1e-10, atol=1e-10)
    g = draw_incoming(rng, sum(here.sizes))
    np.testing.assert_allclose(there.flat_pull(g), here.flat_pull(g), rtol=1e-9, atol=1e-9)
    if case.order > 1:
        np.testing.assert_allclose(_second(there, g), _second(here, g), rtol=1e-8, atol=1e-8)


def _second(trial: Trial, g: Floats) -> Floats:
    """The gradient of the sum of squares of the gradient."""
    parts = [Tensor(part) for part in trial.incoming(g)]
    gradients = [found for found in trial.pull(parts, create_graph=True) if found is not None and found.requires_grad]
    roots = [(_node(found), found.data * 2) for found in gradients]
    table = walk(roots) if roots else {}
    found = [table.get(_node(leaf)) for leaf in trial.leaves]
    return flat(
        [np.zeros(x.shape) if a is None else get(x.backend).to_host(a) for a, x in zip(found, trial.leaves, strict=True)]
    )


CHECKS: dict[str, Callable[[Case, Call, np.random.Generator], None]] = {
    "forward": check_forward,
    "first_order": check_first_order,
    "second_order": check_second_order,
    "contract": check_contract,
    "layouts": check_layouts,
    "float32": check_float32,
}
