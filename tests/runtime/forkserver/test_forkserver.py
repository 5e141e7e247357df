"""The fork server: a fork is like a new process, and knows nothing of the ones before it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.plugin.resources import preparation
from pytest_mlflow_check.runtime.forkserver.client import ForkServer, ForkServerProcess, unsupported_reason
from pytest_mlflow_check.runtime.process.runner import Call, Processes
from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment

pytestmark = [
    pytest.mark.launch,
    pytest.mark.skipif(unsupported_reason() is not None, reason=unsupported_reason() or ""),
]

PATIENCE = 60.0
"""Seconds after which a test fails instead of waiting for ever; none takes them."""

ASKED = """
import atexit, json, os, random, signal, sys, threading, time

def tell(name, value):
    with open("told.json", "w") as file:
        json.dump({name: value}, file)

def printing(text):
    print(text)
    print("wrong", file=sys.stderr)
    atexit.register(print, "at exit")

def leaving(code):
    sys.exit(code)

def raising():
    raise ValueError("on purpose")

def dying(number):
    os.kill(os.getpid(), number)

def sleeping():
    print("asleep", flush=True)
    time.sleep(1000)

def pausing(seconds):
    time.sleep(seconds)

def place():
    import numpy
    tell("place", {
        "cwd": os.getcwd(), "argv": sys.argv, "env": dict(os.environ), "path": sys.path,
        "stdin": sys.stdin.read(), "group": os.getpgrp() == os.getpid() == os.getsid(0),
        "threads": threading.active_count(), "files": sorted(map(int, os.listdir("/proc/self/fd"))),
        "random": [random.random(), float(numpy.random.rand())],
        "signals": [signal.getsignal(one) is signal.SIG_DFL for one in (signal.SIGTERM, signal.SIGCHLD)],
        "wakeup": signal.set_wakeup_fd(-1),
    })

def mlflow_state():
    import tempfile, weakref, mlflow
    from mlflow.tracking._tracking_service import utils
    tell("mlflow", {
        "set": utils._tracking_uri, "uri": mlflow.get_tracking_uri(), "run": mlflow.active_run() is None,
        "finalizers": [str(one) for one in weakref.finalize._registry], "made": os.listdir(),
    })

def spoiling():
    import mlflow
    os.environ["SPOILT"] = "1"
    sys.path.insert(0, "/spoilt")
    random.seed(1)
    mlflow.set_tracking_uri("sqlite:///spoilt.db")
    mlflow.start_run()
"""


@dataclass
class Asker:
    """Has calls made in forks."""

    fork_server: ForkServer
    directory: Path

    def __call__(
        self,
        function: str,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        timeout: float = PATIENCE,
    ) -> int | None:
        self.directory.mkdir(exist_ok=True)
        (self.directory / "asked.py").write_text(ASKED)
        call = Call(self.directory, "asked", function, arguments, ["asked", function])
        ended = Processes(self.fork_server).run(
            ["false", "a fork was wanted"],
            call=call,
            cwd=self.directory,
            env={**self.fork_server.env, **(env or {})},
            stdout=self.directory / "out",
            stderr=self.directory / "err",
            timeout=timeout,
        )
        return ended.exit_code

    def told(self, function: str, **given: Any) -> dict[str, Any]:
        """What a fork told of itself."""
        assert self(function, **given) == 0, self.error
        (told,) = json.loads((self.directory / "told.json").read_text()).values()
        assert isinstance(told, dict)
        return told

    @property
    def output(self) -> str:
        return (self.directory / "out").read_text()

    @property
    def error(self) -> str:
        return (self.directory / "err").read_text()


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    process = ForkServerProcess(fork_server_environment([]), preparation())
    yield process
    process.stop()


@pytest.fixture
def ask(fork_server: ForkServer, tmp_path: Path) -> Asker:
    return Asker(fork_server, tmp_path / "asked")


def test_output_in_files_and_what_is_done_at_exit(ask: Asker) -> None:
    assert ask("printing", "hello") == 0
    assert ask.output == snapshot("""\
