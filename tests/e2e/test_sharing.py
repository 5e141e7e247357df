"""Many want the same launch, and some of them die: it is made once, or once more after a death."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.projects import LOGGING

pytestmark = pytest.mark.e2e

PATIENCE = 120.0
"""Seconds after which a test fails instead of waiting for ever; none takes them."""

MLPROJECT = 'entry_points:\n  main:\n    command: "python train.py"\n'

CHECK = ["--mlflow-project=proj", "--mlflow-launch=fluent"]

WAITING = f"""
import os
ancestors = [os.getppid()]
while ancestors[-1] > 1 and os.path.exists("/proc/self/stat"):
    with open(f"/proc/{{ancestors[-1]}}/stat") as stat:
        ancestors.append(int(stat.read().rpartition(")")[2].split()[1]))
with open(os.environ["COUNTER"], "a") as counter:
    print("mlflow-run" if "MLFLOW_RUN_ID" in os.environ else "fluent", *ancestors, file=counter)
{LOGGING}
os.write(os.open(os.environ["STARTED"], os.O_WRONLY), b"s")
os.read(os.open(os.environ["GO"], os.O_RDONLY), 1)
"""
"""Writes down its launch mode and the processes it descends from, all of which wait for it; tells a pipe
that it has begun, and goes on when there is something in another one."""

TESTS = """
import os
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(2))
def test_shared(mlflow_launches, number):
    Path(os.environ["WORKERS"], os.environ["PYTEST_XDIST_WORKER"]).write_text(str(os.getpid()))
    launches = mlflow_launches("proj")
    assert (len(launches.fluent.runs), len(launches.mlflow_run.runs)) == (1, 2)
"""


class Pipe:
    """A pipe with a name; nobody who opens it waits for the other side."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._both = os.open(path, os.O_RDWR)

    def take(self, count: int = 1) -> None:
        """Waits until something was given so many times."""
        for _ in range(count):
            assert select.select([self._both], [], [], PATIENCE)[0], "nothing was given"
            os.read(self._both, 1)

    def give(self, count: int = 1) -> None:
        os.write(self._both, b"g" * count)

    def close(self) -> None:
        os.close(self._both)


@dataclass
class Rendezvous:
    """A project whose launches tell that they have begun, and go on when they may."""

    path: Path
    started: Pipe
    go: Pipe
    sessions: list[subprocess.Popen[str]] = field(default_factory=list)

    def session(self, *arguments: str, base: str = "base") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", f"--basetemp={self.path / base}", *arguments],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.sessions.append(process)
        return process

    @property
    def ancestors_of_fluent(self) -> set[int]:
        """The processes that the only fluent launch so far descends from."""
        lines = map(str.split, (self.path / "counter").read_text().splitlines())
        (ancestors,) = (rest for mode, *rest in lines if mode == "fluent")
        return set(map(int, ancestors))

    @property
    def launched(self) -> int:
        return len((self.path / "counter").read_text().splitlines())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rendezvous]:
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj" / "MLproject").write_text(MLPROJECT)
    (tmp_path / "proj" / "train.py").write_text(WAITING)
    (tmp_path / "workers").mkdir()
    for name in ("COUNTER", "STARTED", "GO", "WORKERS"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    pipes = Pipe(tmp_path / "started"), Pipe(tmp_path / "go")
    made = Rendezvous(tmp_path, *pipes)
    yield made
    for session in made.sessions:
        session.kill()
        session.communicate()
    for pipe in pipes:
        pipe.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for ancestors in /proc")
def test_a_worker_that_is_killed_while_it_launches(place: Rendezvous) -> None:
    (place.path / "test_it.py").write_text(TESTS)
    running = place.session("test_it.py", "-n", "2", "-v")
    place.started.take(2)
    # Who wants a launch has said before which process it is. Both may launch: one mode each.
    said = [file.read_text() for file in (place.path / "workers").iterdir()]
    workers = {int(text) for text in said if text}
    (launching,) = workers & place.ancestors_of_fluent
    os.kill(launching, signal.SIGKILL)
    # The other one makes the plain launch again, and `mlflow run` too unless it had begun that one itself.
    place.go.give(4)
    output, _ = running.communicate(timeout=PATIENCE)
    assert re.search(r"worker 'gw\d' crashed", output)
    assert re.search(r"1 failed, 1 passed", output), output
    assert place.launched in (3, 4)
    # The place of the first attempt isn't used again, so that there never were two writers in one store.
    (made,) = (place.path / "base").rglob("fluent/*/launch.json")
    assert len(list(made.parents[1].glob("attempt-*"))) == 2


def test_eight_workers_share_one_launch(place: Rendezvous) -> None:
    place.go.give(8)
    output, _ = place.session(*CHECK, "-n", "8").communicate(timeout=PATIENCE)
    assert re.search(r"^proj::main\b", output, re.MULTILINE), output
    assert place.launched == 1


@pytest.mark.parametrize("cache", [[], ["--mlflow-cache"]], ids=["", "cache"])
def test_two_sessions_check_one_project_at_once(place: Rendezvous, cache: list[str]) -> None:
    both = [place.session(*CHECK, *cache, base=base) for base in ("one", "two")]
    place.started.take()
    if not cache:
        # With the cache, the second may find what the first one made, or wait for it.
        place.started.take()
    place.go.give(2)
    outputs = [one.communicate(timeout=PATIENCE)[0] for one in both]
    rows = [re.findall(r"^proj::main .*$", output, re.MULTILINE) for output in outputs]
    assert [len(found) for found in rows] == [1, 1], outputs
    assert place.launched <= 2
