# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Keeps MLflow at the launch's own store, whatever the code asks for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import lru_cache, wraps
from types import FrameType, ModuleType
from typing import Any, NoReturn

from .mlflow_internals import HTTP_REQUEST, OPEN_STORE
from .recorder import Recorder
from .uris import canonical, depends_on_directory, is_of_mlflow, masked, text_of
from .wrappers import parameters

_STORE_URIS = ("store_uri", "tracking_uri", "workspace_uri")
"""Ends of the parameters that name a store; an `artifact_uri` names none."""

_REFUSED = "pytest-mlflow-check: no launch talks to another MLflow server"

_Function = Callable[..., Any]


class Guard:
    """Knows the own store, and what to do about others.

    Attributes:
        uri: of the own store.
    """

    def __init__(self, recorder: Recorder, uri: str, launch: str, block: bool) -> None:
        self.uri = uri
        # On some systems the temporary directory is a link.
        self._launch = os.path.join(os.path.realpath(launch), "")
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

    def keeps_artifacts_at(self, location: str) -> bool:
        """Whether artifacts at a location stay in the launch: below its directory, or in its own server."""
        kind, path = canonical(location)
        if kind == "file":
            return path.startswith(self._launch)
        # With a host behind two slashes it is another server's.
        ours = location.startswith("mlflow-artifacts:/") and not location.startswith("mlflow-artifacts://")
        return ours and self.uri.startswith("http:")

    def is_own_host(self, host: str) -> bool:
        """Whether a request to a host goes to the own store, a server."""
        return self.uri.startswith("http:") and f"{host.rstrip('/')}/".startswith(f"{self.uri.rstrip('/')}/")

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

    def reject(self, uri: Any, how: str, frame: FrameType | None) -> NoReturn:
        """Notes an attempt that can't be led back, and raises.

        Raises:
            RuntimeError: always.
        """
        refusal = self._note(uri, how, frame, what="refused")
        raise RuntimeError(refusal if self._block else f"{_REFUSED}: {masked(text_of(uri))}")

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

    def _note(
        self, uri: Any, how: str, frame: FrameType | None, by_mlflow: bool = True, what: str = "redirect"
    ) -> str:
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
                recorder.note(what, shown, how, None, None, site)
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
            return not guard.keeps_artifacts_at(text_of(location))
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


def guard_requests(module: ModuleType, guard: Guard) -> None:
    """`http_request(host_creds, endpoint, method)`: the last door of what goes to a server.

    Whoever comes here has made a store, a registry or an artifact repository by itself, past the doors
    before. There is no store to lead it to, so it is refused.

    Raises:
        RuntimeError: what the wrapped function raises for another server's tracking, registry or artifacts.
    """
    original: _Function = getattr(module, HTTP_REQUEST)

    @wraps(original)
    def http_request(host_creds: Any, endpoint: Any, method: Any, *args: Any, **kwargs: Any) -> Any:
        host = str(getattr(host_creds, "host", None) or "")
        # The address of an artifact is in what MLflow calls the host.
        if not guard.is_own_host(host) and is_of_mlflow(f"{host}{endpoint}"):
            guard.reject(host, f"{method} {endpoint}", sys._getframe(1))
        return original(host_creds, endpoint, method, *args, **kwargs)

    setattr(module, HTTP_REQUEST, http_request)


def guard_login(module: ModuleType, guard: Guard) -> None:
    """`mlflow.login()`: asks Databricks for the user with a client that isn't MLflow's, and sets the URI."""
    original: _Function = module.login

    @wraps(original)
    def login(*_args: Any, **_kwargs: Any) -> None:
        guard.divert("databricks", "mlflow.login", sys._getframe(1))

    module.login = login  # type: ignore[attr-defined]
