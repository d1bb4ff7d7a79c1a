"""The demo of the chapter's table: which techniques are tried on what, and what is said of them."""

import numpy as np
import pytest
from fast_runs import fast_runs

import tinyreg as tr
from demos.base import Settings
from demos.problems import PROBLEMS, TECHNIQUES, Method
from demos.which_one import DEMO, NOTHING, SHOWN, TOGETHER, Scores, finding, learned, methods


def test_what_is_recommended_is_tried_alone_and_together():
    assert methods(PROBLEMS["images"])[TOGETHER] == Method(dropout=0.3, augmented=True, weight_decay=0.1)
    assert methods(PROBLEMS["text"])[TOGETHER] == Method(dropout=0.3, norm="layer", smoothing=0.1)
    assert methods(PROBLEMS["few data"])[TOGETHER] == Method(dropout=0.3, augmented=True, stopped_early=True)
    assert methods(PROBLEMS["much data"])[TOGETHER] == methods(PROBLEMS["much data"])["batch norm"]
    for problem in PROBLEMS.values():
        assert set(problem.recommended) <= methods(problem).keys()
        assert methods(problem)[NOTHING] == Method()
        assert len(set(methods(problem).values())) >= len(TECHNIQUES) + 1 - len(problem.left_out)


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_method_of_a_problem_starts_from_the_same_weights(name):
    problem = PROBLEMS[name]
    models = [problem.model(method, tr.Generator(0)) for method in methods(problem).values()]
    plain = {name: value.numpy() for name, value in models[0].named_parameters()}
    for model in models[1:]:
        weights = dict(model.named_parameters())
        for path, value in plain.items():
            np.testing.assert_array_equal(weights[path].numpy(), value)


@pytest.mark.parametrize("name", ["images", "text"])
def test_a_method_is_what_it_says(name):
    problem = PROBLEMS[name]
    kinds = {
        way: [type(m).__name__ for m in problem.model(Method(**how), tr.Generator(0)).modules()]
        for way, how in TECHNIQUES.items()
    }
    assert [way for way in kinds if "LayerNorm" in kinds[way]] == ["layer norm"]
    assert [way for way in kinds if "BatchNorm" in kinds[way]] == ["batch norm"] * (name == "images")
    (training, *_), seed = problem.parts(0, True), 0
    plain, again, changed = (
        next(iter(batches(problem.learned_from(training, Method(augmented=augmented), seed))))
        for augmented in (False, False, True)
    )
    assert plain == again != changed


def batches(settings):
    """What a model is given to learn from, in the order in which it comes."""
    seen = []

    class Watched(tr.nn.Module):
        def __init__(self):
            self.scale = tr.nn.Parameter(tr.ones(()))

        def forward(self, x):
            seen.append(x.tolist())
            return self.scale * tr.astype(x, "float32").reshape(len(x), -1)[:, :10]

    model = Watched()
    optimizer = tr.optim.SGD(model.parameters(), lr=0.0)
    tr.training.fit(model, **settings, loss=tr.losses.cross_entropy, optimizer=optimizer, epochs=1, progress=False)
    return seen


def test_early_stopping_keeps_the_weights_that_were_best_on_the_validation_set(monkeypatch):
    problem, kept = PROBLEMS["few data"], []
    monkeypatch.setattr("demos.which_one.answers", lambda model, x: kept.append(model) or model(x))
    parts = problem.parts(0, True)
    for way in (NOTHING, "early stopping"):
        learned(problem, parts, methods(problem)[way], 0, False)
    losses = [tr.losses.cross_entropy(model(parts[2].inputs), parts[2].labels).item() for model in (kept[0], kept[-1])]
    assert losses[1] < losses[0]


def test_the_table_has_the_numbers_of_the_runs_and_stars_for_what_is_recommended(tmp_path, backend):
    runs = fast_runs(DEMO, backend)
    result = DEMO.report(runs, Settings(backend, len(runs), True, tmp_path))
    head, *rows = result.table
    assert head[1:] == [*PROBLEMS]
    by_name = {row[0]: row for row in rows}
    for score, (shown, decimals) in SHOWN.items():
        for k, (name, problem) in enumerate(PROBLEMS.items(), 1):
            before = np.array([getattr(run[name][NOTHING], score) for run in runs])
            assert by_name[f"{shown}: {NOTHING}"][k].split(" ")[0] == f"{before.mean():.{decimals}f}"
            for way in (*TECHNIQUES, TOGETHER):
                cell = by_name[f"{shown}: {way}"][k]
                if way in problem.left_out:
                    assert cell == ""
                    continue
                change = np.mean([getattr(run[name][way], score) for run in runs] - before)
                star, _, number = cell.rpartition("* ")
                assert number.split(" ")[0] == f"{change:+.{decimals}f}"
                assert cell.startswith("* ") == (way in problem.recommended)
                assert not star


def made(winners, together=1.0):
    """Runs of three seeds: 80 without anything, 1 less by every technique, but 2 more by that problem's winner."""
    return [
        {
            name: {
                way: Scores(
                    80 + e + {NOTHING: 0.0, TOGETHER: together, winner: 2.0}.get(way, -1.0) * (1 + e), 100.0, 0.5, 5.0
                )
                for way in methods(problem)
            }
            for (name, problem), winner in zip(PROBLEMS.items(), winners, strict=True)
        }
        for e in (-0.1, 0.0, 0.1)
    ]


def test_the_finding_names_the_winner_of_each_problem_and_how_many_are_recommended():
    winners = ["dropout", "weight decay", "early stopping", "layer norm"]
    said = finding(made(winners))
    for winner, problem, half in zip(winners, PROBLEMS, (1.4, 1.3, 1.4, 1.4), strict=True):
        assert f"{winner} for {problem} (+2.0 ± {half})" in said
    assert all(said.count(problem) > 1 for problem in PROBLEMS)  # once more, as clear
    assert "recommends 2" in said


def test_the_finding_says_where_nothing_helped():
    said = finding(made(["none", "none", "dropout", "none"]))
    assert "(-1.0 ± 0.7)" in said
    assert "clearly only for few data;" in said
    assert "recommends 3 of these 4" in said
    assert "nowhere clearly" in finding(made(["none"] * 4))


def test_nothing_is_clear_over_one_seed():
    assert "nowhere clearly" in finding(made(["dropout", "dropout", "dropout", "batch norm"])[:1])
