"""The repository that a copied work tree gets: what git says of it, and that the original stays as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.engine.cache.fingerprint import files_of
from pytest_mlflow_check.engine.file_changes import take_inventory
from pytest_mlflow_check.runtime.sandbox.environment import launch_environment
from pytest_mlflow_check.runtime.sandbox.git_config import config_of_copy
from pytest_mlflow_check.runtime.sandbox.lfs_pointers import lfs_pointers
from pytest_mlflow_check.runtime.sandbox.symlink_patterns import Links
from pytest_mlflow_check.runtime.sandbox.workspace import make_workspace

Git = Callable[..., str]

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

ASKED = (
    ("rev-parse", "HEAD"),
    ("rev-parse", "--abbrev-ref", "HEAD"),
    ("describe", "--tags", "--always", "--dirty"),
    ("for-each-ref",),
    ("remote",),
    ("log", "--all", "--format=%H %an %s"),
    ("status", "--porcelain", "--branch", "--ignored"),
    ("diff", "HEAD"),
    ("fsck", "--connectivity-only"),
)
"""What scripts ask git."""


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git without settings of the user's, and a home above which no repository is looked for."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        "[user]\n\tname = someone\n\temail = some@one\n[init]\n\tdefaultBranch = main\n"
        '[protocol "file"]\n\tallow = always\n'
    )


def git(place: Path, *arguments: str, fails: bool = False) -> str:
    """What git answers in a directory, with what it says of an error."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=place,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert fails or done.returncode == 0, done.stdout
    return done.stdout


def answers(place: Path) -> dict[tuple[str, ...], str]:
    """What git answers to all that scripts ask."""
    return {asked: git(place, *asked, fails=True) for asked in ASKED}


def copied(root: Path, links: tuple[str, ...] = ()) -> Path:
    """A copy of a work tree."""
    copy = root.parent / f"copy-of-{root.name}"
    make_workspace(root, copy, Links(links))
    return copy


def made(root: Path, *options: str) -> Path:
    """A repository with two commits, a tag, a branch, a remote, and changes of each kind."""
    root.mkdir(parents=True)
    git(root, "init", "-q", *options)
    (root / "sub").mkdir()
    (root / "sub" / "train.py").write_text("pass\n")
    (root / "data.csv").write_text("1\n")
    (root / "gone.txt").write_text("1\n")
    (root / ".gitignore").write_text("*.log\n")
    (root / "link").symlink_to("data.csv")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    git(root, "tag", "-a", "v1", "-m", "one")
    git(root, "branch", "other")
    git(root, "commit", "-q", "--allow-empty", "-m", "second")
    git(root, "remote", "add", "origin", "https://example.com/team/project.git")
    (root / "data.csv").write_text("2\n")
    (root / "gone.txt").unlink()
    (root / "staged.txt").write_text("3\n")
    git(root, "add", "staged.txt")
    (root / "new.txt").touch()
    (root / "debug.log").touch()
    return root


