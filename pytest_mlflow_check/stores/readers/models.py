"""The models of a run: MLflow 3's logged models, and directories with an `MLmodel` file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_mlflow_check.core.records import Model
from pytest_mlflow_check.stores.readers.artifacts import MLMODEL, local_directory
from pytest_mlflow_check.stores.readers.safe_files import Content, text_or_none

# `LoggedModelStatus.from_int` of MLflow 3.17.2; 0 is UNSPECIFIED, which isn't final either.
_STATUS = {0: "PENDING", 1: "PENDING", 2: "READY", 3: "FAILED"}


@dataclass(frozen=True)
class LoggedModel:
    """A logged model as an MLflow 3 store describes it.

    Attributes:
        model_id: `m-…`.
        name: `name=` of `log_model`.
        run_id: the run that logged it, or None.
        status: `READY`, `PENDING` or `FAILED`.
        created: milliseconds since the epoch.
        location: where its files lie: a `file:` URI or a path.
    """

    model_id: str
    name: str
    run_id: str | None
    status: str
    created: int
    location: str


def logged_model_status(status: object) -> str:
    """`READY`, `PENDING` or `FAILED` for a status as stores hold it, a number or a text."""
    if isinstance(status, int):
        return _STATUS.get(status, "FAILED")
    return status if isinstance(status, str) and status in _STATUS.values() else "FAILED"


def run_models(
    run_id: str,
    logged: Iterable[LoggedModel],
    directories: Mapping[str, Path],
    content: Content | None = None,
) -> dict[str, Model]:
    """The models of a run by name; a second one of the same name is `name#2`, a third `name#3`.

    Args:
        run_id: the run.
        logged: its logged models, which come first, in the order of their creation.
        directories: its model directories by artifact path.
        content: the store, which is told what couldn't be read.
    """
    content = content or Content(Path())
    oldest_first = sorted(logged, key=lambda model: (model.created, model.model_id))
    found = [_of_logged_model(model, content) for model in oldest_first]
    found += [
        _of_directory(run_id, path, directory, content) for path, directory in sorted(directories.items())
    ]
    models: dict[str, Model] = {}
    for model in found:
        models[_free_name(model.name, models)] = model
    return models


def _of_logged_model(model: LoggedModel, content: Content) -> Model:
    # A location elsewhere (`s3://…`) is kept for its text; nothing can be read there.
    directory = local_directory(model.location)
    return Model(
        name=model.name,
        uri=f"models:/{model.model_id}",
        path=directory or Path(model.location),
        status=model.status,
        model_id=model.model_id,
        **({} if directory is None else _described(directory, content)),
    )


def _of_directory(run_id: str, path: str, directory: Path, content: Content) -> Model:
    return Model(name=path, uri=f"runs:/{run_id}/{path}", path=directory, **_described(directory, content))


def _free_name(name: str, taken: Mapping[str, Model]) -> str:
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}#{count}"
    return free


def _described(directory: Path, content: Content) -> dict[str, Any]:
    """Flavors, signature and loader, as the MLmodel file has them."""
    # Where a model lies outside of the store, links lead where it is.
    store = content if directory.is_relative_to(content.root) else replace(content, root=directory)
    mlmodel = store.mapping(directory / MLMODEL)
    flavors = mlmodel.get("flavors")
    flavors = flavors if isinstance(flavors, dict) else {}
    function = flavors.get("python_function")
    loader = function.get("loader_module") if isinstance(function, dict) else None
    return {
        "flavors": tuple(sorted(map(str, flavors))),
        "signature": _signature(mlmodel.get("signature")),
        "loader": text_or_none(loader),
    }


def _signature(signature: object) -> str | None:
    if not isinstance(signature, dict):
        return None
    parts = {part: _parsed(signature.get(part)) for part in ("inputs", "outputs", "params")}
    return json.dumps(parts, sort_keys=True, default=str)


def _parsed(part: object) -> Any:
    # `ModelSignature.to_dict` (MLflow 3.17.2 and 2.22.5) writes each part as JSON inside the YAML.
    try:
        return json.loads(part) if isinstance(part, str) else part
    except ValueError:
        return part
