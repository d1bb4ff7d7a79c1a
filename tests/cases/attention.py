"""Cases of attention, against NumPy query by query, over those keys alone that it may attend to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

import tinyreg as tr
from tinyreg.nn.attention import MultiHeadAttention, TransformerBlock
from tinyreg.nn.attention import attention as attention_
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays

from .elementwise import erf
from .recurrent import SEED, SHARE, SMALL, Masks, holding

Array = NDArray[Any]
Pick = Callable[[Any], Any]
EPS = st.sampled_from([0.5, 1.0])  # of two features, whose layer norm would be all but their signs for a small eps


def attention(q: Any, k: Any, v: Any, mask: Any = None, *, p: float, training: bool, rng: int) -> Any:
    """`attention` with its mask as an argument, so that it gets a gradient too, and a seed."""
    return attention_(q, k, v, mask=mask, p=p, training=training, rng=tr.Generator(rng))


def multi_head_attention(
    query: Any,
    key: Any,
    value: Any,
    key_padding_mask: Any,
    attn_mask: Any,
    *parameters: Any,
    num_heads: int,
    dropout: float,
    bias: bool,
    batch_first: bool,
    need_weights: bool,
    is_causal: bool,
    training: bool,
    rng: int,
) -> Any:
    """`MultiHeadAttention` with these parameters, and a seed; its weights too where they are needed."""
    settings: dict[str, Any] = {"batch_first": batch_first, "training": training, "rng": rng}
    layer = holding(parameters, MultiHeadAttention, query.shape[2], num_heads, dropout, bias, **settings)
    masks = {"key_padding_mask": key_padding_mask, "attn_mask": attn_mask, "is_causal": is_causal}
    found = layer(query, key, value, need_weights=need_weights, **masks)
    return found if need_weights else found[0]


def transformer_block(
    src: Any,
    src_mask: Any,
    src_key_padding_mask: Any,
    *parameters: Any,
    nhead: int,
    dropout: float,
    activation: str,
    layer_norm_eps: float,
    batch_first: bool,
    norm_first: bool,
    drop_path: float,
    is_causal: bool,
    training: bool,
    rng: int,
) -> Any:
    """`TransformerBlock` with these parameters, and a seed."""
    sizes = (src.shape[2], nhead, parameters[4].shape[0], dropout, activation, layer_norm_eps, batch_first, norm_first)
    layer = holding(parameters, TransformerBlock, *sizes, drop_path=drop_path, training=training, rng=rng)
    return layer(src, src_mask, src_key_padding_mask, is_causal)


# ---- in NumPy --------------------------------------------------------------------------------------------------------


def _softmax(q: Array, k: Array, added: Array) -> Array:
    """The weights of every query, of which -inf in `added` forbids a key."""
    leading = np.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    q, k = (np.broadcast_to(a, (*leading, *a.shape[-2:])) for a in (q, k))
    weights = np.zeros((*leading, q.shape[-2], k.shape[-2]))
    added = np.broadcast_to(added, weights.shape)
    for at_query in np.ndindex(weights.shape[:-1]):
        allowed = np.isfinite(added[at_query])
        scores = k[at_query[:-1]][allowed] @ q[at_query] / np.sqrt(q.shape[-1]) + added[at_query][allowed]
        weights[at_query][allowed] = np.exp(scores) / np.sum(np.exp(scores))
    return weights


def _added(mask: Any, allowed: bool) -> Any:
    """A mask as floats to add; allowed: the boolean that stands for a key that may be attended to."""
    if mask is None or mask.dtype.kind == "f":
        return 0.0 if mask is None else mask
    return np.where(mask == allowed, 0.0, -np.inf)


def _attention_in_numpy(q: Array, k: Array, v: Array, mask: Any, p: float, training: bool, rng: int) -> Array:
    weights = _softmax(q, k, _added(mask, allowed=True))
    return np.asarray(weights * Masks(rng, training).noise(p, weights.shape) @ v)


def _by_heads_in_numpy(
    query: Array,
    key: Array,
    value: Array,
    padding: Any,
    mask: Any,
    *parameters: Array,
    num_heads: int,
    dropout: float,
    batch_first: bool,
    is_causal: bool,
    masks: Masks,
) -> tuple[Array, Array]:
    """What the heads make of it, and the mean of their weights."""
    w, w_out = parameters[0], parameters[-2 if len(parameters) == 4 else -1]
    b, b_out = parameters[1::2] if len(parameters) == 4 else (np.zeros(len(w)), np.zeros(len(w_out)))
    given = [x if batch_first else np.swapaxes(x, 0, 1) for x in (query, key, value)]
    projected = [x @ w.T + b for x, w, b in zip(given, np.split(w, 3), np.split(b, 3), strict=True)]
    q, k, v = (np.stack(np.split(x, num_heads, axis=-1), axis=1) for x in projected)
    added = np.zeros((len(q), num_heads, q.shape[2], k.shape[2]))
    for n, h in np.ndindex(added.shape[:2]):
        of_head = mask if mask is None or mask.ndim == 2 else mask[n * num_heads + h]
        added[n, h] += _added(of_head, allowed=False) + _added(None if padding is None else padding[n], allowed=False)
        added[n, h] += np.triu(np.full(added.shape[2:], -np.inf), 1) if is_causal else 0.0
    weights = _softmax(q, k, added)
    weights = weights * masks.noise(dropout, weights.shape)
    y = np.concatenate(list(np.moveaxis(weights @ v, 1, 0)), axis=-1) @ w_out.T + b_out
    return y if batch_first else np.swapaxes(y, 0, 1), weights.mean(axis=1)


def _heads_in_numpy(*given: Any, need_weights: bool, bias: bool, training: bool, rng: int, **settings: Any) -> Any:
    found = _by_heads_in_numpy(*given, masks=Masks(rng, training), **settings)
    return found if need_weights else found[0]


def _layer_norm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    return np.asarray((x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * weight + bias)


def _transformer_block_in_numpy(
    src: Array,
    src_mask: Any,
    src_key_padding_mask: Any,
    *parameters: Array,
    nhead: int,
    dropout: float,
    activation: str,
    layer_norm_eps: float,
    batch_first: bool,
    norm_first: bool,
    drop_path: float,
    is_causal: bool,
    training: bool,
    rng: int,
) -> Array:
    masks = Masks(rng, training)
    w1, b1, w2, b2, *norms = parameters[4:]

    def branch(y: Array) -> Array:
        y = y * masks.noise(dropout, y.shape)
        batch = len(y) if batch_first else y.shape[1]
        skipped = masks.noise(drop_path, (batch, 1, 1))
        return y * (skipped if batch_first else np.swapaxes(skipped, 0, 1))

    def attend(x: Array) -> Array:
        given = (x, x, x, src_key_padding_mask, src_mask, *parameters[:4])
        settings: dict[str, Any] = {"num_heads": nhead, "batch_first": batch_first, "is_causal": is_causal}
        return branch(_by_heads_in_numpy(*given, dropout=dropout, masks=masks, **settings)[0])

    def feed_forward(x: Array) -> Array:
        z = x @ w1.T + b1
        hidden = np.maximum(z, 0) if activation == "relu" else z * (1 + erf(z / np.sqrt(2))) / 2
        return branch(hidden * masks.noise(dropout, hidden.shape) @ w2.T + b2)

    def norm(x: Array, which: int) -> Array:
        return _layer_norm(x, norms[2 * which], norms[2 * which + 1], layer_norm_eps)

    if norm_first:
        x = src + attend(norm(src, 0))
        return x + feed_forward(norm(x, 1))
    x = norm(src + attend(src), 0)
    return norm(x + feed_forward(x), 1)


# ---- calls -----------------------------------------------------------------------------------------------------------


def _mask(shape: tuple[int, ...]) -> SearchStrategy[Any]:
    """No mask, one of booleans or one of floats."""
    return st.one_of(
        st.none(), hnp.arrays(np.bool_, shape, elements=st.booleans(), fill=st.nothing()), arrays(shape, SMALL)
    )


@st.composite
def _queries(pick: Pick) -> Call:
    leading, queries, keys = pick(st.sampled_from([((), 2, 2), ((), 1, 3), ((2,), 2, 3), ((2, 1), 1, 2)]))
    width, out = pick(st.sampled_from([(1, 2), (2, 1), (2, 2)]))
    mask = pick(_mask(pick(st.sampled_from([(*leading, queries, keys), (keys,), (queries, 1)]))))
    shapes = [(*leading, queries, width), (*leading[1:], keys, width), (*leading, keys, out)]
    settings = {"p": pick(SHARE), "training": pick(st.sampled_from([True, True, False])), "rng": pick(SEED)}
    return Call((*(pick(arrays(shape)) for shape in shapes), mask), settings)


@st.composite
def _to_heads(pick: Pick) -> Call:
    num_heads, width = pick(st.sampled_from([(1, 1), (1, 2), (2, 2)]))
    queries, keys, batch = pick(st.sampled_from([(2, 2, 1), (1, 2, 2), (2, 1, 1)]))
    batch_first, bias = pick(st.booleans()), pick(st.booleans())
    shapes = [(batch, n, width) if batch_first else (n, batch, width) for n in (queries, keys, keys)]
    masks = [pick(_mask((batch, keys)))]
    masks.append(pick(st.one_of(_mask((queries, keys)), _mask((batch * num_heads, queries, keys)))))
    parameters = [(3 * width, width), *[(3 * width,)] * bias, (width, width), *[(width,)] * bias]
    settings = {
        "num_heads": num_heads,
        "dropout": pick(SHARE),
        "bias": bias,
        "batch_first": batch_first,
        "need_weights": pick(st.booleans()),
        "is_causal": pick(st.booleans()),
        "training": pick(st.sampled_from([True, True, False])),
        "rng": pick(SEED),
    }
    return Call((*(pick(arrays(s)) for s in shapes), *masks, *(pick(arrays(s, SMALL)) for s in parameters)), settings)


# What goes into linear1 has been normalized, so of two features none is above 1, times a weight of 1, plus a bias of up to
# 1/2; two of these by weights of up to 1/2 come to 1.5, which a bias of 2.5 keeps away from the kink of relu.
HALVES = st.sampled_from([0.5, -0.5, 0.25, 0.0])
FAR = st.sampled_from([2.5, -2.5])
WEIGHTS = st.sampled_from([1.0, 0.5, -0.75])


@st.composite
def _to_block(pick: Pick) -> Call:
    steps, batch, hidden = pick(st.sampled_from([(2, 1, 1), (1, 2, 2), (2, 2, 1)]))
    batch_first = pick(st.booleans())
    src = pick(arrays((batch, steps, 2) if batch_first else (steps, batch, 2)))
    masks = pick(_mask((steps, steps))), pick(_mask((batch, steps)))
    of_attention = [pick(arrays(shape, SMALL)) for shape in ((6, 2), (6,), (2, 2), (2,))]
    of_linear = [pick(arrays((hidden, 2), HALVES)), pick(arrays((hidden,), FAR))]
    of_linear += [pick(arrays((2, hidden), SMALL)), pick(arrays((2,), SMALL))]
    of_norms = [pick(arrays((2,), elements)) for elements in (WEIGHTS, HALVES, WEIGHTS, HALVES)]
    settings = {
        "nhead": pick(st.sampled_from([2, 1])),
        "dropout": pick(SHARE),
        "activation": pick(st.sampled_from(["relu", "gelu"])),
        "layer_norm_eps": pick(EPS),
        "batch_first": batch_first,
        "norm_first": pick(st.booleans()),
        "drop_path": pick(SHARE),
        "is_causal": pick(st.booleans()),
        "training": pick(st.sampled_from([True, True, False])),
        "rng": pick(SEED),
    }
    return Call((src, *masks, *of_attention, *of_linear, *of_norms), settings)


PLAIN: dict[str, Any] = {"p": 0.0, "training": False, "rng": 0}
INF = math.inf
KEYS = [[1.0], [2.0]], [[3.0], [5.0]]  # and their values
NOTHING = [[0.0], [0.0]]

CASES = [
    Case(
        attention,
        _queries(),
        _attention_in_numpy,
        points=[
            # A query without a key gives 0 and no gradient.
            at([[1.0]], *KEYS, [[False, False]], gradients=[[[0.0]], NOTHING, NOTHING], **PLAIN),
            at([[1.0]], *KEYS, [[-INF, -INF]], gradients=[[[0.0]], NOTHING, NOTHING, [[0.0, 0.0]]], **PLAIN),
            # One key alone has the whole weight, whatever the score.
            at([[1e4]], *KEYS, [[0.0, -INF]], gradients=[[[0.0]], NOTHING, [[1.0], [0.0]], [[0.0, 0.0]]], **PLAIN),
            at([[0.0]], *KEYS, None, gradients=[[[0.5]], NOTHING, [[0.5], [0.5]]], **PLAIN),
        ],
        reach=math.inf,
    ),
    Case(multi_head_attention, _to_heads(), _heads_in_numpy, name="MultiHeadAttention", reach=math.inf),
    Case(
        transformer_block,
        _to_block(),
        _transformer_block_in_numpy,
        name="TransformerBlock",
        scales=lambda call: (1.0, math.sqrt(call.settings["layer_norm_eps"]) / 2),
    ),
]
