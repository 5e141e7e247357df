"""Settings: where they may stand, which of them holds, and what is said of those that don't fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pytest_mlflow_check.config.settings import (
    FILE_NAME,
    AllowSettings,
    CaseSettings,
    Ignore,
    ProjectConfig,
    Tolerance,
    load_settings,
    validate_settings,
)
from pytest_mlflow_check.core.errors import UserError, did_you_mean

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a settings file; gives the project's directory, in which the test stands."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes, name: str = FILE_NAME) -> Path:
        content = dedent(text).encode() if isinstance(text, str) else text
        (tmp_path / name).write_bytes(content)
        return tmp_path

    return write


def message(project: Path, **sources: Any) -> str:
    with pytest.raises(UserError) as error:
        load_settings(project, **sources)
    return str(error.value)


# Where settings stand


def test_without_any_file_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.values == ProjectConfig(
        entry_point="main",
        params={},
        launch="both",
        store="file",
        env_manager="local",
        timeout=600.0,
        strict=False,
        cache=False,
        ignore=Ignore(params=(), metrics=(), artifacts=(), models=()),
        artifact_contents=(),
        metric_tolerance=Tolerance(rel=1e-9, abs=0.0),
        pass_env=(),
        rules={},
        case=(),
        allow=(),
    )
    assert (settings.project, settings.file, settings.origins) == (tmp_path, None, {})
    assert (settings.entry_point, settings.params) == (None, {})
    assert settings.origin("store") == "default"


WHOLE = """
    entry_point = "train.py"
    params = { index = 10 }
    launch = "fluent"
    store = "sqlite"
    timeout = 30
    strict = true
    cache = true
    ignore = { params = ["p"], metrics = ["system/*", "*_seconds"], artifacts = ["a"], models = ["m"] }
    artifact_contents = ["log_dir/*.txt"]
    metric_tolerance = { rel = 1e-6, abs = 0.5 }
    pass_env = ["AWS_*"]

    [rules]
    metric-without-step = "warning"

    [[case]]
    id = "ten"
    entry_point = "main"
    params = { index = 10 }
    fluent = "python iterate.py -i {index}"
    env = { SEED = "0" }

    [[case]]

    [[allow]]
    rule = "param-differs"
    match = "model_dir"
    reason = "raw value"

    [[allow]]
    rule = "param-quoted"
    reason = "known"
