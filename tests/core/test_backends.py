"""Backends: how one is chosen, ops that follow their data, transfer, and what each refuses."""

import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core import backend as backends

ROOT = Path(__file__).parents[2]


# ---- choosing --------------------------------------------------------------------------------------------------------


def test_new_data_is_born_on_the_backend_in_use(backend):
    born = [tr.tensor(1.0), tr.tensor([1, 2]), tr.zeros(2), tr.ones(2), tr.full(2, 3.0), tr.arange(3)]
    assert {x.backend for x in born} == {backend}
    assert all(type(x.data) is backends.get(backend).ndarray for x in born)


def test_an_array_stays_where_it_is_whatever_is_in_use_until_it_is_said(backend):
    array = np.ones(2)
    assert tr.tensor(array).backend == "numpy"
    assert tr.tensor(array, backend=backend).backend == backend


def test_use_as_a_call_is_for_the_process_and_as_a_context_for_the_context():
    def seen_by_a_thread():
        seen = []
        thread = threading.Thread(target=lambda: seen.append(tr.zeros(1).backend))
        thread.start()
        thread.join()
        return seen[0]

    with tr.use("standin"):
        assert tr.zeros(1).backend == "standin"
        with tr.use("numpy"):
            assert tr.zeros(1).backend == "numpy"
        assert tr.zeros(1).backend == "standin"
        assert seen_by_a_thread() == "numpy"
    tr.use("standin")
    try:
        assert tr.zeros(1).backend == seen_by_a_thread() == "standin"
    finally:
        backends.chosen_for_process.clear()


def test_contexts_of_several_threads_leave_the_default_of_the_process_alone():
    first, second = tr.use("standin"), tr.use("numpy")  # as two threads may come to it
    with first:
        assert tr.zeros(1).backend == "standin"
        with second, first:
            assert tr.zeros(1).backend == "standin"
    assert backends.chosen_for_process == []
    with first:  # once more
        assert tr.zeros(1).backend == "standin"
    assert tr.zeros(1).backend == "numpy"


def test_calls_for_the_process_do_not_pile_up():
    try:
        for name in ["numpy", "standin"] * 100:
            tr.use(name)
        assert tr.zeros(1).backend == "standin"
        with tr.use("numpy"):
            assert tr.zeros(1).backend == "numpy"
        assert tr.zeros(1).backend == "standin"
        assert len(backends.chosen_for_process) <= 2
    finally:
        backends.chosen_for_process.clear()


def test_use_as_a_decorator():
    @tr.use("standin")
    def born():
        return tr.zeros(1).backend

    assert tr.zeros(1).backend == "numpy"
    assert born() == born() == "standin"
    assert tr.zeros(1).backend == "numpy"


def test_a_context_ends_after_an_exception():
    with pytest.raises(KeyError), tr.use("standin"):
        raise KeyError
    assert tr.zeros(1).backend == "numpy"


def python(code, **environment):
    """What a new process says: its output, or the last line of its traceback."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    return (done.stdout or done.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize("name", ["numpy", "standin"])
def test_the_environment_names_the_default(name):
    code = "import standin, tinyreg as tr; standin.install(); print(tr.zeros(1).backend, tr.tensor([1]).backend)"
    assert python(code, TINYREG_BACKEND=name) == f"{name} {name}"


def test_use_comes_before_the_environment():
    code = "import standin, tinyreg as tr; standin.install(); tr.use('numpy'); print(tr.zeros(1).backend)"
    assert python(code, TINYREG_BACKEND="standin") == "numpy"


def test_an_unknown_backend_in_the_environment_is_said_at_first_use():
    assert python("import tinyreg as tr; print('imported'); tr.zeros(1)", TINYREG_BACKEND="tpu") == "imported"
    error = python("import tinyreg as tr; tr.zeros(1)", TINYREG_BACKEND="tpu")
    assert error == "ValueError: unknown backend 'tpu': expected one of 'numpy', 'cupy'"


def test_cupy_in_the_environment_where_it_cannot_be_imported():
    error = python("import sys; sys.modules['cupy'] = None; import tinyreg as tr; tr.zeros(1)", TINYREG_BACKEND="cupy")
    assert error.startswith("RuntimeError: backend 'cupy' does not work here: CuPy cannot be imported")


ASK = [tr.use, lambda name: tr.zeros(1).to(name), lambda name: tr.tensor([1.0], backend=name)]


@pytest.mark.parametrize("ask", ASK)
def test_an_unknown_backend(ask):
    with pytest.raises(ValueError, match=r"unknown backend 'tpu': expected one of 'numpy', 'cupy', 'standin'$"):
        ask("tpu")


# ---- where CuPy does not work ----------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch):
    """Puts another module, or none, in CuPy's place."""

    def put(module):
        real = importlib.import_module
        monkeypatch.delitem(backends._loaded, "cupy", raising=False)
        monkeypatch.setitem(sys.modules, "cupy", module)
        monkeypatch.setattr(importlib, "import_module", lambda name: module if name == "cupy" and module else real(name))

    return put


