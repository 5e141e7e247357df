"""pytest is interrupted, ended or killed while it launches: nothing goes on, nothing is left half-written."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

PATIENCE = 60.0
"""Seconds after which a test fails instead of waiting for ever; none takes them."""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.usefixtures("sigint_heeded"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]

MARK = "OF_THIS_TEST"

HOLDING = """
import os, signal, time
alive = open(os.environ["ALIVE"], "w")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    os.write(alive.fileno(), b"child\\n")
else:
    os.write(alive.fileno(), b"started\\n")
time.sleep(1000)
"""
"""Takes no notice of signals, and has a child that isn't in its process group. Holds a pipe."""

MLPROJECT = 'entry_points:\n  main:\n    command: "python train.py"\n'

CHECK = ["--mlflow-project=proj", "--mlflow-launch=fluent", "proj"]

FIXTURE = """
def test_launch(mlflow_launch):
    mlflow_launch("proj", mode="fluent")
"""


class Session:
    """A pytest session, and a pipe that all its launches hold."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.mark = uuid.uuid4().hex
        self.base = directory / "base"
        pipe = directory / "alive"
        os.mkfifo(pipe)
        # So that opening it to read waits for nobody.
        self._writing = os.open(pipe, os.O_RDWR)
        self.alive: IO[str] = pipe.open()
        self.process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts it as a shell starts a job, in a process group of its own."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={self.base}", *arguments],
            cwd=self._directory,
            env={**os.environ, MARK: self.mark, "ALIVE": str(self._directory / "alive")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return self.process

    def until_launched(self) -> None:
        assert select.select([self.alive], [], [], PATIENCE)[0], "nothing was launched"
        assert {self.alive.readline(), self.alive.readline()} == {"started\n", "child\n"}

    def ended(self) -> tuple[int, str]:
        """Its exit code and output, once it is over."""
        assert self.process is not None
        output, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output

    def left(self) -> list[str]:
        """What of it still runs when all had time to end."""
        os.close(self._writing)
        self._writing = -1
        end = time.monotonic() + PATIENCE
        # The launch is dead when nobody holds the pipe; its supervisor and the fork server end at once then.
        while (left := self._marked()) and time.monotonic() < end:
            time.sleep(0.02)
        # This ends where nobody holds the pipe. Workers whose controller was killed may have launched again,
        # before they noticed.
        assert set(self.alive.read().split()) <= {"started", "child"}
        return left

    def _marked(self) -> list[str]:
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdecimal():
                try:
                    if f"{MARK}={self.mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                        found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
                except OSError:
                    continue
        return found

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.alive.close()
        if self._writing >= 0:
            os.close(self._writing)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    project = tmp_path / "proj"
    project.mkdir()
    (project / "MLproject").write_text(MLPROJECT)
    (project / "train.py").write_text(HOLDING)
    one = Session(tmp_path)
    yield one
    one.close()


def half_written(base: Path) -> list[Path]:
    """Files that say what was made, and aren't whole."""
    broken = []
    for file in base.rglob("*.json"):
        try:
            json.loads(file.read_text())
        except ValueError:
            broken.append(file)
    return broken


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    ("signals", "codes"),
    [
        ([signal.SIGINT], {2}),
        ([signal.SIGINT, signal.SIGINT], {2, 1, 130, -signal.SIGINT}),
        ([signal.SIGTERM], {-signal.SIGTERM}),
        ([signal.SIGKILL], {-signal.SIGKILL}),
    ],
    ids=["Ctrl-C", "Ctrl-C twice", "SIGTERM", "SIGKILL"],
)
def test_nothing_survives(
    session: Session, workers: str, signals: list[signal.Signals], codes: set[int]
) -> None:
    process = session.start(*CHECK, "-n", workers)
    session.until_launched()
    for number in signals:
        # A terminal sends Ctrl-C to all processes of the job.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    code, output = session.ended()
    assert session.left() == []
    assert code in codes, output
    assert "INTERNAL" not in output
    assert half_written(session.base) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_survives_of_a_launch_that_a_test_asked_for(
    session: Session, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "test_it.py").write_text(FIXTURE)
    process = session.start("test_it.py", "-n", "0")
    session.until_launched()
    process.send_signal(number)
    session.ended()
    assert session.left() == []


def test_the_first_failure_ends_the_launch_that_goes_on_beside_it(session: Session, tmp_path: Path) -> None:
    (tmp_path / "test_first.py").write_text(
        "import os\ndef test_fails():\n    open(os.environ['GO']).read()\n    assert False\n"
    )
    go = tmp_path / "go"
    os.mkfifo(go)
    os.environ["GO"] = str(go)
    try:
        session.start("test_first.py", *CHECK, "-x", "-n", "0")
    finally:
        del os.environ["GO"]
    session.until_launched()
    go.write_text("")
    code, output = session.ended()
    assert code == 1
    assert "1 failed" in output
    assert session.left() == []


@pytest.mark.parametrize("hook", ["collection_modifyitems(items)", "runtest_setup(item)"])
def test_a_failing_conftest(session: Session, tmp_path: Path, hook: str) -> None:
    waiting = "" if "collection" in hook else "    lines and lines.pop().readline()\n"
    (tmp_path / "conftest.py").write_text(
        "import os\nlines = [open(os.environ['ALIVE'])]\n"
        f"def pytest_{hook}:\n{waiting}    raise RuntimeError('on purpose')\n"
    )
    session.start(*CHECK, "-x", "-k", "launches", "-n", "0")
    code, output = session.ended()
    assert code != 0
    assert "on purpose" in output
    assert session.left() == []


def test_the_next_session_is_not_troubled(session: Session, tmp_path: Path) -> None:
    process = session.start(*CHECK, "-n", "0")
    session.until_launched()
    process.kill()
    session.ended()
    assert session.left() == []
    (tmp_path / "proj" / "train.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--basetemp={session.base}", *CHECK, "-n", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "no-run-logged" in done.stdout
