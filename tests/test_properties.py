"""Properties that hold whatever is written: reading as MLflow reads, settings, and the comparison.

`HYPOTHESIS_PROFILE=thorough pytest --hypothesis-show-statistics tests/test_properties.py` tries thousands.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import pytest
import yaml
from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from pytest_mlflow_check.config.settings import FILE_NAME, ProjectConfig, load_settings, validate_settings
from pytest_mlflow_check.contract.build import contract_of
from pytest_mlflow_check.contract.compare import judge_contract
from pytest_mlflow_check.contract.load import read_contract
from pytest_mlflow_check.contract.merge import merged
from pytest_mlflow_check.contract.normalize import Normalizer
from pytest_mlflow_check.contract.save import updated
from pytest_mlflow_check.contract.schema import CaseContract
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.findings import CHECKS, Finding
from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.records import (
    Dataset,
    MetricSeries,
    Mode,
    ModelVersion,
    RegisteredModel,
    RunRecord,
    StoreRecord,
)
from pytest_mlflow_check.mlproject.loader import (
    read_project,
    render_command,
    resolve_entry_point,
    unset_null_defaults,
)
from pytest_mlflow_check.rules.policy import Policy
from support.builders import artifact, case, compare, judge, launch, model, run, series
from support.projects import MLPROJECT, SETTINGS

T = TypeVar("T")
VIEW = Normalizer()


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of this module, which is the current one."""
    before, directory = Path.cwd(), tmp_path_factory.mktemp("properties")
    os.chdir(directory)
    yield directory
    os.chdir(before)


@pytest.fixture(scope="module")
def fresh(home: Path) -> Callable[[], Path]:
    """Makes a new directory, and takes the one before away."""
    numbers = count()

    def make() -> Path:
        number = next(numbers)
        shutil.rmtree(home / f"p{number - 1}", ignore_errors=True)
        directory = home / f"p{number}"
        directory.mkdir()
        return directory

    return make


# MLproject: what MLflow makes of it

text = st.text(st.characters(codec="utf-8"), max_size=8)
nasty = st.sampled_from(
    [
        "",
        " ",
        "it's",
        '"',
        "$(id)",
        "`id`",
        "a;b",
        "\\",
        "{x}",
        "é☃",
        "\n",
        "*",
        "~",
        "-1",
        "../x",
        "\x1b[31m",
    ]
)
plain = st.one_of(nasty, text)
paths = st.sampled_from(["there.csv", "file:there.csv", ".", "no.csv", "with space", "with%20space", "../x"])
uris = st.sampled_from(["s3://bucket/a key", "file:///x", "c:x", "no uri", ""])
given_values = {"int": st.integers().map(str), "float": st.floats().map(str), "path": paths, "uri": uris}
default_values = {"path": paths, "uri": uris}
scalars = st.one_of(plain, st.integers(), st.floats(), st.booleans(), st.dates(), st.lists(st.integers()))
rarely = st.integers(0, 4).map(lambda number: number == 4)
words = st.text("abcdefgh_-0", min_size=2, max_size=6)
names = st.one_of(
    words,
    words,
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=4),
)
# So long that nothing takes them for a mistyped declared name.
extra_names = st.text("yz ;'é", max_size=4).map(lambda end: "x" * 40 + end)
fields = st.sampled_from(["--it {%s}", '"{%s}"', "'{%s}'", "{%s!s:>9}", "{{%s}}", "${{%s}}", "$(echo {%s})"])
spellings = st.sampled_from(["MLproject", "MLProject", "mlproject"])