def no_device(n):
    raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")


BROKEN = {
    "not installed": (None, r"CuPy cannot be imported \(.*\); install tinyreg\[cuda12\] or \[cuda13\]"),
    "no device": (
        SimpleNamespace(arange=no_device),
        r"CuPy is installed but no GPU answers \(cudaErrorNoDevice: no CUDA-capable device is detected\); try nvidia-smi",
    ),
}


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize(("module", "reason"), BROKEN.values(), ids=BROKEN)
def test_cupy_asked_for_where_it_does_not_work(installed, ask, module, reason):
    installed(module)
    with pytest.raises(RuntimeError, match=f"backend 'cupy' does not work here: {reason}$"):
        ask("cupy")
    assert tr.zeros(1).backend == "numpy"


@pytest.mark.parametrize(("module", "reason"), BROKEN.values(), ids=BROKEN)
def test_backends_says_what_is_here_and_why_one_is_not(installed, module, reason):
    installed(module)
    states = tr.backends()
    assert (states["numpy"], states["standin"]) == ("ready", "ready")
    with pytest.raises(RuntimeError) as raised:
        tr.use("cupy")
    assert states["cupy"] == str(raised.value)


# ---- ops follow their data -------------------------------------------------------------------------------------------


def test_an_op_follows_its_data(backend):
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    other = "numpy" if backend != "numpy" else "standin"
    with tr.use(other):
        y = (tr.exp(x) * 2 + tr.maximum(x, 1.0)).sum()
        y.backward()
    assert (y.backend, x.grad.backend) == (backend, backend)
    array = x.data
    assert type(tr.exp(array)) is type(array)


def test_mixed_backends_are_refused():
    x, y = tr.tensor([1.0, 2.0]), tr.tensor([[3]], backend="standin")
    expected = (
        r"^multiply: got float32\[2\], int64\[1, 1\] on numpy and standin, expected one backend; "
        r"move one of them with \.to\(\.\.\.\)$"
    )
    with pytest.raises(TypeError, match=expected):
        x * y
    with pytest.raises(TypeError, match=expected.replace("multiply", "logaddexp")):
        tr.logaddexp(x, y.data)
    with pytest.raises(TypeError, match=r"^multiply: got float64\[2\], int64\[1, 1\] on numpy and standin"):
        np.ones(2) * y
    with pytest.raises(TypeError, match=r"^concat: .* on numpy and standin"):
        tr.concat([x, y])


def test_an_incoming_gradient_of_another_backend_is_moved_or_refused():
    x = tr.tensor([1.0, 2.0], backend="standin", requires_grad=True)
    tr.exp(x).backward(np.ones(2, np.float32))
    assert x.grad.backend == "standin"
    with pytest.raises(ValueError, match=r"expected shape \[2\] on standin"):
        tr.exp(x).backward(tr.ones(2))


def test_index_arrays_go_to_where_the_data_is(backend):
    x = tr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for indices in ([2, 0, 2], np.array([2, 0, 2]), tr.tensor([2, 0, 2], backend="numpy")):
        x.zero_grad()
        x[indices].sum().backward()
        assert x.grad.tolist() == [1.0, 0.0, 2.0]
        assert x.grad.backend == backend


# ---- transfer --------------------------------------------------------------------------------------------------------


def test_to_moves_the_values_and_the_gradient_comes_back(backend):
    x = tr.tensor([1.0, 2.0, 3.0], backend="numpy", requires_grad=True)
    there = x.to(backend)
    assert (there.backend, there.dtype, there.tolist()) == (backend, x.dtype, x.tolist())
    back = (there * there).to("numpy")
    assert back.backend == "numpy"
    back.sum().backward()
    assert (x.grad.backend, x.grad.tolist()) == ("numpy", [2.0, 4.0, 6.0])


def test_second_order_across_a_transfer(backend):
    x = tr.tensor([1.0, 2.0], dtype="float64", backend="numpy", requires_grad=True)
    (x.to(backend) ** 3).sum().backward(create_graph=True)
    first, x.grad = x.grad, None
    assert first.backend == "numpy"
    first.sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]


def test_a_leaf_keeps_its_backend_whatever_it_is_assigned(backend):
    x = tr.zeros(2)
    for value in ([1.0, 2.0], np.array([1.0, 2.0]), tr.tensor([1.0, 2.0], backend="numpy")):
        x.assign(value)
        assert (x.backend, x.dtype, x.tolist()) == (backend, np.float32, [1.0, 2.0])


