"""Probes: which cases are derived, what they are called, and what their results mean beside their case's."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mlflow_check.checks.runner import Policy, beside_its_case
from pytest_mlflow_check.core.findings import CheckResult, Finding
from pytest_mlflow_check.core.models import Case, Parameter
from pytest_mlflow_check.mlproject.probes import changed_values, identity, probes_of, values_in_use
from support.builders import case, compare, finding, judge, launch, parameter, quick, run, slugs
from support.projects import FILES, LOGGING, MakeProject

ALPHA = parameter("alpha", type="float", default="0.5")
NAME = parameter("name", default="x")


def listed(of: Case) -> dict[str, dict[str, str]]:
    """The values of each probe by its id."""
    return {probe.id: dict(probe.params) for probe in probes_of(of)}


# Which


def test_a_probe_is_its_case_with_other_values() -> None:
    of = replace(case(ALPHA), env={"SEED": "0"})
    assert probes_of(of) == (
        replace(of, id="main+alpha=1", params={"alpha": "1"}, probe="alpha=1", probe_of="main"),
    )


def test_every_kind_of_probe() -> None:
    index = parameter("index", type="int")
    data = parameter("data", type="path", default=".")
    of = case(index, ALPHA, NAME, data, params={"index": "3", "alpha": "0.1", "name": "y"})
    assert listed(of) == {
        "main+alpha=1": {"index": "3", "alpha": "1", "name": "y"},
        "main+name=two words": {"index": "3", "alpha": "0.1", "name": "two words"},
        "main-alpha": {"index": "3", "name": "y"},
        "main-name": {"index": "3", "alpha": "0.1"},
        "main only index": {"index": "3"},
    }
    assert [probe.probe for probe in probes_of(of)] == [
        "alpha=1",
        "name=two words",
        "alpha left out",
        "name left out",
        "only index given",
    ]


def test_each_given_parameter_on_its_own_where_the_others_have_defaults() -> None:
    of = case(ALPHA, NAME, parameter("seed", type="int", default="0"))
    three = replace(of, params={"alpha": "1", "name": "a b", "seed": "1"})
    assert listed(three) == {
        "main-alpha": {"name": "a b", "seed": "1"},
        "main-name": {"alpha": "1", "seed": "1"},
        "main-seed": {"alpha": "1", "name": "a b"},
        "main only alpha": {"alpha": "1"},
        "main only name": {"name": "a b"},
        "main only seed": {"seed": "1"},
    }
    # With two, leaving one out is giving the other alone.
    two = replace(of, params={"alpha": "1", "name": "a b"})
    assert list(listed(two)) == ["main-alpha", "main-name"]


@pytest.mark.parametrize("value", ["1", "0", "-3", "+7", "10"])
def test_a_whole_number_needs_no_probe(value: str) -> None:
    assert listed(case(parameter("alpha", type="float"), params={"alpha": value})) == {}
    assert listed(case(parameter("alpha", type="float", default=value))) == {}


@pytest.mark.parametrize("value", ["1.0", "1e3", "0.5", "nan", ""])
def test_other_numbers_get_one(value: str) -> None:
    assert list(listed(case(parameter("alpha", type="float", default=value)))) == ["main+alpha=1"]


@pytest.mark.parametrize(
    ("fields", "free"),
    [
        ({"default": "adam"}, True),
        ({"default": ""}, True),
        ({"default": "two already"}, False),
        # A number without a type, and what MLflow takes for a place.
        ({"default": "0.5"}, False),
        ({"type": "path", "default": "x"}, False),
        ({"type": "uri", "default": "s3://x"}, False),
        ({"type": "int", "default": "3"}, False),
        ({"type": "choice", "default": "a"}, False),
    ],
)
def test_which_texts_are_free(fields: dict[str, Any], free: bool) -> None:
    expected = {"main+name=two words": {"name": "two words"}} if free else {}
    assert listed(case(parameter("name", **fields))) == expected


def test_what_has_no_default_is_never_left_out() -> None:
    index = parameter("index", type="int")
    assert listed(case(index, params={"index": "3"})) == {}
    # Nor what is declared nowhere.
    of = case(parameter("k", type="int", default="1"), params={"k": "2", "extra": "1"})
    assert listed(of) == {"main-k": {"extra": "1"}}


def test_a_given_value_that_is_the_default_is_nothing_to_leave_out() -> None:
    assert listed(case(parameter("k", type="int", default="1"), params={"k": "1"})) == {}


def test_a_default_that_is_null_comes_first() -> None:
    null = parameter("out", null_default=True)
    assert listed(case(ALPHA, null)) == {}
    assert list(listed(case(ALPHA, null, params={"out": "a b"}))) == ["main+alpha=1"]


def test_names_that_dont_fit_a_node_id() -> None:
    odd = [parameter(name, type="float", default="0.5") for name in ("a/b", "a:b", "ü[0]", "max-depth")]
    assert list(listed(case(*odd))) == ["main+a_b=1", "main+a_b=1 again", "main+ü_0_=1", "main+max-depth=1"]


VALUES = st.sampled_from(["0.5", "1", "two words", "x", ""])


@given(st.data())
@quick
def test_probes_are_few_different_and_well_named(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from("abcdef/"), unique=True))
    types = st.sampled_from(["float", "string", "path", "int"])
    parameters = [
        Parameter(name, data.draw(types), data.draw(st.none() | VALUES), data.draw(st.booleans()))
        for name in names
    ]
    given_values = data.draw(st.dictionaries(st.sampled_from([*names, "extra"]), VALUES))
    of = case(*parameters, params=given_values)
    probes = probes_of(of)
    assert len(probes) <= 2 * (len(parameters) + len(given_values))
    everything = [of, *probes]
    for position, one in enumerate(everything):
        assert re.fullmatch(r"\w[\w .+=-]*", one.id)
        assert identity(one) not in [identity(other) for other in everything[:position]]
    assert len({one.id for one in everything}) == len(everything)
    for probe in probes:
        assert probe.probe_of == "main"
        # What had a value has one still.
        assert values_in_use(probe).keys() >= {name for name in values_in_use(of) if name != "extra"}


# Results


def probe(of: Case, id: str) -> Case:
    """The probe of that id."""
    return next(one for one in probes_of(of) if one.id == id)


OF = case(ALPHA, NAME, params={"alpha": "0.1"})
ONE = probe(OF, "main+alpha=1")


def test_what_a_probe_changes() -> None:
    assert changed_values(OF, ONE) == "alpha=0.1"
    assert changed_values(OF, probe(OF, "main+name=two words")) == "name=x"
    assert changed_values(OF, probe(OF, "main-alpha")) == "alpha=0.1"
    assert changed_values(case(parameter("t"), params={}), replace(OF, params={"t": "1"})) == ""


DIFFERS = finding("param-differs", "alpha")
QUOTED = finding("param-quoted", "name", severity="warning")


@pytest.mark.parametrize(
    ("of_case", "fared"),
    [
        (CheckResult("params"), 'the case "main", with alpha=0.1, passes'),
        (CheckResult("params", (QUOTED,)), 'the case "main", with alpha=0.1, has other findings'),
        (CheckResult("params", skipped="no"), 'for the case "main", with alpha=0.1, this check was skipped'),
    ],
)
def test_a_probe_says_how_its_case_fared(of_case: CheckResult, fared: str) -> None:
    result = CheckResult("params", (DIFFERS, QUOTED), used_allowances=(1,))
    expected = (DIFFERS,) if of_case.findings else (DIFFERS, QUOTED)
    note = f"probe: alpha=1 breaks this; {fared}."
    assert beside_its_case(result, ONE, of_case, OF) == replace(result, findings=expected, note=note)


def test_what_the_given_values_break_too_isnt_said_again() -> None:
    both = CheckResult("params", (DIFFERS, QUOTED))
    again = CheckResult("params", (replace(DIFFERS, fluent="1.0"), QUOTED))
    assert beside_its_case(again, ONE, both, OF) == CheckResult(
        "params", skipped='it fails as the case "main" does'
    )
    warned = CheckResult("params", (QUOTED,))
    assert beside_its_case(warned, ONE, both, OF) == CheckResult("params")
    assert beside_its_case(CheckResult("params"), ONE, both, OF) == CheckResult("params")
    skipped = CheckResult("params", skipped="no")
    assert beside_its_case(skipped, ONE, both, OF) == skipped


def test_a_value_that_the_program_doesnt_take_is_no_fault() -> None:
    usage = "error: argument --name: invalid choice: 'two words'\n"
    words = probe(OF, "main+name=two words")
    both = [launch("fluent", exit_code=2, stderr=usage), launch("mlflow-run", exit_code=1, stderr=usage)]
    result = judge("launches", compare(*both, case=words), Policy())
    reason = "the program doesn't run with name=two words: every launch fails, and not of MLflow"
    assert result == CheckResult("launches", skipped=reason)
    # Of a case of the user's own it is one.
    assert slugs(judge("launches", compare(*both, case=OF), Policy()).findings) == [
        ("launch-failed", "fluent and mlflow run")
    ]


REWRITTEN = (
    "Changing param values is not allowed. Param with key='alpha' was already logged with value='1' for run "
    "ID='0123'. Attempted logging new value '1.0'."
)
ACTIVE = "Traceback (most recent call last):\nException: Run with UUID 0123 is already active. To start\n"


@pytest.mark.parametrize(
    ("fluent", "mlflow_run", "expected"),
    [
        ((0, ""), (1, "no"), "launch-failed"),
        ((1, "no"), (0, ""), "launch-failed"),
        ((1, "no"), (1, REWRITTEN), "param-rewritten"),
        ((1, ACTIVE), (1, ACTIVE), "launch-failed"),
        ((None, ""), (None, ""), "launch-failed"),
    ],
)
def test_a_failure_that_isnt_the_programs_own_is_one(
    fluent: tuple[int | None, str], mlflow_run: tuple[int | None, str], expected: str
) -> None:
    logged = run(params={"alpha": "1"})
    launches = [
        launch(mode, logged, exit_code=code, stderr=text)  # type: ignore[arg-type]
        for mode, (code, text) in (("fluent", fluent), ("mlflow-run", mlflow_run))
    ]
    result = judge("launches", compare(*launches, case=ONE), Policy())
    assert result.skipped is None
    assert expected in {one.rule for one in result.findings}


# Collection

PROJECT = {
    **FILES,
    "MLproject": """