@st.composite
def entry_points(draw: st.DrawFn) -> tuple[dict[Any, Any], dict[str, str]]:
    """What an entry point declares, and values given to it."""
    declared: dict[Any, Any] = {}
    params: dict[str, str] = {}
    for name in draw(st.lists(names, max_size=4, unique=True)):
        kind = draw(st.sampled_from(["string", "choice", "int", "float", "path", "uri"]))
        default = st.one_of(st.none(), default_values.get(kind, scalars))
        forms = [st.just(kind), st.fixed_dictionaries({"type": st.just(kind)}, optional={"default": default})]
        if kind == "string":
            forms.append(st.fixed_dictionaries({}, optional={"default": default}))
        declared[name] = draw(st.one_of(forms))
        if not draw(rarely):
            params[name] = draw(given_values.get(kind, plain))
    if draw(rarely):
        not_text = draw(st.sampled_from([True, 3, 2.5, None]))
        declared[not_text] = draw(st.sampled_from(["string", {"default": "a b"}]))
    used = draw(st.lists(st.sampled_from(list(declared)), max_size=4)) if declared else []
    if draw(rarely):
        used.append("nobody")
    parts = ["python train.py", *(draw(fields).replace("%s", str(name)) for name in used)]
    if draw(rarely):
        parts.append(draw(st.sampled_from(["{", "}", "{}", "{0}", "\n", "# é", "&& true"])))
    params.update(draw(st.dictionaries(extra_names, plain, max_size=2)))
    return {"parameters": declared, "command": " ".join(parts)}, params


@st.composite
def projects(draw: st.DrawFn) -> tuple[dict[str, Any], str, dict[str, str]]:
    """What an MLproject file holds, the entry point that is started, and values given to it."""
    declared, values = {}, {}
    chosen = draw(st.lists(st.one_of(st.just("main"), words), min_size=1, max_size=2, unique=True))
    for name in chosen:
        declared[name], values[name] = draw(entry_points())
    wanted = draw(st.sampled_from([*declared, *declared, *declared, "main", "train.py", "run.sh", "nobody"]))
    content: dict[str, Any] = {"name": draw(text), "entry_points": declared}
    return content, wanted, values.get(wanted, {})


def ours(directory: Path, name: str, params: Mapping[str, str]) -> tuple[str | None, set[str]]:
    """Our command, or what is wrong."""
    try:
        project = read_project(directory)
        case = Case("x", project, resolve_entry_point(project, name), params)
        if unset_null_defaults(case):
            return None, {"missing"}
        return render_command(case, directory), set()
    except UserError as error:
        said = {
            "missing": ("needs a value", "needs values", "no value can be given"),
            "misfit": ("is a path, and", "is a uri, and"),
            "command": ("has the placeholder", "has the positional placeholder", "can't be filled in"),
            "entry point": ("has no entry point",),
        }
        message = str(error).splitlines()[0]
        return None, {kind for kind, phrases in said.items() if any(phrase in message for phrase in phrases)}


def theirs(
    spec: ModuleType, directory: Path, name: str, params: dict[str, str]
) -> tuple[str | None, set[str]]:
    """MLflow's command, or all that is wrong, found out one by one."""
    from mlflow.exceptions import ExecutionException

    before = Path.cwd()
    os.chdir(directory)
    storage = tempfile.mkdtemp(dir=directory)
    try:
        try:
            entry_point = spec.load_project(str(directory)).get_entry_point(name)
        except ExecutionException:
            return None, {"entry point"}
        faults = set()
        try:
            entry_point._validate_parameters(params)
        except ExecutionException:
            faults.add("missing")
        for position, (key, parameter) in enumerate(entry_point.parameters.items()):
            value = params.get(key, parameter.default)
            try:
                if value is not None:
                    parameter.compute_value(value, storage, position)
            except Exception:
                faults.add("misfit")
        try:
            entry_point.command.format(**{str(key): "1" for key in entry_point.parameters})
        except Exception:
            faults.add("command")
        shutil.rmtree(storage)
        Path(storage).mkdir()
        try:
            return entry_point.compute_command(params, storage), faults
        except Exception:
            assert faults
            return None, faults
    finally:
        shutil.rmtree(storage)
        os.chdir(before)


@pytest.fixture(scope="module")
def spec(real_mlflow: ModuleType) -> ModuleType:
    """MLflow's own reader."""
    return pytest.importorskip("mlflow.projects._project_spec")


