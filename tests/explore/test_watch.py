"""`python -m tinyreg explore --watch SCRIPT.py`: the page of the script as it was saved last, where the reader stood."""

import http.client
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytest_plugins = ["page_fixtures"]

ROOT = Path(__file__).parents[2]
SCRIPT = """
    import tinyreg as tr

    w = tr.tensor([1.0, 2.0], requires_grad=True)
    h = tr.tanh(w)
    loss = (h * h).sum()
    loss.backward()
"""


class Watching:
    """The command in a process of its own, and its page."""

    def __init__(self, folder, *arguments):
        self.script = folder / "train.py"
        self.save(SCRIPT)
        command = [sys.executable, "-m", "tinyreg", "explore", "--watch", "train.py", *arguments]
        environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = self.process.stdout.readline()
        self.port = int(
            re.fullmatch(r"train.py is watched, its page is at http://127.0.0.1:(\d+)/; Ctrl\+C ends\n", said)[1]
        )
        self.url = f"http://127.0.0.1:{self.port}/"

    def save(self, text):
        path = self.script.with_suffix(".new")
        path.write_text(textwrap.dedent(text))
        os.replace(path, self.script)  # as editors do

    def get(self, path="/", host=None, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        if host != "":
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def until(self, version):
        deadline = time.monotonic() + 60
        while int(self.get("/version")[1]) < version:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self.get()[1]

    def end(self):
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=60)[0]
        return self.process.returncode, said


@pytest.fixture
def watching(tmp_path):
    started = []

    def start(*arguments):
        started.append(Watching(tmp_path, *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end()


def test_only_the_page_is_served_and_only_to_this_address(watching):
    one = watching()
    page = one.until(2)
    assert "<title>train.py:6</title>" in page
    assert "connect-src 'self'" in page
    assert "h = tr.tanh(w)" in page
    assert one.get(host=f"localhost:{one.port}")[0] == 200
    for host in ("example.org", f"example.org:{one.port}", "127.0.0.1", f"127.0.0.1:{one.port + 1}", ""):
        assert one.get(host=host)[0] == 403, host
        assert "tr.tanh" not in one.get(host=host)[1]
    for path in ("/train.py", "/..", "/tape.html", "/version/", "/?x", "/../../../../etc/passwd"):
        assert one.get(path)[0] == 404, path
    assert one.get(method="POST")[0] == 501
    listening = Path(f"/proc/{one.process.pid}/net/tcp").read_text() if Path("/proc").exists() else ""
    assert f"00000000:{one.port:04X}" not in listening
    status, said = one.end()
    assert status == 0
    assert "Traceback" not in said


def test_an_error_is_shown_with_its_line_and_the_tape_up_to_there(watching):
    one = watching()
    one.until(2)
    one.save(SCRIPT.replace("loss.backward()", "raise ValueError('<b>not this</b>')"))
    page = one.until(3)
    assert "<b>train.py:7</b> ValueError: &lt;b&gt;not this&lt;/b&gt;" in page
    assert "<b>    7  raise ValueError(" in page
    assert '<script type="application/json" id="scene">{' in page
    one.save("import tinyreg as tr\n\nx = = 1\n")
    page = one.until(4)
    assert "<b>train.py:3</b> SyntaxError: invalid syntax" in page
    assert 'id="scene"' not in page
    one.save("print('nothing')\n")
    assert "called .backward() 0 times, expected at least 1" in one.until(5)
    one.save(SCRIPT)
    assert 'id="error"' not in one.until(6).replace("#error", "")


def test_a_script_that_does_not_end_is_ended_when_it_is_saved_again(watching):
    one = watching()
    one.until(2)
    worker = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])"
    one.save(f"import subprocess, sys, time\nprint({worker}.pid, flush=True)\ntime.sleep(1000)\n")
    while not (said := one.process.stdout.readline()).strip().isdigit():
        assert said
    one.save(SCRIPT.replace("h * h", "h * h * h"))
    assert "(h * h * h)" in one.until(3)
    state = Path(f"/proc/{said.strip()}/stat")
    assert not state.exists() or ") Z " in state.read_text()  # what it began has ended too


def test_step_definitions_and_arguments_are_those_of_the_command(watching):
    one = watching("--step", "2", "first", "--", "--second")
    one.until(2)
    one.save(
        """
        import sys
        import tinyreg as tr
        w = tr.tensor(1.0, requires_grad=True)
        for text in sys.argv[1:]:
            (w * len(text)).backward()
            print(text)
        """
    )
    assert "multiply(w, 8)" in one.until(3)


def test_a_port_that_is_taken_is_said(watching, tmp_path):
    one = watching()
    command = [sys.executable, "-m", "tinyreg", "explore", "--watch", "train.py", "--port", str(one.port)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"explore: cannot serve at port {one.port}: Address already in use; give another --port\n"


def test_the_page_in_the_browser_follows_the_script_and_stays_where_the_reader_stood(watching, page):
    one = watching()
    one.until(2)
    page.driver.get(one.url)
    page.run("document.getElementById('tour').hidden = true; document.getElementById('rows').focus()")
    page.press("b", "n", "n")
    before = page.sentence
    assert before.startswith("#1, multiply: the VJP for x1")
    one.save(SCRIPT.replace("[1.0, 2.0]", "[3.0, 4.0]"))
    page.wait(lambda: "[3.0, 4.0]" in page.text("#lines"))
    assert page.sentence == before
    one.save(SCRIPT.replace("h = tr.tanh(w)", "h = tr.tanh(w + 1.0)"))  # one entry more before it
    page.wait(lambda: page.text("#totals").startswith("4 entries"))
    assert page.sentence.startswith("#2, multiply: the VJP for x1")
    one.save(SCRIPT.replace("tanh", "tanhh"))
    page.wait(lambda: page.all("#error"))
    assert page.text("#error p").startswith("train.py:5 AttributeError: module 'tinyreg' has no attribute 'tanhh'")
    one.save(SCRIPT)
    page.wait(lambda: page.all("#lines .made"))
    assert page.text("#totals").startswith("3 entries")
