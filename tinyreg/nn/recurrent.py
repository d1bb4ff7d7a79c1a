"""Recurrent layers: RNN, LSTM and GRU, with dropout between layers and over time, for sequences of any lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import ops
from ..arguments import integer
from ..callers import warn_caller
from ..core.backend import Array, described, get
from ..core.tensor import Tensor
from ..creation import as_array, backend_of, ones, zeros
from ..random import Generator, as_generator
from . import init
from .dropout import Dropout, SpatialDropout
from .inputs import expect_dtype
from .module import Module, settings_of
from .parameter import Parameter
from .scan import State, lstm_scan, lstm_step, scan

__all__ = ["GRU", "LSTM", "RNN"]

NONLINEARITIES = {"tanh": ops.tanh, "relu": ops.relu}


class _Recurrent(Module):
    """What RNN, LSTM and GRU share: everything but one step of one layer, which is `step`."""

    gates: ClassVar[int]
    states: ClassVar[tuple[str, ...]] = ("h",)
    usual: ClassVar[dict[str, object]] = {"num_layers": 1, "bias": True, "batch_first": False, "bidirectional": False}
    weight_ih_l0: Parameter
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    bidirectional: bool
    dropout: Dropout
    recurrent_dropout: Dropout

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        rng: Generator | int | None = None,
    ) -> None:
        name = type(self).__name__
        rng = None if rng is None else as_generator(rng, name)  # of None each part asks for itself: the default may change
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        input_size, hidden_size, num_layers = (integer(name, key, value) for key, value in sizes.items())
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(
                f"{name}: got input_size={input_size}, hidden_size={hidden_size} and num_layers={num_layers}, expected at "
                "least 1 of each"
            )
        if dropout and num_layers == 1:
            text = f"{name}: got dropout={dropout:g} with one layer, where it does nothing: it drops between layers"
            warn_caller(text)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout = (SpatialDropout if variational else Dropout)(dropout, rng=rng)
        self.recurrent_dropout = Dropout(recurrent_dropout, rng=rng)
        for layer in range(num_layers):
            inputs = hidden_size * len(self._suffixes(layer)) if layer else input_size
            for suffix in self._suffixes(layer):
                self._create(suffix, inputs, rng)

    def _suffixes(self, layer: int) -> list[str]:
        """What the names of a layer's parameters end in, for each direction."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + self.bidirectional]

    def _create(self, suffix: str, inputs: int, rng: Generator | None) -> None:
        """Make the parameters of one layer in one direction."""
        size, rows = self.hidden_size, self.gates * self.hidden_size
        square = [init.orthogonal((size, size), rng=rng) for _ in range(self.gates)]
        made = {
            "weight_ih": Parameter(init.glorot_uniform((rows, inputs), inputs, size, rng=rng)),
            "weight_hh": Parameter(ops.concat(*square, axis=0)),
            "bias_ih": Parameter(self.first_bias(), decay=False) if self.bias else None,
            "bias_hh": Parameter(zeros(rows), decay=False) if self.bias else None,
        }
        for name, parameter in made.items():
            setattr(self, name + suffix, parameter)

    def first_bias(self) -> Tensor:
        """Where `bias_ih` starts."""
        return zeros(self.gates * self.hidden_size)

    def run(
        self, x: Tensor | Array, state: tuple[Any, ...], parameters: Sequence[Any], **settings: Any
    ) -> tuple[Tensor, ...]:
        """Run one layer in one direction, as `scan` has it, from x (T, N, inputs) and W_ih, W_hh, b_ih, b_hh."""
        w_ih, w_hh, b_ih, b_hh = parameters
        return scan(self.step, ops.linear(x, w_ih, b_ih), state, w_hh, b_hh, **settings)

    def step(self, x: Tensor | Array, h: Tensor | Array, state: State) -> tuple[Tensor, ...]:
        """The state after one step, from x = W_ih x + b_ih, h = W_hh h + b_hh, and the state before, which h leads."""
        raise NotImplementedError

    # ---- over time

    def forward(
        self, x: Tensor | Array, hx: Tensor | Array | None = None, *, lengths: Tensor | Array | Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Give (output, h)."""
        output, (h,) = self._run(x, None if hx is None else (hx,), lengths)
        return output, h

    def _run(self, x: Any, state: tuple[Any, ...] | None, lengths: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Give the outputs of the last layer, and the state in which each layer and direction ended."""
        x, state = self._checked(x, state)
        active = None if lengths is None else self._active(lengths, x)
        if active is not None:  # before any product: 0 * NaN, of what stands beyond an end, is NaN
            x = ops.where(active, x, 0.0)
        ends: list[tuple[Any, ...]] = []
        for layer in range(self.num_layers):
            x = self._dropped(x) if layer else x
            outputs = []
            for suffix in self._suffixes(layer):
                parameters = [getattr(self, n + suffix) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
                first = tuple(part[len(ends)] for part in state)
                settings = {"active": active, "reverse": suffix.endswith("reverse"), **self._recurrent_mask(first[0])}
                output, *end = self.run(x, first, parameters, **settings)
                outputs.append(output)
                ends.append(tuple(end))
            x = ops.concat(*outputs, axis=-1) if self.bidirectional else output
        output = ops.permute_dims(x, axes=(1, 0, 2)) if self.batch_first else x
        return output, tuple(ops.stack(*parts, axis=0) for parts in zip(*ends, strict=True))

    def _dropped(self, x: Any) -> Any:
        """What goes from one layer to the next; whole features of (N, features, steps) at a time if `variational`."""
        if isinstance(self.dropout, SpatialDropout):
            return ops.permute_dims(self.dropout(ops.permute_dims(x, axes=(1, 2, 0))), axes=(2, 0, 1))
        return self.dropout(x)

    def _recurrent_mask(self, h: Any) -> dict[str, Any]:
        """Draw the mask for h before W_hh, the same at every step, as `scan` takes it; none where nothing is dropped."""
        if not self.recurrent_dropout.active:
            return {}
        mask = self.recurrent_dropout.mask(h)
        return {"mask": mask.array, "scale": mask.scale}

    # ---- what it is given

    def _checked(self, x: Any, state: tuple[Any, ...] | None) -> tuple[Any, tuple[Any, ...]]:
        """x with its steps first, and the state to start from."""
        name, axes = type(self).__name__, "(N, T, {})" if self.batch_first else "(T, N, {})"
        expect_dtype(name, x, self.weight_ih_l0)
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise ValueError(f"{name}: got x {described(x)}, expected shape {axes.format(self.input_size)}")
        x = ops.permute_dims(x, axes=(1, 0, 2)) if self.batch_first else x
        if not x.shape[0]:
            raise ValueError(f"{name}: got x {described(x)} of no steps, expected at least one")
        shape = (self.num_layers * (1 + self.bidirectional), x.shape[1], self.hidden_size)
        if state is None:
            return x, (get(backend_of(x)).zeros(shape, dtype=x.dtype),) * len(self.states)
        if len(state) != len(self.states) or any(getattr(part, "shape", None) != shape for part in state):
            got = ", ".join(map(described, state))
            raise ValueError(f"{name}: got the state {got}, expected {' and '.join(self.states)} of shape {list(shape)}")
        for label, part in zip(self.states, state, strict=True):
            expect_dtype(name, part, self.weight_ih_l0, name=label)
        return x, tuple(state)

    def _active(self, lengths: Any, x: Any) -> Any:
        """Which steps of which sequences count: booleans of shape (T, N, 1)."""
        name, (steps, batch) = type(self).__name__, x.shape[:2]
        array = as_array(lengths.data if isinstance(lengths, Tensor) else lengths, backend=backend_of(x))
        if array.dtype.kind not in "iu" or array.shape != (batch,):
            raise ValueError(f"{name}: got lengths {described(array)}, expected {batch} integers, one a sequence")
        if not bool(ops.all((array >= 0) & (array <= steps))):
            raise ValueError(f"{name}: got lengths {array.tolist()}, expected each from 0 to {steps}, the number of steps")
        return (get(backend_of(x)).arange(steps)[:, None] < array)[:, :, None]

    def extra_repr(self) -> str:
        """Show sizes, and what differs from the defaults."""
        return settings_of(self, self.input_size, self.hidden_size, **self.usual)


class RNN(_Recurrent):
    """Plain recurrent layer: h = tanh(W_ih x + b_ih + W_hh h + b_hh) at every step, or relu in place of tanh.

    nonlinearity: "tanh" or "relu", in the place that it has in PyTorch. Returns (output, h). Shapes, dropout, lengths and
    initial values are as for `LSTM`, all biases starting from 0.

    Raises `ValueError` for another nonlinearity, and for sizes below 1, shares, lengths and shapes out of range.

    Source: Elman, "Finding Structure in Time", 1990.

    >>> import tinyreg as tr
    >>> output, h = tr.nn.RNN(3, 4, nonlinearity="relu", rng=tr.Generator(0))(tr.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    gates: ClassVar[int] = 1
    usual: ClassVar[dict[str, object]] = {**_Recurrent.usual, "nonlinearity": "tanh"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        rng: Generator | int | None = None,
    ) -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"RNN: got nonlinearity={nonlinearity!r}, expected {' or '.join(map(repr, NONLINEARITIES))}")
        super().__init__(
            *(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional),
            variational=variational,
            recurrent_dropout=recurrent_dropout,
            rng=rng,
        )
        self.nonlinearity = nonlinearity

    def step(self, x: Tensor | Array, h: Tensor | Array, state: State) -> tuple[Tensor, ...]:
        """Apply the formula of the class."""
        return (NONLINEARITIES[self.nonlinearity](x + h),)


class LSTM(_Recurrent):
    """Long short-term memory: c = f c + i g and h = o tanh(c) at every step, with gates from the input and the last h.

        i, f, o = sigmoid(W_ih x + b_ih + W_hh h + b_hh), g = tanh(...) likewise, in the order i, f, g, o

    x: (T, N, input_size), or (N, T, input_size) if batch_first. Returns (output, (h, c)): output, (T, N, hidden_size) or
    batch first, is h at every step of the last layer; h and c, (num_layers, N, hidden_size), are those of every layer at
    the end, and as `hx` where to start, 0 if None. bidirectional: a second set of parameters goes from the end to the
    start; features of output, and layers of h and c, are then twice as many. lengths: N integers from 0 to T; beyond the
    length of a sequence its state stays as it is and output is 0, as with PyTorch's packed sequences.

    dropout: the share that is dropped between layers, so with more than one. variational: drop the same features at every
    step of a sequence. recurrent_dropout: the share of h that is dropped on its way to the next step, the same at every
    step and for all gates. Both are layers of their own, which `eval` switches off and `monte_carlo` on.

    Names, layouts and the order of gates are those of PyTorch, so `state_dict` fits its LSTM: weight_ih_l0, weight_hh_l0,
    bias_ih_l0, bias_hh_l0, and so on, for the second direction with `_reverse` at the end. Initial values are others:
    `weight_ih` starts from `init.glorot_uniform` and each gate's part of `weight_hh` from `init.orthogonal`; biases start
    from 0, that of the forget gate in `bias_ih` from 1. Optimizers that shrink weights leave biases alone. rng: of initial
    values and of dropout; the default generator (`tr.seed`) if None.

    Raises `ValueError` for sizes below 1, shares, lengths and shapes out of range.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Gers, Schmidhuber and Cummins, "Learning to Forget",
    2000. Of dropout over time: Gal and Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural
    Networks", 2016.

    >>> import tinyreg as tr
    >>> layer = tr.nn.LSTM(3, 4, num_layers=2, rng=tr.Generator(0))
    >>> output, (h, c) = layer(tr.ones((5, 2, 3)), lengths=[5, 1])
    >>> output.shape, h.shape, c.shape
    ((5, 2, 4), (2, 2, 4), (2, 2, 4))
    """

    gates: ClassVar[int] = 4
    states: ClassVar[tuple[str, ...]] = ("h", "c")

    def forward(  # type: ignore[override]
        self,
        x: Tensor | Array,
        hx: tuple[Tensor | Array, Tensor | Array] | None = None,
        *,
        lengths: Tensor | Array | Sequence[int] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Give (output, (h, c))."""
        output, (h, c) = self._run(x, hx, lengths)
        return output, (h, c)

    def run(
        self, x: Tensor | Array, state: tuple[Any, ...], parameters: Sequence[Any], **settings: Any
    ) -> tuple[Tensor, ...]:
        """Run one layer in one direction: by a fast form, unless a subclass has a step of its own."""
        if type(self).step is not LSTM.step:
            return super().run(x, state, parameters, **settings)
        w_ih, w_hh, b_ih, b_hh = parameters
        inputs = ops.linear(x, w_ih, None if b_ih is None else b_ih + b_hh)
        return lstm_scan(inputs, state[0], state[1], w_hh, **settings)

    def step(self, x: Tensor | Array, h: Tensor | Array, state: State) -> tuple[Tensor, ...]:
        """Apply the formula of the class."""
        return lstm_step(x, h, state)

    def first_bias(self) -> Tensor:
        """0, and 1 for the forget gate, so that it remembers at first (Jozefowicz, Zaremba and Sutskever, 2015)."""
        size = self.hidden_size
        return ops.concat(zeros(size), ones(size), zeros(2 * size), axis=0)


class GRU(_Recurrent):
    """Gated recurrent unit: h = (1 - z) n + z h at every step, with gates from the input and the last h.

        r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh), n = tanh(W_in x + b_in + r (W_hn h + b_hn)), in the order r, z, n

    The reset gate r applies to the product W_hn h + b_hn, as in PyTorch; in the source it applies to h itself. Returns
    (output, h). Shapes, dropout, lengths and initial values are as for `LSTM`, all biases starting from 0.

    Raises `ValueError` for sizes below 1, shares, lengths and shapes out of range.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
    2014.

    >>> import tinyreg as tr
    >>> output, h = tr.nn.GRU(3, 4, batch_first=True, bidirectional=True, rng=tr.Generator(0))(tr.ones((2, 5, 3)))
    >>> output.shape, h.shape
    ((2, 5, 8), (2, 2, 4))
    """

    gates: ClassVar[int] = 3

    def step(self, x: Tensor | Array, h: Tensor | Array, state: State) -> tuple[Tensor, ...]:
        """Apply the formula of the class."""
        size = 2 * self.hidden_size
        r, z = ops.split(ops.sigmoid(x[:, :size] + h[:, :size]), 2, axis=-1)
        n = ops.tanh(x[:, size:] + r * h[:, size:])
        return (n + z * (state[0] - n),)
