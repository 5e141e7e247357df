"""Whether two predictions are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pytest_mlflow_check.config.settings import Tolerance


def difference(one: Any, other: Any, tolerance: Tolerance, place: str = "") -> tuple[str, str] | None:
    """The first place where two predictions differ, as text for either side; None where they don't.

    Args:
        one, other: as `ModelValidation.prediction` holds them.
        tolerance: how far two numbers may lie apart.
        place: where in the prediction the two stand.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return _texts(", ".join(one), ", ".join(other), place)
        pairs = [(f"{place}[{key!r}]", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return _texts(f"{len(one)} values", f"{len(other)} values", place)
        pairs = [(f"{place}[{i}]", *both) for i, both in enumerate(zip(one, other, strict=True))]
    else:
        return None if _same(one, other, tolerance) else _texts(one, other, place)
    for at, here, there in pairs:
        if found := difference(here, there, tolerance, at):
            return found
    return None


def _same(one: Any, other: Any, tolerance: Tolerance) -> bool:
    if one == other:
        return True
    if not all(isinstance(each, (int, float)) for each in (one, other)):
        return False
    if math.isnan(one) and math.isnan(other):
        return True
    return math.isclose(one, other, rel_tol=tolerance.rel, abs_tol=tolerance.abs)


def _texts(one: Any, other: Any, place: str) -> tuple[str, str]:
    at = f"{place}: " if place else ""
    return f"{at}{one}", f"{at}{other}"
