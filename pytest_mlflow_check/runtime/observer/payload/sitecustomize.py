# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Switches the observer on when Python starts, and hands over to the `sitecustomize` it stands before.

It is for the Pythons that have no `.pth` file of ours (see `observer.inject`).
"""

import os
import sys


def _switch_on() -> None:
    try:
        import _mlflow_check_observer  # type: ignore[import-not-found]

        _mlflow_check_observer.switch_on()
    except Exception:
        # Unobserved is better than not started.
        pass


def _hand_over() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # Written so, it stands for nothing (see `observer.inject`). What is added to nothing, as in
    # PYTHONPATH=src:$PYTHONPATH, leaves an empty entry: the current directory.
    instead = [os.getcwd()] if len(given) > 1 and os.path.join(here, ".") in given else []
    # The variable PYTHONPATH keeps it, for the processes this one starts.
    path: list[str] = []
    for entry in sys.path:
        path += instead if os.path.abspath(entry) == here else [entry]
    sys.path[:] = path
    own = sys.modules.pop("sitecustomize", None)
    try:
        # Found now further down the path. What it raises goes to Python, which reports it as always.
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ModuleNotFoundError as missing:
        if missing.name != "sitecustomize":
            raise
        if own is not None:
            sys.modules["sitecustomize"] = own


_switch_on()
_hand_over()
