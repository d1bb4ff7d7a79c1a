"""The mistakes of code of any kind: each is made where it could be, and nothing else is."""

import ast
import contextlib
import linecache
import types

import pytest

from tinyreg.testing.mutation.mistakes import MISTAKES, RULES, mistakes
from tinyreg.testing.mutation.source import mutants


def function(body, *parameters, **names):
    """A function whose source is at hand, as that of a module is."""
    text = f"def f({', '.join(parameters)}):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    file = f"<{hash(text)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    module = types.ModuleType("made")
    vars(module).update(names)
    exec(compile(text, file, "exec"), vars(module))
    return module.f


def made(body, *parameters):
    """What is put in place of what, in all mutants of a function."""
    return {m.name.replace("`", "") for m in mutants(function(body, *parameters), usual=mistakes)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return draw(low, high)", "draw(low, high) -> draw(high, low)"),
        ("return xp.sum(x, dtype=wide)", "xp.sum(x, dtype=wide) -> xp.sum(x)"),
        ("return xp.sum(x, axis=0)", "xp.sum(x, axis=0) -> xp.sum(x, axis=-1)"),
        ("return x[n]", None),
        ("return x[3]", "3 -> 4"),
        ("return x[-1]", "-1 -> 0"),
        ("return x[-2]", "-2 -> -3"),
        ("return low < high", "low < high -> low <= high"),
        ("return 0 < low <= high", "0 < low <= high -> 0 < low"),
        ("return 0 < low <= high", "0 < low <= high -> low <= high"),
        ("return x.copy()", "x.copy() -> x"),
        ("return [*x]", "[*x] -> x"),
        ("return x * scale", "x * scale -> x"),
        ("return x * 1e-06", "1e-06 -> 1e-06 * 1000.0"),
        ("return x * 0.5", "0.5 -> 0.5 * 1.1"),
        ("return np.array_equal(x, y)", "np.array_equal(x, y) -> np.allclose(x, y)"),
        ("return all(x)", "all(x) -> any(x)"),
        ("return low and high", "low and high -> low or high"),
        ("return low and high", "low and high -> high"),
        ("return not low", "not low -> low"),
        ("return low // high", "low // high -> -(-low // high)"),
        ("return -(-low // high)", "-(-low // high) -> low // high"),
        ("return math.ceil(low)", "math.ceil(low) -> math.floor(low)"),
        ("return [low, high]", "[low, high] -> [high]"),
        ("return {1: low, 2: high}", "{1: low, 2: high} -> {1: low}"),
        ("return x in (low, high)", "x in (low, high) -> x in (low,)"),
        ("return [f(y) for y in x]", " for y in x ->  for y in [*x][:1]"),
        ("return [f(y) for y in x if y > 1 if y]", " for y in x if y > 1 if y ->  for y in x if y"),
        ("return [f(y) for y in (low, high)]", " for y in (low, high) ->  for y in (high,)"),
        ("return x if low else y", "x if low else y -> y"),
        ("return [*range(low)]", "range(low) -> range(low - 1)"),
        ("if low:\n    return x", "if low: -> if True:"),
        ("if low:\n    return x", "if low: -> if False:"),
        ("x.append(y)", "x.append(y) -> "),
        ("x.y = low", "x.y = low -> "),
        ("x = f(x)\nreturn x", "x = f(x) -> "),
        ("x += low", "x += low -> x = low"),
        ("x += low", "x += low -> "),
        ("x, y = draw(low)\nreturn x, y", "x, y = draw(low) -> if 'the first for all':"),
        ("try:\n    x()\nfinally:\n    y()", "try: -> if 'nothing comes last':"),
        ("with low:\n    x()", "with low: -> if 'not entered':"),
    ],
)
def test_a_mistake_is_made(body, expected):
    found = made(body, "x", "y", "low", "high")
    assert expected in found if expected else found == set()


def outcomes(body, *arguments):
    """What the mutants of a body do with some arguments, by the name of the mutant and its number."""
    found = {}
    for mutant in mutants(function(body, "given"), usual=mistakes):
        with contextlib.suppress(Exception):
            found[mutant.name.replace("`", "")] = mutant.function(*arguments)
    return found


class Door:
    """Something that is open within a `with`."""

    def __init__(self):
        self.is_open, self.times = False, 0

    def __enter__(self):
        self.is_open, self.times = True, self.times + 1
        return self

    def __exit__(self, *_):
        self.is_open = False


def test_a_with_may_end_only_where_all_goes_well():
    body = "with given as door:\n    door.wrong.attribute"
    door = Door()
    with pytest.raises(AttributeError):
        function(body, "given")(door)
    assert not door.is_open
    (mutant,) = [m for m in mutants(function(body, "given"), usual=mistakes) if m.name.startswith("`with")]
    with pytest.raises(AttributeError):
        mutant.function(door)
    assert door.is_open
    assert door.times == 2


def test_a_with_may_be_left_out():
    made = mutants(function("with given:\n    return given.is_open", "given"), usual=mistakes)
    assert {m.function(Door()) for m in made if m.name.startswith("`with")} == {True, False}


def test_what_comes_last_may_come_only_where_all_goes_well_or_not_at_all():
    body = "try:\n    given.append(given[0])\nfinally:\n    given.append(2)"
    well, badly = [], []
    for mutant in mutants(function(body, "given"), usual=mistakes):
        if mutant.name.startswith("`try"):
            right, wrong = [1], []
            mutant.function(right)
            with pytest.raises(IndexError):
                mutant.function(wrong)
            well.append(right)
            badly.append(wrong)
    assert well == [[1, 1, 2], [1, 1]]
    assert badly == [[], []]


def test_what_is_caught_may_come_through():
    body = "try:\n    return given[0]\nexcept IndexError:\n    return None"
    (mutant,) = [m for m in mutants(function(body, "given"), usual=mistakes) if m.name.startswith("`try")]
    with pytest.raises(IndexError):
        mutant.function([])


def test_one_of_several_results_may_stand_for_all():
    assert outcomes("one, other = given\nreturn one, other", (1, 2))["one, other = given -> if 'the first for all':"] == (
        1,
        1,
    )


def test_texts_are_left_alone():
    found = made("return f('low', low, expected='a number')", "low")
    assert found == set()
    assert made("raise ValueError(f'{1 + 1}')") == set()


def test_a_rule_does_not_take_several_for_one():
    assert "[*x] -> x" not in made("return [*x, y]", "x", "y")
    assert not any("asarray" in name for name in made("return np.array(*x)", "x"))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_makes_a_mutant(rule):
    before = rule.partition(" -> ")[0]
    assert [m.name for m in mutants(function(f"return {before}", *"ABCD"), usual=mistakes)]


def test_every_kind_of_place_has_a_mistake():
    bodies = "x = not -x\nif x < 1 and True:\n    x += x[a:b](1)\nfor i in x:\n    i()\nwith x:\n    i()\n"
    bodies += "try:\n    i()\nfinally:\n    j()\n[i for i in x]; {1, 2}; {1: 2, 2: 3}; [1, 2]; x.y = 1 if x else 2 + 3"
    tree = ast.parse(bodies)
    kinds = {type(node) for node in ast.walk(tree)}
    assert kinds >= MISTAKES.keys()
