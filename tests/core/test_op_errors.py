"""What ops refuse: the error says what was got and what was expected, also where the array library's own would not."""

import inspect

import numpy as np
import pytest

import tinyreg as tr

X, V, S = tr.ones((2, 3)), tr.ones(3), tr.tensor(1.0)

REFUSED = {
    "split, no such axis": (
        lambda: tr.split(X, 2, axis=5),
        "split: got axis=5 for an array of 2 axes, expected an axis from",
    ),
    "split, a scalar": (lambda: tr.split(S, 1), "split: got axis=0 for an array of 0 axes, expected no axis"),
    "split, unequal parts": (lambda: tr.split(X, 2, axis=1), "split: got length 3 and 2 sections, expected .* divides"),
    "split, no parts": (lambda: tr.split(X, 0), "split: got length 2 and 0 sections, expected"),
    "split, out of order": (lambda: tr.split(V, [2, 1]), r"got the indices \[2, 1\] for length 3, expected .* order"),
    "unstack": (lambda: tr.unstack(X, axis=2), r"unstack: got x float32\[2, 3\] on numpy, axis=2 .* expected an axis from"),
    "take": (lambda: tr.take(X, tr.tensor([0])), "take: got an array of 2 axes and no axis, expected an axis"),
    "topk": (lambda: tr.topk(V, 4), "topk: got k=4, expected 0 to 3, the length of axis 0"),
    "diagonal": (lambda: tr.diagonal(V), r"diagonal: got x float32\[3\] .* expected at least two axes"),
    "tril": (lambda: tr.tril(V), r"tril: got x float32\[3\] .* expected at least two axes"),
    "outer": (lambda: tr.outer(X, V), r"outer: got shapes \[2, 3\] and \[3\], expected two arrays of one axis"),
    "matrix_transpose": (lambda: tr.matrix_transpose(V), r"got shape \[3\], expected at least two axes"),
    "cumulative_sum": (lambda: tr.cumulative_sum(X), "cumulative_sum: got x .* an array of several axes needs an axis"),
    "norm": (lambda: tr.norm(V, ord=0.5), "got x .* expected a finite ord of at least 1, and axes that x has. ord is 0.5"),
    "matrix_norm, ord": (lambda: tr.matrix_norm(X, ord=3), "matrix_norm: got ord 3, expected one of 'fro', 'nuc', 2"),
    "matrix_norm, a vector": (lambda: tr.matrix_norm(V), r"matrix_norm: got shape \[3\], expected at least two axes"),
    "qr": (lambda: tr.qr(tr.ones((2, 4))), "qr: .* the matrices have 2 rows and 4 columns; transpose them perhaps"),
    "svd": (lambda: tr.svd(X, full_matrices=True), "svd: .* the full form has no derivative; leave full_matrices out"),
    "concat": (
        lambda: tr.concat(X, V),
        r"concat: got xs float32\[2, 3\], xs float32\[3\] .*expected arrays whose shapes agree",
    ),
    "permute_dims": (lambda: tr.permute_dims(X, (0, 0)), "permute_dims: got x .* expected each axis of x once"),
    "squeeze": (lambda: tr.squeeze(X, axis=0), "squeeze: got x .* expected axes of length 1"),
    "max of nothing": (lambda: tr.max(tr.zeros(0)), "max: got x .* expected axes that x has, with at least one element"),
    "solve": (lambda: tr.solve(X, V), "solve: got a .*, b .* expected square matrices of float32 or float64"),
}


@pytest.mark.parametrize(("call", "text"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()


# ---- np.seterr(all="raise") --------------------------------------------------------------------------------------------

WIDE = [[-200.0, 0.0, 200.0], [-1000.0, 1000.0, 1.0]]
TINY = [[1e-30, 2e-30, -1e-38], [1e-30, -1e-25, 1e-20]]
SILENT = {
    "softmax": tr.softmax,
    "log_softmax": tr.log_softmax,
    "sigmoid": tr.sigmoid,
    "softplus": tr.softplus,
    "gelu": tr.gelu,
    "silu": tr.silu,
    "elu": tr.elu,
    "tanh": tr.tanh,
    "logsumexp": tr.logsumexp,
    "exp": lambda x: tr.exp(-tr.abs(x)),
    "cube": lambda x: x * x * x,
    "matmul": lambda x: x @ x.T,
    "prod": tr.prod,
    "cross_entropy": lambda x: tr.losses.cross_entropy(x, tr.tensor([0, 1])),
    "smoothed": lambda x: tr.losses.cross_entropy(x, tr.tensor([0, 1]), label_smoothing=0.1),
    "binary_cross_entropy": lambda x: tr.losses.binary_cross_entropy(x, tr.zeros((2, 3))),
    "layer_norm": tr.normalization.layer_norm,
    "checkpoint": tr.checkpoint(tr.softmax),
}


@pytest.mark.parametrize("values", [WIDE, TINY], ids=["wide", "tiny"])
@pytest.mark.parametrize("name", SILENT)
def test_a_harmless_underflow_is_no_error(name, values):
    def both(x):
        x = tr.tensor(x, requires_grad=True)
        y = SILENT[name](x)
        y.sum().backward()
        return y.tolist(), x.grad.tolist(), tr.hvp(lambda x: SILENT[name](x).sum(), x, tr.ones((2, 3))).tolist()

    usual = both(values)
    with np.errstate(all="raise"):
        assert both(values) == usual


def test_a_number_that_is_too_small_for_its_dtype_becomes_0_without_an_error():
    with np.errstate(all="raise"):
        assert tr.tensor(1e-60).item() == 0.0
        assert tr.zeros(1).assign([1e-60]).item() == 0.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: 1.0 / x, r"divide: got x1 1.0, x2 float32\[2\] on numpy. divide by zero"),
        (lambda x: tr.log(x), "log: got .* divide by zero"),
        (lambda x: tr.exp(x * 1000.0), "exp: got .* overflow"),
        (lambda x: (x - 1.0) / (x - 1.0), "divide: got .* invalid value"),
        (lambda x: tr.grad(lambda x: tr.sqrt(x).sum())(x), "divide by zero"),
    ],
)
def test_what_the_user_asked_to_raise_is_raised_as_what_it_is(call, text):
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match=text):
        call(tr.tensor([1.0, 0.0]))


