# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Every name of MLflow's that isn't public and that the observer relies on, and why there is no public way.

All were read in MLflow 3.17.2 and 2.22.5. One that another version doesn't have is passed over: then there
is less to see, and nothing breaks.
"""

from __future__ import annotations

CLIENT = "mlflow.tracking.client"
FLUENT = "mlflow.tracking.fluent"
MODEL = "mlflow.models.model"
PROJECTS = "mlflow.projects"
"""Where the public classes and functions are defined: they are wrapped there before anybody imports them from
there, `mlflow/__init__.py` first of all. Wrapped later, in `mlflow` itself, `from mlflow.tracking.fluent
import …` within MLflow would miss it."""

SUBMITTED = "mlflow.projects.submitted_run"
SUBMITTED_CLASS = "LocalSubmittedRun"
SUBMITTED_PROCESS = "command_proc"
"""Keeps the process of an entry point's command. `mlflow run` turns each exit code of it into 1, and tells it
nowhere."""

REGISTRY_FLUENT = "mlflow.tracking._model_registry.fluent"
REGISTER = "_register_model"
"""`Model.log(registered_model_name=…)` doesn't call the public `register_model`, but this, as that does."""

TRACKING_UTILS = "mlflow.tracking._tracking_service.utils"
REGISTRY_UTILS = "mlflow.tracking._model_registry.utils"
"""Define the public `set_tracking_uri` and `set_registry_uri`."""

TRACKING_URI = "_tracking_uri"
"""What `set_tracking_uri` was given. Set to the own store beforehand: where it is None and the variable
MLFLOW_TRACKING_URI was deleted, MLflow takes `./mlruns` or `./mlflow.db`. The public function would also
reset the tracing."""

STORE_REGISTRIES = {
    "mlflow.tracking._tracking_service.registry": "TrackingStoreRegistry",
    "mlflow.tracking._model_registry.registry": "ModelRegistryStoreRegistry",
    "mlflow.tracking._workspace.registry": "WorkspaceStoreRegistry",
}
OPEN_STORE = "_get_store_with_resolved_uri"
"""Opens each store, whichever way its URI came (3.x has one for workspaces too). Many functions take a
`tracking_uri`; this is the one door behind all of them. It is an `lru_cache`."""

REST = "mlflow.utils.rest_utils"
HTTP_REQUEST = "http_request"
"""Makes each request to a tracking server, of stores, registries and artifact repositories alike."""

CREDENTIALS = "mlflow.utils.credentials"
"""Defines the public `login`, which asks Databricks for the user with Databricks' own client."""

EXIT = "_safe_end_run"
"""The function of `fluent` that MLflow registers with `atexit`: nothing else tells the end of the interpreter
from an `end_run()` of the code."""

GET_OR_START = "_get_or_start_run"
"""The function of `fluent` by which `log_param` and the like start a run where none is active: nothing
else tells such a run from one that the code started."""

QUEUE = "mlflow.utils.autologging_utils.client"
QUEUE_CLASS = "MlflowAutologgingQueueingClient"
QUEUE_FLUSH = "flush"
QUEUE_WORK = "_flush_pending_operations"
QUEUE_PENDING = "_pending_ops_by_run_id"
"""Autologging logs from threads of its own, in which no line of the user's is to be found. The line is looked
up when `flush` hands the pending operations over, and kept with them."""

AUTOLOGGING_PATHS = ("/utils/autologging_utils/", "/utils/import_hooks/")
PROJECT_PATHS = ("/projects/", "/cli.py", "/cli/")
"""Below MLflow's directory: what stands there between a call and the user's line says who made the call."""

INTEGRATION = "integration_name"
"""Attribute of the flavors' `autolog` functions, set by the decorator they all have."""

DEEPER_FLAVORS = ("mlflow.pyspark.ml",)
"""Flavors with an `autolog` that don't lie directly below `mlflow`."""