def content(directory: Path) -> dict[str, bytes]:
    """The files below a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


# the same


@pytest.mark.parametrize(
    ("options", "after"),
    [
        ((), ()),
        (("--object-format=sha256",), ()),
        ((), ("pack-refs", "--all")),
        ((), ("gc", "-q", "--prune=now")),
        ((), ("checkout", "-q", "--detach")),
        ((), ("update-index", "--index-version=4")),
        ((), ("update-index", "--split-index")),
        ((), ("config", "core.untrackedCache", "true")),
        ((), ("config", "extensions.worktreeConfig", "true")),
        ((), ("sparse-checkout", "set", "sub")),
    ],
)
def test_git_says_the_same(tmp_path: Path, options: tuple[str, ...], after: tuple[str, ...]) -> None:
    root = made(tmp_path / "repository", *options)
    if after[:1] == ("sparse-checkout",):
        git(root, "reset", "-q", "--hard")
    if after:
        git(root, *after)
    before = content(root)
    copy = copied(root)
    assert content(root) == before
    assert answers(copy) == answers(root)
    assert git(copy, "remote", "get-url", "origin") == "https://example.com/team/project.git\n"
    assert git(copy, "rev-parse", "--show-toplevel") == f"{copy}\n"


def test_a_project_below_the_repository(tmp_path: Path) -> None:
    root = made(tmp_path / "repository")
    place = make_workspace(root / "sub", tmp_path / "copy")
    assert answers(place) == answers(root / "sub")


def test_a_repository_without_commits(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q")
    (root / "train.py").touch()
    git(root, "add", ".")
    assert answers(copied(root)) == answers(root)


@pytest.mark.parametrize("options", [("--depth=1",), ("--filter=blob:none",), ("--shared",), ("--bare",)])
def test_clones(tmp_path: Path, options: tuple[str, ...]) -> None:
    origin = made(tmp_path / "origin")
    git(origin, "config", "uploadpack.allowFilter", "true")
    if options == ("--bare",):
        git(tmp_path, "clone", "-q", "--bare", str(origin), "store")
        git(tmp_path / "store", "worktree", "add", "-q", str(tmp_path / "clone"), "other")
    else:
        address = str(origin) if options == ("--shared",) else f"file://{origin}"
        git(tmp_path, "clone", "-q", *options, address, "clone")
    copy = copied(tmp_path / "clone")
    assert answers(copy) == answers(tmp_path / "clone")
    assert git(copy, "show", "HEAD:data.csv") == "1\n"


def test_a_store_of_objects_named_by_a_relative_path(tmp_path: Path) -> None:
    origin = made(tmp_path / "origin")
    git(tmp_path, "clone", "-q", "--shared", str(origin), "clone")
    (tmp_path / "clone/.git/objects/info/alternates").write_text("../../../origin/.git/objects\n")
    assert answers(copied(tmp_path / "clone")) == answers(tmp_path / "clone")


def test_a_work_tree_of_a_repository_that_is_elsewhere(tmp_path: Path) -> None:
    root = made(tmp_path / "repository")
    git(root, "worktree", "add", "-q", "../tree", "other")
    tree = tmp_path / "tree"
    (tree / "data.csv").write_text("changed\n")
    git(tree, "update-ref", "refs/worktree/mine", "HEAD")
    git(root, "update-ref", "refs/worktree/theirs", "HEAD")
    before = content(root)
    copy = copied(tree)
    assert content(root) == before
    assert answers(copy) == answers(tree)
    assert "refs/heads/other" in git(copy, "symbolic-ref", "HEAD")


def test_submodules(tmp_path: Path) -> None:
    library, root = made(tmp_path / "library"), made(tmp_path / "repository")
    git(root, "submodule", "--quiet", "add", str(library), "vendor/library")
    git(root, "commit", "-qm", "third")
    inner = root / "vendor" / "library"
    git(inner, "commit", "-q", "--allow-empty", "-m", "of the submodule")
    (inner / "data.csv").write_text("changed\n")
    copy = copied(root)
    assert answers(copy) == answers(root)
    assert answers(copy / "vendor/library") == answers(inner)
    assert git(copy, "submodule", "status") == git(root, "submodule", "status")
    # The submodule as the project.
    alone = tmp_path / "alone"
    make_workspace(inner, alone)
    assert answers(alone) == answers(inner)


def test_files_that_do_not_go_along_count_as_unchanged(tmp_path: Path) -> None:
    root = made(tmp_path / "repository")
    git(root, "checkout", "-q", "--", "data.csv")
    (root / "weights.bin").write_text("1\n")
    (root / "absolute").symlink_to(root / "sub")
    for name in ("mlflow-contract.yaml", "mlruns/0/meta.yaml", ".venv/pyvenv.cfg", ".venv/bin/python"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    git(root, "add", "-f", ".")
    git(root, "commit", "-qm", "third")
    (root / "data.csv").write_text("9\n")
    copy = copied(root, links=("weights.bin",))
    assert not (copy / "mlflow-contract.yaml").exists()
    assert (copy / "weights.bin").is_symlink()
    assert git(copy, "status", "--porcelain") == git(root, "status", "--porcelain") == " M data.csv\n"
    assert git(copy, "describe", "--dirty") == git(root, "describe", "--dirty")


def test_index_of_a_later_version_is_left_as_it_is(tmp_path: Path) -> None:
    root = made(tmp_path / "repository")
    (root / "mlflow-contract.yaml").touch()
    index = root / ".git" / "index"
    index.write_bytes(b"DIRC\0\0\0\x63" + index.read_bytes()[8:])
    assert (copied(root) / ".git/index").read_bytes() == index.read_bytes()
    index.write_bytes(b"DIRC\0\0\0\2\0\0\0\x63")
    make_workspace(root, tmp_path / "another")
    assert (tmp_path / "another/.git/index").read_bytes() == index.read_bytes()


@pytest.mark.parametrize(
    "broken", ["gitdir: elsewhere\n", "nonsense", None, {"HEAD": "ref: refs/heads/main\n"}]
)
def test_nothing_that_git_could_use(tmp_path: Path, broken: str | dict[str, str] | None) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "train.py").touch()
    if isinstance(broken, str):
        (root / ".git").write_text(broken)
    else:
        (root / ".git").mkdir()
        for name, text in (broken or {}).items():
            (root / ".git" / name).write_text(text)
    copy = copied(root)
    assert [*content(copy)] == ["train.py"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_repository_that_cannot_be_read(tmp_path: Path) -> None:
    root = made(tmp_path / "repository")
    (root / ".git/config").chmod(0)
    assert not (copied(root) / ".git").exists()


def test_refs_in_tables(tmp_path: Path) -> None:
    # Git writes them since 2.45; older ones can't be asked.
    root = made(tmp_path / "repository")
    (root / ".git/reftable").mkdir()
    (root / ".git/reftable/tables.list").write_text("one.ref\n")
    (root / ".git/reftable/one.ref").write_bytes(b"REFT")
    assert content(copied(root) / ".git/reftable") == {"one.ref": b"REFT", "tables.list": b"one.ref\n"}
    git(root, "worktree", "add", "-q", "../tree", "other")
    assert not (copied(tmp_path / "tree") / ".git").exists()


# read-only


WRITING = (
    ("commit", "-qam", "of the launch"),
    ("tag", "launched"),
    ("branch", "-D", "other"),
    ("config", "user.name", "launch"),
    ("stash",),
    ("checkout", "-q", "v1"),
    ("remote", "remove", "origin"),
    ("update-ref", "-d", "refs/tags/v1"),
    ("worktree", "add", "-q", "../added", "HEAD"),
    ("gc", "-q", "--prune=now", "--aggressive"),
    ("reflog", "expire", "--expire=now", "--all"),
    ("prune", "--expire=now"),
    ("repack", "-adq"),
    ("clean", "-qfdx"),
)
"""Commands that write to a repository."""


def test_what_a_launch_does_with_git_stays_in_the_copy(tmp_path: Path) -> None:
    root = made(tmp_path / "repository")
    before, said = content(root), answers(root)
    copy = copied(root)
    for command in WRITING:
        git(copy, *command)
    assert content(root) == before
    assert answers(root) == said


def test_a_fetch_stays_in_the_copy(tmp_path: Path) -> None:
    origin = made(tmp_path / "origin")
    git(tmp_path, "clone", "-q", str(origin), "clone")
    git(origin, "commit", "-q", "--allow-empty", "-m", "later")
    before = content(tmp_path / "clone")
    copy = copied(tmp_path / "clone")
    git(copy, "fetch", "-q")
    assert "later" in git(copy, "log", "--format=%s", "origin/main")
    assert content(tmp_path / "clone") == before


@pytest.mark.parametrize("target", ["origin", "twice", "{origin}", "file://{origin}", "{clone}"])
def test_a_push_reaches_nobody(tmp_path: Path, target: str) -> None:
    origin = tmp_path / "origin.git"
    git(tmp_path, "clone", "-q", "--bare", str(made(tmp_path / "first")), str(origin))
    git(tmp_path, "clone", "-q", str(origin), "clone")
    clone = tmp_path / "clone"
    git(clone, "remote", "add", "twice", str(origin))
    git(clone, "remote", "set-url", "--push", "twice", str(origin))
    git(clone, "config", "remote.pushDefault", str(origin))
    (clone / ".git/hooks").mkdir(exist_ok=True)
    before = content(origin), content(clone)
    copy = copied(clone)
    git(copy, "commit", "-q", "--allow-empty", "-m", "of the launch")
    said = git(copy, "push", target.format(origin=origin, clone=clone), "HEAD:refs/heads/pushed", fails=True)
    assert "a-launch-of-pytest-mlflow-check-cannot-push" in said or "a launch can't push" in said
    assert (content(origin), content(clone)) == before


def test_hooks_do_not_go_along(tmp_path: Path) -> None:
    root = made(tmp_path / "repository")
    for place in (root / ".git/hooks", tmp_path / "hooks"):
        place.mkdir(exist_ok=True)
        (place / "pre-commit").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (place / "pre-commit").chmod(0o755)
    git(root, "config", "core.hooksPath", str(tmp_path / "hooks"))
    git(root, "config", "--global", "core.hooksPath", str(tmp_path / "hooks"))
    git(copied(root), "commit", "-qam", "of the launch")
    assert not (tmp_path / "ran").exists()


# the configuration


def test_configurations_as_people_write_them() -> None:
    text = (
        '# a comment\n[Core] bare = true ; yes\n\tworkTree = ../sub\n[remote "a \\"b\\""]\n\turl = \\\n x\n'
        "\tpushurl = secret\n[branch.Old]\n\tmerge\n[include]\n\tpath = more\n\tpath = ~/mine\n"
    )
    kept = config_of_copy(text, "/repo/.git", "/copy/hooks").partition("[core]\n\tbare = false")[0]
    assert kept == (
        '[remote "a \\"b\\""]\n\turl = x\n[branch "old"]\n\tmerge\n'
        '[include]\n\tpath = "/repo/.git/more"\n[include]\n\tpath = ~/mine\n'
        '[remote "a \\"b\\""]\n\tpushurl = /a-launch-of-pytest-mlflow-check-cannot-push\n'
    )


def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    root = made(tmp_path / 'a "quoted" \\ # ; näme')
    assert answers(copied(root)) == answers(root)


# launches


def test_variables_that_name_a_repository_are_withheld(tmp_path: Path) -> None:
    # As git starts a pre-commit hook.
    base = {
        "GIT_DIR": "/repo/.git",
        "GIT_INDEX_FILE": "/repo/.git/index.lock",
        "GIT_WORK_TREE": "/repo",
        "GIT_PREFIX": "",
        "GIT_AUTHOR_NAME": "someone",
        "GIT_CONFIG_COUNT": "0",
        "GIT_CEILING_DIRECTORIES": "/home",
    }
    copy = tmp_path / "launch" / "workspace"
    env = launch_environment(Store("file", tmp_path), root=tmp_path, copy=copy, base=base)
    assert {name: value for name, value in env.items() if name.startswith("GIT_")} == {
        "GIT_AUTHOR_NAME": "someone",
        "GIT_CONFIG_COUNT": "0",
        "GIT_CEILING_DIRECTORIES": f"/home{os.pathsep}{copy.parent}",
    }


def test_a_copy_below_the_repository_of_somebody_else(tmp_path: Path) -> None:
    around = made(tmp_path / "around")
    (tmp_path / "project").mkdir()
    copy = around / "launch" / "workspace"
    make_workspace(tmp_path / "project", copy)
    env = launch_environment(Store("file", tmp_path), root=tmp_path / "project", copy=copy)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=copy, env=env, capture_output=True, check=False)
    assert b"not a git repository" in done.stderr


def test_the_repository_is_no_part_of_what_a_launch_changes(tmp_path: Path) -> None:
    root = made(tmp_path / "repository")
    copy = copied(root)
    inventory, digest = take_inventory(copy), files_of(copy)
    assert digest == files_of(root)
    assert not [path for path in inventory if path.startswith(".git/")]
    git(copy, "add", "data.csv")
    assert (take_inventory(copy), files_of(copy)) == (inventory, digest)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def test_what_git_lfs_has_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.bin").write_text(POINTER)
    (tmp_path / "data" / "fetched.bin").write_text("content " * 10)
    (tmp_path / "long.bin").write_text(POINTER * 20)
    sizes = {path: size for path, (size, _) in take_inventory(tmp_path).items()}
    assert lfs_pointers(tmp_path, sizes) == []
    (tmp_path / "data" / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    assert lfs_pointers(tmp_path, {**sizes, "data/.gitattributes": 42, "gone": 100}) == ["data/weights.bin"]
