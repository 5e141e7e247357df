"""What a launch depends on, as a text that is another one as soon as anything of it changes.

What goes into the workspace counts by its content. What is installed counts by the RECORD that its installer
wrote, which holds a hash of each file
(https://packaging.python.org/en/latest/specifications/recording-installed-packages/). Code that is imported
from where it lies, such as an editable install, counts by size and time of its files.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import site
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pytest_mlflow_check.config.settings import ProjectConfig, shown_store
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.runtime.process.runner import own_variables
from pytest_mlflow_check.runtime.sandbox.copy_file import mode_of_copy
from pytest_mlflow_check.runtime.sandbox.environment import launch_environment
from pytest_mlflow_check.runtime.sandbox.interpreter import Interpreter
from pytest_mlflow_check.runtime.sandbox.symlink_patterns import NO_LINKS, Links
from pytest_mlflow_check.runtime.sandbox.workspace import (
    SKIPPED,
    UNREADABLE,
    Entry,
    contents,
    enclosing_root,
    led_to,
    passed_over,
)

_PASSING = (
    *("_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES", "PS[0-4]", "LS_COLORS"),
    *("HISTCONTROL", "HISTFILE", "HISTFILESIZE", "HISTIGNORE", "HISTSIZE", "HISTTIMEFORMAT"),
    *("TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TERM_SESSION_ID", "COLORTERM", "WINDOWID"),
    *("VTE_*", "KONSOLE_*", "KITTY_*", "ITERM_*", "WT_SESSION", "WT_PROFILE_ID"),
    *("TMUX", "TMUX_*", "STY", "VSCODE_*", "SHELL_SESSION_ID"),
    *("SSH_*", "XDG_SESSION_*", "DBUS_*", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"),
    *("GPG_AGENT_INFO", "GPG_TTY"),
    *("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "PYTEST_*"),
)
"""Variables that tell one shell, terminal or desktop session from the next, and that no training reads."""

_NOWHERE = Path("/\0")
"""Stands for the places of a launch, which differ each time: no file can be called that."""


@dataclass(frozen=True)
class Fingerprint:
    """What a launch depends on.

    Attributes:
        files: a digest of the workspace.
        rest: a digest of everything else.
    """

    files: str
    rest: str


def asked_for(case: Case, values: ProjectConfig) -> list[object]:
    """What is launched, in either mode; settings that only the checks read don't count."""
    return [
        str(case.project.directory),
        asdict(case.entry_point),
        [dict(case.params), case.fluent, dict(case.env)],
        [shown_store(values.store), values.env_manager, values.timeout, values.pass_env],
        [values.observer, values.tracking_uri, values.workspace.link],
    ]


def rest_of(
    case: Case,
    values: ProjectConfig,
    interpreter: Interpreter,
    variables: Mapping[str, str] | None = None,
) -> str:
    """A digest of all that a launch depends on besides its workspace.

    Args:
        case: what is launched.
        values: the settings.
        interpreter: what the code runs with.
        variables: what a launch gets its environment from; that of this process by default.
    """
    root = enclosing_root(case.project.directory)
    variables = own_variables() if variables is None else variables
    env = launch_environment(
        # The address of a server is another one each time.
        Store("file" if values.store == "file" else "sqlite", _NOWHERE),
        root=root,
        copy=_NOWHERE,
        base={name: value for name, value in variables.items() if not _passing(name)},
        pass_env=values.pass_env,
        extra=case.env,
    )
    return _digest(
        [
            asked_for(case, values),
            str(root),
            [importlib.metadata.version(name) for name in ("mlflow", "pytest-mlflow-check")],
            [sys.version, sys.executable, str(interpreter.python), str(interpreter.prefix)],
            sorted(env.items()),
            *_importable(_site_directories(interpreter.prefix), env, root),
        ]
    )


def files_of(root: Path, links: Links = NO_LINKS) -> str:
    """A digest of all that goes into a workspace of a directory; that of the workspace itself is the same.

    Args:
        root: the directory that is copied, or a copy of it in which nothing was started yet.
        links: the files that are links in a workspace. They count by size and time of change.
    """
    return _digest(_described(contents(root), root, links))