@given(project=projects(), spelling=spellings)
def test_any_project_gives_the_command_of_mlflow_or_the_fault_that_it_has(
    spec: ModuleType,
    fresh: Callable[[], Path],
    project: tuple[dict[str, Any], str, dict[str, str]],
    spelling: str,
) -> None:
    content, name, params = project
    if not hasattr(spec.EntryPoint, "_sanitize_extra_param_dict"):
        # MLflow 2.22 doesn't quote the names of extra parameters, which is a hole that we don't follow.
        declared = content["entry_points"].get(name, {}).get("parameters", {})
        params = {key: value for key, value in params.items() if key in declared or shlex.quote(key) == key}
    directory = fresh()
    for file in ("there.csv", "with space", "train.py", "run.sh"):
        (directory / file).touch()
    (directory / spelling).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    command, faults = ours(directory, name, params)
    their_command, their_faults = theirs(spec, directory, name, params)
    event(", ".join(sorted(their_faults)) or "rendered")
    assert command == their_command
    assert faults <= their_faults
    assert bool(faults) == bool(their_faults)


# files: anything may stand in them


def edited(draw: st.DrawFn, text: str) -> bytes:
    content = text.encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 0, 1, 2, 10, 100])))
        content = content[:start] + draw(pieces) + content[end:]
    return content


pieces = st.one_of(
    st.binary(max_size=4),
    st.sampled_from([b"\n", b" ", b"\t", b"{", b"[", b"]", b"*", b"&a ", b"- ", b": ", b'"', b"'", b"<<: "]),
    st.sampled_from(
        [b"~", b"!!set ", b"!!binary ", b"0x", b"=", b"[[case]]\n", b"1e9", b"{}", b"a.b", b"..."]
    ),
)


@st.composite
def mangled(draw: st.DrawFn, text: str) -> bytes:
    """A text with something put in, and something taken out."""
    return edited(draw, text)


@given(mangled(MLPROJECT))
@example(b"entry_points:\n  main:\n    command: x\n    parameters: {? [a] : {default: 1}}\n")
@example(b"name: 2020-13-45")
@example(b"entry_points: {main: {command: x, parameters: {a: {default: 0x" + b"f" * 5000 + b"}}}}")
def test_any_mlproject_is_read_or_refused(fresh: Callable[[], Path], content: bytes) -> None:
    directory = fresh()
    (directory / "python_env.yaml").touch()
    (directory / "MLproject").write_bytes(content)
    refused(directory, "MLproject", lambda: read_project(directory))


@given(mangled(SETTINGS))
def test_any_settings_are_read_or_refused(fresh: Callable[[], Path], content: bytes) -> None:
    directory = fresh()
    (directory / FILE_NAME).write_bytes(content)
    refused(directory, FILE_NAME, lambda: load_settings(directory))


def refused(directory: Path, name: str, read: Callable[[], object]) -> None:
    """Reads, and accepts the one exception that says where."""
    message = ""
    try:
        read()
    except UserError as error:
        message = str(error)
    event("refused" if message else "read")
    if message:
        assert message.startswith(os.path.relpath(directory / name))


# settings

patterns = st.lists(plain.filter(bool), max_size=3)
bounds = st.one_of(st.integers(0, 10**6), st.floats(0, allow_nan=False, allow_infinity=False))
bare = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
values = st.one_of(bare, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.floats(allow_nan=False))
keys = st.text(st.characters(codec="utf-8", exclude_characters="\0="), min_size=1, max_size=8)


