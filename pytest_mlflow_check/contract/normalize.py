"""What a run logged, in the words of a contract: without what can't hold elsewhere or tomorrow."""

from __future__ import annotations

import getpass
import json
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

import numpy as np

from pytest_mlflow_check.checks.comparison import matches_any
from pytest_mlflow_check.config.settings import Ignore
from pytest_mlflow_check.contract.schema import KINDS, Expected, ModelShape, Steps
from pytest_mlflow_check.core.known_variation import is_tag_of_one_run, is_unsteady
from pytest_mlflow_check.core.records import Launch, MetricSeries, Model, RunRecord, given_tags
from pytest_mlflow_check.core.secret_names import is_plain, is_secret

_LONGEST = 500
"""Characters of a value that is held; a longer one can't be read in a review."""

_LONGEST_NAME = 900
"""Characters, escapes included; YAML takes no longer keys than 1,024 on one line."""

_KEPT_OF_NAME = 80

_ABSOLUTE = re.compile(r"""(?:^|[\s"'=,;:(\[{]|file://)(?:/[^/\s]|~/|[A-Za-z]:\\)""")
_NAMED = ("params", "tags")
"""The kinds whose values may be a secret or a variable of the environment."""

_DESCRIPTION = "mlflow.note.content"


@dataclass(frozen=True)
class Normalizer:
    """How a launch's records are looked at.

    Attributes:
        ignore: what the settings leave out.
        masked: gives a text without secrets.
        variables: the environment, without what the case sets: elsewhere it is another one.
    """

    ignore: Ignore = field(default_factory=Ignore)
    masked: Callable[[str], str] = str
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def logged(self, launch: Launch, run: RunRecord) -> dict[str, dict[str, Expected]]:
        """What a run logged, as it is, by kind and name."""
        tags = given_tags(run.tags)
        if _DESCRIPTION in run.tags:
            tags[_DESCRIPTION] = run.tags[_DESCRIPTION]
        found: dict[str, Mapping[str, Expected]] = {
            "params": run.params,
            "metrics": {key: steps_of(series) for key, series in run.metrics.items() if not is_unsteady(key)},
            "tags": tags,
            "datasets": {one.label: one.digest for one in run.datasets},
            "artifacts": dict.fromkeys(run.artifacts),
            "models": {name: shape_of(model) for name, model in run.models.items()},
            "registered": dict.fromkeys(_registered(launch, run)),
        }
        return {kind: self._not_ignored(kind, found[kind]) for kind in KINDS}

    def stable(self, launch: Launch, run: RunRecord) -> dict[str, dict[str, Expected]]:
        """The same, as far as it can be held: no secret, no date of today, no commit, no path and no id."""
        days = _days(launch)
        return {
            kind: {
                self.name(name, [*days, *launch.passing_words(name)]): None
                if self._is_open(kind, name, value)
                else self._value(launch, value, days)
                for name, value in entries.items()
            }
            for kind, entries in self.logged(launch, run).items()
        }

    def name(self, name: str, passing: Iterable[str] = ()) -> str:
        """A name with `*` for what of it can't be held, the passing words among it."""
        # The stars that stand for a secret match whatever stands there.
        found = self.masked(name).encode("utf-8", "replace").decode()
        for word in passing:
            found = found.replace(word, "*")
        if len(found.encode("unicode_escape")) > _LONGEST_NAME:
            found = f"{found[:_KEPT_OF_NAME]}*"
        return found if found == name else as_pattern(found)

    def _not_ignored(self, kind: str, entries: Mapping[str, Expected]) -> dict[str, Expected]:
        ignored = getattr(self.ignore, "models" if kind == "registered" else kind)
        return {name: value for name, value in sorted(entries.items()) if not matches_any(name, ignored)}

    def _is_open(self, kind: str, name: str, value: Expected) -> bool:
        if kind == "tags" and is_tag_of_one_run(name):
            return True
        return kind in _NAMED and isinstance(value, str) and self.is_elsewhere_another(name, value)

    def is_elsewhere_another(self, name: str, value: str) -> bool:
        """Whether a value is secret, or came from the environment, which is another one elsewhere."""
        return is_secret(name, value) or comes_from(self.variables, name, value)

    def _value(self, launch: Launch, value: Expected, days: Iterable[str]) -> Expected:
        if isinstance(value, str):
            return value if len(value) <= _LONGEST and self._holds(launch, value, days) else None
        if isinstance(value, ModelShape):
            # The default of a param for inference may be anything that a param is.
            return ModelShape(
                **{
                    part: columns
                    for part, columns in value
                    if columns is None or all(self._holds(launch, one, days) for one in columns)
                }
            )
        return value

    def _holds(self, launch: Launch, text: str, days: Iterable[str]) -> bool:
        return (
            text == self.masked(text) == launch.comparable(text)
            and text == text.encode("utf-8", "replace").decode()
            and not _ABSOLUTE.search(text)
            and not any(day in text for day in days)
            and not launch.commit_words(text)
            and text not in _here()
        )


