"""Mutants that no check can tell from the right derivative, by the op or the function that VJPs share, and why not."""

from __future__ import annotations

COMPARED = "the argument enters only through a comparison or a sign, which have no gradient"
MASKED = "what stands here goes nowhere: the outer `where` has 0 in its place"
ONE_DTYPE = "the gradient, the argument and the result have one dtype"
MEMORY = "only the order in memory differs, which saves time"
SQUARE = "the matrices are square"
TWICE = "what stands on the diagonal is added once and taken away once; 0 there saves the rounding"
SIZES = "the determinants of the factors are 1 or -1"
ROOM = "of a square factor nothing lies outside, so what is added is 0"
LENGTH = "both letters of a pair stand for axes of one length"
NUMERATOR = "the numerator is 0 where the denominator is replaced"
SHORT = "the general form gives the same; this one is for speed"
ALIKE = "the two have one shape, or one length along that axis"
UNWANTED = "what nobody wants is dropped; not to work it out saves time"
REUSED = "the memory that is written to is read no more, or would be new otherwise; this saves time"
LAST = "there are two axes"
FROM_THE_END = "there are four axes"
LARGEST = "a window has a largest element unless it holds NaN, where this saves a warning"
EMPTY = "no elements are left to divide; this saves a warning"
MASKED_AGAIN = "what does not count is 0 in the end anyway; this saves a warning of what it holds"
IMPOSSIBLE = "the term is 0, or NaN at a label of logit -inf in a value that points do not compare: a test of losses does"
POLE = "it counts where a base is 0 and the exponent below 0, and the derivative infinite; tests/test_accuracy.py has it"
DIGITS = "it is the mean that is taken away in either of two steps, of which the second saves digits"
OVERFLOW = "of the branch that is taken nothing changes; this saves an overflow in the other"
ONE_BLOCK = "all channels of the case are one block; tests/test_window.py has several"
SWAPPED = "an exchange goes both ways"
SCALED = "the scale is 1 here; the case of batch_norm_relu has others"
CENTRED = "what is centred adds up to 0, so this loses digits only; tests/test_normalization.py has a mean for that"

