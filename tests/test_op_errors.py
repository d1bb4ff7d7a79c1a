"""What ops refuse: the error says what was got and what was expected, also where the array library's own would not."""

import pytest

import tinyreg as tr

X, V, S = tr.ones((2, 3)), tr.ones(3), tr.tensor(1.0)

REFUSED = {
    "split, no such axis": (
        lambda: tr.split(X, 2, axis=5),
        "split: got axis=5 for an array of 2 axes, expected an axis from",
    ),
    "split, a scalar": (lambda: tr.split(S, 1), "split: got axis=0 for an array of 0 axes, expected no axis"),
    "split, unequal parts": (lambda: tr.split(X, 2, axis=1), "split: got length 3 and 2 sections, expected .* divides"),
    "split, no parts": (lambda: tr.split(X, 0), "split: got length 2 and 0 sections, expected"),
    "split, out of order": (lambda: tr.split(V, [2, 1]), r"got the indices \[2, 1\] for length 3, expected .* order"),
    "unstack": (lambda: tr.unstack(X, axis=2), r"unstack: got x float32\[2, 3\] on numpy; expected an axis that x has"),
    "take": (lambda: tr.take(X, tr.tensor([0])), "take: got an array of 2 axes and no axis, expected an axis"),
    "topk": (lambda: tr.topk(V, 4), "topk: got k=4, expected 0 to 3, the length of axis 0"),
    "diagonal": (lambda: tr.diagonal(V), r"diagonal: got shape \[3\], expected at least two axes"),
    "tril": (lambda: tr.tril(V), r"tril: got x float32\[3\] .* expected at least two axes"),
    "outer": (lambda: tr.outer(X, V), r"outer: got shapes \[2, 3\] and \[3\], expected two arrays of one axis"),
    "matrix_transpose": (lambda: tr.matrix_transpose(V), r"got shape \[3\], expected at least two axes"),
    "cumulative_sum": (lambda: tr.cumulative_sum(X), "cumulative_sum: got x .* an array of several axes needs an axis"),
    "norm": (lambda: tr.norm(V, ord=0.5), "got x .* expected a finite ord of at least 1, and axes that x has. ord is 0.5"),
    "matrix_norm, ord": (lambda: tr.matrix_norm(X, ord=3), "matrix_norm: got ord 3, expected one of 'fro', 'nuc', 2"),
    "matrix_norm, a vector": (lambda: tr.matrix_norm(V), r"matrix_norm: got shape \[3\], expected at least two axes"),
    "qr": (lambda: tr.qr(tr.ones((2, 4))), "qr: .* the matrices have 2 rows and 4 columns; transpose them perhaps"),
    "svd": (lambda: tr.svd(X, full_matrices=True), "svd: .* the full form has no derivative; leave full_matrices out"),
    "concat": (
        lambda: tr.concat(X, V),
        r"concat: got xs float32\[2, 3\], xs float32\[3\] .*expected arrays whose shapes agree",
    ),
    "permute_dims": (lambda: tr.permute_dims(X, (0, 0)), "permute_dims: got x .* expected each axis of x once"),
    "squeeze": (lambda: tr.squeeze(X, axis=0), "squeeze: got x .* expected axes of length 1"),
    "max of nothing": (lambda: tr.max(tr.zeros(0)), "max: got x .* expected axes that x has, with at least one element"),
    "solve": (lambda: tr.solve(X, V), "solve: got a .*, b .* expected square matrices of float32 or float64"),
}


@pytest.mark.parametrize(("call", "text"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()
