"""Real MLflow in this process: whatever the body does, MLflow is afterwards as it was before."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.plugin.isolation import RunLeftOpen, isolated_mlflow

MLFLOW_3 = int(version("mlflow").split(".")[0]) >= 3
only_mlflow_3 = pytest.mark.skipif(not MLFLOW_3, reason="MLflow 2 has no active model")


@pytest.fixture(scope="module", autouse=True)
def loaded_mlflow(real_mlflow: ModuleType) -> None:
    """Binds the module's names for MLflow, which takes seconds to import: only once a test here runs."""
    global autologging_utils, fluent, import_hooks, logging_and_warnings, logging_utils, mlflow, safety
    global ModelRegistryStoreRegistry, TrackingStoreRegistry
    global registry_utils, tracing_fluent, tracing_provider, tracking_utils
    import mlflow
    import mlflow.deployments
    from mlflow.tracing import fluent as tracing_fluent
    from mlflow.tracing import provider as tracing_provider
    from mlflow.tracking import fluent
    from mlflow.tracking._model_registry import utils as registry_utils
    from mlflow.tracking._model_registry.registry import ModelRegistryStoreRegistry
    from mlflow.tracking._tracking_service import utils as tracking_utils
    from mlflow.tracking._tracking_service.registry import TrackingStoreRegistry
    from mlflow.utils import autologging_utils, import_hooks, logging_utils
    from mlflow.utils.autologging_utils import logging_and_warnings, safety


def estimator() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def isolated(store: Store, body: Callable[[], Any]) -> None:
    with isolated_mlflow(store):
        body()


def fit() -> None:
    estimator().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])


def all_values(variable: Any) -> dict[int, Any]:
    """What one of MLflow's thread-local variables holds; a stack as the ids of its runs."""
    variable.get()
    return {
        thread: [run.info.run_id for run in value] if isinstance(value, list) else value
        for thread, value in variable.get_all_thread_values().items()
    }


def state() -> dict[str, Any]:
    """Everything that MLflow keeps globally, read without the code under test."""
    controller = vars(logging_and_warnings._WARNINGS_CONTROLLER)
    lasting = set(controller) - {"_state_lock", "_original_showwarning"}
    logger = logging.getLogger("mlflow")
    found = {
        "environment": {
            name: value for name, value in os.environ.items() if "MLFLOW" in name or "DATAB" in name
        },
        "tracking uri": tracking_utils._tracking_uri,
        "tracking uri in use": mlflow.get_tracking_uri(),
        "registry uri": registry_utils._registry_uri,
        "registry uri in use": mlflow.get_registry_uri(),
        "experiment": fluent._active_experiment_id,
        "runs": all_values(fluent._active_run_stack),
        "run stack itself": id(fluent._active_run_stack.get()),
        "last run": all_values(fluent._last_active_run_id),
        "system metrics": dict(fluent.run_id_to_system_metrics_monitor),
        "store": tracking_utils._get_store() if tracking_utils.is_tracking_uri_set() else None,
        "tracking store cache": vars(TrackingStoreRegistry)["_get_store_with_resolved_uri"],
        "registry store cache": vars(ModelRegistryStoreRegistry)["_get_store_with_resolved_uri"],
        "artifact repositories": dict(tracking_utils._artifact_repos_cache),
        "autologging": {
            name: dict(config)
            for name, config in autologging_utils.AUTOLOGGING_INTEGRATIONS.items()
            if config
        },
        "autologging off": autologging_utils._AUTOLOGGING_GLOBALLY_DISABLED,
        "patches": {name: set(patches) for name, patches in safety._AUTOLOGGING_PATCHES.items()},
        "clean-ups": dict(getattr(safety, "_AUTOLOGGING_CLEANUP_CALLBACKS", {})),
        "import hooks": {name: list(hooks) for name, hooks in import_hooks._post_import_hooks.items()},
        "import error hooks": dict(import_hooks._import_error_hooks),
        "import hook finder": import_hooks._import_hook_finder_init,
        "finders": [finder for finder in sys.meta_path if isinstance(finder, import_hooks.ImportHookFinder)],
        "warnings": {
            name: set(controller[name]) if isinstance(controller[name], set) else controller[name]
            for name in lasting
        },
        "showwarning": warnings.showwarning,
        "log stream": logging_utils.MLFLOW_LOGGING_STREAM.enabled,
        "logger": (logger.level, logger.propagate, logger.disabled, list(logger.handlers)),
        "last trace": (
            tracing_fluent._LAST_ACTIVE_TRACE_ID_GLOBAL,
            tracing_fluent._LAST_ACTIVE_TRACE_ID_THREAD_LOCAL.get(),
        ),
        "model from code": mlflow.models.model.__mlflow_model__,
        "model config": mlflow.models.model_config.__mlflow_model_config__,
        "deployments target": mlflow.deployments.utils._deployments_target,
        "retrievers": getattr(mlflow.models.dependencies_schemas, "retrievers", "never set"),
    }
    if MLFLOW_3:
        from mlflow.tracing import config
        from mlflow.utils import workspace_context, workspace_utils

        destination = tracing_provider._MLFLOW_TRACE_USER_DESTINATION
        found |= {
            "active model": (mlflow.get_active_model_id(), id(fluent._ACTIVE_MODEL_CONTEXT.get())),
            "last model": all_values(fluent._last_logged_model_id),
            "tracer": dict(vars(tracing_provider.provider)),
            "tracing done": tracing_provider.provider.once._done,
            "trace destination": (destination._global_value, destination._context_local_value.get()),
            "tracing configuration": config._MLFLOW_TRACING_CONFIG,
            "workspace": (workspace_context._WORKSPACE.get(), workspace_utils._workspace_store_uri),
        }
    else:
        found |= {
            "tracer": tracing_provider._MLFLOW_TRACER_PROVIDER,
            "tracing done": tracing_provider._MLFLOW_TRACER_PROVIDER_INITIALIZED.done,
            "trace destination": tracing_provider._MLFLOW_TRACE_USER_DESTINATION,
        }
    return found


