"""The script ends badly, or not at all: what is said of it, and that nothing of it is left."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.checks.exit_status import last_moments
from pytest_mlflow_check.config.settings import ProjectConfig, load_settings
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.findings import CHECKS, Finding
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.records import Launch, MetricSeries, Observation
from pytest_mlflow_check.engine.api import check_project
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.planning import cases_of
from pytest_mlflow_check.rules.policy import Policy
from pytest_mlflow_check.runtime.process.runner import Processes
from support.builders import judge, launch, run
from support.projects import LOGGING

pytestmark = pytest.mark.launch

PATIENCE = 60.0
"""Seconds after which a test fails instead of waiting for ever; none takes them."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to a process that asks")


def project(tmp_path: Path, script: str) -> Case:
    """A project with this script."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "MLproject").write_text('entry_points:\n  main:\n    command: "python train.py"\n')
    (directory / "train.py").write_text(script)
    return cases_of(load_settings(directory))[0]


def launched(tmp_path: Path, script: str, timeout: float = PATIENCE) -> tuple[Launch, Finding]:
    """The plain command's launch, and the one finding about it in all checks."""
    case, launcher = project(tmp_path, script), Launcher(tmp_path / "area", cache=tmp_path)
    try:
        comparison = launcher.compare(case, ProjectConfig(launch="fluent", timeout=timeout))
    finally:
        launcher.stop()
    (finding,) = [one for check in CHECKS for one in judge(check, comparison, Policy()).findings]
    return comparison.launches["fluent"], finding


HOLDING = """
import os, signal, subprocess, sys, time
alive = open("../../../../../alive", "w", buffering=1)

def tell(text):
    os.write(alive.fileno(), f"{text}\\n".encode())
"""
"""Holds the pipe; so does all that is forked from it."""

UNTIL_THEN = "logged until then: 1 run, 1 metric"


