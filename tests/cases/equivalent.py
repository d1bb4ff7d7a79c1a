"""Mutants that no check can tell from the right derivative, as rules over the syntax tree, each with the reason.

How a rule is written stands in tinyreg/testing/mutation/rules.py, and so do the rules that hold for every op. A rule here
holds for the ops and for the functions that VJPs share which its row names. Each has to fit a mutant of every one of them,
and none that fails.
"""

from __future__ import annotations

ONE_DTYPE = "the gradient, the argument and the result have one dtype"
ALIKE = "the two have one shape, or one length along that axis"
MASKED = "what stands here goes nowhere: the outer `where` has 0 in its place"
SHORT = "the general form gives the same; this one is for speed"
MEMORY = "only the order in memory differs, which saves time"
REUSED = "the memory that is written to is read no more, or would be new otherwise; this saves time"
FROM_THE_END = "there are four axes"
EMPTY = "no elements are left to divide; this saves a warning"
TWICE = "what stands on the diagonal is added once and taken away once; 0 there saves the rounding"
ONE_BLOCK = "all channels of the case are one block; tests/ops/test_window.py has several"
MASKED_AGAIN = "what does not count is 0 in the end anyway; this saves a warning of what it holds"
UNSCALED = "the scale is 1 here; the case of batch_norm_relu has others"
ONE_RUN = "all rows of the case are one block; tests/losses/test_losses.py has several"
AT_INFINITY = "without it a loss is NaN at an infinity, in a value that points do not compare: tests of losses do"
IMPOSSIBLE = "the term is 0, or NaN at a label of logit -inf in a value that points do not compare: a test of losses does"
POLE = (
    "it counts where a base is 0 and the exponent below 0, and the derivative infinite; tests/ops/test_accuracy.py has it"
)

OF_SEVERAL: list[tuple[str, str, str]] = [
    (
        "detached arguments",
        "the argument enters only through a comparison or a sign, which have no gradient",
        "abs clamp copysign max maximum min minimum relu remainder",
    ),
    ("x.dtype -> g.dtype; y.dtype", ONE_DTYPE, "layer_normalized max min"),
    ("g.dtype -> x.dtype; y.dtype", ONE_DTYPE, "window_max"),
    ("A.dtype -> g.dtype", ONE_DTYPE, "contract max min"),
    ("A.dtype -> logits.dtype", ONE_DTYPE, "smoothed_nll"),
    ("xp.zeros_like(A, dtype=g.dtype) -> xp.zeros_like(A)", ONE_DTYPE, "window_max"),
    ("x.size -> g.size", ALIKE, "batch_normalized"),
    ("x.shape -> g.shape", ALIKE, "layer_normalized"),
    ("_in_blocks(..., shape=A.shape) -> _in_blocks(..., shape=B.shape)", ALIKE, "parabola_and_line soft_nll"),
    ("where(C, A / where(C, B, 1.0), 0.0) -> where(C, A / B, 0.0)", MASKED, "max min"),
    (
        "where(C, A / where(C, B, 1.0), 0.0) -> "
        "where(C, A / where(C, B, 2.0), 0.0); where(C, A / where(C, B, -1.0), 0.0); where(C, A / where(C, B, 1.01), 0.0)",
        MASKED,
        "max min",
    ),
    ("where(C, 0.0, 1 / where(C, 1.0, A)) -> where(C, 0.0, 1 / where(C, B, A))", MASKED, "_reciprocal"),
    ("where(C, A, log(where(C, 1.0, B))) -> where(C, A, log(where(C, D, B))); where(C, A, log(B))", MASKED, "_times_log"),
    ("A.shape[2:] -> A.shape[-2:]", FROM_THE_END, "correlation cut_out depthwise put_back"),
    ("A.sum(axis=(1, 2, 3)) -> A.sum(axis=(1, -2, 3))", FROM_THE_END, "depthwise"),
    ("xp.stack(A, axis=2) -> xp.stack(A, axis=-2)", FROM_THE_END, "lstm_scan"),
    ("reduction.sum(A, axis=2) -> reduction.sum(A, axis=-1)", "there are three axes", "correlation"),
    ("xp.roll(A, B, axis=2) -> xp.roll(A, B, axis=-1)", "there are three axes", "lstm_scan"),
    ("A.sum(axis=1) -> A.sum(axis=-1)", "there are two axes", "depthwise"),
    ("A.sum(axis=1, keepdims=True) -> A.sum(axis=-1, keepdims=True)", "there are two axes", "group_normalized"),
    ("A.shape[1] -> A.shape[-1]", "there are two axes", "group_normalized layer_normalized lstm_scan"),
    ("A[:, 0] -> A[:, -1]", "there is one column", "layer_normalized smoothed_nll"),
    ("n or 1 -> n; n or A", EMPTY, "_for_each"),
    ("count(A, B) or 1 -> count(A, B); count(A, B) or C", EMPTY, "_less_its_mean"),
    ("xp.maximum(A, 1) -> xp.maximum(A, 0); xp.maximum(A, -1)", EMPTY, "smoothed_nll"),
    ("added_up(xp, A, x.shape, B, C) -> added_up(xp, D, x.shape, B, C)", MEMORY, "correlation window_mean"),
    ("_images_last(xp, x) -> x", MEMORY, "correlation"),
    ("xp.F(A, out=A) -> xp.F(A)", REUSED, "smoothed_nll"),
    ("_dot(xp, A, B, C) -> _dot(xp, B, A, C)", "a product", "batch_normalized"),
]
"""A rule, the reason, and where it holds."""

