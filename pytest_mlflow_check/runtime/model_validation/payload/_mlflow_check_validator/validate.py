# Runs in a process of its own: Python 3.9 or later (that of the launch), standard library and MLflow.
"""One model: registered, loaded, and asked for a prediction."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, Optional

from . import requirements
from .errors import described
from .serialize import digest, plain, same


def validate(uri: str, name: Optional[str], note: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Registers a model under a free name, loads `models:/NAME/1`, and predicts with its input example.

    Args:
        uri: what `mlflow.register_model` takes; for a version that is registered already `models:/NAME/2`.
        name: the name to register it under; None for a version that is registered already.
        note: takes the answer as far as it is known, before something that may end the process.

    Returns:
        The fields of `records.ModelValidation`, as far as it came.
    """
    import mlflow

    answer: dict[str, Any] = {"uri": uri, "registered": name is None, "loaded": False}
    # Whatever the model's code raises, SystemExit included, is the answer, not the end of this process.
    try:
        if name is not None:
            version = mlflow.register_model(uri, name)
            if version.status != "READY":
                return {
                    **answer,
                    "error": f"the version's status is {version.status}: {version.status_message}",
                }
            answer["registered"] = True
            uri = f"models:/{name}/{version.version}"
        directory = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        metadata = mlflow.models.Model.load(str(directory))
        note(answer)
        model = _load(uri, list(metadata.flavors))
        answer["loaded"] = True
        answer.update(_requirements(directory))
        note(answer)
    except BaseException as error:
        return {**answer, **described(error)}
    if "python_function" in metadata.flavors and metadata.saved_input_example_info:
        answer.update(_predict(model, metadata, str(directory)))
    return answer


def _load(uri: str, flavors: list[str]) -> Any:
    """Loads as pyfunc, or, where a model has no such flavor, with the module of its first flavor."""
    import mlflow

    if "python_function" in flavors:
        return mlflow.pyfunc.load_model(uri)
    return importlib.import_module(f"mlflow.{flavors[0]}").load_model(uri)


def _predict(model: Any, metadata: Any, directory: str) -> dict[str, Any]:
    """Whether it takes its example, and what it answers; nothing where it answers differently each time."""
    try:
        example = metadata.load_input_example(directory)
        params = metadata.load_input_example_params(directory)
        given = {"params": params} if params else {}
        # An example may be changed by who is asked with it.
        answers = [plain(model.predict(deepcopy(example), **given)) for _ in range(2)]
    except BaseException as error:
        return {"predicted": False, **described(error)}
    prediction = answers[0] if same(*answers) else None
    return {"predicted": True, "example": digest([example, params]), "prediction": prediction}


def _requirements(directory: Path) -> dict[str, Any]:
    # What can't be read here is nothing that the model does wrong.
    with suppress(Exception):
        listed = requirements.read_requirements(directory)
        if listed is not None:
            return {
                "unmet": requirements.unmet(listed),
                "unlisted": requirements.unlisted(directory, listed),
            }
    return {}
