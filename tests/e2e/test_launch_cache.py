"""Launches that are remembered from one session to the next: which, how long, and what they are good for."""

from __future__ import annotations

import json
import re
import shutil
import site
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_mlflow_check.config.settings import ProjectConfig, load_settings
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.records import Launch
from pytest_mlflow_check.engine.api import cases_of
from pytest_mlflow_check.engine.cache.fingerprint import files_of
from pytest_mlflow_check.engine.cache.launch_cache import LaunchCache
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.runtime.sandbox.interpreter import Interpreter
from support import ROOT
from support.projects import FILES, LOGGING, MakeProject

CACHE = ("--mlflow-project=proj", "--mlflow-cache")
COUNTING = """
import os
with open(os.environ["COUNTER"], "a") as counter:
    counter.write("started\\n")
"""
PASSED = "proj::main  passed    skipped  passed   passed     skipped"
CACHED = "proj::main  cached    skipped  cached   cached     skipped"


class Project:
    """A project that passes and counts its launches, in a file outside of its copies."""

    def __init__(self, pytester: pytest.Pytester, make_project: MakeProject) -> None:
        self._make, self._counter = make_project, pytester.path / "counter"
        self.directory = make_project("proj", {**FILES, "train.py": COUNTING + LOGGING})
        self.settings("")

    def settings(self, text: str, *, rule: str = "off") -> None:
        case = f'[[case]]\nid = "main"\nenv = {{ COUNTER = "{self._counter}" }}\n'
        rules = f'[rules]\nmetric-without-step = "{rule}"\n'
        self._make("proj", {"mlflow-check.toml": f'launch = "fluent"\n{text}{rules}{case}'})

    @property
    def started(self) -> int:
        return len(self._counter.read_text().splitlines())


@pytest.fixture
def proj(pytester: pytest.Pytester, make_project: MakeProject) -> Project:
    """Such a project."""
    return Project(pytester, make_project)


