"""When launches begin, which of them, and with what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.projects import FILES, MakeProject

PATIENCE = 120.0
"""Seconds after which a test fails instead of waiting for ever; none takes them."""

FLUENT = ("--mlflow-project=proj", "--mlflow-launch=fluent")
CASES = '[[case]]\nid = "one"\n[[case]]\nid = "two"\nenv = {SEED = "2"}\n'


@pytest.mark.parametrize("arguments", ["-p no:xdist", "-n 0", "-n 2"])
def test_launches_begin_before_the_tests_that_come_first(
    pytester: pytest.Pytester, make_project: MakeProject, arguments: str
) -> None:
    os.mkfifo(pytester.path / "pipe")
    script = f"open({str(pytester.path / 'pipe')!r}, 'w').write('started')"
    make_project(files={**FILES, "train.py": script})
    pytester.makepyfile(
        test_first="def test(request):\n"
        "    assert (request.config.rootpath / 'pipe').read_text() == 'started'\n"
    )
    result = pytester.runpytest_subprocess(
        "-v", "test_first.py", *FLUENT, *arguments.split(), timeout=PATIENCE
    )
    result.stdout.fnmatch_lines(["*test_first.py::test *"])
    result.assert_outcomes(passed=1, failed=1, skipped=4)


@pytest.mark.parametrize(("selected", "launched"), [("one", 1), ("one or two", 2), ("test_first", 0)])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_only_what_is_selected_is_launched(
    pytester: pytest.Pytester, make_project: MakeProject, selected: str, launched: int, workers: str
) -> None:
    make_project(files={**FILES, "mlflow-check.toml": CASES})
    pytester.makepyfile("def test_first(): pass")
    pytester.runpytest_subprocess(
        ".", *FLUENT, "-k", selected, "-n", workers, "--basetemp=base", timeout=PATIENCE
    )
    assert len(list(pytester.path.glob("base/mlflow-check/proj-*"))) == launched


TRACE = """
import sys
from pathlib import Path

def trace(event, args):
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        with Path(__file__).with_name("started").open("a") as file:
            print(args[1] if len(args) > 1 else event, file=file)

sys.addaudithook(trace)
"""


@pytest.mark.usefixtures("own_fork_server")
@pytest.mark.parametrize(
    "arguments",
    ["--co", "--fixtures", "--setup-plan", "--markers", "--help", "--mlflow-explain=param-differs"],
)
def test_where_nothing_is_launched_no_process_is_started(
    pytester: pytest.Pytester, make_project: MakeProject, arguments: str
) -> None:
    make_project()
    pytester.makepyfile(traced=TRACE)
    result = pytester.runpytest_subprocess(
        "-p", "traced", "--mlflow-project=proj", arguments, timeout=PATIENCE
    )
    assert result.ret == 0
    assert not (pytester.path / "started").exists()


@pytest.mark.usefixtures("own_fork_server")
@pytest.mark.parametrize("arguments", [["tests/test_a.py"], ["tests"], ["-m", "not mlflow_check"]])
def test_a_project_of_the_ini_file_that_is_not_selected_starts_nothing(
    pytester: pytest.Pytester, make_project: MakeProject, arguments: list[str]
) -> None:
    make_project(".")
    make_project("tests", {"test_a.py": "def test_it(): pass"})
    pytester.makeini("[pytest]\nmlflow_project = .\n")
    pytester.makepyfile(traced=TRACE)
    result = pytester.runpytest_subprocess("-p", "traced", *arguments, timeout=PATIENCE)
    assert result.ret == 0
    assert not (pytester.path / "started").exists()


@pytest.mark.usefixtures("own_fork_server")
@pytest.mark.parametrize("arguments", [["."], ["MLproject"], ["-k", "params"]])
def test_a_project_of_the_ini_file_that_is_selected_starts_all(
    pytester: pytest.Pytester, make_project: MakeProject, arguments: list[str]
) -> None:
    make_project(".")
    pytester.makeini("[pytest]\nmlflow_project = .\nmlflow_launch = fluent\n")
    pytester.makepyfile(traced=TRACE)
    pytester.runpytest_subprocess("-p", "traced", *arguments, timeout=PATIENCE)
    # The fork server, and the launch.
    assert len((pytester.path / "started").read_text().splitlines()) == 2


@pytest.mark.usefixtures("own_fork_server")
def test_the_trace_sees_what_is_started(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project()
    pytester.makepyfile(traced=TRACE)
    pytester.runpytest_subprocess("-p", "traced", *FLUENT, timeout=PATIENCE)
    # The fork server, and the launch.
    assert len((pytester.path / "started").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("variables", "started"),
    [({}, 1), ({"HOME": "/"}, 2), ({"PYTHONHASHSEED": "1"}, 2), ({"MLFLOW_LOGGING_LEVEL": "DEBUG"}, 1)],
    ids=["none", "home", "python", "withheld"],
)
def test_the_shared_fork_server_is_used_where_one_of_its_own_would_be_like_it(
    pytester: pytest.Pytester,
    make_project: MakeProject,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    started: int,
) -> None:
    """What sessions under test have from `support.inner` changes nothing else."""
    make_project()
    pytester.makepyfile(traced=TRACE)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    pytester.runpytest_subprocess("-p", "traced", *FLUENT, timeout=PATIENCE)
    assert len((pytester.path / "started").read_text().splitlines()) == started


NO_FORK_SERVER = (
    "mlflow-check: MLflow is loaded anew for each `mlflow run` and each model validation: "
    "AF_UNIX path too long"
)


@pytest.mark.usefixtures("own_fork_server")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_header_says_where_nothing_can_be_forked(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    make_project()
    long = pytester.path / ("long" * 30)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    result = pytester.runpytest_subprocess(
        *FLUENT, "-n", workers, f"--basetemp={pytester.path / 'base'}", timeout=PATIENCE
    )
    assert result.stdout.str().count("MLflow is loaded anew") == 1
    result.stdout.fnmatch_lines(["mlflow-check: proj: *", NO_FORK_SERVER, "rootdir: *"])
    assert list(long.iterdir()) == []


KILLED = """
import os
from pathlib import Path

