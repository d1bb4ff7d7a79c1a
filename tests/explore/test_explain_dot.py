"""The tape as source for Graphviz: valid DOT, whatever stands in the labels."""

import shutil
import subprocess

import pytest
from dot_reader import Graph

import tinyreg as tr


def test_leaves_parameters_and_entries_look_different_and_edges_have_shapes():
    layer = tr.nn.Linear(2, 3, bias=False)
    w = tr.ones(3, requires_grad=True)
    graph = Graph(tr.tape((layer(tr.ones((4, 2))) * w).sum(axis=0), w=w).to_dot())
    assert graph.nodes['"leaf 0"']["peripheries"] == "2"
    assert "peripheries" not in graph.nodes['"leaf 1"']
    assert graph.nodes['"leaf 1"'] == {"shape": "ellipse", "label": '"w\\nfloat32[3]"'}
    assert graph.nodes['"#2"'] == {"shape": "box", "label": '"#2 sum(#1, axis=0)\\nfloat32[3]"'}
    assert ('"leaf 1"', '"#1"', {"label": '"[3]"'}) in graph.edges
    assert ('"#0"', '"#1"', {"label": '"[4, 3]"'}) in graph.edges


def test_every_edge_of_the_tape_is_there_once_for_each_argument():
    x = tr.ones(2, requires_grad=True)
    tape = tr.tape((x * x).sum())
    assert [edge[:2] for edge in Graph(tape.to_dot()).edges] == [('"leaf 0"', '"#0"')] * 2 + [('"#0"', '"#1"')]


def test_layers_are_clusters_one_within_the_other():
    model = tr.nn.Sequential(tr.nn.Sequential(tr.nn.Linear(2, 2), tr.nn.Tanh()), tr.nn.Linear(2, 1))
    with tr.explain(definitions=True):
        tape = tr.tape(model(tr.ones((1, 2))).sum())
    graph = Graph(tape.to_dot())
    labels = {name: cluster["label"] for name, cluster in graph.clusters.items()}
    by_label = {cluster["label"]: cluster for cluster in graph.clusters.values()}
    assert set(by_label) == {
        f'"{name}"' for name in ("model (Sequential)", "0 (Sequential)", "0.0 (Linear)", "0.1 (Tanh)", "1 (Linear)")
    }
    assert labels[by_label['"0.0 (Linear)"']["inside"]] == '"0 (Sequential)"'
    assert by_label['"0.0 (Linear)"']["nodes"] == ['"#0"', '"#1"', '"#2"']
    assert by_label['"model (Sequential)"']["inside"] is None
    assert "test_explain_dot.py" in graph.nodes['"#0"']["label"]


def awkward():
    model = tr.nn.Linear(1, 1)
    model.weight.name = 'a "quoted" name \\ with { } and \n a line'
    return tr.tape(model(tr.ones((1, 1))).sum())


def test_labels_are_quoted():
    graph = Graph(awkward().to_dot())
    assert graph.nodes['"leaf 0"']["label"] == '"a \\"quoted\\" name \\\\ with { } and \\n a line\\nfloat32[1, 1]"'


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_it():
    subprocess.run(["dot", "-Tsvg"], input=awkward().to_dot(), text=True, check=True, capture_output=True, timeout=600)


def test_an_empty_tape_and_several_results():
    assert Graph(tr.tape(tr.ones(2, requires_grad=True)).to_dot()).edges == []

    @tr.primitive
    def halves(xp, x):
        return x[:1], x[1:]

    @halves.vjp("x")
    def _(g):
        return tr.concat(g)

    tr.core.primitive.REGISTRY.pop("halves")
    low, high = halves(tr.ones(3, requires_grad=True))
    graph = Graph(tr.tape(low * high).to_dot())
    assert [edge[2]["label"] for edge in graph.edges] == ['"[3]"', '"[1]"', '"[2]"']