entry_points:
  main:
    parameters:
      alpha: {type: float, default: 0.5}
      name: {type: string, default: x}
      data: {type: path, default: nowhere}
    command: "python train.py {alpha} {name} {data}"
""",
}
SETTINGS = (
    '[[case]]\nparams = {data = "."}\n[[case]]\nid = "main+alpha=1"\nparams = {alpha = "1", data = "."}\n'
)
MAIN, OWN = ["main", "main+name=two words"], ["main+alpha=1", "main+alpha=1+name=two words"]


@pytest.mark.parametrize(
    ("settings", "arguments", "expected"),
    [
        (SETTINGS, [], [MAIN[0], OWN[0]]),
        (SETTINGS, ["--mlflow-probe"], [*MAIN, *OWN]),
        (SETTINGS, ["-o", "mlflow_probe=true"], [*MAIN, *OWN]),
        (f"probes = true\n{SETTINGS}", [], [*MAIN, *OWN]),
        (f"probes = false\n{SETTINGS}", ["-o", "mlflow_probe=true"], [MAIN[0], OWN[0]]),
        (f"probes = false\n{SETTINGS}", ["--mlflow-probe"], [*MAIN, *OWN]),
        (SETTINGS, ["--mlflow-probe", "-k", "two"], [MAIN[1], OWN[1]]),
    ],
)
def test_probes_are_collected_behind_their_case(
    pytester: pytest.Pytester,
    make_project: MakeProject,
    settings: str,
    arguments: list[str],
    expected: list[str],
) -> None:
    make_project("proj", {**PROJECT, "mlflow-check.toml": settings})
    result = pytester.runpytest("--mlflow-project=proj", "--collect-only", "-q", *arguments)
    cases = [line.split("::")[1] for line in result.outlines if line.endswith("::launches")]
    assert cases == expected, result.stdout.str() + result.stderr.str()


def test_the_id_of_a_probe_gives_way_to_one_of_the_users(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    taken = 'params = {data = "."}\n[[case]]\n[[case]]\nid = "main+alpha=1"\nparams = {alpha = "7"}\n'
    make_project("proj", {**PROJECT, "mlflow-check.toml": taken})
    arguments = ("--mlflow-project=proj", "--mlflow-probe", "--collect-only", "-q", "-k", "launches")
    result = pytester.runpytest(*arguments)
    ids = [line.split("::")[1] for line in result.outlines if line.endswith("::launches")]
    assert ids[:3] == ["main", "main+alpha=1 again", "main+name=two words"]


STEPLESS = LOGGING.replace(
    '"metrics" / "loss").write_text("1 0.5 0\\n2 0.25 0\\n")',
    '"metrics" / "loss").write_text("1 0.5 0\\n2 0.25 " + STEP + "\\n")',
)


def launched(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A session with probes that launches the plain command only, which needs no MLflow."""
    return pytester.runpytest("--mlflow-project=proj", "--mlflow-probe", "--mlflow-launch=fluent", *arguments)


