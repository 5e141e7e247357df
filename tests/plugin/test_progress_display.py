"""Lines that show launches at work: how they are drawn, and a real session in a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from pytest_mlflow_check.engine.progress import LaunchProgress
from pytest_mlflow_check.plugin.progress_display import Block, lines
from support.builders import quick
from support.projects import FILES, LOGGING, MakeProject
from support.screens import Screen

HOME = Path("home")


def at_work(name: str = "proj::main", **given: object) -> LaunchProgress:
    return LaunchProgress(name, "fluent", HOME, **{"phase": "running", "since": 10.0, **given})  # type: ignore[arg-type]


def test_a_line_for_each_launch_at_work() -> None:
    followers = [
        at_work(points=1234, last="log_metric loss = 0.25, step 3"),
        LaunchProgress(
            "projects/with-a-long-name::表", "mlflow-run", HOME, "validating models", 12.4, points=1
        ),
        at_work("done", phase="over"),
        at_work("later", phase="waiting"),
    ]
    assert lines(followers, 22.0, 79, 20) == [
        "proj::main                fluent       12 s  1,234 points  log_metric…5, step 3",
        "projects/wit…ng-name::表  mlflow run   10 s  1 point       validating models",
        "1 launch waiting",
    ]


def test_only_so_many_lines_as_there_is_room_for() -> None:
    many = [at_work(f"p::{number}") for number in range(30)]
    assert len(lines(many, 20.0, 79, 50)) == 9
    assert lines([*many, at_work(phase="waiting"), at_work(phase="waiting")], 20.0, 79, 3) == [
        "p::0  fluent   10 s  0 points",
        "p::1  fluent   10 s  0 points",
        "28 more at work, 2 launches waiting",
    ]
    assert lines([], 0.0, 79, 20) == []


@quick
@given(st.text(max_size=50), st.text(max_size=200), st.integers(20, 100))
def test_no_line_is_too_long(name: str, last: str, columns: int) -> None:
    from pytest_mlflow_check.reporting.text import width

    assert all(width(line) <= columns for line in lines([at_work(name, last=last)], 20.0, columns, 20))


@quick
@given(
    st.lists(st.sampled_from(["a", "bc\n", "\n\n", "x" * 79]), max_size=30),
    st.lists(st.lists(st.text("lin", min_size=1, max_size=60), max_size=6), min_size=1, max_size=5),
    st.text("z\n", max_size=30),
)
def test_what_is_written_meanwhile_looks_as_ever(
    before: list[str], drawings: list[list[str]], after: str
) -> None:
    """Wherever the cursor stood, at the bottom too: with the lines drawn, and when they are gone."""
    plain, screen = Screen(rows=10), Screen(rows=10)
    block = Block(screen.feed)
    for text in before:
        for one in (plain, screen):
            one.feed(text.replace("\n", "\r\n"))
    for drawing in drawings:
        block.draw(drawing)
        assert screen.text.splitlines()[-len(drawing) :] == drawing if drawing else True
        assert screen.column == plain.column
    block.erase()
    assert screen.text == plain.text
    for one in (plain, screen):
        one.feed(after.replace("\n", "\r\n"))
    assert screen.text == plain.text


# A real session in a terminal

PATIENCE = 60.0
"""Seconds without a sign of life after which a test fails instead of waiting for ever."""

TALKING = """
import json, os, time
from pathlib import Path

file = json.loads(open(os.environ["PYTEST_MLFLOW_CHECK_OBSERVER"]).readlines()[2])["file"]
for step in range(3):
    said = {"process": 1, "what": "log_metric", "key": "loss", "value": "0.5", "step": step, "time": 1.5}
    with open(file, "a") as observations:
        observations.write(json.dumps(said, separators=(",", ":")) + "\\n")
# Until the test has seen them.
open(os.environ["RELEASE"]).read()
"""
SHOWN = re.compile(r"proj::main  fluent +\d+ s  3 points  log_metric loss = 0\.5, step 2")


class Session:
    """pytest in a terminal."""

    def __init__(self, directory: Path, *arguments: str, columns: int = 80, **env: str) -> None:
        self.screen = Screen(columns=columns)
        self.release = directory / "release"
        os.mkfifo(self.release)
        self._terminal, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=directory,
            env={**os.environ, "TERM": "xterm", "RELEASE": str(self.release), **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.raw = ""

    def until(self, seen: Callable[[str], object]) -> None:
        """Reads on until the screen shows something, or all has ended."""
        end = time.monotonic() + PATIENCE
        while not seen(self.screen.text) and self._read():
            assert time.monotonic() < end, self.screen.text

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what the terminal shows in the end."""
        while self._read():
            pass
        return self.process.wait(), self.screen.text

    def _read(self) -> bool:
        assert select.select([self._terminal], [], [], PATIENCE)[0], f"nothing more:\n{self.screen.text}"
        try:
            content = os.read(self._terminal, 1 << 16)
        except OSError:
            # How Linux says that nobody has the other end any more.
            return False
        text = content.decode("utf-8", "replace")
        self.raw += text
        self.screen.feed(text)
        return bool(content)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._terminal)


