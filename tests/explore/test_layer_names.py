"""Layers by name: the path in their model, or what holds them in the reader's code."""

import pytest

import tinyreg as tr


def test_layers_are_known_by_their_path_and_each_call_counts_alone():
    class Twice(tr.nn.Module):
        def __init__(self):
            self.inner = tr.nn.Sequential(tr.nn.Linear(2, 2), tr.nn.Tanh())

        def forward(self, x):
            return self.inner(self.inner(x))

    with tr.explain(definitions=True):
        y = Twice()(tr.ones((1, 2)))
        y = y + 1.0
    calls = [row.record.call for row in tr.tape(y)]
    assert [str(call) for call in calls[:4]] == ["inner.0 (Linear)"] * 3 + ["inner.1 (Tanh)"]
    assert [str(call) for call in calls[0].chain] == ["Twice", "inner (Sequential)", "inner.0 (Linear)"]
    assert calls[0] is calls[2]
    assert calls[0] is not calls[4]
    assert calls[0].parent is not calls[4].parent
    assert calls[0].parent.parent is calls[4].parent.parent
    assert calls[-1] is None


def test_a_layer_in_two_places_goes_by_the_first_and_layers_that_are_gone_lend_no_name():
    shared = tr.nn.Linear(2, 2, bias=False)
    x = tr.ones((1, 2))
    with tr.explain():
        tape = tr.tape(tr.nn.Sequential(shared, shared)(x))
        assert {str(row.record.call) for row in tape} == {"0 (Linear)"}
        assert len({row.record.call for row in tape}) == 2
        for _ in range(20):
            assert str(tr.tape(tr.nn.Sequential(tr.nn.Linear(2, 2))(x))[0].record.call) == "0 (Linear)"
            assert str(tr.tape(tr.nn.Linear(2, 2)(x))[0].record.call) == "Linear"


def test_layers_are_right_where_one_raises():
    class Fails(tr.nn.Module):
        def forward(self, x):
            raise ValueError("no")

    layer = tr.nn.Linear(2, 2)
    with tr.explain(definitions=True):
        with pytest.raises(ValueError, match="no"):
            tr.nn.Sequential(layer, Fails())(tr.ones((1, 2)))
        y = layer(tr.ones((1, 2))) * 2.0
    assert [str(row.record.call) for row in tr.tape(y)] == ["layer (Linear)"] * 3 + ["None"]


shared_model = tr.nn.Sequential(tr.nn.Tanh())


class Holder:
    """No Module: a class of the reader's that holds some."""

    def __init__(self):
        self.encoder = tr.nn.Linear(2, 2)
        self.heads = [tr.nn.Linear(2, 2), tr.nn.Linear(2, 1)]

    def __call__(self, x):
        x = self.encoder(x)
        for i in range(len(self.heads)):
            x = self.heads[i](x)
        return x


def test_layers_are_named_after_what_holds_them():
    first, by_name, blocks = tr.nn.Linear(2, 2), {"second": tr.nn.Linear(2, 2)}, [tr.nn.Tanh(), tr.nn.ReLU()]
    held = Holder()
    with tr.explain():
        x = by_name["second"](first(tr.ones((1, 2))))
        x = blocks[1](blocks[0](x))
        x = shared_model(x)
        x = tr.nn.Linear(2, 2)(x)  # which nothing holds
        tape = tr.tape(held(x).sum())
    calls = [str(row.record.call) for row in tape]
    assert calls == [
        "first (Linear)", "by_name['second'] (Linear)", "blocks[0] (Tanh)", "blocks[1] (ReLU)", "0 (Tanh)", "Linear",
        "encoder (Linear)", "heads[0] (Linear)", "heads[1] (Linear)", "None",
    ]  # fmt: skip
    assert [str(call) for call in tape[4].record.call.chain] == ["shared_model (Sequential)", "0 (Tanh)"]
    assert [leaf.label for leaf in tape.leaves] == [
        "first.weight", "first.bias", "by_name['second'].weight", "by_name['second'].bias", "weight", "bias",
        "encoder.weight", "encoder.bias", "heads[0].weight", "heads[0].bias", "heads[1].weight", "heads[1].bias",
    ]  # fmt: skip


def test_what_cannot_be_looked_into_lends_no_name():
    class Closed:
        def __getattribute__(self, name):
            raise RuntimeError("closed")

    closed, many = Closed(), [0.0] * 10**7
    layer = {"held": [tr.nn.Linear(2, 2)]}
    with tr.explain():
        y = layer["held"][0](tr.ones((1, 2)))
    assert str(tr.tape(y)[0].record.call) == "Linear"
    assert (len(many), type(closed)) == (10**7, Closed)


def name_of(call):
    """What a layer is called that is called so."""
    with tr.explain():
        y = call(tr.ones((1, 2)))
    return str(tr.tape(y.sum())[0].record.call)


class Scope:
    layer = tr.nn.Tanh()


def test_a_tuple_an_object_a_model_and_a_dict_in_an_object_hold_layers_too():
    pair, held = (tr.nn.ReLU(), tr.nn.Linear(2, 2)), Holder()
    held.by_name, held.pair = {"out": tr.nn.Linear(2, 2)}, (tr.nn.Linear(2, 2),)
    model = tr.nn.Sequential(tr.nn.Sequential(tr.nn.Linear(2, 2)))
    assert name_of(lambda x: pair[1](x)) == "pair[1] (Linear)"
    assert name_of(lambda x: held.encoder(x)) == "held.encoder (Linear)"
    assert name_of(lambda x: held.heads[1](x)) == "held.heads[1] (Linear)"
    assert name_of(lambda x: held.by_name["out"](x)) == "held.by_name['out'] (Linear)"
    assert name_of(lambda x: held.pair[0](x)) == "held.pair[0] (Linear)"
    assert name_of(lambda x: model[0][0](x)) == "model.0.0 (Linear)"
    leaf = tr.ones((1, 2), requires_grad=True)
    assert name_of(lambda x: Scope.layer(leaf)) == "Tanh"  # classes and modules of Python hold too much


@pytest.mark.parametrize(("n", "name"), [(1000, "many[999] (Linear)"), (1001, "Linear")])
def test_a_list_is_looked_through_where_it_is_not_long(n, name):
    many = [None] * (n - 1) + [tr.nn.Linear(2, 2)]
    assert name_of(lambda x: many[-1](x)) == name
