"""Everything that a report says, made fit to be shown: without secrets, printable, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.text import printable

T = TypeVar("T")

_LONGEST = 2000
"""Characters of a text, unless its field says otherwise."""


def shown(part: T, secrets: Secrets) -> T:
    """A part of a document with every text in it masked, printable, and cut where it is too long.

    Masked whole: what is cut short afterwards no longer looks like a secret.
    """
    made: T = _shown(part, secrets, _LONGEST)
    return made


def _shown(value: Any, secrets: Secrets, longest: int) -> Any:
    if isinstance(value, str):
        return cut(printable(secrets.masked(value)), longest)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value,
            **{
                one.name: _shown(getattr(value, one.name), secrets, one.metadata.get("longest", _LONGEST))
                for one in fields(value)
                if not one.metadata.get("own")
            },
        )
    if isinstance(value, tuple):
        # Curves are most of a document, and hold nothing to mask.
        if value and isinstance(value[0], int | float):
            return value
        return tuple(_shown(one, secrets, longest) for one in value)
    if isinstance(value, Mapping):
        return {_shown(key, secrets, longest): _shown(one, secrets, longest) for key, one in value.items()}
    return value


def cut(text: str, longest: int) -> str:
    """Both ends of a text that is too long, and how much is missing between them."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}… {len(text) - 2 * half} characters left out …{text[-half:]}"
