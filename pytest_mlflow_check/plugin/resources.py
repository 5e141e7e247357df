"""What a session has one of: the warm process, and the launcher that checks and fixtures share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.plugin.options import asks_to_remember, launch_jobs
from pytest_mlflow_check.plugin.xdist import lasting_cache, shared_area, told

if TYPE_CHECKING:
    from pytest_mlflow_check.engine.launcher import Launcher
    from pytest_mlflow_check.runtime.forkserver.client import Warm
    from pytest_mlflow_check.runtime.process.runner import Call

_PREPARATION = ("_mlflow_check_validator.preload", "prepare")

_WARM = pytest.StashKey["Warm"]()
_LAUNCHER = pytest.StashKey["Launcher"]()


def warm_up(config: pytest.Config, projects: Sequence[Path] = ()) -> Warm:
    """Gets MLflow loaded, once a session: the controller of pytest-xdist does it for its workers.

    Args:
        config: the session's.
        projects: the directories that will be launched, as far as they are known.

    Returns:
        The way to the warm process, which tells why where there is none.
    """
    if _WARM not in config.stash:
        from pytest_mlflow_check.runtime.forkserver.client import Warm, WarmProcess, why_not
        from pytest_mlflow_check.runtime.sandbox.environment import warm_environment
        from pytest_mlflow_check.runtime.sandbox.workspace import enclosing_root

        known, failure = told(config), why_not()
        if known is not None:
            config.stash[_WARM] = Warm(**known)
        elif failure is not None:
            config.stash[_WARM] = Warm("", {}, failure)
        else:
            env = warm_environment([enclosing_root(project) for project in projects])
            try:
                process = WarmProcess(env, preparation())
            except OSError as error:
                # Without room or rights there is no launch either, and the first one says so.
                config.stash[_WARM] = Warm("", {}, str(error))
                return config.stash[_WARM]
            config.add_cleanup(process.stop)
            config.stash[_WARM] = process
            # What is remembered needs no MLflow; the first launch that isn't gets it loaded.
            if not asks_to_remember(config):
                process.begin()
    return config.stash[_WARM]


def preparation() -> Call:
    """What the warm process does beforehand: what the proofs of all models need."""
    from pytest_mlflow_check.runtime.process.runner import Call

    # Named by its place: `model_validation.client` loads NumPy, and this is wanted before anything else.
    payload = Path(__file__).parents[1] / "runtime" / "model_validation" / "payload"
    return Call(payload, *_PREPARATION, arguments=(), argv=())


def why_cold(config: pytest.Config) -> str | None:
    """Why MLflow isn't kept loaded, where it should be."""
    warm = config.stash.get(_WARM, None)
    return None if warm is None else warm.failure


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
            area = shared_area(config, factory)
        except OSError as error:
            base = Path(os.path.abspath(given)) if given else "the directory for temporary files"
            raise UserError(no_directory(error, base)) from error
        launcher = Launcher(
            area, cache=lasting_cache(config, area), warm=warm_up(config), jobs=launch_jobs(config)
        )
        config.add_cleanup(launcher.stop)
        config.stash[_LAUNCHER] = launcher
    return config.stash[_LAUNCHER]
