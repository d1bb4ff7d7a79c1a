"""What a step can reach, however it reaches it, is seen when it changes between calls."""

from __future__ import annotations

import argparse
import collections
import functools
import types
from dataclasses import dataclass

import numpy as np
import pytest
from captured.steps import compare, data, layers, network

import tinyreg as tr
from tinyreg import nn, optim


@dataclass(slots=True)
class Slotted:
    scale: float
    __hash__ = None


class Inherited:
    scale = 1.0


class Own(Inherited):
    pass


class WithProperty:
    def __init__(self):
        self.inner = types.SimpleNamespace(scale=1.0)

    @property
    def scale(self):
        return self.inner.scale


settings_module = types.ModuleType("settings_module")
settings_module.scale = 1.0


def set_attribute(thing):
    return (lambda x: x * thing.scale), lambda value: setattr(thing, "scale", value)


def set_item(thing, key):
    return (lambda x: x * thing[key]), lambda value: thing.__setitem__(key, value)


def of_a_set():
    chosen = {1.0}
    return (lambda x: x * min(chosen)), lambda value: (chosen.clear(), chosen.add(value))


def of_an_attribute_that_is_added():
    thing = Own()
    return (lambda x: x * thing.scale), lambda value: setattr(thing, "scale", value)


def of_a_class():
    def change(value):
        Inherited.scale = value

    thing = Own()
    return (lambda x: x * thing.scale), change


def of_a_default():
    def step(x, scale=1.0):
        return x * scale

    return (lambda x: step(x)), lambda value: setattr(step, "__defaults__", (value,))


def of_a_method():
    class Local:
        def scaled(self, x):
            return x

    def change(value):
        Local.scaled = lambda self, x: x * value

    thing = Local()
    return (lambda x: thing.scaled(x)), change


def of_a_function_with_other_code():
    def inner(x):
        return x

    def change(value):
        inner.__code__ = (lambda x: x * 3.0).__code__

    return (lambda x: inner(x)), change


def of_a_partial():
    def change(value):
        thing.inner = functools.partial(tr.multiply, value)

    thing = types.SimpleNamespace(inner=functools.partial(tr.multiply, 1.0))
    return (lambda x: thing.inner(x)), change


def of_getattr():
    thing = Own()
    return (lambda x: x * (3.0 if hasattr(thing, "extra") else 1.0)), lambda value: setattr(thing, "extra", value)


def of_a_cached_function():
    scale = 1.0

    @functools.cache
    def inner():
        return scale

    def change(value):
        nonlocal scale
        scale = value
        inner.cache_clear()

    return (lambda x: x * inner()), change


class SlotsAndMore(Slotted):
    pass


@dataclass(frozen=True, slots=True)
class Frozen:
    held: list
    array: object
    __hash__ = None


REACHED = {
    "a cached function": of_a_cached_function,
    "slots beside attributes": lambda: set_attribute(SlotsAndMore(1.0)),
    "an attribute": lambda: set_attribute(Own()),
    "slots": lambda: set_attribute(Slotted(1.0)),
    "a namespace": lambda: set_attribute(types.SimpleNamespace(scale=1.0)),
    "arguments of a program": lambda: set_attribute(argparse.Namespace(scale=1.0)),
    "a module": lambda: set_attribute(settings_module),
    "a dict": lambda: set_item({"scale": 1.0}, "scale"),
    "a default dict": lambda: set_item(collections.defaultdict(lambda: 1.0), "scale"),
    "a list": lambda: set_item([1.0], 0),
    "a deque": lambda: set_item(collections.deque([1.0]), 0),
    "a nested list": lambda: (lambda of: ((lambda x: x * of[0][0]), lambda v: of[0].__setitem__(0, v)))([[1.0]]),
    "a set": of_a_set,
    "a property": lambda: (lambda t: ((lambda x: x * t.scale), lambda v: setattr(t.inner, "scale", v)))(WithProperty()),
    "an attribute that is added": of_an_attribute_that_is_added,
    "a class": of_a_class,
    "a default": of_a_default,
    "a method": of_a_method,
    "code": of_a_function_with_other_code,
    "a partial": of_a_partial,
    "what is asked by name": of_getattr,
}


