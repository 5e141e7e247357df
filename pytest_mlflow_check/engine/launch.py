"""Starting one case in one mode: a copy, a store, a process, and what it left behind."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_mlflow_check.config.settings import EnvManager
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.os_errors import refuse_full, removed
from pytest_mlflow_check.core.records import (
    Launch,
    Mode,
    ModelValidation,
    Observation,
    PythonProcess,
    RunRecord,
    SavedFile,
    StoreRecord,
)
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.engine.cache.fingerprint import files_of
from pytest_mlflow_check.engine.file_changes import (
    Inventory,
    changed_files,
    saved_files,
    stale_files,
    take_inventory,
    take_state,
)
from pytest_mlflow_check.mlproject.loader import complete_params, render_command
from pytest_mlflow_check.runtime.forkserver.client import PATH as FORK_SERVER_PATH
from pytest_mlflow_check.runtime.model_validation.client import models_to_validate, validate_models
from pytest_mlflow_check.runtime.observer.inject import STACKS_SIGNAL, forget_settings, observed
from pytest_mlflow_check.runtime.observer.read_calls import read_observations
from pytest_mlflow_check.runtime.observer.read_crashes import read_crashes
from pytest_mlflow_check.runtime.observer.read_processes import read_processes, unobserved_code
from pytest_mlflow_check.runtime.observer.read_stacks import read_stacks
from pytest_mlflow_check.runtime.process.runner import Call, Processes
from pytest_mlflow_check.runtime.sandbox.environment import launch_environment, mlflow_command
from pytest_mlflow_check.runtime.sandbox.interpreter import Interpreter
from pytest_mlflow_check.runtime.sandbox.lfs_pointers import lfs_pointers
from pytest_mlflow_check.runtime.sandbox.size_hints import notes_on
from pytest_mlflow_check.runtime.sandbox.symlink_patterns import NO_LINKS, Links
from pytest_mlflow_check.runtime.sandbox.workspace import enclosing_root, linked_files, make_workspace
from pytest_mlflow_check.stores.handle import StoreHandle
from pytest_mlflow_check.stores.readers import read_store
from pytest_mlflow_check.stores.readers.safe_files import files_below

_TAIL = 64 * 1024
"""Bytes of a launch's output that are kept in memory."""

OBSERVATIONS = "observations.jsonl"
"""The file with the observed calls of a launch."""

STDOUT = "stdout.txt"
"""The file with its output, there from its start on."""

VALIDATION = "model-validation"
"""The directory in which its models are validated."""

STACKS = "stacks"
"""The directory with where its threads stood, a file for each process."""


@dataclass(frozen=True)
class LaunchOptions:
    """What a launch needs besides its case.

    Attributes:
        open_store: opens the store to log to, in the given place.
        timeout: seconds.
        pass_env: patterns of environment variables to pass on.
        observer: whether the calls of the code are observed; they are kept from other stores in any case.
        block: whether an attempt to reach another store ends the launch, instead of being led back.
        interpreter: what the code runs with, under `mlflow run` too.
        fingerprinted: whether to note what the workspace held when the launch was started.
        links: the files of the workspace that are links to the user's own.
        temporary: a directory for its temporary files; None for that of the machine.
    """

    open_store: Callable[[Path], AbstractContextManager[StoreHandle]] = lambda root: nullcontext(
        StoreHandle(Store("file", root))
    )
    timeout: float = 600.0
    pass_env: tuple[str, ...] = ()
    observer: bool = True
    block: bool = False
    interpreter: Interpreter = field(default_factory=Interpreter)
    fingerprinted: bool = False
    links: Links = NO_LINKS
    temporary: Path | None = None


def make_launch(
    case: Case, mode: Mode, options: LaunchOptions, *, attempt_dir: Path, processes: Processes
) -> Launch:
    """Starts a case in one mode, waits for its end, and validates the models it logged.

    Everything is kept below `attempt_dir`, an empty directory; `read_launch` gives the launch from there, in
    another process or session.

    Raises:
        UserError: where the parameters don't fit the entry point, or there is no room.
        OSError: where the machine refuses something, such as room.
    """
    # The copy first: some stores are for one launch at a time, and others may wait for this one.
    directory = make_workspace(case.project.directory, attempt_dir / "workspace", options.links)
    with options.open_store(attempt_dir / "store") as handle:
        return _launch(case, mode, options, handle, directory, attempt_dir=attempt_dir, processes=processes)


