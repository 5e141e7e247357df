"""A throw-away store for the running process, and MLflow as it was before once it is over.

MLflow is imported when `isolated_mlflow` is entered, not with this module.

What lies outside MLflow can't be put back: autologging of Spark, which goes on in the JVM; what
`mlflow.otel.autolog()` adds to OpenTelemetry's global tracer provider; `sys.path` entries and modules that
`load_model` adds. Nor is a span taken away that was active before: spans inside become its children.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.store import Store

if TYPE_CHECKING:
    from pytest_mlflow_check.plugin.isolation.mlflow_internals import MLflowState

_PREFIXES = ("MLFLOW_", "_MLFLOW_", "DATABRICKS_", "OTEL_EXPORTER_")


class RunLeftOpen(UserError):
    """A run was still active when its store was put away."""


@contextmanager
def isolated_mlflow(store: Store) -> Iterator[None]:
    """Makes a store the tracking store and model registry of this process for a while.

    Inside, MLflow is as if it had just been imported, with `store` set: no active run, experiment or
    model, autologging off, and of the variables `MLFLOW_*` and `DATABRICKS_*` only those that name the
    store, allow it to be a file store and keep telemetry off. Afterwards all that MLflow keeps globally is
    as it was, also when the body raises: a run that was active before is active again and was not ended.
    Uses may be nested.

    Args:
        store: where MLflow logs to meanwhile. MLflow makes it if it isn't there.

    Raises:
        RunLeftOpen: the body left a run active, in this thread or another. The run is ended as `KILLED`.
            An exception of the body's own goes first; the run is then ended as `FAILED`.
    """
    # Imported with the user's variables, since some are looked at then and never again. Telemetry is one
    # of these too, and would start sending.
    with _environment({**_variables(), "MLFLOW_DISABLE_TELEMETRY": "true"}):
        import mlflow

        from pytest_mlflow_check.plugin.isolation import mlflow_internals as private

    if store.kind == "sqlite":
        # SQLite makes a file but no directory for it
        store.root.mkdir(parents=True, exist_ok=True)

    state = private.MLflowState()
    with ExitStack() as back:
        # put back last of all: it may turn autologging on for libraries that the body imported
        back.callback(private.set_aside_import_hooks())
        back.enter_context(
            _environment({"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"})
        )
        back.callback(private.set_aside_uris())
        back.callback(private.set_aside_experiment())
        back.callback(private.set_aside_runs(state))
        back.callback(private.set_aside_active_model())
        back.callback(private.set_aside_workspace())
        back.callback(private.set_aside_telemetry())
        back.callback(private.set_aside_model_globals())
        back.callback(private.keep_logging())
        back.callback(private.set_aside_stores(state, store.uri, store.artifact_root.as_uri()))
        back.callback(private.close_database, state, store.uri)
        back.callback(private.set_aside_tracing())
        back.callback(private.set_aside_autologging())
        mlflow.set_tracking_uri(store.uri)
        mlflow.set_registry_uri(store.uri)
        try:
            yield
        except BaseException:
            # what the body raised is what matters; a fault in clearing up may come of it
            with suppress(Exception):
                _clear_up(state, "FAILED")
            raise
        if left_open := _clear_up(state, "KILLED"):
            raise RunLeftOpen(_message(left_open))


def _variables() -> dict[str, str]:
    """The environment variables that belong to MLflow or tell it about Databricks."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PREFIXES)}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Lets there be no variables of MLflow but these, and afterwards those that were there before."""
    former = _variables()
    try:
        _set_variables(variables)
        yield
    finally:
        _set_variables(former)


def _set_variables(variables: Mapping[str, str]) -> None:
    for name in _variables():
        del os.environ[name]
    os.environ.update(variables)


def _clear_up(state: MLflowState, status: str) -> list[str]:
    """Writes what is still to be written and ends the runs that are still active, children first.

    Returns:
        what there is to say about each of these runs.
    """
    from pytest_mlflow_check.plugin.isolation import mlflow_internals as private

    private.flush(state)
    stores = list(dict.fromkeys(uri for uri, _ in state.tracking_stores))
    left_open = []
    for thread, stack in state.run_stacks:
        place = "" if thread is threading.current_thread() else f", in the thread {thread.name!r}"
        for run in reversed(stack):
            private.stop_system_metrics(run.info.run_id)
            now = _end(run.info.run_id, stores, status)
            left_open.append(f"{run.info.run_name!r} (id {run.info.run_id}{place}), {now}")
    return left_open


def _end(run_id: str, stores: list[str], status: str) -> str:
    """Ends a run in the one of the stores that knows it, where it may have ended already."""
    import mlflow

    for uri in stores:
        client = mlflow.MlflowClient(tracking_uri=uri)
        # the run is another store's, or the body deleted the store: each kind says so in its own way
        with suppress(Exception):
            found = client.get_run(run_id).info.status
            if found != "RUNNING":
                return f"{found} in the store but still the active run"
            client.set_terminated(run_id, status)
            return f"ended as {status} now"
    return "in no store any more"


def _message(left_open: list[str]) -> str:
    what = "a run was" if len(left_open) == 1 else f"{len(left_open)} runs were"
    return "\n".join(
        [
            f"{what} left open:",
            *(f"    {run}" for run in left_open),
            "Start a run with `with mlflow.start_run():`, or end it with `mlflow.end_run()`. Where no run is",
            "active, `mlflow.log_param` and its like start one by themselves.",
        ]
    )
