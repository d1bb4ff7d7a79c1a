"""Every public op and layer beside PyTorch's: forward and backward, at a small and at a large size.

A row names the arguments by a letter each (`KINDS`), the settings, and PyTorch's expression where it has another name or
other settings. What has no gradient is timed forward only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .base import Array, Library, Part, Program, Settings, Workload, normal


class Call(NamedTuple):
    """A function of arrays, and the parameters that it closes over."""

    function: Callable[..., Any]
    named_parameters: Callable[[], Any] = dict

    def __call__(self, *arrays: Any) -> Any:
        """Call the function."""
        return self.function(*arrays)


class Ours(NamedTuple):
    """As much of a library as a call of tinyreg needs."""

    tr: Any


class Size(NamedTuple):
    """How large the arguments are."""

    rows: int
    columns: int
    side: int
    """Of square matrices to decompose."""
    images: int
    channels: int
    pixels: int
    """Height and width."""
    steps: int
    """Of sequences."""


SIZES = {"small": Size(8, 16, 4, 2, 4, 8, 4), "large": Size(1024, 1024, 128, 32, 64, 32, 64)}
TINY = Size(6, 8, 3, 2, 4, 4, 3)


def _uniform(low: float, high: float) -> Callable[[Size, int], Array]:
    return lambda n, seed: np.random.default_rng(seed).uniform(low, high, (n.rows, n.columns)).astype(np.float32)


def _integers(shape: Callable[[Size], tuple[int, ...]], high: Callable[[Size], int]) -> Callable[[Size, int], Array]:
    return lambda n, seed: np.random.default_rng(seed).integers(0, high(n), shape(n))


def _positive_definite(n: Size, seed: int) -> Array:
    """With eigenvalues that lie apart."""
    q, _ = np.linalg.qr(normal(n.side, n.side, seed=seed))
    return ((q * np.arange(1, n.side + 1)) @ q.T).astype(np.float32)


def _probabilities(n: Size, seed: int) -> Array:
    e = np.exp(normal(n.rows, n.columns, seed=seed))
    return e / e.sum(axis=1, keepdims=True)


KINDS: dict[str, Callable[[Size, int], Array]] = {
    "x": lambda n, seed: normal(n.rows, n.columns, seed=seed),
    "p": _uniform(0.5, 2.0),
    "u": _uniform(-0.9, 0.9),
    "q": _uniform(1.1, 3.0),
    "o": lambda n, seed: 1 + 0.001 * normal(n.rows, n.columns, seed=seed),  # near 1, so that products stay finite
    "1": lambda n, seed: normal(1, n.rows, n.columns, seed=seed),
    "r": lambda n, seed: normal(n.rows, 1, seed=seed),
    "v": lambda n, seed: normal(n.columns, seed=seed),
    "w": lambda n, seed: normal(n.columns, n.columns, seed=seed) / np.float32(n.columns**0.5),
    "b": lambda n, seed: normal(n.rows, n.columns, seed=seed) > 0,
    "m": _integers(lambda n: (n.rows, n.columns), lambda n: 1000),
    "i": _integers(lambda n: (n.rows,), lambda n: n.rows),
    "j": _integers(lambda n: (n.rows, n.columns), lambda n: n.columns),
    "l": _integers(lambda n: (n.rows,), lambda n: n.columns),
    "0": lambda n, seed: (normal(n.rows, n.columns, seed=seed) > 0).astype(np.float32),
    "±": lambda n, seed: np.sign(normal(n.rows, n.columns, seed=seed)),
    "y": _probabilities,
    "Y": lambda n, seed: np.log(_probabilities(n, seed)),
    "s": _positive_definite,
    "f": lambda n, seed: normal(n.images, n.channels, n.pixels, n.pixels, seed=seed),
    "k": lambda n, seed: normal(n.channels, n.channels, 3, 3, seed=seed) / np.float32(3 * n.channels**0.5),
    "h": lambda n, seed: normal(n.channels, 1, 3, 3, seed=seed) / np.float32(3),
    "c": lambda n, seed: normal(n.channels, seed=seed),
    "t": lambda n, seed: normal(n.steps, n.images, n.channels, seed=seed),
    "e": lambda n, seed: normal(n.images, n.steps, n.channels, seed=seed),
}
"""Arguments, of a size and a seed."""

CONSTANT = "bmijl0±y"
"""The arguments that want no gradient."""


class Row(NamedTuple):
    """How an op is called."""

    kinds: str
    theirs: Any = ""
    """PyTorch's expression, of torch and the arguments; a name in torch, by default the op's own."""
    settings: Mapping[str, Any] = {}
    """Those of tinyreg; PyTorch gets them too where `theirs` is a name."""
    ours: Callable[..., Any] | None = None
    """The call, of tinyreg and the arguments, where it is more than the op with its settings."""
    gradient: bool = True


def _forward(kinds: str, theirs: Callable[..., Any] | str = "", **settings: Any) -> Row:
    return Row(kinds, theirs, settings, gradient=False)


ROWS: dict[str, Row] = {
    **{name: Row("x") for name in ("abs", "asinh", "atan", "cos", "erf", "exp", "exp2", "expm1", "negative", "positive")},
    **{name: Row("x") for name in ("relu", "sigmoid", "sin", "square", "tanh", "tril", "triu")},
    **{name: Row("x") for name in ("cosh", "sinh", "tan")},
    **{name: Row("p") for name in ("log", "log2", "log10", "log1p", "sqrt", "reciprocal")},
    **{name: Row("u") for name in ("acos", "asin", "atanh")},
    "acosh": Row("q"),
    **{name: Row("xx") for name in ("add", "multiply", "subtract", "atan2", "maximum", "minimum", "hypot", "logaddexp")},
    **{name: Row("xp") for name in ("divide", "remainder")},
    "copysign": Row("x±"),
    "pow": Row("px"),
    "floor_divide": _forward("xp"),
    "nextafter": _forward("xx"),
    "less": _forward("xx", "lt"),
    "less_equal": _forward("xx", "le"),
    "greater": _forward("xx", "gt"),
    "greater_equal": _forward("xx", "ge"),
    "equal": _forward("xx", "eq"),
    "not_equal": _forward("xx", "ne"),
    **{
        name: _forward("x") for name in ("isnan", "isinf", "isfinite", "signbit", "trunc", "ceil", "floor", "round", "sign")
    },
    **{name: _forward("bb") for name in ("logical_and", "logical_or", "logical_xor")},
    "logical_not": _forward("b"),
    **{name: _forward("mm") for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    "bitwise_invert": _forward("m", "bitwise_not"),
    "astype": _forward("x", lambda t, x: x.to(t.float64), dtype="float64"),
    "where": Row("bxx"),
    "clip": Row("x", lambda t, x: t.clip(x, -1, 1), {"min": -1.0, "max": 1.0}),
    "softplus": Row("x", lambda t, x: t.nn.functional.softplus(x)),
    "log_sigmoid": Row("x", lambda t, x: t.nn.functional.logsigmoid(x)),
    # reductions
    **{name: Row("x", settings={"axis": 1}) for name in ("sum", "mean", "logsumexp")},
    "max": Row("x", lambda t, x: t.amax(x, 1), {"axis": 1}),
    "min": Row("x", lambda t, x: t.amin(x, 1), {"axis": 1}),
    "prod": Row("o", lambda t, x: t.prod(x, 1), {"axis": 1}),
    "var": Row("x", lambda t, x: t.var(x, 1, correction=0), {"axis": 1}),
    "std": Row("x", lambda t, x: t.std(x, 1, correction=0), {"axis": 1}),
    "norm": Row("x", lambda t, x: t.linalg.vector_norm(x, dim=1), {"axis": 1}),
    "cumulative_sum": Row("x", lambda t, x: t.cumsum(x, 1), {"axis": 1}),
    "argmax": _forward("x", axis=1),
    "argmin": _forward("x", axis=1),
    "all": _forward("b", axis=1),
    "any": _forward("b", axis=1),
    # indices
    "getitem": Row("xi", lambda t, x, i: x[i]),
    "take": Row("xi", lambda t, x, i: t.index_select(x, 0, i), {"axis": 0}),
    "take_along_axis": Row("xj", lambda t, x, j: t.gather(x, 1, j), {"axis": 1}),
    "sort": Row("x", lambda t, x: t.sort(x, dim=1, stable=True)[0], {"axis": 1}),
    "argsort": _forward("x", lambda t, x: t.argsort(x, dim=1, stable=True), axis=1),
    "topk": Row("x", lambda t, x: t.topk(x, 5)[0], ours=lambda tr, x: tr.topk(x, 5)[0]),
    # shapes
    "reshape": Row("x", lambda t, x: t.reshape(x, (-1,)), {"shape": (-1,)}),
    "flatten": Row("x"),
    "permute_dims": Row("x", lambda t, x: t.permute(x, (1, 0)), {"axes": (1, 0)}),
    "matrix_transpose": Row("x", lambda t, x: x.mT),
    "expand_dims": Row("x", lambda t, x: t.unsqueeze(x, 1), {"axis": 1}),
    "squeeze": Row("1", lambda t, x: t.squeeze(x, 0), {"axis": 0}),
    "broadcast_to": Row("v", lambda t, x: x.expand(64, -1), ours=lambda tr, x: tr.broadcast_to(x, (64, x.shape[0]))),
    "concat": Row("xx", lambda t, *xs: t.cat(xs)),
    "stack": Row("xx", lambda t, *xs: t.stack(xs)),
    "split": Row("x", lambda t, x: t.tensor_split(x, 2)[1], ours=lambda tr, x: tr.split(x, 2)[1]),
    "unstack": Row("x", lambda t, x: t.unbind(x)[1], ours=lambda tr, x: tr.unstack(x)[1]),
    "flip": Row("x", lambda t, x: t.flip(x, (1,)), {"axis": 1}),
    "roll": Row("x", lambda t, x: t.roll(x, 3, 1), {"shift": 3, "axis": 1}),
    "pad": Row("x", lambda t, x: t.nn.functional.pad(x, (1, 1, 1, 1)), {"pad_width": ((1, 1), (1, 1))}),
    "tile": Row("x", lambda t, x: t.tile(x, (2, 2)), {"repetitions": (2, 2)}),
    # products and matrices
    "matmul": Row("xw"),
    "linear": Row("xwv", lambda t, *xs: t.nn.functional.linear(*xs)),
    "outer": Row("vv"),
    "einsum": Row("xw", lambda t, *xs: t.einsum("ij,kj->ik", *xs), ours=lambda tr, *xs: tr.einsum("ij,kj->ik", *xs)),
    "diagonal": Row("w"),
    "trace": Row("w"),
    "det": Row("s", lambda t, x: t.logdet(x), ours=lambda tr, x: tr.slogdet(x)[1]),
    "slogdet": Row("s", lambda t, x: t.linalg.slogdet(x)[1], ours=lambda tr, x: tr.slogdet(x)[1]),
    "inv": Row("s", lambda t, x: t.linalg.inv(x)),
    "solve": Row("ss", lambda t, *xs: t.linalg.solve(*xs)),
    "cholesky": Row("s", lambda t, x: t.linalg.cholesky((x + x.mT) / 2)),
    "qr": Row("s", lambda t, x: t.matmul(*t.linalg.qr(x)), ours=lambda tr, x: tr.matmul(*tr.qr(x))),
    "eigh": Row("s", lambda t, x: t.linalg.eigh(x)[0], ours=lambda tr, x: tr.eigh(x)[0]),
    "svd": Row("s", lambda t, x: t.linalg.svd(x, full_matrices=False)[1], ours=lambda tr, x: tr.svd(x)[1]),
    "svdvals": Row("s", lambda t, x: t.linalg.svdvals(x)),
    "largest_singular_value": Row("s", lambda t, x: t.linalg.matrix_norm(x, 2)),
    "matrix_norm": Row("s", lambda t, x: t.linalg.matrix_norm(x, "nuc"), {"ord": "nuc"}),
    # windows
    "conv2d": Row("fkc", lambda t, *xs: t.nn.functional.conv2d(*xs, padding=1), {"padding": 1}),
    "max_pool2d": Row("f", lambda t, x: t.nn.functional.max_pool2d(x, 2), {"kernel_size": 2}),
    "avg_pool2d": Row("f", lambda t, x: t.nn.functional.avg_pool2d(x, 2), {"kernel_size": 2}),
    "depthwise conv2d": Row(
        "fhc",
        lambda t, x, *xs: t.nn.functional.conv2d(x, *xs, padding=1, groups=x.shape[1]),
        ours=lambda tr, x, *xs: tr.conv2d(x, *xs, padding=1, groups=x.shape[1]),
    ),
    "max_pool2d of 3 by 3": Row(
        "f",
        lambda t, x: t.nn.functional.max_pool2d(x, 3, 2, 1),
        ours=lambda tr, x: tr.max_pool2d(x, 3, stride=2, padding=1),
    ),
    # compositions
    **{
        f"activations.{name}": Row("x", lambda t, x, name=name: getattr(t.nn.functional, name)(x))
        for name in ("elu", "leaky_relu", "gelu", "silu")
    },
    "activations.softmax": Row("x", lambda t, x: t.softmax(x, -1)),
    "activations.log_softmax": Row("x", lambda t, x: t.log_softmax(x, -1)),
    "losses.mse": Row("xx", lambda t, *xs: t.nn.functional.mse_loss(*xs)),
    "losses.mae": Row("xx", lambda t, *xs: t.nn.functional.l1_loss(*xs)),
    "losses.huber": Row("xx", lambda t, *xs: t.nn.functional.huber_loss(*xs)),
    "losses.cross_entropy": Row("xl", lambda t, *xs: t.nn.functional.cross_entropy(*xs)),
    "losses.binary_cross_entropy": Row("x0", lambda t, *xs: t.nn.functional.binary_cross_entropy_with_logits(*xs)),
    "losses.kl_divergence": Row("Yy", lambda t, *xs: t.nn.functional.kl_div(*xs, reduction="batchmean")),
    "losses.hinge": Row("x±", lambda t, s, y: t.relu(1 - y * s).mean()),
    "losses.cross_entropy of soft targets": Row(
        "xy", lambda t, *xs: t.nn.functional.cross_entropy(*xs), ours=lambda tr, *xs: tr.losses.cross_entropy(*xs)
    ),
    "normalization.batch_norm": Row("xvv", lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, True)),
    "normalization.layer_norm": Row("xvv", lambda t, x, w, b: t.nn.functional.layer_norm(x, w.shape, w, b)),
    "normalization.rms_norm": Row("xv", lambda t, x, w: t.nn.functional.rms_norm(x, w.shape, w, 1e-6), {"eps": 1e-6}),
    "normalization.group_norm": Row(
        "fcc",
        lambda t, x, *wb: t.nn.functional.group_norm(x, 4, *wb),
        ours=lambda tr, x, *wb: tr.normalization.group_norm(x, 4, *wb),
    ),
    "normalization.instance_norm": Row(
        "fcc",
        lambda t, x, w, b: t.nn.functional.instance_norm(x, weight=w, bias=b),
    ),
    "normalization.weight_norm": Row("xr", lambda t, v, g: v * (g / v.norm(dim=1, keepdim=True))),
    "regularizers.l1": Row("x", lambda t, w: 0.1 * w.abs().sum(), {"strength": 0.1}),
    "regularizers.l2": Row("x", lambda t, w: 0.05 * (w * w).sum(), {"strength": 0.1}),
    "regularizers.elastic_net": Row("x", lambda t, w: 0.1 * w.abs().sum() + 0.1 * (w * w).sum(), {"l1": 0.1, "l2": 0.1}),
    "regularizers.orthogonal": Row("w", lambda t, w: 0.1 * ((w.mT @ w - t.eye(len(w))) ** 2).sum(), {"strength": 0.1}),
}


# ---- layers ----------------------------------------------------------------------------------------------------------


class Layer(NamedTuple):
    """How a layer is made in both libraries, of their `nn` and the size, and what it is called with."""

    kinds: str
    ours: Any
    theirs: Any = None


LAYERS: dict[str, Layer] = {
    **{
        name: Layer("x", lambda nn, n, name=name: getattr(nn, name)())
        for name in ("ReLU", "Tanh", "Sigmoid", "Softplus", "LeakyReLU", "ELU", "GELU", "SiLU", "Flatten")
    },
    **{name: Layer("x", lambda nn, n, name=name: getattr(nn, name)(-1)) for name in ("Softmax", "LogSoftmax")},
    "Linear": Layer("x", lambda nn, n: nn.Linear(n.columns, n.columns)),
    "Conv2d": Layer("f", lambda nn, n: nn.Conv2d(n.channels, n.channels, 3, padding=1)),
    "MaxPool2d": Layer("f", lambda nn, n: nn.MaxPool2d(2)),
    "AvgPool2d": Layer("f", lambda nn, n: nn.AvgPool2d(2)),
    "GlobalAvgPool2d": Layer(
        "f", lambda nn, n: nn.GlobalAvgPool2d(), lambda nn, n: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    ),
    "Embedding": Layer("l", lambda nn, n: nn.Embedding(n.columns, n.columns)),
    "BatchNorm": Layer("f", lambda nn, n: nn.BatchNorm(n.channels), lambda nn, n: nn.BatchNorm2d(n.channels)),
    "LayerNorm": Layer("x", lambda nn, n: nn.LayerNorm(n.columns)),
    "RMSNorm": Layer("x", lambda nn, n: nn.RMSNorm(n.columns, eps=1e-6)),
    "GroupNorm": Layer("f", lambda nn, n: nn.GroupNorm(4, n.channels)),
    "InstanceNorm": Layer(
        "f",
        lambda nn, n: nn.InstanceNorm(n.channels, affine=True),
        lambda nn, n: nn.InstanceNorm2d(n.channels, affine=True),
    ),
    "RNN": Layer("t", lambda nn, n: nn.RNN(n.channels, n.channels)),
    "LSTM": Layer("t", lambda nn, n: nn.LSTM(n.channels, n.channels)),
    "GRU": Layer("t", lambda nn, n: nn.GRU(n.channels, n.channels)),
    "MultiHeadAttention": Layer(
        "e",
        lambda nn, n: nn.MultiHeadAttention(n.channels, 4, batch_first=True),
        lambda nn, n: nn.MultiheadAttention(n.channels, 4, batch_first=True),
    ),
    "Sequential": Layer("x", lambda nn, n: nn.Sequential(nn.Linear(n.columns, n.columns), nn.ReLU())),
}

RANDOM = "it draws random numbers, which differ: its time is in `parts`"
RAISED = "a hook on another layer's weight, whose op is in the table"
LEFT_OUT: dict[str, str] = {
    "to": "it moves data between devices",
    **{f"dropout.{name}": RANDOM for name in ("dropout", "spatial_dropout", "alpha_dropout", "drop_path", "drop_connect")},
    "dropout.gaussian_dropout": RANDOM,
    "dropout.Mask": "what a dropout draws; it computes nothing",
    **{
        f"nn.{name}": RANDOM
        for name in ("Dropout", "SpatialDropout", "AlphaDropout", "GaussianDropout", "DropPath", "DropConnect")
    },
    **{f"nn.{name}": RAISED for name in ("SpectralNorm", "WeightNorm", "Reparametrization")},
    **{
        f"nn.{name}": "no layer"
        for name in ("Module", "Parameter", "Buffer", "functional_call", "monte_carlo", "monte_carlo_predict")
    },
    "nn.TransformerBlock": "its time is in `transformer`",
    "normalization.spectral_norm": "PyTorch has it as a hook only; its parts are `svdvals` and `matmul`",
    "normalization.power_iteration": "PyTorch has it as a hook only; its parts are `matmul` and `norm`",
    "regularizers.group_lasso": "PyTorch has none; its parts are `norm` and `sum`",
    **{
        f"normalization.{name}": "PyTorch has none; its parts are `conv2d`"
        for name in ("conv_spectral_norm", "conv_power_iteration")
    },
    "regularizers.weights": "it computes nothing",
    "regularizers.gradient_penalty": "a gradient of a gradient: its time is that of the model",
}
"""Public names without a row, and why."""


def public() -> set[str]:
    """Every op, composition and layer that users call."""
    import tinyreg as tr

    names = set(vars(tr.ops)["__all__"])
    for room in ("activations", "losses", "normalization", "regularizers", "dropout", "nn"):
        module = getattr(tr, room)
        own = (n for n, v in vars(module).items() if getattr(v, "__module__", "").startswith(module.__name__))
        names |= {f"{room}.{name}" for name in own if not name.startswith("_")}
    return names


def not_compared() -> list[str]:
    """The public names that have neither a row nor a reason."""
    names = public()
    measured = {*ROWS, *(f"nn.{name}" for name in LAYERS)}
    with_a_row = {name if name in names else name.split(" ")[0].split(",")[0] for name in measured}
    return sorted(names - with_a_row - LEFT_OUT.keys())


COPIED = "a leaf's gradient owns its memory, so a view is copied; PyTorch hands out the gradient that came in"
TURNED = "the gradient of a leaf is copied into its own order, by NumPy element by element, by PyTorch in blocks"
LOOPS = "NumPy's own loop takes the time, element by element; PyTorch's is vectorized"
ITSELF = "a new array, as everything that an op gives; PyTorch gives its argument itself"
WINDOWS = "NumPy has no loop over windows: each place in a window is a pass of its own; oneDNN makes one of all"
STEPS = "NumPy has no erf: it takes forty steps, each a pass through blocks in the cache; PyTorch's is one loop"
PLACES = "at this size each call of NumPy counts, and there are several for each of the nine places in a window"
EXPLAINED: dict[str, str] = {
    **{f"{name}, large": COPIED for name in ("reshape", "flatten", "expand_dims", "squeeze", "stack")},
    **{f"{name}, large": TURNED for name in ("permute_dims", "matrix_transpose")},
    **{f"{name}, large": LOOPS for name in ("nextafter", "floor_divide", "remainder", "hypot", "sign")},
    **{f"{name}, large": STEPS for name in ("activations.gelu", "nn.GELU")},
    "positive, large": ITSELF,
    **{f"{name}, large": WINDOWS for name in ("conv2d", "depthwise conv2d", "nn.Conv2d")},
    "max_pool2d of 3 by 3, small": PLACES,
}
"""Why a case may take more than three times PyTorch eager's time."""


