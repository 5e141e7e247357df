"""Every use of MLflow's private API, each behind a function that says why there is no public way.

All names were read in MLflow 3.17.2 and 2.22.5. Where a name exists in one of the two only, its function
says so, and does nothing under the other.

MLflow keeps its state in module globals and offers setters for some of them, yet no way to take a state
away and put the very same back: "never set" can't be set. The `set_aside_…` functions do that: each takes
one piece of state away, leaves MLflow as if it had just been imported, and returns the function that puts
the former state back.

Importing this module imports MLflow.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import mlflow
import mlflow.deployments.utils
from mlflow.models import dependencies_schemas, model, model_config
from mlflow.tracing import fluent as tracing_fluent
from mlflow.tracing import provider as tracing_provider
from mlflow.tracing.utils.once import Once
from mlflow.tracking import fluent
from mlflow.tracking._model_registry import utils as registry_utils
from mlflow.tracking._model_registry.registry import ModelRegistryStoreRegistry
from mlflow.tracking._tracking_service import utils as tracking_utils
from mlflow.tracking._tracking_service.registry import TrackingStoreRegistry
from mlflow.utils import autologging_utils, gorilla, import_hooks, logging_utils
from mlflow.utils.autologging_utils import logging_and_warnings, safety

Restore = Callable[[], None]


def _together(*restores: Restore) -> Restore:
    """Joins restorers; the last one goes first, and each has its turn whatever the others raise."""

    def put_back() -> None:
        with ExitStack() as stack:
            for restore in restores:
                stack.callback(restore)

    return put_back


def _replace(holder: Any, name: str, value: Any) -> Restore:
    """Sets an existing attribute; one that doesn't exist is left so, and is removed again if it appears."""
    names = vars(holder)
    if name not in names:
        return lambda: names.pop(name, None)
    former = names[name]
    names[name] = value
    return partial(names.__setitem__, name, former)


def _replace_items(items: dict[Any, Any], fresh: dict[Any, Any]) -> Restore:
    """Replaces what a dict holds and keeps the dict, which other modules have imported by name."""
    former = dict(items)

    def put(content: dict[Any, Any]) -> None:
        items.clear()
        items.update(content)

    put(fresh)
    return partial(put, former)


def _replace_context_variable(holder: Any, name: str) -> Restore:
    """Sets a context variable to None, where there is one of that name.

    By value and not by token, since a token holds in one context only.
    """
    variable: ContextVar[Any] | None = getattr(holder, name, None)
    if variable is None:
        return lambda: None
    former = variable.get()
    variable.set(None)

    def put_back() -> None:
        variable.set(former)

    return put_back


def _replace_thread_local(variable: Any, new_value: Callable[[], Any]) -> Restore:
    """Empties one of MLflow's `ThreadLocalVariable`s for every thread at once.

    Its attributes are exchanged and not the object, which other modules have imported by name.
    """
    former = dict(vars(variable))
    vars(variable).update(vars(type(variable)(default_factory=new_value)))
    return partial(vars(variable).update, former)


def _optional_module(name: str) -> Any:
    """A module that some versions of MLflow don't have; then an object without attributes."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return _NOTHING


class _Nothing:
    """Stands for a module that this MLflow doesn't have."""


_NOTHING = _Nothing()


@dataclass(frozen=True)
class MLflowState:
    """What was opened in MLflow since its state was set aside.

    Attributes:
        run_stacks: every thread that asked for its active run, with its stack of active runs.
        tracking_stores: tracking URI and store object, in the order they were opened.
        registry_stores: the same for the model registry.
    """

    run_stacks: list[tuple[threading.Thread, list[Any]]] = field(default_factory=list)
    tracking_stores: list[tuple[str, Any]] = field(default_factory=list)
    registry_stores: list[tuple[str, Any]] = field(default_factory=list)


def set_aside_uris() -> Restore:
    """`_tracking_uri` and `_registry_uri`: what `set_tracking_uri` and `set_registry_uri` were given.

    The public getters give the URI in use, wherever it comes from, and nothing makes a registry URI unset.
    """
    tracking = _replace(tracking_utils, "_tracking_uri", None)
    registry = _replace(registry_utils, "_registry_uri", None)
    return _together(tracking, registry)


def set_aside_experiment() -> Restore:
    """`fluent._active_experiment_id`: nothing public reads it, and `set_experiment` can't unset it."""
    return _replace(fluent, "_active_experiment_id", None)