hello
at exit
""")
    assert ask.error == "wrong\n"


@pytest.mark.parametrize(
    ("function", "arguments", "exit_code"),
    [
        ("leaving", [0], 0),
        ("leaving", [3], 3),
        ("leaving", ["text"], 1),
        ("raising", [], 1),
        ("dying", [15], -15),
    ],
)
def test_how_it_ended(ask: Asker, function: str, arguments: list[object], exit_code: int) -> None:
    assert ask(function, *arguments) == exit_code
    assert ("ValueError: on purpose" in ask.error) == (function == "raising")


def test_a_timeout_ends_it(ask: Asker) -> None:
    assert ask("sleeping", timeout=2.0) is None
    assert ask.output == "asleep\n"


@pytest.mark.parametrize("timeout", [2.0**32 / 1000, 1e10])
def test_a_timeout_that_never_comes(ask: Asker, timeout: float) -> None:
    assert ask("pausing", 0.5, timeout=timeout) == 0


def test_it_is_a_process_of_its_own(ask: Asker) -> None:
    place = ask.told("place", env={"PYTHONPATH": "/one:/two", "CASE": "a=b\nc"})
    assert place["cwd"] == str(ask.directory)
    assert place["argv"] == ["asked", "place"]
    assert place["env"] == {**ask.fork_server.env, "PYTHONPATH": "/one:/two", "CASE": "a=b\nc"}
    assert place["path"][:3] == [str(ask.directory), "/one", "/two"]
    assert place["stdin"] == ""
    assert place["group"]
    assert place["threads"] == 1
    assert place["signals"] == [True, True]
    assert place["wakeup"] == -1
    # Input, outputs, and the directory of open files itself.
    assert len(place["files"]) == 4


def test_the_path_is_that_of_a_new_process(ask: Asker) -> None:
    told = ask.told("place", env={"PYTHONPATH": "/one"})
    code = "import sys; print(sys.path)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**ask.fork_server.env, "PYTHONPATH": "/one"},
        capture_output=True,
        text=True,
    )
    # With -c, the current directory comes first.
    assert told["path"][1:] == eval(done.stdout)[1:]


def test_random_numbers_differ(ask: Asker) -> None:
    one, other = (ask.told("place")["random"] for _ in range(2))
    assert one[0] != other[0]
    assert one[1] != other[1]


def test_nothing_leaks_from_fork_to_fork(ask: Asker) -> None:
    before, state = ask.told("place"), ask.told("mlflow_state", env={"MLFLOW_TRACKING_URI": "file:///own"})
    assert ask("spoiling") == 0
    after = ask.told("place")
    assert {**after, "random": 0} == {**before, "random": 0}
    assert ask.told("mlflow_state", env={"MLFLOW_TRACKING_URI": "file:///own"})["set"] is None
    assert state["set"] is None
    assert state["uri"] == "file:///own"
    assert state["run"]
    assert state["finalizers"] == []


@pytest.mark.parametrize(
    "name",
    [
        "GIT_PYTHON_GIT_EXECUTABLE",
        "HOME",
        "LC_ALL",
        "MLFLOW_LOGGING_LEVEL",
        "OMP_NUM_THREADS",
        "PYTHONHASHSEED",
        "PYTHONWARNINGS",
    ],
)
def test_variables_that_are_read_at_start_need_a_new_process(ask: Asker, name: str) -> None:
    assert ask("printing", "hello", env={name: "0"}) == 1
    assert ask.fork_server.failure is None
    assert ask("printing", "hello", env={"CASE": "0"}) == 0


def test_a_plugin_of_mlflow_on_the_path_needs_a_new_process(ask: Asker, tmp_path: Path) -> None:
    (tmp_path / "plugin.egg-info").mkdir()
    assert ask("printing", "hello", env={"PYTHONPATH": str(tmp_path)}) == 1


@pytest.mark.parametrize("begun", [True, False])
def test_where_it_has_ended_the_command_is_used(tmp_path: Path, begun: bool) -> None:
    process = ForkServerProcess(fork_server_environment([]), preparation())
    if begun:
        process.begin()
    process.stop()
    ask = Asker(process, tmp_path / "asked")
    assert ask("printing", "hello") == 1
    assert process.failure is not None


def test_where_mlflow_cannot_be_loaded_the_command_is_used(tmp_path: Path) -> None:
    (tmp_path / "mlflow.py").write_text("import os; os._exit(7)")
    process = ForkServerProcess({**fork_server_environment([]), "PYTHONPATH": str(tmp_path)}, preparation())
    ask = Asker(process, tmp_path / "asked")
    assert ask("printing", "hello") == 1
    assert process.failure is not None
    process.stop()


def left_by_one_killed(tmp_path: Path, code: str, *arguments: str) -> str:
    """What a fork still writes when the process that it sleeps for is killed; ends with the fork."""
    (tmp_path / "asked.py").write_text(ASKED)
    os.mkfifo(tmp_path / "alive")
    command = [sys.executable, "-c", code, str(tmp_path), *arguments]
    with subprocess.Popen(command) as killed, (tmp_path / "alive").open() as alive:
        assert alive.readline() == "asleep\n"
        killed.send_signal(signal.SIGKILL)
        rest: Queue[str] = Queue()
        Thread(target=lambda: rest.put(alive.read()), daemon=True).start()
        return rest.get(timeout=PATIENCE)


STARTED = """
import sys
from pathlib import Path
from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment
from pytest_mlflow_check.runtime.process.runner import Call, Processes
from pytest_mlflow_check.plugin.resources import preparation
from pytest_mlflow_check.runtime.forkserver.client import ForkServerProcess

process = ForkServerProcess(fork_server_environment([]), preparation())
directory = Path(sys.argv[1])
call = Call(directory, "asked", "sleeping", [], ["asked"])
out, err = directory / "alive", directory / "err"
Processes(process).run(
    ["false"], call=call, cwd=directory, env=process.env, stdout=out, stderr=err, timeout=1000
)
"""


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    assert left_by_one_killed(tmp_path, STARTED) == ""


ASKING = """
import json, sys
from pathlib import Path
from pytest_mlflow_check.runtime.process.runner import Call, Processes
from pytest_mlflow_check.runtime.forkserver.client import ForkServer

directory = Path(sys.argv[1])
fork_server = ForkServer(sys.argv[2], json.loads(sys.argv[3]))
call = Call(directory, "asked", "sleeping", [], ["asked"])
out, err = directory / "alive", directory / "err"
Processes(fork_server).run(
    ["false"], call=call, cwd=directory, env=fork_server.env, stdout=out, stderr=err, timeout=1000
)
"""


def test_a_fork_ends_with_the_process_that_asked_for_it(fork_server: ForkServer, tmp_path: Path) -> None:
    fork_server.begin()
    assert left_by_one_killed(tmp_path, ASKING, fork_server.address, json.dumps(fork_server.env)) == ""
    assert Asker(fork_server, tmp_path / "asked")("printing", "hello") == 0
