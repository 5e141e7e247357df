# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""The part of pytest-mlflow-check that runs inside the user's processes.

It has to do with nothing but the standard library, works with every Python that MLflow supports, never
raises into the user's code (but for the guard, where it is told to block) and never changes what is logged.

This module is loaded by every Python process of a launch, the others when MLflow is imported or led
elsewhere: `os` and `sys` are there anyway.
"""

from __future__ import annotations

import os
import sys

from . import crash_log, process_log, thread_dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .patches import Patches
    from .store_guard import Guard

VARIABLE = "PYTEST_MLFLOW_CHECK_OBSERVER"
"""Names the file with the settings of the launch; `observer.inject` writes it."""

_STORES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
_KEYS = {key: name for name in _STORES for key in (name, os.fsencode(name))}


def switch_on(file: str | None = None) -> None:
    """Guards the environment of this process, and waits for MLflow to be imported, or finds it loaded.

    Nothing happens where it is on already: a process may come here by its `.pth` file and by PYTHONPATH.

    Args:
        file: the file with the settings; the one that the variable names by default.
    """
    file = file or os.environ.get(VARIABLE)
    if not file or any(isinstance(finder, Observer) for finder in sys.meta_path):
        return
    with open(file, encoding="utf-8") as lines:
        _, restored, text = lines.read().split("\n", 2)
    for assignment in restored.split("\0"):
        # What the launch was given, where somebody started this process without it.
        name, _, value = assignment.partition("=")
        os.environ.setdefault(name, value)
    thread_dumps.switch_on()
    observer = Observer(text, os.path.dirname(file))
    process_log.note_start(observer.directory)
    crash_log.switch_on(observer.directory)
    for name in _STORES:
        uri = os.environ.get(name)
        # As it stands in the settings, the URI needs no closer look.
        if uri and f'"uri": "{uri}"' not in text:
            guard = observer.guard
            if guard is not None:
                os.environ[name] = guard.correct(name, uri)
    for environ in (os.environ, getattr(os, "environb", None)):
        if environ is not None:
            environ.__class__ = _watching(type(environ), observer)
    sys.meta_path.insert(0, observer)
    if "mlflow" in sys.modules:
        observer.catch_up()


def note_unobserved() -> None:
    """Notes that MLflow was half loaded when the observer was switched on, so that calls are missed."""
    for finder in sys.meta_path:
        if isinstance(finder, Observer):
            process_log.note_unobserved(finder.directory)


class Observer:
    """Stands first on `sys.meta_path`, and gets the rest when it is needed.

    Attributes:
        directory: that of the launch.
    """

    def __init__(self, text: str, directory: str) -> None:
        self.directory = directory
        self._text = text
        self._start = os.getcwd()
        self._parts: tuple[Guard, Patches] | None = None
        self._broken = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """As a finder must; None for all but some modules of MLflow's, which are wrapped when loaded."""
        if not is_mlflow(name):
            return None
        parts = self._load()
        return parts[1].find_spec(self, name, path, target) if parts is not None else None

    def catch_up(self) -> None:
        """Observes MLflow in a process that has loaded it before, such as one forked from a fork server."""
        parts = self._load()
        if parts is not None:
            parts[1].catch_up()

    @property
    def guard(self) -> Guard | None:
        """Knows the own store; None where the settings can't be read."""
        parts = self._load()
        return parts[0] if parts is not None else None

    def _load(self) -> tuple[Guard, Patches] | None:
        if self._parts is not None or self._broken:
            return self._parts
        self._broken = True
        try:
            import json

            from .patches import Patches
            from .recorder import Recorder
            from .store_guard import Guard

            settings = json.loads(self._text)
            recorder = Recorder(settings["file"], settings["directory"], settings["root"], self._start)
            guard = Guard(recorder, settings["uri"], self.directory, settings["block"])
            patches = Patches(recorder, guard, launch=self.directory, observe=settings["observe"])
            self._parts = guard, patches
            self._broken = False
        except Exception:
            pass
        return self._parts


def is_mlflow(name: str) -> bool:
    """Whether a module is MLflow's."""
    return name == "mlflow" or name.startswith("mlflow.")


def _watching(kind: Any, observer: Observer) -> Any:
    """The class of `os.environ`, with assignments looked at."""

    def __setitem__(self: Any, key: Any, value: Any) -> None:
        name = _KEYS.get(key) if isinstance(key, (str, bytes)) else None
        if name is not None and value and isinstance(value, (str, bytes)):
            guard = observer.guard
            if guard is not None:
                value = guard.assigned(name, value, sys._getframe(1))
        kind.__setitem__(self, key, value)

    return type(kind.__name__, (kind,), {"__setitem__": __setitem__, "__module__": kind.__module__})
