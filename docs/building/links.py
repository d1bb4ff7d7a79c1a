"""Links that a page has beside those to other pages: to its form as a notebook, and to folders of the repository."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx


def notebook(app: Sphinx, document: nodes.document) -> None:
    """Offer the notebook that a page was run as, below its title."""
    run = Path("docs/out/jupyter_execute", f"{app.env.docname}.ipynb")
    if "kernelspec" in app.env.metadata[app.env.docname]:
        text = nodes.inline(text="This page as a notebook")
        link = addnodes.download_reference("", "", text, reftarget=f"/{run.as_posix()}")
        title = next(document.findall(nodes.title))
        title.parent.insert(1, nodes.paragraph("", "", link, classes=["notebook"]))


def folders(app: Sphinx, document: nodes.document) -> None:
    """Make text of links to folders: the site has pages only."""
    for link in [*document.findall(addnodes.pending_xref)]:
        if link.get("reftype") == "myst" and Path(app.env.relfn2path(link["reftarget"])[1]).is_dir():
            link.replace_self(link.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Make these links."""
    app.connect("doctree-read", notebook, priority=400)  # before what is to be downloaded is collected
    app.connect("doctree-read", folders)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