def as_pattern(name: str) -> str:
    """A name with stars in it as `fnmatch` has to see it: brackets mean a set of characters there."""
    return name if "[[]" in name else name.replace("[", "[[]")


def steps_of(series: MetricSeries) -> Steps:
    """The steps of a series."""
    steps = np.sort(series.steps)
    if not len(steps):
        return Steps(count=0)
    gaps = np.diff(steps)
    regular = bool(gaps[0] > 0 and np.all(gaps == gaps[0])) if len(gaps) else None
    return Steps(first=int(steps[0]), last=int(steps[-1]), count=len(steps), regular=regular)


def shape_of(model: Model) -> ModelShape:
    """Flavors and signature of a model."""
    parts = json.loads(model.signature) if model.signature else {}
    # MLflow writes a mapping; the file may have been written by hand.
    parts = parts if isinstance(parts, dict) else {}
    inputs, outputs, params = (tuple(_columns(parts.get(part))) for part in ("inputs", "outputs", "params"))
    # Few models have params, and a line for none isn't worth reading.
    return ModelShape(flavors=model.flavors, inputs=inputs, outputs=outputs, params=params or None)


def _columns(part: Any) -> Iterator[str]:
    """`alpha: double` for each column (`ModelSignature.to_dict` of MLflow 3.17.2 and 2.22.5)."""
    for column in part if isinstance(part, list) else [] if part is None else [part]:
        plain = isinstance(column, dict) and isinstance(column.get("type"), str)
        if not plain or not set(column) <= {"type", "name", "required", "tensor-spec", "default", "shape"}:
            # Arrays, objects and what later versions bring.
            yield json.dumps(column, sort_keys=True)
            continue
        tensor = column.get("tensor-spec")
        whole = isinstance(tensor, dict) and {"dtype", "shape"} <= tensor.keys()
        kind = f"{tensor['dtype']} {tensor['shape']}" if whole else column["type"]
        name = f"{column['name']}: " if column.get("name") is not None else ""
        default = f" = {json.dumps(column['default'])}" if "default" in column else ""
        shape = f" {column['shape']}" if column.get("shape") is not None else ""
        yield f"{name}{kind}{shape}{default}" + ("" if column.get("required", True) else " (optional)")


def _registered(launch: Launch, run: RunRecord) -> Iterator[str]:
    """The names under which something of a run was registered; of no run, those of the first one."""
    first = launch.runs[0].run_id if launch.runs else None
    known = {one.run_id for one in launch.runs}
    for model in launch.record.registered_models:
        sources = {one.run_id if one.run_id in known else first for one in model.versions} or {first}
        if run.run_id in sources:
            yield model.name


def _days(launch: Launch) -> list[str]:
    """The days of a launch, here and in UTC, as dates are written: two launches have them in common."""
    if not launch.started:
        return []
    start = datetime.fromtimestamp(launch.started, timezone.utc)
    moments = [start, start.astimezone(), start + timedelta(seconds=launch.duration)]
    # The long ones first: some are parts of others.
    numbers = ("%Y-%m-%d", "%Y%m%d", "%Y_%m_%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y")
    words = ("%d %B", "%d %b", "%d-%b", "%d%b", "%B %d", "%b %d", "%b %e", "%b-%d", "%y-%m-%d", "%y%m%d")
    return list(dict.fromkeys(moment.strftime(form) for form in numbers + words for moment in moments))


@cache
def _here() -> frozenset[str]:
    """What this machine and its user are called; elsewhere they are called something else."""
    names = {platform.node()}
    with suppress(OSError, KeyError, ImportError):
        names.add(getpass.getuser())
    return frozenset(names - {""})


_SHORTEST_VALUE = 3
_SHORTEST_PART = 8
"""Characters of a variable's value that is looked for as the whole value of a param, and as a part of it."""


def comes_from(variables: Mapping[str, str], name: str, value: str) -> bool:
    """Whether a param or tag seems to come from a variable of the environment.

    Numbers and switches are equal by chance; they come from a variable only where both are called alike.
    """
    return any(
        (content == value and (_called_alike(name, variable) or _telling(content, _SHORTEST_VALUE)))
        or (content in value and _telling(content, _SHORTEST_PART) and _is_part(content, value))
        for variable, content in variables.items()
        if content
    )


def _telling(content: str, shortest: int) -> bool:
    return len(content) >= shortest and not is_plain(content)


def _is_part(content: str, value: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(content)}(?!\w)", value) is not None


def _called_alike(name: str, variable: str) -> bool:
    """`SEED` and `seed`, `cfg_seed`, `train.seed`; `APP_SEED` and `seed`."""
    one, other = (re.sub(r"\W", "_", text).lower() for text in (name, variable))
    shorter, longer = sorted((one, other), key=len)
    return shorter == longer or longer.endswith(f"_{shorter}")