@pytest.mark.parametrize(
    ("end", "how", "says"),
    [
        ("raise SystemExit(3)", "exit code 3", "  before"),
        ("raise ValueError('on purpose')", "exit code 1", "  ValueError: on purpose"),
        ("import os; os._exit(4)", "exit code 4", "  before"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL", "  before"),
        ("import os; os.kill(os.getpid(), 15)", "killed by SIGTERM", "  before"),
        ("import os; os.abort()", "killed by SIGABRT", "Aborted, at"),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV", "Segmentation fault, at"),
        (
            "import os; os.execvp('bash', ['bash', '-c', 'kill -SEGV $BASHPID; exit 139'])",
            "killed by SIGSEGV",
            "  before",
        ),
        ("raise SystemExit(137)", "exit code 137 (SIGKILL)", "  before"),
    ],
)
def test_the_end_is_told_with_what_was_logged_until_then(
    tmp_path: Path, end: str, how: str, says: str
) -> None:
    # The last line of the script.
    script = f"{LOGGING}\nimport sys\nprint('before', file=sys.stderr, flush=True)\n{end}\n"
    _, finding = launched(tmp_path, script)
    assert (finding.rule, finding.fluent) == ("launch-failed", how)
    assert says in finding.detail.splitlines()
    assert "  before" in finding.detail.splitlines()
    assert UNTIL_THEN in finding.detail.splitlines()
    if says.endswith(", at"):
        line = script.rstrip().count("\n") + 1
        assert finding.source_line == f"train.py:{line}"
        assert f"  train.py:{line} (<module>)" in finding.detail


SEGFAULT = """\
import ctypes
import mlflow

with mlflow.start_run():
    mlflow.log_metric("loss", 0.5, step=7)
    ctypes.string_at(0)
"""


@pytest.mark.launch
def test_both_launches_tell_the_signal_and_the_last_call(tmp_path: Path) -> None:
    directory = project(tmp_path, SEGFAULT).project.directory
    report = check_project(load_settings(directory), session_dir=tmp_path / "area")
    (finding,) = [one for case in report.cases for result in case.results for one in result.findings]
    assert (finding.fluent, finding.mlflow_run) == ("killed by SIGSEGV", "killed by SIGSEGV")
    assert finding.source_line == "train.py:6"
    said = re.findall(r"^logged until then: (.*)$", finding.detail, re.MULTILINE)
    assert said == ["1 run, 1 metric; the last was log_metric('loss', step=7) at train.py:5"] * 2


def test_the_last_metric_of_a_burst_is_told_by_the_store() -> None:
    call = Observation("log_metric", "loss", "0.5", run_id="r1", step=0, source_line="train.py:8", time=5.0)
    points = MetricSeries(
        "loss", np.array([0, 3]), np.array([0.5, 0.25]), np.array([4_000, 6_000], dtype=np.int64)
    )
    one = launch(
        "fluent", run(metrics=[points]), exit_code=None, observations=(call,), started=1.0, duration=9.0
    )
    (line,) = last_moments(one)
    assert line.endswith("1 metric; the last was log_metric('loss', step=3) at train.py:8, 4 s before")


HANGING = f"""{LOGGING}
import threading, time

def waiting():
    threading.Event().wait()

def stuck():
    lock = threading.Lock()
    lock.acquire()
    print("ready", flush=True)
    lock.acquire()  # here

threading.Thread(target=waiting, daemon=True).start()
stuck()
"""


def test_a_hang_tells_where_each_thread_stood(tmp_path: Path) -> None:
    _, finding = launched(tmp_path, HANGING, timeout=3.0)
    assert finding.fluent == "not ended after 3 s"
    lines = HANGING.splitlines()
    here, wait = (
        lines.index("    lock.acquire()  # here") + 1,
        lines.index("    threading.Event().wait()") + 1,
    )
    assert finding.source_line == f"train.py:{here}"
    told = finding.detail.splitlines()
    assert UNTIL_THEN in told
    stood = told[told.index("where it stood when its time was over:") + 1 :]
    assert f"  train.py:{here} (stuck)" in stood
    assert any(
        re.fullmatch(rf"  train\.py:{wait} \(waiting\), in threading\.py:\d+ \(wait\)", one) for one in stood
    )


FAMILIES = {
    "ignores SIGTERM": "signal.signal(signal.SIGTERM, signal.SIG_IGN); tell('one')",
    "a child and a grandchild": """
if os.fork() == 0:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN); tell('two')
    else:
        tell('one')
""",
    "a child with a process group of its own": """
if os.fork() == 0:
    os.setpgid(0, 0); signal.signal(signal.SIGTERM, signal.SIG_IGN); tell('one')
""",
    "a child with a session of its own": """
if os.fork() == 0:
    os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); tell('one')
""",
    "a daemon": """
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN); tell('one')
""",
    "forks without end": """
if os.fork() == 0:
    tell('one')
    while True:
        if os.fork():
            os._exit(0)
""",
    "stops itself": "tell('one'); os.kill(os.getpid(), signal.SIGSTOP)",
}


@linux
@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_timeout_all_are_killed(
    tmp_path: Path, alive: Queue[str], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_mlflow_check.runtime.process.runner._GRACE", 0.1)
    _, finding = launched(tmp_path, f"{HOLDING}{FAMILIES[family]}\ntime.sleep(1000)\n", timeout=1.0)
    assert finding.fluent == "not ended after 1 s"
    assert sorted(alive.get(timeout=PATIENCE).split())[0] == "one"


@linux
@pytest.mark.parametrize("family", ["a child with a session of its own", "a daemon", "forks without end"])
def test_what_outlives_its_launch_is_killed(tmp_path: Path, alive: Queue[str], family: str) -> None:
    # The leader goes on to the end; whoever it left behind sleeps.
    script = (
        f"{HOLDING}leader = os.getpid(){FAMILIES[family]}\nif os.getpid() != leader:\n    time.sleep(1000)\n"
    )
    script += "import contextlib\nexit(0)\n"
    launch, _ = launched(tmp_path, script)
    assert launch.exit_code == 0
    # A leader that ends at once may be faster than its child's first word; the pipe is closed all the same.
    assert set(alive.get(timeout=PATIENCE).split()) <= {"one"}


def test_a_gigabyte_of_output_is_cut_in_the_middle(tmp_path: Path) -> None:
    script = """
import os, resource, sys
print("the beginning")
sys.stdout.flush()
block = b"\\x00\\xff" * (512 * 1024)
for _ in range(1024):
    os.write(1, block)
print("the end", file=sys.stderr)
os.write(1, b"\\nthe very end\\n")
print(len(sys.stdin.read()), file=sys.stderr)
sys.exit(5)
"""
    launch, finding = launched(tmp_path, script)
    assert (finding.rule, finding.fluent) == ("launch-failed", "exit code 5")
    assert launch.stdout_path is not None
    kept = launch.stdout_path.read_bytes()
    assert len(kept) < 4 * 1024 * 1024
    assert kept.startswith(b"the beginning\n\x00\xff")
    assert kept.endswith(b"\xff\nthe very end\n")
    (left_out,) = re.findall(rb"\[\.\.\. pytest-mlflow-check left out (\d+) bytes \.\.\.\]", kept)
    whole = len(b"the beginning\n") + 1024 * 1024 * 1024 + len(b"\nthe very end\n")
    assert int(left_out) == whole - 2 * 1024 * 1024
    assert "  the end" in finding.detail.splitlines()
    # Standard input was empty.
    assert "  0" in finding.detail.splitlines()


def test_memory_stays_flat_whatever_is_printed(tmp_path: Path) -> None:
    """The supervisor's peak, told by the system when it has ended as a child of this process."""
    code = f"""
import resource, sys
from pathlib import Path
from pytest_mlflow_check.runtime.process.runner import Processes
out = Path({str(tmp_path)!r})
def run(count):
    program = f"import os; block = b'x' * 1048576\\nfor _ in range({{count}}): os.write(1, block)"
    command = [sys.executable, "-c", program]
    Processes().run(command, cwd=out, env={{}}, stdout=out / "out", stderr=None, timeout=100)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(run(1), run(512))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    small, large = map(int, done.stdout.split())
    # In kilobytes: what a bounded buffer takes, and nothing like half a gigabyte.
    assert large - small < 16 * 1024


def test_one_line_without_an_end_is_shown_as_its_end(tmp_path: Path) -> None:
    script = "import os\nfor _ in range(100):\n    os.write(2, b'x' * 100_000)\nraise SystemExit(1)\n"
    _, finding = launched(tmp_path, script)
    assert len(finding.detail) < 80_000


def test_a_disk_that_is_full_for_the_output_does_not_end_the_launch(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = [sys.executable, "-c", "print('x' * 5_000_000); raise SystemExit(3)"]
    ended = Processes().run(
        command, cwd=tmp_path, env={}, stdout=Path("/dev/full"), stderr=None, timeout=PATIENCE
    )
    assert ended.exit_code == 3


@linux
def test_a_signal_that_whoever_starts_pytest_has_blocked(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        launch, _ = launched(tmp_path, "print('trained')\n", timeout=20.0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert launch.exit_code == 0


@linux
def test_a_process_whose_main_thread_has_ended_is_killed(tmp_path: Path, alive: Queue[str]) -> None:
    script = f"""{HOLDING}
import ctypes, threading
if os.fork() == 0:
    os.setsid()
    threading.Thread(target=time.sleep, args=(1000,)).start()
    tell("one")
    ctypes.CDLL(None).pthread_exit(None)
time.sleep(1000)
"""
    launched(tmp_path, script, timeout=2.0)
    assert alive.get(timeout=PATIENCE) == "one\n"


def test_what_crashed_beside_it_is_not_what_it_died_of(tmp_path: Path) -> None:
    script = """
import os, ctypes
child = os.fork()
if child == 0:
    ctypes.string_at(0)
os.waitpid(child, 0)
raise RuntimeError("for another reason")
"""
    _, finding = launched(tmp_path, script)
    assert finding.source_line == "train.py:7"
    assert "Segmentation fault" not in finding.detail


def test_a_program_that_python_made_way_for_is_asked_to_end(tmp_path: Path) -> None:
    shell = "trap 'echo asked; exit 0' TERM; echo ready; while true; do sleep 0.1; done"
    launch, _ = launched(tmp_path, f"import os\nos.execvp('bash', ['bash', '-c', {shell!r}])\n", timeout=2.0)
    assert launch.stdout == snapshot("""\
ready
asked
""")


def test_a_place_in_a_directory_whose_name_is_not_ascii(tmp_path: Path) -> None:
    above = tmp_path / "größer"
    above.mkdir()
    launch, finding = launched(above, "import ctypes\nctypes.string_at(0)\n")
    assert finding.source_line == "train.py:2"
    assert launch.stacks[0].frames[-1].own


@pytest.mark.parametrize("above", range(3), ids=["its own", "of all attempts", "of all launches"])
def test_a_script_that_deletes_the_directory_of_its_launch(tmp_path: Path, above: int) -> None:
    script = f"import shutil\nshutil.rmtree(store.parents[{above}])\n"
    with pytest.raises(UserError, match="main: its command deleted the directory of its launch"):
        launched(tmp_path, LOGGING + script)


def test_a_script_that_deletes_its_store(tmp_path: Path) -> None:
    _, finding = launched(tmp_path, f"{LOGGING}\nimport shutil\nshutil.rmtree(store)\n")
    assert finding.rule == "no-run-logged"


@linux
def test_a_supervisor_that_is_killed_takes_its_launch_along(tmp_path: Path, alive: Queue[str]) -> None:
    script = f"{HOLDING}tell('one')\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(1000)\n"
    with pytest.raises(UserError, match="was killed, and with it what is known of how it ended"):
        launched(tmp_path, script)
    assert alive.get(timeout=PATIENCE) == "one\n"
