"""Mutants that are no mistake: rules over the syntax tree, by room, each with the reason.

How a rule is written stands in tinyreg/testing/mutation/rules.py; the name of a mutant, without its quotes, is one too. ""
holds for all rooms. The name of a function in front, as `Generator.seed: A -> B`, narrows a rule to it. A rule that fits a
mutant which a test notices is reported.
"""

from __future__ import annotations

from engine_mutants import EQUIVALENT as OF_THE_ENGINE

NEVER_RAISES = "what is inside does not raise"
FASTER = "the other way gives the same, in more time"
LOCKED = "only threads that meet within one instruction of the other could tell"
WHOLE = "it is a whole number"

EXPLAINED: dict[str, dict[str, str]] = {
    "": {},
    "core": OF_THE_ENGINE | {},
    "dropout": {
        "spatial_dropout: getattr(x, 'ndim', 0) -> getattr(x, 'ndim', 1)": "both are less than 2",
        "scale_of: 1.0 -> 1.0 * 1.1": "nothing is left that it could multiply",
        "gaussian_dropout: widened(x) -> x": "the noise has the wide dtype, and so has the product",
    },
    "random": {
        "with _making: ... -> if not 'left only where all goes well': ...": NEVER_RAISES,
        "_host: if host is None: -> if True:": FASTER,
        "Generator.seed: with _making: ... -> if 'not entered': ...": LOCKED,
        "with A.lock: ... -> if 'not entered': ...": LOCKED,
        "bernoulli: A if B else () -> A": FASTER,
        "bernoulli: int(A) -> round(A)": WHOLE,
        "bernoulli: A.random(B) < C -> A.random(B) <= C": "one draw in 2^53 equals it",
    },
}