@pytest.fixture(autouse=True)
def nothing_installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who works on this plugin meanwhile, installed in editable mode, changes what is launched.

    Workers of pytest-xdist are processes of their own, so their tests go without.
    """
    if "workers" not in request.fixturenames:
        monkeypatch.setattr(site, "getsitepackages", list)
        monkeypatch.setattr(site, "ENABLE_USER_SITE", False)


def row(result: pytest.RunResult) -> str:
    """The line of the case in the summary."""
    (line,) = [line for line in result.outlines if line.startswith("proj::main ")]
    return line


# from one session to the next


@pytest.mark.usefixtures("own_fork_server")
def test_what_passed_is_not_launched_again(
    pytester: pytest.Pytester, proj: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pytester.runpytest(*CACHE, "-v")
    first.assert_outcomes(passed=3, skipped=2)
    assert row(first) == PASSED
    assert "cached:" not in first.stdout.str()

    def no_process(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    second = pytester.runpytest(*CACHE, "-v", "--basetemp=base")
    second.assert_outcomes(passed=3, skipped=2)
    assert row(second) == CACHED
    second.stdout.fnmatch_lines(
        [
            "mlflow-check: proj: store file, *; cache true (command line)",
            "proj/MLproject::main::launches PASSED (cached) *",
            "proj/MLproject::main::params SKIPPED *",
            "proj/MLproject::main::metrics PASSED (cached) *",
        ]
    )
    (line,) = [line for line in second.outlines if line.startswith("cached: ")]
    assert re.fullmatch(r"cached: proj::main: launched \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line)
    assert proj.started == 1
    assert not list((pytester.path / "base").rglob("attempt-*"))


def test_without_being_asked_nothing_is_stored_and_nothing_is_recalled(
    pytester: pytest.Pytester, proj: Project
) -> None:
    assert row(pytester.runpytest(CACHE[0])) == PASSED
    assert row(pytester.runpytest(*CACHE)) == PASSED
    assert row(pytester.runpytest(CACHE[0])) == PASSED
    assert proj.started == 3
    assert row(pytester.runpytest(*CACHE)) == CACHED


CHANGES: dict[str, Callable[[Project], object]] = {
    "a file": lambda proj: (proj.directory / "train.py").write_text(COUNTING + LOGGING + "\n"),
    "a new file": lambda proj: (proj.directory / "new").touch(),
    "the settings": lambda proj: proj.settings("timeout = 59\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_launched_again(pytester: pytest.Pytester, proj: Project, change: str) -> None:
    pytester.runpytest(*CACHE)
    CHANGES[change](proj)
    assert row(pytester.runpytest(*CACHE)) == PASSED
    assert proj.started == 2
    assert row(pytester.runpytest(*CACHE)) == CACHED


def test_two_launches_of_a_case_are_stored(
    pytester: pytest.Pytester, proj: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = pytester.path / ".pytest_cache/d/mlflow-check/launches"
    expected = {"1": PASSED, "2": PASSED, "3": PASSED}
    for seed in ("1", "2", "1", "2", "3", "2"):
        monkeypatch.setenv("SEED", seed)
        assert row(pytester.runpytest(*CACHE)) == expected[seed]
        expected[seed] = CACHED
    assert len(list(kept.glob("fluent-*"))) == 2
    # The oldest had to go.
    monkeypatch.setenv("SEED", "1")
    assert row(pytester.runpytest(*CACHE)) == PASSED
    assert len(list(kept.glob("fluent-*"))) == 2


def test_another_session_keeps_its_launch_elsewhere(
    proj: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second worker of the first session still finds what the first one found."""
    settings = load_settings(proj.directory)
    (case,) = cases_of(settings)
    values = settings.values.model_copy(update={"cache": True})

    def launch(session: str) -> str:
        launcher = Launcher(tmp_path / session, cache=tmp_path / "cache")
        launch = launcher.launches(case, values)["fluent"]
        launcher.update_cache(case, values, passed=True)
        return launch.store_uri

    launch("before")
    first = launch("one")
    monkeypatch.setenv("SEED", "1")
    launch("other")
    assert launch("two") != first
    monkeypatch.delenv("SEED")
    assert launch("one") == first


def test_a_variable_a_parameter_and_an_option(
    pytester: pytest.Pytester, proj: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.runpytest(*CACHE)
    monkeypatch.setenv("SEED", "1")
    assert row(pytester.runpytest(*CACHE)) == PASSED
    assert row(pytester.runpytest(*CACHE, "-P", "extra=1")) == PASSED
    assert row(pytester.runpytest(*CACHE, "-P", "extra=1")) == CACHED
    # Not in the project's own file, which is a change already.
    assert row(pytester.runpytest(*CACHE, "--mlflow-timeout=59")) == PASSED
    assert row(pytester.runpytest(*CACHE, "--mlflow-timeout=59")) == CACHED
    assert proj.started == 4


@pytest.mark.parametrize("workers", ["0", "2"])
def test_workers(pytester: pytest.Pytester, proj: Project, workers: str) -> None:
    assert row(pytester.runpytest(*CACHE, "-n", "2")) == PASSED
    second = pytester.runpytest(*CACHE, "-n", workers, "-v")
    assert row(second) == CACHED
    assert second.stdout.str().count("PASSED (cached)") == 3
    assert proj.started == 1


def test_what_is_stored_outlives_the_session_s_own_directories(
    pytester: pytest.Pytester, proj: Project
) -> None:
    """pytest removes them itself at the session's end, unless they were named."""
    pytester.makeini("[pytest]\ntmp_path_retention_policy = failed\n")
    command = [sys.executable, "-m", "pytest", *CACHE]
    sessions = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2)]
    assert PASSED in sessions[0].stdout
    assert CACHED in sessions[1].stdout


def test_pytest_s_own_option_clears_it(pytester: pytest.Pytester, proj: Project) -> None:
    pytester.runpytest(*CACHE)
    assert row(pytester.runpytest(*CACHE, "--cache-clear")) == PASSED
    assert proj.started == 2


