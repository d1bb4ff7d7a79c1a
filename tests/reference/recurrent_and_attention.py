"""Writes recurrent_and_attention.json, what PyTorch makes of these calls: run it with Python where PyTorch is.

Inputs, parameters and incoming gradients are drawn again by the tests, from the same seed; only results are stored.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

STORED = Path(__file__).with_suffix(".json")

X, STATE = {"x": (3, 2, 2)}, {"h": (2, 2, 2), "c": (2, 2, 2)}
QKV = {"query": (3, 2, 4), "key": (2, 2, 4), "value": (2, 2, 4)}
PADDED = [[False, False], [True, False]]
CAUSAL = [[False, True, True], [False, False, True], [False, False, False]]
ADDED = np.random.default_rng(1).normal(size=(4, 3, 2)).round(2).tolist()
BLOCK = {"d_model": 4, "nhead": 2, "dim_feedforward": 3, "dropout": 0.0}


def recurrent(layer):
    """Calls of a recurrent layer."""
    sizes, state = {"input_size": 2, "hidden_size": 2}, {k: v for k, v in STATE.items() if layer == "LSTM" or k == "h"}
    batch_first = {"batch_first": True, "bias": False}
    return {
        f"{layer} of two layers": {"layer": layer, "sizes": sizes | {"num_layers": 2}, "inputs": X | state},
        f"{layer} batch first": {"layer": layer, "sizes": sizes | batch_first, "inputs": {"x": (2, 3, 2)}},
        f"{layer} both ways": {
            "layer": layer,
            "sizes": sizes | {"bidirectional": True},
            "inputs": {"x": (4, 3, 2)},
            "lengths": [2, 4, 1],
        },
    }


CALLS = {
    **recurrent("RNN"),
    "RNN with relu": {"layer": "RNN", "sizes": {"input_size": 2, "hidden_size": 4, "nonlinearity": "relu"}, "inputs": X},
    **recurrent("LSTM"),
    **recurrent("GRU"),
    "attention": {"layer": "MultiheadAttention", "sizes": {"embed_dim": 4, "num_heads": 2}, "inputs": QKV},
    "attention with booleans": {
        "layer": "MultiheadAttention",
        "sizes": {"embed_dim": 4, "num_heads": 2, "bias": False},
        "inputs": QKV,
        "masks": {"key_padding_mask": PADDED, "attn_mask": [[False, False], [True, False], [False, False]]},
    },
    "attention with floats": {
        "layer": "MultiheadAttention",
        "sizes": {"embed_dim": 4, "num_heads": 2, "batch_first": True},
        "inputs": {"query": (2, 3, 4), "key": (2, 2, 4), "value": (2, 2, 4)},
        "masks": {"attn_mask": ADDED},
    },
    "block": {"layer": "TransformerEncoderLayer", "sizes": BLOCK, "inputs": {"src": (3, 2, 4)}},
    "block with masks": {
        "layer": "TransformerEncoderLayer",
        "sizes": BLOCK | {"norm_first": True, "activation": "gelu", "batch_first": True, "layer_norm_eps": 0.1},
        "inputs": {"src": (2, 3, 4)},
        "masks": {"src_mask": CAUSAL, "src_key_padding_mask": [[False, False, True], [False, False, False]]},
    },
    "block with a causal mask": {
        "layer": "TransformerEncoderLayer",
        "sizes": BLOCK | {"activation": "gelu"},
        "inputs": {"src": (3, 2, 4)},
        "masks": {"src_mask": CAUSAL},
    },
}


def drawn(call, shapes):
    """A value for each name and shape, for the same call always the same, whatever the order of the names."""
    seeds = {name: [*f"{call}: {name}".encode()] for name in shapes}
    return {name: np.random.default_rng(seeds[name]).normal(size=shape) / 2 for name, shape in shapes.items()}


def main():
    """Run every call in PyTorch, in float64."""
    import torch

    def run(name, call):
        module = getattr(torch.nn, call["layer"])(**call["sizes"]).double()
        values = drawn(name, {n: tuple(p.shape) for n, p in module.named_parameters()})
        module.load_state_dict({n: torch.tensor(v) for n, v in values.items()})
        leaves = {n: torch.tensor(v, requires_grad=True) for n, v in drawn(name, call["inputs"]).items()}
        outputs = forward(module, call, list(leaves.values()))
        incoming = drawn(name, {f"g{i}": tuple(y.shape) for i, y in enumerate(outputs)})
        leaves |= dict(module.named_parameters())
        gradients = torch.autograd.grad(outputs, list(leaves.values()), [torch.tensor(g) for g in incoming.values()])
        listed = {n: g.tolist() for n, g in zip(leaves, gradients, strict=True)}
        return {"outputs": [y.tolist() for y in outputs], "gradients": listed}

    def forward(module, call, inputs):
        masks = {n: torch.tensor(np.array(m)) for n, m in call.get("masks", {}).items()}
        if call["layer"] == "MultiheadAttention":
            return module(*inputs, **masks)
        if call["layer"] == "TransformerEncoderLayer":
            return [module(*inputs, **masks)]
        x, *state = inputs
        state = (tuple(state) if len(state) > 1 else state[0]) if state else None
        if "lengths" in call:
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(call["lengths"]), enforce_sorted=False)
            output, end = module(packed, state)
            output, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
        else:
            output, end = module(x, state)
        return [output, *(end if isinstance(end, tuple) else [end])]

    found = {name: run(name, call) for name, call in CALLS.items()}
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(one, allow_nan=False, separators=(',', ':'))}" for name, one in found.items()
    )
    STORED.write_text("{\n" + lines + "\n}\n", encoding="utf-8")
    sys.stdout.write(f"wrote {STORED.name}, by PyTorch {torch.__version__}\n")


if __name__ == "__main__":
    main()
