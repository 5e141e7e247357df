"""Launches made once, whoever asks: threads, processes, a worker that died, a launch that can't be made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from pytest_mlflow_check.config.settings import EnvManager, ProjectConfig, load_settings
from pytest_mlflow_check.core.errors import LaunchFault, UserError
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.engine import launch
from pytest_mlflow_check.engine.api import check_project
from pytest_mlflow_check.engine.launcher import Launcher, _directory_name
from pytest_mlflow_check.engine.planning import cases_of
from pytest_mlflow_check.plugin.resources import preparation
from pytest_mlflow_check.runtime.forkserver.client import ForkServerProcess, unsupported_reason
from pytest_mlflow_check.runtime.sandbox import interpreter
from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment

PATIENCE = 60.0
"""Seconds after which a test fails instead of waiting for ever; none takes them."""

FLUENT = ProjectConfig(launch="fluent")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A case that writes a line outside its copy each time it is launched."""
    project = tmp_path / "project"
    project.mkdir()
    counter = tmp_path / "counter"
    (project / "MLproject").write_text(
        f'entry_points:\n  main:\n    command: "echo started >> {counter} && echo out && echo err >&2"\n'
    )
    return cases_of(load_settings(project))[0]


def started(tmp_path: Path) -> int:
    """How often it was launched."""
    return len((tmp_path / "counter").read_text().splitlines())


def test_a_case_is_launched_once_for_all_who_share_the_area(tmp_path: Path, case: Case) -> None:
    def ask(_: int) -> str:
        return Launcher(tmp_path / "area", cache=tmp_path).launches(case, FLUENT)["fluent"].stdout

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"out\n"}
    assert started(tmp_path) == 1


