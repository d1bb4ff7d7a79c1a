"""One page of all that was found: pictures and style are in it, there is no script, and nothing is fetched."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tinyreg as tr
from benchmarks.machine import facts
from tinyreg import files

from .base import Demo, Result
from .estimate import over

Done = tuple[Demo[Any], Result, float]
"""A demo, what it found, and how many seconds it took."""

FAST = (
    "This is a fast run, cut down as far as it goes: it shows that the demos run, and nothing else. "
    "Do not read its findings as results."
)


def write(folder: Path, done: Sequence[Done], backend: str, fast: bool) -> Path:
    """Write folder/index.html, in place of one that is there; returns its path. done: at least one demo, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    return files.write(folder / "index.html", html(done, surroundings(backend), fast), "report")


def surroundings(backend: str) -> dict[str, str]:
    """What the results depend on: the machine and the versions."""
    machine = facts()
    return {
        "date": f"{machine['date'][:16].replace('T', ' ')} UTC",
        "processor": machine["cpu"],
        "system": machine["system"],
        "backend": backend,
        **(graphics() if backend == "cupy" else {}),
        "Python": machine["python"],
        "tinyreg": tr.__version__,
        "NumPy": version("numpy"),
        "scikit-learn": version("scikit-learn"),
    }


def graphics() -> dict[str, str]:
    """The GPU that CuPy uses, and its version."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return {"GPU": properties["name"].decode(), "CuPy": cupy.__version__}


def html(done: Sequence[Done], about: Mapping[str, str], fast: bool) -> str:
    """The page."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    seconds = sum(taken for _, _, taken in done)
    where = about.get("GPU") or about["processor"]
    questions = "1 question" if len(done) == 1 else f"{len(done)} questions"
    banner = f'<p class="fast">{FAST}</p>' if fast else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>tinyreg: what the demos found</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
<p class="name">tinyreg</p>
<h1>Regularization, measured</h1>
<p class="lead">{questions}, each put to real data. What was found is said from the numbers, whichever way they went.</p>
<p class="facts">{escape(about["date"])} · {escape(where)} · {duration(seconds)}</p>
{banner}</header>
<main>
<nav aria-label="What was found">
<ol>
{"".join(map(entry, done))}</ol>
</nav>
{"".join(article(one, about["backend"], fast) for one in done)}</main>
<footer>
<h2>How this was made</h2>
<dl>
{"".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in about.items())}
</dl>
<p>Matrix products on the processor run on one thread. Seeds are 0, 1, 2 and so on: none is chosen.</p>
</footer>
</body>
</html>
"""


def entry(done: Done) -> str:
    """A line of the table of contents: question and finding."""
    demo, result, _ = done
    return (
        f'<li><a href="#{escape(demo.name)}">{escape(demo.question)}</a>'
        f"<p>{escape(result.finding)}</p>{interruption(result)}</li>\n"
    )


def article(done: Done, backend: str, fast: bool) -> str:
    """All that one demo found."""
    demo, result, seconds = done
    name = escape(demo.name)
    picture = f"data:image/png;base64,{base64.b64encode(result.picture.read_bytes()).decode()}"
    command = f"python -m demos {demo.name} --backend {backend} --seeds {result.seeds}{' --fast' * fast}"
    return f"""<article id="{name}" aria-labelledby="{name}-question">
<p class="facts">Section {escape(demo.section)}</p>
<h2 id="{name}-question">{escape(demo.question)}</h2>
<p class="finding">{escape(result.finding)}</p>
{interruption(result)}<figure tabindex="0"><img src="{picture}" alt="A picture of what was found"></figure>
<div class="table" tabindex="0">{table(result.table)}</div>
<p class="note">{escape(result.note)}</p>
<p class="facts"><code>{escape(command)}</code> · {over(result.seeds)} · {duration(seconds)}</p>
</article>
"""


def interruption(result: Result) -> str:
    """A word of warning where not all seeds were run."""
    return "" if result.complete else f'<p class="cut">Interrupted: found {over(result.seeds)}.</p>\n'


def table(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the head, and the first column names the rows."""
    head, *body = rows
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = [
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'
        for first, *others in body
    ]
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def duration(seconds: float) -> str:
    """Seconds, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
