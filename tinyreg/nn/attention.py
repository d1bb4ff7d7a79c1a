"""Attention: the function, the layer with several heads, and the block of a transformer that it makes with two others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import activations, dropout, ops
from ..arguments import integer
from ..core.backend import Array, described, get, is_float
from ..core.tensor import Tensor
from ..creation import backend_of, zeros
from ..random import Generator, as_generator
from . import init
from .dropout import Dropout, DropPath
from .inputs import expect_dtype
from .linear import Linear
from .module import Module, settings_of
from .norm import LayerNorm
from .parameter import Parameter

__all__ = ["MultiHeadAttention", "TransformerBlock"]


def attention(
    q: Tensor | Array,
    k: Tensor | Array,
    v: Tensor | Array,
    *,
    mask: Tensor | Array | None = None,
    p: float = 0.0,
    training: bool,
    rng: Generator | int | None = None,
) -> Tensor:
    """softmax(q k^T / sqrt(d) + mask) v, with a share p of the softmax dropped in training.

    q: (..., L, d), L queries; k: (..., S, d) and v: (..., S, e), S keys and their values; the axes in front broadcast; the
    result: (..., L, e). mask: what broadcasts to (..., L, S): booleans, True where a query may attend to a key, as in
    PyTorch's scaled_dot_product_attention; or floats, which are added, -inf to forbid a key. It is cast to the dtype of the
    scores. A query that may attend to no key gives 0, and no gradient. p: in [0, 1]. rng: a generator or a seed; the
    default generator (`tr.seed`) if None.

    What a query may not attend to takes no part in its result and in no gradient of it, not even as NaN. With a mask, a
    query that may attend to a key or a value that is not finite gives NaN, and no gradient.

    Raises `ValueError` for shapes that do not fit and for p out of range, `TypeError` for a mask of integers and for
    several dtypes.

    Source: Vaswani et al., "Attention Is All You Need", 2017.

    >>> import tinyreg as tr
    >>> from tinyreg.nn.attention import attention
    >>> q, k, v = tr.ones((1, 2)), tr.ones((3, 2)), tr.tensor([[1.0], [2.0], [6.0]])
    >>> attention(q, k, v, training=False)
    tensor([[3.]])
    >>> attention(q, k, v, mask=tr.tensor([True, False, True]), training=False)
    tensor([[3.5]])
    """
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(
            f"attention: got q {described(q)}, k {described(k)} and v {described(v)}, expected (..., L, d), (..., S, d) "
            "and (..., S, e)"
        )
    if not q.dtype == k.dtype == v.dtype:
        raise TypeError(f"attention: got q {described(q)}, k {described(k)} and v {described(v)}, expected one dtype")
    if mask is not None:
        _check_mask("attention", "mask", mask)
    source = None if rng is None else as_generator(rng, "attention")
    y: Tensor = _attended(q, k, v, mask, lambda w: dropout.dropout(w, p, training=training, rng=source))[0]
    return y


def _attended(q: Any, k: Any, v: Any, mask: Any, drop: Callable[[Any], Any]) -> tuple[Any, Any]:
    """(y, weights): the formula of `attention`, and what `drop` leaves of the softmax.

    A row that is masked as a whole is 0. What is masked, also a query, enters as 0 where it is not finite: 0 * NaN is NaN.
    """
    if mask is not None:
        shape = (*get("numpy").broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2])
        if mask.ndim > len(shape) or any(n not in (1, m) for n, m in zip(mask.shape[::-1], shape[::-1], strict=False)):
            raise ValueError(f"attention: got mask {described(mask)}, expected what broadcasts to {list(shape)}")
        mask = mask if mask.dtype.kind == "b" else _cast(mask, q.dtype)
        allowed, finite_k, finite_v = _allowed(mask), ops.isfinite(k), ops.isfinite(v)
        k, v = ops.where(finite_k, k, 0.0), ops.where(finite_v, v, 0.0)
        q = _without_padding(q, ops.any(allowed, axis=-1, keepdims=True))
    scores = ops.matmul(q / math.sqrt(q.shape[-1]), ops.matrix_transpose(k))
    if mask is None or not scores.shape[-1]:
        weights = drop(activations.softmax(scores) if scores.shape[-1] else scores)  # of nothing it is nothing
        return ops.matmul(weights, v), weights
    if is_float(mask):
        scores = scores + ops.where(allowed, mask, 0.0)
    scores = ops.where(allowed, scores, -math.inf)
    empty = ops.all(scores == -math.inf, axis=-1, keepdims=True)
    weights = drop(ops.where(empty, 0.0, activations.softmax(ops.where(empty, 0.0, scores))))
    return ops.where(_spoilt(allowed, finite_k, finite_v), math.nan, ops.matmul(weights, v)), weights


def _spoilt(allowed: Any, *finite: Any) -> Any:
    """Which queries may attend to what is not finite: (..., L or 1, 1). Counted by products, quicker than `any`."""
    dtype, keys = "float32", finite[0].shape[-2]
    xp = get(backend_of(allowed))
    broken = [ops.matmul(ops.astype(ops.logical_not(each), dtype), xp.ones((each.shape[-1], 1), dtype)) for each in finite]
    allowed = ops.broadcast_to(allowed, shape=(*(1,) * (2 - allowed.ndim), *allowed.shape[:-1], keys))
    return ops.matmul(ops.astype(allowed, dtype), broken[0] + broken[1]) > 0


def _cast(mask: Any, dtype: Any) -> Any:
    """A mask of floats in another dtype, in which what is too far below 0 is -inf."""
    wanted = get("numpy").dtype(dtype)
    if wanted.itemsize < mask.dtype.itemsize:
        mask = ops.where(mask < float(get("numpy").finfo(wanted).min), -math.inf, mask)
    return mask if mask.dtype == wanted else ops.astype(mask, wanted)


def _allowed(mask: Any) -> Any:
    """Where a mask lets a query attend to a key."""
    return mask if mask.dtype.kind == "b" else mask != -math.inf


def _without_padding(x: Any, used: Any) -> Any:
    """x with 0 for what is not finite where it is not used: of a projection's weight the gradient would be 0 * NaN."""
    return ops.where(ops.logical_or(used, ops.isfinite(x)), x, 0.0)


