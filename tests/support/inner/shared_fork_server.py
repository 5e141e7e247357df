"""A plugin for sessions under test: they use the fork server of the process that tests them.

To load MLflow takes each of them two seconds of processor time. A session whose variables ask for a fork
server of its own (see `ForkServer`) starts one, as does any session without this plugin.

It lies in a directory of its own, which is on the PYTHONPATH of these sessions.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

VARIABLE = "SHARED_FORK_SERVER"
"""Has the arguments of a `ForkServer`, as JSON. Without it, sessions start one themselves."""

OPTION = "-p shared_fork_server"
"""What loads this plugin."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Hands over the shared fork server before our own plugin starts one."""
    if VARIABLE not in os.environ:
        return
    from pytest_mlflow_check.plugin import resources
    from pytest_mlflow_check.runtime.forkserver.client import ForkServer
    from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment

    shared = ForkServer(**json.loads(os.environ[VARIABLE]))
    hide_from_launches(config)
    if shared._matches_environment(fork_server_environment([])):
        config.stash[resources._FORK_SERVER] = shared


def hide_from_launches(config: pytest.Config) -> None:
    """Takes this plugin out of the variables until the session ends: launches find them as without it."""
    names = (VARIABLE, "PYTHONPATH", "PYTEST_ADDOPTS")
    before = {name: os.environ[name] for name in names}
    config.add_cleanup(lambda: os.environ.update(before))
    del os.environ[VARIABLE]
    os.environ["PYTEST_ADDOPTS"] = before["PYTEST_ADDOPTS"].replace(OPTION, "")
    entries = before["PYTHONPATH"].split(os.pathsep)
    entries.remove(str(Path(__file__).parent))
    os.environ["PYTHONPATH"] = os.pathsep.join(entries)
    if not entries:
        del os.environ["PYTHONPATH"]
