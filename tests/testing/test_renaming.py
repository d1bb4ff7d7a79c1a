"""To rename what a function calls its locals changes no verdict: the same mutants, killed and excused by the same rules."""

import ast
import contextlib
import copy
import inspect
import linecache

import pytest
from cases import CASES
from cases.equivalent import EQUIVALENT
from engine_mutants import verdicts
from verification import counted, helpers

from tinyreg.core import tape
from tinyreg.testing.mutation import planted, planted_in, tallied
from tinyreg.testing.mutation.locate import located
from tinyreg.testing.mutation.rules import ALWAYS
from tinyreg.testing.mutation.source import local_names

OTHER = "another_"


class Renamed(ast.NodeTransformer):
    """A tree in which some names are others."""

    def __init__(self, names):
        self.names = names

    def visit_Name(self, node):
        return ast.Name(OTHER + node.id if node.id in self.names else node.id, node.ctx)

    def visit_arg(self, node):
        return ast.arg(OTHER + node.arg if node.arg in self.names else node.arg, node.annotation)


@contextlib.contextmanager
def renamed(*functions):
    """Functions with other names for their locals, in memory, as if their files said so."""
    codes = {f: f.__code__ for f in map(inspect.unwrap, functions)}
    for f in codes:
        f.__code__ = rewritten(f)
    try:
        yield
    finally:
        for f, code in codes.items():
            f.__code__ = code


def rewritten(f):
    """The code of a function with other names for its locals; its source is where `linecache` looks for it."""
    node = copy.deepcopy(located(f))
    names = local_names(node)
    assert names, f
    node = Renamed(names).visit(node)
    node.name, node.decorator_list = f.__name__, []
    source = f"from __future__ import annotations\n{ast.unparse(ast.fix_missing_locations(node))}"
    file, made = f"<renamed {f.__module__}.{f.__qualname__}>", {}
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), f.__globals__, made)
    return made[f.__name__].__code__


def without(text):
    """A text with the names as they were."""
    return text.replace(OTHER, "")


def verdict(mutants, cases, rules):
    """What the check finds, and which rules excuse which mutants."""
    tally = tallied(mutants, cases, rules)
    excused = [(without(m.name), key) for m in mutants for key in (*rules, *ALWAYS) if m.fits(key)]
    return counted(tally), [without(name) for name in tally.equivalent], tally.problems, tally.unsound, sorted(excused)


@pytest.mark.parametrize("name", ["max", "linear", "window_max"])
def test_the_locals_of_a_vjp_may_be_called_anything(name):
    case = CASES[name]
    before = verdict(planted(case), [case], case.equivalent)
    with renamed(*(vjp for _, vjp, _ in case.primitive.rules)):
        mutants = planted(case)
        assert any(OTHER in mutant.name for mutant in mutants)
        assert verdict(mutants, [case], case.equivalent) == before
    assert before[2:4] == ((), ())
    assert before[4]


def test_the_locals_of_what_vjps_share_may_be_called_anything():
    name = "_ties"
    helper, cases = helpers()[name]
    before = verdict(planted_in(helper), cases, EQUIVALENT[name])
    with renamed(helper):
        assert verdict(planted_in(helper), cases, EQUIVALENT[name]) == before
    assert before[2:4] == ((), ())


@pytest.mark.parametrize("f", [tape._walk, tape.reach])
def test_the_locals_of_the_engine_may_be_called_anything(f):
    before = verdicts(f)
    with renamed(f):
        after = verdicts(f)
    assert any(OTHER in mutant for mutant, *_ in after)
    assert [(without(mutant), *found) for mutant, *found in after] == [tuple(found) for found in before]
