"""The derivative along a direction by differences, how far that may be off, and what it says of a gradient.

**The question.** f takes a flat vector and gives one. At x, for an incoming gradient v, somebody claims that g is the
gradient of v.f. Along a direction u the claim is one number: v.f(x + hu) must change like h (g.u) as h goes to 0.

**Sampling** (`sampling`). The central difference

    D(h) = v.(f(x + hu) - f(x - hu)) / 2h = v.f'(x)u + c2 h^2 + c4 h^4 + ...

is wrong in two ways. The terms in h^2 shrink with h; rounding, about noise / h, grows. So h begins at a twentieth of the
distance over which f changes (`scale`), but never reaches a known kink (`reach`), and is halved up to 8 times, until
rounding has taken over. The noise is not guessed but seen: f is evaluated at inputs a few roundings away, and at pairs of
inputs so close that no curvature shows between them. The outputs that a direction does not move are left out.

**Extrapolation** (`extrapolation`). Two steps h and h/2 together cancel the term in h^2: (4 D(h/2) - D(h)) / 3. Three
cancel the one in h^4 too. Neville's table holds all such combinations; this is Richardson's extrapolation. An entry that
differs little from its neighbours has settled. How much it differs, and the rounding in what it is made of, is its
estimated error, and the entry with the smallest is taken.

**Judging** (`judging`). What is extrapolated is D(h) - g.(what x really moved by) / 2h, whose limit is 0 where g is right:
the rounding of x + hu then does not count. The claim

- **fails** where the limit is further from 0 than the tolerance. That is 4 times the estimated error, 8 at second order;
  what rounding the inputs does to g itself, but at most 1e-6 of it; and 16 roundings of g.
- is **unresolved** where the tolerance is so wide that an error of 1e-6 would go unseen, where f is not finite around x,
  and where its changes nearby make no sense. Such a check has shown nothing, and is never counted as passed.
- **passes** otherwise.

Two things would fool an extrapolation. A kink inside the steps: one tiny step (2^-20 of the scale) tells, and where it
disagrees its disagreement is part of the error. A kink at x itself: the slopes to the left and to the right differ, and go
on doing so at smaller steps. A gradient between the two is unresolved, any other fails.

Where a gradient seems wrong, f is looked at again with many more pairs and smaller steps before that is said. And where one
scale does not tell, the next is tried (`Ladder`).

Nothing here knows of tensors. Sources: Richardson, "The approximate arithmetical solution by finite differences", 1911;
Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", 1982, for choosing the entry.
"""

from __future__ import annotations

from .extrapolation import extrapolated
from .judging import RESOLUTION, Finding, Ladder, Verdict, compare
from .sampling import EPSILON, Floats, Function, Probe, directions, evaluated, jittered

__all__ = [
    "EPSILON",
    "RESOLUTION",
    "Finding",
    "Floats",
    "Function",
    "Ladder",
    "Probe",
    "Verdict",
    "compare",
    "directions",
    "evaluated",
    "extrapolated",
    "jittered",
]
