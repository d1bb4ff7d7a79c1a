"""The third derivative: that of the second along a direction, against differences (P20)."""

from __future__ import annotations

import numpy as np

from ..core.tape import walk
from ..core.tensor import Tensor
from .differences import Finding, Ladder, Probe, Verdict, directions
from .failure import short
from .property import BrokenError
from .run import Floats, OpRun, flat, node, parted
from .trial import Trial

LARGEST = 24  # elements: every step is a second derivative


def third_order(trial: Trial) -> list[Finding]:
    """The second derivative, as a function of inputs and incoming gradients, has the gradient that its own tape gives."""
    n = trial.x.size
    if not 0 < n <= LARGEST:
        return []
    rng = trial.rng(16)
    w, t = (rng.integers(4, 25, m) * rng.choice([-0.125, 0.125], m) for m in (n, n + trial.v.size))
    z = np.concatenate([trial.x, trial.v])
    scale, *further = [np.concatenate([scale, np.ones(trial.v.size)]) for scale in trial.scales]
    along = directions(z.size, rng, entries=0, random=1)
    probe = Probe(lambda z: trial.second_gradient(z[:n], z[n:], w), z, t, along, rng, scale=scale, reach=trial.case.reach)
    findings = Ladder(probe, further).compare(lambda z: third_gradient(trial, z[:n], z[n:], w, t), confidence=8.0)
    for one in findings:
        if one.verdict is Verdict.FAIL:
            raise BrokenError(
                "incoming " + ", ".join(short(part) for part in trial.incoming()),
                f"analytic {one.analytic:+.9g}   numeric {one.numeric:+.9g} +- {one.error:.0e}   "
                f"(tolerance {one.tolerance:.1e})",
                f"along the direction {short(one.direction)} of (inputs, incoming)",
            )
    return [one for one in findings if one.unit]  # a constant has no digits to tell


def third_gradient(trial: Trial, x: Floats, v: Floats, w: Floats, t: Floats) -> Floats:
    """Give the gradient, by the tape, of t . second_gradient(x, v, w) with respect to x and to v."""
    forward = OpRun(trial.case, trial.moved(x), trial.wanted)
    incoming = [Tensor(part, requires_grad=True) for part in parted(v, trial.outputs)]
    ends = [*forward.leaves, *incoming]
    reached = forward.pull(incoming, create_graph=True)
    for weights, like in ((w, trial.leaves), (t, ends)):
        pairs = zip(reached, parted(weights, like), strict=True)
        roots = [(node(g), Tensor(part)) for g, part in pairs if g is not None and g.requires_grad]
        table = walk(roots, create_graph=True) if roots else {}
        reached = [table.get(node(end)) for end in ends]
    return flat([np.zeros(end.shape) if g is None else g.data for g, end in zip(reached, ends, strict=True)])
