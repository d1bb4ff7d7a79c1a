"""Options and fixtures for every test: on which backend it runs, how long Hypothesis searches, and no state left behind."""

from __future__ import annotations

import functools
import gc
import os
import re
import signal

import pytest
import standin
from hypothesis import settings
from threadpoolctl import threadpool_limits

import tinyreg as tr
from tinyreg.core import backend as backends
from tinyreg.core import tape
from tinyreg.testing import PROFILES, Case, use_profile

BACKENDS = ("numpy", "standin", "cupy")

# A job in the background ignores Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A worker has one core: threads that wait for each other there cost more than they bring. So here, and in what is started.
threadpool_limits(1)
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

os.environ["TINYREG_CACHE"] = ""  # machine code of tests is not for the user's own folder

standin.install()

for name, profile in PROFILES.items():
    settings.register_profile(name, profile)


def pytest_addoption(parser):
    group = parser.getgroup("tinyreg")
    group.addoption("--backend", choices=(*BACKENDS, "all"), default="all", help="run backend tests on this one only")
    group.addoption("--profile", choices=list(PROFILES), help="how long Hypothesis searches: fast if not said")
    group.addoption("--programs", type=int, metavar="N", help="how many random programs the engine is tried with")
    group.addoption("--op", metavar="NAME", help="run what is asked of this op in the table of cases, and nothing else")


def pytest_configure(config):
    chosen = config.getoption("--profile") or config.getoption("--tinyreg-profile", None) or "fast"
    use_profile(chosen)
    if not config.getoption("--hypothesis-profile", None):
        settings.load_profile(chosen)


def pytest_ignore_collect(collection_path, config):
    """With --op, pass over the files that name neither the op nor a list of all: to import them takes longest."""
    if (op := config.getoption("--op")) is None or collection_path.suffix != ".py":
        return None
    about = rf"\b({re.escape(op)}|cases|__all__)\b"
    return None if re.search(about, collection_path.read_text(encoding="utf-8")) else True


def pytest_collection_modifyitems(config, items):
    """The tests of a file that are about one case come together: what the first one draws serves them all.

    With --op, keep the tests that have the op's case, or its name, as a parameter.
    """
    places = {}
    for i, item in enumerate(items):
        case = _parameters(item).get("case")
        places[item] = places.setdefault((item.path, case), i) if isinstance(case, Case) else i
    items.sort(key=places.get)
    if (op := config.getoption("--op")) is None:
        return
    about = [item for item in items if op in map(str, _parameters(item).values())]
    if not about:
        raise pytest.UsageError(f"--op: got {op!r}, expected the name of a case, such as 'softplus' or 'Linear'")
    config.hook.pytest_deselected(items=[item for item in items if item not in about])
    items[:] = about


def _parameters(item):
    return getattr(getattr(item, "callspec", None), "params", {})


def pytest_collection_finish():
    """What is there before the first test stays: the many collections of garbage, which tests ask for too, pass it over."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """A worker for each core, but none where only some of the tests are asked for: they start sooner without."""
    return 0 if config.args_source is config.ArgsSource.ARGS or config.getoption("--op") else None


def pytest_report_header():
    return [f"backend {name}: {_state(name)}" for name in BACKENDS]


def pytest_terminal_summary(terminalreporter, config):
    """Say which backends were not tried: thousands of skipped tests would say it less well, and take their time."""
    if config.getoption("--backend") == "all":
        for name in (name for name in BACKENDS if _state(name) != "ready"):
            terminalreporter.write_line(f"not tried: backend {name}: {_state(name)}")


def pytest_generate_tests(metafunc):
    chosen = metafunc.config.getoption("--backend")
    names = [name for name in BACKENDS if _state(name) == "ready"] if chosen == "all" else [chosen]
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", [_skipped_unless_ready(name) for name in names], indirect=True)
    if "other_backend" in metafunc.fixturenames:  # for comparisons with NumPy, which NumPy could not fail
        metafunc.parametrize("other_backend", [_skipped_unless_ready(name) for name in names if name != "numpy"])


@functools.cache
def _state(name):
    return " ".join(tr.backends()[name].split())


def _skipped_unless_ready(name):
    return pytest.param(name, marks=[] if _state(name) == "ready" else pytest.mark.skip(reason=_state(name)))


@pytest.fixture
def backend(request):
    """The name of the backend on which this run of the test makes its data."""
    with tr.use(request.param):
        yield request.param


@pytest.fixture
def float64():
    """New data, and the parameters of layers, are float64."""
    tr.set_default_dtype("float64")
    yield
    tr.set_default_dtype("float32")


@pytest.fixture(autouse=True)
def no_state_left_behind():
    """Fails a test that leaves a switch of the library other than it found it, and puts the switch back."""
    before, chosen = _switches(), list(backends.chosen_for_process)
    yield
    after = _switches()
    backends.chosen_for_process[:] = chosen
    backends.chosen_for_context._variable.set(before["backend in this context"])
    tr.set_default_dtype(before["default dtype"])
    tape.recording._variable.set(before["recording"])
    left = [f"{name} ({before[name]} before, {after[name]} now)" for name in before if before[name] != after[name]]
    if left:
        pytest.fail(f"the test left behind: {', '.join(left)}", pytrace=False)


def _switches():
    return {
        "default backend": next((name for _, name in backends.chosen_for_process[-1:]), None),
        "backend in this context": backends.chosen_for_context.get(),
        "default dtype": tr.get_default_dtype(),
        "recording": tape.is_recording(),
        "explainer": tape.explainer.get(),
    }