def test_without_pytest_s_cache_everything_is_launched(pytester: pytest.Pytester, proj: Project) -> None:
    for _ in range(2):
        assert row(pytester.runpytest(*CACHE, "-p", "no:cacheprovider")) == PASSED
    assert proj.started == 2


# what counts as passed


def test_what_failed_is_launched_again(pytester: pytest.Pytester, proj: Project) -> None:
    proj.settings("", rule="error")
    for _ in range(2):
        assert row(pytester.runpytest(*CACHE)) == PASSED.replace("skipped  passed", "skipped  FAILED")
    assert proj.started == 2


def test_what_failed_does_not_replace_what_passed(pytester: pytest.Pytester, proj: Project) -> None:
    pytester.runpytest(*CACHE)
    right = (proj.directory / "train.py").read_text()
    (proj.directory / "train.py").write_text(right + "raise SystemExit(1)\n")
    assert pytester.runpytest(*CACHE).ret == 1
    (proj.directory / "train.py").write_text(right)
    assert row(pytester.runpytest(*CACHE)) == CACHED
    assert proj.started == 2


def test_checks_are_made_anew_of_what_is_cached(pytester: pytest.Pytester, proj: Project) -> None:
    pytester.runpytest(*CACHE)
    proj.settings("", rule="warning")
    # The settings lie among the project's files, so they change what is launched; the ini file doesn't.
    assert "(1w)" in row(pytester.runpytest(*CACHE))
    assert row(pytester.runpytest(*CACHE)) == "proj::main  cached    skipped  cached (1w)  cached     skipped"
    assert proj.started == 2
    strict = pytester.runpytest(*CACHE, "--mlflow-strict")
    assert row(strict) == "proj::main  cached    skipped  FAILED   cached     skipped"
    kept = pytester.path / ".pytest_cache/d/mlflow-check/launches"
    strict.stdout.fnmatch_lines(
        [
            "warning: metrics: 1 with every point at step 0*",
            "copies, stores and outputs of the launches:*",
            f"  {kept}",
            "to look at what proj::main logged (fluent):",
            f"  MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {kept.as_uri()}/fluent-*/store",
        ]
    )
    assert len(list(kept.glob("fluent-*/store"))) == 2
    assert proj.started == 2
    # It failed, and is made again.
    pytester.runpytest(*CACHE)
    assert proj.started == 3


@pytest.mark.parametrize("selection", ["metrics", "not models"])
def test_where_a_check_was_left_out_nobody_knows(
    pytester: pytest.Pytester, proj: Project, selection: str
) -> None:
    pytester.runpytest(*CACHE, "-k", selection)
    assert row(pytester.runpytest(*CACHE)) == PASSED
    assert "cached" in row(pytester.runpytest(*CACHE, "-k", selection))
    assert row(pytester.runpytest(*CACHE)) == CACHED
    assert proj.started == 2


def test_an_expected_failure_is_no_pass(pytester: pytest.Pytester, proj: Project) -> None:
    pytester.makeconftest(
        """
        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name == "metrics":
                    item.add_marker("xfail")
        """
    )
    proj.settings("", rule="error")
    for _ in range(2):
        pytester.runpytest(*CACHE).assert_outcomes(passed=2, xfailed=1, skipped=2)
    assert proj.started == 2


def test_of_a_docker_image_nobody_knows_whether_it_is_the_same(tmp_path: Path, proj: Project) -> None:
    (case,) = cases_of(load_settings(proj.directory))
    values = ProjectConfig(cache=True, store="file")
    docker = replace(case, project=replace(case.project, docker_image="python:3.12"))
    remembered = LaunchCache(tmp_path / "launches")
    for number in ("1", "2"):
        area = tmp_path / number
        area.mkdir()
        (area / "launch.json").write_text(json.dumps({"files": files_of(proj.directory)}))
        found = remembered.get_or_create(docker, "mlflow-run", values, Interpreter(), lambda at=area: at)
        assert found == area
        assert [file.name for file in area.iterdir()] == ["launch.json"]


