"""Launches of earlier sessions, kept for as long as nothing changes that they depend on.

Of a launch is kept what the checks and fixtures read: its store, its output, its observations, what
`launch.json` says. Of its workspace that is only what the store keeps there (MLflow 2.22 with SQLite).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.records import Launch, Mode, given_tags
from pytest_mlflow_check.core.store import Store, refuse_unfit
from pytest_mlflow_check.engine.cache.fingerprint import Fingerprint, content_digest, files_of, rest_of
from pytest_mlflow_check.engine.launch import OBSERVATIONS
from pytest_mlflow_check.runtime.process.runner import own_variables
from pytest_mlflow_check.runtime.sandbox.interpreter import Interpreter
from pytest_mlflow_check.runtime.sandbox.symlink_patterns import Links
from pytest_mlflow_check.runtime.sandbox.workspace import enclosing_root, mark_session_dir
from pytest_mlflow_check.stores.readers.safe_files import files_below
from pytest_mlflow_check.stores.relocate import relocate

_SUMMARY = "launch.json"
_FINGERPRINT = "fingerprint.json"
_UNFINISHED = "unfinished-"

_KEPT = 2
"""Of each case in each mode: one more than the last, for those who go back and forth between two branches or
environments, and for a session that still reads the other one."""


class LaunchCache:
    """The launches that are kept, of each case in each mode: the last that passed under two fingerprints.

    Attributes:
        directory: what holds them.
    """

    def __init__(self, directory: Path) -> None:
        """Takes the directory that holds them; it is made when there is something to keep."""
        self.directory = directory.resolve()
        self._files: dict[tuple[Path, tuple[str, ...]], str] = {}
        self._lock = threading.Lock()

    def get_or_create(
        self,
        case: Case,
        mode: Mode,
        values: ProjectConfig,
        interpreter: Interpreter,
        make: Callable[[], Path],
        variables: Mapping[str, str] | None = None,
    ) -> Path:
        """Where a launch of an earlier session is, if nothing has changed that it depends on; else a new one.

        Args:
            case, mode, values: what is launched.
            interpreter: what it runs with.
            make: makes the launch, with the condition `fingerprinted`, and gives its directory.
            variables: what a launch gets its environment from; that of this process by default.
        """
        # Of a Docker image nobody here knows whether it is still the same.
        if case.project.docker_image is not None:
            return make()
        try:
            before = self._fingerprint(case, values, interpreter, variables)
        except OSError:
            # What can't be read can't be copied either, and the launch says so.
            return make()
        kept = self._get(case, mode, before)
        if kept is not None:
            return kept
        attempt_dir = make()
        launched = Fingerprint(_read(attempt_dir)["files"], rest_of(case, values, interpreter, variables))
        # Else something changed between the look at it and the end of the launch.
        if launched == before:
            (attempt_dir / _FINGERPRINT).write_text(json.dumps(asdict(before)), encoding="utf-8")
        return attempt_dir

    def _fingerprint(
        self,
        case: Case,
        values: ProjectConfig,
        interpreter: Interpreter,
        variables: Mapping[str, str] | None,
    ) -> Fingerprint:
        root = enclosing_root(case.project.directory)
        with self._lock:
            key = root, values.workspace.link
            if key not in self._files:
                self._files[key] = files_of(root, Links(values.workspace.link))
        return Fingerprint(self._files[key], rest_of(case, values, interpreter, variables))

    def _get(self, case: Case, mode: Mode, fingerprint: Fingerprint) -> Path | None:
        """None too for one that is damaged, or that somebody has written to."""
        directory = self._directory_of(case, mode, fingerprint)
        with suppress(OSError, ValueError, KeyError, TypeError):
            summary = _read(directory)
            if summary["fingerprint"] == asdict(fingerprint) and summary["checksum"] == _checksum(directory):
                return directory
        return None

    def put(
        self, case: Case, mode: Mode, attempt_dir: Path, read: Callable[[], Launch], *, store: str = ""
    ) -> None:
        """Keeps a launch that passed, instead of the oldest one where there are enough.

        Not kept is one that holds a secret of the environment, one of which it isn't known what it depends
        on, and one whose artifacts are links or lie elsewhere: nobody could say whether they are still as
        they were. Nor is one that logged the commit it ran at: the next commit makes another one of it, and
        is no part of the fingerprint. What is kept already stays as it is.

        Args:
            case, mode: what was launched.
            attempt_dir: where it lies.
            read: gives what is there.
            store: what the setting says, in which there may be a password.
        """
        if attempt_dir.is_relative_to(self.directory):
            return
        # Without room or rights for it the launch is made again, which is what happens without a cache.
        with suppress(OSError, ValueError, KeyError, sqlite3.DatabaseError, UserError):
            fingerprint = Fingerprint(**json.loads((attempt_dir / _FINGERPRINT).read_text(encoding="utf-8")))
            directory = self._directory_of(case, mode, fingerprint)
            secrets = Secrets.among({**own_variables(), **case.env, "store": store})
            mark_session_dir(self.directory)
            with FileLock(self.directory / "lock"):
                unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.directory))
                if _copy(read(), attempt_dir, unfinished, directory) and not secrets.found_in(
                    files_below(unfinished).values()
                ):
                    checksum = {"fingerprint": asdict(fingerprint), "checksum": _checksum(unfinished)}
                    _write(unfinished, {**_read(unfinished), **checksum})
                    shutil.rmtree(directory, ignore_errors=True)
                    unfinished.rename(directory)
                of_case = self.directory.glob(f"{directory.name.rpartition('-')[0]}-*")
                newest = sorted(of_case, key=lambda one: one.stat().st_mtime_ns, reverse=True)
                # Also what processes that died have left unfinished.
                for old in [*newest[_KEPT:], *self.directory.glob(f"{_UNFINISHED}*")]:
                    shutil.rmtree(old, ignore_errors=True)

    def invalidate(self, attempt_dir: Path) -> None:
        """Has the next session make a kept launch again; it stays where it is, to be looked at."""
        if attempt_dir.is_relative_to(self.directory):
            with suppress(OSError, ValueError, TypeError):
                _write(attempt_dir, {**_read(attempt_dir), "fingerprint": None})

    def _directory_of(self, case: Case, mode: Mode, fingerprint: Fingerprint) -> Path:
        # Launches of different fingerprints never share a place: somebody may be reading there.
        names = ([str(case.project.directory), case.id], [fingerprint.files, fingerprint.rest])
        whose, of = (hashlib.sha256(json.dumps(one).encode()).hexdigest()[:16] for one in names)
        return self.directory / f"{mode}-{whose}-{of}"


def _copy(launch: Launch, attempt_dir: Path, target: Path, directory: Path) -> bool:
    """Copies what is kept, and has it say that it lies at `directory`; False where it can't be kept."""
    logged = [file for run in launch.runs for file in (artifact.file for artifact in run.artifacts.values())]
    logged += [model.path for run in launch.runs for model in run.models.values()]
    inside = all(file.is_relative_to(attempt_dir) for file in logged)
    if (
        not inside
        or _logged_commit(launch)
        or any(file.is_symlink() for file in (attempt_dir / "store").rglob("*"))
    ):
        return False
    summary = _read(attempt_dir)
    store = Store(summary["store"], target / "store")
    refuse_unfit(Store(store.kind, directory / "store"))
    if (attempt_dir / "store").is_dir():
        shutil.copytree(attempt_dir / "store", store.root)
    for name in ("stdout.txt", "stderr.txt", OBSERVATIONS):
        if (attempt_dir / name).is_file():
            shutil.copyfile(attempt_dir / name, target / name)
    for file in logged:
        if not file.is_relative_to(attempt_dir / "store"):
            _copy_logged(file, target / file.relative_to(attempt_dir))
    relocate(store, attempt_dir, directory)
    _write(
        target, {**summary, "logged_to": launch.logged_to or launch.store_uri, "cached": summary["started"]}
    )
    return True


def _logged_commit(launch: Launch) -> bool:
    return any(
        launch.commit_words(text)
        for run in launch.runs
        for text in (run.name, *run.params.values(), *given_tags(run.tags).values())
    )


def _copy_logged(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _read(attempt_dir: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((attempt_dir / _SUMMARY).read_text(encoding="utf-8"))
    return summary


def _write(attempt_dir: Path, summary: dict[str, Any]) -> None:
    (attempt_dir / _SUMMARY).write_text(json.dumps(summary), encoding="utf-8")


def _checksum(attempt_dir: Path) -> str:
    """A digest of all that is kept of a launch, but for what `launch.json` says of keeping it."""
    summary = {
        key: value for key, value in _read(attempt_dir).items() if key not in ("fingerprint", "checksum")
    }
    digest = hashlib.sha256(json.dumps(summary, sort_keys=True).encode())
    for name, file in files_below(attempt_dir).items():
        if name != _SUMMARY:
            digest.update(json.dumps([name, content_digest(file)]).encode())
    return digest.hexdigest()
