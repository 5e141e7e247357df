"""What a session has one of: the warm process, and the launcher that checks and fixtures share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mlflow_check.options import launch_jobs
from pytest_mlflow_check.xdist import lasting_cache, shared_area, told

if TYPE_CHECKING:
    from pytest_mlflow_check.launcher import Launcher
    from pytest_mlflow_check.warm import Warm

_WARM = pytest.StashKey["Warm | None"]()
_LAUNCHER = pytest.StashKey["Launcher"]()


def warm_up(config: pytest.Config, projects: Sequence[Path] = ()) -> Warm | None:
    """Gets MLflow loaded, once a session: the controller of pytest-xdist does it for its workers.

    Args:
        config: the session's.
        projects: the directories that will be launched, as far as they are known.

    Returns:
        The way to the warm process; None on a platform that can't have one.
    """
    if _WARM not in config.stash:
        from pytest_mlflow_check.environment import warm_environment
        from pytest_mlflow_check.warm import Warm, WarmProcess, why_not
        from pytest_mlflow_check.workspace import enclosing_root

        known = told(config)
        warm: Warm | None = None
        if known is not None:
            warm = Warm(**known)
        elif why_not() is None:
            warm = process = WarmProcess(warm_environment([enclosing_root(project) for project in projects]))
            config.add_cleanup(process.stop)
        config.stash[_WARM] = warm
    return config.stash[_WARM]


def launcher_of(config: pytest.Config, factory: pytest.TempPathFactory) -> Launcher:
    """The launcher of this process."""
    if _LAUNCHER not in config.stash:
        from pytest_mlflow_check.launcher import Launcher

        area = shared_area(config, factory)
        launcher = Launcher(
            area, cache=lasting_cache(config, area), warm=warm_up(config), jobs=launch_jobs(config)
        )
        config.add_cleanup(launcher.stop)
        config.stash[_LAUNCHER] = launcher
    return config.stash[_LAUNCHER]