OF_ONE: dict[str, dict[str, str]] = {
    "asinh": {"hypot(x, 1.0) -> hypot(x, -1.0)": "hypot takes the size of its arguments"},
    "batch_normalized": {
        "A * scale -> A / scale; A": UNSCALED,
        "A.squeeze(B) * C -> A.squeeze(B) / C; A.squeeze(B)": UNSCALED,
        "_dot(xp, A, A, B) -> _dot(xp, x, A, B); _dot(xp, A, x, B)": (
            "what is centred adds up to 0, so this loses digits only; test_normalization.py has a mean for that"
        ),
    },
    "bounded": {
        "clamp(A, min=-1000.0, max=B) -> clamp(A, min=-999.0, max=B); clamp(A, min=-1010.0, max=B)": "any such bound does",
        "clamp(A, min=B, max=1000.0) -> clamp(A, min=B, max=1001.0); clamp(A, min=B, max=1010.0)": "any such bound does",
    },
    "clamp": {"logical_and(A, B) -> logical_and(B, A)": "an and"},
    "cofactor": {
        "A.shape[-1] -> g.shape[-1]; x.shape[-1]": "the matrices are square",
        "A | B[None, :, :] -> A | B": "an axis in front broadcasts anyway",
        "where(C, 1.0, A) -> where(C, -1.0, A)": "two of the factors are replaced, and their product is 1 all the same",
        "where(C, 0.0, A) -> A; where(0.0, C, A); where(C, 1.0, A); where(C, -1.0, A)": TWICE,
        "sign(det(A) * det(B)) -> det(A) * det(B); sign(det(A) / det(B))": "the determinants of the factors are 1 or -1",
    },
    "concat": {"A if axis is not None else B -> B": SHORT},
    "contract": {
        "A.shape[B.index(C[1])] -> A.shape[B.index(C[-1])]": "a pair has two letters",
        "A.shape[B.index(C[1])] -> A.shape[B.index(C[0])]": "both letters of a pair stand for axes of one length",
    },
    "copysign": {
        "copysign(sign(x1), x2) -> copysign(sign(g), x2)": (
            "copysign takes the size of a sign, which is 1, and where either is 0 so is the product"
        ),
    },
    "correlation": {
        "(A, *B, len(x)) -> (A, *B, len(g))": ALIKE,
        "F(A, *B, C.shape[0]) -> F(A, *B, x.shape[0])": ALIKE,
        "A[B].transpose(1, 2, 3, 0) -> x[B].transpose(1, 2, 3, 0)": MEMORY,
    },
    "depthwise": {
        "_blocks(xp, A, weight) -> _blocks(xp, weight, weight)": ONE_BLOCK,
        "A[B] += C[D] * E -> A[B] += C * E": ONE_BLOCK,
        "x, weight, bias: A = B[C] * D[E] -> A = B[C] * D": ONE_BLOCK,
        "A.reshape(len(A), -1) -> A.reshape(len(weight), -1)": ONE_BLOCK,
        "A[B, 0, C, D] = E -> A[B, -1, C, D] = E": "each kernel has one channel",
    },
    "elu": {
        "exp(minimum(x, 0.0)) -> exp(x); exp(minimum(x, 1.0))": (
            "of the branch that is taken nothing changes; this saves an overflow in the other"
        ),
    },
    "group_normalized": {"_room_shaped(xp, x, A) -> _room_shaped(xp, x, g)": ALIKE},
    "entering": {"ops.logical_or(A, B) -> ops.logical_or(B, A)": "an or"},
    "layer_normalized": {"A.shape[1] -> g.shape[1]": ALIKE},
    "linear": {"xp.matmul(_rows(x), A) -> xp.matmul(x, A)": SHORT, "xp.matmul(A, weight) -> xp.matmul(g, weight)": SHORT},
    "logistic_nll": {
        "A * xp.masked(B, C) -> A * B": AT_INFINITY,
        "_in_blocks(..., shape=logits.shape) -> _in_blocks(..., shape=positive.shape)": ALIKE,
        "_in_blocks(A, B, C, *_flat(A, D, E, negative), shape=D.shape) -> "
        "_in_blocks(A, B, C, *_flat(A, D, E, negative), shape=negative.shape)": ALIKE,
        "_for_each(A, logits.size, B) -> _for_each(A, positive.size, B); _for_each(A, residuals.size, B)": ALIKE,
        "1 - positive -> positive - 1": "it only counts where it is 0",
    },
    "lstm_scan": {
        "xp.zeros_like(A[0]) -> xp.zeros_like(A[-1])": ALIKE,
        "xp.zeros_like(A[0]) -> xp.zeros_like(weight[0])": "zeros broadcast",
        "A.shape, weight.shape[1] -> A.shape, h.shape[1]; A.shape, c.shape[1]": ALIKE,
        "xp.empty_like(A[B]) -> xp.empty_like(x[B])": ALIKE,
        "A.swapaxes(1, 2) -> A.swapaxes(1, -2)": FROM_THE_END,
        "A.errstate(over='ignore') -> A.errstate()": "this saves a warning",
    },
    "matmul": {"expand_dims(x1, axis=-1) * A -> expand_dims(x1, axis=1) * A": "the axis behind the only one"},
    "p_norm": {"if ord == 2: ... -> if ord == -2: ...; if ord == 0: ...": SHORT},
    "pow": {
        "_times_log(y, x1, x2) -> _times_log(y, x1, x1)": (
            "the sign of x2 counts where x1 is 0 and the derivative is infinite; tests/ops/test_accuracy.py has it"
        ),
    },
    "qr": {"x: g changed in place": "in this case both gradients are new arrays, which nobody else holds"},
    "relu": {"greater(y, 0.0) -> y": "a result that is not negative is true where it is positive"},
    "slogdet": {"g[1] -> g[-1]": "there are two results"},
    "smoothed_nll": {
        "logits if A is None else B -> logits": MASKED_AGAIN,
        "xp.masked(logits, A) -> logits": MASKED_AGAIN,
        "A - A.max(...) -> logits - A.max(...); A - logits.max(...)": MASKED_AGAIN,
        "A.shape[1] -> logits.shape[1]": ALIKE,
        "A if label_smoothing < 1 else 0.0 -> A; A if label_smoothing <= 1 else 0.0; A if label_smoothing < 2 else 0.0": (
            IMPOSSIBLE
        ),
        "xp.maximum(A, 1) -> A": EMPTY,
        "A[:, None] if reduction == 'none' else A -> g[:, None] if reduction == 'none' else A": (
            "without a reduction they are one"
        ),
    },
    "soft_nll": {
        "A.any(...) -> q.any(...)": "a number counts as true unless it is 0",
        "xp.masked(A, B.any(...)) -> xp.masked(logits, B.any(...))": ONE_RUN,
        "xp.multiply(xp.masked(A, B), ...) -> xp.multiply(A, ...)": AT_INFINITY,
        "log_shares(logits, q) -> log_shares(logits, residuals)": (
            "where a class cannot be, its slope is 0 exactly where its share is"
        ),
        "_rows(logits.shape) -> _rows(q.shape); _rows(residuals.shape)": ALIKE,
    },
    "svd": {
        "expand_dims(A, axis=-2) * sign(B) -> expand_dims(A, axis=-2) / sign(B); expand_dims(A, axis=-2)": (
            "the case of svd has no singular value of 0, because the vectors jump there; the points of svdvals do"
        ),
        "A.shape[B] > C.shape[-1] -> A.shape[B] >= C.shape[-1]": (
            "of a square factor nothing lies outside, so what is added is 0"
        ),
    },
    "_base": {
        "A if B else x1 -> A": SHORT,
        "hasattr(A, 'shape') or B -> 'shape' or B; hasattr(x1, 'shape') or B": SHORT,
        "where(C, 1.0, A) -> where(C, 2.0, A); where(C, -1.0, A); where(C, 1.01, A)": "x2 is 0 there, and multiplies it",
    },
    "_centred": {
        "F(F(A, B), B) -> F(A, B); F(F(A, B), None); F(F(A, None), B)": (
            "it is the mean that is taken away in either of two steps, of which the second saves digits"
        ),
    },
    "_less_its_mean": {"A - B -> B - A; -(A - B)": "two of these come one after the other"},
    "_product_of_others": {
        "slice(0, 0) -> slice(1, 0); slice(-1, 0); slice(0, -1)": "the slice is empty all the same",
        "A % 2 -> A % -2": "odd is odd",
    },
    "_ties": {
        "A + (A == 0) -> A - (A == 0); A; A + (A == -1); A + (dtype == 0)": (
            "a window has a largest element unless it holds NaN, where this saves a warning"
        ),
    },
    "_times_log": {
        "where(C, sign(A), B) -> B; where(C, sign(x1), B)": POLE,
        "A * sign(B) -> -(A * sign(B)); A * sign(x1); x1 * sign(B)": POLE,
        "where(C, sign(A), B) -> where(C, A, B)": "only its sign counts",
        "A * sign(B) -> A * B": "only its sign counts",
        "A * where(equal(A, 0.0), 0.0, B) -> A * where(equal(A, 0.0), 1.0, B); A * where(equal(A, 0.0), -1.0, B)": (
            "y is 0 there, and multiplies it"
        ),
        "A if B > 0 else math.nan -> A; A if B >= 0 else math.nan; A if B > -1 else math.nan": (
            "a plain base below 0 has no derivative in the exponent; tests/test_table.py has it"
        ),
    },
    "_within": {"clip(x, -BEYOND, BEYOND) -> clip(-BEYOND, x, BEYOND)": "the larger of two is that in either order"},
    "_without_repeats": {
        "A if B in C[:D] else B -> A; A if B in C else B": "a unit matrix puts every letter back",
        "A in B[:C] -> A in B[:C - 1]": "of a pair either letter may be the new one",
        "''.join(A) -> A": "it is only searched, letter by letter",
        "[A for B, C in D if B != C] -> [A for B, C in D]": "the diagonal of a unit matrix multiplies by 1",
    },
    "nonzero": {
        "where(equal(A, 0.0), 1.0, A) -> where(equal(A, 0.0), 2.0, A); where(equal(A, 0.0), -1.0, A); "
        "where(equal(A, 0.0), 1.01, A)": "the numerator is 0 where the denominator is replaced",
    },
}
"""By the name of a case, or of a function that VJPs share."""


def equivalent(name: str) -> dict[str, str]:
    """The rules for a case, or for a function that VJPs share, each with its reason."""
    several = {rule: reason for rule, reason, names in OF_SEVERAL if name in names.split()}
    return several | OF_ONE.get(name, {})


EQUIVALENT = {name: equivalent(name) for name in OF_ONE.keys() | {n for *_, names in OF_SEVERAL for n in names.split()}}