@contextmanager
def nothing_changes() -> Iterator[None]:
    before = state()
    try:
        yield
    finally:
        after = state()
        assert {name for name in before if before[name] != after[name]} == set()
        assert before == after


@pytest.fixture(autouse=True)
def _outside(tmp_path: Path) -> Iterator[None]:
    """A place of its own for what a test does outside the isolation, and MLflow reset after it.

    Without the code under test, or a fault in it would hide itself from the next test.
    """
    environment, directory = dict(os.environ), Path.cwd()
    outside = tmp_path / "outside"
    outside.mkdir()
    os.chdir(outside)
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    os.environ["MLFLOW_TRACKING_URI"] = (outside / "mlruns").as_uri()
    # writing traces in the background costs a second each time
    os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "false"
    yield
    while mlflow.active_run() is not None:
        mlflow.end_run()
    tracking_utils._tracking_uri = registry_utils._registry_uri = fluent._active_experiment_id = None
    mlflow.tracing.reset()
    fluent._last_active_run_id.set(None)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def new_store(tmp_path: Path) -> Callable[[], Store]:
    names = iter("abcdef")
    return lambda: Store("file", tmp_path / f"store_{next(names)}")


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()


def runs_in(store: Store) -> list[Any]:
    """The runs of a store, newest first, read after the isolation."""
    client = mlflow.MlflowClient(tracking_uri=store.uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments))


# --- inside ---------------------------------------------------------------------------------------------


def test_what_is_logged_inside_is_in_the_store_and_nowhere_else(store: Store) -> None:
    with nothing_changes(), isolated_mlflow(store):
        assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == store.uri
        with mlflow.start_run() as run:
            mlflow.log_metric("loss", 0.5, step=1)
        mlflow.MlflowClient().create_registered_model("m")
    assert [found.info.run_id for found in runs_in(store)] == [run.info.run_id]
    assert [model.name for model in mlflow.MlflowClient(store.uri, store.uri).search_registered_models()] == [
        "m"
    ]
    assert mlflow.search_runs(output_format="list") == []
    assert mlflow.MlflowClient().search_registered_models() == []


