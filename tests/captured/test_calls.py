"""Kinds of calls, in which a captured step runs eagerly, is refused, or has a program of its own."""

from __future__ import annotations

import contextlib
import copy
import pickle
import threading

import numpy as np
import pytest
from captured.steps import data, network, plain, state, values

import tinyreg as tr
from tinyreg.captured.refusal import ChangedError
from tinyreg.core.tape import explainer


def test_the_ninth_shape_is_refused_and_says_what_varied():
    step = tr.capture(lambda x: x * 2)
    for n in range(1, 9):
        step(tr.ones(n))
    with pytest.raises(tr.CaptureError, match=r"8 kinds of calls.*float32\[9\]"):
        step(tr.ones(9))


def test_lists_of_numbers_and_numbers_are_programs_of_their_own():
    step = tr.capture(lambda x, factors, name="a": x * factors[0] + factors[1])
    for _ in range(5):
        assert step(tr.ones(2), [2.0, 1]).tolist() == [3.0, 3.0]
        assert step(tr.ones(2), [3.0, 1], name="b").tolist() == [4.0, 4.0]
    assert len(step._variants) == 2


@pytest.mark.parametrize("wrong", [3, None, "step", lambda: (yield), int])
def test_what_is_no_function_is_refused(wrong):
    if wrong is None:
        assert callable(tr.capture(wrong))
        return
    with pytest.raises(TypeError, match="capture: got"):
        tr.capture(wrong)


def test_other_executors_are_refused_by_name():
    with pytest.raises(ValueError, match="expected None, 'numpy' or 'native'"):
        tr.capture(lambda x: x, executor="jit")
    assert tr.capture(lambda x: x, executor="numpy")(tr.ones(1)).tolist() == [1.0]


def test_a_step_that_returns_nothing_or_what_is_no_result():
    nothing = tr.capture(lambda x: None)
    assert [nothing(tr.ones(1)) for _ in range(5)] == [None] * 5
    strange = tr.capture(lambda x: object())
    strange(tr.ones(1))
    with pytest.raises(tr.CaptureError, match="returns a object"):
        strange(tr.ones(1))


def test_a_captured_step_is_not_pickled_or_copied():
    step = tr.capture(lambda x: x)
    for make in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="capture it again"):
            make(step)


def test_capture_inside_capture_is_recorded_with_it():
    inner = tr.capture(lambda x: x * 2)
    outer = tr.capture(lambda x: inner(x) + 1)
    assert [outer(tr.ones(1)).item() for _ in range(6)] == [3.0] * 6
    assert len(outer._variants) == 1


def test_what_an_inner_captured_step_returns_is_cut_off_from_the_tape_in_an_outer_one_too():
    runs = []
    for wrapped in (lambda f: f, tr.capture):
        w, v = tr.ones(2, requires_grad=True), tr.ones(2, requires_grad=True)
        inner = tr.capture(lambda x, w=w: x * w)

        def step(x, w=w, v=v, inner=inner):
            w.zero_grad()
            v.zero_grad()
            (inner(x) * v).sum().backward()
            return v.grad, w.grad is None

        step = wrapped(step) if wrapped is not tr.capture else tr.capture(step, keep_grads=True)
        runs.append([(v.tolist(), none) for v, none in (step(tr.full(2, float(i))) for i in range(6))])
    assert runs[0] == runs[1] == [([float(i)] * 2, True) for i in range(6)]
    assert step.replays == 3


def test_capture_inside_checkpoint_is_refused():
    step = tr.capture(lambda x: x * 2)
    with pytest.raises(tr.CaptureError, match="inside of checkpoint"):
        tr.checkpoint(step)(tr.ones(1, requires_grad=True))


class Listener:
    """What `explain` puts in place, to hear of every op."""

    definitions = False

    def __init__(self):
        self.names = []

    def __call__(self, name, *_):
        self.names.append(name)


def test_who_listens_hears_every_op_of_a_captured_step():
    model, optimizer = network()
    step = tr.capture(plain(model, optimizer))
    for batch in data(5):
        step(*batch)
    listener = Listener()
    with explainer(listener):
        step(*data(1)[0])
    assert {"linear", "relu", "cross_entropy"} <= set(listener.names)


def test_threads_wait_for_each_other():
    model, optimizer = network()
    step, batch = tr.capture(plain(model, optimizer)), data(1)[0]
    errors = []

    def work():
        try:
            for _ in range(20):
                step(*batch)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    other, other_optimizer = network()
    for _ in range(40):
        plain(other, other_optimizer)(*batch)
    assert state(model, optimizer) == state(other, other_optimizer)


def test_a_model_on_another_backend_is_refused():
    with tr.use("standin"):
        x = tr.ones(2)
    step = tr.capture(lambda x: x * 2)
    with pytest.raises(tr.CaptureError, match="got an array on standin"):
        step(x)
    with pytest.raises(tr.CaptureError, match="got an array on standin"):
        tr.capture(lambda: x * 2)()


def test_recording_that_fails_otherwise_runs_the_step_eagerly_and_says_so():
    step = tr.capture(lambda x: x * len(x.data.real))
    assert step(tr.ones(2)).tolist() == [2.0, 2.0]
    with pytest.warns(UserWarning, match="runs eagerly, since its recording fails"):
        assert step(tr.ones(2)).tolist() == [2.0, 2.0]
    assert step(tr.ones(2)).tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="It runs eagerly"):
        _ = step.program


def test_arithmetic_that_raises_runs_eagerly():
    step = tr.capture(lambda x: tr.exp(x))
    for _ in range(5):
        step(tr.ones(2))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        step(tr.full(2, 100.0))
    with contextlib.suppress(RuntimeWarning), np.errstate(over="ignore"):
        assert values(step(tr.full(2, 100.0))) == values(np.full(2, np.inf, "f4"))


def inverse(x):
    """The inverse, or zeros where there is none."""
    try:
        return tr.inv(x)
    except ValueError:
        return tr.zeros_like(x)


def test_a_step_that_catches_an_error_runs_eagerly_where_there_is_one_and_says_so(each_executor):
    step = tr.capture(inverse)
    regular, singular = tr.tensor([[2.0, 0.0], [0.0, 4.0]]), tr.ones((2, 2))
    for _ in range(4):
        step(regular)
    with pytest.warns(UserWarning, match=r"a replay ended with LinAlgError: Singular matrix; the step itself did not"):
        assert not step(singular).numpy().any()
    assert step(regular).numpy()[1, 1] == 0.25
    assert step.replays == 2


def test_an_error_that_the_step_has_too_is_its_own_and_no_warning(each_executor):
    step = tr.capture(lambda x: tr.inv(x))
    for _ in range(4):
        step(tr.tensor([[2.0, 0.0], [0.0, 4.0]]))
    with pytest.raises(ValueError, match="Singular matrix"):
        step(tr.ones((2, 2)))


def test_a_fault_of_a_program_is_noticed_and_the_result_is_the_steps(each_executor, monkeypatch):
    step = tr.capture(lambda x: tr.exp(x) * 2.0)
    for _ in range(4):
        step(tr.ones(2))
    (variant,) = step._variants

    def broken(*arguments):
        raise ChangedError from NameError("name 't3' is not defined")

    monkeypatch.setattr(variant, "replay", broken)
    with pytest.warns(UserWarning, match=r"a replay ended with NameError: name 't3' is not defined"):
        assert step(tr.zeros(2)).tolist() == [2.0, 2.0]
