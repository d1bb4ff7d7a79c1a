"""Names, sources and titles that would be markup or escapes are text on the page of a program, and nothing else."""

import json
import linecache

import pytest
from test_hostile_names import NAMES, PLAIN, Elements, texts

import tinyreg as tr
from tinyreg.messages import printable


def saved(name, folder):
    """The page of a program with that name wherever a user gives one: op, layer, file, line, step and title."""

    @tr.primitive(name=name or "_")
    def hostile(xp, x):
        return 2 * x

    tr.core.primitive.REGISTRY.pop("hostile", None)

    class Layer(tr.nn.Module):
        def forward(self, x):
            return hostile(x) + x

    Layer.__name__ = name.replace("\0", "0").encode(errors="replace").decode()  # what a class may be called
    path, code = f"{name}.py", "\ndef step(x):\n    return layer(x) * 3.0\n"
    linecache.cache[path] = (1, None, [f"# {name}\n", "def step(x):\n", f"    return layer(x) * 3.0  # {name}\n"], path)
    scope = {"layer": Layer()}
    exec(compile(code, "<string>", "exec").replace(co_filename=path), scope)
    step = tr.capture(scope["step"], executor="numpy")
    for _ in range(4):
        step(tr.ones(2))
    return step.program.save_html(folder / "program.html", title=name).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", NAMES)
def test_the_page_has_the_elements_of_any_other_and_its_data_are_json(kind, tmp_path):
    found, expected = (Elements(saved(name, tmp_path)) for name in (NAMES[kind], PLAIN))
    assert found.elements == expected.elements
    assert found.scripts[1:] == expected.scripts[1:]  # what runs
    known = texts(json.loads(found.scripts[0]))
    assert not [text for text in known if not text.replace("\n", "").replace("\t", "").isprintable()]
    assert any(printable(NAMES[kind])[:200] in text for text in known)