def test_numpy_gives_a_copy_and_asarray_refuses_to_leave_a_device(backend):
    x = tr.tensor([1.0, 2.0])
    copy = x.numpy()
    copy[0] = 5.0
    assert x.tolist() == [1.0, 2.0]
    if backend != "numpy":
        with pytest.raises(TypeError, match=rf"^got float32\[2\] on {backend} where NumPy wants an array.*\.numpy\(\)$"):
            np.asarray(x)


# ---- the same values as on NumPy -------------------------------------------------------------------------------------

POSITIVE = np.array([[0.5, 1.5, 2.5], [3.0, 0.25, 1.75]])
SQUARE = np.array([[4.0, 1.0], [1.0, 3.0]])
CALLS = {
    "arithmetic": lambda x: (x + 1) * x / (x - 7) - 2 * x,
    "power": lambda x: x**2.5,
    "hyperbolic": lambda x: tr.tanh(x) + tr.asinh(x) * tr.cosh(x),
    "logarithms": lambda x: tr.log(x) + tr.log1p(x) * tr.log2(x) - tr.log10(x),
    "erf": tr.erf,
    "sigmoid": lambda x: tr.sigmoid(x) + tr.softplus(x) + tr.log_sigmoid(x),
    "maximum": lambda x: tr.maximum(x, 1.0) + tr.clip(x, 0.4, 2.0),
    "where": lambda x: tr.where(x > 1.0, x * x, 3.0),
    "sum": lambda x: x.sum(axis=1, keepdims=True) * x.sum(),
    "mean": lambda x: x.mean(axis=0),
    "std": lambda x: x.std(axis=1) + x.var(axis=(0, 1), correction=1),
    "max": lambda x: x.max(axis=1) - x.min(),
    "prod": lambda x: x.prod(axis=1),
    "logsumexp": lambda x: x.logsumexp(axis=1),
    "norm": lambda x: x.norm() + tr.norm(x, 3, axis=0),
    "cumulative_sum": lambda x: x.cumulative_sum(axis=1),
    "reshape": lambda x: tr.flip(x.reshape(3, 2).T, axis=1),
    "concat": lambda x: tr.concat([x, tr.roll(x, 1, axis=1)], axis=0),
    "stack": lambda x: tr.stack([x, 2 * x], axis=1),
    "pad": lambda x: tr.pad(x, [(1, 0), (0, 2)], value=1.5),
    "tile": lambda x: tr.tile(x, (2, 2)),
    "slice": lambda x: x[..., ::-2] * x[1, 2],
    "index": lambda x: x[[0, 1, 0], [2, 2, 2]],
    "mask": lambda x: x[x > 1.0],
    "take": lambda x: x.take([2, 0, 2], axis=1),
    "sort": lambda x: x.sort(axis=1, descending=True) * tr.topk(x, 3)[0],
    "matmul": lambda x: x @ x.T,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_gradients_are_those_of_numpy(backend, call, dtype):
    def run(name):
        x = tr.tensor(POSITIVE, dtype=dtype, backend=name, requires_grad=True)
        y = call(x)
        g = np.linspace(-1.0, 2.0, y.size).reshape(y.shape)
        y.backward(g)
        assert (y.backend, x.grad.backend, y.dtype, x.grad.dtype) == (name, name, dtype, dtype)
        return y.numpy(), x.grad.numpy()

    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for got, expected in zip(run(backend), run("numpy"), strict=True):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_float16_stays_float16(backend, call):
    x = tr.tensor(POSITIVE, dtype="float16", backend=backend, requires_grad=True)
    y = call(x)
    y.sum().backward()
    assert (y.dtype, x.grad.dtype) == (np.float16, np.float16)


FACTORED = {
    "inv": tr.inv,
    "solve": lambda x: tr.solve(x, tr.ones_like(x, dtype=x.dtype)),
    "det": tr.det,
    "slogdet": lambda x: tr.slogdet(x)[1],
    "cholesky": tr.cholesky,
    "svdvals": tr.svdvals,
    "eigvalsh": lambda x: tr.eigh(x)[0],
}


@pytest.mark.parametrize("call", FACTORED.values(), ids=FACTORED)
def test_linear_algebra_is_that_of_numpy(backend, call):
    def run(name):
        x = tr.tensor(np.stack([SQUARE, 2 * SQUARE]), backend=name, requires_grad=True)
        y = call(x)
        y.backward(np.linspace(-1.0, 2.0, y.size).reshape(y.shape))
        return y.numpy(), x.grad.numpy()

    for got, expected in zip(run(backend), run("numpy"), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("call", [tr.inv, tr.cholesky, lambda x: tr.solve(x, x)])
def test_a_matrix_without_an_answer_is_an_error_and_not_nan(backend, call):
    with pytest.raises((ValueError, RuntimeError), match=rf"on {backend}"):
        call(tr.zeros((2, 2), dtype="float64"))
