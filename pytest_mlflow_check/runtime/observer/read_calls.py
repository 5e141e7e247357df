"""Reads what the observer wrote down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pytest_mlflow_check.core.files import open_regular
from pytest_mlflow_check.core.records import Caller, Observation

_LONGEST_LINE = 1 << 16
"""Bytes; the observer shortens long texts (`recorder._short`)."""

_CALLERS = frozenset(get_args(Caller))


def read_observations(file: Path) -> tuple[Observation, ...]:
    """The observations in a file, in the order in which they happened.

    Lines that are cut off, as a killed process leaves them, or that aren't observations are passed over.

    Args:
        file: as the observer wrote it; one that doesn't exist holds none.
    """
    found: list[Observation] = []
    texts: dict[str, str] = {}
    try:
        with open_regular(file) as lines:
            while line := lines.readline(_LONGEST_LINE):
                try:
                    content = json.loads(line)
                    if isinstance(content, dict):
                        found.append(_observation(content, texts))
                except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                    continue
    except OSError:
        # Removed or replaced by the launch. What is known by then stays.
        pass
    found.sort(key=lambda each: each.time)
    return tuple(found)


def _observation(content: Mapping[str, Any], texts: dict[str, str]) -> Observation:
    """One observation; repeated texts are kept once, since a training logs the same key thousands of times.

    Raises:
        ValueError, KeyError, TypeError: where the content isn't one.
    """

    def shared(name: str) -> str | None:
        value = text(name)
        return None if value is None else texts.setdefault(value, value)

    def text(name: str) -> str | None:
        value = content.get(name)
        if value is not None and not isinstance(value, str):
            raise TypeError(name)
        return value

    by = text("by") or "code"
    step = content.get("step")
    options = content.get("options", [])
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise TypeError("options")
    if by not in _CALLERS or not isinstance(content["what"], str):
        raise ValueError(by)
    value = text("value")
    return Observation(
        what=shared("what") or "",
        key=shared("key") or "",
        value=value,
        # Only said of a value that was shortened.
        length=int(content.get("length", len(value or ""))),
        run_id=shared("run_id"),
        step=None if step is None else int(step),
        by=by,  # type: ignore[arg-type]
        source_line=shared("place"),
        process=int(content.get("process", 0)),
        time=float(content.get("time", 0.0)),
        via=shared("via") or "",
        options=tuple(options),
    )
