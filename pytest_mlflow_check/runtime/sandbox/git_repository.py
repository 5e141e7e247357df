"""The repository of a copied work tree: the same history, branch, tags and state, and its own files.

It is made from plain files, without the objects, which are read where they are
(gitrepository-layout(5), `objects/info/alternates`). Git writes to no repository that it is led to this way:
commits, tags, fetches and `git gc` stay in the copy. Pushes are led nowhere, and hooks don't go along.
"""

from __future__ import annotations

import glob
import os
import stat
import subprocess
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass

from pytest_mlflow_check.runtime.sandbox.git_config import config_of_copy, uses_sha256
from pytest_mlflow_check.runtime.sandbox.git_index import assume_unchanged

LOCAL_VARIABLES = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH", "GIT_NAMESPACE"),
    *("GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE"),
    *("GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_INTERNAL_SUPER_PREFIX"),
)
"""What tells git which repository it works in, and what hooks are started with (`git rev-parse
--local-env-vars`, 2.39). GIT_CONFIG_COUNT, by which CI sets `safe.directory`, isn't among them here."""

_OWN = ("ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "info/sparse-checkout")
"""What a work tree has for itself besides HEAD and the index, where several share a repository."""

_SHARED = ("shallow", "info/exclude", "info/attributes", "info/grafts")

_OWN_REFS = ("refs/bisect", "refs/rewritten", "refs/worktree")

_DIRECTORIES = ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks")

_HOOK = """\
#!/bin/sh
echo "pytest-mlflow-check: a launch can't push: it has a copy of the repository" >&2
exit 1
"""


@dataclass(frozen=True)
class Repository:
    """Where the repository of a work tree lies.

    Attributes:
        own: the directory with HEAD and the index.
        shared: the directory with objects, refs and configuration; another one only for those work trees
            that `git worktree add` made.
    """

    own: str
    shared: str


def repository_of(work_tree: str) -> Repository | None:
    """The repository of a work tree; None where `.git` is missing or nothing that git could use.

    `.git` is a file in submodules and in work trees that `git worktree add` made.
    """
    own = os.path.join(work_tree, ".git")
    with suppress(OSError, ValueError):
        if os.path.isfile(own):
            name = _read(work_tree, ".git")
            if not name.startswith("gitdir: "):
                return None
            own = os.path.realpath(os.path.join(work_tree, name[len("gitdir: ") :].rstrip("\n")))
        shared = own
        with suppress(FileNotFoundError):
            shared = os.path.realpath(os.path.join(own, _read(own, "commondir").rstrip("\n")))
        if os.path.lexists(os.path.join(own, "HEAD")) and os.path.isdir(os.path.join(shared, "objects")):
            return Repository(own, shared)
    return None


def copy_repository(work_tree: str, copy: str, copied: Container[str] = ()) -> None:
    """Gives a copied work tree a repository of its own, where the original has one.

    Files that didn't go along, and those that are links in the copy, count as unchanged. What can't be read
    is left out; without HEAD or the configuration there is no repository.

    Args:
        work_tree: the original, with `.git` in it.
        copy: the copied work tree, complete.
        copied: files of which it is known that the copy has them, by their absolute path in the original.

    Raises:
        OSError: where the copy can't be written.
    """
    repository = repository_of(work_tree)
    if repository is None:
        return
    try:
        head, config = _head(repository.own), _read(repository.shared, "config")
    except OSError:
        return
    if repository.own != repository.shared and os.path.isdir(os.path.join(repository.shared, "reftable")):
        # HEAD is in tables of its own then, which only git could put together with the others.
        return
    made = os.path.join(copy, ".git")
    for directory in _DIRECTORIES:
        os.makedirs(os.path.join(made, directory), exist_ok=True)
    hooks = os.path.join(made, "hooks")
    # There may be a password in it, in the address of a remote.
    _write(config_of_copy(config, repository.shared, hooks), made, "config", mode=0o600)
    with suppress(FileNotFoundError, PermissionError):
        own_config = config_of_copy(_read(repository.own, "config.worktree"), repository.own, hooks)
        _write(own_config, made, "config.worktree", mode=0o600)
    _write(_HOOK, hooks, "pre-push", mode=0o755)
    _write("".join(f"{one}\n" for one in _object_stores(repository.shared)), made, "objects/info/alternates")
    _write(head, made, "HEAD")
    for name in _OWN:
        _copy(repository.own, made, name)
    for name in _SHARED:
        _copy(repository.shared, made, name)
    _copy_refs(repository, made)
    _copy(repository.own, made, "index")
    _mark_missing(repository.own, work_tree, copy, copied, sha256=uses_sha256(config))


def _head(own: str) -> str:
    """The content of HEAD, which git once made as a link."""
    head = os.path.join(own, "HEAD")
    return f"ref: {os.readlink(head)}\n" if os.path.islink(head) else _read(own, "HEAD")


def _object_stores(shared: str) -> Iterator[str]:
    """The lines of `objects/info/alternates`; relative ones only hold in the repository they stand in."""
    objects = os.path.realpath(os.path.join(shared, "objects"))
    yield _line(objects)
    with suppress(FileNotFoundError, PermissionError):
        for line in _read(objects, "info/alternates").splitlines():
            if line and not line.startswith(("/", "#", '"')):
                yield _line(os.path.normpath(os.path.join(objects, line)))


def _line(path: str) -> str:
    if "\n" not in path and not path.startswith(("#", '"')):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _copy_refs(repository: Repository, made: str) -> None:
    for kind in ("refs", "reftable"):
        for name in _files(repository.shared, kind):
            if repository.own == repository.shared or not name.startswith(_OWN_REFS):
                _copy(repository.shared, made, name)
    if repository.own != repository.shared:
        for kind in _OWN_REFS:
            for name in _files(repository.own, kind):
                _copy(repository.own, made, name)
    # Last: a ref that is packed meanwhile is then found in one place or in both.
    _copy(repository.shared, made, "packed-refs")


def _mark_missing(own: str, work_tree: str, copy: str, copied: Container[str], *, sha256: bool) -> None:
    """Marks in the index which files git isn't to look for in the copy."""
    made = os.path.join(copy, ".git")
    index = os.path.join(made, "index")
    if not os.path.isfile(index):
        return
    status = os.stat(index)
    if parts := glob.glob("sharedindex.*", root_dir=own):
        for name in parts:
            _copy(own, made, name)
        _make_whole(copy)

    def differs(path: str, mode: int) -> bool:
        original = f"{work_tree}/{path}"
        return original not in copied and _differs(original, f"{copy}/{path}", mode)

    with open(index, "rb") as file:
        content = file.read()
    # One that git couldn't read either stays as it is.
    with suppress(ValueError):
        marked = assume_unchanged(content, differs, sha256=sha256)
        if marked is not content:
            with open(index, "wb") as changed:
                changed.write(marked)
    # By its time git tells which files may have changed since.
    os.utime(index, ns=(status.st_atime_ns, status.st_mtime_ns))


def _make_whole(copy: str) -> None:
    """Has git put the two parts of a split index together (git-update-index(1)), where it is installed."""
    env = {name: value for name, value in os.environ.items() if name not in LOCAL_VARIABLES}
    with suppress(OSError):
        subprocess.run(
            ["git", "update-index", "--no-split-index"],
            cwd=copy,
            env=env,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _differs(original: str, copied: str, mode: int) -> bool:
    """Whether git would find another file in the copy than in the original, for how the copy was made."""
    try:
        status = os.lstat(copied)
    except (FileNotFoundError, NotADirectoryError):
        return os.path.lexists(original)
    if not stat.S_ISLNK(status.st_mode):
        return False
    try:
        # A link to the original itself, or one that was led into the copy.
        return os.readlink(copied) != os.readlink(original)
    except OSError:
        return stat.S_ISREG(mode)


def _files(directory: str, below: str) -> Iterator[str]:
    """The files below a part of a directory, by their path in it."""
    for place, _, names in os.walk(os.path.join(directory, below)):
        for name in names:
            if not name.endswith(".lock"):
                yield os.path.relpath(os.path.join(place, name), directory)


def _copy(source: str, target: str, name: str) -> None:
    """Copies a file with its time; passes over what is missing or can't be read."""
    original, copied = os.path.join(source, name), os.path.join(target, name)
    try:
        with open(original, "rb", buffering=0) as file:
            status, content = os.fstat(file.fileno()), file.read()
    except OSError:
        return
    os.makedirs(os.path.dirname(copied), exist_ok=True)
    with open(copied, "wb", buffering=0) as new:
        new.write(content)
        os.utime(new.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


def _read(directory: str, name: str) -> str:
    with open(os.path.join(directory, name), "rb") as file:
        return os.fsdecode(file.read())


def _write(text: str, directory: str, name: str, mode: int = 0o644) -> None:
    path = os.path.join(directory, name)
    with open(path, "wb") as file:
        file.write(os.fsencode(text))
    os.chmod(path, mode)
