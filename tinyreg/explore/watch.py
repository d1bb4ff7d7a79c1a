"""`python -m tinyreg explore --watch SCRIPT.py`: the page of a script, made again each time that the script is saved.

It is served on the loopback address alone, to requests that name that as their host; so a page elsewhere that lets its name
point here is refused. Nothing is served but the page, and the number of its run.
"""

from __future__ import annotations

import contextlib
import html
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..messages import printable
from ..pages import read

ADDRESS = "127.0.0.1"
EVERY = 0.2  # seconds: how often the script's time of change is looked at
AROUND = 3  # lines shown before and after that of an error
LONGEST = 20_000  # characters of a traceback
MARK = '<script type="module">'  # of the page, before which what watches is put


class Watched:
    """A script, and the page of its last run, which is a process of its own, and ends where the script is saved again."""

    def __init__(self, script: Path, options: Sequence[str], arguments: Sequence[str]) -> None:
        self.script = script.resolve()
        self.version = 0
        self.text = ""
        self._options, self._arguments = list(options), list(arguments)
        self._changed: Any = None
        self._process: subprocess.Popen[str] | None = None
        self._folder = TemporaryDirectory(prefix="tinyreg-")
        self._page = Path(self._folder.name) / "tape.html"
        self._stderr = Path(self._folder.name) / "stderr"
        self._show(_plain(self.script.name, f"<p>{html.escape(self.script.name)} is running.</p>"))

    def look(self) -> None:
        """Start the script where it has been saved since, and take up its page where it has ended."""
        changed = _time_of_change(self.script)
        if changed != self._changed and changed is not None:
            self._changed = changed
            self.stop()
            self._start()
        elif self._process and self._process.poll() is not None:
            status, self._process = self._process.returncode, None
            self._take_up(status)

    def stop(self) -> None:
        """End a run that is going on, with the processes that it has begun."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End a run that is going on, and remove what it wrote."""
        self.stop()
        self._folder.cleanup()

    def _start(self) -> None:
        self._page.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tinyreg", "explore", str(self.script), "--out", str(self._page)]
        with self._stderr.open("w") as errors:
            self._process = subprocess.Popen(
                [*command, *self._options, "--", *self._arguments],
                stderr=errors,
                stdin=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # so that it can be ended as a whole
            )

    def _take_up(self, status: int) -> None:
        errors = self._stderr.read_text(encoding="utf-8", errors="replace")
        sys.stderr.write(errors)
        problem = _problem(self.script, errors) if status else ""
        if self._page.exists():
            text = self._page.read_text(encoding="utf-8").replace("<body>", f"<body>\n{problem}", 1)
        else:
            text = _plain(self.script.name, problem)
        self._show(text)

    def _show(self, text: str) -> None:
        self.version += 1
        watching = read("watch.js").replace("@@version@@", str(self.version))
        at = text.rindex(MARK)
        text = f"{text[:at]}<script>\n{watching}</script>\n{text[at:]}"
        self.text = text.replace("img-src data:", "img-src data:; connect-src 'self'", 1)


def _time_of_change(path: Path) -> tuple[int, int] | None:
    """When a file was saved, and how long it is; None while an editor puts another in its place."""
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_mtime_ns, known.st_size


def _plain(title: str, body: str) -> str:
    """A page without a tape."""
    return (
        read("plain.html")
        .replace("@@style@@", read("page.css"))
        .replace("@@title@@", html.escape(title))
        .replace("@@body@@", body)
    )


def _problem(script: Path, errors: str) -> str:
    """What went wrong as a piece of HTML: the last line of the error, the script's line, the traceback."""
    lines = [line for line in errors.rstrip().splitlines() if line.strip()] or ["The script ended with an error."]
    own = [line for line in lines if not line.startswith("explore: ")] or lines
    at = [int(number) for path, number in re.findall(r'File "(.*?)", line (\d+)', errors) if Path(path) == script]
    where = f"{script.name}:{at[-1]}" if at else script.name
    code = _around(script, at[-1]) if at else ""
    shown = html.escape(printable(own[-1]))
    traceback = html.escape("\n".join(map(printable, errors[-LONGEST:].rstrip().splitlines())))
    details = f"<details><summary>Traceback</summary><pre>{traceback}</pre></details>"
    return f'<aside id="error" role="alert"><p><b>{html.escape(where)}</b> {shown}</p>{code}{details}</aside>\n'


def _around(script: Path, number: int) -> str:
    try:
        lines = script.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    first = max(1, number - AROUND)
    shown = enumerate(lines[first - 1 : number + AROUND], first)
    rows = [f"{'<b>' * (n == number)}{n:>5}  {html.escape(printable(line))}{'</b>' * (n == number)}" for n, line in shown]
    return "<pre>" + "\n".join(rows) + "</pre>"


class _Handler(BaseHTTPRequestHandler):
    """Serves the page at / and its number at /version, to whoever asks this address for them."""

    watched: Watched
    server_version, sys_version = "tinyreg", ""

    def do_GET(self) -> None:
        """Answer a request."""
        port = self.server.server_address[1]  # type: ignore[index]
        if self.headers.get("Host") not in (f"{ADDRESS}:{port}", f"localhost:{port}"):
            self._answer(403, "text/plain", f"This is served to http://{ADDRESS}:{port}/ alone.")
        elif self.path == "/":
            self._answer(200, "text/html", self.watched.text)
        elif self.path == "/version":
            self._answer(200, "text/plain", str(self.watched.version))
        else:
            self._answer(404, "text/plain", "There is only the page, at /.")

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode("utf-8")
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep quiet: what the script prints is to be read."""


def watch(script: Path, options: Sequence[str], arguments: Sequence[str], port: int) -> int:
    """Serve the page of a script until it is interrupted; the status."""
    watched = Watched(script, options, arguments)
    try:
        server = ThreadingHTTPServer((ADDRESS, port), type("_", (_Handler,), {"watched": watched}))
    except OSError as error:
        watched.close()
        sys.stderr.write(f"explore: cannot serve at port {port}: {os.strerror(error.errno or 0)}; give another --port\n")
        return 1
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://{ADDRESS}:{server.server_address[1]}/"
    sys.stdout.write(f"{printable(script.name)} is watched, its page is at {url}; Ctrl+C ends\n")
    sys.stdout.flush()
    try:
        while True:
            watched.look()
            time.sleep(EVERY)
    except KeyboardInterrupt:
        return 0
    finally:
        server.shutdown()
        watched.close()
