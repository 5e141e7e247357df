"""What all workers of one session share: a directory for launches, and one for what lasts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_mlflow_check.runtime.forkserver.client import ForkServer

_FORK_SERVER = "mlflow_check_fork_server"


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def share_fork_server(node: Any, fork_server: ForkServer) -> None:
    """Tells a worker where the fork server is, before it is started.

    Args:
        node: what pytest-xdist's hook `pytest_configure_node` is given.
        fork_server: the controller's.
    """
    node.workerinput[_FORK_SERVER] = {
        "address": fork_server.address,
        "env": fork_server.env,
        "failure": fork_server.failure,
    }


def fork_server_arguments(config: pytest.Config) -> dict[str, Any] | None:
    """In a worker, the arguments for `ForkServer`, if it was told."""
    known: dict[str, Any] | None = getattr(config, "workerinput", {}).get(_FORK_SERVER)
    return known


def shared_session_dir(config: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's directory for launches, the same in every worker.

    pytest keeps the directories of its last three sessions, so what failed can be looked at.
    """
    base = tmp_path_factory.getbasetemp()
    # A worker's base lies in that of the whole session (pytest-xdist, docs/how-to.rst).
    return (base.parent if is_worker(config) else base) / "mlflow-check"


def lasting_cache(config: pytest.Config, session_dir: Path) -> Path:
    """A directory that outlives the session: pytest's own cache, or, without one, the session's directory."""
    cache: pytest.Cache | None = getattr(config, "cache", None)
    try:
        return cache.mkdir("mlflow-check") if cache is not None else session_dir / "cache"
    except OSError:
        return session_dir / "cache"
