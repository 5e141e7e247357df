"""What launches run with: which environment is whose, what is missing, and both launches inside the same one.

The programs that make environments are mostly stand-ins here, small scripts which make a bare environment in
no time; MLflow itself is the real one. With the real programs it takes minutes: those tests are `heavy`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.config.settings import EnvManager, ProjectConfig, load_settings
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.models import Case, Project
from pytest_mlflow_check.core.records import Launch
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.planning import cases_of
from pytest_mlflow_check.runtime.sandbox import environment, interpreter
from pytest_mlflow_check.runtime.sandbox.interpreter import Interpreter, make_interpreter
from support.projects import LOGGING

MLFLOW = importlib.metadata.version("mlflow")
BY_UV = pytest.mark.skipif(MLFLOW.startswith("2."), reason="MLflow 2 has no uv for projects")

PYTHON = platform.python_version()
MLPROJECT = "{}\nentry_points:\n  main:\n    command: python train.py\n"
PYTHON_ENV = f"python: '{sys.version_info.major}.{sys.version_info.minor}'\n"
PREFIX = (
    f'{LOGGING}\nimport sys\n(run / "params").mkdir()\n(run / "params" / "prefix").write_text(sys.prefix)\n'
)

ALSO = "  or run the project in the environment that pytest runs in:  --mlflow-env-manager=local"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The directory of a project with a `python_env`, whose script logs where it runs."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "MLproject").write_text(MLPROJECT.format("python_env: python_env.yaml"))
    (directory / "python_env.yaml").write_text(PYTHON_ENV)
    (directory / "train.py").write_text(PREFIX)
    return directory


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for stand-ins, in the place of that where pytest's own Python lies with all beside it."""
    directory = tmp_path / "programs"
    for name in ("python", "mlflow"):
        own = Path(sys.executable).with_name(name)
        program(directory / name, f'exec {own} "$@"\n')
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.delenv("CONDA_EXE", raising=False)
    for module in (environment, interpreter):
        monkeypatch.setattr(module, "interpreter_directory", lambda: directory)
    return directory


def program(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/bash\n{dedent(script)}")
    file.chmod(0o755)


def made(directory: Path, manager: EnvManager, cache: Path, session: str = "session") -> Interpreter:
    beside = directory.parent / session
    beside.mkdir(exist_ok=True)
    return make_interpreter(the_case(directory).project, manager, cache=cache, session=beside)


def refused(directory: Path, manager: EnvManager, cache: Path) -> str:
    with pytest.raises(UserError) as error:
        made(directory, manager, cache)
    return str(error.value)


def the_case(directory: Path) -> Case:
    (case,) = cases_of(load_settings(directory))
    return case


def prefixes(launches: dict[str, Launch] | dict[object, Launch]) -> set[Path]:
    """Where the script of each launch ran."""
    found = set()
    for launch in launches.values():
        assert launch.exit_code == 0, launch.stderr
        found |= {Path(run.params["prefix"]) for run in launch.record.runs if "prefix" in run.params}
    return found


# without an environment of its own


def test_local_is_the_python_of_this_process(project: Path, tmp_path: Path) -> None:
    own = made(project, "local", tmp_path / "cache")
    assert own == Interpreter("local", Path(sys.executable), None)
    env = {"PATH": "/bin"}
    assert own.activated(env) == own.offered(env, tmp_path / "none") == env
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "none").exists()


