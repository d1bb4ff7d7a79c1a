"""Ctrl-C at any bytecode, and memory that is short at any call: afterwards all is as before the call, or as after it.

The same call again then does what it would have done. `--profile deep` tries every bytecode and call, otherwise a sample is
tried. What is called stands in `situations`.
"""

import gc
import signal

import pytest
from interrupting import failing, interrupted, moments
from situations import SITUATIONS, switches

import tinyreg as tr
from tinyreg.core import backend

MOST = {"fast": 10, "ci": 200, "deep": None}


def torn(make, how, n):
    """What is wrong after a call that was disturbed at its n-th moment; nothing, if all is as it should be."""
    now, whole = make(), make()
    before, switched, chosen = now.state(), switches(), list(backend.chosen_for_process)
    how(now.call, n)
    backend.chosen_for_process[:] = chosen  # `tr.use` that was not entered yet is a call, which chooses for the process
    whole.call()
    done, after = whole.state(), now.state()
    if switches() != switched:
        yield f"switches are {switches()}, before {switched}"
    yield from (f"{lock} is left locked" for lock in now.locks if lock._is_owned())
    if after not in (before, done):
        yield "half is done"
    elif after == before:
        now.again()
        if now.state() != done:
            yield "another result, when called again"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what comes while Python closes a generator
@pytest.mark.parametrize("how", [interrupted, failing])
@pytest.mark.parametrize("name", SITUATIONS)
def test_all_or_none(name, how, request):
    make, wrong = SITUATIONS[name], []
    first = make()
    if how is failing and not first.may_fail:
        pytest.skip("what changes in place says so where memory is short")
    for n in moments(first.call, how, MOST[request.config.getoption("--profile") or "fast"]):
        wrong += [f"at {n}: {what}" for what in torn(make, how, n)]
    gc.collect()  # what a traceback holds
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("disposition", [signal.SIG_IGN, signal.SIG_DFL, print], ids=["ignored", "default", "own"])
def test_what_the_program_does_about_ctrl_c_stays(disposition):
    w = tr.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    before = signal.signal(signal.SIGINT, disposition)
    try:
        tr.optim.SGD([w], lr=0.1).step()
        assert signal.getsignal(signal.SIGINT) == disposition
    finally:
        signal.signal(signal.SIGINT, before)
