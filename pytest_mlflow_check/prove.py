"""Registers models and loads them back; runs as a process of its own, in an empty directory.

`python -m pytest_mlflow_check.prove REQUEST ANSWER`: both are JSON files. The request is a list of model
URIs as `mlflow.register_model` takes them. The answer is a list of objects with `uri`, `registered`,
`loaded` and `error`, written anew after each model, so that a crash loses only what came after it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def prove(uri: str, name: str) -> dict[str, Any]:
    """Registers one model under a name that is free, and loads `models:/NAME/1`."""
    import mlflow

    answer = {"uri": uri, "registered": False, "loaded": False, "error": None}
    # Whatever the model's code raises, SystemExit included, is the answer, not the end of this process.
    try:
        version = mlflow.register_model(uri, name)
        if version.status != "READY":
            return answer | {"error": f"the version's status is {version.status}: {version.status_message}"}
        answer["registered"] = True
        _load(f"models:/{name}/{version.version}")
        answer["loaded"] = True
    except BaseException as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    return answer


def _load(uri: str) -> None:
    """Loads as pyfunc, or, where a model has no such flavor, with the module of its first flavor."""
    import importlib

    import mlflow

    flavors = mlflow.models.get_model_info(uri).flavors
    if "python_function" in flavors:
        mlflow.pyfunc.load_model(uri)
    else:
        importlib.import_module(f"mlflow.{next(iter(flavors))}").load_model(uri)


def main(request: Path, answer: Path) -> None:
    """Proves every model of the request, in order."""
    answers: list[dict[str, Any]] = []
    for number, uri in enumerate(json.loads(request.read_text(encoding="utf-8"))):
        answers.append(prove(uri, f"model-{number}"))
        answer.write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