def some(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with some of these keys."""
    return st.fixed_dictionaries({}, optional=parts)


tolerances = some(rel=bounds, abs=bounds)
ids = st.from_regex(r"[a-z0-9é_][a-z .+=-]{0,8}", fullmatch=True)
valid_settings = some(
    entry_point=bare,
    params=st.dictionaries(keys, values, max_size=3),
    launch=st.sampled_from(["both", "fluent", "mlflow-run"]),
    store=st.sampled_from(["file", "sqlite"]),
    env_manager=st.sampled_from(["local", "uv", "virtualenv", "conda"]),
    timeout=st.one_of(st.integers(1, 10**6), st.floats(1e-300, 1e300)),
    strict=st.booleans(),
    observer=st.booleans(),
    tracking_uri=st.sampled_from(["redirect", "block"]),
    probes=st.booleans(),
    cache=st.booleans(),
    ignore=some(params=patterns, metrics=patterns, artifacts=patterns, tags=patterns, datasets=patterns),
    artifact_contents=patterns,
    metric_tolerance=tolerances,
    prediction_tolerance=tolerances,
    pass_env=patterns,
    rules=st.dictionaries(keys, st.sampled_from(["error", "warning", "off"]), max_size=2),
    case=st.lists(
        some(
            id=ids,
            entry_point=bare,
            params=st.dictionaries(keys, values, max_size=2),
            fluent=bare.filter(str.strip),
            env=st.dictionaries(keys, values, max_size=2),
        ),
        max_size=2,
    ),
    allow=st.lists(
        st.fixed_dictionaries({"rule": bare, "reason": bare.filter(str.strip)}, optional={"match": bare}),
        max_size=2,
    ),
)


def toml(value: Any) -> str:
    """A value as TOML writes it, tables in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(key))} = {toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, (bool, float)) else str(value)


def document(settings: Mapping[str, Any], *, tables: bool, prefix: str = "") -> str:
    """The settings as a file; with `tables`, what is a table has a header."""
    lines, sections = [f"[{prefix.rstrip('.')}]"] if prefix else [], []
    for key, value in settings.items():
        if tables and isinstance(value, dict):
            sections += [
                f"[{prefix}{key}]",
                *(f"{toml(name)} = {toml(part)}" for name, part in value.items()),
            ]
        elif tables and key in ("case", "allow") and value:
            for table in value:
                sections.append(f"[[{prefix}{key}]]")
                sections += [f"{toml(name)} = {toml(part)}" for name, part in table.items()]
        else:
            lines.append(f"{key} = {toml(value)}")
    return "\n".join([*lines, *sections])


@given(valid_settings, st.booleans(), st.booleans())
def test_settings_come_back_from_their_file(
    fresh: Callable[[], Path], given_settings: dict[str, Any], tables: bool, shared: bool
) -> None:
    directory = fresh()
    name, prefix = ("pyproject.toml", "tool.mlflow-check.") if shared else (FILE_NAME, "")
    written = document(given_settings, tables=tables, prefix=prefix)
    (directory / name).write_text(written, encoding="utf-8", newline="")
    settings = load_settings(directory)
    expected = ProjectConfig.model_validate(given_settings)
    assert settings.values == expected == validate_settings(given_settings, "here")
    assert settings.file == directory / name
    assert settings.origins.keys() >= given_settings.keys()
    # What they came to is settings again, with the same outcome.
    assert ProjectConfig.model_validate(expected.model_dump(mode="json")) == expected


def tables_in(settings: Any) -> Iterator[dict[str, Any]]:
    """The tables of settings whose keys are known ones."""
    yield settings
    for key in ("ignore", "metric_tolerance", "prediction_tolerance"):
        if key in settings:
            yield settings[key]
    yield from (*settings.get("case", ()), *settings.get("allow", ()))


NO_VALUES = [[[1]], {"a": [{}]}, [{"b": 1}], -(10**400), 1 << 20000]
"""What fits nowhere."""


