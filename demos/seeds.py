"""Measuring over seeds: each in a process of its own where there are several cores, under one progress bar.

What is finished is stored, so that a run that was interrupted goes on where it was.
"""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

import tinyreg as tr
from tinyreg.interrupts import Interrupts

from . import sizes

T = TypeVar("T")
Tick = Callable[[], Any]
"""Called after each piece of a measurement: it moves the progress bar by one."""
POLLED = 0.2  # seconds


@dataclass(frozen=True)
class Work(Generic[T]):
    """What to measure: measure(seed, fast, tick), which calls tick() `steps` times, on a backend, at a size.

    finished: the folder where what is finished is stored, and taken from; None for none.
    """

    measure: Callable[[int, bool, Tick], T]
    fast: bool
    backend: str
    steps: int
    finished: Path | None = None
    size: str = sizes.SMALL

    def of(self, seed: int, tick: Tick) -> T:
        """What is measured for a seed, or was before."""
        with tr.use(self.backend), sizes.use(self.size):
            if self.finished is None:
                return self.measure(seed, self.fast, tick)
            from joblib import Memory

            measure = Memory(self.finished / self.backend / self.size / code(), verbose=0).cache(
                self.measure, ignore=["tick"]
            )
            if measure.check_call_in_cache(seed, self.fast, tick):
                for _ in range(self.steps):
                    tick()
            found: T = measure(seed, self.fast, tick)
            return found


@functools.cache
def code() -> str:
    """A text that is another one where any code of the demos or of tinyreg, or NumPy's version, is another."""
    folders = Path(__file__).parent, Path(tr.__file__).parent
    texts = [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py"))]
    return hashlib.sha256(b"\0".join([*texts, version("numpy").encode()])).hexdigest()[:16]


def over_seeds(work: Work[T], seeds: int, jobs: int, interrupts: Interrupts | None = None) -> list[T]:
    """What is measured for each seed, in order, by as many processes as `jobs` says.

    Ctrl-C ends it with the seeds that are finished.
    """
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    done: dict[int, T] = {}
    # One thread: these matrices are small, and threads that wait for each other cost more than they bring.
    with threadpool_limits(1), tqdm(total=seeds * work.steps, dynamic_ncols=True) as bar:
        try:
            with (interrupts or Interrupts()).through():
                each = in_turn(work, seeds, bar) if jobs == 1 else side_by_side(work, seeds, jobs, bar)
                for seed, measured in each:
                    done[seed] = measured
                    bar.set_description(f"{len(done)} of {seeds} seeds")
        except KeyboardInterrupt:
            bar.set_description(f"stopped after {len(done)} of {seeds} seeds")
    return [done[seed] for seed in sorted(done)]


def in_turn(work: Work[T], seeds: int, bar: Any) -> Iterator[tuple[int, T]]:
    """The seeds and what is measured for them, one after the other in this process."""
    for seed in range(seeds):
        yield seed, work.of(seed, bar.update)


def side_by_side(work: Work[T], seeds: int, jobs: int, bar: Any) -> Iterator[tuple[int, T]]:
    """The same, in processes, as they come."""
    new = multiprocessing.get_context("spawn")  # a fork would copy the threads of a BLAS, and hang
    ticks, stop = new.Value("i", 0), new.Event()
    with ProcessPoolExecutor(jobs, new, _Process.start, (ticks, stop)) as processes:
        running = {processes.submit(_Process.measure, work, seed): seed for seed in range(seeds)}
        try:
            while running:
                ready, _ = wait(running, POLLED, FIRST_COMPLETED)
                bar.update(ticks.value - bar.n)
                for future in ready:
                    yield running.pop(future), future.result()
        finally:
            stop.set()
            processes.shutdown(cancel_futures=True)


class _Process:
    """A process that measures: what it shares with the one that shows the bar."""

    ticks: Any
    stop: Any

    @classmethod
    def start(cls, ticks: Any, stop: Any) -> None:
        """Begin: Ctrl-C is for the process that shows the bar, which says when to stop."""
        from threadpoolctl import threadpool_limits

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        cls.ticks, cls.stop = ticks, stop
        threadpool_limits(1)

    @classmethod
    def measure(cls, work: Work[T], seed: int) -> T:
        """What is measured for one seed."""
        return work.of(seed, cls.tick)

    @classmethod
    def tick(cls) -> None:
        """One piece is done; `KeyboardInterrupt` where it is to be the last."""
        if cls.stop.is_set():
            raise KeyboardInterrupt
        with cls.ticks.get_lock():
            cls.ticks.value += 1
