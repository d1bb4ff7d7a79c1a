"""The numbers on the page, in a real browser: they are those that were computed."""

import re

import numpy as np
from page_tapes import B, W, X, layered
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

import tinyreg as tr

pytest_plugins = ["page_fixtures"]


def gradients():
    """Of the small network by hand, in NumPy."""
    h = X @ W + B
    from_each = h / h.size
    return {"h": h, "each": from_each, "both": 2 * from_each, "b": (2 * from_each).sum(0), "w": X.T @ (2 * from_each)}


def close(shown, computed):
    np.testing.assert_allclose(shown, np.ravel(computed), rtol=1e-5, atol=1e-7)


def test_values_forward_are_those_that_numpy_computes(net):
    known = gradients()
    close(net.numbers("value", of="Result"), X @ W)
    close(net.numbers("value", of="w"), W)
    net.press("n")
    assert net.sentence == "#1: add(#0, b) gives float32 (4, 2)."
    close(net.numbers("value", of="Result"), known["h"])
    close(net.numbers("value", of="b"), B)
    net.click("#to-loss")
    close(net.numbers("value", of="Result"), np.mean(known["h"] ** 2))


def test_constants_have_their_values_too(net):
    close(net.numbers("value", of="const"), X)
    assert "constfloat32 (4, 3), no gradient wanted" in net.texts("#entry h4")
    net.press("b")
    net.until("#0, matmul: the VJP")
    close(net.numbers("value", of="const"), X)


def test_constants_that_are_told_apart_by_nothing_but_their_values(page, tmp_path):
    x = tr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with tr.explain():
        one = np.array([5.0, 6.0, 7.0], dtype="float32")
        tr.tape(tr.concat([one, x, one + 1, one, 2.0 * one]).sum(), x=x).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    assert page.texts("#entry h4") == [
        "one (2 times)float32 (3,), no gradient wanted",
        "xfloat32 (3,)",
        "constfloat32 (3,), no gradient wanted",
        "constfloat32 (3,), no gradient wanted",
    ]
    shown = [figure["numbers"] for figure in page.figures() if figure["of"].startswith(("one", "const"))]
    assert shown == [[5, 6, 7], [6, 7, 8], [10, 12, 14]]
    page.press("n")
    assert page.texts("#entry h4") == ["#0float32 (15,)"]


def test_gradients_after_the_backward_are_there_from_the_start(net):
    known = gradients()
    close(net.numbers("gradient, after the backward", of="w"), known["w"])
    net.press("n")
    close(net.numbers("gradient, after the backward", of="b"), known["b"])
    close(net.numbers("gradient, after the backward", of="Result"), known["both"])


def test_a_tensor_that_is_used_twice_gathers_two_contributions(net):
    known = gradients()
    net.press("b")
    net.until("#2, multiply: the VJP for x1 gives #1 the first of 2 contributions")
    close(net.numbers("contribution to #1", of="In the backward"), known["each"])
    assert net.texts("#row-e1 .mark small") == ["1/2"]
    assert net.find("#row-e1 .ring").get_attribute("aria-label") == "1 of 2 contributions"
    net.press("n")
    assert net.sentence == "#2, multiply: the VJP for x2 gives a contribution to #1, float32 (4, 2)."
    net.until("#1 has its gradient: the sum of 2 contributions")
    close(net.numbers("contribution to #1", of="In the backward"), known["each"])
    close(net.numbers("gradient of #1, complete", of="In the backward"), known["both"])
    assert net.find("#row-e1 .ring").get_attribute("aria-label") == "gradient complete"


def test_a_broadcast_is_undone_in_a_step_of_its_own(net):
    known = gradients()
    net.press("b")
    net.until("#1, add: the VJP for x2 gives a contribution to b, float32 (4, 2).")
    close(net.numbers("contribution to b", of="In the backward"), known["both"])
    net.press("n")
    assert net.sentence == "Broadcasting undone for b: summed over axis 0: (4, 2) → (2,). That is its gradient."
    close(net.numbers("gradient of b, complete", step="summed over axis 0: (4, 2) → (2,)"), known["b"])
    assert net.find("#row-l1 .ring").get_attribute("aria-label") == "gradient complete"


