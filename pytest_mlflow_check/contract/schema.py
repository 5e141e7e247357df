"""What a contract says: the shape of what each case logs, as it stands in the file.

A shape says less than a record: what varies by itself isn't in it, and a person may take out more. So there
are two questions about two values, and all else is made of them: whether one `matches` what is held, and what
several have in `common`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

VERSION = 1
"""Of the file; another one means that older versions of this package can't read it."""

Scope = Literal["", "fluent", "mlflow-run", "sometimes"]

SCOPES: tuple[Scope, ...] = ("", "fluent", "mlflow-run", "sometimes")
"""Which launches log something: both, one, or now the one and now the other."""

KINDS = {
    "params": "param",
    "metrics": "metric",
    "tags": "tag",
    "datasets": "dataset",
    "artifacts": "artifact",
    "models": "model",
    "registered": "registered model",
}
"""What a run logs: the key in the file, and the word for one of them."""

LISTS = ("artifacts", "registered")
"""The kinds of which only the names are held."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _nothing(value: object) -> object:
    """`loss:` with nothing behind it holds that there is such a metric, and no more."""
    return {} if value is None else value


Texts = tuple[StrictStr, ...]


class Steps(_Strict):
    """The steps of a metric; what is None is left open.

    Attributes:
        first, last: the lowest and the highest step.
        count: the number of points.
        regular: whether the steps lie equally far apart, two points or more of them.
    """

    first: StrictInt | None = None
    last: StrictInt | None = None
    count: StrictInt | None = Field(default=None, ge=0)
    regular: StrictBool | None = None


class ModelShape(_Strict):
    """What a model is; what is None is left open.

    Attributes:
        flavors: sorted names.
        inputs, outputs: the signature, a text for each column; empty where there is none.
        params: that of the parameters for inference, where there are any.
    """

    flavors: Texts | None = None
    inputs: Texts | None = None
    outputs: Texts | None = None
    params: Texts | None = None


Expected = str | Steps | ModelShape | None
"""What is held of one thing that is logged; None for no more than that it is."""

Values = dict[StrictStr, StrictStr | None]


class Logged(_Strict):
    """What a run logs, by kind and name. Names may be patterns (`fnmatch`)."""

    params: Values = Field(default_factory=dict)
    metrics: dict[StrictStr, Annotated[Steps, BeforeValidator(_nothing)]] = Field(default_factory=dict)
    tags: Values = Field(default_factory=dict)
    datasets: Values = Field(default_factory=dict)
    artifacts: Texts = ()
    models: dict[StrictStr, Annotated[ModelShape, BeforeValidator(_nothing)]] = Field(default_factory=dict)
    registered: Texts = ()

    def entries(self, kind: str) -> dict[str, Expected]:
        """What is held of each thing of a kind, by its name."""
        found = getattr(self, kind)
        return dict.fromkeys(found) if kind in LISTS else dict(found)

    @classmethod
    def of_entries(cls, entries: Mapping[str, Mapping[str, Expected]]) -> Logged:
        """The same the other way round."""
        return cls(**_fields(entries))


class RunShape(Logged):
    """One run: what both launches log, what only one does, and what is logged now and then.

    Attributes:
        only: which launch logs the run at all; None for both, `sometimes` for a run that isn't always there.
        fluent, mlflow_run, sometimes: what is logged besides, by whom.
        runs: the nested runs, by the names that the code gives them, else `run 1`, `run 2`, ….
    """

    only: Literal["fluent", "mlflow-run", "sometimes"] | None = None
    fluent: Logged = Logged()
    mlflow_run: Logged = Field(default=Logged(), alias="mlflow-run")
    sometimes: Logged = Logged()
    runs: dict[StrictStr, RunShape] = Field(default_factory=dict)

    def scope(self, scope: Scope) -> Logged:
        """What is logged by whom."""
        return self if scope == "" else getattr(self, scope.replace("-", "_"))

    @classmethod
    def of_scopes(
        cls,
        scopes: Mapping[Scope, Mapping[str, Mapping[str, Expected]]],
        *,
        only: str | None,
        runs: Mapping[str, RunShape],
    ) -> RunShape:
        """A run out of what is logged by whom."""
        besides = {scope: Logged.of_entries(entries) for scope, entries in scopes.items() if scope}
        return cls(**_fields(scopes[""]), only=only, runs=dict(runs), **besides)  # type: ignore[arg-type]


class CaseContract(_Strict):
    """One case.

    Attributes:
        launch: the only launch that this was made from; None for both.
        runs: the top-level runs.
    """

    launch: Literal["fluent", "mlflow-run"] | None = None
    runs: dict[StrictStr, RunShape] = Field(default_factory=dict)


class Contract(_Strict):
    """A whole file.

    Attributes:
        version: of the format.
        cases: by id.
    """

    version: Literal[1]
    cases: dict[StrictStr, CaseContract] = Field(default_factory=dict)


def matches(expected: Expected, value: Expected) -> bool:
    """Whether a value is as it is held; what is None is left open."""
    if expected is None or expected == value:
        return True
    if isinstance(expected, str) or type(expected) is not type(value):
        return False
    # A model without params has none to be told of.
    return all(
        wanted in (None, getattr(value, name)) or (wanted == () and getattr(value, name) is None)
        for name, wanted in expected
    )


def common(values: Iterable[Expected]) -> Expected:
    """What is the same in all of them."""
    return reduce(_both, values)


def _both(one: Expected, other: Expected) -> Expected:
    if one == other or one is None or other is None:
        return one if one == other else None
    if isinstance(one, str) or type(one) is not type(other):
        return None
    return type(one)(**{name: value for name, value in one if value == getattr(other, name)})


def is_pattern(name: str) -> bool:
    """Whether a name in the file may stand for others."""
    return any(char in name for char in "*?[")


def names_of(pattern: str, names: Collection[str], exact: Collection[str] = ()) -> list[str]:
    """The names that a name in the file stands for: that very one, or all that match it.

    Args:
        pattern: as it stands in the file.
        names: those to choose from; asked often, so best a set or a mapping.
        exact: what stands in the file by its own name, for which no pattern stands.
    """
    if pattern in names:
        return [pattern]
    if not is_pattern(pattern):
        return []
    return [name for name in names if fnmatchcase(name, pattern) and name not in exact]


def _fields(entries: Mapping[str, Mapping[str, Expected]]) -> dict[str, Any]:
    return {kind: tuple(expected) if kind in LISTS else dict(expected) for kind, expected in entries.items()}