def _launch(
    case: Case,
    mode: Mode,
    options: LaunchOptions,
    handle: StoreHandle,
    directory: Path,
    *,
    attempt_dir: Path,
    processes: Processes,
) -> Launch:
    root, copy = enclosing_root(case.project.directory), attempt_dir / "workspace"
    store = handle.store
    env = launch_environment(
        store, root=root, copy=copy, base=processes.variables, pass_env=options.pass_env, extra=case.env
    )
    if options.temporary is not None:
        # What a launch that is killed leaves there goes with the session's directory.
        env["TMPDIR"] = case.env.get("TMPDIR", str(options.temporary))
    interpreter = options.interpreter
    env = (
        interpreter.activated(env)
        if mode == "fluent"
        else interpreter.offered(env, attempt_dir / "environments")
    )
    start = _start(case, mode, directory, attempt_dir / "downloads", interpreter.manager, env)
    inventory = take_inventory(copy)
    linked = linked_files(copy, root, options.links)
    sizes = {path: size for path, (size, _) in inventory.items()}
    notes = notes_on(sizes, linked, options.links)
    originals = take_state(root, linked)
    files = files_of(copy, options.links) if options.fingerprinted else None
    started = time.time()
    calls, stacks = attempt_dir / OBSERVATIONS, attempt_dir / STACKS
    stacks.mkdir()
    try:
        ended = processes.run(
            start.command,
            call=start.call,
            cwd=directory,
            env=observed(
                env,
                place=attempt_dir,
                file=calls,
                directory=directory,
                root=copy,
                uri=store.uri,
                block=options.block,
                observe=options.observer,
                stacks=stacks,
            ),
            stdout=attempt_dir / STDOUT,
            stderr=attempt_dir / "stderr.txt",
            timeout=options.timeout,
            stacks=None if STACKS_SIGNAL is None else (stacks, STACKS_SIGNAL),
        )
    finally:
        forget_settings(attempt_dir)
    _refuse_deleted(case, attempt_dir)
    refuse_full(attempt_dir)
    now = take_state(root, linked)
    changed = [path for path in linked if now.get(path) != originals.get(path)]
    handle.fetch()
    # By the path that others read it by: a PostgreSQL store was fetched through a short link.
    record = read_store(Store(store.kind, attempt_dir / "store"))
    observations = read_observations(calls)
    pythons = read_processes(attempt_dir)
    seen = any(python.loaded_mlflow for python in pythons)
    file_changes = _file_changes(inventory, copy, root, directory, observations, record.runs)
    models, validations = models_to_validate(record)
    with _out_of_reach(copy, record) as away:
        validations += validate_models(
            models,
            directory=attempt_dir / VALIDATION,
            env=env,
            withheld=[copy, root],
            interpreter=interpreter.python,
            processes=processes,
            timeout=options.timeout,
        )
        validations = [
            _with_module(validation, away, os.path.relpath(directory, copy)) for validation in validations
        ]
    summary = {
        "mode": mode,
        "command": start.shown,
        "files": files,
        "started": started,
        "exit_code": ended.exit_code,
        "duration": ended.duration,
        "directory": str(directory),
        "workspace": str(copy),
        "origin": str(root),
        "temporary": None if options.temporary is None else str(options.temporary),
        "store": store.kind,
        "logged_to": handle.alias,
        "observed": options.observer,
        "processes": [vars(python) for python in pythons],
        "unobserved_code": () if seen else unobserved_code(directory, start.shown, pythons),
        **file_changes,
        "changed_originals": changed,
        "notes": notes,
        # Who fails may have read them; nobody else cares.
        "lfs_pointers": [
            os.path.relpath(copy / path, directory)
            for path in (lfs_pointers(copy, sizes) if ended.exit_code else [])
        ],
        "model_validations": [vars(validation) for validation in validations],
    }
    text = json.dumps(summary)
    (attempt_dir / "launch.json").write_text(text, encoding="utf-8")
    return _launch_of(json.loads(text), record, observations, attempt_dir)


def _refuse_deleted(case: Case, attempt_dir: Path) -> None:
    # The first file that a launch has, and one that no command has any business with.
    if not (attempt_dir / STDOUT).exists():
        raise UserError(
            f"{case.entry_point.name}: its command deleted the directory of its launch, and with it what it "
            f"logged and printed ({attempt_dir})\n"
            "  let it delete nothing but what it made itself; MLFLOW_TRACKING_URI leads to a store there"
        )


def read_launch(attempt_dir: Path) -> Launch:
    """The launch that `make_launch` made below a directory."""
    summary = json.loads((attempt_dir / "launch.json").read_text(encoding="utf-8"))
    record = read_store(Store(summary["store"], attempt_dir / "store"))
    return _launch_of(summary, record, read_observations(attempt_dir / OBSERVATIONS), attempt_dir)