def test_every_step_says_something(page, files):
    """No step that undoes nothing, and none that says again what the one before has said."""
    page.open(files(layered))
    sentences = []
    while page.find("#next").get_attribute("aria-disabled") == "false":
        page.press("n")
        sentences.append(page.sentence)
    assert len(set(sentences)) == len(sentences)
    assert not [sentence for sentence in sentences if "undone" in sentence and "→" not in sentence]
    assert not [sentence for sentence in sentences if "is the only one" in sentence or "1 of 1" in sentence]


def test_a_contribution_of_a_product_is_shown_as_matrices_and_its_numbers_say_how_they_came_about(net):
    known = gradients()
    net.press("b")
    net.until("#0, matmul: the VJP for x2 gives w its gradient")
    assert net.text("#entry .formula") == "∂L/∂x2 = x1ᵀ g"
    assert net.texts("#entry .chain figcaption") == [
        "x1, transposed",
        "g, the incoming gradient",
        "gradient of w, complete",
    ]
    close(net.numbers("x1, transposed", of="In the backward"), X.T)
    close(net.numbers("g, the incoming gradient", of="In the backward"), known["both"])
    assert net.texts("#entry .chain li:last-child th") == ["", "0", "1", "0", "1", "2"]
    net.run("document.querySelector('#entry .chain li:last-child table').focus()")
    net.press(Keys.DOWN, Keys.RIGHT)
    place, how, sum_ = re.match(r"(\[.*\]), row times column: (.*) = (.*)", net.text("#entry .told")).groups()
    assert place == "[1, 1]"
    products = [[float(part.strip("()")) for part in term.split(" · ")] for term in how.split(" + ")]
    np.testing.assert_allclose(products, np.stack([X[:, 1], known["both"][:, 1]], axis=1), rtol=1e-3)
    close(float(sum_), float(f"{known['w'][1, 1]:.4g}"))
    assert len(net.all("#entry .chain .read")) == 4 + 4 + 1
    net.press(Keys.ESCAPE)
    assert net.text("#entry .told") == ""


def test_a_linear_layer_is_a_product_of_the_rows_of_its_input(page, tmp_path):
    tr.seed(0)
    layer = tr.nn.Linear(3, 2)
    x = np.random.default_rng(0).normal(size=(2, 2, 3)).astype("float32")
    with tr.explain():
        tr.tape((layer(x) ** 2).sum()).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    page.press("b")
    page.until("#0, linear: the VJP for weight")
    g = 2 * (x @ layer.weight.numpy().T + layer.bias.numpy()).reshape(4, 2)
    close(page.numbers("g, transposed"), g.T)
    close(page.numbers("x", of="In the backward"), x)
    close(page.numbers("gradient of weight, complete"), g.T @ x.reshape(4, 3))
    page.run("document.querySelector('#entry .chain li:last-child table').focus()")
    page.press(Keys.END)
    assert page.text("#entry .told").endswith(f"= {(g.T @ x.reshape(4, 3))[1, 2]:.4g}")


def test_of_an_elementwise_op_local_derivative_and_incoming_gradient_are_told_of_each_number(net):
    net.press("b")
    net.until("#2, multiply: the VJP for x1")
    close(net.numbers("local derivative"), gradients()["h"])
    cell = net.all("#entry .chain li:last-child td")[3]
    ActionChains(net.driver).move_to_element(cell).perform()
    place, local, g, contribution = re.match(
        r"(\[.*\]), g times the local derivative: (.*) · (.*) = (.*)", net.text("#entry .told")
    ).groups()
    assert place == "[1, 1]"
    np.testing.assert_allclose(float(local.strip("()")) * float(g.strip("()")), float(contribution), rtol=1e-3)
    assert len(net.all("#entry .chain .read")) == 3