def set_aside_runs(state: MLflowState) -> Restore:
    """`fluent._active_run_stack`, `_last_active_run_id`, `_last_logged_model_id` (3.x), for all threads.

    `mlflow.active_run()` sees the top of the current thread's stack only, and `end_run()`, the one way to
    take a run off it, ends the run. The stacks made from now on are noted in `state`: MLflow's own list
    of them forgets a stack when a later thread is given the same thread id.
    """

    def new_stack() -> list[Any]:
        stack: list[Any] = []
        state.run_stacks.append((threading.current_thread(), stack))
        return stack

    restores = [_replace_thread_local(fluent._active_run_stack, new_stack)]
    restores.append(_replace_thread_local(fluent._last_active_run_id, lambda: None))
    if hasattr(fluent, "_last_logged_model_id"):
        restores.append(_replace_thread_local(fluent._last_logged_model_id, lambda: None))
    return _together(*restores)


def set_aside_active_model() -> Restore:
    """`fluent._ACTIVE_MODEL_CONTEXT` (3.x only): what `mlflow.set_active_model` was given.

    `mlflow.clear_active_model()` clears it for all threads for good, and setting it anew looks the model
    up in a store. Its default reads the environment, so the environment has to be set aside first.
    """
    if not hasattr(fluent, "_ACTIVE_MODEL_CONTEXT"):
        return lambda: None
    return _replace_thread_local(fluent._ACTIVE_MODEL_CONTEXT, fluent._ACTIVE_MODEL_CONTEXT.default_factory)


def set_aside_workspace() -> Restore:
    """`workspace_context._WORKSPACE`, `workspace_utils._workspace_store_uri` (3.x only).

    What `mlflow.set_workspace` was given; the public getter mixes it with the environment.
    """
    return _together(
        _replace_context_variable(_optional_module("mlflow.utils.workspace_context"), "_WORKSPACE"),
        _replace(_optional_module("mlflow.utils.workspace_utils"), "_workspace_store_uri", None),
    )


def set_aside_telemetry() -> Restore:
    """`telemetry.client._MLFLOW_TELEMETRY_CLIENT` (3.x only).

    `MLFLOW_DISABLE_TELEMETRY` is looked at when MLflow is imported; a client that exists goes on sending.
    """
    return _replace(_optional_module("mlflow.telemetry.client"), "_MLFLOW_TELEMETRY_CLIENT", None)


def set_aside_model_globals() -> Restore:
    """`__mlflow_model__`, `__mlflow_model_config__`, `retrievers`, `_deployments_target`.

    What `mlflow.models.set_model`, `ModelConfig`, `set_retriever_schema` and `set_deployments_target` were
    given; none of them has a way back.
    """
    return _together(
        _replace(model, "__mlflow_model__", None),
        _replace(model_config, "__mlflow_model_config__", None),
        _replace(dependencies_schemas, dependencies_schemas.DependenciesSchemasType.RETRIEVERS.value, []),
        _replace(mlflow.deployments.utils, "_deployments_target", None),
    )


def set_aside_stores(state: MLflowState, uri: str, artifact_root: str) -> Restore:
    """`_get_store_with_resolved_uri` of the two store registries, and `_artifact_repos_cache`.

    MLflow keeps the last 100 stores it opened. In that cache the stores of a test session would push out
    the one that was in use before, and a store made anew at a former path would be taken for the former
    one. The cache can be cleared as a whole but not read, and no public API tells which stores are open.

    The default artifact root of the store at `uri` is set here too: a process that uses SQLite without a
    server has no other way in 2.x, and in 3.x only an environment variable that makes MLflow believe it
    were a tracking server.
    """
    tracking = _set_aside_store_cache(TrackingStoreRegistry, state.tracking_stores, {uri: artifact_root})
    registry = _set_aside_store_cache(ModelRegistryStoreRegistry, state.registry_stores, {})
    return _together(tracking, registry, _replace(tracking_utils, "_artifact_repos_cache", OrderedDict()))


def _set_aside_store_cache(
    registry: Any, state: list[tuple[str, Any]], artifact_roots: dict[str, str]
) -> Restore:
    """Gives one of the two registries an empty cache that notes what it opens."""
    name = "_get_store_with_resolved_uri"
    former = vars(registry)[name]
    build = inspect.unwrap(former)

    @lru_cache(maxsize=100)
    def get_store(self: Any, uri: str, second: str | None = None) -> Any:
        store = build(self, uri, second or artifact_roots.get(uri))
        state.append((uri, store))
        return store

    setattr(registry, name, get_store)
    return partial(setattr, registry, name, former)