# ---- the workload ----------------------------------------------------------------------------------------------------


def _called(name: str, row: Row, library: Any) -> Callable[..., Any]:
    """The function of all arguments in one of the two libraries."""
    if hasattr(library, "torch"):
        if callable(row.theirs):
            return functools.partial(row.theirs, library.torch)
        return functools.partial(getattr(library.torch, row.theirs or name), **row.settings)
    if row.ours:
        return functools.partial(row.ours, library.tr)
    room, _, op = name.rpartition(".")
    return functools.partial(getattr(getattr(library.tr, room or "ops"), op), **row.settings)


def _built(layer: Layer, n: Size, library: Any) -> Call:
    """The layer with the same parameters in both libraries, and the first of its results."""
    import tinyreg as tr

    tr.seed(0)
    module = ours = layer.ours(tr.nn, n)
    if hasattr(library, "torch"):
        torch = library.torch
        module = (layer.theirs or layer.ours)(torch.nn, n)
        state = {name: torch.tensor(np.asarray(value)) for name, value in ours.state_dict().items()}
        module.load_state_dict(state, strict=False)
    attention = type(module).__name__.lower() == "multiheadattention"

    def run(x: Any) -> Any:
        y = module(x, x, x) if attention else module(x)
        return y[0] if isinstance(y, tuple) else y

    return Call(run, module.named_parameters)


