"""What MLflow loads when it is imported: it guards a process of a launch that Python has left unguarded.

It is an entry point, `mlflow.default_experiment_provider`, which MLflow loads when all that the guard looks
after is loaded (`mlflow.tracking.default_experiment.registry`, 3.17.2 and 2.22.5). Python started with `-S`
reads no `.pth` file, and gets here all the same. In a process outside a launch nothing is done.
"""

from __future__ import annotations

import os
import sys


class NoExperimentProvider:
    """Never provides an experiment; making one guards the process, where it is a launch's and unguarded."""

    def __init__(self) -> None:
        observer = "_mlflow_check_observer"
        if observer in sys.modules:
            return
        with open(
            os.path.join(os.path.dirname(__file__), "pytest_mlflow_check.pth"), encoding="utf-8"
        ) as lines:
            exec(next(line for line in lines if line.startswith("import ")))
        if observer in sys.modules:
            sys.modules[observer].note_unobserved()

    def in_context(self) -> bool:
        """Whether it provides one: never."""
        return False
