"""Small programs that notice a wrong engine, as engine_programs: which arguments are asked, and what is saved for whom."""

import numpy as np
from engine_programs import leaf, op, program, refused, same
from replay_programs import PROGRAMS

import tinyreg as tr

__all__ = ["PROGRAMS"]  # these, and those of the other four


def scaled(xp, x, *ws):
    """x times the sum of the operands."""
    return x * sum(ws, 1.0)


# ---- operands beside an argument


@program
def operands_that_want_nothing_need_no_vjp():
    x = leaf([2.0])
    alone = op(scaled, x=lambda g, ws: g * sum(ws, 1.0))
    alone(x, np.array([3.0]), np.array([4.0])).backward()
    same(x.grad, [8.0])
    refused(lambda: alone(x, x), "argument ws wants a gradient but has no VJP")


@program
def the_last_of_the_operands_may_be_the_only_one_that_wants():
    added = op(lambda xp, *xs: sum(xs), xs=lambda g, xs, position: g * (position + 1.0))
    x = leaf([1.0])
    added(np.array([5.0]), np.array([6.0]), x).backward()
    same(x.grad, [3.0])


@program
def there_may_be_no_operands():
    x = leaf([2.0])
    op(scaled, x=lambda g, ws: g * sum(ws, 1.0))(x).backward()
    same(x.grad, [1.0])


@program
def operands_without_a_gradient_are_no_parents():
    x, first, second = leaf([2.0]), leaf([3.0]), leaf([4.0])
    y = op(scaled, nondifferentiable=("ws",), x=lambda g, ws: g * sum(ws, 1.0))(x, first, second)
    second.assign([7.0])  # of no concern to the way back
    y.backward()
    same(x.grad, [8.0])
    assert first.grad is None
    assert second.grad is None


@program
def an_operand_that_alone_wants_a_gradient_is_not_saved():
    seen = []

    def of_operand(g, x, others, position):
        seen.append([other is None for other in others])
        return g * x

    made = op(scaled, x=lambda g, ws: g * sum(ws, 1.0), ws=of_operand)
    x, w = leaf([2.0]), leaf([3.0])
    made(x, np.array([4.0]), w).backward()
    assert seen == [[False, True]]
    same(w.grad, [2.0])
    made(x, w, w).backward()
    assert seen[1:] == [[False, False]] * 2


# ---- VJPs and plans


@program
def of_two_vjps_of_an_argument_the_latest_counts():
    made = op(lambda xp, x: x * 1.0, x=lambda g: 2.0 * g)
    made.vjp("x")(lambda g: 3.0 * g)
    x = leaf([1.0])
    made(x).backward()
    same(x.grad, [3.0])


@program
def a_plan_is_made_once():
    made = op(lambda xp, x: x * 1.0, x=lambda g: g)
    for _ in range(3):
        made(leaf([1.0]))
    assert len(made._plans) == 1


@program
def a_vjp_of_several_is_left_alone_where_none_of_them_is_wanted():
    def never(g):
        raise AssertionError("nobody asked for this gradient")

    three = op(lambda xp, x, v, w: x * 1.0, joint=("v", "w"), x=lambda g: 5.0 * g, together=never)
    v, w = leaf([1.0]), leaf([2.0])
    same(tr.grad(lambda x: three(x, v, w).sum())(np.array([1.0])).detach(), [5.0])


@program
def residuals_of_booleans_are_given_to_vjps():
    x = leaf([-2.0, 3.0])
    size = op(lambda xp, x: (xp.abs(x), x > 0), residuals=("above",), x=lambda g, above: g * (2.0 * above - 1.0))
    y = size(x)
    y.backward([5.0, 7.0])
    same(y.detach(), [2.0, 3.0])
    same(x.grad, [-5.0, 7.0])


# ---- dtypes, places and what comes back


@program
def a_gradient_in_another_dtype_is_cast_without_broadcasting():
    for value in ([2.0, 3.0], 2.0):
        x = leaf(value, "float32")
        y = op(lambda xp, x: x * 1, x=lambda g: np.float64(3.0) * g.astype("float64"))(x)
        y.backward(np.ones(x.shape))
        assert type(x.grad.data) is np.ndarray
        assert x.grad.dtype == np.float32
        np.testing.assert_array_equal(x.grad.data, np.full(x.shape, 3.0, np.float32))


@program
def numbers_as_an_incoming_gradient_go_where_the_result_is():
    x = tr.tensor([1.0, 2.0], backend="standin", requires_grad=True)
    (x * x).backward([1.0, 2.0])
    assert x.grad.backend == "standin"
    assert x.grad.tolist() == [2.0, 8.0]


@program
def one_result_given_twice_of_which_one_is_used():
    def twice(x):
        y = x * x
        return y, y, 3.0

    x = leaf([3.0])
    for used, unused in ((0, 1), (1, 0)):
        x.zero_grad()
        outcome = tr.checkpoint(twice)(x)
        assert outcome[unused].requires_grad
        outcome[used].backward()
        same(x.grad, [6.0])
