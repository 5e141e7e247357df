# Runs in a process of its own: Python 3.9 or later (that of the launch), standard library and MLflow.
"""What all validations need, for a process that forks for each: it does this once, before it is asked."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import suppress

from . import requirements

_LOADED = ("mlflow.pyfunc", "mlflow.store.model_registry.file_store", "_mlflow_check_validator.main")
"""What registering, loading and predicting import: read off `sys.modules` after one, MLflow 3.17.2."""

_MAPS = ("mlflow.utils.requirements_utils", "_init_modules_to_packages_map")
"""MLflow looks through all that is installed when it loads a model, and keeps what it found in the module, in
MLflow 3.17.2 and 2.22.5. It takes half of the time of a validation."""


def prepare() -> Iterator[None]:
    """Does a piece of it at a time; a later MLflow that has a part no more does it when it needs it."""
    for name in _LOADED:
        with suppress(ImportError):
            importlib.import_module(name)
        yield
    with suppress(ImportError, AttributeError):
        module, function = _MAPS
        getattr(importlib.import_module(module), function)()
    yield
    requirements.providers()
