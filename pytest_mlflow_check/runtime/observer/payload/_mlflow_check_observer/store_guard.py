# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Keeps MLflow at the launch's own store, whatever the code asks for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import lru_cache, wraps
from types import FrameType, ModuleType
from typing import Any

from .mlflow_internals import OPEN_STORE
from .recorder import Recorder
from .uris import canonical, depends_on_directory, is_remote, masked, text_of
from .wrappers import parameters

_STORE_URIS = ("store_uri", "tracking_uri", "workspace_uri")
"""Ends of the parameters that name a store; an `artifact_uri` names none."""

_Function = Callable[..., Any]


class Guard:
    """Knows the own store, and what to do about others.

    Attributes:
        uri: of the own store.
    """

    def __init__(self, recorder: Recorder, uri: str, block: bool) -> None:
        self.uri = uri
        self._recorder = recorder
        self._block = block
        self._canonical = canonical(uri)
        self._same = {uri}
        self._refusal: str | None = None

    def is_own(self, uri: Any) -> bool:
        """Whether a URI leads to the own store."""
        if type(uri) is str and uri in self._same:
            return True
        try:
            text = text_of(uri)
            if canonical(text) != self._canonical:
                return False
            if not depends_on_directory(text):
                self._same.add(text)
            return True
        except Exception:
            # What can't be understood is no URI of the own store's.
            return False

    def passes_on(self, location: str) -> bool:
        """Whether artifacts at a location go through the own store, a server."""
        # With a host behind two slashes it is another server's.
        ours = location.startswith("mlflow-artifacts:/") and not location.startswith("mlflow-artifacts://")
        return ours and self.uri.startswith("http:")

    def lead(self, uri: Any, how: str, frame: FrameType | None) -> Any:
        """The URI to use for the given one: itself, if it leads to the own store, else the own one.

        Args:
            uri: None and the empty text stand for the default, and are the own store's too.
            how: what `records.Observation` says about it.
            frame: the one that made the call.

        Raises:
            RuntimeError: where attempts to reach another store are blocked.
        """
        if not uri:
            return self.uri
        if self.is_own(uri):
            return uri
        self.divert(uri, how, frame)
        return self.uri

    def divert(self, uri: Any, how: str, frame: FrameType | None, by_mlflow: bool = True) -> None:
        """Notes an attempt, and raises where they are blocked.

        Args:
            uri, how, frame: as in `lead`.
            by_mlflow: whether to name the function of MLflow that the code called, where it made the attempt.

        Raises:
            RuntimeError: where they are.
        """
        refusal = self._note(uri, how, frame, by_mlflow)
        if self._block:
            raise RuntimeError(refusal)

    def refuse(self) -> None:
        """Raises where this process was started for another store, and that is blocked."""
        if self._refusal is not None:
            raise RuntimeError(self._refusal)

    def correct(self, name: str, uri: str) -> str:
        """The URI to use for the one in a variable with which the process was started."""
        if self.is_own(uri):
            return uri
        refusal = self._note(uri, f"environment variable {name}", None)
        if self._block:
            # Raised while Python starts, it would only be printed.
            self._refusal = self._refusal or refusal
        return self.uri

    def assigned(self, name: str, uri: Any, frame: FrameType) -> Any:
        """The URI to use for one that is assigned to a variable: text or bytes, as it is given."""
        led = self.lead(uri, f'os.environ["{name}"]', frame)
        return os.fsencode(led) if isinstance(uri, bytes) else led

    def _note(self, uri: Any, how: str, frame: FrameType | None, by_mlflow: bool = True) -> str:
        shown = "another store"
        try:
            shown = masked(text_of(uri))
            recorder = self._recorder
            site = recorder.where(frame)
            # A function of MLflow's that takes a URI uses it several times: one attempt all the same.
            through = recorder.through(frame) if by_mlflow else ""
            how = through or how
            attempt = (shown, how, site.source_line)
            if not through or recorder.thread.attempt != attempt:
                recorder.note("redirect", shown, how, None, None, site)
            recorder.thread.attempt = attempt if through else None
        except Exception:
            pass
        return f'pytest-mlflow-check: tracking_uri = "block": {how} leads MLflow to {shown}'


def guard_setter(module: ModuleType, name: str, guard: Guard) -> None:
    """`set_tracking_uri` and `set_registry_uri`: the one argument is the URI."""
    original = getattr(module, name)

    @wraps(original)
    def setter(*args: Any, **kwargs: Any) -> Any:
        if args:
            args = (guard.lead(args[0], f"mlflow.{name}", sys._getframe(1)), *args[1:])
        elif "uri" in kwargs:
            kwargs["uri"] = guard.lead(kwargs["uri"], f"mlflow.{name}", sys._getframe(1))
        return original(*args, **kwargs)

    setattr(module, name, setter)


def guard_client(kind: type, guard: Guard) -> None:
    """`MlflowClient(…)`: every URI it takes."""
    original: _Function = kind.__init__  # type: ignore[misc]
    names = ("tracking_uri", "registry_uri", "workspace_store_uri")

    @wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if not args and not kwargs:
            # As MLflow makes them all the time.
            original(self)
            return
        frame = sys._getframe(1)

        def led(name: str, uri: Any) -> Any:
            return guard.lead(uri, f"MlflowClient({name}=…)", frame) if uri else uri

        rest = args[len(names) :]
        args = tuple(led(name, uri) for name, uri in zip(names, args)) + rest
        kwargs = {name: led(name, uri) if name in names else uri for name, uri in kwargs.items()}
        original(self, *args, **kwargs)

    kind.__init__ = __init__  # type: ignore[misc]


def guard_experiments(kind: type, guard: Guard) -> None:
    """`create_experiment(artifact_location=…)`: the artifacts of all its runs would go there."""
    original: _Function = kind.create_experiment  # type: ignore[attr-defined]

    def is_elsewhere(location: Any) -> bool:
        try:
            if not location or guard.is_own(location):
                return False
            text = text_of(location)
            return is_remote(text) and not guard.passes_on(text)
        except Exception:
            return False

    @wraps(original)
    def create_experiment(self: Any, *args: Any, **kwargs: Any) -> Any:
        location = args[1] if len(args) > 1 else kwargs.get("artifact_location")
        if is_elsewhere(location):
            how = "create_experiment(artifact_location=…)"
            guard.divert(location, how, sys._getframe(1), by_mlflow=False)
            if len(args) > 1:
                args = (args[0], None, *args[2:])
            else:
                kwargs["artifact_location"] = None
        return original(self, *args, **kwargs)

    kind.create_experiment = create_experiment  # type: ignore[attr-defined]


def guard_registry(kind: type, guard: Guard) -> None:
    """The last door: no store of another URI is opened, whoever asks for it.

    MLflow asks for its stores many times per call, and finds them by their URI in a cache. The guard stands
    behind the cache, where only new URIs come by; so a second attempt with the same URI isn't noted here.
    """
    original: _Function = getattr(kind, OPEN_STORE).__wrapped__
    names = parameters(original)[1:]

    @lru_cache(maxsize=100)
    @wraps(original)
    def open_store(self: Any, *args: Any, **kwargs: Any) -> Any:
        frame = sys._getframe(1)
        how = f"{kind.__name__}.get_store"
        given = {**dict(zip(names, args)), **kwargs}
        for name in [name for name in names if name.endswith(_STORE_URIS)]:
            given[name] = guard.lead(given.get(name), how, frame)
        return original(self, **given)

    setattr(kind, OPEN_STORE, open_store)
