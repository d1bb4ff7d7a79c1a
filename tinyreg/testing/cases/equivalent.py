"""Mutants that no check can tell from the right derivative, by the op or the function that VJPs share, and why not."""

from __future__ import annotations

COMPARED = "the argument enters only through a comparison or a sign, which have no gradient"
MASKED = "what stands here goes nowhere: the outer `where` has 0 in its place"
ONE_DTYPE = "the gradient, the argument and the result have one dtype"
INFINITE = "exp(-inf - c) is 0 for every finite c, and for the result of this op it is finite"
MEMORY = "only the order in memory differs, which saves time"
SQUARE = "the matrices are square"
TWICE = "what stands on the diagonal is added once and taken away once; 0 there saves the rounding"
SIZES = "the determinants of the factors are 1 or -1"
ROOM = "of a square factor nothing lies outside, so what is added is 0"
LENGTH = "both letters of a pair stand for axes of one length"
NUMERATOR = "the numerator is 0 where the denominator is replaced"
SHORT = "the general form gives the same; this one is for speed"
TOGETHER = "the gradient and the argument have as many axes"
ALIKE = "the two have one shape, or one length along that axis"
UNWANTED = "what nobody wants is dropped; not to work it out saves time"
REUSED = "the memory that is written to is read no more, or would be new otherwise; this saves time"
LAST = "there are two axes"
FROM_THE_END = "there are four axes"
LARGEST = "a window has a largest element unless it holds NaN, where this saves a warning"
EMPTY = "no elements are left to divide; this saves a warning"
SWAPPED = "an exchange goes both ways"

_KERNELS = "weight.reshape(groups, -1, channels, len(places)).transpose(3, 0, 2, 1)"
_CHOSEN = {
    "x: detached arguments": COMPARED,
    "x: `x` -> `g` (3)": ONE_DTYPE,
    "x: `x` -> `y` (3)": ONE_DTYPE,
    "x: `where(chosen, ties, 1.0)` -> `ties`": MASKED,
    "x: `1.0` -> `2.0`": MASKED,
    "x: `1.0` -> `-1.0`": MASKED,
    "x: `1.0` -> `1.01`": MASKED,
}
_LARGER = {"x1: detached arguments": COMPARED, "x2: detached arguments": COMPARED}

