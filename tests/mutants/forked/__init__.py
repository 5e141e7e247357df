"""Start the scripts of mutants as forks of the fork server, which has MLflow loaded.

Of the matrix's processor time, 19 parts in 20 went into `import mlflow`, once in each launch. A directory
that comes first on PATH has a `python` of ours: it hands a script on to the fork server that the matrix has
anyway, and becomes the real Python for everything else (`-c`, `-m`, no script). The launch's supervisor sees
no difference: exit code, signal and output are handed back; when the stand-in is killed, so is the script.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from pytest_mlflow_check.plugin.resources import preparation
from pytest_mlflow_check.runtime.forkserver.client import ForkServer, ForkServerProcess
from pytest_mlflow_check.runtime.process.runner import Call
from pytest_mlflow_check.runtime.sandbox import environment

_STAND_IN = Path(__file__).with_name("python.py")
_PAYLOAD = Path(__file__).with_name("payload")
_PREPARATION = "MUTANTS_PREPARATION"
"""The variable that tells the fork server where the plugin's own preparation lies."""


def fork_server_for_scripts(env: Mapping[str, str]) -> ForkServerProcess:
    """Return a fork server that loads what the scripts of mutants import, beside what the plugin has it load.

    Args:
        env: its variables.
    """
    prepare = Call(_PAYLOAD, "_mutant_script", "prepare", arguments=(), argv=())
    return ForkServerProcess({**env, _PREPARATION: str(preparation().path)}, prepare)


@contextmanager
def forked_scripts(fork_server: ForkServer, directory: Path) -> Iterator[None]:
    """Have launches find a `python` that forks.

    Args:
        fork_server: what the scripts are forked from.
        directory: one that doesn't exist yet, for that `python`.
    """
    fork_server.begin()
    bin_directory = environment.interpreter_directory()
    directory.mkdir(parents=True)
    for path in bin_directory.iterdir():
        (directory / path.name).symlink_to(path)
    command = shlex.join([sys.executable, "-I", "-S", str(_STAND_IN), fork_server.address, sys.executable])
    for name in ("python", "python3"):
        (directory / name).unlink(missing_ok=True)
        (directory / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        (directory / name).chmod(0o755)
    with patch.object(environment, "interpreter_directory", return_value=directory):
        yield
