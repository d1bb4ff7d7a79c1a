"""A leaf that got no gradient because the path to it was cut: explain() says so, says where, and is silent otherwise."""

import inspect
import warnings

import numpy as np
import pytest

import tinyreg as tr


def here(offset=0):
    return f"test_explain_cuts.py:{inspect.currentframe().f_back.f_lineno + offset}"


@pytest.fixture
def w():
    return tr.tensor([1.0, 2.0, 4.0], requires_grad=True)


@pytest.fixture
def v():
    return tr.tensor([3.0, 5.0, 6.0], requires_grad=True)


@pytest.fixture
def warned():
    """The texts of all warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lambda: [str(w.message) for w in caught]


def test_detach_is_named_with_its_line(w, v, warned):
    with tr.explain():
        first = here(+1)
        h = (w * 2.0).detach()
        (h * v).sum().backward()
    assert warned() == [
        f"explain: w, used at {first}, got no gradient, because the path to it was cut at {first}: detach()"
    ]


def test_the_warning_points_to_the_with_statement(w, v):
    with pytest.warns(UserWarning, match="got no gradient") as caught, tr.explain():
        (w.detach() * v).sum().backward()
    assert caught[0].filename == __file__


def test_recording_that_was_off_is_named_with_the_first_op(w, v, warned):
    with tr.explain():
        with tr.no_grad():
            h = tr.exp(w)
            line = here(-1)
            h = h + 1.0
        (h * v).sum().backward()
    (text,) = warned()
    assert text.endswith(f"cut at {line}: exp ran with recording off (tr.no_grad)")


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("astype", lambda w: tr.astype(w, "int64")),
        ("argmax", lambda w: tr.argmax(w)),
        ("greater", lambda w: w > 1.5),
        ("round", lambda w: tr.round(w)),
    ],
)
def test_an_op_without_a_gradient_is_named(name, op, w, v, warned):
    with tr.explain():
        (op(w) * v).sum().backward()
    (text,) = warned()
    assert "explain: w, used at" in text
    assert text.endswith(f"{name} has no gradient")


@pytest.mark.parametrize(
    "out_and_in",
    [
        lambda h: tr.tensor(h.data),
        lambda h: tr.tensor(h.numpy()),
        lambda h: h.data,
        lambda h: h.data[:],
        lambda h: tr.Tensor(h.data),
    ],
    ids=["copy of data", "numpy", "data", "view of data", "wrapped data"],
)
def test_a_way_through_plain_arrays_is_named_where_the_array_comes_in(out_and_in, w, v, warned):
    with tr.explain():
        h = out_and_in(w * 2.0)
        line = here(+1)
        (v * h).sum().backward()
    (text,) = warned()
    assert text.endswith(f"cut at {line}: its value came into multiply as a plain array (.data, .numpy())")


def test_a_parameter_goes_by_its_name(v, warned):
    model = tr.nn.Sequential(tr.nn.Linear(3, 3, bias=False))
    with tr.explain():
        (model(v).detach() * v).sum().backward()
    (text,) = warned()
    assert text.startswith("explain: 0.weight, used at ")


def test_every_place_is_named_where_all_paths_were_cut(w, v, warned):
    with tr.explain():
        a = w.detach()
        b = (w > 0.0) * 1.0
        (a * b * v).sum().backward()
    (text,) = warned()
    assert "detach(); " in text
    assert "greater has no gradient" in text


def test_nothing_is_said_where_a_gradient_arrives_by_another_path(w, v, warned):
    with tr.explain():
        (w.detach() * w * v).sum().backward()
    assert warned() == []


def test_nothing_is_said_of_a_leaf_that_was_not_used_for_what_was_walked(w, v, warned):
    with tr.explain():
        with tr.no_grad():
            accuracy = (w * 2.0).sum()
        (v * 2.0).sum().backward()
        assert accuracy.item() == 14.0
    assert warned() == []


def test_nothing_is_said_without_a_backward_or_after_an_error(w, warned):
    with tr.explain():
        tr.tape((w * 1.0).sum())
        w.detach() + 1.0
    with pytest.raises(ValueError, match="is no scalar"), tr.explain():
        (w.detach() * tr.ones(3, requires_grad=True)).backward()
    assert warned() == []


def test_nothing_is_said_of_leaves_that_nobody_asked_a_gradient_for(w, v, warned):
    with tr.explain():
        tr.grad(lambda x: (x * w * v).sum())(tr.ones(3))
    assert warned() == []


def test_equal_numbers_that_say_little_are_not_taken_for_a_copy(v, warned):
    ones = tr.ones(3, requires_grad=True)
    with tr.explain():
        with tr.no_grad():
            ones * 1.0
        (v * np.ones(3, dtype="float32")).sum().backward()
    assert warned() == []


def test_gradients_of_several_backwards_count_together(w, v, warned):
    with tr.explain():
        h = w * v
        (h.detach() * v).sum().backward()
        (h * 1.0).sum().backward()
    assert warned() == []


def test_only_at_the_end_of_the_outermost_it_is_known(w, v, warned):
    with tr.explain():
        with tr.explain():
            (w.detach() * v * w.detach()).sum().backward()
        (w * 1.0).sum().backward()
    assert warned() == []


def test_a_name_that_is_learned_later_counts(v, warned):
    def hidden():
        return tr.tensor([1.0, 2.0, 4.0], requires_grad=True)

    box = [hidden()]
    with tr.explain():
        h = box[0] * 2.0
        w = box[0]
        g = w * 3.0
        ((h + g).detach() * v).sum().backward()
    (text,) = warned()
    assert text.startswith("explain: w, used at")
