"""Projects in git repositories, launched for real: what they log of the repository is nobody's fault."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.projects import MakeProject

pytestmark = [pytest.mark.skipif(shutil.which("git") is None, reason="needs git"), pytest.mark.mlflow]

TRAIN = """
import subprocess
import sys

import git
import mlflow


def asked(*arguments):
    return subprocess.check_output(["git", *arguments], text=True).strip()


repository = git.Repo(".", search_parent_directories=True)
with mlflow.start_run():
    mlflow.log_param("commit", asked("rev-parse", "HEAD"))
    mlflow.log_param("version", asked("describe", "--tags", "--long", "--dirty"))
    mlflow.log_param("branch", repository.active_branch.name)
    mlflow.set_tag("remote", repository.remote().url)
    mlflow.set_tag("dirty", str(repository.is_dirty()))
    mlflow.log_metric("loss", 1.0, step=0)
    mlflow.log_metric("loss", 0.5, step=1)
    subprocess.check_call(["git", "tag", "launched"])
    identity = ["-c", "user.name=n", "-c", "user.email=e"]
    subprocess.check_call(["git", *identity, "commit", "-qam", "of the launch", "--allow-empty"])
"""
FILES = {
    "MLproject": 'entry_points:\n  main:\n    command: "python train.py"\n',
    "train.py": TRAIN,
    "data.csv": "1\n",
}


def git(place: Path, *arguments: str) -> str:
    """What git answers."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments],
        cwd=place,
        env=env,
        text=True,
        check=True,
        capture_output=True,
    ).stdout


def repository(place: Path) -> None:
    """Makes a repository of a directory, with a tag, a remote, and a change."""
    git(place, "init", "-q", "-b", "work")
    git(place, "add", ".")
    git(place, "commit", "-qm", "first")
    git(place, "tag", "v1")
    git(place, "remote", "add", "origin", "https://example.com/project.git")


def session(place: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A session of its own, without the variables that git starts hooks with."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", *options],
        cwd=place,
        env={**env, **variables, "COLUMNS": "80"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def test_a_project_that_logs_its_commit(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    project = make_project(files=FILES)
    repository(project)
    (project / "data.csv").write_text("2\n")
    before = git(project, "status", "--porcelain"), git(project, "for-each-ref")
    # As from a pre-commit hook, which git tells where the index is.
    hooked = {"GIT_INDEX_FILE": str(project / ".git/index"), "GIT_DIR": str(project / ".git")}
    done = session(pytester.path, "--mlflow-project=proj", "--mlflow-update", **hooked)
    assert done.returncode == 0, done.stdout
    contract = (project / "mlflow-contract.yaml").read_text()
    assert "commit: null" in contract
    assert "version: null" in contract
    assert git(project, "rev-parse", "HEAD").strip()[:7] not in contract
    (project / "mlflow-contract.yaml").unlink()
    assert (git(project, "status", "--porcelain"), git(project, "for-each-ref")) == before


@pytest.mark.parametrize("kind", ["work tree", "submodule"])
def test_the_repository_is_elsewhere(pytester: pytest.Pytester, make_project: MakeProject, kind: str) -> None:
    origin = make_project("origin", files=FILES)
    repository(origin)
    if kind == "work tree":
        git(origin, "worktree", "add", "-qb", "other", "../proj")
        project = pytester.path / "proj"
    else:
        make_project("super")
        repository(pytester.path / "super")
        git(
            pytester.path / "super",
            *("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(origin), "proj"),
        )
        project = pytester.path / "super" / "proj"
        git(project, "checkout", "-qb", "other")
    before = git(project, "status", "--porcelain"), git(project, "for-each-ref")
    done = session(pytester.path, f"--mlflow-project={project}")
    assert done.returncode == 0, done.stdout
    assert (git(project, "status", "--porcelain"), git(project, "for-each-ref")) == before


def test_a_file_that_git_lfs_has_not_fetched(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    reading = 'import json\njson.load(open("data/table.json"))\n'
    files = {"train.py": reading, "data/table.json": pointer, ".gitattributes": "*.json filter=lfs\n"}
    make_project(files={**FILES, **files})
    done = session(pytester.path, "--mlflow-project=proj", "--mlflow-launch=fluent")
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "Git LFS hasn't fetched data/table.json: there is only a pointer in place of the content." in text
    assert "fix: fetch what the code reads: git lfs pull" in text
