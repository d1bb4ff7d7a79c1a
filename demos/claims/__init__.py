"""What the chapter claims, sentence by sentence, each put to the test with real data."""

from __future__ import annotations

from ..base import Demo
from ..seeds import Tick
from .chapter import CLAIMS
from .lab import Lab
from .page import Run, losses, report


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """All claims. What several of them ask for is measured once."""
    lab, pairs = Lab(seed, fast), []
    for claim in CLAIMS:
        pairs.append([test.pair(lab) for test in claim.tests])
        tick()
    return Run(pairs, losses(lab))


DEMO = Demo(
    name="claims",
    section="6.1 to 6.9",
    question="Which claims of the chapter hold, and where?",
    seconds=330,
    seeds=10,
    steps=lambda fast: len(CLAIMS),
    measure=measure,
    report=report,
)
