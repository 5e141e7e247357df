"""A session of pytest in a process of its own, whose launches are forks: `python session.py ARGUMENT...`.

As `mutants.forked` says, nearly all of the time would go into importing MLflow once a launch. The fork server
is that of the process which starts the sessions.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

VARIABLE = "FIXES_FORK_SERVER"
"""Has the arguments of a `ForkServer`, as JSON."""


class SharedForkServer:
    """Hands the fork server over before the plugin starts one of its own."""

    def __init__(self, shared: dict[str, object]) -> None:
        self.shared = shared

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        from mutants.forked import forked_scripts
        from pytest_mlflow_check.plugin import resources
        from pytest_mlflow_check.runtime.forkserver.client import ForkServer

        fork_server = ForkServer(**self.shared)  # type: ignore[arg-type]
        config.stash[resources._FORK_SERVER] = fork_server
        stack = ExitStack()
        config.add_cleanup(stack.close)
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(forked_scripts(fork_server, Path(directory, "bin")))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(pytest.main(sys.argv[1:], plugins=[SharedForkServer(json.loads(os.environ.pop(VARIABLE)))]))
