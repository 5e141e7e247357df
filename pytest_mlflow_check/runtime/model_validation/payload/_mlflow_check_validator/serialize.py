# Runs in a process of its own: Python 3.9 or later (that of the launch), standard library and MLflow.
"""Predictions and examples, as data that JSON can hold and two processes can compare."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

MOST = 10_000
"""Values of one array that are kept."""


def plain(value: Any) -> Any:
    """A value as numbers, texts, lists and mappings; of other objects the type alone.

    Arrays, series and tensors become lists, long ones cut; a data frame becomes its columns.
    """
    try:
        return _plain(value)
    # Whatever an object of somebody else's does with being asked, it's no fault of the model.
    except Exception:
        return _type(value)


def same(one: Any, other: Any) -> bool:
    """Whether two values that `plain` gave are the same, but for the last digits of their numbers."""
    return _rounded(one) == _rounded(other)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value[:MOST]]
    # By what they can do, not by their type: the libraries aren't imported for it.
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        if hasattr(value, "iloc"):
            return {str(name): plain(value.iloc[:, number]) for number, name in enumerate(value.columns)}
        # As polars has it.
        return {str(name): plain(column) for name, column in value.to_dict().items()}
    for method in ("detach", "cpu", "toarray", "to_numpy"):
        if hasattr(value, method):
            value = getattr(value, method)()
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if getattr(value, "ndim", 0) and getattr(value, "size", 0) > MOST:
        value = value.reshape(-1)[:MOST]
    if hasattr(value, "tolist"):
        listed = value.tolist()
        return listed if type(listed) is type(value) else plain(listed)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return _type(value)


def _type(value: Any) -> dict[str, str]:
    return {"type": f"{type(value).__module__}.{type(value).__qualname__}"}


def _rounded(value: Any) -> str:
    return re.sub(r"-?\d+\.\d+(e[-+]?\d+)?", lambda number: f"{float(number[0]):.5g}", json.dumps(value))


def digest(value: Any) -> str:
    """The same for values that look the same."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()[:16]