FLOAT = {
    "MLproject": "entry_points:\n  main:\n    parameters:\n      alpha: {type: float, default: 0.5}\n"
    '    command: "python train.py {alpha}"\n',
}


def test_a_failing_probe_says_which_value_breaks_what(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    script = f'import sys\nSTEP = "0" if sys.argv[1] == "1" else "1"\n{STEPLESS}'
    make_project("proj", {**FLOAT, "train.py": script})
    result = launched(pytester, "-k", "metrics")
    result.assert_outcomes(passed=1, failed=1, deselected=8)
    result.stdout.fnmatch_lines(
        ['probe: alpha=1 breaks this; the case "main", with alpha=0.5, passes.', "", "metrics: 1 *"],
        consecutive=True,
    )
    alone = launched(pytester, "-k", "alpha and metrics")
    alone.assert_outcomes(failed=1, deselected=9)
    alone.stdout.fnmatch_lines(["probe: alpha=1 breaks this; *passes."])


def test_a_probe_that_fails_as_its_case_does_is_skipped(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", {**FLOAT, "train.py": f'STEP = "0"\n{STEPLESS}'})
    result = launched(pytester, "-k", "metrics", "-rs")
    result.assert_outcomes(failed=1, skipped=1, deselected=8)
    result.stdout.fnmatch_lines(['SKIPPED * it fails as the case "main" does'])


def test_a_value_that_the_program_refuses_is_skipped(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    script = f'import sys\nif sys.argv[1] == "1":\n    sys.exit("below 1, please")\nSTEP = "1"\n{STEPLESS}'
    make_project("proj", {**FLOAT, "train.py": script})
    result = launched(pytester, "-rs")
    result.assert_outcomes(passed=3, skipped=7)
    result.stdout.fnmatch_lines(["SKIPPED * the program doesn't run with alpha=1: every launch fails,*"])


LOGS_A_FLOAT = """
import sys
import mlflow

with mlflow.start_run():
    mlflow.log_param("alpha", float(sys.argv[1]))
"""


@pytest.mark.launch
def test_a_whole_number_for_a_float_is_found_before_the_first_user_does(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", {**FLOAT, "train.py": LOGS_A_FLOAT})
    result = pytester.runpytest("--mlflow-project=proj", "--mlflow-probe")
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(
        [
            'probe: alpha=1 breaks this; the case "main", with alpha=0.5, passes.',
            "",
            "launches: crashed, logged with two values: alpha * [[]param-rewritten[]]",
            '*alpha * logged "1", then "1.0" * train.py:6',
        ]
    )


def test_check_project_makes_probes_too(tmp_path: Path, make_project: MakeProject) -> None:
    from pytest_mlflow_check.config.settings import load_settings
    from pytest_mlflow_check.engine.api import check_project

    script = f'import sys\nSTEP = "0" if sys.argv[1] == "1" else "1"\n{STEPLESS}'
    project = make_project("proj", {**FLOAT, "train.py": script})
    settings = load_settings(project, command_line={"probes": True, "launch": "fluent"})
    report = check_project(settings, session_dir=tmp_path)
    found: dict[str, list[Finding]] = {
        one.case: [finding for result in one.results for finding in result.findings] for one in report.cases
    }
    assert {name: slugs(findings) for name, findings in found.items()} == {
        "main": [],
        "main+alpha=1": [("metric-without-step", "loss")],
    }
