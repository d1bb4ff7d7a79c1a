"""A tape speaks its reader's words: public names alone, forward and backward, in a table, in DOT and on the page."""

import warnings

import numpy as np
import pytest
from cases import CASES
from hypothesis import Phase, given, settings

import tinyreg as tr
from tinyreg.core.primitive import REGISTRY

ROOMS = (tr.activations, tr.augment, tr.dropout, tr.losses, tr.metrics, tr.nn, tr.normalization, tr.regularizers)
PUBLIC = {name for room in (tr, *ROOMS) for name in dir(room)}
ELSEWHERE = {  # what only a derivative needs, by the name that it has where a user may have met it
    "unfold": "torch.nn.functional.unfold: the windows of an image",
    "fold": "torch.nn.functional.fold: windows added up to an image",
    "scatter_add": "torch.Tensor.scatter_add: elements added up at their indices",
    "diag_embed": "torch.diag_embed: a diagonal put into matrices of zeros",
    "ndtr": "scipy.special.ndtr: the distribution function of the normal distribution",
    "gaussian": "the kernel of that name in scipy.interpolate.Rbf: exp(-(rate x)^2)",
    "cofactor": "mathematics, since no library has it: the matrix of cofactors, the derivative of a determinant",
}
DRAWN = 10


def calls_of(case):
    """Some calls that the case draws, always the same ones, and its points."""
    calls = [point.call for point in case.points]

    @settings(derandomize=True, database=None, deadline=None, max_examples=DRAWN, phases=[Phase.generate])
    @given(case.calls)
    def collect(call):
        calls.append(call)

    collect()
    return calls


def tensors(outcome):
    """The Tensors in what a function returned, also nested."""
    if isinstance(outcome, tr.Tensor):
        return [outcome]
    parts = outcome.values() if isinstance(outcome, dict) else outcome if isinstance(outcome, tuple | list) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def on_tapes(case, call):
    """The names of the ops that a call records, and of those that its gradients record in turn."""
    wanted = case.wanted(call)
    arrays = [
        tr.tensor(a, requires_grad=True) if i in wanted else tr.tensor(a) if isinstance(a, np.ndarray) else a
        for i, a in enumerate(call.arrays)
    ]
    results = [result for result in tensors(case.op(*arrays, **call.settings)) if result.requires_grad]
    if not results:
        return set(), set()
    sum((result * result).sum() for result in results).backward(create_graph=True)
    gradients = [arrays[i].grad for i in wanted if arrays[i].grad is not None and arrays[i].grad.requires_grad]
    return names_on(results), names_on(gradients)


def names_on(results):
    return {row.op.name for result in results for row in tr.tape(result)}


WITH_A_TAPE = [name for name, case in CASES.items() if case.order and case.vjp is None]


@pytest.mark.parametrize("name", WITH_A_TAPE)
def test_no_op_on_a_tape_has_a_private_name_forward_or_backward(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of points at infinity
        pairs = [on_tapes(CASES[name], call) for call in calls_of(CASES[name])]
    forward, backward = (set().union(*names) for names in zip(*pairs, strict=True))
    assert forward
    assert forward | backward <= PUBLIC | set(ELSEWHERE)
    if name in PUBLIC:
        assert forward <= PUBLIC


def test_every_word_from_elsewhere_is_needed():
    """It is the name of an op, and no public one."""
    assert set(ELSEWHERE) <= {op.name for op in REGISTRY.values()} - PUBLIC


X = tr.tensor(np.random.default_rng(0).normal(size=(2, 2, 4, 4)))
WRITTEN = {  # what a user writes, and the one entry that it is
    "conv2d": lambda x: tr.conv2d(x, tr.ones((3, 2, 2, 2), dtype="float64")),
    "conv2d of each channel by itself": lambda x: tr.conv2d(x, tr.ones((2, 1, 2, 2), dtype="float64"), groups=2),
    "max_pool2d": lambda x: tr.max_pool2d(x, 2),
    "avg_pool2d": lambda x: tr.avg_pool2d(x, 2),
    "split": lambda x: tr.split(x, 2)[0],
    "einsum": lambda x: tr.einsum("abcd->ab", x),
    "norm": lambda x: tr.norm(x, axis=1),
    "getitem": lambda x: x[0, 1:],
    "getitem by an array": lambda x: x[[0, 1, 0]],
    "softmax": lambda x: tr.softmax(x),
    "log_softmax": lambda x: tr.log_softmax(x, axis=1),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_user_wrote_is_one_entry_by_that_name(name, tmp_path):
    tape = tr.tape(WRITTEN[name](tr.tensor(X.data, requires_grad=True)))
    word = name.partition(" ")[0]
    assert [row.op.name for row in tape] == [word]
    assert f" {word}(" in str(tape)
    assert f'label="#0 {word}' in tape.to_dot()
    tape.save_html(tmp_path / "tape.html")
    assert f"{word}(" in (tmp_path / "tape.html").read_text(encoding="utf-8")


def test_a_recurrent_layer_is_one_entry_by_its_name():
    layer = tr.nn.LSTM(2, 3, rng=0)
    names = [row.op.name for row in tr.tape(layer(tr.ones((5, 1, 2)))[0])]
    assert "LSTM" in names


FAILING = {
    "einsum": lambda x: tr.einsum("abcd,a->b", x, tr.ones(7)),
    "getitem": lambda x: x[7],
    "getitem by an array": lambda x: x[[7]],
    "take_along_axis": lambda x: tr.take_along_axis(x, tr.tensor([1]), axis=0),
    "norm": lambda x: tr.norm(x, ord=0.5),
    "softmax": lambda x: tr.softmax(x[:, :, :, :0]),
    "log_softmax": lambda x: tr.log_softmax(x[:, :, :, :0]),
}


@pytest.mark.parametrize("name", FAILING)
def test_an_error_begins_with_the_word_that_was_written(name):
    with pytest.raises((ValueError, IndexError), match=rf"^{name.partition(' ')[0]}: got "):
        FAILING[name](X)


def test_a_fast_form_under_its_public_name_has_the_second_derivative_of_its_definition():
    """The two ops behind conv2d share a name: each is still differentiated as itself."""
    weights = tr.tensor(np.random.default_rng(1).normal(size=(2, 1, 2, 2)))
    each = tr.hessian(lambda x: (tr.conv2d(x.reshape(1, 2, 3, 3), weights, groups=2) ** 3).sum())
    parts = tr.hessian(
        lambda x: sum((tr.conv2d(x.reshape(1, 2, 3, 3)[:, i : i + 1], weights[i : i + 1]) ** 3).sum() for i in range(2))
    )
    at = tr.tensor(np.random.default_rng(2).normal(size=18))
    np.testing.assert_allclose(each(at).numpy(), parts(at).numpy(), rtol=1e-10, atol=1e-12)
