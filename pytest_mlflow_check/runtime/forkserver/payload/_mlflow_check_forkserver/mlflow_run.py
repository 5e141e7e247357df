# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library and MLflow.
"""`mlflow run`, without the two to three seconds that the command takes to import all other commands.

The command only wraps `mlflow.projects.run` (mlflow.cli.run, MLflow 3.17.2 and 2.22.5), and this is the same
call with the same arguments.
"""

from __future__ import annotations

import logging
import os
import sys


def run(entry_point: str, parameters: dict[str, str], env_manager: str, storage_dir: str | None) -> None:
    """Runs the project in the current directory.

    Args:
        entry_point: as after `-e`; `main` by default.
        parameters: as after `-P`.
        env_manager: as after `--env-manager`.
        storage_dir: as after `--storage-dir`.

    Raises:
        SystemExit: where the project couldn't be run, or failed.
    """
    from mlflow import projects

    try:
        projects.run(
            ".",
            entry_point,
            None,
            # The command takes them from the environment (its options' `envvar`).
            experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME") or None,
            experiment_id=os.environ.get("MLFLOW_EXPERIMENT_ID") or None,
            parameters=parameters,
            docker_args={},
            backend="local",
            backend_config=None,
            env_manager=env_manager,
            storage_dir=storage_dir,
            synchronous=True,
            run_id=None,
            run_name=None,
            build_image=False,
        )
    except projects.ExecutionException as error:
        logging.getLogger("mlflow.cli").error("=== %s ===", error)
        sys.exit(1)
