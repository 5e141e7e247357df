"""How a contract is laid out in its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_mlflow_check.contract.schema import (
    KINDS,
    LISTS,
    CaseContract,
    Expected,
    Logged,
    ModelShape,
    RunShape,
    Steps,
)
from pytest_mlflow_check.contract.yaml_edit import Document, Flow, entry

HEADER = """\
# What the cases of this project log to MLflow. pytest-mlflow-check holds each launch to it.
# Written from two launches of each kind: what differed between them isn't held (null: any value).
# After a change that is meant, write it anew, and look at the difference:
#     pytest --mlflow-project=. --mlflow-update
# Edit it as you like: names may be patterns (plots/*.png), a value may be null, a step or a line removed.
# Comments stay, and so does what you made looser, as long as it holds.
"""

_BESIDES = ("fluent", "mlflow-run", "sometimes")


def document_of(case: CaseContract) -> Document:
    """A case as its entry in the file."""
    runs = {name: _run(run) for name, run in case.runs.items()}
    return {**({"launch": case.launch} if case.launch else {}), **({"runs": runs} if runs else {})}


def written(kind: str, name: str, held: Expected) -> list[str]:
    """The lines of one thing that a run logs, without indentation."""
    if kind in LISTS:
        return [line.lstrip() for line in entry("", [name])[1:]]
    return entry(name, _value(held))


def _run(run: RunShape) -> Document:
    besides = {
        scope: found
        for scope in _BESIDES
        if (found := _logged(run.scope(scope)))  # type: ignore[arg-type]
    }
    nested = {name: _run(one) for name, one in run.runs.items()}
    return {
        **({"only": run.only} if run.only else {}),
        **_logged(run),
        **besides,
        **({"runs": nested} if nested else {}),
    }


def _logged(logged: Logged) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in KINDS:
        entries = logged.entries(kind)
        if entries:
            found[kind] = (
                list(entries) if kind in LISTS else {name: _value(held) for name, held in entries.items()}
            )
    return found


def _value(held: Expected) -> Any:
    if isinstance(held, Steps):
        return Flow({name: value for name, value in held if value is not None})
    if isinstance(held, ModelShape):
        parts: Mapping[str, Any] = {name: list(value) for name, value in held if value is not None}
        return {name: Flow(value) if name == "flavors" else value for name, value in parts.items()}
    return held
