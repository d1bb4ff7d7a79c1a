"""Cases of the recurrent layers, against each sequence gone through by itself, at its own length."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

import tinyreg as tr
from tinyreg.nn.recurrent import GRU, LSTM, RNN
from tinyreg.nn.scan import lstm_scan
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays

from .dropout import kept

Array = NDArray[Any]
Pick = Callable[[Any], Any]
Step = Callable[[Array, Array, Array, Array], tuple[Array, Array]]

SEED = st.integers(0, 100)
SHARE = st.sampled_from([0.5, 0.0, 0.25])
# Small enough for gates that do not saturate, whose derivatives would be lost beside the rounding of the rest.
SMALL = st.sampled_from([0.5, 0.25, -0.25, 1.0, -0.75, 0.0])


@functools.lru_cache(64)
def _blank(thread: int, cls: Any, *sizes: Any, **settings: Any) -> tuple[Any, tr.Generator, list[tuple[Any, str]]]:
    """A layer, its generator, and where its parameters stand: made once, because their first values take longest.

    Once in each thread, since what it holds changes with every call.
    """
    generator = tr.Generator(0)
    layer = cls(*sizes, **settings, rng=generator)
    paths = [name.split(".") for name in layer.state_dict()]
    return layer, generator, [(functools.reduce(getattr, path, layer), name) for *path, name in paths]


def holding(parameters: Sequence[Any], cls: Any, *sizes: Any, training: bool, rng: int, **settings: Any) -> Any:
    """A layer with these in place of its parameters, in the order of `state_dict`, and a generator with this seed."""
    layer, generator, places = _blank(threading.get_ident(), cls, *sizes, **settings)
    for (module, name), value in zip(places, parameters, strict=True):
        vars(module)[name] = value
    generator.seed(rng)
    return layer.train(training)


class Masks:
    """The masks of dropout that a seed gives, one after the other."""

    def __init__(self, seed: int, training: bool) -> None:
        self.bits, self.training = np.random.PCG64(seed), training

    def noise(self, p: float, shape: tuple[int, ...]) -> Array:
        """0 where a mask drops, 1 / (1 - p) where it keeps; 1 everywhere where nothing is dropped."""
        if not self.training or not p:
            return np.ones(shape)
        return kept(self.bits, p, shape) / (1 - p)


def called(cls: Any) -> Callable[..., Any]:
    """A layer as a function that gives output, h, and c where there is one. Its masks come from a seed."""
    count = len(cls.states)

    def op(
        x: Any,
        *state_and_parameters: Any,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        bidirectional: bool,
        dropout: float,
        variational: bool,
        recurrent_dropout: float,
        lengths: Any,
        training: bool,
        rng: int,
        **own: Any,
    ) -> Any:
        state, parameters = state_and_parameters[:count], state_and_parameters[count:]
        settings = {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional} | own
        settings |= {"dropout": dropout, "variational": variational, "recurrent_dropout": recurrent_dropout}
        sizes = (x.shape[2], parameters[1].shape[1], num_layers)
        layer = holding(parameters, cls, *sizes, **settings, training=training, rng=rng)
        hx = None if state[0] is None else state if count > 1 else state[0]
        output, end = layer(x, hx, lengths=lengths)
        return output, *(end if count > 1 else (end,))

    return op


# ---- in NumPy --------------------------------------------------------------------------------------------------------


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _rnn_step(x: Array, h: Array, h_before: Array, c: Array) -> tuple[Array, Array]:
    return np.tanh(x + h), c


def _relu_step(x: Array, h: Array, h_before: Array, c: Array) -> tuple[Array, Array]:
    return np.maximum(x + h, 0), c


def _lstm_step(x: Array, h: Array, h_before: Array, c: Array) -> tuple[Array, Array]:
    i, f, g, o = np.split(x + h, 4)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _gru_step(x: Array, h: Array, h_before: Array, c: Array) -> tuple[Array, Array]:
    (xr, xz, xn), (hr, hz, hn) = np.split(x, 3), np.split(h, 3)
    z = _sigmoid(xz + hz)
    return (1 - z) * np.tanh(xn + _sigmoid(xr + hr) * hn) + z * h_before, c


def _in_numpy(
    step: Step,
    x: Array,
    h: Any,
    c: Any,
    parameters: Sequence[Array],
    *,
    num_layers: int,
    bias: bool,
    batch_first: bool,
    bidirectional: bool,
    dropout: float,
    variational: bool,
    recurrent_dropout: float,
    lengths: Any,
    training: bool,
    rng: int,
) -> tuple[Array, Array, Array]:
    """Output, h and c of a layer that takes `step`s."""
    x = np.swapaxes(x, 0, 1) if batch_first else x
    steps, batch, _ = x.shape
    masks, ways, each, size = Masks(rng, training), 1 + bidirectional, 2 + 2 * bias, parameters[1].shape[1]
    h, c = (np.zeros((num_layers * ways, batch, size)) if part is None else part.copy() for part in (h, c))
    for layer in range(num_layers):
        if layer and variational:
            x = x * np.moveaxis(masks.noise(dropout, (batch, x.shape[2], 1)), 2, 0)
        elif layer:
            x = x * masks.noise(dropout, x.shape)
        output = np.zeros((steps, batch, ways * size))
        for way in range(ways):
            k, noise = layer * ways + way, masks.noise(recurrent_dropout, (batch, size))
            w_ih, w_hh, *biases = parameters[each * k : each * (k + 1)]
            b_ih, b_hh = biases or (0.0, 0.0)
            for n in range(batch):
                for t in range(steps if lengths is None else lengths[n])[:: -1 if way else 1]:
                    h[k, n], c[k, n] = step(w_ih @ x[t, n] + b_ih, w_hh @ (noise[n] * h[k, n]) + b_hh, h[k, n], c[k, n])
                    output[t, n, way * size : (way + 1) * size] = h[k, n]
        x = output
    return np.swapaxes(x, 0, 1) if batch_first else x, h, c


def _rnn_in_numpy(x: Array, h: Any, *parameters: Array, nonlinearity: str = "tanh", **settings: Any) -> tuple[Array, ...]:
    return _in_numpy(_relu_step if nonlinearity == "relu" else _rnn_step, x, h, h, parameters, **settings)[:2]


def _lstm_in_numpy(x: Array, h: Any, c: Any, *parameters: Array, **settings: Any) -> tuple[Array, ...]:
    return _in_numpy(_lstm_step, x, h, c, parameters, **settings)


def _gru_in_numpy(x: Array, h: Any, *parameters: Array, **settings: Any) -> tuple[Array, ...]:
    return _in_numpy(_gru_step, x, h, h, parameters, **settings)[:2]


def _lstm_scan_in_numpy(
    x: Array, h: Array, c: Array, w: Array, active: Any, mask: Any, *, reverse: bool, scale: float
) -> tuple[Array, ...]:
    output, h, c = np.zeros((*x.shape[:2], w.shape[1])), h.copy(), c.copy()
    for n in range(x.shape[1]):
        for t in range(len(x))[:: -1 if reverse else 1]:
            if active is None or active[t, n, 0]:
                fed = h[n] if mask is None else np.where(mask[n], scale * h[n], 0)
                h[n], c[n] = _lstm_step(x[t, n], w @ fed, h[n], c[n])
                output[t, n] = h[n]
    return output, h, c


# ---- calls -----------------------------------------------------------------------------------------------------------


# Hidden size, layers, both ways or not, dropout between layers, and whether it is the same at every step.
SIZES = [
    (1, 2, False, 0.5, True),
    (1, 2, False, 0.5, False),
    (1, 2, False, 0.0, False),
    (2, 1, False, 0.0, False),
    (1, 1, True, 0.0, False),
]


def _sequences(gates: int, states: int) -> SearchStrategy[Call]:
    """Calls of a layer."""

    @st.composite
    def draw(pick: Pick) -> Call:
        size, num_layers, bidirectional, dropout, variational = pick(st.sampled_from(SIZES))
        steps, batch, width = pick(st.sampled_from([(2, 1, 1), (3, 2, 1), (2, 2, 2)]))
        batch_first, bias, started = pick(st.booleans()), pick(st.booleans()), pick(st.booleans())
        ways, rows = 1 + bidirectional, gates * size
        x = pick(arrays((batch, steps, width) if batch_first else (steps, batch, width)))
        state = [pick(arrays((num_layers * ways, batch, size), SMALL)) if started else None for _ in range(states)]
        parameters = []
        for k in range(num_layers * ways):
            shapes = [(rows, ways * size if k >= ways else width), (rows, size), *[(rows,)] * (2 * bias)]
            parameters += [pick(arrays(shape, SMALL)) for shape in shapes]
        lengths = pick(st.one_of(st.none(), st.tuples(*[st.integers(0, steps)] * batch)))
        settings = {
            "num_layers": num_layers,
            "bias": bias,
            "batch_first": batch_first,
            "bidirectional": bidirectional,
            "dropout": dropout,
            "variational": variational,
            "recurrent_dropout": pick(SHARE),
            "lengths": lengths,
            "training": pick(st.sampled_from([True, True, False])),
            "rng": pick(SEED),
        }
        return Call((x, *state, *parameters), settings)

    return draw()


@st.composite
def _lstm_scans(pick: Pick) -> Call:
    """Steps of an LSTM, of which any are left out, not only those behind an end."""
    steps, batch, size = pick(st.sampled_from([(2, 1, 1), (3, 2, 1), (2, 2, 2), (3, 1, 2), (1, 1, 1), (2, 0, 1)]))
    x, w = pick(arrays((steps, batch, 4 * size), SMALL)), pick(arrays((4 * size, size), SMALL))
    h, c = (pick(arrays((batch, size), SMALL)) for _ in range(2))
    masks = [pick(st.one_of(st.none(), hnp.arrays(np.bool_, shape))) for shape in ((steps, batch, 1), (batch, size))]
    return Call((x, h, c, w, *masks), {"reverse": pick(st.booleans()), "scale": pick(st.sampled_from([2.0, 1.0]))})


PLAIN: dict[str, Any] = {
    "num_layers": 1,
    "bias": False,
    "batch_first": False,
    "bidirectional": False,
    "dropout": 0.0,
    "variational": False,
    "recurrent_dropout": 0.0,
    "lengths": None,
    "training": False,
    "rng": 0,
}
ONE, NONE = [[[1.0]]], [[[0.0]]]
RNN_ZERO, LSTM_ZEROS, GRU_ZEROS = [[0.0]], [[0.0]] * 4, [[0.0]] * 3
BENT = 1 - math.tanh(1.0) ** 2  # the slope of tanh at 1

CASES = [
    Case(
        lstm_scan,
        _lstm_scans(),
        _lstm_scan_in_numpy,
        points=[
            # Saturated both ways; a step that is left out hands on the state, whatever it is.
            at(
                *([[[1e4, 1e4, 1e4, 1e4]]], ONE[0], [[0.0]], LSTM_ZEROS),
                gradients=[[[[0.0] * 4]], [[0.0]], [[1 + 2 * BENT]], LSTM_ZEROS],
            ),
            at(
                *([[[-1e4, -1e4, -1e4, -1e4]]], ONE[0], [[1.0]], LSTM_ZEROS),
                gradients=[[[[0.0] * 4]], [[0.0]], [[0.0]], LSTM_ZEROS],
            ),
            at(
                *([[[1.0] * 4]], [[math.inf]], [[math.inf]], [[1.0]] * 4, np.array([[[False]]])),
                gradients=[[[[0.0] * 4]], [[1.0]], [[1.0]], LSTM_ZEROS],
            ),
        ],
        reach=math.inf,
    ),
    Case(
        called(RNN),
        _sequences(1, 1),
        _rnn_in_numpy,
        name="RNN",
        points=[
            # Saturated, it lets nothing through.
            at([[[1e4]]], ONE, [[1.0]], [[1.0]], gradients=[NONE, NONE, RNN_ZERO, RNN_ZERO], **PLAIN),
            at(ONE, ONE, [[1.0]], [[1.0]], gradients=[NONE, ONE, RNN_ZERO, RNN_ZERO], **PLAIN | {"lengths": (0,)}),
            # With relu, output and h are both x W + h U above 0; at 0 nothing is let through.
            at(
                *([[[3.0]]], [[[0.5]]], [[2.0]], [[4.0]]),
                gradients=[[[[4.0]]], [[[8.0]]], [[6.0]], [[1.0]]],
                **PLAIN | {"nonlinearity": "relu"},
            ),
            at(
                *([[[2.0]]], ONE, [[-2.0]], [[4.0]]),
                gradients=[NONE, NONE, RNN_ZERO, RNN_ZERO],
                **PLAIN | {"nonlinearity": "relu"},
            ),
        ],
        reach=math.inf,
    ),
    Case(
        called(LSTM),
        _sequences(4, 2),
        _lstm_in_numpy,
        name="LSTM",
        points=[
            # Saturated gates keep c, to which 1 is added, and let nothing else through.
            at(
                [[[1e4]]],
                NONE,
                NONE,
                [[1.0]] * 4,
                LSTM_ZEROS,
                gradients=[NONE, NONE, [[[1 + 2 * BENT]]], LSTM_ZEROS, LSTM_ZEROS],
                **PLAIN,
            ),
            # A sequence of no steps hands its state on.
            at(
                ONE,
                ONE,
                ONE,
                [[1.0]] * 4,
                [[1.0]] * 4,
                gradients=[NONE, ONE, ONE, LSTM_ZEROS, LSTM_ZEROS],
                **PLAIN | {"lengths": (0,)},
            ),
        ],
        reach=math.inf,
    ),
    Case(
        called(GRU),
        _sequences(3, 1),
        _gru_in_numpy,
        name="GRU",
        points=[
            # A saturated update gate keeps h, and lets nothing else through.
            at(
                [[[1e4]]],
                ONE,
                [[1.0]] * 3,
                GRU_ZEROS,
                gradients=[NONE, [[[2.0]]], GRU_ZEROS, GRU_ZEROS],
                **PLAIN,
            ),
            at(
                ONE, ONE, [[1.0]] * 3, [[1.0]] * 3, gradients=[NONE, ONE, GRU_ZEROS, GRU_ZEROS], **PLAIN | {"lengths": (0,)}
            ),
        ],
        reach=math.inf,
    ),
]