def test_a_matrix_of_3_by_6_is_shown_in_full_and_nothing_lies_over_another(page, tmp_path):
    x = tr.tensor(np.linspace(-1234.5, 1234.5, 18).reshape(3, 6).astype("float32"), requires_grad=True)
    with tr.explain():
        tr.tape(tr.square(x).sum(), x=x).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    page.press("b", "n", "n")
    boxes = page.run(
        "return [...document.querySelectorAll('#entry .chain li')].map((li) => li.getBoundingClientRect().toJSON())"
    )
    tables = page.run(
        "return [...document.querySelectorAll('#entry .chain table')].map((each) => each.getBoundingClientRect().toJSON())"
    )
    assert len(tables) == len(boxes) == 3
    for box, table in zip(boxes, tables, strict=True):
        assert box["left"] <= table["left"]
        assert table["right"] <= box["right"] + 1


def test_a_wider_dtype_is_undone_in_a_step_of_its_own(page, tmp_path):
    w = tr.tensor(W, requires_grad=True)
    with tr.explain():
        tr.tape((tr.tensor(X.astype("float64")) @ w).sum(), w=w).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    page.press("b")
    page.until("Dtype undone for w: cast: float64 → float32. That is its gradient.")
    close(page.numbers("gradient of w, complete"), np.repeat(X.sum(0), 2))


def test_what_has_not_arrived_yet_is_not_shown(net):
    net.press("b")
    net.until("#1, add: the VJP for x1")
    net.click("#row-l1")
    assert any(figure["label"] == "gradient so far, 0 of 1" and "none yet" in figure["text"] for figure in net.figures())
    net.press(Keys.END)
    close(net.numbers("gradient, complete", of="w"), gradients()["w"])


def test_a_heat_map_tells_its_numbers_to_pointer_and_keyboard(page, files):
    page.open(files(layered))
    canvas = page.find("#entry canvas")
    assert "float32 (3, 16), from" in canvas.get_attribute("aria-label")
    tr.seed(0)
    transposed = tr.nn.Linear(3, 16).weight.numpy().T
    page.run("arguments[0].focus()", canvas)
    page.press(Keys.DOWN, Keys.RIGHT, Keys.RIGHT)
    where, number = page.text("#entry figure output").split("] ")
    assert where == "[1, 2"
    close([float(number)], transposed[1, 2])
    page.press(Keys.END)
    assert page.text("#entry figure output").startswith("[2, 15] ")
    ActionChains(page.driver).move_to_element_with_offset(canvas, 4, 0).perform()
    assert page.text("#entry figure output").startswith("[1, 8] ")
    colours = page.run(
        "const c = arguments[0]; return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]", canvas
    )
    red, blue = (np.reshape(colours, (-1, 4))[:, i].astype(int) for i in (0, 2))
    far = np.abs(transposed.ravel()) > 0.1 * np.abs(transposed).max()
    assert np.array_equal((red > blue)[far], (transposed.ravel() > 0)[far])  # orange above 0, blue below


def test_numbers_that_are_not_finite_are_counted(page, tmp_path):
    x = tr.tensor([1.0, np.nan, -np.inf], requires_grad=True)
    with tr.explain():
        y = tr.where(np.array([True, False, False]), x, 0.0)
        tr.tape(y.sum(), x=x).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    (shown,) = [figure for figure in page.figures() if figure["of"].startswith("x") and figure["label"] == "value"]
    assert "1 NaN, 1 inf" in shown["text"]
    cells = [cell.get_attribute("title") for cell in page.all("#entry td")]
    assert {"[0] 1", "[1] nan", "[2] -inf"} < set(cells)


def test_several_results_have_a_gradient_each(page, tmp_path):
    x = tr.tensor(np.diag([1.0, 2.0]), requires_grad=True)
    with tr.explain():
        _, logarithm = tr.slogdet(x)
        tr.tape(logarithm * 3.0, x=x).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    assert page.texts("#entry > section > h3") == ["Result 0", "Result 1", "Its VJP", "Inputs"]
    page.press("b")
    page.until("#0, slogdet: the VJP")
    assert page.numbers("g, of result 1") == [3.0]
