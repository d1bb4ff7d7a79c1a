"""Mutants from source: the right function is found, each kind of mistake is made, and the mutants run."""

import ast
import functools
import linecache
import math
import types

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.primitive import REGISTRY
from tinyreg.testing.mutation.locate import compiled, located
from tinyreg.testing.mutation.source import helpers, mutants

RULES = [
    pytest.param(rule[1], id=f"{op.name}-{i}")
    for op in REGISTRY.values()
    if str(op.__module__).startswith("tinyreg.")
    for i, rule in enumerate(op.rules)
]


def lines(f):
    return [m.line for m in mutants(f)]


def named(f, name):
    return next(m.function for m in mutants(f) if m.name == name)


def as_it_stands(f):
    """f, found in its source and compiled without a change."""
    return compiled(f, located(f))


# ---- forms of functions


def declared(*arguments, **_):
    return lambda f: f


@declared("x", key=lambda g, x, y: g - x - y)
@declared("y")
def decorated(g, x, y):
    """An example."""
    return g * x + y


ROWS = [
    ("exp", lambda x: math.exp(x), lambda g, y: g * y, "text"),
    (
        "sqrt",
        lambda x: math.sqrt(x),
        lambda g, y: (
            g
            / (2 * y)
        ),
    ),
    ("choice", lambda g, y: g if y > 0 else -g, lambda g, y: y if g > 0 else -y, lambda g, y: g - y),
]  # fmt: skip


def a_table_of(k, bias=0.5):
    def inner(g, x):
        return g * x + k

    return inner, lambda g, x: g * k - bias, [lambda g: lambda g: g * 3 + k, lambda g: g / k]


def factorial(n):
    return 1 if n <= 1 else n * factorial(n - 1)


def with_defaults(g, x=2.0, *rest, scale=3.0, key=lambda a: a + 1, **more):
    return key(g) * x * scale + len(rest) + len(more)


