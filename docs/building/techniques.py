"""What lessons on techniques show: verdicts out of docs/claims.md, and the code of functions without their docstrings.

- The directive `claims` has sentences of that page as its content, one a line, and shows what was measured for each.
  With `:open:` the settings are not folded.
- The roles `confirmed`, `contradicted`, `unseen` and `depends` take a sentence, or a sentence and one of its settings. They
  show the verdict or the change, and are an error where the verdict is another: a text cannot outlive what it builds on.
- The directive `source` has a file of the package as its argument, and names of what the file defines as its content.

In the notebook of a lesson they are ordinary Markdown.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.parsers.rst.states import Inliner
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
PAGE = "docs/claims.md"
COLOURS = {"confirmed": "var(--color-brand-primary)", "contradicted": "#e6701a"}  # others: that of notes
ROLES = {"confirmed": "confirmed", "contradicted": "contradicted", "unseen": "not seen", "depends": "depends"}
CHANGE = re.compile(r"([-+]?[\d.e-]+)(?: ± ([\d.e-]+))? ?(.*)")


class Measured(NamedTuple):
    """A row of the page: what was expected of a setting, how much changed, and the verdict."""

    on: str
    expected: str
    change: str
    at_least: str
    verdict: str

    def numbers(self) -> tuple[float, float, str]:
        """The change, half of its interval, and the unit."""
        found = CHANGE.fullmatch(self.change)
        if not found:
            raise ValueError(f"{PAGE}: got the change {self.change!r}, expected such as +0.19 ± 0.30 points")
        return float(found[1]), float(found[2] or 0), found[3]


@cache
def claims() -> dict[str, tuple[str, list[Measured]]]:
    """For each sentence of the page its verdict, and its rows."""
    each: dict[str, tuple[str, list[Measured]]] = {}
    rows: list[Measured] = []
    for line in (ROOT / PAGE).read_text(encoding="utf-8").splitlines():
        cells = line.strip("| ").replace("\\|", "|").split(" | ")
        if line.startswith("| **"):
            rows = []
            each[cells[0].strip("*")] = cells[-1].strip("*"), rows
        elif line.startswith("| - "):
            rows.append(Measured(cells[0].removeprefix("- "), *cells[1:5]))
    return each


# ---- verdicts as a picture -------------------------------------------------------------------------------------------


def drawn(row: Measured, widest: float) -> str:
    """The change as a dot with its interval; where the claim has it lie is shaded; left is lower, right is higher."""
    mean, half, _ = row.numbers()
    colour = COLOURS.get(row.verdict, "var(--color-foreground-muted)")

    def x(value: float) -> float:
        return round(80 + 72 * value / widest, 1) if widest else 80

    within = {"lower": (0.0, 80.0), "higher": (80.0, 160.0)}
    low, high = within.get(row.expected) or (x(-(bound := float(row.expected.split()[-1]))), x(bound))
    return (
        f'<svg width="160" height="16" role="img" aria-label="{escape(row.change)}, expected {escape(row.expected)}">'
        f'<rect x="{low:g}" width="{max(high - low, 1):g}" height="16" fill="currentColor" opacity=".1"/>'
        '<path d="M80 0V16" stroke="currentColor" stroke-width=".7"/>'
        f'<path d="M{x(mean - half):g} 8H{x(mean + half):g}" stroke="{colour}" stroke-width="2.5"/>'
        f'<circle cx="{x(mean):g}" cy="8" r="4" fill="{colour}"/></svg>'
    )


def reach(row: Measured) -> float:
    """How far a row's picture goes from 0."""
    mean, half, _ = row.numbers()
    bound = 0 if row.expected in ("lower", "higher") else float(row.expected.split()[-1])
    return max(abs(mean) + half, bound)


def shown(sentence: str, is_open: bool) -> str:
    """A claim, its verdict, and what was measured in each setting; rows of one unit have one scale."""
    verdict, rows = claims()[sentence]
    colour = COLOURS.get(verdict, "var(--color-foreground-muted)")
    lines = []
    for row in rows:
        widest = max(reach(other) for other in rows if other.numbers()[2] == row.numbers()[2])
        cells = [*map(escape, (row.on, row.expected, row.change)), drawn(row, widest), row.at_least, row.verdict]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("", "expected", "change", "lower | higher", "at least", "verdict"))
    return (
        f"<details{' open' * is_open}><summary>{escape(sentence)} "
        f'<strong style="color: {colour}">{escape(verdict)}</strong></summary>'
        '<div class="table-wrapper docutils container"><table class="docutils align-default">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div></details>"
    )


