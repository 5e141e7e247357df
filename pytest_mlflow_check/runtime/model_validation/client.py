"""Whether the models of a launch register, load and predict, found out in processes of their own.

What lies in `payload/` runs there, with the interpreter of the launch.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_mlflow_check.core.records import Model, ModelValidation, StoreRecord
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.runtime.process.runner import Call, Ended, Processes

_GRACE = 30.0
"""Seconds for the start of the process, which loads MLflow."""

_PAYLOAD = Path(__file__).with_name("payload")


@dataclass(frozen=True)
class ModelToValidate:
    """A model to validate, or a version that the project registered itself.

    Attributes:
        uri: `Model.uri`, or `models:/NAME/VERSION`.
        registered: whether it is such a version.
        loader: the module of its flavor `python_function`.
    """

    uri: str
    registered: bool = False
    loader: str | None = None


def models_to_validate(record: StoreRecord) -> tuple[list[ModelToValidate], list[ModelValidation]]:
    """What of a launch's store can be validated, and the validations of what can't: models left half-written.

    Versions that were made from one of the models aren't validated twice.
    """
    models = [model for run in record.runs for model in run.models.values()]
    # A model without flavors has nothing to load: one that only stands for something elsewhere
    # (`create_external_model`, `set_active_model` of MLflow 3).
    ready = [
        ModelToValidate(model.uri, loader=model.loader)
        for model in models
        if model.status == "READY" and model.flavors
    ]
    half = [
        ModelValidation(model.uri, False, False, f"log_model left it {model.status}")
        for model in models
        if model.status != "READY"
    ]
    known = {source for model in models for source in _sources(model)}
    versions = [
        ModelToValidate(f"models:/{registered.name}/{version.version}", registered=True)
        for registered in record.registered_models
        for version in registered.versions
        if version.source and version.source.removeprefix("file://") not in known
    ]
    return ready + versions, half


def validate_models(
    models: Sequence[ModelToValidate],
    *,
    directory: Path,
    env: Mapping[str, str],
    withheld: Iterable[Path],
    interpreter: Path,
    processes: Processes,
    timeout: float,
) -> list[ModelValidation]:
    """Registers each model in a throw-away registry, loads it back through `models:/NAME/1`, and predicts.

    The registry is one of its own: the store of the launch stays as the launch left it.

    Args:
        models: what to validate.
        directory: a directory that doesn't exist yet; the process stands in an empty one below it.
        env: the launch's environment.
        withheld: nothing below these directories is importable: the project's own modules must not be found.
        interpreter: the Python of the launch.
        processes: what starts the process.
        timeout: seconds for all models together.

    Returns:
        The validations; none of a model that wasn't tried, since the ones before took all the time.
    """
    if not models:
        return []
    stand, answers = directory / "empty", directory / "answers"
    stand.mkdir(parents=True)
    answers.mkdir()
    request = directory / "request.json"
    withheld = [path.absolute() for path in withheld]
    request.write_text(json.dumps(_request(models, withheld, timeout)), encoding="utf-8")
    arguments = [str(request), str(answers)]
    call = Call(_PAYLOAD, "_mlflow_check_validator.main", "main", arguments, [str(_PAYLOAD), *arguments])
    ended = processes.run(
        [str(interpreter), str(_PAYLOAD), *arguments],
        # The process that forks runs with this process's own interpreter.
        call=call if interpreter == Path(sys.executable) else None,
        cwd=stand,
        env=_environment(env, directory, withheld),
        stdout=directory / "stdout.txt",
        stderr=directory / "stderr.txt",
        # The process keeps the time itself, model by model; this is for when it can't.
        timeout=timeout + _GRACE,
    )
    validations = (
        _validation(answers / f"{number}.json", model, ended, directory / "stderr.txt")
        for number, model in enumerate(models)
    )
    return [validation for validation in validations if validation is not None]


def _request(models: Sequence[ModelToValidate], withheld: Iterable[Path], seconds: float) -> dict[str, Any]:
    asked = [
        {
            "uri": model.uri,
            "name": None if model.registered else f"model-{number}",
            "loader": model.loader,
        }
        for number, model in enumerate(models)
    ]
    return {"withheld": [str(path) for path in withheld], "models": asked, "seconds": seconds}


def _validation(answer: Path, model: ModelToValidate, ended: Ended, stderr: Path) -> ModelValidation | None:
    if answer.exists():
        said = json.loads(answer.read_text(encoding="utf-8"))
        return None if said.get("untried") else ModelValidation.from_json(said)
    why = "didn't end in time" if ended.exit_code is None else f"ended with exit code {ended.exit_code}"
    error = f"the process that registers and loads it {why}; see {stderr}"
    return ModelValidation(model.uri, model.registered, False, error)


def _environment(env: Mapping[str, str], directory: Path, withheld: Sequence[Path]) -> dict[str, str]:
    registry = Store("file", directory / "registry")
    # The process clears its path itself, but not before Python has looked there for a sitecustomize.
    paths = [
        entry
        for entry in env.get("PYTHONPATH", "").split(os.pathsep)
        if os.path.isabs(entry) and not any(Path(entry).is_relative_to(path) for path in withheld)
    ]
    return dict(env) | {"MLFLOW_REGISTRY_URI": registry.uri, "PYTHONPATH": os.pathsep.join(paths)}


def _sources(model: Model) -> list[str]:
    """What a version made from the model can have as its source."""
    return [model.uri, str(model.path), *([f"models:/{model.model_id}"] if model.model_id else [])]
