"""What the machine refuses: room, rights, open files, processes. One message, no traceback, nothing left."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_mlflow_check.config.settings import ProjectConfig, load_settings
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.os_errors import os_errors_explained
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.planning import cases_of
from pytest_mlflow_check.runtime.process.runner import Processes
from support.projects import FILES, LOGGING, MakeProject

HEAVY = pytest.mark.heavy
FLUENT = 'launch = "fluent"\n'
TEMPORARY = ("-p", "no:cacheprovider", "--tb=short", "--mlflow-project=proj")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """The case of a project that does nothing."""
    (tmp_path / "MLproject").write_text(FILES["MLproject"])
    return cases_of(load_settings(tmp_path))[0]


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk of 4 MB."""
    place = Path(tempfile.mkdtemp(prefix="mlflow-check-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=1777", "mlflow-check", str(place)]
    try:
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root can mount a small disk")
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", place], check=True)
    finally:
        place.rmdir()


def run_session(
    directory: Path, *arguments: str, limit: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a session in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", *TEMPORARY, *arguments],
        cwd=directory,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def refused(done: subprocess.CompletedProcess[str], *said: str) -> None:
    """Says what is to be done, once, and nothing of our own inside."""
    text = done.stdout + done.stderr
    assert done.returncode != 0, text
    for one in said:
        assert one in text, text
    assert "INTERNAL" not in text
    assert "Traceback" not in text
    assert "pytest_mlflow_check/" not in text


def left(base: Path) -> list[Path]:
    """What is left of attempts."""
    return list(base.glob("**/attempt-*"))


@pytest.mark.usefixtures("own_fork_server")
@pytest.mark.parametrize("launch", [pytest.param("fluent", marks=HEAVY), "both"])
def test_a_disk_that_the_copy_fills(
    make_project: MakeProject, pytester: pytest.Pytester, disk: Path, launch: str
) -> None:
    project = make_project("proj", {**FILES, "mlflow-check.toml": f'launch = "{launch}"\n'})
    (project / "big.bin").write_bytes(os.urandom(5 << 20))
    done = run_session(pytester.path, f"--basetemp={disk / 'base'}")
    refused(done, f"{disk / 'base'}", "No space left on device", "--basetemp=DIR")
    assert done.stdout.count("No space left on device\n") == 1
    assert not left(disk)
    # A later session has the same place, and room.
    (project / "big.bin").unlink()
    (project / "train.py").write_text(LOGGING)
    again = run_session(
        pytester.path, f"--basetemp={disk / 'base'}", "-k", "params", "--mlflow-launch=fluent"
    )
    assert again.returncode == 0, again.stdout


@pytest.mark.usefixtures("own_fork_server")
@pytest.mark.parametrize("caught", [pytest.param(False, marks=HEAVY), True])
def test_a_disk_that_the_script_fills(
    make_project: MakeProject, pytester: pytest.Pytester, disk: Path, caught: bool
) -> None:
    fill = "open('big.bin', 'wb', buffering=0)\nwhile big.write(b'x' * 65536): pass\n"
    script = LOGGING + ("import contextlib\n" if caught else "") + f"big = {fill}"
    if caught:
        script = script.replace("while big", "with contextlib.suppress(OSError):\n  while big")
    make_project("proj", {**FILES, "train.py": script, "mlflow-check.toml": FLUENT})
    done = run_session(pytester.path, f"--basetemp={disk / 'base'}")
    refused(done, "no room for the launches: No space left on device", "--basetemp=DIR")
    assert not left(disk)


@pytest.mark.usefixtures("own_fork_server")
def test_a_disk_that_is_full_before(make_project: MakeProject, pytester: pytest.Pytester, disk: Path) -> None:
    make_project("proj", {**FILES, "mlflow-check.toml": FLUENT})
    (disk / "base").mkdir()
    with suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    done = run_session(pytester.path, f"--basetemp={disk / 'base'}")
    refused(done, "No space left on device", "--basetemp=DIR")


@pytest.mark.usefixtures("own_fork_server")
def test_a_disk_without_writing(make_project: MakeProject, pytester: pytest.Pytester, disk: Path) -> None:
    make_project("proj", {**FILES, "mlflow-check.toml": FLUENT})
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    done = run_session(pytester.path, f"--basetemp={disk / 'base'}")
    refused(done, f"{disk / 'base'}", "can't be written to: Read-only file system", "--basetemp=DIR")


@pytest.mark.usefixtures("own_fork_server")
def test_a_file_in_place_of_the_directory(make_project: MakeProject, pytester: pytest.Pytester) -> None:
    make_project("proj", {**FILES, "mlflow-check.toml": FLUENT})
    (pytester.path / "file").touch()
    done = run_session(pytester.path, "--basetemp=file/base")
    refused(done, "file/base", "can't be made: Not a directory", "--basetemp=DIR")


@pytest.mark.usefixtures("own_fork_server")
def test_files_larger_than_allowed(make_project: MakeProject, pytester: pytest.Pytester) -> None:
    project = make_project("proj", {**FILES, "mlflow-check.toml": FLUENT})
    (project / "big.bin").write_bytes(b"x" * (3 << 20))
    limit = (2 << 20, 2 << 20)
    done = run_session(
        pytester.path, "--basetemp=base", limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    refused(done, "File too large", "ulimit -f unlimited")
    assert not left(pytester.path / "base")


@pytest.mark.usefixtures("own_fork_server")
@pytest.mark.parametrize(
    "files", [16, *(pytest.param(files, marks=HEAVY) for files in (20, 24, 28, 32, 40, 48, 64))]
)
def test_few_open_files(make_project: MakeProject, pytester: pytest.Pytester, files: int) -> None:
    """At any number: the launch is made, or it says why not."""
    make_project("proj", {**FILES, "train.py": LOGGING, "mlflow-check.toml": FLUENT})
    done = run_session(
        pytester.path,
        *("--basetemp=base", "-k", "params"),
        limit=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
    )
    if done.returncode != 0:
        refused(done, f"this process may have {files} open at a time", "ulimit -n 1024")
    assert len(left(pytester.path / "base")) == (done.returncode == 0)


@pytest.mark.launch
@pytest.mark.parametrize("there", [True, False])
def test_an_interpreter_that_cannot_be_started(tmp_path: Path, there: bool) -> None:
    python = tmp_path / "python"
    if there:
        python.touch(0o644)
    with (
        pytest.raises(UserError, match=f"^{python}: can't be started: "),
        os_errors_explained(tmp_path),
    ):
        Processes().run([str(python)], cwd=tmp_path, env={}, stdout=tmp_path / "out", stderr=None, timeout=9)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else, who has a limit")
@pytest.mark.parametrize("in_background", [True, False])
def test_no_process_and_no_thread_is_left(case: Case, tmp_path: Path, in_background: bool) -> None:
    # Somebody else gets no further than to where everybody may go.
    place = Path(tempfile.mkdtemp(prefix="mlflow-check-", dir="/var/tmp"))
    place.chmod(0o777)
    try:
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                launcher = Launcher(place / "area", cache=place)
                values = ProjectConfig(launch="fluent")
                try:
                    if in_background:
                        launcher.begin([(case, values)])
                    else:
                        launcher.launch(case, "fluent", values)
                except UserError as error:
                    (place / "said").write_text(str(error))
            os._exit(0)
        os.waitpid(child, 0)
        assert "this user may have 1 at a time\n" in (place / "said").read_text()
        assert "ulimit -u" in (place / "said").read_text()
        assert not left(place)
    finally:
        subprocess.run(["rm", "-rf", place], check=True)