class Claims(SphinxDirective):
    """Claims with their verdicts."""

    has_content = True
    option_spec: ClassVar = {"open": directives.flag}

    def run(self) -> list[nodes.Node]:
        """A part that unfolds for each."""
        self.env.note_dependency(str(ROOT / PAGE))
        unknown = [line for line in self.content if line not in claims()]
        if unknown:
            raise self.error(f"{PAGE} has no claim {unknown[0]!r}")
        return [nodes.raw("", "\n".join(shown(line, "open" in self.options) for line in self.content), format="html")]


def verdict_of(text: str) -> tuple[str, str]:
    """The verdict on a claim, or in one of its settings, and what is to be shown of it; empty where there is none."""
    sentence = next((one for one in claims() if text.startswith(one)), "")
    verdict, rows = claims().get(sentence, ("", []))
    if text == sentence:
        return verdict, verdict
    return next(((row.verdict, row.change) for row in rows if row.on == text.removeprefix(sentence).strip()), ("", ""))


def role(verdict: str) -> Callable[..., tuple[list[nodes.Node], list[nodes.system_message]]]:
    """The role that shows a verdict, or a change, and insists on the verdict."""

    def run(
        name: str, raw: str, text: str, line: int, inliner: Inliner, options: Any = None, content: Sequence[str] = ()
    ) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        of, seen = verdict_of(text)
        if not of.startswith(verdict):
            problem = f"{PAGE} has {of or 'nothing'!r} for {text!r}, expected {verdict!r}"
            return [], [inliner.reporter.error(problem, line=line)]
        return [nodes.inline(text=seen)], []

    return run


# ---- source ----------------------------------------------------------------------------------------------------------


def definition(file: Path, name: str) -> str:
    """The code of what a file defines, without docstrings: a function, a class, or "Class.method"."""
    text = file.read_text(encoding="utf-8")
    body: list[Any] = ast.parse(text).body
    for part in name.split("."):
        matching = [node for node in body if getattr(node, "name", "") == part]
        if not matching:
            raise ValueError(f"{file.relative_to(ROOT)} defines no {name}")
        found = matching[-1]  # the last: those before are overloads
        body = found.body
    docstrings: set[int] = set()
    for node in ast.walk(found):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            docstrings |= {*range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)}
    first = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    lines = text.splitlines()
    taken = [lines[i - 1][found.col_offset :] for i in range(first, found.end_lineno + 1) if i not in docstrings]
    return "\n".join(taken)


class Source(SphinxDirective):
    """The code of functions."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """A block of code, with its file above."""
        file = ROOT / self.arguments[0]
        self.env.note_dependency(str(file))
        try:
            code = "\n\n".join(definition(file, name) for name in self.content)
        except ValueError as error:
            raise self.error(str(error)) from error
        where = nodes.caption(text=self.arguments[0])
        return [
            nodes.container(
                "", where, nodes.literal_block(code, code, language="python"), literal_block=True,
                classes=["literal-block-wrapper"],
            )
        ]  # fmt: skip


# ---- in a notebook ---------------------------------------------------------------------------------------------------

BLOCK = re.compile(r"^```\{(claims|source)\}(.*)\n((?:.*\n)*?)```$", re.M)
ROLE = re.compile(r"\{(?:confirmed|contradicted|unseen|depends)\}`([^`]*)`")
LINK = re.compile(r"\{py:obj\}`([^` ]*)[^`]*`")


def as_markdown(text: str) -> str:
    """The text of a cell without what only this site understands."""

    def block(found: re.Match[str]) -> str:
        lines = [line for line in found[3].splitlines() if not line.startswith(":")]
        if found[1] == "source":
            code = "\n\n".join(definition(ROOT / found[2].strip(), name) for name in lines)
            return f"```python\n# {found[2].strip()}\n{code}\n```"
        return "\n\n".join(map(table, lines))

    text = BLOCK.sub(block, text)
    return LINK.sub(r"`\1`", ROLE.sub(lambda found: verdict_of(found[1])[1], text))


def table(sentence: str) -> str:
    """A claim as Markdown."""
    verdict, rows = claims()[sentence]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    head = ["| | expected | change | at least | verdict |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([f"{sentence} **{verdict}**", "", *head, *lines])


def rewrite(app: Sphinx, document: nodes.document) -> None:
    """Make the notebook of a page one that any program shows."""
    file = app.outdir.parent / "jupyter_execute" / f"{app.env.docname}.ipynb"
    if "kernelspec" in app.env.metadata[app.env.docname] and file.exists():
        notebook = json.loads(file.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = as_markdown("".join(cell["source"]))
        file.write_text(json.dumps(notebook, indent=1), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add directives and roles."""
    app.add_directive("claims", Claims)
    app.add_directive("source", Source)
    for name, verdict in ROLES.items():
        app.add_role(name, role(verdict))
    app.connect("doctree-read", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