@pytest.mark.parametrize("refused", [True, False])
def test_a_probe_that_the_program_refuses_did_not_pass(
    pytester: pytest.Pytester, make_project: MakeProject, refused: bool
) -> None:
    refusal = 'import sys\nif "two" in sys.argv[1]: sys.exit("a word, please")\n' if refused else ""
    mlproject = (
        "entry_points:\n  main:\n    parameters:\n      a: string\n    command: 'python train.py {a}'\n"
    )
    case = f'[[case]]\nparams = {{ a = "v" }}\nenv = {{ COUNTER = "{pytester.path}/counter" }}\n'
    settings = f'launch = "fluent"\nprobes = true\n[rules]\nmetric-without-step = "off"\n{case}'
    script = COUNTING + refusal + LOGGING
    make_project("proj", {"train.py": script, "MLproject": mlproject, "mlflow-check.toml": settings})
    for _ in range(2):
        result = pytester.runpytest(*CACHE)
        assert result.ret == 0
    assert row(result).split() == CACHED.split()
    assert len((pytester.path / "counter").read_text().splitlines()) == (3 if refused else 2)


# what happens to what is kept


def cut(kept: Path) -> None:
    file = kept / "launch.json"
    file.write_text(file.read_text()[:-20])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": cut,
    "not a launch": lambda kept: (kept / "launch.json").write_text("[]"),
    "no summary": lambda kept: (kept / "launch.json").unlink(),
    "no metric": lambda kept: next(kept.rglob("loss")).unlink(),
    "another metric": lambda kept: next(kept.rglob("loss")).write_text("1 0.5 0\n2 0.25 1\n"),
    "no output": lambda kept: (kept / "stdout.txt").unlink(),
    "nothing": lambda kept: shutil.rmtree(kept),
    "only what was left half written": lambda kept: kept.rename(kept.with_name("unfinished-1")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_launched_again(pytester: pytest.Pytester, proj: Project, damage: str) -> None:
    pytester.runpytest(*CACHE)
    launches = pytester.path / ".pytest_cache/d/mlflow-check/launches"
    (kept,) = launches.glob("fluent-*")
    DAMAGES[damage](kept)
    assert row(pytester.runpytest(*CACHE)) == PASSED
    assert proj.started == 2
    assert row(pytester.runpytest(*CACHE)) == CACHED
    assert not list(launches.glob("unfinished-*"))


def test_where_nothing_can_be_stored_the_session_goes_on(pytester: pytest.Pytester, proj: Project) -> None:
    cache = pytester.path / ".pytest_cache/d/mlflow-check"
    cache.mkdir(parents=True)
    (cache / "launches").touch()
    for _ in range(2):
        assert row(pytester.runpytest(*CACHE)) == PASSED


def test_a_change_while_it_is_launched(
    tmp_path: Path, pytester: pytest.Pytester, proj: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say what such a launch was made of."""
    script = f'open("{proj.directory}/new", "w").close()\n'
    (proj.directory / "train.py").write_text(COUNTING + LOGGING + script)
    assert row(pytester.runpytest(*CACHE)) == PASSED
    assert row(pytester.runpytest(*CACHE)) == PASSED
    assert row(pytester.runpytest(*CACHE)) == CACHED


@pytest.mark.parametrize("what", ["the files", "the variables"])
def test_a_change_between_the_look_and_the_launch(
    proj: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The files count as they were copied, the variables as they were when it was asked for."""
    settings = load_settings(proj.directory)
    (case,) = cases_of(settings)
    values = settings.values.model_copy(update={"cache": True})

    def session(number: int, changing: bool = False) -> Launch:
        launcher = Launcher(tmp_path / f"area{number}", cache=tmp_path / "cache")
        if changing:
            make = launcher._make

            def late(*arguments: Any) -> Path:
                if what == "the variables":
                    monkeypatch.setenv("SEED", "1")
                    return make(*arguments)
                (proj.directory / "train.py").write_text(COUNTING + LOGGING + "# late\n")
                area = make(*arguments)
                # Back again: the files look as they did before.
                (proj.directory / "train.py").write_text(COUNTING + LOGGING)
                return area

            monkeypatch.setattr(launcher, "_make", late)
        launch = launcher.launches(case, values)["fluent"]
        launcher.update_cache(case, values, passed=True)
        return launch

    session(1, changing=True)
    monkeypatch.delenv("SEED", raising=False)
    assert (session(2).cached is not None) == (what == "the variables")
    assert session(3).cached is not None


# what a remembered launch is good for


@pytest.mark.launch
def test_the_reference_project_in_both_modes(pytester: pytest.Pytester) -> None:
    shutil.copytree(ROOT / "example_project", pytester.path / "example_project")
    command = [sys.executable, "-m", "pytest", "--mlflow-project=example_project", "--mlflow-cache"]
    sessions = [
        subprocess.run([*command, *more], capture_output=True, text=True, check=True)
        for more in (["-n", "2"], ["--basetemp=base"])
    ]
    assert "example_project::main  passed    passed  passed   passed     passed" in sessions[0].stdout
    assert "example_project::main  cached    cached  cached   cached     cached" in sessions[1].stdout
    assert not list((pytester.path / "base").rglob("attempt-*"))


@pytest.mark.launch
def test_fixtures_share_it(pytester: pytest.Pytester, proj: Project) -> None:
    pytester.runpytest(*CACHE)
    pytester.makepyfile(
        """
        def test_it(mlflow_launches):
            launches = mlflow_launches("proj")
            assert launches.fluent.cached is not None
            assert launches.fluent.run.metrics["loss"].values.tolist() == [0.5, 0.25]
            assert launches.mlflow_run.cached is None
        """
    )
    pytester.runpytest("--mlflow-cache").assert_outcomes(passed=1)
    # By `mlflow run` it was started for the first time.
    assert proj.started == 2


def test_a_launch_of_its_own_is_made_each_time(pytester: pytest.Pytester, proj: Project) -> None:
    proj.settings("cache = true\n")
    pytester.runpytest(*CACHE)
    pytester.makepyfile("def test_it(mlflow_launch): assert mlflow_launch('proj').cached is None")
    for _ in range(2):
        pytester.runpytest().assert_outcomes(passed=1)
    assert proj.started == 3


@pytest.fixture
def launched(tmp_path: Path) -> Callable[..., tuple[Launch, Launch]]:
    """A launch of a script, and the same as a later session gets it."""

    def launch(script: str, **keys: Any) -> tuple[Launch, Launch]:
        project = tmp_path / "project"
        project.mkdir()
        (project / "MLproject").write_text(FILES["MLproject"])
        (project / "train.py").write_text(script)
        (case,) = cases_of(load_settings(project))
        values = ProjectConfig(launch="fluent", cache=True, **keys)
        first = _session(tmp_path / "first", case, values)
        shutil.rmtree(tmp_path / "first")
        return first, _session(tmp_path / "second", case, values)

    return launch


def _session(area: Path, case: Case, values: ProjectConfig) -> Launch:
    launcher = Launcher(area, cache=area.with_name("a cache"))
    launch = launcher.launches(case, values)["fluent"]
    assert launch.exit_code == 0, launch.stderr
    launcher.update_cache(case, values, passed=True)
    return launch


def test_its_output_and_what_is_known_of_it(launched: Callable[..., tuple[Launch, Launch]]) -> None:
    script = LOGGING + 'print("out")\nPath("model.pkl").write_bytes(b"\\x80\\x04K\\x01.")\n'
    first, second = launched(script)
    assert (first.cached, first.logged_to) == (None, "")
    assert second.cached is not None
    assert second.logged_to == first.store_uri
    assert second.stdout_path is not None
    assert second.stdout_path.read_text() == "out\n"
    for name in ("mode", "command", "duration", "directory", "workspace", "origin", "stdout", "observations"):
        assert getattr(second, name) == getattr(first, name)
    assert second.saved == first.saved != {}
    assert second.run.metrics["loss"].values.tolist() == [0.5, 0.25]


def test_texts_that_name_the_former_store(launched: Callable[..., tuple[Launch, Launch]]) -> None:
    param = (
        '(run / "params").mkdir()\n(run / "params" / "where").write_text(os.environ["MLFLOW_TRACKING_URI"])\n'
    )
    first, second = launched(LOGGING + param)
    for launch in (first, second):
        assert launch.run.params["where"] == first.store_uri
        assert launch.comparable(launch.run.params["where"] + "/0") == "STORE/0"
        assert launch.comparable(launch.store_uri) == "STORE"


def test_what_logs_its_artifacts_elsewhere_is_not_stored(
    tmp_path: Path, launched: Callable[..., tuple[Launch, Launch]]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file.txt").touch()
    meta = f"{{run_id: f00d, status: 3, artifact_uri: '{tmp_path}/elsewhere'}}"
    first, second = launched(LOGGING + f'(run / "meta.yaml").write_text("{meta}")\n')
    assert [*first.run.artifacts] == ["file.txt"]
    assert second.cached is None


def test_artifacts_that_are_links_are_not_stored(
    launched: Callable[..., tuple[Launch, Launch]],
) -> None:
    _, second = launched(LOGGING + '(run / "artifacts").symlink_to(run / "metrics")\n')
    assert second.cached is None


REAL = """
import os
from pathlib import Path

import mlflow

class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input

@mlflow.trace
def traced(x):
    return x

mlflow.create_experiment("own", artifact_location=Path("own artifacts").absolute().as_uri())
traced(1)
for experiment in ("0", mlflow.get_experiment_by_name("own").experiment_id):
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_param("where", mlflow.get_artifact_uri())
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_text("content of " + experiment, "texts/one.txt")
        mlflow.pyfunc.log_model("model", python_model=Echo())
mlflow.register_model(f"runs:/{run.info.run_id}/model", "registered")
"""


@pytest.mark.launch
@pytest.mark.parametrize("store", ["file", "sqlite"])
def test_mlflow_s_client_finds_everything_where_it_is_stored(
    launched: Callable[..., tuple[Launch, Launch]], store: str, tmp_path: Path
) -> None:
    import mlflow

    first, second = launched(REAL, store=store)
    assert second.cached is not None
    assert second.store_uri != first.store_uri
    client = mlflow.MlflowClient(second.store_uri, second.store_uri)
    assert len(second.runs) == 2
    for record, former in zip(second.runs, first.runs, strict=True):
        assert record.params == former.params
        run = client.get_run(record.run_id)
        assert str(tmp_path / "first") not in run.info.artifact_uri
        texts = client.download_artifacts(record.run_id, "texts/one.txt", str(tmp_path))
        assert Path(texts).read_text() == f"content of {run.info.experiment_id}"
        assert Path(texts).read_text() == record.artifacts["texts/one.txt"].file.read_text()
        assert {name: model.flavors for name, model in record.models.items()} == {
            name: model.flavors for name, model in former.models.items()
        }
        assert all((model.path / "MLmodel").is_file() for model in record.models.values())
    for experiment in client.search_experiments():
        assert str(tmp_path / "first") not in experiment.artifact_location
    location = client.get_model_version_download_uri("registered", "1")
    assert str(tmp_path / "first") not in location
    # MLflow 2.22 itself loses the content of a trace where the script ends soon after.
    if not mlflow.__version__.startswith("2."):
        (trace,) = client.search_traces(["0"])
        assert [span.name for span in trace.data.spans] == ["traced"]