def part(name: str, n: Size) -> Part:
    """An op or a layer at a size."""
    import tinyreg as tr

    layer = LAYERS.get(name.removeprefix("nn.")) if name.startswith("nn.") else None
    row: Any = layer or ROWS[name]
    arrays = {f"argument {i}": KINDS[kind](n, 10 + i) for i, kind in enumerate(row.kinds)}
    wanted = [key for key, kind in zip(arrays, row.kinds, strict=True) if kind not in CONSTANT]
    order = [*wanted, *(key for key in arrays if key not in wanted)]

    def function(library: Any) -> Any:
        call = _built(layer, n, library) if layer else Call(_called(name, row, library))

        def run(*given: Any) -> Any:
            by_name = dict(zip(order, given, strict=True))
            return call(*(by_name[key] for key in arrays))

        return Call(run, call.named_parameters)

    differentiable = layer is not None or row.gradient
    inputs = {key: arrays[key] for key in wanted} if differentiable else {}
    constants = [arrays[key] for key in order if key not in inputs]
    shape = function(Ours(tr))(*(arrays[key] for key in order)).shape
    return Part(function, _not_written, inputs, constants, normal(*shape, seed=4) if differentiable else None)


def _not_written(part: Part) -> Program:
    raise NotImplementedError


def build(library: Library, settings: Settings) -> Program:
    """Forward and backward, or forward alone."""
    return library.pull_back(part(settings["name"], Size(*settings["size"])))


NAMES = [*ROWS, *(f"nn.{name}" for name in LAYERS)]
ELSEWHERE = "it is measured in the other workloads"
OPS = Workload(
    "ops",
    "each public op and layer alone, forward and backward",
    "us",
    lambda _: 1e6,
    {f"{name}, {size}": {"name": name, "size": list(n)} for name in NAMES for size, n in SIZES.items()},
    {f"{name}, tiny": {"name": name, "size": list(TINY)} for name in NAMES},
    build,
    without=dict.fromkeys(
        ("numpy by hand", "tinyreg, memory kept", "PyTorch compiled", "JAX jit", "HIPS autograd", "MyGrad", "tinygrad"),
        ELSEWHERE,
    ),
)
