"""What MLflow loads when it is imported: it guards a process of a launch that Python has left unguarded.

It is an entry point, `mlflow.default_experiment_provider`, which MLflow loads when all that the guard looks
after is loaded (`mlflow.tracking.default_experiment.registry`, 3.17.2 and 2.22.5). Python started with `-S`
reads no `.pth` file, and gets here all the same. In a process outside a launch nothing is done.
"""

from __future__ import annotations

import sys

from pytest_mlflow_check.runtime.observer.pth import LINE


class NoExperimentProvider:
    """Never provides an experiment; making one guards the process, where it is a launch's and unguarded."""

    def __init__(self) -> None:
        observer = "_mlflow_check_observer"
        if observer in sys.modules:
            return
        exec(LINE)
        if observer in sys.modules:
            sys.modules[observer].note_unobserved()

    def in_context(self) -> bool:
        """Whether it provides one: never."""
        return False
