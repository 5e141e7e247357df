"""Projects that are hard to copy: every kind of file, very many, very large, and links to the user's own."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_mlflow_check.config.settings import load_settings
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.engine.cache.fingerprint import files_of
from pytest_mlflow_check.engine.file_changes import take_inventory
from pytest_mlflow_check.runtime.sandbox.size_hints import HEAVY, notes_on
from pytest_mlflow_check.runtime.sandbox.symlink_patterns import Links
from pytest_mlflow_check.runtime.sandbox.workspace import linked_files, make_workspace
from support.projects import FILES, LOGGING, MakeProject

FLUENT = 'launch = "fluent"\n'
DATA = Links(("data/**",))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in no repository, with data and code."""
    monkeypatch.setenv("HOME", str(tmp_path))
    project = tmp_path / "project"
    (project / "data" / "sub").mkdir(parents=True)
    for name in ("train.py", "data/table.csv", "data/sub/more.csv", "data/prepare.py"):
        (project / name).write_text(name)
    return project


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A place for directories so deep that Python's own functions can't remove them."""
    (tmp_path / "d").mkdir()
    yield tmp_path / "d"
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


# what is in a project


@pytest.mark.parametrize(
    "name", [b"caf\xe9.txt", b"two\nlines", b"n" * 255, b"-rf", b"quote'\"$(touch x)", b" "], ids=repr
)
def test_any_name(tmp_path: Path, project: Path, name: bytes) -> None:
    place = Path(os.fsdecode(b"d" + name[:254]), os.fsdecode(name))
    (project / place).parent.mkdir()
    (project / place).write_text("content")
    make_workspace(project, tmp_path / "copy")
    assert (tmp_path / "copy" / place).read_text() == "content"
    assert files_of(tmp_path / "copy") == files_of(project)
    assert set(take_inventory(tmp_path / "copy")) == set(take_inventory(project))


def test_directories_deeper_than_python_calls_itself(deep: Path) -> None:
    usual = sys.getrecursionlimit()
    below = "d/" * 450
    (deep / "p").mkdir()
    subprocess.run(["mkdir", "-p", deep / "p" / below], check=True)
    (deep / "p" / below / "file").touch()
    # Lower than usual, so that the directories needn't be as many.
    sys.setrecursionlimit(400)
    try:
        make_workspace(deep / "p", deep / "copy")
        assert (deep / "copy" / below / "file").is_file()
        assert files_of(deep / "copy") == files_of(deep / "p")
        assert list(take_inventory(deep / "copy")) == [f"{below}file"]
    finally:
        sys.setrecursionlimit(usual)


def test_a_path_that_becomes_too_long_is_named(deep: Path) -> None:
    project = deep / "p"
    below = "/".join(["n" * 250] * ((os.pathconf("/", "PC_PATH_MAX") - len(str(project))) // 251 - 1))
    subprocess.run(["mkdir", "-p", project / below], check=True)
    (project / below / "file").touch()
    with pytest.raises(UserError, match=r"can't be copied to .*: File name too long \(.*nnn"):
        make_workspace(project, deep / ("c" * 250) / ("c" * 250))


def test_holes_stay_holes(tmp_path: Path, project: Path) -> None:
    with (project / "sparse").open("wb") as file:
        file.seek(1 << 30)
        file.write(b"middle")
        file.truncate(2 << 30)
    make_workspace(project, tmp_path / "copy")
    copy = tmp_path / "copy" / "sparse"
    assert copy.stat().st_size == 2 << 30
    assert copy.stat().st_blocks * 512 < 10 << 20
    with copy.open("rb") as file:
        file.seek(1 << 30)
        assert file.read(8) == b"middle\0\0"


@pytest.mark.parametrize("size", [0, 1, (1 << 16), (1 << 16) + 1, (3 << 20) + 5])
def test_content_time_and_permissions(tmp_path: Path, project: Path, size: int) -> None:
    file = project / "file"
    file.write_bytes(os.urandom(size))
    file.chmod(0o6755)
    os.utime(file, ns=(5, 123_456_789))
    make_workspace(project, tmp_path / "copy")
    copy = tmp_path / "copy" / "file"
    assert copy.read_bytes() == file.read_bytes()
    # Whoever runs it gets nobody's rights by it.
    assert (stat.S_IMODE(copy.stat().st_mode), copy.stat().st_mtime_ns) == (0o755, 123_456_789)


def test_hard_links_become_files_of_their_own(tmp_path: Path, project: Path) -> None:
    os.link(project / "train.py", project / "twin.py")
    make_workspace(project, tmp_path / "copy")
    (tmp_path / "copy" / "twin.py").write_text("changed")
    assert (tmp_path / "copy" / "train.py").read_text() == (project / "twin.py").read_text() == "train.py"


def test_a_file_that_becomes_a_pipe_meanwhile_keeps_nobody_waiting(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_mlflow_check.runtime.sandbox import copy_file, workspace

    def swapped(source: str, copy: str) -> None:
        if source.endswith("train.py"):
            Path(source).unlink()
            os.mkfifo(source)
        copy_file.copy_file(source, copy)

    monkeypatch.setattr(workspace, "copy_file", swapped)
    make_workspace(project, tmp_path / "copy")
    assert names(tmp_path / "copy") == {"data/table.csv", "data/sub/more.csv", "data/prepare.py"}


def test_device_nodes_are_left_out(tmp_path: Path, project: Path) -> None:
    try:
        os.mknod(project / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root may make device nodes")
    make_workspace(project, tmp_path / "copy")
    assert "null" not in names(tmp_path / "copy")


def test_environments_and_caches_by_any_name(tmp_path: Path, project: Path) -> None:
    kept = {"hub/CACHEDIR.TAG", "hub/blob", ".cache/data.bin", ".dvc/cache/ab"}
    others = (
        "env/conda-meta/history",
        "env/bin/python",
        "uv/CACHEDIR.TAG",
        "uv/pyvenv.cfg",
        "pc/v/x",
        "mod/.git",
    )
    for name in (*kept, *others):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    (project / "pc" / "CACHEDIR.TAG").write_text("Signature: 8a47\n# This file … created by pytest.\n")
    before = names(project / "data")
    make_workspace(project, tmp_path / "copy")
    assert names(tmp_path / "copy") == {"train.py", *(f"data/{name}" for name in before), *kept}


def test_what_git_annex_keeps_is_found_where_it_is(tmp_path: Path, project: Path) -> None:
    content = project / ".git" / "annex" / "objects" / "x"
    content.parent.mkdir(parents=True)
    content.write_text("large")
    (project / "data" / "large").symlink_to("../.git/annex/objects/x")
    make_workspace(project, tmp_path / "copy")
    assert (tmp_path / "copy" / "data" / "large").read_text() == "large"
    assert files_of(tmp_path / "copy") == files_of(project)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_read_only_project_of_somebody_without_rights(tmp_path: Path, project: Path) -> None:
    (project / "secret").mkdir()
    (project / "secret" / "key").touch()
    (project / "key").touch()
    for name, mode in {"secret": 0, "key": 0, "data": 0o555, "data/table.csv": 0o444, ".": 0o555}.items():
        (project / name).chmod(mode)
    # Somebody else gets no further than to where everybody may go.
    place = Path(tempfile.mkdtemp(prefix="mlflow-check-", dir="/var/tmp"))
    place.chmod(0o777)
    try:
        shutil.move(project, place / "project")
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                copy = make_workspace(place / "project", place / "copy")
                (copy / "data" / "table.csv").write_text("mine")
                (copy / "data" / "new").touch()
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        copied = {"train.py", "data/table.csv", "data/sub/more.csv", "data/prepare.py", "data/new"}
        assert names(place / "copy") == copied
        assert (place / "project" / "data" / "table.csv").read_text() == "data/table.csv"
    finally:
        subprocess.run(["rm", "-rf", place], check=True)


# links to the user's own files


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("data/**", {"data/table.csv", "data/sub/more.csv"}),
        ("data", {"data/table.csv", "data/sub/more.csv"}),
        ("./data/", {"data/table.csv", "data/sub/more.csv"}),
        ("data/*.csv", {"data/table.csv"}),
        ("**/*.csv", {"data/table.csv", "data/sub/more.csv"}),
        ("data/sub/mor?.csv", {"data/sub/more.csv"}),
        ("dat", set()),
        ("table.csv", set()),
        ("data/[t]able.csv", set()),
        # Code is never taken.
        ("**", {"data/table.csv", "data/sub/more.csv"}),
    ],
)
def test_which_files_are_links(tmp_path: Path, project: Path, pattern: str, taken: set[str]) -> None:
    links = Links((pattern,))
    make_workspace(project, tmp_path / "copy", links)
    assert set(linked_files(tmp_path / "copy", project, links)) == taken
    for name in taken:
        assert (tmp_path / "copy" / name).readlink() == project / name
    assert not (tmp_path / "copy" / "data").is_symlink()
    assert files_of(tmp_path / "copy", links) == files_of(project, links)
    assert links.idle(names(project)) == ([] if taken else [pattern])


def test_a_changed_linked_file_is_another_fingerprint(project: Path) -> None:
    before = files_of(project, DATA)
    (project / "data" / "table.csv").write_text("longer than before")
    assert files_of(project, DATA) != before


@pytest.mark.parametrize("pattern", ["/data", "../data", "data/../../x", "~/data", "", ".", "/"])
def test_a_pattern_that_leads_outside(project: Path, pattern: str) -> None:
    (project / "mlflow-check.toml").write_text(f'workspace = {{ link = ["{pattern}"] }}\n')
    with pytest.raises(UserError) as failure:
        load_settings(project)
    assert '"workspace.link"' in str(failure.value)
    assert 'workspace = { link = ["data/**"] }' in str(failure.value)


def test_an_unknown_key(project: Path) -> None:
    (project / "mlflow-check.toml").write_text('workspace = { links = ["data"] }\n')
    with pytest.raises(UserError, match='did you mean "link"'):
        load_settings(project)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"a": HEAVY}, []),
        ({"a": HEAVY + 1}, ['a 200 MB; to link to it instead, write  workspace = { link = ["a"] }']),
        (
            {"x/y/data/1": 10**9, "x/y/data/2": 10**9, "x/z/model.bin": 3 * 10**9, "x/small": 5, "w": 10**9},
            ['x/ 5.0 GB, w 1.0 GB; to link to it instead, write  workspace = { link = ["x/", "w"] }'],
        ),
        ({"x/y/data/1": 10**9, "x/y/data/2": 10**9, "x/s": 5}, ["x/y/data/ 2.0 GB; "]),
        # Nothing weighs much by itself.
        ({str(number): 10**7 for number in range(30)}, ["hint: each launch copies 300 MB"]),
    ],
)
def test_the_hint(sizes: dict[str, int], expected: list[str]) -> None:
    notes = notes_on(sizes, [], Links())
    assert len(notes) == len(expected)
    assert all(one in note for one, note in zip(expected, notes, strict=True))


def test_a_session_tells_of_large_copies_and_idle_patterns(
    make_project: MakeProject, pytester: pytest.Pytester
) -> None:
    link = 'workspace = { link = ["dta/**"] }\n'
    project = make_project("proj", {**FILES, "train.py": LOGGING, "mlflow-check.toml": FLUENT + link})
    (project / "data").mkdir()
    # Large, and yet nothing on the disk.
    os.truncate(os.open(project / "data" / "big.bin", os.O_CREAT | os.O_WRONLY), HEAVY + 1)
    result = pytester.runpytest("--mlflow-project=proj", "-k", "launches")
    result.stdout.fnmatch_lines(
        [
            "hint: proj: each launch copies 200 MB: data/big.bin 200 MB; to link to it",
            '  instead, write  workspace = { link = [[]"dta/[*][*]", "data/big.bin"] }',
            'warning: proj: workspace.link: "dta/[*][*]" takes no file: a pattern is relative to',
            "  what is copied, the repository around the project, else the project",
        ],
        consecutive=True,
    )


def test_a_launch_that_writes_through_a_link(make_project: MakeProject, pytester: pytest.Pytester) -> None:
    script = LOGGING + "\nopen('data/a.csv', 'a').write('more')\nopen('data/new.csv', 'w').close()\n"
    link = 'workspace = { link = ["data/**"] }\n'
    files = {
        **FILES,
        "train.py": script,
        "mlflow-check.toml": FLUENT + link,
        "data/a.csv": "",
        "data/b.csv": "",
    }
    project = make_project("proj", files)
    result = pytester.runpytest("--mlflow-project=proj", "-k", "launches")
    result.stdout.fnmatch_lines(
        ["*launches: 1 of your own files changed*linked-file-written?", "*data/a.csv *"]
    )
    result.stdout.no_fnmatch_line("*data/b.csv*")
    assert not (project / "data" / "new.csv").exists()