def test_a_docker_project_has_no_other(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text(MLPROJECT.format("docker_env: {image: trainer}"))
    (tmp_path / "conda.yaml").touch()
    assert made(tmp_path, "conda", tmp_path / "cache") == Interpreter()


# what is missing


@pytest.mark.parametrize(
    ("manager", "variables", "expected"),
    [
        (
            "uv",
            {},
            'env_manager is "uv", for which MLflow needs uv: there is no uv on PATH\n'
            "  install it:  pip install uv\n",
        ),
        (
            "virtualenv",
            {},
            'env_manager is "virtualenv", for which MLflow needs pyenv: there is no pyenv on PATH\n'
            "  install it, and put its bin on PATH\n",
        ),
        (
            "conda",
            {},
            'env_manager is "conda", for which MLflow needs conda: there is no conda on PATH\n'
            "  install it and put its bin on PATH, or say where it is:  MLFLOW_CONDA_HOME=DIR\n",
        ),
        (
            "conda",
            {"MLFLOW_CONDA_HOME": "/gone", "CONDA_EXE": "/other/bin/conda"},
            'env_manager is "conda", for which MLflow needs conda: there is no /gone/bin/conda\n'
            "  install it and put its bin on PATH, or say where it is:  MLFLOW_CONDA_HOME=DIR\n",
        ),
        (
            "conda",
            {"CONDA_EXE": "/gone/bin/conda.exe"},
            'env_manager is "conda", for which MLflow needs conda: there is no /gone/bin/conda\n'
            "  install it and put its bin on PATH, or say where it is:  MLFLOW_CONDA_HOME=DIR\n",
        ),
    ],
)
def test_a_missing_program_is_told_at_once(
    manager: EnvManager,
    variables: dict[str, str],
    expected: str,
    project: Path,
    programs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if manager == "conda":
        (project / "MLproject").write_text(MLPROJECT.format("conda_env: conda.yaml"))
        (project / "conda.yaml").touch()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert refused(project, manager, tmp_path / "cache") == expected + ALSO
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("there", [True, False])
def test_conda_needs_a_conda_env(there: bool, project: Path, tmp_path: Path) -> None:
    place = project / "python_env.yaml"
    if not there:
        place.unlink()
        place = project / "MLproject"
        place.write_text(MLPROJECT.format("name: bare"))
    assert refused(project, "conda", tmp_path) == (
        f'{place}: env_manager is "conda", which MLflow takes only with a conda_env\n'
        "  name its file in the MLproject:  conda_env: conda.yaml\n"
        "  or write another:  --mlflow-env-manager=uv  or  --mlflow-env-manager=virtualenv"
    )


def test_a_cache_that_mlflow_cannot_activate_in(project: Path, programs: Path, tmp_path: Path) -> None:
    program(programs / "uv", "exit 1")
    said = refused(project, "uv", tmp_path / "my cache")
    assert said.startswith(f"{tmp_path}/my cache/environments/uv-")
    assert said.partition(": ")[2] == snapshot("""\
MLflow can't use an environment in a directory whose name needs quotes in a shell
  let pytest keep its cache elsewhere:  -o cache_dir=DIR
  or run the project in the environment that pytest runs in:  --mlflow-env-manager=local\
""")


# whose environment is whose


def test_the_file_with_the_dependencies(tmp_path: Path) -> None:
    def files(mlproject: str = "name: bare") -> tuple[Path | None, Path | None]:
        (tmp_path / "MLproject").write_text(MLPROJECT.format(mlproject))
        project = the_case(tmp_path).project
        return project.python_env, project.conda_env

    assert files() == (None, None)
    (tmp_path / "conda.yaml").touch()
    assert files() == (None, tmp_path / "conda.yaml")
    (tmp_path / "python_env.yaml").touch()
    assert files() == (tmp_path / "python_env.yaml", None)
    assert files("conda_env: conda.yaml") == (None, tmp_path / "conda.yaml")
    (tmp_path / "other.yaml").touch()
    assert files("python_env: other.yaml") == (tmp_path / "other.yaml", None)
    assert files("docker_env: {image: trainer}") == (None, None)
    (tmp_path / "MLproject").unlink()
    (tmp_path / "train.py").touch()
    settings = load_settings(tmp_path, command_line={"entry_point": "train.py"})
    assert cases_of(settings)[0].project == Project(tmp_path, python_env=tmp_path / "python_env.yaml")


def test_an_environment_lasts_until_something_in_it_changes(tmp_path: Path) -> None:
    env, requirements, more = (
        tmp_path / name for name in ("python_env.yaml", "requirements.txt", "sub/more.txt")
    )
    env.write_text("dependencies: ['-r requirements.txt']\n")
    requirements.write_text("-r sub/more.txt\n-c gone.txt\n")
    more.parent.mkdir()
    more.write_text("-r ../requirements.txt\n--constraint=pins.txt\n")
    project = Project(tmp_path, python_env=env)
    seen = {interpreter._identity(project)}
    (tmp_path / "train.py").write_text("changed")
    (tmp_path / "pins.txt").write_text("of another directory")
    assert seen == {interpreter._identity(project)}
    for file in (env, requirements, more, more.with_name("pins.txt"), tmp_path / "uv.lock"):
        with file.open("a") as text:
            text.write("# changed\n")
        identity = interpreter._identity(project)
        assert identity not in seen
        seen.add(identity)


def test_one_that_was_made_is_taken_without_asking_mlflow(
    project: Path, programs: Path, tmp_path: Path
) -> None:
    program(programs / "uv", "exit 1")
    home = tmp_path / "cache" / "environments" / f"uv-{interpreter._identity(the_case(project).project)}"
    python = home / "environments" / "mlflow-1" / "bin" / "python"
    program(python, "")
    prefix = python.parents[1]
    (home / "prefix.txt").write_text(str(prefix))
    assert made(project, "uv", tmp_path / "cache") == Interpreter("uv", python, prefix)


@pytest.mark.parametrize(("manager", "name"), [("uv", "VIRTUAL_ENV"), ("conda", "CONDA_PREFIX")])
def test_the_variables_of_an_environment(manager: EnvManager, name: str, tmp_path: Path) -> None:
    prefix = tmp_path / "made" / "mlflow-1"
    prefix.mkdir(parents=True)
    one = Interpreter(manager, prefix / "bin" / "python", prefix)
    env = {"PATH": "/bin", "OTHER": "kept", "MLFLOW_ENV_ROOT": "/the/user's"}
    assert one.activated(env) == {**env, "PATH": f"{prefix}/bin:/bin", name: str(prefix)}
    assert one.offered(env, tmp_path / "launch") == {
        **env,
        "MLFLOW_ENV_ROOT": f"{tmp_path}/launch",
        "CONDA_ENVS_PATH": f"{tmp_path}/made",
    }
    assert (tmp_path / "launch" / "mlflow-1").samefile(prefix)


# made by MLflow, with stand-ins


def fake_uv(programs: Path, calls: Path) -> None:
    """Makes what `uv venv DIR --python=VERSION` is asked for, of the Python that runs here, without pip."""
    program(
        programs / "uv", f'echo "$@" >>{calls}\nexec {sys.executable} -m venv --without-pip --clear "$2"\n'
    )


@pytest.mark.launch
@BY_UV
def test_both_launches_run_in_one_environment(project: Path, programs: Path, tmp_path: Path) -> None:
    calls, case = tmp_path / "calls", the_case(project)
    fake_uv(programs, calls)
    settings = ProjectConfig(env_manager="uv")
    launches = Launcher(tmp_path / "area", cache=tmp_path / "cache").launches(case, settings)
    (prefix,) = prefixes({**launches})
    assert prefix.is_relative_to(tmp_path / "cache" / "environments")
    assert launches["mlflow-run"].command == "mlflow run . --env-manager=uv"
    assert len(calls.read_text().splitlines()) == 1

    # Another session, with nothing of what was made but a half of the environment.
    (home,) = (tmp_path / "cache" / "environments").glob("uv-*")
    (home / "prefix.txt").unlink()
    shutil.rmtree(prefix / "bin")
    with ThreadPoolExecutor(2) as pool:
        both = pool.map(lambda _: made(project, "uv", tmp_path / "cache").prefix, range(2))
    assert [*both] == [prefix, prefix]
    assert (prefix / "bin" / "python").exists()
    assert len(calls.read_text().splitlines()) == 2
    # What belongs to the project is left alone, and what it was made in is gone.
    assert sorted(path.name for path in project.iterdir()) == ["MLproject", "python_env.yaml", "train.py"]


@pytest.mark.launch
@pytest.mark.skipif(not MLFLOW.startswith("2."), reason="MLflow 3 has uv for projects")
def test_an_mlflow_that_has_no_uv_for_projects(project: Path, programs: Path, tmp_path: Path) -> None:
    fake_uv(programs, tmp_path / "calls")
    assert refused(project, "uv", tmp_path) == (
        f'env_manager is "uv", of which `mlflow run` takes no notice in MLflow {MLFLOW}: it ran the project '
        f"with the Python in {sys.prefix}\n"
        "  write another, such as  --mlflow-env-manager=virtualenv,  or install a newer MLflow\n"
        f"{ALSO}"
    )
    assert not (tmp_path / "calls").exists()


@pytest.mark.launch
def test_both_launches_run_in_a_conda_environment(
    project: Path, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in does what MLflow asks of conda: make an environment, list them all, activate one."""
    conda = tmp_path / "conda"
    script = f"""
        case "$1 $2" in
            "env list") cd "$CONDA_ENVS_PATH" 2>/dev/null && printf '%s\\n' * | sed 's/.*/"&"/' | paste -sd, |
                sed 's/.*/{{"envs": [&]}}/' || echo '{{"envs": []}}' ;;
            "env create") exec {sys.executable} -m venv --without-pip "$CONDA_ENVS_PATH/$4" ;;
        esac
    """
    program(conda / "bin" / "conda", script)
    (conda / "etc" / "profile.d").mkdir(parents=True)
    (conda / "etc" / "profile.d" / "conda.sh").write_text(
        'conda() { PATH="$CONDA_ENVS_PATH/$2/bin:$PATH"; }\n'
    )
    monkeypatch.setenv("MLFLOW_CONDA_HOME", str(conda))
    (project / "MLproject").write_text(MLPROJECT.format("conda_env: conda.yaml"))
    (project / "conda.yaml").write_text("dependencies: [python]\n")
    launcher = Launcher(tmp_path / "area", cache=tmp_path / "cache")
    launches = launcher.launches(the_case(project), ProjectConfig(env_manager="conda"))
    (prefix,) = prefixes({**launches})
    assert prefix.is_relative_to(tmp_path / "cache" / "environments")

    (project / "conda.yaml").write_text("dependencies: [r-base]\n")
    program(conda / "bin" / "conda", script.replace(f"{sys.executable} -m venv --without-pip", "mkdir -p"))
    assert refused(project, "conda", tmp_path / "cache") == (
        f"{project}/conda.yaml: the environment that conda makes has no Python in it\n"
        f"  name one:  dependencies: [python={PYTHON}, …]\n{ALSO}"
    )


@pytest.mark.launch
@BY_UV
def test_what_went_wrong_is_shown_and_stored(project: Path, programs: Path, tmp_path: Path) -> None:
    program(programs / "uv", "echo Looking; echo 'error: No interpreter found for Python 3.99' >&2; exit 2\n")
    said = refused(project, "uv", tmp_path)
    (output,) = (tmp_path / "environments").glob("uv-*/output.txt")
    assert said == (
        f"{project}/python_env.yaml: MLflow can't make the environment with uv\n"
        f'  name a Python that is installed, as `uv python list` shows it:  python: "{PYTHON}"\n'
        f"  all that was printed is in {output}\n"
        "  the end of it:\n"
        "    Looking\n"
        "    error: No interpreter found for Python 3.99\n"
        f"{ALSO}"
    )
    assert "ShellCommandException: Non-zero exit code: 2" in output.read_text()
    # It is tried anew in another session, and not in the same.
    fake_uv(programs, tmp_path / "calls")
    assert refused(project, "uv", tmp_path) == said
    assert made(project, "uv", tmp_path, "another").prefix


def test_an_environment_that_takes_too_long(
    project: Path, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs / "uv", "")
    monkeypatch.setattr(interpreter, "_TIMEOUT", 0.01)
    said = refused(project, "uv", tmp_path)
    (output,) = (tmp_path / "environments").glob("uv-*/output.txt")
    assert said == (
        f"{project}/python_env.yaml: MLflow can't make the environment with uv within 0.01 seconds\n"
        f"  all that was printed is in {output}\n  the end of it:\n{ALSO}"
    )


# with the real programs

TRAIN = """\
import sys

import mlflow

with mlflow.start_run():
    mlflow.log_param("prefix", sys.prefix)
    for step in range(3):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
"""


@pytest.mark.launch
@pytest.mark.heavy
@pytest.mark.parametrize("manager", [pytest.param("uv", marks=BY_UV), "virtualenv"])
def test_with_the_real_programs(manager: EnvManager, project: Path, tmp_path: Path) -> None:
    if manager == "virtualenv" and not _pyenv_has_this_python():
        pytest.skip("pyenv isn't there, or doesn't have the Python that runs here")
    if manager == "virtualenv" and MLFLOW.startswith("2.") and not importlib.util.find_spec("virtualenv"):
        pytest.skip("MLflow 2 needs the package virtualenv")
    (project / "python_env.yaml").write_text(f"python: '{PYTHON}'\ndependencies: ['-r requirements.txt']\n")
    (project / "requirements.txt").write_text(f"mlflow-skinny=={MLFLOW}\n")
    (project / "train.py").write_text(TRAIN)
    launcher = Launcher(tmp_path / "area", cache=tmp_path / "cache")
    launches = launcher.launches(the_case(project), ProjectConfig(env_manager=manager))
    (prefix,) = prefixes({**launches})
    assert prefix.is_relative_to(tmp_path / "cache" / "environments")
    assert prefix != Path(sys.prefix)
    for launch in launches.values():
        places = [call.source_line for call in launch.observations if call.what == "log_metric"]
        assert places == ["train.py:8"] * 3
    # The next session finds it, and so does its `mlflow run`.
    before = {path.name for path in prefix.parent.iterdir()}
    again = Launcher(tmp_path / "again", cache=tmp_path / "cache")
    launches = again.launches(the_case(project), ProjectConfig(env_manager=manager))
    assert prefixes({**launches}) == {prefix}
    assert {path.name for path in prefix.parent.iterdir()} == before


def _pyenv_has_this_python() -> bool:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return shutil.which("pyenv") is not None and (root / "versions" / PYTHON).exists()