INNER, CLOSED, (NESTED, DIVIDED) = a_table_of(7.0)
FORMS = {
    "decorated def": (decorated, (3.0, 5.0, 2.0), "return g * x + y"),
    "row": (ROWS[0][2], (3.0, 5.0), "g * y"),
    "second lambda in a line": (ROWS[0][1], (2.0,), "math.exp(x)"),
    "lambda over lines": (ROWS[1][2], (3.0, 5.0), "g / (2 * y)"),
    "choice, first of three in a line": (ROWS[2][1], (3.0, 5.0), "g if y > 0 else -g"),
    "choice, second of three in a line": (ROWS[2][2], (3.0, 5.0), "y if g > 0 else -y"),
    "third of three in a line": (ROWS[2][3], (3.0, 5.0), "g - y"),
    "nested def": (INNER, (3.0, 5.0), "return g * x + k"),
    "closure over two": (CLOSED, (3.0, 5.0), "g * k - bias"),
    "lambda around a lambda": (NESTED, (3.0,), "lambda g: g * 3 + k"),
    "lambda in a lambda": (NESTED(0.0), (3.0,), "g * 3 + k"),
    "lambda after a lambda in a lambda": (DIVIDED, (3.0,), "g / k"),
    "recursive": (factorial, (5,), "return 1 if n <= 1 else n * factorial(n - 1)"),
    "defaults, a lambda among them": (with_defaults, (4.0,), "return key(g) * x * scale + len(rest) + len(more)"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_function_is_found_and_compiled_again(form):
    f, arguments, text = FORMS[form]
    node = located(f)
    assert text == ast.unparse(node.body if isinstance(node, ast.Lambda) else node.body[-1])
    again = as_it_stands(f)
    expected, found = f(*arguments), again(*arguments)
    if callable(expected):
        expected, found = expected(2.0), found(2.0)
    assert found == expected
    assert (again.__name__, again.__qualname__, again.__module__) == (f.__name__, f.__qualname__, f.__module__)
    count = f.__code__.co_argcount
    assert again.__code__.co_varnames[:count] == f.__code__.co_varnames[:count]
    assert (again.__defaults__, again.__kwdefaults__) == (f.__defaults__, f.__kwdefaults__)


@pytest.mark.parametrize("form", FORMS)
def test_names_are_unique_and_the_same_each_time(form):
    f = FORMS[form][0]
    found = [(m.name, m.line) for m in mutants(f)]
    assert found
    assert len({name for name, _ in found}) == len(found)
    assert [(m.name, m.line) for m in mutants(f)] == found


def test_mutants_are_called_as_the_function_is():
    assert named(decorated, "`g * x` -> `g / x`")(3.0, 5.0, 2.0) == 3.0 / 5.0 + 2.0
    assert named(ROWS[0][2], "`g * y` -> `g`")(3.0, 5.0) == 3.0
    assert named(ROWS[2][2], "`g > 0` -> `g < 0`")(3.0, 5.0) == -5.0
    assert named(INNER, "`g * x + k` -> `g * x - k`")(3.0, 5.0) == 8.0
    assert named(CLOSED, "`g * k` -> `g`")(3.0, 5.0) == 2.5
    assert named(with_defaults, "`key(g)` -> `g`")(4.0, 1.0, scale=2.0) == 8.0
    assert named(factorial, "`n - 1` -> `1`")(5) == 5


def test_a_mutant_sees_the_cells_of_the_function():
    k = 1.0

    def f(g):
        return g * k

    doubled = named(f, "`g * k` -> `g / k`")
    k = 4.0
    assert doubled(8.0) == 2.0


def test_a_mutant_sees_the_globals_of_the_module(monkeypatch):
    wrong = named(factorial, "`n - 1` -> `n`")
    monkeypatch.setitem(globals(), "factorial", lambda n: 10)
    assert wrong(3) == 30


def test_a_partial():
    partial = functools.partial(decorated, 3.0, y=2.0)
    found = mutants(partial)
    assert [m.name for m in found] == [m.name for m in mutants(decorated)]
    assert found[0].function(5.0) == mutants(decorated)[0].function(3.0, 5.0, 2.0)


def test_no_source_no_mutants():
    scope = {}
    exec("def f(g):\n    return g * 2", scope)
    for f in (scope["f"], eval("lambda g: g * 2"), len, math.sqrt, functools.partial(max, 1), tr.exp, None):
        assert mutants(f) == []


def test_text_that_is_no_python_and_text_that_has_changed():
    def made(text, now):
        linecache.cache["<here>"] = (len(now), None, now.splitlines(keepends=True), "<here>")
        scope = {}
        exec(compile(text, "<here>", "exec"), scope)
        return mutants(scope["f"])

    text = "def f(g, x):\n    return g * x\n"
    try:
        assert made(text, text)
        assert made(text, "%magic\n" + text) == []
        assert made(text, "\n" + text) == []
        assert made(text, "def f(g, y):\n    return g * y\n") == []
        assert made(text, "def f(g, x):\n    pass\n") == []
    finally:
        del linecache.cache["<here>"]


def test_annotations_are_not_evaluated():
    scope = {}
    text = "from __future__ import annotations\ndef f(g: Missing):\n    x: Gone = g * 2\n"
    text += "    def h(a: Lost): return a\n    return h(x)\n"
    linecache.cache["<here>"] = (len(text), None, text.splitlines(keepends=True), "<here>")
    try:
        exec(compile(text, "<here>", "exec"), scope)
        assert named(scope["f"], "`g * 2` -> `g / 2`")(3.0) == 1.5
        assert not any("Missing" in m.name or "Gone" in m.name or "Lost" in m.name for m in mutants(scope["f"]))
    finally:
        del linecache.cache["<here>"]


# ---- operators: what each makes of a line

OPERATORS = {
    "sum": (lambda g, x: g + x, ["g - x", "g", "x", "-(g + x)", "x + x", "g + g"]),
    "difference": (lambda g, x: g - x, ["g + x", "x - g", "g", "x", "-(g - x)", "x - x", "g - g"]),
    "product": (lambda g, x: g * x, ["g / x", "g", "x", "-(g * x)", "x * x", "g * g"]),
    "quotient": (lambda g, x: g / x, ["g * x", "x / g", "g", "-(g / x)", "x / x", "g / g"]),
    "matrices": (lambda g, x: g @ x, ["x @ g", "g", "x", "-(g @ x)", "x @ x", "g @ g"]),
    "power": (lambda g: g**2, ["g ** 3", "g ** 1", "2 ** g", "g", "-g ** 2", "g ** (-2)", "g ** 0"]),
    "power of a name": (lambda g, *, n: g**n, ["g ** (n + 1)", "g ** (n - 1)", "n ** g", "g", "-g ** n"]),
    "sign": (lambda g: -g, ["g"]),
    "no sign": (lambda g: g, ["-g"]),
    "whole number": (lambda g: g + 2, ["g + 3", "g + -2", "g + 0", "g + 1"]),
    "half": (lambda g: g + 0.5, ["g + 1.5", "g + -0.5", "g + 0.0", "g + 1.0", "g + 0.505"]),
    "negative number": (lambda g: g[-1], ["g[0]", "g[1]", "g"]),
    "nought": (lambda g: g[0], ["g[1]", "g[-1]", "g"]),
    "truth": (lambda g: g.copy(order=True), ["g.copy(order=False)", "g.copy()", "g"]),
    "greater": (lambda g: g > 0.5, ["g >= 0.5", "g < 0.5"]),
    "greater or equal": (lambda g: g >= 0.5, ["g > 0.5", "g < 0.5"]),
    "less": (lambda g: g < 0.5, ["g <= 0.5", "g > 0.5"]),
    "less or equal": (lambda g: g <= 0.5, ["g < 0.5", "g > 0.5"]),
    "equal": (lambda g: g == 0.5, ["g != 0.5"]),
    "unequal": (lambda g: g != 0.5, ["g == 0.5"]),
    "none": (lambda g: g is None, ["g is not None"]),
    "in": (lambda g: g in "ab", ["g not in 'ab'"]),
    "and": (lambda g, x: g and x, ["g or x", "g", "x"]),
    "choice": (lambda g, x: g if x else -g, ["-g if x else g", "g", "-g", "g if x else g", "g if g else -g"]),
    "call": (lambda g, x: divmod(g, x), ["g", "x", "divmod(x, g)", "-divmod(g, x)"]),
    "where": (lambda g, x: np.where(x, g, 0.0), ["x", "g", "0.0", "np.where(g, x, 0.0)", "np.where(x, 0.0, g)"]),
    "method": (lambda g: g.sum(), ["g"]),
    "keepdims": (lambda g: sum(g, keepdims=True), ["sum(g, keepdims=False)", "sum(g)"]),
    "keepdims by name": (lambda g, *, keepdims: sum(g, keepdims=keepdims), ["sum(g, keepdims=not keepdims)", "sum(g)"]),
    "last axis": (lambda g: sum(g, axis=-1), ["sum(g, axis=0)", "sum(g, axis=None)", "sum(g)"]),
    "first axis": (lambda g: sum(g, axis=0), ["sum(g, axis=-1)", "sum(g, axis=1)", "sum(g, axis=None)", "sum(g)"]),
    "axis": (
        lambda g, axis: sum(g, axis=axis),
        ["sum(g, axis=None)", "sum(g, axis=axis + 1)", "sum(g, axis=0)", "sum(g, axis=-1)", "sum(g)"],
    ),
    "axis by position": (lambda g, axis: sum(g, axis), ["sum(g, None)", "sum(g, axis + 1)", "sum(g, -1)", "g"]),
    "shape of another": (lambda g, x, y: g.reshape(x.shape), ["g.reshape(g.shape)", "g.reshape(y.shape)", "g"]),
    "shape of a like": (lambda g, x_like, y_like: g(x_like.shape), ["g(y_like.shape)"]),
    "shape of the array of a like": (lambda g, x_like: [g, x_like.shape], ["[g, g.shape]"]),
    "several results": (lambda g, x: (g, x), ["(x, g)", "(None, x)", "(g, None)", "(-g, x)", "(g, -x)"]),
    "a list of results": (lambda g, x: [g, x], ["[x, g]", "[None, x]", "[g, None]", "[-g, x]", "[g, -x]"]),
    "slice": (lambda g: g[1:], ["g[2:]", "g[0:]", "g[-1:]", "g[1:-1]", "g"]),
    "whole slice": (lambda g: g[:], ["g[1:]", "g[:-1]"]),
    "slice by name": (lambda g, *, n: g[n : n + 2], ["g[n + 1:n + 2]", "g[n:n + 2 - 1]", "g[n:n]", "g[n:n - 2]"]),
    "text": (
        lambda g: f"{','.join(g)!r}: {len(g):{g[0]}}",
        ["""f"{','!r}: {len(g):{g[0]}}\"""", """f"{','.join(g)!r}: {len(g):{g}}\""""],
    ),
    "filter": (lambda g: [a for a in g if a], ["[a for a in g]"]),
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator(operator):
    f, expected = OPERATORS[operator]
    assert set(expected) <= set(lines(f))


def test_no_mutant_is_the_function_itself_or_another_mutant():
    for f, _ in OPERATORS.values():
        found = lines(f)
        assert len(set(found)) == len(found)
        assert ast.unparse(located(f).body) not in found
        assert not any("--" in line for line in found)


def test_the_same_in_another_form_is_no_mistake():
    assert "max(x, g)" not in lines(lambda g, x: max(g, x))
    assert "g" not in lines(lambda g: list(g))
    assert "np" not in lines(lambda g: np.exp(g))
    assert "x + g" not in lines(lambda g, x: g + x)


def test_local_names_are_exchanged_for_arrays_and_settings_for_settings_of_their_kind():
    def f(g, x, axis1: int, axis2: int, keepdims: bool, xp):
        n = x.shape
        return {0: n, 1: axis1, 2: keepdims, 3: xp}

    found = {m.name for m in mutants(f)}
    assert {"`n` -> `g`", "`n` -> `x`", "`axis1` -> `axis2`"} <= found
    assert not any(name.startswith(("`axis1` -> `g", "`keepdims` ->", "`xp` ->")) for name in found)


def test_statements():
    def f(g, x):
        if x > 0:
            g = g * x
            x = -x
        else:
            g = x
        for i in range(3):
            g += i
        return g

    found = {(m.name, m.line) for m in mutants(f)}
    assert ("`if x > 0:` -> `if not x > 0:`", "if not x > 0:") in found
    assert ("`g = g * x` -> ``", "") in found
    assert ("`g += i` -> ``", "") in found
    assert ("`g += i` -> `g -= i`", "g -= i") in found
    assert not any(name.startswith("`g = x`") for name, _ in found)
    assert named(f, "`g = g * x` -> ``")(2, 5) == 5
    assert named(f, "`g += i` -> `g -= i`")(2, 5) == 7
    assert named(f, "`if x > 0:` -> `if not x > 0:`")(2, 5) == 8


def test_the_last_statement_may_be_the_one_left_out():
    def f(g, box):
        box[0] = box[0] + g

    box = [1.0]
    named(f, "`box[0] = box[0] + g` -> ``")(3.0, box)
    assert box == [1.0]


def test_messages_checks_and_annotations_are_left_alone():
    def f(g: "int", x: "1 + 1" = 3) -> "2 * 2":
        """1 + 1."""
        y: 5 - 4 = g
        if x < 0:
            raise ValueError("got " + str(x * 2))
        assert x > -5, "expected " + str(x + 1)
        return dict(zip(y, g, strict=True))

    text = "\n".join(lines(f))
    for untouched in ("1 + 1", "2 * 2", "5 - 4", "got", "expected", "strict=False", "zip(y, g)"):
        assert untouched not in text
    assert "if x <= 0:" in text


# ---- loops


def rounds(g, n):
    i, steps, stack = 0, 0, [n]
    double = i + i
    while i < n and stack:
        steps = steps + 2
        double += 1
        if steps > 100:
            break
        if g > 0:
            i = i + 1
        elif g < 0:
            i = i + 2
        else:
            i = n
        stack.append(stack.pop() + 1)
    return steps * g


def roots(x, tolerance):
    y = x
    while True:
        better = (y + x / y) / 2
        if abs(better - y) <= tolerance:
            return better
        y = better


def test_what_keeps_a_while_going_is_left_alone():
    text = "\n".join(lines(rounds))
    for untouched in ("i", "n", "stack"):
        assert f"{untouched} = {untouched} " not in text
    assert "while" not in text
    assert "if" not in text
    assert "return steps / g" in text
    assert "double -= 1" in text
    assert not any("better" in line or "y" in line for line in lines(roots) if not line.startswith("return"))


@pytest.mark.parametrize(("f", "arguments"), [(rounds, (3.0, 4)), (roots, (2.0, 1e-9))])
def test_mutants_of_a_loop_end(f, arguments):
    for mutant in mutants(f):
        mutant.function(*arguments)


# ---- helpers


def reached(g):
    return further(g)


def further(g):
    return g


def by_attribute_only(g):
    return g


def test_helpers_are_what_functions_call_by_a_global_name():
    def f(g):
        return [reached(a) for a in g.by_attribute_only]

    assert helpers([f]) == [reached, further]
    assert helpers([functools.partial(f, 1.0), f]) == [reached, further]
    assert helpers([tr.exp, None, len]) == []


def test_helpers_of_a_package_and_not_beyond_some_of_them():
    vjp = tr.mean.rules[0][1]
    found = helpers([vjp])
    assert {"restored", "count", "axes_of"} <= {f.__name__ for f in found}
    assert all(isinstance(f, types.FunctionType) and f.__module__.startswith("tinyreg.") for f in found)
    assert helpers([vjp], {f.__name__ for f in found}) == []


# ---- the VJPs of this package


@pytest.mark.parametrize("vjp", RULES)
def test_every_vjp_has_mutants_that_keep_its_parameters(vjp):
    found = mutants(vjp)
    assert found
    assert len({m.name for m in found}) == len(found)
    count = vjp.__code__.co_argcount
    for mutant in found:
        assert mutant.function.__code__.co_varnames[:count] == vjp.__code__.co_varnames[:count]
        assert mutant.function.__globals__ is vjp.__globals__


def test_every_helper_of_a_vjp_has_mutants():
    for helper in helpers([rule.values[0] for rule in RULES]):
        assert mutants(helper), helper


def test_mutants_of_vjps_give_other_values():
    g, x1, x2 = np.array([1.5, -0.7]), np.array([0.3, 2.1]), np.array([-1.2, 0.4])
    for vjp, arguments in ((tr.multiply.rules[0][1], (g, x1)), (tr.atan2.rules[0][1], (g, x1, x2))):
        names = vjp.__code__.co_varnames[: vjp.__code__.co_argcount]
        assert len(names) == len(arguments)
        right = vjp(*arguments)
        for mutant in mutants(vjp):
            assert not np.allclose(mutant.function(*arguments), right), mutant.name
