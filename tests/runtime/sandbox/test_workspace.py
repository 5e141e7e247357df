"""The copy a launch runs in: what is in it, where links lead, and that the user's files stay as they are."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.reporting.formats import render, write
from pytest_mlflow_check.runtime.sandbox.copy_file import copy_file
from pytest_mlflow_check.runtime.sandbox.workspace import (
    SKIPPED,
    enclosing_root,
    make_workspace,
    map_into,
    mark_session_dir,
)
from support.builders import launch, run
from support.reports import report_of


def tree(directory: Path) -> dict[str, tuple[int, int, object]]:
    """Mode, time and content of all that lies below a directory."""
    found = {}
    for path in sorted(directory.rglob("*")):
        state = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(state.st_mode) else path.is_symlink() and path.readlink()
        found[str(path.relative_to(directory))] = (state.st_mode, state.st_mtime_ns, content)
    return found


def names(directory: Path) -> list[str]:
    """The files and links below a directory."""
    found = (path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(str(path.relative_to(directory)) for path in found)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home directory, above which no repository is looked for."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a project in a subdirectory."""
    root = tmp_path / "repository"
    for name in (".git/HEAD", "data/table.csv", "project/MLproject"):
        file = root / name
        file.parent.mkdir(parents=True)
        file.write_text(name)
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in no repository."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "train.py").write_text("pass")
    return project


# what is copied


def test_the_repository_around_the_project(tmp_path: Path, repository: Path) -> None:
    before = tree(repository)
    place = make_workspace(repository / "project", tmp_path / "copy")
    assert place == tmp_path / "copy" / "project"
    assert (place / "../data/table.csv").read_text() == "data/table.csv"
    assert names(tmp_path / "copy") == ["data/table.csv", "project/MLproject"]
    assert tree(repository) == before


def test_a_worktree_has_a_file_for_a_repository(tmp_path: Path, project: Path) -> None:
    (tmp_path / "work" / "sub").mkdir(parents=True)
    (tmp_path / "work" / ".git").write_text("gitdir: elsewhere")
    assert enclosing_root(tmp_path / "work" / "sub") == tmp_path / "work"
    assert enclosing_root(project) == project


def test_the_nearest_of_two_repositories(repository: Path) -> None:
    (repository / "project" / ".git").mkdir()
    (repository / "project" / "sub").mkdir()
    assert enclosing_root(repository / "project" / "sub") == repository / "project"


