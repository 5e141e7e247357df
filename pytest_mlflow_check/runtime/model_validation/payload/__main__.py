# Runs in a process of its own: Python 3.9 or later (that of the launch), standard library and MLflow.
"""`python payload REQUEST ANSWERS`: validates models; see `_mlflow_check_validator`.

Nothing else stands here: a pickle that looks for its class in `__main__` must not find anything.
"""

import sys

import _mlflow_check_validator.main  # type: ignore[import-not-found]

_mlflow_check_validator.main.main(*sys.argv[1:])
