"""The registered models in the two kinds of store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pytest_mlflow_check.core.records import RegisteredModel

# A version taken back stays in both stores with this stage
# (`mlflow.entities.model_registry.model_version_stages`, MLflow 3.17.2 and 2.22.5).
DELETED_STAGE = "Deleted_Internal"
# Prompts are kept as registered models with this tag; `search_registered_models` leaves them out.
PROMPT_TAG = "mlflow.prompt.is_prompt"


def registered_models(models: Iterable[RegisteredModel]) -> tuple[RegisteredModel, ...]:
    """The registered models by name, the versions of each from the lowest number to the highest."""
    return tuple(
        replace(model, versions=tuple(sorted(model.versions, key=lambda version: int(version.version))))
        for model in sorted(models, key=lambda model: model.name)
    )


def aliases_of(version: str, aliases: Mapping[str, str]) -> tuple[str, ...]:
    """The sorted names of those `aliases`, version by alias, that point to `version`."""
    return tuple(sorted(alias for alias, target in aliases.items() if target == version))