"""


def test_a_file_beside_the_mlproject_may_say_all_of_it(write: Write) -> None:
    settings = load_settings(write(WHOLE))
    assert settings.values == ProjectConfig(
        entry_point="train.py",
        params={"index": "10"},
        launch="fluent",
        store="sqlite",
        timeout=30.0,
        strict=True,
        cache=True,
        ignore=Ignore(params=("p",), metrics=("system/*", "*_seconds"), artifacts=("a",), models=("m",)),
        artifact_contents=("log_dir/*.txt",),
        metric_tolerance=Tolerance(rel=1e-6, abs=0.5),
        pass_env=("AWS_*",),
        rules={"metric-without-step": "warning"},
        case=(
            CaseSettings(
                id="ten",
                entry_point="main",
                params={"index": "10"},
                fluent="python iterate.py -i {index}",
                env={"SEED": "0"},
            ),
            CaseSettings(),
        ),
        allow=(
            AllowSettings(rule="param-differs", match="model_dir", reason="raw value"),
            AllowSettings(rule="param-quoted", match="*", reason="known"),
        ),
    )
    assert settings.file == settings.project / "mlflow-check.toml"
    assert {settings.origin(key) for key in ("store", "rules", "case", "allow")} == {"mlflow-check.toml"}
    # An entry point in the file is a default for the cases; only the command line decides over them.
    assert settings.entry_point is None
    assert settings.params == {}


def test_an_empty_file_leaves_the_defaults(write: Write) -> None:
    settings = load_settings(write(""))
    assert settings.values == ProjectConfig()
    assert settings.file is not None
    assert settings.origins == {}


def test_a_table_in_pyproject_does_as_well(write: Write) -> None:
    text = "[tool.other]\nstore = 5\n[tool.mlflow-check]\nstore = 'sqlite'\n[tool.mlflow-check.rules]\n"
    settings = load_settings(write(text, "pyproject.toml"))
    assert settings.values == ProjectConfig(store="sqlite")
    assert settings.file == settings.project / "pyproject.toml"
    assert settings.origin("store") == "pyproject.toml [tool.mlflow-check]"


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "[tool.other]\n", "tool = 5\n"])
def test_a_pyproject_without_the_table_is_none_of_ours(write: Write, text: str) -> None:
    settings = load_settings(write(text, "pyproject.toml"))
    assert (settings.values, settings.file) == (ProjectConfig(), None)


def test_settings_in_two_places_are_refused(write: Write) -> None:
    write("[tool.mlflow-check]\nstore = 'sqlite'\n", "pyproject.toml")
    assert message(write("timeout = 7\n")) == (
        "mlflow-check.toml: there are settings in pyproject.toml too, under [tool.mlflow-check]: "
        "keep one of the two"
    )


def test_files_of_other_directories_dont_count(write: Write) -> None:
    write("store = 'sqlite'\n")
    write("[tool.mlflow-check]\nstore = 'sqlite'\n", "pyproject.toml")
    project = write("") / "project"
    project.mkdir()
    assert load_settings(project).values == ProjectConfig()


# Which of them holds


def test_command_line_over_file_over_ini_over_default(write: Write) -> None:
    project = write("store = 'sqlite'\ntimeout = 2\n")
    settings = load_settings(
        project,
        ini={"store": "file", "timeout": "1", "launch": "fluent", "strict": "true"},
        command_line={"timeout": 3.0, "launch": "mlflow-run"},
    )
    values = settings.values
    assert (values.store, values.timeout, values.launch, values.strict) == ("sqlite", 3.0, "mlflow-run", True)
    assert {key: settings.origin(key) for key in ("store", "timeout", "launch", "strict", "params")} == {
        "store": "mlflow-check.toml",
        "timeout": "command line",
        "launch": "command line",
        "strict": "pytest ini",
        "params": "default",
    }


def test_params_add_up_value_by_value(write: Write) -> None:
    project = write("params = { a = 'file', b = 'file', c = 'file' }\n")
    settings = load_settings(
        project,
        ini={"params": {"a": "ini", "d": "ini"}},
        command_line={"params": {"b": "line", "e": "line"}},
    )
    assert settings.values.params == {"a": "file", "b": "line", "c": "file", "d": "ini", "e": "line"}
    # Those of the command line win over every case's own.
    assert settings.params == {"b": "line", "e": "line"}
    assert settings.origin("params") == "command line"


def test_everything_else_is_replaced_as_a_whole(write: Write) -> None:
    project = write("ignore = { metrics = ['a'], params = ['b'] }\nrules = { param-differs = 'off' }\n")
    given = {"ignore": {"metrics": ["c"]}, "rules": {"param-quoted": "off"}}
    values = load_settings(project, command_line=given).values
    assert values.ignore == Ignore(metrics=("c",))
    assert values.rules == {"param-quoted": "off"}


def test_an_entry_point_of_the_command_line_is_set_apart(write: Write) -> None:
    settings = load_settings(write("entry_point = 'a'\n"), command_line={"entry_point": "b"})
    assert (settings.entry_point, settings.values.entry_point) == ("b", "b")
    settings = load_settings(settings.project, ini={"entry_point": "c"})
    assert (settings.entry_point, settings.values.entry_point) == (None, "a")


def test_what_is_given_stays_as_it_was(write: Write) -> None:
    given: dict[str, Any] = {"params": {"a": "1"}}
    ini: dict[str, Any] = {"params": {"b": "1"}}
    load_settings(write("params = { c = 1 }\n"), command_line=given, ini=ini)
    assert (given, ini) == ({"params": {"a": "1"}}, {"params": {"b": "1"}})


# Values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('"text"', "text"),
        ('""', ""),
        ("10", "10"),
        ("0x10", "16"),
        ("1.0", "1.0"),
        ("1e-6", "1e-06"),
        ("-0.5", "-0.5"),
        ("inf", "inf"),
        ("true", "True"),  # as MLflow makes it of a default that says `true`
        ("false", "False"),
        ('"true"', "true"),
        ("'''a\nb'''", "a\nb"),
    ],
)
def test_values_of_params_and_variables_become_text(write: Write, value: str, text: str) -> None:
    project = write(f"params = {{ a = {value} }}\n[[case]]\nparams.b = {value}\nenv.c = {value}\n".encode())
    values = load_settings(project).values
    assert (values.params, values.case[0].params, values.case[0].env) == (
        {"a": text},
        {"b": text},
        {"c": text},
    )


@pytest.mark.parametrize("id", ["ten", "a-b_c.d", "lr=0.1 x+1", "数", "1"])
def test_ids_of_cases(id: str) -> None:
    assert validate_settings({"case": [{"id": id}]}, "here").case[0].id == id


@pytest.mark.parametrize(
    "id", ["", " ", "a::b", "a:b", "a/b", "a\\b", "a[b]", "-a", ".", "a\n", "a\tb", 'a"b']
)
def test_ids_that_would_break_node_ids(id: str) -> None:
    with pytest.raises(UserError, match=r'^here: "case\[0\]\.id": ') as error:
        validate_settings({"case": [{"id": id}]}, "here")
    assert str(error.value).endswith(f"(got {id!r})")


# What doesn't fit

PROJECT_KEYS = (
    "allow, artifact_contents, cache, case, confirm, entry_point, env_manager, ignore, launch, "
    "metric_tolerance, observer, params, pass_env, prediction_tolerance, probes, rules, store, strict, "
    "timeout, tracking_uri, workspace"
)

MISTAKES = {
    # what no process can be started with
    '[[case]]\nparams = { a = "x\\u0000" }': (
        '"case[0].params.a": no command line and no environment variable can hold a null character '
        "(got 'x\\x00')"
    ),
    "[[case]]\nenv = { 'A=B' = 'x' }": (
        "\"case[0].env\": 'A=B' can't be the name of an environment variable (got {'A=B': 'x'})"
    ),
    "[[case]]\nfluent = ' '": (
        "\"case[0].fluent\": the plain command is empty: write one, or leave the key out (got ' ')"
    ),
    # unknown keys
    "stor = 'file'": 'unknown key "stor": did you mean "store"?',
    "metric-tolerance = { rel = 1 }": 'unknown key "metric-tolerance": did you mean "metric_tolerance"?',
    "xyz = 1": f'unknown key "xyz": known: {PROJECT_KEYS}',
    "ignore = { metric = ['a'] }": 'unknown key "ignore.metric": did you mean "metrics"?',
    "ignore = { x = ['a'] }": 'unknown key "ignore.x": '
    "known: artifacts, datasets, metrics, models, params, tags",
    "metric_tolerance = { relative = 1 }": 'unknown key "metric_tolerance.relative": known: abs, rel',
    "[[case]]\n[[case]]\nparam = { a = 1 }": 'unknown key "case[1].param": did you mean "params"?',
    "[[case]]\nname = 'a'": 'unknown key "case[0].name": known: entry_point, env, fluent, id, params',
    "[[allow]]\nrule = 'param-differs'\nreason = 'x'\nmatches = '*'": (
        'unknown key "allow[0].matches": did you mean "match"?'
    ),
    "[[allow]]\nrule = 'param-differs'\nreason = 'x'\nwhy = 'x'": (
        'unknown key "allow[0].why": known: match, reason, rule'
    ),
    # allowances
    "[[allow]]\nrule = 'param-differs'": (
        '"allow[0].reason" is missing: an allowance says why, as in  reason = "…"'
    ),
    "[[allow]]\nreason = 'x'": '"allow[0].rule" is missing',
    "[[allow]]\nrule = 'param-differs'\nreason = ''": (
        "\"allow[0].reason\": an allowance needs a reason (got '')"
    ),
    "[[allow]]\nrule = 'param-differs'\nreason = '  '": (
        "\"allow[0].reason\": an allowance needs a reason (got '  ')"
    ),
    # numbers
    "timeout = 0": '"timeout": Input should be greater than 0 (got 0)',
    "timeout = -1.5": '"timeout": Input should be greater than 0 (got -1.5)',
    "timeout = inf": '"timeout": Input should be a finite number (got inf)',
    "timeout = nan": '"timeout": Input should be a finite number (got nan)',
    "timeout = 'long'": (
        "\"timeout\": Input should be a valid number, unable to parse string as a number (got 'long')"
    ),
    "metric_tolerance = { rel = -1e-9 }": (
        '"metric_tolerance.rel": Input should be greater than or equal to 0 (got -1e-09)'
    ),
    "metric_tolerance = { abs = -1 }": (
        '"metric_tolerance.abs": Input should be greater than or equal to 0 (got -1)'
    ),
    "metric_tolerance = { rel = nan }": '"metric_tolerance.rel": Input should be a finite number (got nan)',
    # words
    "store = 'mysql'": (
        "\"store\": write file, sqlite, server or postgresql://USER@HOST/DATABASE (got 'mysql')"
    ),
    "store = 'postgres://me:secret@here/db'": (
        '"store": write file, sqlite, server or postgresql://USER@HOST/DATABASE '
        "(got 'postgres://me:***@here/db')"
    ),
    "launch = 'all'": "\"launch\": Input should be 'both', 'fluent' or 'mlflow-run' (got 'all')",
    "rules = { param-differs = 'ignore' }": (
        "\"rules.param-differs\": Input should be 'error', 'warning' or 'off' (got 'ignore')"
    ),
    "rules = { param-differs = false }": (
        "\"rules.param-differs\": Input should be 'error', 'warning' or 'off' (got False)"
    ),
    # types
    "strict = 'perhaps'": (
        "\"strict\": Input should be a valid boolean, unable to interpret input (got 'perhaps')"
    ),
    "entry_point = 5": '"entry_point": Input should be a valid string (got 5)',
    "artifact_contents = '*.txt'": "\"artifact_contents\": Input should be a list (got '*.txt')",
    "pass_env = [1]": '"pass_env[0]": Input should be a valid string (got 1)',
    "ignore = ['a']": "\"ignore\": Input should be a table (got ['a'])",
    "params = ['a=1']": "\"params\": Input should be a table (got ['a=1'])",
    "params = { a = [1] }": '"params.a": Input should be a valid string (got [1])',
    "metric_tolerance = 1e-6": '"metric_tolerance": Input should be a table (got 1e-06)',
    "[case]\nid = 'a'": (
        "\"case\": Input should be a list of tables: write [[case]], with two brackets (got {'id': 'a'})"
    ),
    "[allow]\nrule = 'a'": (
        "\"allow\": Input should be a list of tables: write [[allow]], with two brackets (got {'rule': 'a'})"
    ),
    "case = ['a']": "\"case[0]\": Input should be a table (got 'a')",
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.items(), ids=list(MISTAKES))
def test_mistakes_are_named_with_their_file_and_key(write: Write, text: str, said: str) -> None:
    of_table = "missing" in said or "two brackets" in said
    line = 1 if of_table else text.count("\n") + 1
    assert message(write(text)) == f"mlflow-check.toml:{line}: {said}"


def test_several_mistakes_are_named_together(write: Write) -> None:
    text = "[tool.mlflow-check]\nstor = 'file'\ntimeout = 0\n[[tool.mlflow-check.allow]]\nreason = ''\n"
    where = "pyproject.toml"
    assert message(write(text, "pyproject.toml")).splitlines() == [
        f'{where}:3: "timeout": Input should be greater than 0 (got 0)',
        f'{where}:4: "allow[0].rule" is missing',
        f"{where}:5: \"allow[0].reason\": an allowance needs a reason (got '')",
        f'{where}:2: unknown key "stor": did you mean "store"?',
    ]


@pytest.mark.parametrize(("source", "origin"), [("command_line", "command line"), ("ini", "pytest ini")])
def test_mistakes_elsewhere_are_named_as_such(tmp_path: Path, source: str, origin: str) -> None:
    said = message(tmp_path, **{source: {"timeout": "0"}})
    assert said == f"{origin}: \"timeout\": Input should be greater than 0 (got '0')"


def test_a_mistake_counts_even_where_something_else_would_hold(write: Write) -> None:
    project = write("store = 'mysql'\n")
    assert message(project, command_line={"store": "file"}).startswith('mlflow-check.toml:1: "store": ')


def test_a_table_that_is_none(write: Write) -> None:
    project = write("[tool]\nmlflow-check = 'strict'\n", "pyproject.toml")
    assert (
        message(project) == "pyproject.toml:2: tool.mlflow-check must be a table: write [tool.mlflow-check]"
    )


def test_text_that_isnt_utf_8(write: Write) -> None:
    project = write(b'store = "\xff"\n')
    assert message(project) == f"{FILE_NAME}:1: the byte 0xff is not UTF-8\n  save the file as UTF-8"


@pytest.mark.parametrize("name", [FILE_NAME, "pyproject.toml"])
def test_text_that_isnt_toml(write: Write, name: str) -> None:
    project = write("store = file\n", name)
    assert message(project) == f"{name}:1:9: not valid TOML: Invalid value"


def test_a_file_that_cant_be_read(write: Write) -> None:
    project = write("")
    (project / FILE_NAME).unlink()
    (project / FILE_NAME).symlink_to(FILE_NAME)
    assert message(project) == (
        f"{FILE_NAME}: can't read the file: Too many levels of symbolic links\n"
        "  let this user read it, or remove it"
    )


def test_settings_cant_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings(tmp_path).values.store = "sqlite"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("metric", 'did you mean "metrics"?'),
        ("Models", 'did you mean "models"?'),
        ("z", "known: metrics, models"),
    ],
)
def test_near_misses(word: str, said: str) -> None:
    assert did_you_mean(word, ["models", "metrics"]) == said