def set_aside_tracing() -> Restore:
    """The tracer provider, the trace destination, the tracing configuration and the last trace's id.

    `_MLFLOW_TRACER_PROVIDER` and `_MLFLOW_TRACER_PROVIDER_INITIALIZED` (2.x) or what the object
    `provider.provider` holds (3.x), `_MLFLOW_TRACE_USER_DESTINATION`, `config._MLFLOW_TRACING_CONFIG`
    (3.x), `fluent._LAST_ACTIVE_TRACE_ID_…`. The public `mlflow.tracing.reset()` throws all of it away, and
    `set_tracking_uri` calls it.
    """
    restores = [
        _replace(tracing_fluent, "_LAST_ACTIVE_TRACE_ID_GLOBAL", None),
        _replace_context_variable(tracing_fluent, "_LAST_ACTIVE_TRACE_ID_THREAD_LOCAL"),
        _set_aside_trace_destination(),
        _replace(tracing_provider, "_MLFLOW_TRACER_PROVIDER", None),
        _replace(tracing_provider, "_MLFLOW_TRACER_PROVIDER_INITIALIZED", Once()),
    ]
    config = _optional_module("mlflow.tracing.config")
    if hasattr(config, "_MLFLOW_TRACING_CONFIG"):
        restores.append(_replace(config, "_MLFLOW_TRACING_CONFIG", config.TracingConfig()))
    if (wrapper := getattr(tracing_provider, "provider", None)) is not None:
        restores.append(_replace_items(vars(wrapper), vars(type(wrapper)())))

    def put_back() -> None:
        # stops the threads of the provider in use, which must not be the one that comes back
        mlflow.tracing.reset()
        _together(*restores)()

    return put_back


def _set_aside_trace_destination() -> Restore:
    """`provider._MLFLOW_TRACE_USER_DESTINATION`: a value in 2.x, a registry with two values in 3.x."""
    registry = tracing_provider._MLFLOW_TRACE_USER_DESTINATION
    if not hasattr(registry, "_context_local_value"):
        return _replace(tracing_provider, "_MLFLOW_TRACE_USER_DESTINATION", None)
    return _together(
        _replace(registry, "_global_value", None),
        _replace_context_variable(registry, "_context_local_value"),
    )


def set_aside_autologging() -> Restore:
    """`AUTOLOGGING_INTEGRATIONS`, `_AUTOLOGGING_GLOBALLY_DISABLED`, `_AUTOLOGGING_PATCHES` and more.

    `mlflow.autolog(disable=True)` turns autologging off, and no public API tells how it was configured or
    which functions of which libraries are patched. Patched attributes are put back as they were, with the
    same function objects. `_AUTOLOGGING_CLEANUP_CALLBACKS` is known to 3.x only.
    """
    patches: dict[str, set[Any]] = safety._AUTOLOGGING_PATCHES
    callbacks: dict[str, list[Any]] = getattr(safety, "_AUTOLOGGING_CLEANUP_CALLBACKS", {})
    integrations: dict[str, dict[str, Any]] = autologging_utils.AUTOLOGGING_INTEGRATIONS
    attributes = [(patch.destination, name) for patch in _all_of(patches) for name in _patched_names(patch)]
    values = [vars(destination).get(name, _NOTHING) for destination, name in attributes]
    for patch in _all_of(patches):
        gorilla.revert(patch)
    bookkeeping = _together(
        _replace_items(patches, {}),
        _replace_items(callbacks, {}),
        _replace(autologging_utils, "_AUTOLOGGING_GLOBALLY_DISABLED", False),
    )
    configured = dict(integrations)
    _replace_items(integrations, {name: {} for name in configured})

    def put_back() -> None:
        for integration in [*patches, *callbacks]:
            safety.revert_patches(integration)
        for (destination, name), value in zip(attributes, values, strict=True):
            if value is not _NOTHING:
                setattr(destination, name, value)
            elif name in vars(destination):
                delattr(destination, name)
        bookkeeping()
        # an integration imported meanwhile is there to stay, unconfigured
        _replace_items(integrations, {**{name: {} for name in integrations}, **configured})

    return put_back


def _all_of(patches: dict[str, set[Any]]) -> Iterator[Any]:
    """The patches of all integrations."""
    for of_integration in patches.values():
        yield from of_integration


def _patched_names(patch: Any) -> tuple[str, str, str]:
    """The attributes that a patch sets: the function itself, the original, the note that it is patched."""
    return patch.name, gorilla._ORIGINAL_NAME % (patch.name,), gorilla._ACTIVE_PATCH % (patch.name,)


