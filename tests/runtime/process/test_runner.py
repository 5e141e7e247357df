"""Started processes: what they get, what they leave, and that nothing of them is left."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.core.os_errors import CommandError
from pytest_mlflow_check.runtime.process.runner import Ended, Processes, Stopped, own_variables

SHELL = shutil.which("sh") or "/bin/sh"
PATIENCE = 30.0
"""Seconds after which a test fails instead of waiting for ever; none takes them."""


def run(
    directory: Path, script: str, *, timeout: float = PATIENCE, processes: Processes | None = None
) -> Ended:
    """Runs a shell script in a directory, with `out` and `err` beside it."""
    return (processes or Processes()).run(
        [SHELL, "-c", script],
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
        stdout=directory / "out",
        stderr=directory / "err",
        timeout=timeout,
    )


def test_a_variable_that_goes_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fading(dict[str, str]):
        def __iter__(self) -> Iterator[str]:
            yield from [*self.keys(), "PYTEST_CURRENT_TEST"]

    monkeypatch.setattr(os, "environ", Fading(PATH="/bin"))
    assert own_variables() == {"PATH": "/bin"}


def test_both_outputs_in_one_file(tmp_path: Path) -> None:
    command = [SHELL, "-c", "echo one; echo two >&2; echo three"]
    out = tmp_path / "out"
    Processes().run(command, cwd=tmp_path, env={}, stdout=out, stderr=None, timeout=PATIENCE)
    assert out.read_text() == snapshot("""\
one
two
three
""")


@pytest.mark.parametrize(
    ("script", "exit_code"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", -15), ("kill -KILL $$", -9)]
)
def test_how_it_ended(tmp_path: Path, script: str, exit_code: int) -> None:
    ended = run(tmp_path, script)
    assert ended.exit_code == exit_code
    assert 0 < ended.duration < PATIENCE


def test_output_and_directory(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("of another launch, much longer than what comes now")
    run(tmp_path, "pwd; printf 'a\\377\\n'; echo err >&2")
    assert (tmp_path / "out").read_bytes() == os.fsencode(tmp_path) + b"\na\xff\n"
    assert (tmp_path / "err").read_text() == "err\n"


def test_input_is_empty(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"typed by the user")
    os.close(writing)
    before = os.dup(0)
    os.dup2(reading, 0)
    try:
        run(tmp_path, "cat")
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reading)
    assert (tmp_path / "out").read_bytes() == b""


def test_no_variables_but_those_given(tmp_path: Path) -> None:
    Processes().run(
        [shutil.which("env") or "env"],
        cwd=tmp_path,
        env={"ONE": "1", "TWO": "a=b\nc"},
        stdout=tmp_path / "out",
        stderr=tmp_path / "err",
        timeout=PATIENCE,
    )
    assert (tmp_path / "out").read_text() == snapshot("""\
ONE=1
TWO=a=b
c
""")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the variables of a process in /proc")
def test_what_keeps_it_has_the_variables_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET_BEFORE", "1")
    processes = Processes()
    monkeypatch.setenv("SET_LATER", "1")
    run(tmp_path, "cat /proc/$PPID/environ", processes=processes)
    variables = (tmp_path / "out").read_bytes().split(b"\0")
    assert b"SET_BEFORE=1" in variables
    assert b"SET_LATER=1" not in variables


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_nothing_stays_open_where_nothing_can_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    before = len([*Path("/proc/self/fd").iterdir()])
    # Its traceback holds on to what was at hand.
    with pytest.raises(FileNotFoundError) as raised:
        run(tmp_path, "true")
    assert len([*Path("/proc/self/fd").iterdir()]) == before, raised.traceback


def test_what_it_leaves_behind_is_ended(tmp_path: Path, alive: Queue[str]) -> None:
    ended = run(tmp_path, "exec 3>alive; echo started >&3; sleep 1000 & echo done")
    assert ended.exit_code == 0
    assert (tmp_path / "out").read_text() == "done\n"
    assert alive.get(timeout=PATIENCE) == "started\n"


STUBBORN = "trap '' TERM; exec 3>alive; echo parent >&3; (echo child >&3; sleep 1000); sleep 1000"


def test_a_timeout_ends_all_even_what_ignores_it(
    tmp_path: Path, alive: Queue[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_mlflow_check.runtime.process.runner._GRACE", 0.1)
    ended = run(tmp_path, STUBBORN, timeout=1.0)
    assert ended.exit_code is None
    assert ended.duration < PATIENCE
    assert alive.get(timeout=PATIENCE) == snapshot("""\
parent
child
""")


def test_a_timeout_asks_first(tmp_path: Path, alive: Queue[str]) -> None:
    script = "trap 'echo asked >&3; exit 0' TERM; exec 3>alive; echo started >&3; sleep 1000 & wait"
    assert run(tmp_path, script, timeout=1.0).exit_code is None
    assert alive.get(timeout=PATIENCE) == snapshot("""\
started
asked
""")


def test_another_thread_ends_all(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    processes = Processes()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, tmp_path, STUBBORN, processes=processes)
        with (tmp_path / "alive").open() as alive:
            assert alive.readline() == "parent\n"
            assert alive.readline() == "child\n"
            processes.stop()
            assert alive.read() == ""
    # How it ended says nothing of the script.
    with pytest.raises(Stopped):
        running.result()
    # Nothing is started any more.
    with pytest.raises(Stopped):
        run(tmp_path, "touch started", processes=processes)
    assert not (tmp_path / "started").exists()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    processes = Processes()
    with pytest.raises(CommandError, match="gone"):
        processes.run(
            [str(tmp_path / "gone")],
            cwd=tmp_path,
            env={},
            stdout=tmp_path / "out",
            stderr=tmp_path / "err",
            timeout=PATIENCE,
        )
    assert run(tmp_path, "exit 0", processes=processes).exit_code == 0