@given(valid_settings, st.data())
def test_an_unknown_key_and_a_wrong_type_are_a_users_mistake(
    fresh: Callable[[], Path], settings: dict[str, Any], data: st.DataObject
) -> None:
    table = data.draw(st.sampled_from(list(tables_in(settings))))
    if data.draw(st.booleans()) or not table:
        key = data.draw(
            st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda key: key not in KNOWN)
        )
        table[key] = data.draw(st.one_of(values, st.sampled_from(NO_VALUES[:3])))
        event("unknown key")
    else:
        key = data.draw(st.sampled_from(sorted(table)))
        table[key] = data.draw(st.sampled_from(NO_VALUES))
        event("wrong type")
    directory = fresh()
    (directory / FILE_NAME).write_text(hexed(settings), encoding="utf-8", newline="")
    with pytest.raises(UserError) as refusal:
        load_settings(directory)
    assert str(refusal.value).startswith(os.path.relpath(directory / FILE_NAME))


KNOWN = {
    *ProjectConfig.model_fields,
    *("params", "metrics", "artifacts", "models", "tags", "datasets", "rel", "abs"),
    *("id", "entry_point", "fluent", "env", "rule", "match", "reason"),
}


def hexed(settings: Mapping[str, Any]) -> str:
    """The settings as a file, with quoted keys; Python writes no decimal number of 4,300 digits."""

    def written(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{toml(key)} = {written(part)}" for key, part in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(written, value)) + "]"
        large = isinstance(value, int) and value > 10**400
        return hex(value) if large else toml(value)

    return "\n".join(f"{toml(key)} = {written(value)}" for key, value in settings.items())


# the comparison

labels = st.text("abcde/_ é", min_size=1, max_size=5).filter(lambda text: text.strip() == text)
logged = st.one_of(bare, nasty)
numbers = st.floats(-1e300, 1e300, allow_nan=False)


@st.composite
def series_of(draw: st.DrawFn, key: str) -> MetricSeries:
    points = draw(st.lists(numbers, min_size=1, max_size=4))
    first = draw(st.integers(0, 5))
    return series(key, points, range(first, first + len(points)))


def keyed(draw: st.DrawFn, make: Callable[[str], T], *, most: int = 3) -> list[T]:
    return [make(key) for key in draw(st.lists(labels, max_size=most, unique=True))]


@st.composite
def records(draw: st.DrawFn, number: int = 0) -> RunRecord:
    """A run that has something of each kind, sometimes."""
    return run(
        f"{number:032x}",
        name=f"run {number}",
        params={key: draw(logged) for key in keyed(draw, str)} | {"always": draw(logged)},
        metrics=keyed(draw, lambda key: draw(series_of(key))),
        tags={key: draw(logged) for key in keyed(draw, str)},
        artifacts=keyed(draw, lambda key: artifact(key, size=draw(st.integers(0, 9)))),
        models=keyed(
            draw, lambda key: model(key, signature=draw(st.sampled_from(["{}", '{"a": 1}']))), most=2
        ),
        datasets=tuple(
            keyed(draw, lambda key: Dataset(key, draw(labels), "local", draw(st.none() | labels)), most=2)
        ),
        start_time=number,
        end_time=number + 1,
    )


@st.composite
def stores(draw: st.DrawFn) -> StoreRecord:
    """What a launch left: some runs, nested in the first or not, and some registered models."""
    runs = [draw(records(number)) for number in range(draw(st.integers(1, 3)))]
    if draw(st.booleans()):
        top = runs[0].run_id
        runs[1:] = [replace(one, parent_id=top) for one in runs[1:]]
        runs[0] = replace(runs[0], children=tuple(one.run_id for one in runs[1:]))
    versions = (ModelVersion("1", source="models:/x", status="READY", tags={"a": "b"}),)
    registered = tuple(RegisteredModel(name, versions) for name in keyed(draw, str, most=2))
    return StoreRecord(tuple(runs), registered)


def found(fluent: StoreRecord, mlflow_run: StoreRecord) -> list[Finding]:
    """All findings of all checks."""
    launches = [
        replace(launch(mode), record=record) for mode, record in zip(MODES, (fluent, mlflow_run), strict=True)
    ]
    comparison = compare(*launches)
    return [finding for check in CHECKS for finding in judge(check, comparison, Policy()).findings]


MODES: tuple[Mode, Mode] = ("fluent", "mlflow-run")