EQUIVALENT: dict[str, dict[str, str]] = {
    "abs": {"x: detached arguments": COMPARED},
    "linear": {
        "x, weight, bias: `xp.matmul(rows, weight).reshape(x.shape) if 0 in wanted else None` -> "
        "`xp.matmul(rows, weight).reshape(x.shape)`": UNWANTED,
        "x, weight, bias: `rows` -> `g`": SHORT,
        "x, weight, bias: `xp.matmul(rows.T, _rows(x)) if 1 in wanted else None` -> "
        "`xp.matmul(rows.T, _rows(x))`": UNWANTED,
        "x, weight, bias: `sum(rows, axis=0) if 2 in wanted else None` -> `sum(rows, axis=0)`": UNWANTED,
        "fast form: `_rows(x)` -> `x`": SHORT,
    },
    "normalized_channels": {
        "x, weight, bias: `_dot(xp, g, centred, axes)` -> `_dot(xp, centred, g, axes)`": "a product",
        "x, weight, bias: `x` -> `g` (3)": ALIKE,
    },
    "normalized_features": {
        "x, weight, bias: `x` -> `g` (2)": ALIKE,
        "x, weight, bias: `x` -> `g` (3)": ALIKE,
        "x, weight, bias: `xp.sum(product, axis=kept) if 1 in wanted else None` -> `xp.sum(product, axis=kept)`": UNWANTED,
        "x, weight, bias: `xp.sum(g, axis=kept) if 2 in wanted else None` -> `xp.sum(g, axis=kept)`": UNWANTED,
        "x, weight, bias: `xp.multiply(c, of_c, out=product)` -> `xp.multiply(of_c, c, out=product)`": "a product",
        "x, weight, bias: `xp.multiply(c, of_c, out=product)` -> `xp.multiply(c, of_c)`": REUSED,
    },
    "smoothed_nll": {
        "logits: g in memory order": "there is one axis",
        "logits: `1` -> `-1`": LAST,
        **{f"logits: `dz` -> `{other}` ({n})": ALIKE for other in ("index", "residuals") for n in (2, 3)},
        "logits: `len(dz) or 1` -> `len(dz)`": EMPTY,
        **{f"logits: `1` -> `{other}` (3)": EMPTY for other in (2, -1, 0)},
        "fast form: `logits.max(axis=1, keepdims=True)` -> `logits.max(keepdims=True, axis=-1)`": LAST,
        "fast form: `1` -> `-1`": LAST,
        "fast form: `1` -> `-1` (3)": LAST,
        "fast form: `1` -> `-1` (4)": LAST,
        "fast form: `z` -> `logits` (2)": ALIKE,
        "fast form: `z` -> `logits` (3)": ALIKE,
        "fast form: `z` -> `index` (2)": ALIKE,
        "fast form: `z.sum(axis=1)` -> `z.sum(axis=-1)`": LAST,
        "fast form: `xp.exp(z, out=z)` -> `xp.exp(z)`": REUSED,
        "fast form: `p.sum(axis=1, keepdims=True)` -> `p.sum(keepdims=True, axis=-1)`": LAST,
        "fast form: `0` -> `-1`": "there is one column",
    },
    "window_max": {f"x: `g` -> `{other}` ({n})": ONE_DTYPE for other in "xy" for n in (2, 3)}
    | {
        "x: `xp.zeros_like(x, dtype=g.dtype)` -> `xp.zeros_like(x)`": ONE_DTYPE,
        "fast form: `x[first].copy(order='K')` -> `x[first].copy()`": MEMORY,
    },
    "asinh": {"x: `1.0` -> `-1.0`": "hypot takes the size of its arguments"},
    "atan2": {
        "x1: `_square_length(x1, x2)` -> `_square_length(x2, x1)`": "a sum of two squares",
        "x2: `_square_length(x1, x2)` -> `_square_length(x2, x1)`": "a sum of two squares",
    },
    "clamp": {"x: detached arguments": COMPARED},
    "cofactor": {
        "x: `s` -> `g`": SQUARE,
        "x: `s` -> `x`": SQUARE,
        "x: `same[None, :, :]` -> `same`": "an axis in front broadcasts anyway",
        "x: `1.0` -> `-1.0`": "two of the factors are replaced, and their product is 1 all the same",
        "x: `where(same, 0.0, prod(others, axis=-1))` -> `prod(others, axis=-1)`": TWICE,
        "x: `where(same, 0.0, prod(others, axis=-1))` -> `where(0.0, same, prod(others, axis=-1))`": TWICE,
        "x: `0.0` -> `1.0`": TWICE,
        "x: `0.0` -> `-1.0`": TWICE,
        "x: `sign(det(u) * det(vh))` -> `det(u) * det(vh)`": SIZES,
        "x: `det(u) * det(vh)` -> `det(u) / det(vh)`": SIZES,
    },
    "concat": {
        "xs: `0` -> `-1`": "the gradient has one axis there",
        "xs: `like` -> `g`": TOGETHER,
        "xs: `part if axis is not None else reshape(part, shape=like.shape)` -> `reshape(part, shape=like.shape)`": SHORT,
    },
    "contract": {
        "xs: `1` -> `-1` (2)": "a pair has two letters",
        "xs: `1` -> `0` (2)": LENGTH,
        "xs: `like` -> `g` (3)": ONE_DTYPE,
    },
    "copysign": {
        "x1: detached arguments": COMPARED,
        "x1: `x1` -> `g`": "copysign takes the size of a sign, which is 1, and where either is 0 so is the product",
    },
    "correlation": {
        **{f"x, weight, bias: `2` -> `-2`{n}": FROM_THE_END for n in ("", *(f" ({k})" for k in range(2, 6)))},
        "x, weight, bias: `patch.swapaxes(1, 2)` -> `patch.swapaxes(2, 1)`": SWAPPED,
        "x, weight, bias: `_images_last(xp, x)` -> `x`": MEMORY,
        **{f"x, weight, bias: `images` -> `{other}`": MEMORY for other in ("g", "x", "weight")},
        "x, weight, bias: `images` -> `x` (2)": MEMORY,
        f"x, weight, bias: `xp.ascontiguousarray({_KERNELS})` -> `{_KERNELS}`": MEMORY,
        "fast form: `_images_last(xp, x)` -> `x`": MEMORY,
        "x, weight, bias: `x` -> `g` (4)": ALIKE,
        "x, weight, bias: `sum(rows, axis=2).reshape(out) if 2 in wanted else None` -> "
        "`sum(rows, axis=2).reshape(out)`": UNWANTED,
        "x, weight, bias: `sum(rows, axis=2)` -> `sum(rows, axis=-1)`": "there are three axes",
        "fast form: `2` -> `-2`": FROM_THE_END,
        "fast form: `2` -> `-2` (3)": FROM_THE_END,
        "fast form: `view` -> `x` (3)": ALIKE,
    },
    "cut_out": {"x: `2` -> `-2`": FROM_THE_END},
    "logaddexp": {
        f"{a}: {change}": INFINITE
        for a in ("x1", "x2")
        for change in (f"`y` -> `{a}`", "`0.0` -> `1.0`", "`0.0` -> `-1.0`")
    },
    "logsumexp": {"x: `0.0` -> `1.0`": INFINITE, "x: `0.0` -> `-1.0`": INFINITE},
    "lstm_scan": {
        "x, h, c, weight: `gates.swapaxes(0, 1)` -> `gates.swapaxes(1, 0)`": SWAPPED,
        "x, h, c, weight: `xp.stack(before)` -> `before`": "NumPy makes an array of a list; CuPy does not",
        "x, h, c, weight: `2` -> `-2`": FROM_THE_END,
        "x, h, c, weight: `f` -> `weight` (3)": "zeros broadcast",
        "x, h, c, weight: `0` -> `-1` (2)": ALIKE,
        "fast form: `weight` -> `h` (2)": ALIKE,
        "fast form: `weight` -> `c` (2)": ALIKE,
        "fast form: `1` -> `-1`": LAST,
        "fast form: `xp.roll(x, size, axis=2)` -> `xp.roll(x, size, axis=-1)`": "there are three axes",
        "fast form: `z.reshape(steps, batch, 4, size).swapaxes(1, 2)` -> "
        "`z.reshape(steps, batch, 4, size).swapaxes(2, 1)`": SWAPPED,
        "fast form: `2` -> `-2` (2)": FROM_THE_END,
        "fast form: `z` -> `x` (2)": ALIKE,
        "fast form: `z` -> `x` (3)": ALIKE,
        "fast form: `get('numpy').errstate(over='ignore')` -> `get('numpy').errstate()`": "this saves a warning",
    },
    "matmul": {"x2: `-1` -> `1`": "the axis behind the only one"},
    "max": _CHOSEN,
    "maximum": _LARGER,
    "min": _CHOSEN,
    "minimum": _LARGER,
    "p_norm": {"x: `2` -> `-2`": SHORT, "x: `2` -> `0`": SHORT},
    "put_back": {"x: `2` -> `-2`": FROM_THE_END},
    "qr": {"x: g changed in place": "in this case both gradients are new arrays, which nobody else holds"},
    "relu": {
        "x: detached arguments": COMPARED,
        "x: `greater(y, 0.0)` -> `y`": "a result that is not negative is true where it is positive",
    },
    "remainder": {"x2: detached arguments": COMPARED},
    "slogdet": {"x: `1` -> `-1`": "there are two results"},
    "svd": {
        "x: `expand_dims(gs, axis=-2) * sign(columns)` -> `expand_dims(gs, axis=-2) / sign(columns)`": "as below",
        "x: `expand_dims(gs, axis=-2) * sign(columns)` -> `expand_dims(gs, axis=-2)`": (
            "the case of svd has no singular value of 0, because the vectors jump there; the points of svdvals do"
        ),
        "x: `u.shape[-2] > s.shape[-1]` -> `u.shape[-2] >= s.shape[-1]`": ROOM,
        "x: `vh.shape[-1] > s.shape[-1]` -> `vh.shape[-1] >= s.shape[-1]`": ROOM,
    },
}
"""By the name of the case; a mutant's name begins with the argument whose gradient is wrong."""

