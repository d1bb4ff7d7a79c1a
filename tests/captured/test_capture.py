"""A captured step gives what the step gives: over optimizers, layers, regularizers, and what happens between calls."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import weakref

import pytest
from captured.steps import compare, data, layers, network, plain, sgd, state, values

import tinyreg as tr
from tinyreg import nn, optim

pytestmark = pytest.mark.usefixtures("each_executor")

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "momentum": sgd,
    "Nesterov, l2, decay": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, l2=0.01, weight_decay=0.1),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "Adam, l2": lambda p: optim.Adam(p, lr=0.01, l2=0.1),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "groups": lambda p: optim.SGD([{"params": p[:1], "lr": 0.2}, {"params": p[1:]}], lr=0.1, momentum=0.5),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_of_every_optimizer_have_the_bits_of_eager_ones(name):
    compare(lambda: network(optimizer=OPTIMIZERS[name]), data(7))


class Recurrent(nn.Module):
    def __init__(self, kind):
        self.inner, self.out = kind(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.inner(x.reshape(5, 1, 4))[0][:, 0])


class Images(nn.Module):
    def __init__(self):
        self.conv, self.out = nn.Conv2d(1, 3, 2, padding=1), nn.Linear(3, 3)

    def forward(self, x):
        return self.out(tr.relu(self.conv(x.reshape(-1, 1, 2, 2))).mean(axis=(2, 3)))


class Attending(nn.Module):
    def __init__(self):
        self.attention, self.out = nn.MultiHeadAttention(4, 2), nn.Linear(4, 3)

    def forward(self, x):
        x = x.reshape(1, 5, 4)
        return self.out(self.attention(x, x, x)[0][0])


class Checkpointed(nn.Module):
    def __init__(self, *inside):
        self.inner = layers(*inside)

    def forward(self, x):
        return tr.checkpoint(self.inner)(x)


MODELS = {
    **{
        type(layer).__name__ + suffix: functools.partial(lambda make: layers(*make()), make)
        for suffix, make in {
            "": lambda: [nn.Tanh()],
            " ": lambda: [nn.GELU()],
            "  ": lambda: [nn.Dropout(0.2)],
            "   ": lambda: [nn.GaussianDropout(0.2)],
            "    ": lambda: [nn.AlphaDropout(0.2)],
            "     ": lambda: [nn.LayerNorm(8)],
            "      ": lambda: [nn.RMSNorm(8)],
            "       ": lambda: [nn.GroupNorm(2, 8)],
            "        ": lambda: [nn.BatchNorm(8)],
            "         ": lambda: [nn.BatchNorm(8, momentum=None)],
        }.items()
        for layer in make()
    },
    "joined": lambda: layers(nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.5)),
    "SpectralNorm": lambda: nn.Sequential(nn.SpectralNorm(nn.Linear(4, 8)), nn.Linear(8, 3)),
    "WeightNorm": lambda: nn.Sequential(nn.WeightNorm(nn.Linear(4, 8)), nn.Linear(8, 3)),
    "LSTM": lambda: Recurrent(nn.LSTM),
    "GRU": lambda: Recurrent(nn.GRU),
    "Conv2d": Images,
    "MultiHeadAttention": Attending,
    "checkpoint": lambda: Checkpointed(nn.Dropout(0.3)),
    "checkpoint with statistics": lambda: Checkpointed(nn.BatchNorm(8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_steps_of_every_kind_of_layer_have_the_bits_of_eager_ones(name):
    compare(lambda: network(MODELS[name]), data(6))


def clipped(model, optimizer):
    def step(x, y):
        optimizer.zero_grad()
        loss = tr.losses.cross_entropy(model(x), y)
        loss.backward()
        norm = optim.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        return loss, norm

    return step


def clipped_by_value(model, optimizer):
    def step(x, y):
        optimizer.zero_grad()
        tr.losses.cross_entropy(model(x), y).backward()
        optim.clip_grad_value(model.parameters(), 0.05)
        optimizer.step()

    return step


def penalized(model, optimizer):
    def step(x, y):
        optimizer.zero_grad()
        loss = tr.losses.cross_entropy(model(x), y) + tr.regularizers.gradient_penalty(model, x, 0.1)
        loss.backward()
        optimizer.step()
        return {"loss": loss, "x": [x, 1.5, "text", None]}

    return step


def averaged(model, optimizer):
    average = optim.WeightAverage(model, 0.5)

    def step(x, y):
        optimizer.zero_grad()
        loss = tr.losses.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        average.update()
        return loss, average.averages

    return step


def slowing(model, optimizer):
    def step(x, y):
        optimizer.zero_grad()
        loss = tr.losses.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.lr = optimizer.lr * 0.9
        return loss

    return step


@pytest.mark.parametrize("body", [clipped, clipped_by_value, penalized, averaged, slowing])
def test_what_else_a_step_does_has_the_bits_of_eager_ones(body):
    compare(lambda: network(lambda: layers(nn.Tanh())), data(8), body)


def test_a_hundred_steps_with_everything_end_in_the_bits_of_eager_ones():
    model = lambda: layers(nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.2))
    compare(lambda: network(model, OPTIMIZERS["AdamW"]), data(10) * 10, clipped)


def test_a_schedule_steps_between_calls_without_another_program():
    schedules = {}

    def between(i, model, optimizer):
        schedules.setdefault(id(optimizer), optim.CosineAnnealingLR(optimizer, 10))
        if i:
            schedules[id(optimizer)].step()

    compare(network, data(10), between=between)


def test_a_short_last_batch_is_a_program_of_its_own():
    batches = [*data(2), *data(1, batch=3)] * 5
    compare(network, batches, programs=2)


def test_training_and_evaluation_take_turns():
    def between(i, model, optimizer):
        model.train(i % 2 == 0)

    compare(lambda: network(lambda: layers(nn.Dropout(0.5))), data(12), between=between, programs=2)


def taking_turns(model):
    def evaluate(x):
        return model(x)

    return tr.no_grad(evaluate)


def test_a_training_and_an_evaluation_step_share_a_model():
    runs = []
    for wrapped in (lambda f: f, tr.capture):
        model, optimizer = network(lambda: layers(nn.BatchNorm(8)))
        train, evaluate = wrapped(plain(model, optimizer)), wrapped(taking_turns(model))
        runs.append([])
        for x, y in data(8):
            model.train()
            train(x, y)
            model.eval()
            runs[-1].append((values(evaluate(x)), state(model, optimizer)))
    assert runs[0] == runs[1]


def accumulating(model, optimizer):
    def accumulate(x, y):
        loss = tr.losses.cross_entropy(model(x), y) / 2
        loss.backward()
        return loss

    def update():
        optimizer.step()
        optimizer.zero_grad()

    return accumulate, update


def test_gradients_are_accumulated_by_a_step_of_their_own():
    runs = []
    for wrapped in (lambda f: f, functools.partial(tr.capture, keep_grads=True)):
        model, optimizer = network()
        accumulate, update = map(wrapped, accumulating(model, optimizer))
        run = runs.append([]) or runs[-1]
        batches = iter(data(20))
        for _ in range(10):
            run += [values(accumulate(*next(batches))), values(accumulate(*next(batches)))]
            update()
            run.append(state(model, optimizer))
    assert runs[0] == runs[1]
    assert len(accumulate._variants) == 2
    assert len(update._variants) == 1


def test_gradients_are_kept_where_that_is_asked_for_and_none_otherwise():
    for keeps in (True, False):
        model, optimizer = network()
        step = tr.capture(plain(model, optimizer), keep_grads=keeps)
        other, other_optimizer = network()
        eager = plain(other, other_optimizer)
        for batch in data(5):
            step(*batch)
            eager(*batch)
        if keeps:
            assert [values(p.grad) for p in model.parameters()] == [values(p.grad) for p in other.parameters()]
        else:
            assert {p.grad for p in model.parameters()} == {None}


def test_methods_are_captured_for_each_object():
    class Trainer:
        def __init__(self):
            self.model, self.optimizer = network()
            self.epoch, self.history = 0, []

        @tr.capture
        def step(self, x, y):
            return plain(self.model, self.optimizer)(x, y)

        def fit(self, batches):
            for batch in batches:
                self.history.append(self.step(*batch).item())
                self.epoch += 1
            return self.history

    first, second = Trainer(), Trainer()
    batches = data(6)
    assert first.fit(batches) == second.fit(batches)
    assert first.step is not second.step
    assert len(first.step._variants) == 1
    model, optimizer = network()
    assert first.history == [plain(model, optimizer)(*batch).item() for batch in batches]


class Doubling:
    def __init__(self, factor):
        self.factor = factor

    @tr.capture
    def step(self, x):
        return x * self.factor

    @tr.capture(keep_grads=True)
    def other(self, x):
        return self.step(x) + 1


def test_an_object_with_a_captured_method_is_freed_copied_and_pickled():
    thing = Doubling(2.0)
    for _ in range(5):
        assert thing.step(tr.ones(1)).tolist() == [2.0]
        assert thing.other(tr.ones(1)).tolist() == [3.0]
    assert thing.step.replays == 3  # once inside of the other
    assert thing.other.replays == 2
    for make in (copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        again = make(thing)
        again.factor = 4.0
        for _ in range(5):
            assert again.step(tr.ones(1)).tolist() == [4.0]
        assert thing.step(tr.ones(1)).tolist() == [2.0]
    thing.step = lambda x: x
    assert thing.step(3) == 3
    gone = weakref.ref(thing)
    del thing, again
    gc.collect()
    assert gone() is None


def test_a_method_of_an_object_with_slots_only_is_made_at_each_look():
    class Slots:
        __slots__ = ("factor",)

        @tr.capture
        def step(self, x):
            return x * self.factor

    thing = Slots()
    thing.factor = 2.0
    step = thing.step
    for _ in range(5):
        assert step(tr.ones(1)).tolist() == [2.0]
    assert step.replays == 2