def _launch_of(
    summary: Mapping[str, Any], record: StoreRecord, observations: tuple[Observation, ...], attempt_dir: Path
) -> Launch:
    """The launch out of what `launch.json` says, what its store held, and what was observed."""
    store = Store(summary["store"], attempt_dir / "store")
    stdout, stderr = attempt_dir / STDOUT, attempt_dir / "stderr.txt"
    return Launch(
        mode=summary["mode"],
        command=summary["command"],
        exit_code=summary["exit_code"],
        duration=summary["duration"],
        directory=Path(summary["directory"]),
        workspace=Path(summary["workspace"]),
        origin=Path(summary["origin"]),
        temporary=Path(summary["temporary"]) if summary.get("temporary") else None,
        store_uri=store.uri,
        stdout=_tail(stdout),
        stderr=_tail(stderr),
        stdout_path=stdout,
        stderr_path=stderr,
        record=record,
        observations=observations,
        observed=summary["observed"],
        processes=tuple(
            PythonProcess(**{**process, "command": tuple(process["command"])})
            for process in summary["processes"]
        ),
        crashes=read_crashes(attempt_dir),
        unobserved_code=tuple(summary["unobserved_code"]),
        started=summary["started"],
        stacks=read_stacks(attempt_dir / STACKS, Path(summary["directory"])),
        changed=tuple(summary["changed"]),
        changed_originals=tuple(summary["changed_originals"]),
        notes=tuple(summary["notes"]),
        lfs_pointers=tuple(summary.get("lfs_pointers", ())),
        stale={directory: tuple(files) for directory, files in summary["stale"].items()},
        saved={path: SavedFile(**file) for path, file in summary["saved"].items()},
        logged_to=summary["logged_to"],
        cached=summary.get("cached"),
        validations={
            validation["uri"]: ModelValidation.from_json(validation)
            for validation in summary["model_validations"]
        },
    )


@contextmanager
def _out_of_reach(copy: Path, record: StoreRecord) -> Iterator[Path]:
    """Moves the workspace away for a while, so that a model that names a file in it doesn't load.

    Whatever is made in its place meanwhile is removed. Where models lie in the workspace themselves (MLflow
    2.22 with SQLite) it stays. Gives where it is.
    """
    models = [model for run in record.runs for model in run.models.values()]
    nothing = not models and not record.registered_models
    if nothing or any(model.path.is_relative_to(copy) for model in models):
        yield copy
        return
    away = copy.with_name("workspace-away")
    copy.rename(away)
    try:
        yield away
    finally:
        removed(copy)
        away.rename(copy)


def _with_module(validation: ModelValidation, workspace: Path, directory: str) -> ModelValidation:
    """The validation, with the file in which the project has the module that is missing."""
    if not validation.module or validation.module == "__main__":
        return validation
    # The whole of a package is what `code_paths` takes.
    name, project = validation.module.partition(".")[0], workspace / directory
    beside = [project / name, project / f"{name}.py"]
    elsewhere = (file for pattern in (name, f"{name}.py") for file in sorted(workspace.rglob(pattern)))
    for file in (*beside, *elsewhere):
        if file.is_file() if file.suffix else any(file.glob("*.py")):
            return replace(validation, module_file=os.path.relpath(file, project))
    return validation


def _file_changes(
    inventory: Inventory,
    copy: Path,
    root: Path,
    directory: Path,
    calls: Sequence[Observation],
    runs: Sequence[RunRecord],
) -> dict[str, Any]:
    """What the launch did to its files, with paths relative to the project."""

    def from_project(path: str) -> str:
        return os.path.relpath(copy / path, directory)

    logged = [call.value for call in calls if call.what == "log_artifacts" and call.value]
    stale = stale_files(inventory, copy, (os.path.join(directory, path) for path in logged))
    kept = [artifact.file for run in runs for artifact in run.artifacts.values()]
    for run in runs:
        for model in run.models.values():
            kept += files_below(model.path).values()
    saved = saved_files(inventory, copy, kept)
    return {
        "changed": [from_project(path) for path in changed_files(inventory, copy, root)],
        "stale": {from_project(path): [*map(from_project, files)] for path, files in stale.items()},
        "saved": {from_project(path): vars(file) for path, file in saved.items()},
    }


@dataclass(frozen=True)
class _Start:
    """What is started, the same as a user would type it, and a call that does the same where there is one."""

    command: list[str]
    shown: str
    call: Call | None = None


def _start(
    case: Case, mode: Mode, directory: Path, downloads: Path, manager: EnvManager, env: Mapping[str, str]
) -> _Start:
    if mode == "fluent":
        command = render_command(case, directory, template=case.fluent)
        # As MLflow starts an entry point's command (mlflow.projects.backend.local, 3.17.2).
        return _Start(["bash", "-c", command], command)
    # Values that aren't given are left to MLflow, so that its own handling of defaults is seen.
    complete_params(case)
    name = case.entry_point.name
    arguments = ["run", ".", f"--env-manager={manager}"]
    if name != "main":
        arguments += ["-e", name]
    for param, value in case.params.items():
        arguments += ["-P", f"{param}={value}"]
    # Where the project doesn't see it, and where it goes away with the launch: what MLflow downloads.
    full = [*mlflow_command(), *arguments, "--storage-dir", str(downloads)]
    values = [name, dict(case.params), manager, str(downloads)]
    argv = [full[0], *full[full.index("run") :]]
    call = Call(FORK_SERVER_PATH, "_mlflow_check_forkserver.mlflow_run", "run", values, argv)
    # What the command says to both of these isn't MLflow's, but its own.
    refused = {"MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"} <= env.keys()
    return _Start(full, shlex.join(["mlflow", *arguments]), None if refused else call)


def _tail(path: Path) -> str:
    with path.open("rb") as output:
        output.seek(max(0, path.stat().st_size - _TAIL))
        return output.read().decode("utf-8", errors="replace")