def test_variables_inside(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "17")
    monkeypatch.setenv("_MLFLOW_ACTIVE_MODEL_ID", "m-17")
    monkeypatch.setenv("DATABRICKS_HOST", "https://example.com")
    monkeypatch.setenv("NOT_MLFLOW_ITSELF", "kept")
    before = dict(os.environ)
    with isolated_mlflow(store):
        assert {name: value for name, value in os.environ.items() if before.get(name) != value} == {
            "MLFLOW_TRACKING_URI": store.uri,
            "MLFLOW_REGISTRY_URI": store.uri,
        }
        assert {name for name in os.environ if "MLFLOW" in name or "DATABRICKS" in name} == {
            "MLFLOW_TRACKING_URI",
            "MLFLOW_REGISTRY_URI",
            "MLFLOW_ALLOW_FILE_STORE",
            "MLFLOW_DISABLE_TELEMETRY",
            "NOT_MLFLOW_ITSELF",
        }
        with mlflow.start_run() as run:
            assert run.info.experiment_id == "0"
    assert dict(os.environ) == before


def test_two_uses_have_separate_stores(new_store: Callable[[], Store]) -> None:
    first, second = new_store(), new_store()
    for store in (first, second):
        with nothing_changes(), isolated_mlflow(store):
            assert mlflow.last_active_run() is None
            assert mlflow.search_runs(output_format="list") == []
            mlflow.set_experiment("mine")
            with mlflow.start_run(run_name=store.root.name):
                pass
    assert [run.info.run_name for run in runs_in(first)] == [first.root.name]
    assert [run.info.run_name for run in runs_in(second)] == [second.root.name]


def test_a_store_made_anew_at_a_former_path(store: Store) -> None:
    for _ in range(2):
        with nothing_changes(), isolated_mlflow(store):
            with mlflow.start_run():
                pass
            assert len(mlflow.search_runs(output_format="list")) == 1
        shutil.rmtree(store.root)


def test_sqlite(tmp_path: Path) -> None:
    store = Store("sqlite", tmp_path / "store")
    with nothing_changes(), isolated_mlflow(store):
        with mlflow.start_run() as run:
            mlflow.log_metric("loss", 0.5)
            mlflow.log_text("text", "file.txt")
        mlflow.MlflowClient().create_registered_model("m")
        assert str(store.database) in open_files()
    assert str(store.database) not in open_files()
    assert [found.name for found in store.artifact_root.rglob("*.txt")] == ["file.txt"]
    assert run.info.artifact_uri.startswith(store.artifact_root.as_uri())
    assert not Path("mlruns", "0", run.info.run_id).exists()


def open_files() -> set[str]:
    return {os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()}


# --- one piece of state each ----------------------------------------------------------------------------


