"""Contexts of tinyreg as decorators."""

import threading

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.safety import checked


def leaf(values, dtype="float64"):
    return tr.tensor(np.array(values, dtype=dtype), requires_grad=True)


def test_explain_is_a_decorator_with_and_without_brackets():
    def explained():
        return tr.core.tape.explainer.get() is not None

    for decorated in (tr.explain(explained), tr.explain()(explained), tr.explain(definitions=True)(explained)):
        assert decorated()
        assert decorated.__name__ == "explained"
        assert not explained()
    with pytest.raises(TypeError, match="explain: got 3, expected a function"):
        tr.explain(3)


def test_unchecked_needs_its_names_also_as_a_decorator():
    assert tr.unchecked("labels")(lambda: checked("labels"))() is False
    with pytest.raises(TypeError, match=r"unchecked: got <function .*, expected any of labels, gradients"):
        tr.unchecked(lambda: None)
    with pytest.raises(ValueError, match="unchecked: got 'label', expected any of labels, gradients"):
        tr.unchecked("label")  # and not only where it is entered


def test_one_context_object_serves_several_threads():
    off, w, inside, errors = tr.no_grad(), leaf(1.0), threading.Barrier(2), []

    def run(first):
        try:
            with off:
                inside.wait()
                assert not (w * 2.0).requires_grad
                if first:
                    inside.wait()
            assert (w * 2.0).requires_grad
            if not first:
                inside.wait()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(first,)) for first in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_what_was_entered_and_is_held_by_nobody_is_left():
    tr.no_grad().__enter__()
    assert tr.ones(1, requires_grad=True).exp().requires_grad