@pytest.fixture
def started(pytester: pytest.Pytester, make_project: MakeProject) -> Iterator[Callable[..., Session]]:
    """Starts sessions with a project that waits to be released, and tests beside it."""
    make_project("proj", {**FILES, "train.py": LOGGING + TALKING, "mlflow-check.toml": 'launch = "fluent"\n'})
    pytester.makepyfile(
        test_own="import pytest\n@pytest.mark.parametrize('n', range(3))\ndef test_it(n): pass"
    )
    sessions = []

    def start(*arguments: str, **given: Any) -> Session:
        sessions.append(Session(pytester.path, "--mlflow-project=proj", "test_own.py", *arguments, **given))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()


def progress(text: str) -> list[str]:
    """The lines of progress, and all else between the header and the summary."""
    shown = text[text.index("collected 8 items\n") : text.index("= FAILURES =")]
    return [line for line in shown.splitlines()[1:-1] if line]


def test_lines_are_there_while_a_launch_runs_and_leave_nothing(started: Callable[..., Session]) -> None:
    session = started("--color=yes")
    session.until(SHOWN.search)
    assert SHOWN.search(session.screen.text)
    session.release.write_text("")
    code, text = session.ended()
    assert "3 points" not in text
    assert code == pytest.ExitCode.TESTS_FAILED
    assert progress(text) == [
        "test_own.py ...                                                          [ 37%]",
        "proj/MLproject .sF.s                                                     [100%]",
    ]


@pytest.mark.usefixtures("sigint_heeded")
def test_ctrl_c_takes_them_away_also_on_a_narrow_terminal(started: Callable[..., Session]) -> None:
    session = started(columns=60)
    shown = re.compile(r"^proj::main  fluent +\d+ s  3 points  log_metric.*….*step 2$", re.MULTILINE)
    session.until(shown.search)
    assert shown.search(session.screen.text)
    os.killpg(session.process.pid, signal.SIGINT)
    code, text = session.ended()
    assert code == pytest.ExitCode.INTERRUPTED
    assert "3 points" not in text
    assert "KeyboardInterrupt" in text


@pytest.mark.heavy
def test_under_xdist_the_controller_shows_them(started: Callable[..., Session]) -> None:
    session = started("-n", "2")
    session.until(SHOWN.search)
    assert SHOWN.search(session.screen.text)
    session.release.write_text("")
    _, text = session.ended()
    assert "3 points" not in text
    (line,) = re.findall(r"^[.sF]{8} .*$", text, re.MULTILINE)
    assert line.endswith("[100%]")


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        ([], {"TERM": "dumb"}),
        pytest.param(["-qq"], {}, marks=pytest.mark.heavy),
        pytest.param(["-p", "no:terminal"], {}, marks=pytest.mark.heavy),
    ],
)
def test_where_they_are_not_wanted_there_are_none(
    started: Callable[..., Session], arguments: list[str], env: dict[str, str]
) -> None:
    session = started(*arguments, **env)
    session.release.write_text("")
    session.ended()
    assert "3 points" not in session.raw
    assert "\x1bD" not in session.raw


# Lines that stay

WENT = re.compile(r"mlflow-check: proj::main: fluent: \d+\.\d s, exit code 0, 1 run, 2 points")

DOTS = snapshot(""" items

proj/MLproject .
WENT
proj/MLproject sF.s                                                      [100%]
""")
DOTS_OF_WORKERS = snapshot(""" items]

.
WENT
sF.s                                                                     [100%]""")
VERBOSE = snapshot(""" items

proj/MLproject::main::launches PASSED                                    [ 20%]
WENT
proj/MLproject::main::params SKIPPED (only one launch was made, so t...) [ 40%]
proj/MLproject::main::metrics FAILED                                     [ 60%]
proj/MLproject::main::artifacts PASSED                                   [ 80%]
proj/MLproject::main::models SKIPPED (no model was logged)               [100%]
""")


@pytest.mark.parametrize(
    ("arguments", "ci", "said", "progress"),
    [
        ("-v", "", 1, VERBOSE),
        ("", "true", 1, DOTS),
        pytest.param("-n 1", "true", 1, DOTS_OF_WORKERS, marks=pytest.mark.heavy),
        ("", "", 0, ""),
        ("", "false", 0, ""),
        ("-q", "1", 0, ""),
    ],
    ids=["verbose", "ci", "workers", "usual", "no ci", "quiet"],
)
def test_how_launches_went_in_lines_that_stay(
    pytester: pytest.Pytester,
    make_project: MakeProject,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    ci: str,
    said: int,
    progress: str,
) -> None:
    make_project("proj", {**FILES, "train.py": LOGGING, "mlflow-check.toml": 'launch = "fluent"\n'})
    monkeypatch.setenv("CI", ci)
    result = pytester.runpytest("--mlflow-project=proj", *arguments.split())
    assert sum("fluent: " in line for line in result.outlines) == said
    if said:
        shown = WENT.sub("WENT", result.stdout.str())
        assert shown[shown.index(" items") :].partition("= FAILURES =")[0].rpartition("\n")[0] == progress
    assert "\x1bD" not in result.stdout.str()