@pytest.mark.parametrize("name", REACHED)
def test_what_a_step_can_reach_is_seen_when_it_changes(name):
    f, change = REACHED[name]()
    change(1.0) if name not in ("code", "what is asked by name") else None
    step = tr.capture(lambda x: f(x))
    x = tr.ones(2)
    for _ in range(5):
        assert step(x).tolist() == [1.0, 1.0]
    assert step.replays == 2
    change(3.0)
    for _ in range(5):
        assert step(x).tolist() == [3.0, 3.0]
    assert step.replays >= 4
    if name == "a class":
        change(1.0)


def test_frozen_and_ordered_holders_are_put_back_after_an_error():
    thing = Frozen([np.ones(2, "f4")], np.ones(2, "f4"))
    ordered = collections.OrderedDict(a=np.ones(2, "f4"), b=1)
    failing = [False]

    def step(x):
        y = thing.held[0] * thing.array * ordered["a"] * x.data
        if failing[0]:
            raise LookupError("planted")
        return y

    step = tr.capture(step)
    step(tr.ones(2))
    failing[0] = True
    for _ in range(2):
        with pytest.raises(LookupError, match="planted"):
            step(tr.ones(2))
        assert {type(x) for x in (thing.held[0], thing.array, ordered["a"])} == {np.ndarray}
        assert [*ordered] == ["a", "b"]
    failing[0] = False
    for _ in range(5):
        assert step(tr.full(2, 3.0)).tolist() == [3.0, 3.0]
    assert step.replays >= 2
    ordered["c"] = ordered.pop("a")
    ordered["a"] = ordered.pop("c")
    assert [*ordered] == ["b", "a"]


def test_whether_a_parameter_decays_is_seen():
    def between(i, model, optimizer):
        model.layers[0].weight.decay = i < 6
        optimizer.param_groups[0]["weight_decay"] = 0.1

    compare(lambda: network(optimizer=lambda p: optim.AdamW(p, lr=0.01)), data(12), between=between, programs=2)


def test_another_default_generator_is_seen(monkeypatch):
    def between(i, model, optimizer):
        if i in (0, 5):
            monkeypatch.setattr(tr.random, "default_generator", tr.Generator(i))

    compare(lambda: network(lambda: layers(nn.Dropout(0.5))), data(10), between=between, programs=2)


@pytest.mark.parametrize("shown", [str, repr, lambda x: f"{x:.3}", lambda x: f"{x}", lambda x: f"{x!r}"])
def test_text_of_values_is_refused(shown):
    optimizer = optim.SGD([tr.ones(2, requires_grad=True)], lr=0.1)
    for step in (lambda x: shown(x.data), lambda x: shown(x), lambda x: shown(optimizer.lr)):
        step = tr.capture(step)
        assert "1" in step(tr.tensor(0.1))
        with pytest.raises(tr.CaptureError, match=r"test_reached\.py:\d+"):
            step(tr.tensor(0.1))


def test_attributes_that_nobody_names_do_not_matter():
    thing = Own()
    thing.scale = 2.0
    step = tr.capture(lambda x: x * thing.scale)
    for i in range(8):
        setattr(thing, f"other{i}", i)
        assert step(tr.ones(1)).tolist() == [2.0]
    assert step.replays == 5


def test_a_global_that_has_the_name_of_an_attribute_is_not_reached():
    script = {"tr": tr, "losses": []}  # a list of results is often called what its function is: tr.losses
    exec("step = tr.capture(lambda x: tr.losses.mse(x, x * 2))", script)
    for _ in range(6):
        script["losses"].append(script["step"](tr.ones(4)).item())
        script["mse"] = len(script["losses"])  # one that comes later
    assert script["step"].replays == 3


def test_a_global_is_reached_by_a_function_within_a_function():
    script = {"tr": tr, "scale": 1.0}
    exec("def outer(x):\n    return (lambda y: y * scale)(x)\nstep = tr.capture(outer)", script)
    for _ in range(5):
        script["step"](tr.ones(4))
    script["scale"] = 3.0
    assert script["step"](tr.ones(4)).tolist() == [3.0] * 4