@given(stores())
def test_what_is_equal_gives_no_finding(record: StoreRecord) -> None:
    assert found(record, record) == []


def changed(draw: st.DrawFn, one: RunRecord, what: str) -> RunRecord:
    """The run with a single thing more, less, or other than before."""
    if what == "datasets":
        if one.datasets and draw(st.booleans()):
            first, *rest = one.datasets
            return replace(one, datasets=(replace(first, digest=first.digest + "x"), *rest))
        return replace(one, datasets=(*one.datasets, Dataset("new", "d", "local")))
    if what == "name":
        return replace(one, name=one.name + " renamed")
    before: dict[str, Any] = dict(getattr(one, what))
    if not before or draw(st.integers(0, 2)) == 0:
        key = "new"
        made = {
            "params": "1",
            "tags": "1",
            "metrics": series("new", [1.0], [1]),
            "artifacts": artifact("new"),
            "models": model("new"),
        }
        return replace(one, **{what: {**before, key: made[what]}})
    key = draw(st.sampled_from(sorted(before)))
    value = before[key]
    other = {
        "params": lambda: value + "x",
        "tags": lambda: value + "x",
        "metrics": lambda: replace(value, values=value.values + np.maximum(1.0, np.abs(value.values))),
        "models": lambda: replace(value, flavors=("sklearn",)),
        # Only their paths are compared, unless the settings name them.
        "artifacts": None,
    }[what]
    if other is None or draw(st.booleans()):
        del before[key]
        return replace(one, **{what: before})
    return replace(one, **{what: {**before, key: other()}})


KINDS = ("params", "metrics", "tags", "artifacts", "models", "datasets", "name")


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, StoreRecord, StoreRecord]:
    record = draw(stores())
    kind = draw(st.sampled_from([*KINDS, "a run", "a registered model"]))
    if kind == "a run":
        assume(len(record.runs) > 1)
        return kind, record, replace(record, runs=record.runs[:-1])
    if kind == "a registered model":
        new = RegisteredModel("new model", (ModelVersion("1"),))
        return kind, record, replace(record, registered_models=(*record.registered_models, new))
    position = draw(st.integers(0, len(record.runs) - 1))
    runs = list(record.runs)
    runs[position] = changed(draw, runs[position], kind)
    return kind, record, replace(record, runs=tuple(runs))


@given(changes(), st.booleans())
def test_any_single_change_is_found(change: tuple[str, StoreRecord, StoreRecord], back: bool) -> None:
    kind, before, after = change
    event(kind)
    assert found(after, before) if back else found(before, after)


def shuffled(record: StoreRecord, seed: int) -> StoreRecord:
    """The same with every mapping, and everything else whose order means nothing, in another order."""
    mixed = random.Random(seed)

    def mix(parts: Mapping[str, T]) -> dict[str, T]:
        items = list(parts.items())
        mixed.shuffle(items)
        return dict(items)

    def mix_run(one: RunRecord) -> RunRecord:
        kinds = ("params", "metrics", "tags", "artifacts", "models")
        datasets = tuple(mixed.sample(one.datasets, len(one.datasets)))
        return replace(one, **{kind: mix(getattr(one, kind)) for kind in kinds}, datasets=datasets)

    registered = tuple(mixed.sample(record.registered_models, len(record.registered_models)))
    return StoreRecord(tuple(mix_run(one) for one in record.runs), registered)


@given(stores(), stores(), st.integers(0, 2**32))
def test_the_order_of_findings_doesnt_hang_on_that_of_what_was_logged(
    one: StoreRecord, other: StoreRecord, seed: int
) -> None:
    findings = found(one, other)
    event("findings" if findings else "none")
    assert found(shuffled(one, seed), shuffled(other, seed + 1)) == findings


# the contract