def _check_mask(name: str, label: str, mask: Any) -> None:
    if not (is_float(mask) or getattr(mask, "dtype", None) == "bool"):
        raise TypeError(f"{name}: got {label} {described(mask)}, expected booleans, or floats to be added")


class MultiHeadAttention(Module):
    """`attention` by several heads at once: out_proj(concat of the heads' results), each head on its part of W x + b.

    query: (L, N, embed_dim); key and value: (S, N, embed_dim); all of them (N, length, embed_dim) if batch_first. Returns
    (y, weights): y has the shape of query; weights, (N, L, S), are the mean over heads of what dropout leaves of the
    softmax, or None unless need_weights (True by default in PyTorch). `in_proj_weight` holds the weights of query, key and
    value one above the other; names are those of PyTorch's MultiheadAttention.

    A mask of booleans is True where a query may not attend to a key, as for PyTorch's layer; for `attention` it is the
    other way round. A mask of floats is added, in the layer's dtype. key_padding_mask: (N, S), the keys to ignore.
    attn_mask: (L, S), or (N * num_heads, L, S). is_causal: ignore later keys, with an attn_mask or without (PyTorch wants
    one). A query without any key gives out_proj(0), where PyTorch's gives NaN. A key or value that every query ignores
    takes no part, not even as NaN; where query, key and value are one tensor, it takes none as a query either. dropout: the
    share of the softmax that is dropped, as by `Dropout`.

    Weights start from `init.glorot_uniform`, query, key and value each by itself (PyTorch takes them for one matrix),
    biases from 0. rng: of initial values and of dropout, a generator or a seed; the default generator (`tr.seed`) if None.

    Raises `ValueError` where num_heads does not divide embed_dim, for p out of range and for shapes that do not fit,
    `TypeError` for a mask of integers and for inputs of another dtype than the parameters'.

    Source: Vaswani et al., "Attention Is All You Need", 2017.

    >>> import tinyreg as tr
    >>> layer = tr.nn.MultiHeadAttention(8, 2, batch_first=True, rng=tr.Generator(0))
    >>> x = tr.ones((3, 5, 8))
    >>> y, weights = layer(x, x, x, is_causal=True, need_weights=True)
    >>> y.shape, weights[0, 1].tolist()
    ((3, 5, 8), [0.5, 0.5, 0.0, 0.0, 0.0])
    """

    embed_dim: int
    num_heads: int
    batch_first: bool
    in_proj_weight: Parameter
    in_proj_bias: Parameter | None
    out_proj: Linear
    dropout: Dropout

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        batch_first: bool = False,
        rng: Generator | int | None = None,
    ) -> None:
        embed_dim = integer("MultiHeadAttention", "embed_dim", embed_dim)
        num_heads = integer("MultiHeadAttention", "num_heads", num_heads)
        rng = None if rng is None else as_generator(rng, "MultiHeadAttention")
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiHeadAttention: got embed_dim={embed_dim} and num_heads={num_heads}, expected heads that divide it"
            )
        self.embed_dim, self.num_heads, self.batch_first = embed_dim, num_heads, batch_first
        self.in_proj_weight = Parameter(init.glorot_uniform((3 * embed_dim, embed_dim), embed_dim, embed_dim, rng=rng))
        self.in_proj_bias = Parameter(zeros(3 * embed_dim), decay=False) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, nonlinearity="linear", rng=rng)
        self.dropout = Dropout(dropout, rng=rng)

    def forward(
        self,
        query: Tensor | Array,
        key: Tensor | Array,
        value: Tensor | Array,
        *,
        key_padding_mask: Tensor | Array | None = None,
        attn_mask: Tensor | Array | None = None,
        need_weights: bool = False,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Give (y, weights or None)."""
        self._check(query, key, value)
        mask, used, asking = self._masks(query, key, key_padding_mask, attn_mask, is_causal)
        if used is not None:
            cleaned = {id(x): _without_padding(x, used) for x in (key, value)}
            query, key, value = (cleaned.get(id(x), x) for x in (query, key, value))
            query = _without_padding(query, asking)
        parts = ops.split(self.in_proj_weight, 3, axis=0)
        biases = [None] * 3 if self.in_proj_bias is None else ops.split(self.in_proj_bias, 3, axis=0)
        q, k, v = (self._heads(*each) for each in zip((query, key, value), parts, biases, strict=True))
        y, weights = _attended(q, k, v, mask, self.dropout)
        y = ops.permute_dims(y, axes=(0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3))
        return self.out_proj(ops.reshape(y, query.shape)), ops.mean(weights, axis=1) if need_weights else None

    def _check(self, query: Any, key: Any, value: Any) -> None:
        for name, x in (("query", query), ("key", key), ("value", value)):
            expect_dtype("MultiHeadAttention", x, self.in_proj_weight, name=name)
        batch = 0 if self.batch_first else 1
        shapes = [x.shape for x in (query, key, value)]
        if (
            any(len(shape) != 3 or shape[2] != self.embed_dim for shape in shapes)
            or key.shape != value.shape
            or query.shape[batch] != key.shape[batch]
        ):
            axes = "(N, L, {0}) and (N, S, {0})" if self.batch_first else "(L, N, {0}) and (S, N, {0})"
            raise ValueError(
                f"MultiHeadAttention: got query {described(query)}, key {described(key)} and value {described(value)}, "
                f"expected {axes.format(self.embed_dim)} twice"
            )

    def _heads(self, x: Any, weight: Any, bias: Any) -> Any:
        """x W^T + b by heads: (N, num_heads, length, embed_dim / num_heads)."""
        y = ops.matmul(x, weight.T) if bias is None else ops.matmul(x, weight.T) + bias
        y = ops.reshape(y, (*x.shape[:2], self.num_heads, self.embed_dim // self.num_heads))
        return ops.permute_dims(y, axes=(0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3))

    def _masks(self, query: Any, key: Any, padding: Any, mask: Any, is_causal: bool) -> tuple[Any, Any, Any]:
        """Join all masks, in the meaning of `attention`, and say which keys any query uses and which queries use any key.

        These two are None where all keys and queries are used.
        """
        length, batch = (1, 0) if self.batch_first else (0, 1)
        queries, keys, samples, heads = query.shape[length], key.shape[length], key.shape[batch], self.num_heads
        joined = None
        if padding is not None:
            joined = self._placed("key_padding_mask", padding, (samples, keys), (samples, 1, 1, keys))
        if getattr(mask, "ndim", 0) == 3:
            allowed = self._placed("attn_mask", mask, (samples * heads, queries, keys), (samples, heads, queries, keys))
            joined = _joined(joined, allowed)
        elif mask is not None:
            joined = _joined(joined, self._placed("attn_mask", mask, (queries, keys), (1, 1, queries, keys)))
        if is_causal:
            xp = get(backend_of(query))
            joined = _joined(joined, (xp.arange(keys) <= xp.arange(queries)[:, None])[None, None])
        if joined is None or (padding is None and mask is None and keys <= queries):
            return joined, None, None
        each = [ops.any(_allowed(joined), axis=axes) for axes in ((1, 2), (1, 3))]  # (N or 1, S), (N or 1, L or 1)
        used, asking = (ops.expand_dims(x if self.batch_first else x.T, axis=-1) for x in each)
        return joined, used, asking

    def _placed(self, label: str, mask: Any, shape: tuple[int, ...], placed: tuple[int, ...]) -> Any:
        """A mask in the meaning of `attention`, checked, and in the shape that it has among heads."""
        _check_mask("MultiHeadAttention", label, mask)
        if mask.shape != shape:
            raise ValueError(f"MultiHeadAttention: got {label} {described(mask)}, expected shape {list(shape)}")
        booleans = mask.dtype.kind == "b"
        return ops.reshape(ops.logical_not(mask) if booleans else _cast(mask, self.in_proj_weight.dtype), placed)

    def _without_padding(self, x: Any, padding: Any) -> Any:
        """x with 0 for what is not finite in its padding."""
        self._check(x, x, x)
        return _without_padding(x, self._masks(x, x, padding, None, False)[1])

    def extra_repr(self) -> str:
        """Show width and number of heads."""
        return settings_of(self, self.embed_dim, self.num_heads, batch_first=False)


def _joined(a: Any, b: Any) -> Any:
    """Two masks in the meaning of `attention` as one."""
    if a is None:
        return b
    if a.dtype.kind == b.dtype.kind:
        return ops.logical_and(a, b) if a.dtype.kind == "b" else a + b
    allowed, added = (a, b) if a.dtype.kind == "b" else (b, a)
    return ops.where(allowed, added, -math.inf)


class TransformerBlock(Module):
    """Self-attention and a network of two layers, each with dropout, a residual connection and a layer norm.

    norm_first=False, as in the source:  x = norm1(x + attend(x)); x = norm2(x + linear2(activation(linear1(x)))).
    norm_first=True:                     x = x + attend(norm1(x)); x = x + linear2(activation(linear1(norm2(x)))).

    src: (T, N, d_model), or (N, T, d_model) if batch_first; the result has its shape. nhead, src_mask,
    src_key_padding_mask, is_causal: as num_heads, attn_mask, key_padding_mask and is_causal of `MultiHeadAttention`.
    activation: "relu" or "gelu". dropout: the share that is dropped of the attention weights, of the hidden units, and of
    what each of the two adds. drop_path: the share of samples for which one of the two is skipped, see
    `tr.dropout.drop_path`. Names are those of PyTorch's TransformerEncoderLayer, and so is what `state_dict` holds. What
    src_key_padding_mask leaves out counts as 0 where it is not finite. rng: of initial values and of dropout, a generator
    or a seed; the default generator (`tr.seed`) if None.

    Raises `ValueError` for another activation, and what its layers raise.

    Source: Vaswani et al., "Attention Is All You Need", 2017; of norm_first: Xiong et al., "On Layer Normalization in the
    Transformer Architecture", 2020.

    >>> import tinyreg as tr
    >>> block = tr.nn.TransformerBlock(8, 2, 16, norm_first=True, batch_first=True, rng=tr.Generator(0))
    >>> block(tr.ones((3, 5, 8)), is_causal=True).shape
    (3, 5, 8)
    """

    batch_first: bool
    norm_first: bool
    self_attn: MultiHeadAttention
    linear1: Linear
    dropout: Dropout
    linear2: Linear
    norm1: LayerNorm
    norm2: LayerNorm
    dropout1: Dropout
    dropout2: Dropout
    drop_path: DropPath

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        *,
        drop_path: float = 0.0,
        rng: Generator | int | None = None,
    ) -> None:
        if activation not in ("relu", "gelu"):
            raise ValueError(f"TransformerBlock: got activation={activation!r}, expected 'relu' or 'gelu'")
        dim_feedforward = integer("TransformerBlock", "dim_feedforward", dim_feedforward, least=0)
        rng = None if rng is None else as_generator(rng, "TransformerBlock")
        self.activation, self.batch_first, self.norm_first = activation, batch_first, norm_first
        self.self_attn = MultiHeadAttention(d_model, nhead, dropout, batch_first=batch_first, rng=rng)
        self.linear1 = Linear(d_model, dim_feedforward, nonlinearity=activation, rng=rng)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(dim_feedforward, d_model, nonlinearity="linear", rng=rng)
        self.norm1, self.norm2 = LayerNorm(d_model, layer_norm_eps), LayerNorm(d_model, layer_norm_eps)
        self.dropout1, self.dropout2 = Dropout(dropout, rng=rng), Dropout(dropout, rng=rng)
        self.drop_path = DropPath(drop_path, rng=rng)

    def forward(
        self,
        src: Tensor | Array,
        src_mask: Tensor | Array | None = None,
        src_key_padding_mask: Tensor | Array | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Apply the block's formula."""
        masks = {"attn_mask": src_mask, "key_padding_mask": src_key_padding_mask, "is_causal": is_causal}
        if src_key_padding_mask is not None:
            src = self.self_attn._without_padding(src, src_key_padding_mask)
        if self.norm_first:
            x = src + self._attended(self.norm1(src), masks)
            return x + self._fed_forward(self.norm2(x))
        x = self.norm1(src + self._attended(src, masks))
        y: Tensor = self.norm2(x + self._fed_forward(x))
        return y

    def _attended(self, x: Any, masks: dict[str, Any]) -> Tensor:
        return self._by_path(self.dropout1(self.self_attn(x, x, x, **masks)[0]))

    def _fed_forward(self, x: Any) -> Tensor:
        act = ops.relu if self.activation == "relu" else activations.gelu
        return self._by_path(self.dropout2(self.linear2(self.dropout(act(self.linear1(x))))))

    def _by_path(self, x: Any) -> Tensor:
        """What is left of a branch where whole samples are skipped, which `drop_path` finds along the first axis."""
        if self.batch_first or not self.drop_path.p:
            y: Tensor = self.drop_path(x)
        else:
            y = ops.permute_dims(self.drop_path(ops.permute_dims(x, axes=(1, 0, 2))), axes=(1, 0, 2))
        return y

    def extra_repr(self) -> str:
        """Show what differs from the defaults."""
        return settings_of(self, activation="relu", batch_first=False, norm_first=False)