def set_aside_import_hooks() -> Restore:
    """`_post_import_hooks`, `_import_error_hooks`, `_import_hook_finder_init` and the finder.

    `mlflow.autolog()` waits with them for libraries that aren't imported yet; nothing takes them back. A
    library that is imported meanwhile gets the hooks that waited for it when they are put back.
    """
    hooks: dict[str, list[Any]] = import_hooks._post_import_hooks
    had_finder = import_hooks._import_hook_finder_init
    restore = _together(_replace_items(hooks, {}), _replace_items(import_hooks._import_error_hooks, {}))

    def put_back() -> None:
        restore()
        if not had_finder and import_hooks._import_hook_finder_init:
            sys.meta_path[:] = [
                finder for finder in sys.meta_path if not isinstance(finder, import_hooks.ImportHookFinder)
            ]
            import_hooks._import_hook_finder_init = False
        for name in [name for name, waiting in hooks.items() if waiting and name in sys.modules]:
            import_hooks.notify_module_loaded(sys.modules[name])

    return put_back


def keep_logging() -> Restore:
    """`_WARNINGS_CONTROLLER`, `MLFLOW_LOGGING_STREAM` and the logger `mlflow`.

    How MLflow shows its own log and the warnings of this thread; `silent=True` changes both for a while.
    What the controller does for all threads is left alone: it counts who wants it, and comes out even.
    """
    controller = logging_and_warnings._WARNINGS_CONTROLLER
    stream = logging_utils.MLFLOW_LOGGING_STREAM
    logger = logging.getLogger("mlflow")
    disabled = controller.get_warnings_disablement_state_for_current_thread()
    rerouted = controller.get_warnings_rerouting_state_for_current_thread()
    stream_enabled = stream.enabled
    shown = logger.level, logger.propagate, logger.disabled, list(logger.handlers)

    def put_back() -> None:
        controller.set_non_mlflow_warnings_disablement_state_for_current_thread(disabled=disabled)
        controller.set_non_mlflow_warnings_rerouting_state_for_current_thread(rerouted=rerouted)
        stream.enabled = stream_enabled
        level, logger.propagate, logger.disabled, logger.handlers = shown
        logger.setLevel(level)

    return put_back


def flush(state: MLflowState) -> None:
    """Waits until everything logged asynchronously has been written, and stops the threads that write.

    `AbstractStore.shut_down_async_logging` and the values of `_artifact_repos_cache`. The public
    `flush_async_logging` opens a store where none is open, which with SQLite takes seconds, and leaves
    threads behind; `flush_artifact_async_logging` starts a run where none is active.
    """
    for _, store in state.tracking_stores:
        store.shut_down_async_logging()
    for repository in list(tracking_utils._artifact_repos_cache.values()):
        repository.flush_async_logging()
    _flush_traces()


def _flush_traces() -> None:
    """`_MLFLOW_TRACER_PROVIDER` (2.x) or `provider.provider` (3.x), `_get_trace_exporter()._async_queue`.

    The public `flush_trace_async_logging` flushes the tracer provider that was set aside too, takes a
    second and leaves threads behind, which take another second to stop.
    """
    wrapper = getattr(tracing_provider, "provider", None)
    tracers = tracing_provider._MLFLOW_TRACER_PROVIDER if wrapper is None else wrapper.get()
    if not hasattr(tracers, "force_flush"):
        # nothing was traced, or tracing is disabled
        return
    tracers.force_flush()
    if (queue := getattr(tracing_provider._get_trace_exporter(), "_async_queue", None)) is not None:
        queue.flush(terminate=True)


def stop_system_metrics(run_id: str) -> None:
    """`fluent.run_id_to_system_metrics_monitor`: the thread that `log_system_metrics=True` starts.

    Only `mlflow.end_run()` stops it, and that works on the current thread's run and the current store.
    """
    if (monitor := fluent.run_id_to_system_metrics_monitor.pop(run_id, None)) is not None:
        monitor.finish()


def close_database(state: MLflowState, uri: str) -> None:
    """`SqlAlchemyStore.engine` of the stores at `uri`: closes the connections to the database file.

    MLflow keeps an engine per URI for the life of the process. Other URIs are left alone: the engine may
    be that of a store which was in use before, and closing one of a database in memory deletes it.
    """
    for opened_uri, store in [*state.tracking_stores, *state.registry_stores]:
        if opened_uri == uri and (engine := getattr(store, "engine", None)) is not None:
            engine.dispose()