@st.composite
def samples(draw: st.DrawFn) -> dict[Mode, list[StoreRecord]]:
    """What two launches of each mode left: the same thing, or something that varies by itself."""

    def named() -> StoreRecord:
        record = draw(stores())
        # Runs without names that come and go can't be told apart: such a case is refused.
        return replace(record, runs=tuple(replace(one, name=f"trial {one.name}") for one in record.runs))

    first = named()
    one, other = (draw(st.sampled_from([first, named()])) for _ in range(2))
    modes: tuple[Mode, ...] = draw(st.sampled_from([MODES, MODES[:1], MODES[1:]]))
    return {mode: [first if mode == modes[0] else other, one] for mode in modes}


def made(stored: Mapping[Mode, list[StoreRecord]], view: Normalizer = VIEW) -> CaseContract:
    return contract_of(
        {mode: [replace(launch(mode), record=one) for one in each] for mode, each in stored.items()}, view
    )


@given(samples())
def test_what_a_contract_was_made_from_fits_it(
    fresh: Callable[[], Path], stored: dict[Mode, list[StoreRecord]]
) -> None:
    directory, contract = fresh(), made(stored)
    file, text = directory / "mlflow-contract.yaml", updated(None, {"main": contract})
    file.write_text(text, encoding="utf-8", newline="")
    source = read_contract(directory, ["main"])
    assert source is not None
    assert source.contract.cases == {"main": contract}
    for number in range(2):
        launches = [replace(launch(mode), record=each[number]) for mode, each in stored.items()]
        assert judge_contract(source, compare(*launches, case=case())) == []
    event("varies" if any(one != other for one, other in stored.values()) else "the same")
    # Again it says the same, and in the same bytes.
    again = merged(contract, made(stored))
    assert again == contract
    assert updated(source, {"main": again}) == text


@given(samples(), samples(), st.booleans())
def test_a_contract_that_is_updated_fits_what_it_was_updated_from(
    fresh: Callable[[], Path],
    before: dict[Mode, list[StoreRecord]],
    after: dict[Mode, list[StoreRecord]],
    windows: bool,
) -> None:
    directory = fresh()
    file = directory / "mlflow-contract.yaml"
    text = updated(None, {"other": made(before), "main": made(before)})
    lines = [f"{line}  # {number}" for number, line in enumerate(text.split("\n")[:-1])]
    commented = "\r\n".join([*lines, ""]) if windows else "\n".join(lines)
    file.write_text(commented, encoding="utf-8", newline="")
    source = read_contract(directory, ["main", "other"])
    assert source is not None
    wanted = merged(source.contract.cases["main"], made(after))
    new = updated(source, {"main": wanted})
    file.write_text(new, encoding="utf-8", newline="")
    updated_source = read_contract(directory, ["main", "other"])
    assert updated_source is not None
    assert updated_source.contract.cases == {"main": wanted, "other": source.contract.cases["other"]}
    for number in range(2):
        launches = [replace(launch(mode), record=each[number]) for mode, each in after.items()]
        assert judge_contract(updated_source, compare(*launches, case=case())) == []
    # The other case stays as it is, with what somebody wrote behind it.
    head, _, _ = commented.partition("  main:")
    assert new.startswith(head)


# What is masked


@given(st.text(min_size=8), st.text(), st.text(), st.binary(max_size=5), st.binary(max_size=5))
def test_any_long_secret_is_masked_in_any_text(
    secret: str, before: str, behind: str, head: bytes, tail: bytes
) -> None:
    secrets = Secrets.among({"DB_PASSWORD": secret})
    assume(secrets.values)
    assert secret not in secrets.masked(before + secret + behind)
    assert secret not in secrets.masked(repr(before + secret + behind))
    encoded = base64.b64encode(head + secret.encode() + tail).decode()
    assert "***" in secrets.masked(encoded)


@given(st.text(st.sampled_from("aB3_-./: "), max_size=40), st.integers())
def test_numbers_and_texts_without_a_secret_stay(text: str, number: int) -> None:
    secrets = Secrets.among({"TOKEN_COUNT": str(number), "SEED": str(number), "MAX_TOKENS": text})
    assert secrets.masked(f"{number} {text}") == f"{number} {text}"
