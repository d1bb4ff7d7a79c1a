"""What demos measure in their fast form, once for all tests of a process: most of a demo's time is in these runs."""

import functools
from dataclasses import replace

import tinyreg as tr

SEEDS = (0, 1)


def measured_anew(demo, seed=0, backend="numpy"):
    """What a demo measures for one seed in its fast form; it has to tick as often as it says."""
    ticks = []
    with tr.use(backend):
        run = demo.measure(seed, True, lambda: ticks.append(1))
    assert len(ticks) == demo.steps(True)
    return run


_shared = functools.cache(measured_anew)


def fast_run(demo, seed=0, backend="numpy"):
    """The same, measured once however often it is asked for."""
    return _shared(demo, seed, backend)


def fast_runs(demo, backend="numpy"):
    """Those of two seeds; of one on any backend but NumPy."""
    return [fast_run(demo, seed, backend) for seed in (SEEDS if backend == "numpy" else SEEDS[:1])]


def sharing(demo, backend="numpy"):
    """The demo, with its fast runs from here."""

    def measure(seed, fast, tick):
        assert fast
        for _ in range(demo.steps(fast)):
            tick()
        return fast_run(demo, seed, backend)

    return replace(demo, measure=measure)
