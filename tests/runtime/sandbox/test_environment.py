"""The variables of a launch: what is withheld, passed on, set, and what a case can't lead away."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_mlflow_check.core.store import Store, StoreKind
from pytest_mlflow_check.runtime.sandbox.environment import interpreter_directory, launch_environment

OURS = {
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    # Of no launch, until the observer is put in.
    "PYTEST_MLFLOW_CHECK_OBSERVER": "",
}


def environment(
    tmp_path: Path,
    base: Mapping[str, str],
    *pass_env: str,
    kind: StoreKind = "file",
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What a launch gets; without what is the same for all."""
    env = launch_environment(
        Store(kind, tmp_path / "store"),
        root=tmp_path / "root",
        copy=tmp_path / "copy",
        base=base,
        pass_env=pass_env,
        extra=extra,
    )
    uri = f"file://{tmp_path}/store" if kind == "file" else f"sqlite:///{tmp_path}/store/mlflow.db"
    always = {
        **OURS,
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_REGISTRY_URI": uri,
        "MLFLOW_ENV_ROOT": str(tmp_path / "environments"),
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
    }
    assert {name: env.pop(name) for name in always.keys() & env.keys()} == always
    return env


PATH = os.pathsep.join([str(interpreter_directory()), os.defpath])


@pytest.mark.parametrize(
    "name",
    [
        "MLFLOW_TRACKING_URI",
        "MLFLOW_REGISTRY_URI",
        "MLFLOW_RUN_ID",
        "MLFLOW_EXPERIMENT_NAME",
        "MLFLOW_TRACKING_TOKEN",
        "_MLFLOW_SERVER_ARTIFACT_ROOT",
        "_MLFLOW_TRACKING_URI",
        "DATABRICKS_HOST",
        "DATABRICKS_TOKEN",
        "PYTEST_ADDOPTS",
        "PYTEST_CURRENT_TEST",
        "PYTEST_XDIST_WORKER",
        "PYTEST_PLUGINS",
    ],
)
def test_what_is_withheld_unless_asked_for(tmp_path: Path, name: str) -> None:
    base = {name: "the user's", "OTHER": "kept"}
    assert environment(tmp_path, base) == {"OTHER": "kept", "PATH": PATH}
    tracking = name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    passed = {} if tracking else {name: "the user's"}
    for pattern in (name, "*", f"{name[:3]}*"):
        assert environment(tmp_path, base, "NOTHING", pattern) == {"OTHER": "kept", "PATH": PATH, **passed}


@pytest.mark.parametrize(
    "name",
    [
        "mlflow_run_id",
        "MLFLOW_CONDA_HOME",
        "MY_MLFLOW_URI",
        "MLFLOWX",
        "AWS_SECRET_ACCESS_KEY",
        "HOME",
        "CUDA_VISIBLE_DEVICES",
    ],
)
def test_what_is_passed_on(tmp_path: Path, name: str) -> None:
    assert environment(tmp_path, {name: "x"}) == {name: "x", "PATH": PATH}


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_nothing_leads_away_from_the_store(tmp_path: Path, kind: StoreKind) -> None:
    away = dict.fromkeys(
        (
            "MLFLOW_TRACKING_URI",
            "MLFLOW_REGISTRY_URI",
            "MLFLOW_ALLOW_FILE_STORE",
            "MLFLOW_DISABLE_TELEMETRY",
            "_MLFLOW_SERVER_ARTIFACT_ROOT",
        ),
        "http://elsewhere",
    )
    expected = {"PATH": PATH}
    if kind == "sqlite":
        expected["_MLFLOW_SERVER_ARTIFACT_ROOT"] = str(tmp_path / "store" / "artifacts")
    assert environment(tmp_path, away, kind=kind) == expected
    away.pop("_MLFLOW_SERVER_ARTIFACT_ROOT")
    assert environment(tmp_path, away, "MLFLOW_*", kind=kind) == expected
    assert environment(tmp_path, {}, kind=kind, extra=away) == expected


def test_a_case_sets_what_else_it_likes(tmp_path: Path) -> None:
    given = {"SEED": "0", "MLFLOW_EXPERIMENT_NAME": "of the case"}
    assert environment(tmp_path, {"SEED": "1"}, extra=given) == {"PATH": PATH, **given}


def test_retries_can_be_given(tmp_path: Path) -> None:
    name, store = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", Store("file", tmp_path)
    for given in ({"base": {name: "7"}, "pass_env": [name]}, {"base": {}, "extra": {name: "7"}}):
        assert launch_environment(store, root=tmp_path, copy=tmp_path, **given)[name] == "7"  # type: ignore[arg-type]


def test_the_environment_of_this_process_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THIS_PROCESS", "x")
    env = launch_environment(Store("file", tmp_path), root=tmp_path, copy=tmp_path)
    assert env["OF_THIS_PROCESS"] == "x"
    assert "PYTEST_CURRENT_TEST" not in env


def test_python_is_that_of_this_process(tmp_path: Path) -> None:
    path = environment(tmp_path, {"PATH": "/one:/two"})["PATH"]
    assert path == f"{Path(sys.executable).parent}:/one:/two"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{root}/src", "{copy}/src"),
        ("{root}", "{copy}"),
        ("{root}/src:/elsewhere:{root}", "{copy}/src:/elsewhere:{copy}"),
        ("{link}/src", "{copy}/src"),
        # Not in the copy.
        ("{root}/.venv/lib", "{root}/.venv/lib"),
        # Relative to where the launch runs, as with `mlflow run`.
        ("src::.", "src::."),
        ("", ""),
    ],
)
def test_the_project_s_own_modules_come_from_the_copy(tmp_path: Path, given: str, expected: str) -> None:
    (tmp_path / "root" / ".venv" / "lib").mkdir(parents=True)
    (tmp_path / "copy" / "src").mkdir(parents=True)
    (tmp_path / "link").symlink_to("root")
    places = {name: tmp_path / name for name in ("root", "copy", "link")}
    env = environment(tmp_path, {"PYTHONPATH": given.format(**places)})
    assert env["PYTHONPATH"] == expected.format(**places)


def test_a_user_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert "USER" not in environment(tmp_path, {})
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 2)
    assert environment(tmp_path, {})["USER"] == str(2**31 - 2)
    assert environment(tmp_path, {"LOGNAME": "me"}) == {"LOGNAME": "me", "PATH": PATH}
