"""Rules for equivalent mutants: what a pattern fits, what it does not, and that names of locals play no part."""

import pytest

from tinyreg.testing.mutation.source import mutants


def fitting(f, rule):
    """The names of the mutants of a function that a rule fits."""
    return {mutant.name for mutant in mutants(f) if mutant.change.fits(rule)}


def local_and_parameter(g, x):
    a = g * x
    if x > 0:
        a = a + g
    return a.sum(axis=1, dtype=g.dtype) if 0 in a else None


def settings(xp, x, *, n):
    for i in range(n):
        x[i] = xp.add(x, i, out=x)
    x.update(n)
    return x


FITS = {
    "A if N in B else None -> A": {
        "`a.sum(axis=1, dtype=g.dtype) if 0 in a else None` -> `a.sum(axis=1, dtype=g.dtype)`",
    },
    "g * A -> g / A": {"`g * x` -> `g / x`"},
    "A * B -> A; B": {"`g * x` -> `g`", "`g * x` -> `x`"},
    "A * B -> B * A": set(),  # no such mutant
    "g.dtype -> x.dtype": {"`g` -> `x` (3)"},
    "a + g -> a": set(),  # a is a local, which has no name in a rule
    "A + g -> A": {"`a + g` -> `a`"},
    "A + A -> A": set(),
    "if x > 0: ... -> if not x > 0: ...": {"`if x > 0:` -> `if not x > 0:`"},
    "if A > 0: ... -> if A >= 0: ...": {"`x > 0` -> `x >= 0`"},
    "A.sum(..., dtype=B) -> A.sum(...)": {"`a.sum(axis=1, dtype=g.dtype)` -> `a.sum(axis=1)`"},
    "A.sum(...) -> A": {"`a.sum(axis=1, dtype=g.dtype)` -> `a`"},
    "A.sum(axis=1) -> A": set(),  # it has another keyword too
    "A.F(dtype=B, axis=1) -> A.F(dtype=B, axis=-1)": {
        "`1` -> `-1`",
        "`a.sum(axis=1, dtype=g.dtype)` -> `a.sum(dtype=g.dtype, axis=-1)`",  # keywords in any order
    },
    "A = A + g -> pass": {"`a = a + g` -> ``"},
}


@pytest.mark.parametrize("rule", FITS)
def test_what_a_rule_fits(rule):
    assert fitting(local_and_parameter, rule) == FITS[rule]


def test_calls_with_more_arguments_and_loops():
    assert fitting(settings, "xp.F(..., out=A) -> xp.F(...)") == {"`xp.add(x, i, out=x)` -> `xp.add(x, i)`"}
    assert fitting(settings, "xp.F(A, out=B) -> xp.F(A)") == set()
    assert fitting(settings, "A.F(B) -> A") == {"`x.update(n)` -> `x`"}


@pytest.mark.parametrize("text", ["", "g * x", "`g * x` -> `g`", "g * -> g", "x: detached arguments", "a -> b -> c"])
def test_what_is_no_rule_fits_nothing(text):
    assert fitting(local_and_parameter, text) == set()


def test_a_rule_fits_whatever_the_locals_are_called():
    def same(g, x):
        other = g * x
        if x > 0:
            other = other + g
        return other.sum(axis=1, dtype=g.dtype) if 0 in other else None

    for rule, names in FITS.items():
        assert len(fitting(same, rule)) == len(names)
