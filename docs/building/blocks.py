"""The Python blocks of pages, which are run: a page says what is so, or it does not become a site."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import tempfile

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from tinyreg.core.primitive import REGISTRY


def promised(block: str) -> list[str]:
    """What a block says that it prints, line by line."""
    return [line.partition("# prints ")[2] for line in block.splitlines() if "# prints " in line]


def printed(block: str, page: str) -> list[str]:
    """Run a block in a folder of its own; what it prints, line by line. Ops that it makes are forgotten."""
    said, before = io.StringIO(), dict(REGISTRY)
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(said):
            exec(compile(block, page, "exec"), {"__name__": "page"})
    finally:
        REGISTRY.clear()
        REGISTRY.update(before)
    return said.getvalue().splitlines()


def is_program(block: str) -> bool:
    """Whether a block runs by itself: not a test, for which there is pytest, nor with what is not installed."""
    return "battery" not in block and not ("import torch" in block and importlib.util.find_spec("torch") is None)


def run(app: Sphinx, document: nodes.document) -> None:
    """Run the blocks of a guide; lessons are run as notebooks, and the steps of CONTRIBUTING.md by the tests."""
    page = app.env.docname
    if "kernelspec" in app.env.metadata[page] or os.path.dirname(page) != "docs":
        return
    for block in document.findall(nodes.literal_block):
        code, is_source = block.astext(), "literal-block-wrapper" in block.parent.get("classes", [])
        if block.get("language") == "python" and not is_source and is_program(code):
            said = printed(code, page)
            if said != promised(code):
                raise ExtensionError(f"{page}, line {block.line}: prints {said}, and says {promised(code)}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Run them when a page is read."""
    app.connect("doctree-read", run)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