def test_tracking_and_registry_uri_never_set(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with nothing_changes(), isolated_mlflow(store):
        pass
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert "MLFLOW_REGISTRY_URI" not in os.environ
    # a URI that was ever set would go first
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///somewhere")
    assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == "file:///somewhere"


def test_tracking_and_registry_uri_set_before_and_by_the_body(store: Store, tmp_path: Path) -> None:
    mlflow.set_tracking_uri((tmp_path / "mine").as_uri())
    mlflow.set_registry_uri((tmp_path / "registry").as_uri())
    with nothing_changes(), isolated_mlflow(store):
        assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == store.uri
        mlflow.set_tracking_uri((tmp_path / "other").as_uri())
        mlflow.set_registry_uri((tmp_path / "other").as_uri())
    assert mlflow.get_tracking_uri() == (tmp_path / "mine").as_uri()
    assert mlflow.get_registry_uri() == (tmp_path / "registry").as_uri()


def test_experiment_set_inside(store: Store) -> None:
    with nothing_changes(), isolated_mlflow(store):
        experiment = mlflow.set_experiment("inside")
        with mlflow.start_run() as run:
            pass
        assert run.info.experiment_id == experiment.experiment_id
    with mlflow.start_run() as run:
        assert run.info.experiment_id == "0"


def test_experiment_set_before(store: Store) -> None:
    experiment = mlflow.set_experiment("before")
    with nothing_changes(), isolated_mlflow(store), mlflow.start_run() as run:
        assert run.info.experiment_id == "0"
    with mlflow.start_run() as run:
        assert run.info.experiment_id == experiment.experiment_id


def test_runs_active_before(store: Store) -> None:
    with mlflow.start_run() as parent, mlflow.start_run(nested=True) as child:
        with nothing_changes(), isolated_mlflow(store):
            assert mlflow.active_run() is None
            with mlflow.start_run():
                mlflow.log_metric("loss", 0.5)
        assert mlflow.active_run().info.run_id == child.info.run_id
        assert mlflow.get_run(child.info.run_id).info.status == "RUNNING"
        mlflow.log_metric("loss", 0.25)
    assert mlflow.active_run() is None
    for run in (parent, child):
        assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"
    assert mlflow.get_run(child.info.run_id).data.metrics == {"loss": 0.25}
    assert mlflow.get_run(parent.info.run_id).data.metrics == {}


def test_last_active_run(store: Store) -> None:
    with mlflow.start_run() as before:
        pass
    with nothing_changes(), isolated_mlflow(store):
        assert mlflow.last_active_run() is None
        with mlflow.start_run():
            pass
    assert mlflow.last_active_run().info.run_id == before.info.run_id


@only_mlflow_3
@pytest.mark.parametrize("before", [True, False])
def test_active_model(store: Store, before: bool) -> None:
    if before:
        mlflow.set_active_model(name="before")
    with nothing_changes(), isolated_mlflow(store):
        assert mlflow.get_active_model_id() is None
        assert mlflow.last_logged_model() is None
        mlflow.set_active_model(name="inside")
        mlflow.clear_active_model()
        mlflow.set_active_model(name="inside")
    mlflow.clear_active_model()


@only_mlflow_3
def test_telemetry(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.telemetry import client

    with monkeypatch.context() as patch:
        patch.setattr(client, "_MLFLOW_TELEMETRY_CLIENT", before := object())
        with isolated_mlflow(store):
            assert client.get_telemetry_client() is None
        assert client.get_telemetry_client() is before


@only_mlflow_3
def test_workspace(store: Store) -> None:
    from mlflow.utils import workspace_context

    with workspace_context.WorkspaceContext("before"):
        with nothing_changes(), isolated_mlflow(store):
            assert workspace_context.get_request_workspace() is None
            workspace_context.set_workspace("inside")
        assert workspace_context.get_request_workspace() == "before"


def test_variables_added_changed_and_deleted_by_the_body(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "17")
    monkeypatch.setenv("DATABRICKS_TOKEN", "secret")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with nothing_changes(), isolated_mlflow(store):
        os.environ["MLFLOW_RUN_ID"] = "18"
        os.environ["DATABRICKS_HOST"] = "https://example.com"
        os.environ["MLFLOW_ADDED"] = "1"
        del os.environ["MLFLOW_ALLOW_FILE_STORE"]
        mlflow.enable_system_metrics_logging()


def test_models_from_code(store: Store) -> None:
    with nothing_changes(), isolated_mlflow(store):
        mlflow.models.set_model(lambda model_input: model_input)
        mlflow.models.set_retriever_schema(primary_key="id", text_column="text")
        mlflow.models.model_config._set_model_config({"a": 1})
        mlflow.deployments.set_deployments_target("databricks")


def test_log_stream_and_logger(store: Store) -> None:
    with nothing_changes(), isolated_mlflow(store):
        logging_utils.disable_logging()
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        logging.getLogger("mlflow").addHandler(logging.NullHandler())
        logging.getLogger("mlflow").propagate = True
        logging_and_warnings.NonMlflowWarningsBehaviorForCurrentThread(True, True)._enter_impl()


def test_store_objects(new_store: Callable[[], Store]) -> None:
    before = tracking_utils._get_store()
    for store in [new_store(), new_store()]:
        with isolated_mlflow(store):
            for number in range(60):
                tracking_utils._get_store((store.root / str(number)).as_uri())
    assert tracking_utils._get_store() is before


# --- autologging ----------------------------------------------------------------------------------------


@pytest.fixture
def autologging() -> Iterator[None]:
    """Turns autologging off after a test that turned it on outside."""
    pytest.importorskip("sklearn")
    hooks = dict(import_hooks._post_import_hooks)
    yield
    mlflow.autolog(disable=True)
    mlflow.sklearn.autolog(disable=True)
    for config in autologging_utils.AUTOLOGGING_INTEGRATIONS.values():
        config.clear()
    import_hooks._post_import_hooks.clear()
    import_hooks._post_import_hooks.update(hooks)


def turn_on_sklearn() -> None:
    mlflow.sklearn.autolog(log_models=False, log_datasets=False, silent=True)


def turn_on_everything() -> None:
    mlflow.autolog(log_models=False, log_datasets=False, silent=True)


@pytest.mark.parametrize("turn_on", [turn_on_sklearn, turn_on_everything])
def test_autologging_turned_on_inside(store: Store, autologging: None, turn_on: Callable[[], None]) -> None:
    methods = dict(vars(type(estimator())))
    with nothing_changes(), isolated_mlflow(store):
        turn_on()
        fit()
        assert len(mlflow.search_runs(output_format="list")) == 1
    assert dict(vars(type(estimator()))) == methods
    fit()
    assert mlflow.search_runs(output_format="list") == []


@pytest.mark.parametrize("turn_on", [turn_on_sklearn, turn_on_everything])
@pytest.mark.parametrize(
    "body", [lambda: None, turn_on_sklearn, turn_on_everything, lambda: mlflow.autolog(disable=True)]
)
def test_autologging_on_before(
    store: Store, autologging: None, turn_on: Callable[[], None], body: Callable[[], None]
) -> None:
    fit_as_it_is = vars(type(estimator()))["fit"]
    turn_on()
    methods = dict(vars(type(estimator())))
    assert methods["fit"] is not fit_as_it_is
    with nothing_changes(), isolated_mlflow(store):
        assert vars(type(estimator()))["fit"] is fit_as_it_is
        assert autologging_utils.autologging_is_disabled("sklearn")
        fit()
        assert mlflow.search_runs(output_format="list") == []
        body()
    assert dict(vars(type(estimator()))) == methods
    fit()
    assert len(mlflow.search_runs(output_format="list")) == 1
    mlflow.sklearn.autolog(disable=True)
    assert vars(type(estimator()))["fit"] is fit_as_it_is


def test_autologging_switched_off_globally(store: Store) -> None:
    with autologging_utils.disable_autologging(), nothing_changes(), isolated_mlflow(store):
        assert not autologging_utils._AUTOLOGGING_GLOBALLY_DISABLED


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a library that can be imported and wasn't yet."""
    name = "library_with_autologging"
    (tmp_path / f"{name}.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)
    import_hooks._post_import_hooks.pop(name, None)


def test_import_hooks_of_the_body_never_fire_outside(store: Store, library: str) -> None:
    fired: list[Any] = []
    with nothing_changes(), isolated_mlflow(store):
        import_hooks.register_post_import_hook(fired.append, library)
        import_hooks.register_import_error_hook(fired.append, library)
    __import__(library)
    assert fired == []


def test_import_hooks_from_before_fire_when_the_body_is_over(store: Store, library: str) -> None:
    seen: list[str] = []
    import_hooks.register_post_import_hook(lambda module: seen.append(mlflow.get_tracking_uri()), library)
    with isolated_mlflow(store):
        __import__(library)
        assert seen == []
    assert seen == [mlflow.get_tracking_uri()]
    assert seen != [store.uri]
    assert import_hooks._post_import_hooks[library] == []


# --- tracing and logging in the background --------------------------------------------------------------


def trace_once() -> None:
    with mlflow.start_span("span"):
        pass


def traces_in(uri: str, experiment: str = "0") -> list[str]:
    """The traces of a file store; in 2.x listed without MLflow, which skips those without spans."""
    if MLFLOW_3:
        return [trace.info.trace_id for trace in mlflow.MlflowClient(uri).search_traces([experiment])]
    return [trace.name for trace in Path(uri.removeprefix("file://")).glob(f"{experiment}/traces/*")]


@pytest.mark.parametrize("before", [True, False])
def test_traces(store: Store, before: bool) -> None:
    if before:
        trace_once()
    threads = set(threading.enumerate())
    with nothing_changes(), isolated_mlflow(store):
        assert mlflow.get_last_active_trace_id() is None
        assert mlflow.get_last_active_trace_id(thread_local=True) is None
        trace_once()
    assert set(threading.enumerate()) == threads
    assert len(traces_in(store.uri)) == 1
    trace_once()
    assert len(traces_in(mlflow.get_tracking_uri())) == (2 if before else 1)
    assert len(traces_in(store.uri)) == 1


def test_traces_without_batches(store: Store) -> None:
    threads = set(threading.enumerate())
    with nothing_changes(), isolated_mlflow(store):
        os.environ["MLFLOW_USE_BATCH_SPAN_PROCESSOR"] = "false"
        trace_once()
    assert len(traces_in(store.uri)) == 1
    assert set(threading.enumerate()) == threads


def test_tracing_disabled_before(store: Store) -> None:
    mlflow.tracing.disable()
    with nothing_changes(), isolated_mlflow(store):
        trace_once()
    assert len(traces_in(store.uri)) == 1
    trace_once()
    assert traces_in(mlflow.get_tracking_uri()) == []


def test_tracing_disabled_by_the_body(store: Store) -> None:
    with nothing_changes(), isolated_mlflow(store):
        mlflow.tracing.disable()
    trace_once()
    assert len(traces_in(mlflow.get_tracking_uri())) == 1


def set_trace_destination(experiment: str, **context_local: bool) -> None:
    if MLFLOW_3:
        from mlflow.entities.trace_location import MlflowExperimentLocation as Destination
    else:
        from mlflow.tracing.destination import MlflowExperiment as Destination
    mlflow.tracing.set_destination(Destination(experiment_id=experiment), **context_local)


@pytest.mark.parametrize("context_local", [{}, pytest.param({"context_local": True}, marks=only_mlflow_3)])
def test_trace_destination(store: Store, context_local: dict[str, bool]) -> None:
    experiment = mlflow.create_experiment("traces")
    set_trace_destination(experiment, **context_local)
    with nothing_changes(), isolated_mlflow(store):
        trace_once()
        set_trace_destination("0", **context_local)
    assert len(traces_in(store.uri)) == 1
    trace_once()
    assert len(traces_in(mlflow.get_tracking_uri(), experiment)) == 1


@only_mlflow_3
def test_tracing_configuration(store: Store) -> None:
    seen: list[str] = []
    mlflow.tracing.configure(span_processors=[lambda span: seen.append("before")])
    with nothing_changes(), isolated_mlflow(store):
        trace_once()
        mlflow.tracing.configure(span_processors=[lambda span: seen.append("inside")])
    assert seen == []
    trace_once()
    assert seen == ["before"]


@pytest.mark.parametrize("body_raises", [True, False])
def test_what_is_logged_asynchronously_is_written(store: Store, body_raises: bool) -> None:
    threads = set(threading.enumerate())

    def body() -> None:
        client = mlflow.MlflowClient()
        run = client.create_run("0")
        for step in range(50):
            client.log_metric(run.info.run_id, "loss", step, step=step, synchronous=False)
        if body_raises:
            raise ZeroDivisionError

    with nothing_changes(), suppress(ZeroDivisionError):
        isolated(store, body)
    [run] = runs_in(store)
    history = mlflow.MlflowClient(tracking_uri=store.uri).get_metric_history(run.info.run_id, "loss")
    assert len(history) == 50
    assert set(threading.enumerate()) == threads


def test_artifacts_logged_asynchronously_are_written(store: Store) -> None:
    image = pytest.importorskip("PIL.Image").effect_noise((800, 800), 50)
    with nothing_changes(), isolated_mlflow(store), mlflow.start_run():
        for step in range(10):
            mlflow.log_image(image, key="picture", step=step, synchronous=False)
    assert len(list(store.root.rglob("picture*.png"))) == 10


# --- runs left open, and bodies that raise --------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ZeroDivisionError, KeyboardInterrupt, pytest.skip.Exception], ids=lambda error: error.__name__
)
def test_the_body_raises(store: Store, error: type[BaseException]) -> None:
    raised = error("mine")

    def body() -> None:
        mlflow.set_experiment("inside")
        mlflow.start_run()
        os.environ["MLFLOW_ADDED"] = "1"
        mlflow.set_registry_uri("file:///nowhere")
        raise raised

    with mlflow.start_run(), nothing_changes(), pytest.raises(error) as info:
        isolated(store, body)
    assert info.value is raised
    assert [run.info.status for run in runs_in(store)] == ["FAILED"]


def test_run_left_open(store: Store) -> None:
    def body() -> None:
        mlflow.start_run(run_name="forgotten")
        mlflow.log_metric("loss", 0.5)

    with nothing_changes(), pytest.raises(RunLeftOpen) as info:
        isolated(store, body)
    [run] = runs_in(store)
    assert run.info.status == "KILLED"
    assert run.info.end_time is not None
    assert run.data.metrics == {"loss": 0.5}
    assert isinstance(info.value, UserError)
    assert str(info.value).splitlines()[:2] == [
        "a run was left open:",
        f"    'forgotten' (id {run.info.run_id}), ended as KILLED now",
    ]
    assert "with mlflow.start_run():" in str(info.value)
    assert "mlflow.end_run()" in str(info.value)


def test_run_that_a_logging_call_started(store: Store) -> None:
    with nothing_changes(), pytest.raises(RunLeftOpen):
        isolated(store, lambda: mlflow.log_param("a", 1))
    assert [run.info.status for run in runs_in(store)] == ["KILLED"]


def test_nested_runs_left_open(store: Store) -> None:
    def body() -> None:
        mlflow.start_run(run_name="parent")
        mlflow.start_run(run_name="child", nested=True)

    with nothing_changes(), pytest.raises(RunLeftOpen) as info:
        isolated(store, body)
    lines = str(info.value).splitlines()
    assert lines[0] == "2 runs were left open:"
    assert [line.split("'")[1] for line in lines[1:3]] == ["child", "parent"]
    assert [run.info.status for run in runs_in(store)] == ["KILLED", "KILLED"]


def test_run_left_open_in_a_store_of_the_bodys_own(store: Store, tmp_path: Path) -> None:
    other = Store("file", tmp_path / "other")

    def body() -> None:
        mlflow.set_tracking_uri(other.uri)
        mlflow.start_run()
        mlflow.set_tracking_uri(store.uri)
        mlflow.search_experiments()

    with nothing_changes(), pytest.raises(RunLeftOpen):
        isolated(store, body)
    assert [run.info.status for run in runs_in(other)] == ["KILLED"]
    assert runs_in(store) == []


def test_run_ended_in_the_store_only(store: Store) -> None:
    with (
        nothing_changes(),
        pytest.raises(RunLeftOpen, match="FINISHED in the store but still the active run"),
    ):
        isolated(store, lambda: mlflow.MlflowClient().set_terminated(mlflow.start_run().info.run_id))
    assert [run.info.status for run in runs_in(store)] == ["FINISHED"]


@pytest.mark.parametrize("body_raises", [True, False])
def test_run_left_open_in_a_store_deleted_by_the_body(store: Store, body_raises: bool) -> None:
    def body() -> None:
        mlflow.start_run()
        shutil.rmtree(store.root)
        if body_raises:
            raise ZeroDivisionError

    with nothing_changes(), pytest.raises((RunLeftOpen, ZeroDivisionError)) as info:
        isolated(store, body)
    if body_raises:
        assert info.type is ZeroDivisionError
    else:
        assert "in no store any more" in str(info.value)


def test_system_metrics_of_a_run_left_open(store: Store) -> None:
    pytest.importorskip("psutil")
    threads = set(threading.enumerate())
    with nothing_changes(), pytest.raises(RunLeftOpen):
        isolated(store, lambda: mlflow.start_run(log_system_metrics=True))
    assert set(threading.enumerate()) == threads


# --- nesting and threads --------------------------------------------------------------------------------


def test_nested_use(new_store: Callable[[], Store]) -> None:
    outer, inner = new_store(), new_store()
    with nothing_changes(), isolated_mlflow(outer):
        mlflow.set_experiment("outer")
        with mlflow.start_run(run_name="outer"):
            with nothing_changes(), isolated_mlflow(inner), mlflow.start_run(run_name="inner"):
                mlflow.log_metric("loss", 1)
            mlflow.log_metric("loss", 2)
        [run] = mlflow.search_runs(output_format="list")
        assert (run.info.run_name, run.data.metrics) == ("outer", {"loss": 2})
    assert [(run.info.run_name, run.data.metrics) for run in runs_in(inner)] == [("inner", {"loss": 1})]


def test_nested_use_with_a_run_left_open(new_store: Callable[[], Store]) -> None:
    outer, inner = new_store(), new_store()
    with nothing_changes(), isolated_mlflow(outer), mlflow.start_run():
        with nothing_changes(), pytest.raises(RunLeftOpen):
            isolated(inner, mlflow.start_run)
        mlflow.log_metric("loss", 0.5)
    assert [run.info.status for run in runs_in(outer)] == ["FINISHED"]
    assert [run.info.status for run in runs_in(inner)] == ["KILLED"]


def test_nested_use_of_the_same_store(store: Store) -> None:
    with nothing_changes(), isolated_mlflow(store), mlflow.start_run():
        with nothing_changes(), isolated_mlflow(store), mlflow.start_run():
            pass
        mlflow.log_metric("loss", 0.5)
    assert [run.info.status for run in runs_in(store)] == ["FINISHED", "FINISHED"]


def in_thread(function: Callable[[], Any], name: str) -> None:
    thread = threading.Thread(target=function, name=name)
    thread.start()
    thread.join()


def test_run_left_open_in_a_thread(store: Store) -> None:
    def body() -> None:
        in_thread(mlflow.start_run, "worker")
        with mlflow.start_run():
            pass

    with nothing_changes(), pytest.raises(RunLeftOpen, match="in the thread 'worker'"):
        isolated(store, body)
    assert sorted(run.info.status for run in runs_in(store)) == ["FINISHED", "KILLED"]


def test_runs_left_open_in_threads_with_the_same_id(store: Store) -> None:
    def body() -> None:
        in_thread(mlflow.start_run, "one")
        in_thread(mlflow.start_run, "two")

    with nothing_changes(), pytest.raises(RunLeftOpen, match="2 runs were left open"):
        isolated(store, body)
    assert [run.info.status for run in runs_in(store)] == ["KILLED", "KILLED"]


def test_threads_from_before(store: Store) -> None:
    with ThreadPoolExecutor(max_workers=1) as pool:

        def body() -> None:
            assert pool.submit(mlflow.active_run).result() is None
            pool.submit(mlflow.start_run).result()

        before = pool.submit(mlflow.start_run).result()
        with nothing_changes(), pytest.raises(RunLeftOpen):
            isolated(store, body)
        assert pool.submit(mlflow.active_run).result().info.run_id == before.info.run_id
        pool.submit(mlflow.log_metric, "loss", 0.5).result()
        pool.submit(mlflow.end_run).result()
    assert mlflow.get_run(before.info.run_id).data.metrics == {"loss": 0.5}
    assert [run.info.status for run in runs_in(store)] == ["KILLED"]


# --- importing ------------------------------------------------------------------------------------------


def test_mlflow_is_imported_on_entering(tmp_path: Path) -> None:
    """In a process of its own, which has not imported MLflow yet."""
    script = """
        import logging, os, pathlib, sys
        from pytest_mlflow_check.plugin.isolation import isolated_mlflow
        from pytest_mlflow_check.core.store import Store
        assert not {"mlflow", "numpy", "pandas"} & set(sys.modules)
        before = dict(os.environ)
        with isolated_mlflow(Store("file", pathlib.Path("store").resolve())):
            import mlflow
            assert mlflow.get_tracking_uri().endswith("/store")
            assert mlflow.active_run() is None
            mlflow.autolog()
        assert dict(os.environ) == before
        assert "ImportHookFinder" not in {type(finder).__name__ for finder in sys.meta_path}
        assert mlflow.get_tracking_uri() == "file:///before"
        assert logging.getLogger("mlflow").handlers == []
        if mlflow.__version__ > "3":
            from mlflow.telemetry import get_telemetry_client
            assert get_telemetry_client() is None
    """
    environment = {name: value for name, value in os.environ.items() if "MLFLOW" not in name and name != "CI"}
    environment |= {"MLFLOW_TRACKING_URI": "file:///before", "MLFLOW_CONFIGURE_LOGGING": "false"}
    # What MLflow 2.22.0 calls it; 2.22.5 takes both.
    environment["MLFLOW_LOGGING_CONFIGURE_LOGGING"] = "false"
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    environment.pop("PYTEST_CURRENT_TEST", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
