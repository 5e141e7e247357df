"""Failures that come of the store which a launch is given: it is a file store by default, and it is empty.

The texts are those of MLflow 3.17.2 and 2.22.5; where they are raised is said beside them.
"""

from __future__ import annotations

import re

from pytest_mlflow_check.checks.tracebacks import Death
from pytest_mlflow_check.core.records import Launch

_NEEDS_DATABASE = (
    # mlflow.store.tracking._sql_backend_utils, mlflow.store.tracking.file_store
    r"\b(?P<call>\w{1,100}) is not supported with FileStore",
    r"(?P<call>Linking \w+ to \w+) is not supported in FileStore",
    # mlflow.genai.scorers.registry
    r"(?P<call>Scorer registration) functionality is unavailable; got unsupported URI 'file:",
    # mlflow.store.tracking.gateway.config_resolver
    r"(?P<call>Gateway endpoint configuration) is only supported with SqlAlchemyStore backends\. "
    r"Current store type: FileStore",
    # mlflow.store.tracking.abstract_store, mlflow.store.model_registry.abstract_store. Unlinking traces is
    # implemented for no local store.
    r"^NotImplementedError: The (?P<call>Correlations API) is not implemented for FileStore",
    r"^NotImplementedError: FileStore does not support `?(?P<call>\w+)",
    r"^NotImplementedError: (?P<call>FileStore)$",
)

_REGISTERED = (
    # mlflow.store.model_registry.file_store and .sqlalchemy_store
    (r"Registered Model with name=(?P<name>[^\n]{1,200}?) not found", "model"),
    (r"Model Version \(name=(?P<name>[^\n]{1,200}?), version=[^\s)]{1,20}\) not found", "model"),
    # mlflow.store.model_registry.abstract_store
    (r"Prompt with name=(?P<name>[^\n]{1,200}?) not found", "prompt"),
    (r"Prompt '(?P<name>[^'\n]{1,200})' version \S{1,20} does not exist", "prompt"),
    # mlflow.store.tracking.sqlalchemy_store
    (r"Dataset with name '(?P<name>[^'\n]{1,200})' not found", "dataset"),
    (r"Scorer with name '(?P<name>[^'\n]{1,200})' not found", "scorer"),
)

_LOGGED = (
    r"Run (?:with id=|')(?P<name>[0-9a-f]{32})'? not found",
    r"(?:Logged model with ID|Model) '(?P<name>m-[0-9a-f]{32})' not found",
)
"""mlflow.store.tracking.file_store and .sqlalchemy_store."""


def own_store_failure(launch: Launch, died: Death) -> tuple[str, str] | None:
    """Return why a launch's own store made it fail, and what to change; None for all other failures."""
    return _needs_database(launch, died.without_code) or _not_there(launch, died.without_code)


def _needs_database(launch: Launch, text: str) -> tuple[str, str] | None:
    if not launch.store_uri.startswith("file:"):
        return None
    for pattern in _NEEDS_DATABASE:
        if found := re.search(pattern, text, re.MULTILINE):
            call = "What was called" if found["call"] == "FileStore" else found["call"]
            return (
                f"{call} needs a database, and this launch's store is a file store: pytest-mlflow-check "
                "chose it, by its setting `store`. The default of MLflow 3 itself is a SQLite database.",
                'start pytest with  --mlflow-store=sqlite, or write  store = "sqlite"  in mlflow-check.toml',
            )
    return None


def _not_there(launch: Launch, text: str) -> tuple[str, str] | None:
    for pattern, kind in _REGISTERED:
        if found := re.search(pattern, text):
            return (
                f"The code wants the {kind} {found['name']}, which isn't in this launch's registry: each "
                "launch starts with an empty one of its own, and the registry of your team isn't reached.",
                _FIXES[kind],
            )
    for pattern in _LOGGED:
        found = re.search(pattern, text)
        if found and not _of_launch(launch, found["name"]):
            what = "model" if found["name"].startswith("m-") else "run"
            return (
                f"The code wants the {what} {found['name']} of another store: each launch starts with an "
                "empty one of its own, and the server of your team isn't reached.",
                _FIXES["run"],
            )
    return None


def _of_launch(launch: Launch, name: str) -> bool:
    """Whether a run or model was there while the launch ran; the code may have deleted it."""
    return any(run.run_id == name for run in launch.runs) or any(
        call.run_id == name for call in launch.observations
    )


_PATH = (
    "take {what} from a parameter or a variable, and have the case give the path of a small one in the "
    'repository:  [[case]]  env = {{ {variable} = "{path}" }}'
)

_FIXES = {
    "model": _PATH.format(what="the model's URI", variable="BASE_MODEL", path="models/base"),
    "run": _PATH.format(what="the URI or path", variable="BASE_MODEL", path="models/base"),
    "prompt": "register it first where it is missing, or read it from a file that the case names:  [[case]]  "
    'env = { PROMPT_FILE = "prompts/base.txt" }',
    "dataset": "create it first where it is missing:  mlflow.genai.datasets.create_dataset(…)",
    "scorer": "register it first where it is missing:  scorer.register(…)",
}
"""What to do where something isn't there, by its kind."""
