"""The demo of bias and variance: the decomposition, the networks trained side by side, and what is said of the curve."""

import itertools

import numpy as np
import pytest
from fast_runs import fast_run, fast_runs
from findings import clear

import tinyreg as tr
from demos import bias_variance
from demos.base import Settings
from demos.bias_variance import DEMO, FAST_WIDTHS, LEARNING, LOOKED_AT, Networks, Parts, Run, decomposed, finding, turns


def test_bias_and_variance_add_up_to_the_error_of_the_networks(backend):
    rng = np.random.default_rng(0)
    said, targets = rng.normal(size=(4, 30, 3)), rng.normal(size=(30, 3))
    bias, variance = decomposed(tr.tensor(said, backend=backend), tr.tensor(targets, backend=backend))
    assert bias + variance == pytest.approx(((said - targets) ** 2).sum(axis=-1).mean(), rel=1e-6)


def test_bias_and_variance_of_a_few_networks_are_those_of_many():
    rng = np.random.default_rng(0)
    targets, means = rng.normal(size=(2, 20_000, 3))
    bias, variance = decomposed(tr.tensor(rng.normal(means, 2.0, (3, 20_000, 3))), tr.tensor(targets))
    assert bias == pytest.approx(((means - targets) ** 2).sum(axis=-1).mean(), abs=0.15)  # without its correction 4 higher
    assert variance == pytest.approx(3 * 2.0**2, rel=0.02)


def test_networks_trained_side_by_side_are_those_trained_alone(backend):
    rng = tr.Generator(0)
    x, y = tr.tensor(rng.normal(shape=(3, 6, 64))), tr.tensor(rng.normal(shape=(3, 6, 10)))
    together = Networks(3, 4, tr.Generator(1))
    alone = Networks(1, 4, tr.Generator(1))
    alone.load_state_dict({name: value[1:2].numpy() for name, value in together.state_dict().items()})
    for networks, data in ((together, (x, y)), (alone, (x[1:2], y[1:2]))):
        optimizer = tr.optim.Adam(networks.parameters(), lr=0.01)
        tr.training.fit(networks, [data], loss=tr.losses.mse, optimizer=optimizer, epochs=20, progress=False)
    np.testing.assert_allclose(together(x)[1].numpy(), alone(x[1:2])[0].numpy(), rtol=1e-3, atol=1e-4)


def test_the_table_has_the_numbers_of_the_runs(tmp_path, backend):
    runs = fast_runs(DEMO, backend)
    result = DEMO.report(runs, Settings(backend, len(runs), True, tmp_path))
    by_width, by_steps = np.split(np.array(result.table[1:]), [len(FAST_WIDTHS)])
    assert by_width[:, 0].tolist() == [str(width) for width in FAST_WIDTHS]
    assert by_steps[:, 0].tolist() == [f"{LEARNING}, after {steps} steps" for steps in LOOKED_AT if steps <= 20]
    assert set(by_steps[:, 1:4].ravel()) == {""}
    for k, noise in enumerate((0.1, 0.9)):
        found = [(row, [run.by_width[k][i] for run in runs]) for i, row in enumerate(by_width)]
        found += [(row, [run.by_steps[i] for run in runs]) for i, row in enumerate(by_steps)] if k else []
        for row, parts in found:
            bias, variance = (np.mean([getattr(one, part) for one in parts]) for part in ("bias", "variance"))
            expected = [bias, variance, bias + variance + noise]
            assert [cell.split(" ")[0] for cell in row[1 + 3 * k : 4 + 3 * k]] == [f"{value:.3f}" for value in expected]


def test_the_parts_are_those_of_the_error_that_is_measured():
    for parts in itertools.chain(*fast_run(DEMO).by_width, fast_run(DEMO).by_steps):
        assert parts.error == pytest.approx(parts.measured, abs=0.1)
        assert 0 < parts.variance < parts.error


@pytest.mark.parametrize(
    ("curve", "text"),
    [
        ([1.0, 0.5, 0.4], "least, 0.40, for 4, with no clear rise: no U"),
        (
            [1.0, 0.5, 0.8],
            "least, 0.50, for 2, and rose by 0.30 from 2 to 4, as a U",
        ),
        ([0.5, 0.7, 0.8], "least, 0.50, for 1, and rose by 0.30 from 1 to 4, without a fall before"),
        ([0.5, 1.0, 0.4], "least, 0.40, for 4, and rose by 0.50 from 1 to 2, a peak and no U"),
    ],
)
def test_the_finding_says_how_the_error_turned(curve, text):
    errors = [[value + offset for value in curve] for offset in (-0.01, 0.0, 0.01)]
    assert turns(errors, [1, 2, 4]) == text
    runs = [[Parts(0.1, 0.2 - 0.1 * i, e - 0.3 + 0.1 * i, e, 0.0) for i, e in enumerate(of)] for of in errors]
    said = finding([Run([of, of], [*of, of[-1]]) for of in runs], [1, 2, 4])
    assert clear(said.partition(";")[0]) == [-0.2]
    assert text in said.partition("by units the error was ")[2]


def test_a_fall_a_rise_and_a_fall_are_double_descent():
    errors = [[value + offset for value in (1.0, 0.5, 0.9, 0.3)] for offset in (-0.01, 0.0, 0.01)]
    assert turns(errors, [1, 2, 4, 8]) == "least, 0.30, for 8, and rose by 0.40 from 2 to 4, double descent and no U"


def test_the_largest_rise_of_several_is_clear_where_it_is_so_among_them():
    errors = [[1.0, 0.5, 0.5 + rise] for rise in (0.2, 0.3, 0.4)]  # ± 0.25 by itself, and ± 0.44 of three
    assert turns([[1.0, 0.5, 0.5 + rise] for rise in (0.29, 0.3, 0.31)], [1, 2, 4]).endswith("as a U")
    assert turns(errors, [1, 2, 4]).endswith("no U")


def test_one_seed_finds_no_turn():
    assert "no clear rise" in turns([[0.5, 1.0, 0.4]], [1, 2, 4])


def test_the_last_look_is_that_at_the_trained_network(monkeypatch):
    monkeypatch.setattr(bias_variance, "LEARNING", FAST_WIDTHS[-1])
    run = DEMO.measure(0, True, lambda: None)
    assert run.by_steps[-1] == run.by_width[-1][-1]
    assert run.by_steps[0].training > run.by_steps[-1].training


def test_noise_raises_the_variance_of_networks_that_fit_it(monkeypatch):
    monkeypatch.setattr(bias_variance, "FAST_STEPS", 150)
    little, much = (of_noise[-1] for of_noise in DEMO.measure(0, True, lambda: None).by_width)
    assert much.variance > 2 * little.variance
