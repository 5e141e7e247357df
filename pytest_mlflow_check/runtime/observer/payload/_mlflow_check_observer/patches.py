# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Wraps MLflow's functions as soon as the module that defines them is loaded, or was before."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from types import ModuleType
from typing import Any

from . import call_arguments, is_mlflow, mlflow_internals, process_log
from .gc_pause import without_collector
from .recorder import Recorder
from .store_guard import (
    Guard,
    guard_client,
    guard_experiments,
    guard_login,
    guard_registry,
    guard_requests,
    guard_setter,
)
from .wrappers import Describer, Function, ending_call, inner_call, logging_call, metric_call, starting_call

_Patch = Callable[[ModuleType], None]


class _Loader:
    """Stands for a module's loader until the module is executed."""

    def __init__(self, loader: Any, load: Callable[[ModuleType, Callable[[], None]], None]) -> None:
        self._loader = loader
        self._load = load

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # The module never sees this one; it asks its loader for sources and resources.
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._load(module, lambda: self._loader.exec_module(module))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class Patches:
    """What to do with which module of MLflow's, when it is loaded."""

    def __init__(self, recorder: Recorder, guard: Guard, *, launch: str, observe: bool) -> None:
        self._recorder = recorder
        self._guard = guard
        self._launch = launch
        self._artifacts = call_arguments.artifacts(recorder.directory)
        self._active_run: Function = lambda: None
        self._by_name: dict[str, tuple[_Patch, ...]] = {
            "mlflow": (_nothing,),
            mlflow_internals.CLIENT: (self._guarded_client,),
            mlflow_internals.TRACKING_UTILS: (self._tracking_utils,),
            mlflow_internals.REGISTRY_UTILS: (self._registry_utils,),
            mlflow_internals.REST: (self._rest,),
            mlflow_internals.CREDENTIALS: (self._credentials,),
            **dict.fromkeys(mlflow_internals.STORE_REGISTRIES, (self._store_registry,)),
        }
        self._flavors: tuple[_Patch, ...] = ()
        if observe:
            self._flavors = (self._flavor,)
            for name, patch in {
                mlflow_internals.CLIENT: self._client,
                mlflow_internals.FLUENT: self._fluent,
                mlflow_internals.MODEL: self._model,
                mlflow_internals.PROJECTS: self._projects,
                mlflow_internals.SUBMITTED: self._submitted,
                mlflow_internals.REGISTRY_FLUENT: self._registering,
                mlflow_internals.QUEUE: self._queue,
            }.items():
                self._by_name[name] = (*self._by_name.get(name, ()), patch)

    def find_spec(self, asked: Any, name: str, path: Any, target: Any) -> Any:
        """The spec of a module of MLflow's, as the other finders give it, with the patch built in.

        Args:
            asked: the finder on `sys.meta_path` that asks.
            name, path, target: what it was asked.
        """
        patches = self._of(name)
        if not patches:
            return None
        for finder in list(sys.meta_path):
            find = None if finder is asked else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, partial(self._load, name, patches))
                return spec
        return None

    def catch_up(self) -> None:
        """Makes up for what was missed, where MLflow was loaded before."""
        loaded = {
            name: module
            for name, module in sys.modules.copy().items()
            if is_mlflow(name) and isinstance(module, ModuleType)
        }
        try:
            self._found(loaded["mlflow"])
        except RuntimeError:
            # This is no place to raise: the code's own `import mlflow` asks again now, and is refused.
            for name in loaded:
                del sys.modules[name]
            return
        wrapped: dict[tuple[str, int], Any] = {}
        for name, module in loaded.items():
            for patch in self._of(name):
                wrapped |= _changed(patch, module)
        # Modules that imported a function would go on calling the one that isn't wrapped. They keep it by its
        # own name (3.17.2, 2.22.5); to look at all that they keep would copy much memory of a forked process.
        names = {name for name, _ in wrapped}
        for module in loaded.values():
            held = vars(module)
            for name in names & held.keys():
                setattr(module, name, wrapped.get((name, id(held[name])), held[name]))

    def _of(self, name: str) -> tuple[_Patch, ...]:
        """The patches for a module of MLflow's."""
        may_be_flavor = name.count(".") == 1 or name in mlflow_internals.DEEPER_FLAVORS
        return self._by_name.get(name, self._flavors if may_be_flavor else ())

    def _load(
        self, name: str, patches: tuple[_Patch, ...], module: ModuleType, execute: Callable[[], None]
    ) -> None:
        if name == "mlflow":
            self._found(module)
            without_collector(execute)
        else:
            execute()
        # A version of MLflow that looks otherwise is observed as far as it looks the same.
        for patch in patches:
            with suppress(Exception):
                patch(module)

    def _found(self, package: ModuleType) -> None:
        process_log.note_mlflow(self._launch)
        self._guard.refuse()
        for directory in getattr(package, "__path__", ()):
            self._recorder.mlflow_found(directory)
            break

    def _log(self, holder: Any, name: str, describer: Describer) -> None:
        original = vars(holder).get(name)
        if callable(original):
            setattr(holder, name, logging_call(original, self._recorder, describer, self._run))

    def _run(self) -> Any:
        return self._active_run()

    def _start(self, holder: Any, name: str) -> None:
        setattr(holder, name, starting_call(getattr(holder, name), self._recorder, name))

    def _end(self, holder: Any, name: str) -> None:
        wrapped = ending_call(getattr(holder, name), self._recorder, self._run, mlflow_internals.EXIT)
        setattr(holder, name, wrapped)

    def _guarded_client(self, module: ModuleType) -> None:
        with suppress(Exception):
            guard_client(module.MlflowClient, self._guard)
        guard_experiments(module.MlflowClient, self._guard)

    def _client(self, module: ModuleType) -> None:
        kind = module.MlflowClient
        for name, describer in {**call_arguments.CLIENT, **self._artifacts}.items():
            with suppress(Exception):
                self._log(kind, name, describer)
        for name in ("set_terminated", "update_run"):
            with suppress(Exception):
                self._end(kind, name)
        with suppress(Exception):
            # The run is always given.
            kind.log_metric = metric_call(kind.log_metric, self._recorder, lambda: None)
        self._start(kind, "create_run")

    def _fluent(self, module: ModuleType) -> None:
        self._active_run = module.active_run
        for name, describer in {**call_arguments.FLUENT, **self._artifacts}.items():
            with suppress(Exception):
                self._log(module, name, describer)
        with suppress(Exception):
            metric = metric_call(module.log_metric, self._recorder, module.active_run)
            module.log_metric = metric  # type: ignore[attr-defined]
        with suppress(Exception):
            self._log(module, "autolog", call_arguments.autolog("mlflow"))
        with suppress(Exception):
            run = module.ActiveRun
            run.__enter__ = inner_call(run.__enter__, self._recorder, call_arguments.enter_run, self._run)
        self._end(module, "end_run")
        self._start(module, "start_run")

    def _flavor(self, module: ModuleType) -> None:
        name = getattr(vars(module).get("autolog"), mlflow_internals.INTEGRATION, None)
        if name is not None:
            self._log(module, "autolog", call_arguments.autolog(name))

    def _model(self, module: ModuleType) -> None:
        kind = module.Model
        function = vars(kind)["log"].__func__
        wrapped = logging_call(function, self._recorder, call_arguments.log_model, self._run)
        kind.log = classmethod(wrapped)

    def _projects(self, module: ModuleType) -> None:
        module.run = inner_call(module.run, self._recorder, call_arguments.run_project, self._run)  # type: ignore[attr-defined]

    def _submitted(self, module: ModuleType) -> None:
        kind, recorder = getattr(module, mlflow_internals.SUBMITTED_CLASS), self._recorder
        original = kind.wait

        @wraps(original)
        def wait(run: Any) -> Any:
            succeeded = original(run)
            with suppress(Exception):
                code = getattr(run, mlflow_internals.SUBMITTED_PROCESS).returncode
                recorder.note("command_ended", "", code, run.run_id, None, recorder.where(sys._getframe(1)))
            return succeeded

        kind.wait = wait

    def _registering(self, module: ModuleType) -> None:
        original = getattr(module, mlflow_internals.REGISTER)
        wrapped = inner_call(original, self._recorder, call_arguments.register_model, self._run)
        setattr(module, mlflow_internals.REGISTER, wrapped)

    def _tracking_utils(self, module: ModuleType) -> None:
        guard_setter(module, "set_tracking_uri", self._guard)
        setattr(module, mlflow_internals.TRACKING_URI, self._guard.uri)

    def _registry_utils(self, module: ModuleType) -> None:
        guard_setter(module, "set_registry_uri", self._guard)

    def _store_registry(self, module: ModuleType) -> None:
        kind = getattr(module, mlflow_internals.STORE_REGISTRIES[module.__name__])
        guard_registry(kind, self._guard)

    def _rest(self, module: ModuleType) -> None:
        guard_requests(module, self._guard)

    def _credentials(self, module: ModuleType) -> None:
        guard_login(module, self._guard)

    def _queue(self, module: ModuleType) -> None:
        kind, recorder = getattr(module, mlflow_internals.QUEUE_CLASS), self._recorder
        flush, work = getattr(kind, mlflow_internals.QUEUE_FLUSH), getattr(kind, mlflow_internals.QUEUE_WORK)

        @wraps(flush)
        def flushing(self: Any, *args: Any, **kwargs: Any) -> Any:
            with suppress(Exception):
                site = recorder.where(sys._getframe(1))
                for pending in getattr(self, mlflow_internals.QUEUE_PENDING).values():
                    pending._mlflow_check_call_site = site
            return flush(self, *args, **kwargs)

        @wraps(work)
        def working(self: Any, pending_operations: Any) -> Any:
            thread = recorder.thread
            thread.behalf = getattr(pending_operations, "_mlflow_check_call_site", None)
            try:
                return work(self, pending_operations)
            finally:
                thread.behalf = None

        setattr(kind, mlflow_internals.QUEUE_FLUSH, flushing)
        setattr(kind, mlflow_internals.QUEUE_WORK, working)


def _nothing(module: ModuleType) -> None:
    """For the package: nothing is defined there, and `_found` looks at it before it is executed."""


def _changed(patch: _Patch, module: ModuleType) -> dict[tuple[str, int], Any]:
    """Patches a module, and gives the functions that stand there now, by name and `id` of those they wrap.

    A wrapper keeps what it wraps, so an `id` doesn't come to stand for another.
    """
    before = dict(vars(module))
    with suppress(Exception):
        patch(module)
    now = vars(module)
    return {
        (name, id(old)): now[name] for name, old in before.items() if callable(old) and now[name] is not old
    }