import pytest

@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    # The only child so far.
    (child,) = Path("/proc/self/task", str(os.getpid()), "children").read_text().split()
    os.kill(int(child), 9)
"""


@pytest.mark.usefixtures("own_fork_server")
@pytest.mark.launch
def test_the_summary_says_where_the_fork_server_failed(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project()
    pytester.makeconftest(KILLED)
    result = pytester.runpytest_subprocess("--mlflow-project=proj", timeout=PATIENCE)
    # It was launched all the same.
    result.stdout.fnmatch_lines(["*launches: fluent and mlflow run logged nothing*"])
    result.stdout.fnmatch_lines(
        ["mlflow-check: MLflow is loaded anew for each `mlflow run` and each model", "  validation: *"]
    )


@pytest.mark.parametrize("jobs", ["0", "two", "-1", "1.5"])
def test_jobs_that_are_none(pytester: pytest.Pytester, make_project: MakeProject, jobs: str) -> None:
    make_project()
    said = f'"{jobs}" is no number of launches: write  --mlflow-jobs=2'
    result = pytester.runpytest(*FLUENT, f"--mlflow-jobs={jobs}")
    result.stderr.fnmatch_lines([f"*argument --mlflow-jobs: {said}"])
    pytester.makeini(f"[pytest]\nmlflow_jobs = {jobs}\n")
    result = pytester.runpytest(*FLUENT)
    result.stderr.fnmatch_lines([f"ERROR: mlflow_jobs = {jobs}: {said}"])


@pytest.mark.usefixtures("own_fork_server")
def test_nothing_is_left_in_the_temporary_directory(
    pytester: pytest.Pytester, make_project: MakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project()
    (tmp_path / "t").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    pytester.runpytest_subprocess(*FLUENT, f"--basetemp={pytester.path / 'base'}", timeout=PATIENCE)
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.usefixtures("own_fork_server")
def test_temporary_directories_are_needed(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project()
    result = pytester.runpytest_subprocess("-p", "no:tmpdir", *FLUENT, timeout=PATIENCE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --mlflow-project needs pytest's own plugin tmpdir: leave out  -p no:tmpdir"]
    )