def test_another_process_finds_what_was_made(tmp_path: Path, case: Case) -> None:
    Launcher(tmp_path / "area", cache=tmp_path).launches(case, FLUENT)
    code = (
        "import sys; from pathlib import Path\n"
        "from pytest_mlflow_check.engine.planning import cases_of\n"
        "from pytest_mlflow_check.engine.launcher import Launcher\n"
        "from pytest_mlflow_check.config.settings import ProjectConfig, load_settings\n"
        "area, project = map(Path, sys.argv[1:])\n"
        "case = cases_of(load_settings(project))[0]\n"
        "launcher = Launcher(area, cache=area)\n"
        "print(launcher.launches(case, ProjectConfig(launch='fluent'))['fluent'].stderr, end='')\n"
    )
    arguments = [str(tmp_path / "area"), str(case.project.directory)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout == "err\n"
    assert started(tmp_path) == 1


def test_what_a_session_has_is_known_to_all_its_processes_and_makes_nothing(
    tmp_path: Path, case: Case
) -> None:
    other = Launcher(tmp_path / "area", cache=tmp_path)
    assert other.made(case, FLUENT) == {}
    Launcher(tmp_path / "area", cache=tmp_path).launches(case, FLUENT)
    assert {mode: launch.stdout for mode, launch in other.made(case, FLUENT).items()} == {"fluent": "out\n"}
    assert started(tmp_path) == 1


def test_what_differs_is_launched_by_itself(tmp_path: Path, case: Case) -> None:
    launcher = Launcher(tmp_path / "area", cache=tmp_path)
    launcher.launches(case, FLUENT)
    launcher.launches(replace(case, env={"SEED": "1"}), FLUENT)
    launcher.launches(case, ProjectConfig(launch="fluent", timeout=5))
    launcher.launches(case, FLUENT)
    assert started(tmp_path) == 3


def test_the_environment_manager_is_part_of_what_is_launched(case: Case) -> None:
    names = {_directory_name(case, ProjectConfig(env_manager=manager)) for manager in get_args(EnvManager)}
    assert len(names) == 4


def test_an_attempt_that_died_is_not_used_again(tmp_path: Path, case: Case) -> None:
    launcher = Launcher(tmp_path / "area", cache=tmp_path)
    first = launcher.launches(case, FLUENT)["fluent"]
    home = first.directory.parents[1]
    (home / "result.json").unlink()
    second = Launcher(tmp_path / "area", cache=tmp_path).launches(case, FLUENT)["fluent"]
    assert second.directory != first.directory
    assert second.directory.parents[1] == home
    assert started(tmp_path) == 2


@pytest.mark.parametrize("cache", [True, False])
def test_a_launch_that_cannot_be_made_is_not_tried_again(tmp_path: Path, case: Case, cache: bool) -> None:
    area, values = tmp_path / "area", ProjectConfig(launch="fluent", cache=cache)
    gone = replace(case, project=replace(case.project, directory=tmp_path / "gone"))
    messages = []
    for launcher in (Launcher(area, cache=tmp_path), Launcher(area, cache=tmp_path)):
        with pytest.raises(UserError) as failure:
            launcher.launches(gone, values)
        messages.append(str(failure.value))
        # Now it could be made.
        (tmp_path / "gone").mkdir(exist_ok=True)
    assert messages[0] == messages[1]
    assert "No such file or directory" in messages[0]
    assert not list(area.glob("*/*/attempt-*"))


def test_check_project_needs_no_pytest(tmp_path: Path, case: Case) -> None:
    settings = load_settings(case.project.directory, command_line={"launch": "fluent"})
    report = check_project(settings, session_dir=tmp_path / "area")
    assert report.failed
    checks = {result.check: result for result in report.cases[0].results}
    assert [finding.rule for finding in checks["launches"].findings] == ["no-run-logged"]
    assert checks["params"].skipped == "the fluent launch logged nothing (see launches)"


@pytest.mark.parametrize("place", ["here", "far" * 20])
def test_temporary_files_lie_in_the_session_where_sockets_have_a_name_there(case: Case, place: str) -> None:
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as directory:
        session_dir, told = Path(directory, place), replace(case, fluent="echo $TMPDIR; touch $TMPDIR/left")
        launch = Launcher(session_dir, cache=Path(directory)).launches(told, FLUENT)["fluent"]
        assert (launch.temporary is not None) == (place == "here")
        if launch.temporary is not None:
            assert launch.temporary.parent == session_dir.resolve() / "tmp"
            assert [file.name for file in launch.temporary.iterdir()] == ["left"]
            assert launch.comparable(launch.stdout) == "$TMPDIR\n"


def test_check_project_leaves_nothing_behind(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert check_project(load_settings(case.project.directory, command_line={"launch": "fluent"})).failed
    assert not list(temporary.iterdir())


def test_what_was_begun_is_made_in_order_and_once(tmp_path: Path, case: Case) -> None:
    launcher = Launcher(tmp_path / "area", cache=tmp_path, jobs=1)
    cases = [replace(case, env={"SEED": str(number)}) for number in range(4)]
    launcher.begin([(one, FLUENT) for one in [*cases, *cases]])
    made = [launcher.launches(one, FLUENT)["fluent"] for one in reversed(cases)]
    assert started(tmp_path) == 4
    begun = [launch.stdout_path.stat().st_ctime_ns for launch in reversed(made) if launch.stdout_path]
    assert begun == sorted(begun)
    launcher.stop()


def test_what_was_begun_has_no_part_in_what_a_test_sets(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = replace(case, fluent="echo SEED=$SEED")
    launcher = Launcher(tmp_path / "area", cache=tmp_path)
    monkeypatch.setenv("SEED", "of a test")
    launcher.begin([(told, FLUENT)])
    assert launcher.launches(told, FLUENT)["fluent"].stdout == "SEED=\n"
    assert launcher.launch(told, "fluent", FLUENT).stdout == "SEED=of a test\n"


def test_what_was_begun_can_be_stopped(tmp_path: Path, case: Case) -> None:
    pipe = tmp_path / "alive"
    os.mkfifo(pipe)
    command = f"exec 3>{pipe}; echo started >&3; sleep 1000"
    waiting = replace(case, entry_point=replace(case.entry_point, command=command))
    launcher = Launcher(tmp_path / "area", cache=tmp_path, jobs=1)
    launcher.begin([(waiting, FLUENT), (case, FLUENT)])
    with pipe.open() as alive:
        assert alive.readline() == "started\n"
        launcher.stop()
        assert alive.read() == ""
    assert not (tmp_path / "counter").exists()
    assert not list((tmp_path / "area").glob("*/*/result.json"))


INTERRUPTED = """
import sys
from dataclasses import replace
from pathlib import Path
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.planning import cases_of
from pytest_mlflow_check.config.settings import ProjectConfig, load_settings

project, area, pipe = map(Path, sys.argv[1:])
case, values = cases_of(load_settings(project))[0], ProjectConfig(launch="fluent")
command = f"exec 3>{pipe}; echo started >&3; sleep 1000"
launcher = Launcher(area, cache=area, jobs=1)
launcher.begin([(replace(case, entry_point=replace(case.entry_point, command=command)), values)])
# Not before the other one has the semaphore.
sys.stdin.readline()
try:
    launcher.launch(case, "fluent", values)
finally:
    launcher.stop()
"""


@pytest.mark.usefixtures("sigint_heeded")
def test_who_waits_for_a_permit_can_be_interrupted(tmp_path: Path, case: Case) -> None:
    os.mkfifo(tmp_path / "alive")
    arguments = [str(case.project.directory), str(tmp_path / "area"), str(tmp_path / "alive")]
    command = [sys.executable, "-c", INTERRUPTED, *arguments]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting,
        (tmp_path / "alive").open() as alive,
    ):
        assert alive.readline() == "started\n"
        assert waiting.stdin is not None
        waiting.stdin.write("\n")
        waiting.stdin.flush()
        # Not before it has a place for its own launch.
        while not list((tmp_path / "area").glob("main-*")):
            time.sleep(0.01)
        waiting.send_signal(signal.SIGINT)
        _, error = waiting.communicate(timeout=PATIENCE)
        assert alive.read() == ""
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert not (tmp_path / "counter").exists()


@pytest.mark.skipif(unsupported_reason() is not None, reason=unsupported_reason() or "")
def test_what_waits_for_mlflow_can_be_stopped(tmp_path: Path, case: Case) -> None:
    os.mkfifo(tmp_path / "alive")
    (tmp_path / "mlflow.py").write_text(
        f"import time\nalive = open({str(tmp_path / 'alive')!r}, 'w')\n"
        "print('loading', file=alive, flush=True)\ntime.sleep(1000)\n"
    )
    fork_server = ForkServerProcess(
        {**fork_server_environment([]), "PYTHONPATH": str(tmp_path)}, preparation()
    )
    launcher = Launcher(tmp_path / "area", cache=tmp_path, fork_server=fork_server)
    launcher.begin([(case, ProjectConfig(launch="mlflow-run"))])
    with (tmp_path / "alive").open() as alive:
        assert alive.readline() == "loading\n"
        launcher.stop()
        fork_server.stop()
        assert alive.read() == ""
    assert not (tmp_path / "counter").exists()
    assert not list((tmp_path / "area").glob("*/*/result.json"))


def test_an_environment_that_is_being_made_can_be_stopped(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "alive"
    os.mkfifo(pipe)
    making = f"exec 3>{pipe}; echo started >&3; sleep 1000"
    monkeypatch.setattr(interpreter, "mlflow_command", lambda: ["/bin/sh", "-c", making])
    monkeypatch.setattr(interpreter, "_require", lambda *_: None)
    launcher = Launcher(tmp_path / "area", cache=tmp_path, jobs=2)
    # One makes it, the other waits for it.
    launcher.begin([(case, ProjectConfig(env_manager="uv"))])
    with pipe.open() as alive:
        assert alive.readline() == "started\n"
        launcher.stop()
        assert alive.read() == ""
    assert not list(tmp_path.glob("area/*.txt"))


def test_a_fault_of_ours_is_told_where_the_launch_is_wanted(tmp_path: Path, case: Case) -> None:
    (tmp_path / "area").write_text("in the way")
    launcher = Launcher(tmp_path / "area", cache=tmp_path)
    launcher.begin([(case, FLUENT)])
    with pytest.raises(FileExistsError):
        launcher.launches(case, FLUENT)
    launcher.stop()


def test_a_launch_that_a_fault_of_ours_ended_is_not_made_again(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the store holds is read once the project has run.
    monkeypatch.setattr(launch, "read_store", lambda _: 1 / 0)
    told = []
    for launcher in (Launcher(tmp_path / "area", cache=tmp_path) for _ in range(2)):
        launcher.begin([(case, FLUENT)])
        for _ in range(2):
            with pytest.raises(LaunchFault, match="ZeroDivisionError") as fault:
                launcher.launches(case, FLUENT)
            told.append(str(fault.value))
        launcher.stop()
    assert len(set(told)) == 1
    assert started(tmp_path) == 1


def test_no_more_launches_at_a_time_than_jobs(tmp_path: Path, case: Case) -> None:
    """A launch that finds another one at work leaves a trace."""
    command = f"mkdir {tmp_path}/busy || echo two > {tmp_path}/two; echo started >> {tmp_path}/counter"
    command += f"; rmdir {tmp_path}/busy"
    cases = [
        replace(case, entry_point=replace(case.entry_point, command=command), env={"SEED": str(number)})
        for number in range(6)
    ]

    def ask(number: int) -> None:
        # Each a process of its own, as far as locks go.
        Launcher(tmp_path / "area", cache=tmp_path, jobs=1).launches(cases[number], FLUENT)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, range(6)))
    assert started(tmp_path) == 6
    assert not (tmp_path / "two").exists()
