"""Whether Docker can be reached, told by a `docker` that the test writes; and what isn't launched without."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_mlflow_check.config.settings import load_settings
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.planning import cases_of
from pytest_mlflow_check.runtime.sandbox import docker


@pytest.mark.parametrize(
    ("script", "reachable"),
    [
        ("exit 0", True),
        ("exit 1", False),
        ('test "$*" = info', True),
        ("exec sleep 60", False),
        (None, False),
    ],
)
def test_docker_is_asked(
    script: str | None, reachable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script is not None:
        (tmp_path / "docker").write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")
        (tmp_path / "docker").chmod(0o755)
    monkeypatch.setattr(docker, "_TIMEOUT", 0.5)
    assert docker.docker_reachable({"PATH": str(tmp_path)}) is reachable


def test_a_docker_that_cant_be_started(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text("#!/nowhere\n")
    (tmp_path / "docker").chmod(0o755)
    assert not docker.docker_reachable({"PATH": str(tmp_path)})


@pytest.mark.parametrize(("launch", "launched"), [("both", False), ("mlflow-run", False), ("fluent", True)])
def test_without_docker_only_the_plain_command_is_launched(
    launch: str, launched: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "MLproject").write_text("docker_env: {image: trainer}\nentry_points: {main: {command: ls}}\n")
    monkeypatch.setattr("pytest_mlflow_check.engine.launcher.docker_reachable", lambda _: False)
    settings = load_settings(project, command_line={"launch": launch})
    (case,) = cases_of(settings)
    assert (case.project.docker_image, case.project.docker_line) == ("trainer", 1)
    launcher = Launcher(tmp_path / "area", cache=tmp_path / "cache")
    (tmp_path / "area").mkdir()
    comparison = launcher.compare(case, settings.values)
    assert comparison.docker_missing is not launched
    assert list(comparison.launches) == (["fluent"] if launched else [])
