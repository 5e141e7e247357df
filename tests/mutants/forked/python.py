"""`python ADDRESS PYTHON ARGUMENT...`: like `PYTHON ARGUMENT...`, but a script is a fork of the fork server.

Started in isolated mode and without site-packages, so that it is ready within milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).resolve().parent

_TIMEOUT = 600.0
"""Seconds; what keeps the launch ends it long before."""


def main(address: str, python: str, arguments: list[str]) -> int:
    """Run a script to its end; give its exit code."""
    if not (arguments and arguments[0].endswith(".py") and Path(arguments[0]).is_file()):
        os.execv(python, [python, *arguments])
    sys.path.insert(0, str(_HERE.parents[2]))
    from pytest_mlflow_check.runtime.forkserver.client import ForkServer
    from pytest_mlflow_check.runtime.process.runner import Call, Processes

    variables = dict(os.environ)
    with tempfile.TemporaryDirectory() as directory:
        out, err = Path(directory, "out"), Path(directory, "err")
        ended = Processes(ForkServer(address, variables)).run(
            [python, *arguments],
            cwd=Path.cwd(),
            env=variables,
            stdout=out,
            stderr=err,
            timeout=_TIMEOUT,
            call=Call(_HERE / "payload", "_mutant_script", "run", [arguments[0]], arguments),
        )
        for file, descriptor in ((out, 1), (err, 2)):
            with open(descriptor, "wb", closefd=False) as stream:
                stream.write(file.read_bytes())
    if ended.exit_code is not None and ended.exit_code < 0:
        if ended.exit_code != -signal.SIGKILL:
            signal.signal(-ended.exit_code, signal.SIG_DFL)
        os.kill(os.getpid(), -ended.exit_code)
    return 1 if ended.exit_code is None else ended.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
