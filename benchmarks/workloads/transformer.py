"""A Transformer block with dropout, and a classifier of its tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..libraries import hand
from .base import Array, Library, Network, Program, Settings, Workload, classes, milliseconds, normal, started

CASES = {
    "width 128, 64 tokens, batch 16": {"width": 128, "heads": 4, "tokens": 64, "batch": 16, "classes_": 64, "p": 0.1},
}
SMALL = {"width 8, 3 tokens, batch 2": {"width": 8, "heads": 2, "tokens": 3, "batch": 2, "classes_": 5, "p": 0.1}}


class Attention:
    """Self-attention of several heads by hand, with one product for queries, keys and values."""

    def __init__(self, store: hand.Store, width: int, heads: int, tokens: int, batch: int, p: float) -> None:
        rows, self.scale = batch * tokens, 1 / math.sqrt(width // heads)
        self.inward = hand.Linear(store, "0.self_attn.in_proj_", rows)
        self.outward = hand.Linear(store, "0.self_attn.out_proj.", rows)
        self.heads = (batch, tokens, 3, heads, width // heads)
        self.weights, self.dropped, self.of_weights = (hand.empty(batch, heads, tokens, tokens) for _ in range(3))
        self.row, self.sum = (hand.empty(batch, heads, tokens, 1) for _ in range(2))
        self.drop = hand.Dropout(self.weights.shape, p)
        self.joined, self.of_three = hand.empty(batch, tokens, heads, width // heads), hand.empty(*self.heads)

    def forward(self, x: Array) -> Array:
        """(rows, width) to the same."""
        three = self.inward.forward(x).reshape(self.heads).transpose(2, 0, 3, 1, 4)
        self.q, self.k, self.v = three
        self.q *= self.scale
        w = np.matmul(self.q, self.k.swapaxes(2, 3), out=self.weights)
        w -= np.maximum.reduce(w, axis=3, out=self.row, keepdims=True)
        np.exp(w, out=w)
        w /= np.add.reduce(w, axis=3, out=self.row, keepdims=True)
        np.copyto(self.dropped, w)
        np.matmul(self.drop.forward(self.dropped), self.v, out=self.joined.swapaxes(1, 2))
        return self.outward.forward(self.joined.reshape(x.shape))

    def backward(self, g: Array) -> Array:
        """The softmax's gradient is w (g - sum(w g))."""
        g = self.outward.backward(g).reshape(self.joined.shape).swapaxes(1, 2)
        of_q, of_k, of_v = self.of_three.transpose(2, 0, 3, 1, 4)
        np.matmul(self.dropped.swapaxes(2, 3), g, out=of_v)
        of_w = self.drop.backward(np.matmul(g, self.v.swapaxes(2, 3), out=self.of_weights))
        np.einsum("bhij,bhij->bhi", of_w, self.weights, out=self.sum[..., 0])
        of_w -= self.sum
        of_w *= self.weights
        np.matmul(of_w, self.k, out=of_q)
        of_q *= self.scale
        np.matmul(of_w.swapaxes(2, 3), self.q, out=of_k)
        return self.inward.backward(self.of_three.reshape(self.inward.y.shape))


class Residual:
    """x plus what layers make of it."""

    def __init__(self, layers: list[Any], shape: tuple[int, int]) -> None:
        self.layers, self.y, self.of_x = layers, hand.empty(*shape), hand.empty(*shape)

    def forward(self, x: Array) -> Array:
        """x stays as it is."""
        h = x
        for layer in self.layers:
            h = layer.forward(h)
        return np.add(x, h, out=self.y)

    def backward(self, g: Array) -> Array:
        """The layers overwrite a copy."""
        np.copyto(self.of_x, g)
        for layer in reversed(self.layers):
            g = layer.backward(g)
        self.of_x += g
        return self.of_x


class Rows:
    """A token a row."""

    def forward(self, x: Array) -> Array:
        """A view."""
        return x.reshape(-1, x.shape[-1])

    def backward(self, g: Array) -> Array:
        """Nothing is wanted here."""
        return g


def network(width: int, heads: int, tokens: int, batch: int, classes_: int, p: float) -> Network:
    """A block with norms first and a hidden width of four times its own, then a Linear for each token."""
    rows, hidden = batch * tokens, 4 * width
    shapes: dict[str, tuple[int, ...]] = {
        "0.self_attn.in_proj_weight": (3 * width, width),
        "0.self_attn.in_proj_bias": (3 * width,),
        "1.weight": (classes_, width),
        "1.bias": (classes_,),
    }
    linears = {"self_attn.out_proj": (width, width), "linear1": (hidden, width), "linear2": (width, hidden)}
    for name, shape in linears.items():
        shapes |= {f"0.{name}.weight": shape, f"0.{name}.bias": shape[:1]}
    for name in ("norm1", "norm2"):
        shapes |= {f"0.{name}.weight": (width,), f"0.{name}.bias": (width,)}

    def layers(nn: Any) -> list[Any]:
        block = getattr(nn, "TransformerBlock", None) or nn.TransformerEncoderLayer
        return [block(width, heads, hidden, p, batch_first=True, norm_first=True), nn.Linear(width, classes_)]

    def function(f: Any, w: Any, x: Any) -> Any:
        def linear(name: str, x: Any) -> Any:
            return f.linear(x, w[f"0.{name}.weight"], w[f"0.{name}.bias"])

        def norm(name: str, x: Any) -> Any:
            return f.layer_norm(x, w[f"0.{name}.weight"], w[f"0.{name}.bias"])

        h = f.linear(norm("norm1", x), w["0.self_attn.in_proj_weight"], w["0.self_attn.in_proj_bias"])
        split = f.permute(h.reshape((batch, tokens, 3, heads, width // heads)), (2, 0, 3, 1, 4))
        q, k, v = split[0], split[1], split[2]
        weights = f.softmax(f.xp.matmul(q * (1 / math.sqrt(width // heads)), f.permute(k, (0, 1, 3, 2))))
        attended = f.permute(f.xp.matmul(f.dropout(weights, p), v), (0, 2, 1, 3)).reshape((batch, tokens, width))
        x = x + f.dropout(linear("self_attn.out_proj", attended), p)
        h = f.dropout(f.relu(linear("linear1", norm("norm2", x))), p)
        x = x + f.dropout(linear("linear2", h), p)
        return f.linear(x, w["1.weight"], w["1.bias"]).reshape((rows, classes_))

    def by_hand(store: hand.Store) -> list[Any]:
        def norm(name: str) -> hand.RowNorm:
            return hand.RowNorm(store.of(name), rows, width, (rows, width, 1))

        attend = Attention(store, width, heads, tokens, batch, p)
        outer = (rows, width)
        fed = [
            norm("0.norm2."),
            hand.Linear(store, "0.linear1.", rows),
            hand.ReLU((rows, hidden), p),
            hand.Linear(store, "0.linear2.", rows),
            hand.Dropout(outer, p),
        ]
        attended = [norm("0.norm1."), attend, hand.Dropout(outer, p)]
        return [Rows(), Residual(attended, outer), Residual(fed, outer), hand.Linear(store, "1.", rows)]

    labels = classes((rows,), classes_)
    return Network(started(shapes), normal(batch, tokens, width), labels, classes_, layers, function, by_hand)


def build(library: Library, settings: Settings) -> Program:
    """A training step."""
    return library.train(network(**settings))


TRANSFORMER = Workload(
    "transformer",
    "one training step of a Transformer block with layer norm and dropout, and a classifier of its tokens",
    "ms a step",
    milliseconds,
    CASES,
    SMALL,
    build,
)
