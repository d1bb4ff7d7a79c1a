"""Imports follow the list of rooms: none runs up, and none goes in a circle."""

import ast
from pathlib import Path

import pytest

import tinyreg

PACKAGE = Path(tinyreg.__file__).parent

MAP = PACKAGE.parent / "docs" / "map.md"


def rooms(text):
    """The rooms of the map from the ground up, by their first module, each with its modules: "" is the package itself."""
    table = text.partition("## The rooms")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = [
        ["" if name == "tinyreg" else name for name in cell.replace("`", "").replace(" ", "").split(",")] for cell in cells
    ]
    return {names[0] or "the front door": names for names in named}


ROOMS = rooms(MAP.read_text(encoding="utf-8"))


def sources():
    """The source of every module of tinyreg, by its name within the package: "" is the package itself."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts)] = path.read_text(encoding="utf-8")
    return found


def imports(source):
    """The import statements of a module, those inside of functions too, but not those that only type checkers see."""

    def within(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child
            elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
                yield from (one for other in child.orelse for one in within(ast.Module([other], [])))
            else:
                yield from within(child)

    return within(ast.parse(source))


def graph(sources):
    """Which modules of the package each module imports."""
    known = {name.removesuffix("__init__").rstrip(".") for name in sources}
    arrows = {}
    for name, source in sources.items():
        module = name.removesuffix("__init__").rstrip(".")
        package = name.split(".")[:-1]
        arrows[module] = set()
        for statement in imports(source):
            if isinstance(statement, ast.Import):
                targets = [alias.name.removeprefix("tinyreg.") for alias in statement.names if _ours(alias.name)]
            elif statement.level or _ours(statement.module):
                base = package[: len(package) - statement.level + 1] if statement.level else []
                named = (
                    (statement.module or "") if statement.level else statement.module.removeprefix("tinyreg").lstrip(".")
                )
                base = [*base, *filter(None, named.split("."))]
                targets = [".".join([*base, alias.name]) for alias in statement.names]
                targets = [target if target in known else ".".join(base) for target in targets]
            else:
                targets = []
            arrows[module] |= {"" if target == "tinyreg" else target for target in targets} - {module}
    return arrows


def _ours(name):
    return name == "tinyreg" or name.startswith("tinyreg.")


def room_of(module, rooms=ROOMS):
    """The place of a module's room in the list, or None: the longest name that it begins with counts."""
    held = {name: place for place, names in enumerate(rooms.values()) for name in names}
    parts = module.split(".")
    return next((held[name] for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in held), None)


def faults(sources):
    """What is wrong with the imports of some modules, one line each."""
    arrows, names = graph(sources), list(ROOMS)
    lines = [f"{m or 'tinyreg'} is in no room: say in docs/map.md where it belongs" for m in arrows if room_of(m) is None]
    for module, targets in arrows.items():
        for target in sorted(targets):
            mine, other = room_of(module), room_of(target)
            if mine is not None and other is not None and other > mine:
                lines.append(f"{module} ({names[mine]}) imports {target or 'tinyreg'} ({names[other]}), which stands on it")
    return sorted(lines) + [f"a circle: {' -> '.join(circle)}" for circle in circles(arrows)]


def circles(arrows):
    """One way round for every circle of modules: a walk in depth, which comes back to where it has been."""
    found, done = [], set()

    def walk(module, path):
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for target in sorted(arrows.get(module, ())):
                walk(target, [*path, module])
            done.add(module)

    for module in sorted(arrows):
        walk(module, [])
    return found


def test_no_import_runs_up_and_none_goes_in_a_circle():
    assert faults(sources()) == []


def test_the_whole_package_is_read():
    arrows = graph(sources())
    assert {"", "core.tape", "ops", "nn.recurrent", "testing.mutation.check"} <= arrows.keys()
    assert "core.backend" in arrows["core.tape"]  # from .backend import
    assert "nn.module" in arrows["nn"]  # from .module import, in a package's __init__
    assert "ops.reduction" in arrows["testing.strategies"]  # from ..ops.reduction import
    assert "ops" in arrows["dropout"]  # from . import ops
    assert "explore.page" in arrows["explore.tape"]  # inside of a function


def test_the_package_stands_without_what_is_around_it():
    """It is installed without the table of cases, the demos and the benchmarks."""
    roots = set()
    for source in sources().values():
        for statement in imports(source):
            absolute = [a.name for a in statement.names] if isinstance(statement, ast.Import) else [statement.module]
            roots |= {name.split(".")[0] for name in absolute if not getattr(statement, "level", 0)}
    assert {"numpy", "hypothesis"} <= roots
    assert roots.isdisjoint({"cases", "tests", "demos", "benchmarks"})


PLANTED = {
    "at the top": "from ..nn import Linear",
    "in a function": "def f():\n    from ..nn.linear import Linear\n",
    "by its full name": "import tinyreg.nn.linear",
    "from the package": "from .. import nn",
    "from the full package": "from tinyreg import nn",
    "in a branch": "try:\n    import tinyreg.nn\nexcept ImportError:\n    pass",
    "beside a check of types": "if TYPE_CHECKING:\n    pass\nelse:\n    from ..nn import Linear",
}


@pytest.mark.parametrize("how", PLANTED)
def test_an_import_that_runs_up_is_told(how):
    planted = sources()
    planted["ops.shape"] += "\n\n" + PLANTED[how]
    (line, *circle) = faults(planted)
    assert line.startswith("ops.shape (ops) imports nn")
    assert line.endswith("(nn), which stands on it")
    assert circle  # since layers are made of ops


@pytest.mark.parametrize(
    "source", ["if TYPE_CHECKING:\n    from ..nn import Linear", "import tinyregs", "from .table import REAL"]
)
def test_what_is_no_such_import_is_not_told(source):
    assert faults(sources() | {"ops.new": source}) == []


def test_the_front_door_may_not_be_imported_from_inside():
    assert faults(sources() | {"ops.new": "import tinyreg as tr"})[0] == (
        "ops.new (ops) imports tinyreg (the front door), which stands on it"
    )


def test_a_circle_inside_of_a_room_is_told():
    planted = sources() | {"optim.one": "from .two import f", "optim.two": "def f():\n    from . import one"}
    assert faults(planted) == ["a circle: optim.one -> optim.two -> optim.one"]


def test_a_module_in_no_room_is_told():
    assert faults(sources() | {"cellar": ""}) == ["cellar is in no room: say in docs/map.md where it belongs"]
