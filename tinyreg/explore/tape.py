"""`tr.tape(tensor)`: the tape as a value that prints as a table, and shows itself as a picture and as a page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..core.backend import Array
from ..core.tensor import Tensor
from .dot import graph
from .rows import Rows
from .snapshot import snapshot
from .text import table

if TYPE_CHECKING:
    from pathlib import Path


class Tape(Rows):
    """The entries that a tensor rests on, earliest first: an immutable sequence that prints as a table."""

    __slots__ = ()

    def text(self, *, limit: int | None = 40, fold: bool = True) -> str:
        """The tape as a table, with the source lines of what ran inside explain().

        One of more than `limit` entries is folded: a layer's entries to one line, then a sequence of ops that comes again
        and again to its first round, and of what is still too long the first and the last lines are shown. With
        `fold=False` only that last step is taken; with `limit=None` everything is shown.

        >>> import tinyreg as tr
        >>> x = tr.tensor([1.0, 2.0], requires_grad=True)
        >>> print(tr.tape((x * x + 1.0).sum(), x=x).text())
        entry  op and inputs   result      saves        bytes
        #0     multiply(x, x)  float32[2]  x1, x2 (#0)      8
        #1     add(#0, const)  float32[2]
        #2     sum(#1)         float32[]
        -----------------------------------------------------
        3 entries, 1 leaf, 8 bytes saved for backward
        (#n): saved by entry #n already, and counted there
        leaves: x float32[2]
        """
        return table(self, limit, fold)

    def to_dot(self) -> str:
        r"""The tape as the source of a picture, for Graphviz: entries as boxes in their layers, leaves as ellipses.

        Parameters stand in double ellipses, and on every edge stands the shape of what goes along it. Write it to a file,
        and `dot -Tsvg tape.dot -o tape.svg` draws it.

        Source: Gansner and North, "An open graph visualization system and its applications", 2000.

        >>> import tinyreg as tr
        >>> x = tr.tensor([1.0, 2.0], requires_grad=True)
        >>> print(tr.tape(x.sum(), x=x).to_dot())
        digraph tape {
          rankdir=TB
          node [fontname="Helvetica"]
          edge [fontname="Helvetica" fontsize=9]
          "leaf 0" [shape=ellipse label="x\nfloat32[2]"]
          "#0" [shape=box label="#0 sum\nfloat32[]"]
          "leaf 0" -> "#0" [label="[2]"]
        }
        """
        return graph(self)

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the tape as one page that steps forward and back through it, and return its path.

        It is one file, which needs no network. Inside `explain()` it shows values, gradients and your source. Raises
        `FileNotFoundError` where the folder is missing.

        >>> import tempfile, pathlib, tinyreg as tr
        >>> x = tr.tensor([1.0, 2.0], requires_grad=True)
        >>> with tr.explain(), tempfile.TemporaryDirectory() as folder:
        ...     tr.tape((x * x).sum()).save_html(pathlib.Path(folder) / "tape.html").name
        'tape.html'
        """
        from .page import save_html  # here, since it loads what `import tinyreg` has no need of

        return save_html(self, path)

    def _repr_html_(self) -> str:
        from .page import fragment

        return fragment(self)

    def __repr__(self) -> str:
        return self.text()


def tape(tensor: Tensor, /, *, grad: Tensor | Array | float | None = None, **names: Tensor) -> Tape:
    """The entries that a tensor rests on, in order of time: what ran, on what, and what it saved for backward.

    Print it. A leaf goes by the name that it is given here as a keyword, or has as a parameter of a Module or, inside
    `explain()`, as a variable, and otherwise as `leaf 0`, `leaf 1`, ...; an argument without a gradient as a name given
    here, its variable or number, or `const`. The result is a snapshot: it holds nothing of the tape itself, and no array.

    Inside `explain()` it does hold arrays: every value, and every gradient of a backward from this tensor, which is
    walked for that; no leaf's `.grad` is touched, and the tape is not freed. `grad` is the incoming gradient, of the
    tensor's shape; a tensor of one element needs none, and without one no backward from a larger tensor is recorded.

    Raises `RuntimeError` where nothing was recorded, the tape was freed by a backward, or a leaf has changed since, and
    for a `grad` outside explain(); `TypeError` for a name given to anything but a Tensor, and `ValueError` for one that is
    not on the tape.

    >>> import tinyreg as tr
    >>> w = tr.tensor([[1.0], [2.0]], requires_grad=True)
    >>> x = tr.ones((3, 2))
    >>> [entry.op.name for entry in tr.tape((x @ w).sum(), w=w, x=x)]
    ['matmul', 'sum']
    """
    return Tape(*snapshot(tensor, grad, names))