_MEAN = "sum(x, axis=axis, keepdims=True) / (count(x.shape, axis) or 1)"
_SLOPE = "(rate if weight is None else rate * weight.reshape(rate.shape))"
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
    "elu": {
        "x: `minimum(x, 0.0)` -> `x`": OVERFLOW,
        "x: `0.0` -> `1.0` (2)": OVERFLOW,
    },
    "gelu": {"x: `inside` -> `x`": OVERFLOW},
    "linear": {
        "x, weight, bias: `xp.matmul(rows, weight).reshape(x.shape) if 0 in wanted else None` -> "
        "`xp.matmul(rows, weight).reshape(x.shape)`": UNWANTED,
        "x, weight, bias: `rows` -> `g`": SHORT,
        "x, weight, bias: `xp.matmul(rows.T, _rows(x)) if 1 in wanted else None` -> "
        "`xp.matmul(rows.T, _rows(x))`": UNWANTED,
        "x, weight, bias: `sum(rows, axis=0) if 2 in wanted else None` -> `sum(rows, axis=0)`": UNWANTED,
        "fast form: `_rows(x)` -> `x`": SHORT,
    },
    "layer_normalized": {
        "x, weight, bias: `x` -> `g` (2)": ALIKE,
        "x, weight, bias: `rows` -> `g`": ALIKE,
        "x, weight, bias: `1` -> `-1`": LAST,
        "x, weight, bias: `x` -> `g` (3)": ONE_DTYPE,
        "x, weight, bias: `rows` -> `g` (2)": ALIKE,
        "x, weight, bias: `x` -> `g` (4)": ONE_DTYPE,
        "x, weight, bias: `xp.multiply(g_block, c, out=d)` -> `xp.multiply(c, g_block, out=d)`": "a product",
        "x, weight, bias: `0` -> `-1`": "there is one column",
        "x, weight, bias: `xp.multiply(g_block, w, out=d)` -> `xp.multiply(w, g_block, out=d)`": "a product",
    },
    "group_normalized": {
        "x, weight, bias: `1` -> `-1`": LAST,
        "x, weight, bias: `rows` -> `g` (3)": ALIKE,
        "x, weight, bias: `x` -> `g` (2)": ONE_DTYPE,
        "x, weight, bias: `xp.multiply(g_block, c, out=d)` -> `xp.multiply(c, g_block, out=d)`": "a product",
        "x, weight, bias: `(weighted * w).sum(axis=1, keepdims=True)` -> "
        "`(weighted * w).sum(keepdims=True, axis=-1)`": LAST,
        "x, weight, bias: `1` -> `-1` (2)": LAST,
        "x, weight, bias: `(total * w).sum(axis=1, keepdims=True)` -> `(total * w).sum(keepdims=True, axis=-1)`": LAST,
        "x, weight, bias: `1` -> `-1` (3)": LAST,
        "x, weight, bias: `xp.multiply(g_block.reshape(w.size, -1), w.reshape(-1, 1), out=d.reshape(w.size, -1))` -> "
        "`xp.multiply(w.reshape(-1, 1), g_block.reshape(w.size, -1), out=d.reshape(w.size, -1))`": "a product",
    },
    "batch_normalized": {
        "x, weight, bias: `_dot(xp, g, centred, axes)` -> `_dot(xp, centred, g, axes)`": "a product",
        "x, weight, bias: `weighted.squeeze(axes) * scale` -> `weighted.squeeze(axes) / scale`": SCALED,
        "x, weight, bias: `weighted.squeeze(axes) * scale` -> `weighted.squeeze(axes)`": SCALED,
        "x, weight, bias: `total.squeeze(axes) * scale` -> `total.squeeze(axes) / scale`": SCALED,
        "x, weight, bias: `total.squeeze(axes) * scale` -> `total.squeeze(axes)`": SCALED,
        "x, weight, bias: `x` -> `g` (3)": ALIKE,
        "fast form: `y` -> `x`": CENTRED,
        "fast form: `y` -> `x` (2)": CENTRED,
        f"fast form: `{_SLOPE} * scale` -> `{_SLOPE} / scale`": SCALED,
        f"fast form: `{_SLOPE} * scale` -> `{_SLOPE[1:-1]}`": SCALED,
        "fast form: `bias.reshape(rate.shape) * scale` -> `bias.reshape(rate.shape) / scale`": SCALED,
        "fast form: `bias.reshape(rate.shape) * scale` -> `bias.reshape(rate.shape)`": SCALED,
    },
    "smoothed_nll": {
        "fast form: `logits if counted is None else xp.kept(counted[:, None], logits)` -> `logits`": MASKED_AGAIN,
        "fast form: `xp.kept(counted[:, None], logits)` -> `logits`": MASKED_AGAIN,
        "fast form: `z` -> `logits`": MASKED_AGAIN,
        "fast form: `z` -> `logits` (2)": MASKED_AGAIN,
        "fast form: `z` -> `logits` (4)": ALIKE,
        "fast form: `(label_smoothing - 1) * z[at] if label_smoothing < 1 else 0.0` -> "
        "`(label_smoothing - 1) * z[at]`": IMPOSSIBLE,
        "fast form: `label_smoothing < 1` -> `label_smoothing <= 1`": IMPOSSIBLE,
        "fast form: `1` -> `2` (2)": IMPOSSIBLE,
        "fast form: `xp.exp(z, out=z)` -> `xp.exp(z)`": REUSED,
        "fast form: `0` -> `-1`": "there is one column",
        "fast form: `losses.size or 1` -> `losses.size`": EMPTY,
        "fast form: `losses` -> `index` (4)": ALIKE,
        "fast form: `losses` -> `logits` (7)": ONE_DTYPE,
        "fast form: `1` -> `2` (7)": EMPTY,
        "fast form: `xp.maximum(counted.sum(), 1)` -> `counted.sum()`": MASKED_AGAIN,
        **{f"fast form: `1` -> `{other}` ({n})": EMPTY for other in (-1, 0) for n in (6, 7)},
    },
    "window_max": {f"x: `g` -> `{other}` ({n})": ONE_DTYPE for other in "xy" for n in (2, 3)}
    | {
        "x: `xp.zeros_like(x, dtype=g.dtype)` -> `xp.zeros_like(x)`": ONE_DTYPE,
    },
    "window_mean": {"x: `x` -> `g` (2)": MEMORY},
    "asinh": {"x: `1.0` -> `-1.0`": "hypot takes the size of its arguments"},
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
        "xs: `parts if axis is not None else [reshape(g, shape=x.shape) for g, x in zip(parts, xs_like, strict=True)]` -> "
        "`[reshape(g, shape=x.shape) for g, x in zip(parts, xs_like, strict=True)]`": SHORT,
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
    "depthwise": {
        **{f"x, weight, bias: `2` -> `-2`{n}": FROM_THE_END for n in ("", " (2)", " (4)")},
        "x, weight, bias: `images` -> `weight` (2)": ONE_BLOCK,
        "x, weight, bias: `rows[block]` -> `rows`": ONE_BLOCK,
        "x, weight, bias: `rows[block]` -> `rows` (2)": ONE_BLOCK,
        "x, weight, bias: `products` -> `weight` (2)": ONE_BLOCK,
        "x, weight, bias: `0` -> `-1` (2)": "each kernel has one channel",
        "x, weight, bias: `products.reshape(len(products), -1).sum(axis=1)` -> "
        "`products.reshape(len(products), -1).sum(axis=-1)`": LAST,
        "x, weight, bias: `dx.transpose(3, 0, 1, 2) if 0 in wanted else None` -> `dx.transpose(3, 0, 1, 2)`": UNWANTED,
        "x, weight, bias: `dw if 1 in wanted else None` -> `dw`": UNWANTED,
        "x, weight, bias: `rows.sum(axis=(1, 2, 3)) if 2 in wanted else None` -> `rows.sum(axis=(1, 2, 3))`": UNWANTED,
        "fast form: `2` -> `-2`": FROM_THE_END,
        "fast form: `2` -> `-2` (2)": FROM_THE_END,
        "fast form: `images` -> `weight`": ONE_BLOCK,
    },
    "cut_out": {"x: `2` -> `-2`": FROM_THE_END},
    "lstm_scan": {
        "x, h, c, weight: `gates.swapaxes(0, 1)` -> `gates.swapaxes(1, 0)`": SWAPPED,
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
    "pow": {
        "x2: `x2` -> `x1`": (
            "the sign of x2 counts where x1 is 0 and the derivative is infinite; tests/test_accuracy.py has it"
        ),
    },
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
    "_centred": {
        "`_less_its_mean(_less_its_mean(x, axis), axis)` -> `_less_its_mean(x, axis)`": DIGITS,
        "`_less_its_mean(_less_its_mean(x, axis), axis)` -> `_less_its_mean(_less_its_mean(x, axis), None)`": DIGITS,
        "`_less_its_mean(x, axis)` -> `_less_its_mean(x, None)`": DIGITS,
    },
    "_less_its_mean": {
        f"`x - {_MEAN}` -> `{_MEAN} - x`": "two of these come one after the other",
        f"`x - {_MEAN}` -> `-(x - {_MEAN})`": "two of these come one after the other",
        "`count(x.shape, axis) or 1` -> `count(x.shape, axis)`": EMPTY,
        "`1` -> `2`": EMPTY,
        "`1` -> `-1`": EMPTY,
        "`1` -> `0`": EMPTY,
    },
    "_share": {"`x1` -> `x2` (2)": "the two are equal there"},
    "_times_log": {
        **dict.fromkeys(
            (
                "`where(at_0, sign(x2), log(where(at_0, 1.0, x1)))` -> `log(where(at_0, 1.0, x1))`",
                "`x2` -> `x1`",
                "`x2` -> `x1` (2)",
                "`y * sign(x2)` -> `-(y * sign(x2))`",
                "`y` -> `x1` (3)",
            ),
            POLE,
        ),
        "`sign(x2)` -> `x2`": "only its sign counts",
        "`sign(x2)` -> `x2` (2)": "only its sign counts",
        "`where(at_0, 1.0, x1)` -> `x1`": MASKED,
        **{f"`1.0` -> `{other}`": MASKED for other in ("2.0", "-1.0", "0.0", "1.01")},
        "`0.0` -> `1.0` (3)": "y is 0 there, and multiplies it",
        "`0.0` -> `-1.0` (3)": "y is 0 there, and multiplies it",
        **dict.fromkeys(
            (
                "`math.log(min(x1, sys.float_info.max)) if x1 > 0 else math.nan` -> "
                "`math.log(min(x1, sys.float_info.max))`",
                "`x1 > 0` -> `x1 >= 0`",
                "`0` -> `-1` (2)",
            ),
            "a plain base below 0 has no derivative in the exponent; tests/test_table.py has it",
        ),
    },
    "_turned": {
        "`finite(hypot(x, other))` -> `hypot(x, other)`": "what is finite is divided by it, which gives 0 either way",
    },
    "_product_of_others": {
        "`0` -> `1` (3)": "the slice is empty all the same",
        "`0` -> `-1` (3)": "the slice is empty all the same",
        "`0` -> `-1` (4)": "the slice is empty all the same",
        "`2` -> `-2` (2)": "odd is odd",
        "`1` -> `-1` (4)": "there are two",
    },
    "bounded": {
        f"`{bound}` -> `{other}`": "any bound of that size does"
        for bound, others in (("-1000.0", ("-999.0", "-1010.0")), ("1000.0", ("1001.0", "1010.0")))
        for other in others
    },
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
