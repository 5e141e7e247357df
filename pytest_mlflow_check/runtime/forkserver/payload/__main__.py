# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library and MLflow.
"""The fork server: `python payload LISTENER SUPERVISOR PATH MODULE FUNCTION`.

See `_mlflow_check_forkserver.main`.

Nothing else stands here: a pickle that looks for its class in `__main__` must not find anything.
"""

import sys

sys.path.insert(0, sys.argv[2])
import _mlflow_check_forkserver.main  # type: ignore[import-not-found]

_mlflow_check_forkserver.main.main(int(sys.argv[1]), *sys.argv[2:])
