"""What a session has one of: the fork server, and the launcher that checks and fixtures share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.plugin.options import launch_jobs, uses_launch_cache
from pytest_mlflow_check.plugin.xdist import (
    fork_server_arguments,
    is_worker,
    lasting_cache,
    shared_session_dir,
)

if TYPE_CHECKING:
    from pytest_mlflow_check.engine.launcher import Launcher
    from pytest_mlflow_check.runtime.forkserver.client import ForkServer
    from pytest_mlflow_check.runtime.process.runner import Call

_PREPARATION = ("_mlflow_check_validator.preload", "prepare")

_FORK_SERVER = pytest.StashKey["ForkServer"]()
_LAUNCHER = pytest.StashKey["Launcher"]()


def start_fork_server(
    config: pytest.Config, projects: Sequence[Path] = (), *, begin: bool = True
) -> ForkServer:
    """Gets MLflow loaded, once a session: the controller of pytest-xdist does it for its workers.

    Args:
        config: the session's.
        projects: the directories that will be launched, as far as they are known.
        begin: whether it is sure to be needed; else MLflow is loaded when something asks for it.

    Returns:
        The way to the fork server, which tells why where there is none.
    """
    if _FORK_SERVER not in config.stash:
        from pytest_mlflow_check.runtime.forkserver.client import (
            ForkServer,
            ForkServerProcess,
            unsupported_reason,
        )
        from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment
        from pytest_mlflow_check.runtime.sandbox.workspace import enclosing_root

        known, failure = fork_server_arguments(config), unsupported_reason()
        if known is not None:
            config.stash[_FORK_SERVER] = ForkServer(**known)
        elif failure is not None:
            config.stash[_FORK_SERVER] = ForkServer("", {}, failure)
        else:
            env = fork_server_environment([enclosing_root(project) for project in projects])
            try:
                process = ForkServerProcess(env, preparation())
            except OSError as error:
                # Without room or rights there is no launch either, and the first one says so.
                config.stash[_FORK_SERVER] = ForkServer("", {}, str(error))
                return config.stash[_FORK_SERVER]
            config.add_cleanup(process.stop)
            config.stash[_FORK_SERVER] = process
    # What is cached needs no MLflow; the first launch that isn't gets it loaded.
    if begin and not uses_launch_cache(config):
        config.stash[_FORK_SERVER].begin()
    return config.stash[_FORK_SERVER]


def preparation() -> Call:
    """What the fork server does beforehand: what the validations of all models need."""
    from pytest_mlflow_check.runtime.process.runner import Call

    # Named by its place: `model_validation.client` loads NumPy, and this is wanted before anything else.
    payload = Path(__file__).parents[1] / "runtime" / "model_validation" / "payload"
    return Call(payload, *_PREPARATION, arguments=(), argv=())


@dataclass(frozen=True)
class Resources:
    """The resources of one session, each made when it is first asked for.

    Attributes:
        config: the session's.
    """

    config: pytest.Config

    @property
    def fork_server(self) -> ForkServer:
        """The way to the fork server."""
        return start_fork_server(self.config)

    @property
    def fork_server_error(self) -> str | None:
        """Why MLflow isn't kept loaded, where it should be."""
        fork_server = self.config.stash.get(_FORK_SERVER, None)
        return None if fork_server is None else fork_server.failure

    @property
    def launcher(self) -> Launcher:
        """The launcher of this process.

        Raises:
            UserError: where there is no directory for launches, and none can be made.
        """
        # pytest-xdist reads the same attribute; there is no public way to it outside a fixture.
        factory: pytest.TempPathFactory = self.config._tmp_path_factory  # type: ignore[attr-defined]
        return launcher_of(self.config, factory)


def launcher_of(config: pytest.Config, factory: pytest.TempPathFactory) -> Launcher:
    """The launcher of this process.

    Raises:
        UserError: where there is no directory for launches, and none can be made.
    """
    if _LAUNCHER not in config.stash:
        from pytest_mlflow_check.core.os_errors import no_directory
        from pytest_mlflow_check.engine.launcher import Launcher

        # pytest makes its directory when it is first asked for it.
        given = config.option.basetemp
        try:
            session_dir = shared_session_dir(config, factory)
        except OSError as error:
            base = Path(os.path.abspath(given)) if given else "the directory for temporary files"
            raise UserError(no_directory(error, base)) from error
        launcher = Launcher(
            session_dir,
            cache=lasting_cache(config, session_dir),
            # The controller's launches, which workers of pytest-xdist wait for, have its own.
            fork_server=start_fork_server(config, begin=not is_worker(config)),
            jobs=launch_jobs(config),
        )
        config.add_cleanup(launcher.stop)
        config.stash[_LAUNCHER] = launcher
    return config.stash[_LAUNCHER]