def _described(entries: Iterable[Entry], root: Path, links: Links) -> Iterator[list[object]]:
    for entry in entries:
        with suppress(*UNREADABLE):
            if entry.kind != "directory" and links.take(entry.path) and os.path.isfile(entry.source):
                status = os.stat(entry.source)
                yield [entry.path, "linked", status.st_size, status.st_mtime_ns]
            elif entry.kind == "link":
                yield [entry.path, entry.kind, led_to(entry.source, root, _NOWHERE)]
            elif entry.kind == "file":
                mode = mode_of_copy(os.stat(entry.source).st_mode)
                yield [entry.path, entry.kind, mode, content_digest(entry.source)]
            else:
                yield [entry.path, entry.kind]


def content_digest(file: Path | str) -> str:
    """SHA-256 of a file's content, in hex."""
    digest = hashlib.sha256()
    with open(file, "rb", buffering=0) as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _digest(parts: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps(part).encode() + b"\n")
    return digest.hexdigest()


def _passing(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in _PASSING)


def _site_directories(prefix: Path | None) -> list[Path]:
    """Where packages are installed: for pytest and MLflow themselves, and in the environment MLflow made."""
    own = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    made = [] if prefix is None else sorted(prefix.glob("lib/python*/site-packages"))
    return [*map(Path, own), *made]


def _importable(sites: Sequence[Path], env: Mapping[str, str], root: Path) -> Iterator[object]:
    """What a launch can import, besides what goes into its workspace."""
    waiting = [*sites, *map(Path, filter(os.path.isabs, env.get("PYTHONPATH", "").split(os.pathsep)))]
    seen: set[Path] = set()
    while waiting:
        place = waiting.pop()
        if place in seen or not place.exists() or _goes_along(place, root):
            continue
        seen.add(place)
        yield str(place)
        # What can't be read can't be imported.
        with suppress(OSError):
            if place.is_file():
                # A zip file; Python looks into these too.
                yield content_digest(place)
                continue
            if place not in sites:
                # Whatever else is there: the source of a package holds its `.egg-info` too.
                yield from _lying_open(place)
            for entry in sorted(place.iterdir()):
                if entry.suffix in _INSTALLED:
                    yield [entry.name, *_record(entry)]
                    waiting += _named(entry)
                elif entry.suffix == ".py":
                    # No RECORD has what was put there by hand, such as `sitecustomize.py`.
                    yield [entry.name, content_digest(entry)]


_INSTALLED = (".dist-info", ".egg-info", ".egg-link", ".pth")


def _record(entry: Path) -> list[str]:
    """What tells one installation from another under the same name and version, where anything does."""
    file = entry / "RECORD" if entry.suffix == ".dist-info" else entry
    return [content_digest(file)] if file.is_file() else []


def _named(entry: Path) -> list[Path]:
    """The directories that make code importable from where it lies: of `.pth` files and of editable installs.

    For the latter see https://packaging.python.org/en/latest/specifications/direct-url/.
    """
    if entry.suffix in (".pth", ".egg-link") and entry.is_file():
        lines = entry.read_text(encoding="utf-8", errors="replace").splitlines()
        return [entry.parent / line.strip() for line in lines if line.strip() and not _is_code(line)]
    with suppress(OSError, ValueError, AttributeError, KeyError):
        origin = json.loads((entry / "direct_url.json").read_text(encoding="utf-8"))
        if origin.get("dir_info", {}).get("editable"):
            return [Path(url2pathname(urlsplit(origin["url"]).path))]
    return []


def _is_code(line: str) -> bool:
    """Whether a line of a `.pth` file is executed (the documentation of Python's module `site`)."""
    return line.startswith(("import ", "import\t", "#"))


def _lying_open(directory: Path) -> Iterator[list[object]]:
    for entry in contents(directory):
        with suppress(*UNREADABLE):
            status = os.stat(entry.source)
            if entry.kind != "directory":
                yield [entry.path, status.st_size, status.st_mtime_ns]


def _goes_along(directory: Path, root: Path) -> bool:
    """Whether a directory's files go into a workspace of the root, where their content counts."""
    if not directory.is_relative_to(root):
        return False
    inside = directory.relative_to(root).parts
    between = [directory, *directory.parents][: len(inside)]
    return not SKIPPED.intersection(inside) and not any(map(passed_over, between))