SHARED: dict[str, dict[str, str]] = {
    "_base": {
        "`where((x1 == 0) & (x2 == 0), 1.0, x1) if hasattr(x2, 'shape') or x2 == 0 else x1` -> "
        "`where((x1 == 0) & (x2 == 0), 1.0, x1)`": SHORT,
        "`hasattr(x2, 'shape')` -> `'shape'`": SHORT,
        "`x2` -> `x1`": SHORT,
        "`1.0` -> `2.0`": "x2 is 0 there, and multiplies it",
        "`1.0` -> `-1.0`": "x2 is 0 there, and multiplies it",
        "`1.0` -> `1.01`": "x2 is 0 there, and multiplies it",
    },
    "_log_of_base": {
        "`0.0 if x == 0 else math.nan` -> `0.0`": (
            "a plain base below 0 has no derivative in the exponent, so nothing to compare with; tests/test_table.py has it"
        ),
    },
    "_product_before": {"`shifted` -> `-shifted`": "two of these are multiplied"},
    "_reciprocal": {
        "`1.0` -> `2.0`": MASKED,
        "`1.0` -> `-1.0`": MASKED,
        "`1.0` -> `0.0`": MASKED,
        "`1.0` -> `1.01`": MASKED,
    },
    "_ties": {
        "`ties + (ties == 0)` -> `ties - (ties == 0)`": LARGEST,
        "`ties + (ties == 0)` -> `ties`": LARGEST,
        "`ties` -> `dtype` (2)": LARGEST,
        "`0` -> `-1` (2)": LARGEST,
    },
    "_without_repeats": {
        "`next(new) if letter in term[:i] else letter` -> `next(new)`": "a unit matrix puts every letter back",
        "`term[:i]` -> `term`": "a unit matrix puts every letter back",
        "`:i` -> `:i - 1`": "of a pair either letter may be the new one",
        "`''.join(letters)` -> `letters`": "it is only searched, letter by letter",
        "` for old, fresh in zip(term, letters, strict=True) if old != fresh` -> "
        "` for old, fresh in zip(term, letters, strict=True)`": "the diagonal of a unit matrix multiplies by 1",
    },
    "nonzero": {"`1.0` -> `2.0`": NUMERATOR, "`1.0` -> `-1.0`": NUMERATOR, "`1.0` -> `1.01`": NUMERATOR},
}
"""By the name of a function that only VJPs call."""
