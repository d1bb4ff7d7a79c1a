"""A recurrent layer over time, in one direction: the steps as compositions, and a fast form for an LSTM's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..core.backend import Array, Backend, accumulator, get
from ..core.fused import fused
from ..core.tensor import Tensor
from ..ops.elementwise import masked

State = tuple[Any, ...]
Step = Callable[[Any, Any, State], State]
"""The state after one step, from x = W_ih x + b_ih, h = W_hh h + b_hh, and the state before, which h leads."""


def scan(
    step: Step,
    x: Any,
    state: State,
    weight: Any,
    bias: Any = None,
    active: Any = None,
    mask: Any = None,
    *,
    reverse: bool = False,
    scale: float = 1.0,
) -> State:
    """(output, *state): h at every step, and the state after the last.

    x: (T, N, gates), W_ih x + b_ih at every step. state: (N, size) each. weight, bias: W_hh and b_hh. active: booleans
    (T, N, 1); where a step is not active the state stays as it is, the output is 0, and nothing else is looked at. mask:
    of recurrent dropout for h, (N, size); what stays becomes larger by `scale`. reverse: from the last step to the first.
    """
    inputs, w = ops.unstack(x, axis=0), ops.matrix_transpose(weight)
    outputs: list[Any] = [None] * x.shape[0]
    for t in _times(x.shape[0], reverse):
        before = state if active is None else tuple(ops.where(active[t], part, 0.0) for part in state)
        h = before[0] if mask is None else masked(before[0], mask, scale=scale)
        product = ops.matmul(h, w)
        new = step(inputs[t], product if bias is None else product + bias, before)
        if active is None:
            outputs[t], state = new[0], new
        else:
            outputs[t] = ops.where(active[t], new[0], 0.0)
            state = tuple(ops.where(active[t], a, b) for a, b in zip(new, state, strict=True))
    return ops.stack(*outputs, axis=0), *state


def _times(steps: int, reverse: bool) -> Sequence[int]:
    return range(steps)[:: -1 if reverse else 1]


def lstm_step(x: Any, h: Any, state: State) -> State:
    """c = f c + i g and h = o tanh(c): see `nn.LSTM`."""
    i, f, g, o = ops.split(x + h, 4, axis=-1)
    c = ops.sigmoid(f) * state[1] + ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(c), c


@fused(
    name="LSTM",
    nondifferentiable=("active", "mask"),
    expects="x (T, N, 4 size), h and c (N, size), weight (4 size, size)",
)
def lstm_scan(
    x: Any,
    h: Any,
    c: Any,
    weight: Any,
    active: Any = None,
    mask: Any = None,
    *,
    reverse: bool = False,
    scale: float = 1.0,
) -> tuple[Tensor, ...]:
    """(output, h, c): `scan` with the step of an LSTM, whose biases are in x already."""
    return scan(lstm_step, x, (h, c), weight, None, active, mask, reverse=reverse, scale=scale)


@lstm_scan.fast
def _(
    xp: Backend,
    x: Array,
    h: Array,
    c: Array,
    weight: Array,
    active: Array = None,
    mask: Array = None,
    *,
    reverse: bool,
    scale: float,
) -> Any:
    """The gates stand in the order o, i, f, g, so that those which are sigmoids are one slice of one array."""
    dtype, own, (x, h, c, weight) = _in_one_dtype(xp, x, h, c, weight)
    (steps, batch, _), size = x.shape, weight.shape[1]
    z, w = xp.roll(x, size, axis=2), xp.roll(weight, size, axis=0).T
    gates = z.reshape(steps, batch, 4, size).swapaxes(1, 2)
    output, bent = xp.empty_like(z[:, :, :size]), xp.empty_like(z[:, :, :size])
    fed, before = [None] * steps, [None] * steps
    with get("numpy").errstate(over="ignore"):  # of a sigmoid that is 0
        for t in _times(steps, reverse):
            last_h, last_c = h, c
            if active is not None:
                h, c = xp.masked(h, active[t]), xp.masked(c, active[t])
            if mask is not None:
                h = xp.masked(h, mask) * scale
            fed[t], before[t] = h, c
            z[t] += h @ w
            s = gates[t, :3]
            xp.negative(s, out=s)
            xp.exp(s, out=s)
            s += 1
            xp.divide(1, s, out=s)
            o, i, f, new = gates[t]
            xp.tanh(new, out=new)
            c = f * c
            c += i * new
            h = o * xp.tanh(c, out=bent[t])
            output[t] = h if active is None else xp.masked(h, active[t])
            if active is not None:
                h, c = xp.where(active[t], h, last_h), xp.where(active[t], c, last_c)
    return _cast([dtype] * 3, output, h, c), (own, gates, fed, before, bent)


@lstm_scan.backward
def _(g: Any, xp: Backend, weight: Array, active: Array, mask: Array, reverse: bool, scale: float, residuals: Any) -> Any:
    """At every step dc += o (1 - tanh(c)^2) dh; then the gates get i (1 - i) g dc and so on, and the step before f dc."""
    (own, gates, fed, before, bent), (g, dh, dc) = residuals, g
    steps, _, batch, size = gates.shape
    o, i, f, new = gates.swapaxes(0, 1)
    slopes = new * i * (1 - i), xp.stack(before) * f * (1 - f), i * (1 - new * new), bent * o * (1 - o)
    dx = xp.stack(slopes, axis=2)
    bent = o * (1 - bent * bent)
    dh, dc = (xp.zeros_like(f[0]) if part is None else part for part in (dh, dc))
    for t in _times(steps, not reverse):
        past_h, past_c = dh, dc
        dh = dh if g is None else dh + g[t]
        if active is not None:
            dh, dc = xp.masked(dh, active[t]), xp.masked(dc, active[t])
        dc = dc + dh * bent[t]
        d = dx[t]
        d[:, 3] *= dh
        d[:, :3] *= dc[:, None]
        dh, dc = d.reshape(batch, 4 * size) @ weight, dc * f[t]
        if mask is not None:
            dh = xp.masked(dh, mask) * scale
        if active is not None:
            dh, dc = xp.where(active[t], dh, past_h), xp.where(active[t], dc, past_c)
    dx = dx.reshape(steps, batch, 4 * size)
    dw = dx.reshape(steps * batch, 4 * size).T @ xp.stack(fed).reshape(steps * batch, size)
    return _cast(own, dx, dh, dc, dw)


def _in_one_dtype(xp: Backend, *arrays: Array) -> tuple[Any, list[Any], list[Array]]:
    """The dtype of what comes of them, their own, and the arrays in the first of these, or in float32 for float16."""
    dtype = xp.result_type(*arrays)
    wide = [array.astype(accumulator(dtype) or dtype, copy=False) for array in arrays]
    return dtype, [array.dtype for array in arrays], wide


def _cast(dtypes: Sequence[Any], *arrays: Array) -> tuple[Array, ...]:
    return tuple([array.astype(dtype, copy=False) for array, dtype in zip(arrays, dtypes, strict=True)])