def test_a_home_directory_is_no_repository(tmp_path: Path, project: Path, repository: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert enclosing_root(project) == project
    assert enclosing_root(repository / "project") == repository


def test_a_home_directory_behind_a_link(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    assert enclosing_root(project) == project
    assert enclosing_root(tmp_path / "link" / "project") == project


def test_a_user_without_a_home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    (project / ".git").mkdir()
    assert enclosing_root(project) == project


@pytest.mark.parametrize("name", sorted(SKIPPED))
def test_what_no_script_reads_is_left_out(tmp_path: Path, project: Path, name: str) -> None:
    (project / "sub" / name).mkdir(parents=True)
    (project / "sub" / name / "file").touch()
    (project / name).touch()
    (project / f"{name}2").touch()
    make_workspace(project, tmp_path / "copy")
    assert names(tmp_path / "copy") == sorted([f"{name}2", "train.py"])


@pytest.mark.parametrize("suffix", [".json", ".md", ".HTML"])
def test_the_reports_of_a_session_are_left_out(tmp_path: Path, project: Path, suffix: str) -> None:
    # Else each session would change what the next one finds, and nothing were ever remembered.
    report = project / "out" / f"report{suffix}"
    write(render(report_of(launch("fluent", run())), report), report)
    (project / "out" / f"data{suffix}").write_text('{\n "schema": 1,\n "verdict": "no report"}')
    make_workspace(project, tmp_path / "copy")
    assert names(tmp_path / "copy") == [f"out/data{suffix}", "train.py"]


def test_environments_and_launches_are_left_out_by_what_is_in_them(tmp_path: Path, project: Path) -> None:
    (project / "env39").mkdir()
    (project / "env39" / "pyvenv.cfg").touch()
    mark_session_dir(project / "tmp" / "launches")
    (project / "tmp" / "file").touch()
    make_workspace(project, tmp_path / "copy")
    assert names(tmp_path / "copy") == ["tmp/file", "train.py"]


def test_hidden_and_empty_things_are_copied(tmp_path: Path, project: Path) -> None:
    (project / ".env").write_text("SEED=1")
    (project / "empty" / "er").mkdir(parents=True)
    make_workspace(project, tmp_path / "copy")
    assert (tmp_path / "copy" / ".env").read_text() == "SEED=1"
    assert (tmp_path / "copy" / "empty" / "er").is_dir()


def test_pipes_and_sockets_are_left_out(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(project / "pipe")
    # The path of a socket may have about a hundred characters.
    monkeypatch.chdir(project)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        make_workspace(project, tmp_path / "copy")
    assert names(tmp_path / "copy") == ["train.py"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_left_out(tmp_path: Path, project: Path) -> None:
    (project / "secret").mkdir()
    (project / "secret" / "file").touch()
    (project / "key").touch()
    (project / "key").chmod(0)
    (project / "secret").chmod(0)
    try:
        make_workspace(project, tmp_path / "copy")
    finally:
        (project / "secret").chmod(0o755)
    assert names(tmp_path / "copy") == ["train.py"]


@pytest.mark.parametrize("error", [PermissionError, FileNotFoundError])
def test_files_that_cannot_be_read_or_go_away(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    def copy(source: str, target: str) -> None:
        if source.endswith("file"):
            raise error(0, "", source)
        copy_file(source, target)

    monkeypatch.setattr("pytest_mlflow_check.runtime.sandbox.workspace.copy_file", copy)
    (project / "file").touch()
    make_workspace(project, tmp_path / "copy")
    assert names(tmp_path / "copy") == ["train.py"]


def test_a_copy_can_be_written_and_run(tmp_path: Path, project: Path) -> None:
    (project / "inputs").mkdir()
    (project / "inputs" / "run.sh").touch()
    (project / "inputs" / "run.sh").chmod(0o555)
    (project / "inputs").chmod(0o555)
    before = tree(project)
    try:
        make_workspace(project, tmp_path / "copy")
        assert tree(project) == before
    finally:
        (project / "inputs").chmod(0o755)
    inputs = tmp_path / "copy" / "inputs"
    assert inputs.stat().st_mode & 0o700 == 0o700
    assert (inputs / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (inputs / "run.sh").stat().st_mtime_ns == (project / "inputs" / "run.sh").stat().st_mtime_ns


# links


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("data/table.csv", "data/table.csv"),
        ("{root}/data/table.csv", "{copy}/data/table.csv"),
        ("./data/../data", "data"),
        # Out and in again: the copy has another name.
        ("../repository/data", "data"),
        # By another way to the same place.
        ("{tmp}/alias/data/table.csv", "{copy}/data/table.csv"),
        # Outside, as it was.
        ("../outside", "{tmp}/outside"),
        ("{tmp}/outside", "{tmp}/outside"),
        ("../nowhere", "{tmp}/nowhere"),
        # Leading nowhere, and in circles.
        ("nowhere", "nowhere"),
        ("link", "link"),
        (".", "."),
        ("..", "{tmp}"),
    ],
)
def test_where_a_link_leads(tmp_path: Path, repository: Path, target: str, expected: str) -> None:
    places = {"root": repository, "copy": tmp_path / "copy", "tmp": tmp_path}
    (tmp_path / "alias").symlink_to(repository)
    (tmp_path / "outside").write_text("outside")
    (repository / "link").symlink_to(target.format(**places))
    before = tree(repository)
    make_workspace(repository / "project", tmp_path / "copy")
    assert str((tmp_path / "copy" / "link").readlink()) == expected.format(**places)
    assert names(tmp_path / "copy") == ["data/table.csv", "link", "project/MLproject"]
    assert tree(repository) == before


def test_links_below_the_root_and_circles_of_them(tmp_path: Path, repository: Path) -> None:
    (repository / "project" / "data").symlink_to("../data")
    (repository / "data" / "up").symlink_to("..")
    (repository / "a").symlink_to("b")
    (repository / "b").symlink_to("a")
    place = make_workspace(repository / "project", tmp_path / "copy")
    assert (place / "data" / "table.csv").resolve() == tmp_path / "copy" / "data" / "table.csv"
    assert (tmp_path / "copy" / "data" / "up").resolve() == tmp_path / "copy"
    assert [str((tmp_path / "copy" / name).readlink()) for name in "ab"] == ["b", "a"]


@pytest.mark.parametrize("link", ["elsewhere", "repository/link"])
def test_a_project_named_by_a_link(tmp_path: Path, repository: Path, link: str) -> None:
    (tmp_path / link).symlink_to(repository / "project")
    assert make_workspace(tmp_path / link, tmp_path / "copy") == tmp_path / "copy" / "project"
    assert (tmp_path / "copy" / "data" / "table.csv").is_file()


def test_a_link_out_of_a_repository_is_not_launched_in_place(
    tmp_path: Path, repository: Path, project: Path
) -> None:
    (repository / "link").symlink_to(project)
    place = make_workspace(repository / "link", tmp_path / "copy")
    assert place.resolve() == tmp_path / "copy"
    assert names(place) == ["train.py"]


# where to


@pytest.mark.parametrize("name", ["project", "link"])
def test_into_the_project_itself(tmp_path: Path, project: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(project)
    (project / "tmp").mkdir()
    make_workspace(tmp_path / name, tmp_path / name / "tmp" / "copy")
    assert names(project) == ["tmp/copy/train.py", "train.py"]


def test_a_destination_that_cannot_be_made(tmp_path: Path, project: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as failure:
        make_workspace(project, tmp_path / "file" / "copy")
    assert str(failure.value) == f"{project}: can't be copied to {tmp_path}/file/copy: Not a directory"


def test_a_project_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"can't be copied to .*: No such file or directory"):
        make_workspace(tmp_path / "gone", tmp_path / "copy")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("{root}", "{copy}"),
        ("{root}/src/x", "{copy}/src/x"),
        ("{root}/../repository/src", "{copy}/src"),
        ("{tmp}/alias/src", "{copy}/src"),
        ("{root}2/src", "{root}2/src"),
        ("{root}/../src", "{root}/../src"),
        ("src", "src"),
        ("", ""),
    ],
)
def test_mapping_a_path_into_the_copy(tmp_path: Path, repository: Path, path: str, expected: str) -> None:
    places = {"root": repository, "copy": tmp_path / "copy", "tmp": tmp_path}
    (tmp_path / "alias").symlink_to(repository)
    mapped = map_into(path.format(**places), repository, tmp_path / "copy")
    assert mapped == expected.format(**places)
