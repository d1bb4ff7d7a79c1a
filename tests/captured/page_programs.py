"""Programs for the tests of their page: a step with norm, dropout and clipping, by each executor."""

import pytest
from captured.steps import data, layers, network

import tinyreg as tr
from tinyreg import nn
from tinyreg.captured import native


def program(executor, **calls):
    model, optimizer = network(lambda: layers(nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.2)))

    @tr.capture(executor=executor)
    def step(x, y):
        optimizer.zero_grad()
        loss = tr.losses.cross_entropy(model(x), y)
        loss.backward()
        tr.optim.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        return loss

    for batch in data(4):
        step(*batch)
    return step.program


def by_numpy():
    return program("numpy")


def in_machine_code():
    if native.missing():
        pytest.skip(native.missing())
    return program("native")


MAKERS = {"numpy": by_numpy, "native": in_machine_code}