@pytest.mark.parametrize("error", [MemoryError, OverflowError, FloatingPointError])
def test_an_op_raises_the_kind_of_error_that_the_library_raised(error):
    @tr.primitive(nondifferentiable=True)
    def unlucky(xp, x):
        raise error("what it said")

    with pytest.raises(error, match=r"unlucky: got x float32\[3\] on numpy.* what it said"):
        unlucky(V)


def test_an_error_about_many_operands_names_some():
    with pytest.raises(ValueError, match="concat: got xs .* and 984 more on numpy") as raised:
        tr.concat([V] * 999 + [X])
    assert len(str(raised.value)) < 1000


# ---- what is no array ------------------------------------------------------------------------------------------------

GIVEN = {"axes": (1, 0), "indices": tr.tensor([0]), "condition": X > 0, "keep": X > 0, "p": 0.5, "strength": 0.1, "l1": 0.1}
GIVEN |= {"l2": 0.1, "scale": 1.0, "backend": "numpy", "dtype": "float32", "shape": (2, 2), "sections": 1, "pad_width": 1}
GIVEN |= {"shift": 1, "k": 1, "repetitions": 2, "kernel_size": 2, "num_groups": 1, "training": True}
GIVEN |= {"subscripts": "ij->ij", "f": lambda x: x, "key": 0}
ROOMS = (tr.ops, tr.activations, tr.losses, tr.normalization, tr.regularizers, tr.dropout, tr.metrics)


def required(f):
    """The parameters that a call of f has to give."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p for p in inspect.signature(f).parameters.values() if p.default is p.empty and p.kind in kinds]


def taking_arrays():
    """Each public function of ops and compositions, with each of its required arrays."""
    for room in ROOMS:
        for name, f in vars(room).items():
            own = callable(f) and not inspect.isclass(f) and str(getattr(f, "__module__", "")).startswith(room.__name__)
            for p in required(f) if own and not name.startswith("_") else ():
                if "Array" in str(p.annotation) or "Weights" in str(p.annotation):
                    yield pytest.param(f, p.name, id=f"{name}-{p.name}")


def error_of(f, given):
    """What a call of f raises, or None."""
    try:
        f(
            *(given[p.name] for p in required(f) if p.kind is not p.KEYWORD_ONLY),
            **{p.name: given[p.name] for p in required(f) if p.kind is p.KEYWORD_ONLY},
        )
    except Exception as error:
        return error
    return None


def test_functions_of_every_room_are_tried():
    tried = {param.id for param in taking_arrays()}
    assert tried >= {"softmax-x", "conv2d-weight", "huber-target", "layer_norm-x", "l2-weights", "dropout-x", "nll-logits"}


@pytest.mark.parametrize(("f", "parameter"), list(taking_arrays()))
@pytest.mark.parametrize("wrong", ["a", [1.0, 2.0], object()], ids=["text", "list", "object"])
def test_what_is_no_array_is_taken_for_one_or_refused_with_what_is_expected(f, parameter, wrong):
    error = error_of(f, {p.name: GIVEN.get(p.name, X) for p in required(f)} | {parameter: wrong})
    assert error is None or isinstance(error, TypeError | ValueError | IndexError)
    assert error is None or ("got" in str(error) and "expected" in str(error))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: tr.astype(X, [1.0]), r"astype: got .* of dtype \[1.0\], expected the name of a dtype, such as 'float32'"),
        (lambda: tr.regularizers.l2(None, 0.1), "l2: got weights=None, expected a Tensor or several"),
        (lambda: tr.regularizers.gradient_penalty(3, X, 0.1), "gradient_penalty: got f=3, expected a function of x"),
        (lambda: tr.optim.prox_l1([1.0], 0.1), r"prox_l1: got w=\[1.0\], expected a Tensor or an array: tr.tensor"),
        (lambda: tr.exp.named(3), "Primitive.named: got 3, expected a text"),
    ],
)
def test_another_kind_of_argument_is_refused_where_it_is_given(call, text):
    with pytest.raises(TypeError, match=text):
        call()
