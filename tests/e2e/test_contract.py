"""The contract as users have it: written with `--mlflow-update`, held to from then on."""

from __future__ import annotations

import json
import re

import pytest

from pytest_mlflow_check.core.errors import UserError
from support.projects import FILES, LOGGING, MakeProject

PROJECT = "--mlflow-project=proj"
FLUENT = 'launch = "fluent"\n[rules]\nmetric-without-step = "off"\n'
PROJ = {**FILES, "train.py": LOGGING, "mlflow-check.toml": FLUENT}
BODY = """\
version: 1
cases:
  main:
    launch: fluent
    runs:
      r:
        metrics:
          loss: {first: 0, last: 0, count: 2, regular: false}
"""
TWO = '[[case]]\nid = "one"\n[[case]]\nid = "two"\nenv = { KEY = "acc" }\n'
NAMED = LOGGING.replace('"loss"', 'os.environ.get("KEY", "loss")')


@pytest.fixture(autouse=True)
def at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def said(result: pytest.RunResult) -> list[str]:
    """What the session says of the contract."""
    lines = result.outlines
    start = next((n for n, line in enumerate(lines) if " mlflow-check: contract " in line), None)
    if start is None:
        return []
    return lines[start + 1 : next(n for n in range(start + 1, len(lines)) if lines[n].startswith("=="))]


def written(pytester: pytest.Pytester) -> str:
    text = (pytester.path / "proj" / "mlflow-contract.yaml").read_text()
    return text[text.index("version") :]


def table(result: pytest.RunResult) -> list[list[str]]:
    return [line.split() for line in result.outlines if line.startswith(("case  ", "proj::"))]


def test_written_held_to_and_broken(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project(files=PROJ)
    first = pytester.runpytest(PROJECT, "--mlflow-update")
    assert first.ret == 0
    assert written(pytester) == BODY
    assert said(first)[0] == "proj/mlflow-contract.yaml: written"
    assert said(first)[-1] == "+          loss: {first: 0, last: 0, count: 2, regular: false}"
    assert table(first)[0] == ["case", "launches", "params", "metrics", "artifacts", "models"]
    second = pytester.runpytest(PROJECT)
    assert second.ret == 0
    assert table(second)[0][-1] == "contract"
    assert table(second)[1] == ["proj::main", "passed", "skipped", "passed", "passed", "skipped", "passed"]
    make_project(files={"train.py": LOGGING.replace('"loss"', '"cost"')})
    third = pytester.runpytest(PROJECT)
    assert third.ret == 1
    text = third.stdout.str()
    assert "contract: renamed: metric loss                                [contract-renamed]" in text
    assert "        - loss: {first: 0, last: 0, count: 2, regular: false}" in text
    assert "        + cost: {first: 0, last: 0, count: 2, regular: false}" in text
    assert table(third)[1][-1] == "FAILED"
    again = pytester.runpytest(PROJECT, "--mlflow-update")
    assert again.ret == 0
    assert said(again) == [
        "proj/mlflow-contract.yaml: updated",
        "@@ -13,3 +13,3 @@",
        "       r:",
        "         metrics:",
        "-          loss: {first: 0, last: 0, count: 2, regular: false}",
        "+          cost: {first: 0, last: 0, count: 2, regular: false}",
    ]
    assert said(pytester.runpytest(PROJECT, "--mlflow-update")) == [
        "proj/mlflow-contract.yaml: nothing to change"
    ]


def test_only_the_selected_cases_are_touched(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project(files={**PROJ, "train.py": NAMED, "mlflow-check.toml": FLUENT + TWO})
    pytester.runpytest(PROJECT, "--mlflow-update", "-k", "one")
    assert "one:" in written(pytester)
    assert "two:" not in written(pytester)
    told = pytester.runpytest(PROJECT, "-k", "two")
    assert told.ret == 0
    assert "contract: 1 not in it: case two (mlflow-contract.yaml:1)" in told.stdout.str()
    file = pytester.path / "proj" / "mlflow-contract.yaml"
    file.write_text(file.read_text().replace("one:", "one:   # mine").replace("loss: {", "loss:  {"))
    before = written(pytester)
    result = pytester.runpytest("proj/MLproject::two::metrics", PROJECT, "--mlflow-update")
    assert result.ret == 0
    assert written(pytester).startswith(before)
    assert "acc: {first" in written(pytester).removeprefix(before)


def test_workers_write_it_once(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project(files={**PROJ, "train.py": NAMED, "mlflow-check.toml": FLUENT + TWO})
    result = pytester.runpytest(PROJECT, "--mlflow-update", "-n", "2")
    assert result.ret == 0
    assert len([line for line in said(result) if "mlflow-contract.yaml" in line]) == 1
    assert re.findall(r"^  (\w+):$", written(pytester), re.MULTILINE) == ["one", "two"]


@pytest.mark.parametrize("ci", ["true", "1"])
def test_refused_in_ci_unless_it_is_meant(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    make_project(files=PROJ)
    monkeypatch.setenv("CI", ci)
    refused = pytester.runpytest(PROJECT, "--mlflow-update")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert refused.errlines[0] == (
        "ERROR: --mlflow-update: this is CI (the variable CI is set), where a contract is held to, not "
        "written: write it at your desk and commit it; or, if it is meant,  --mlflow-update-in-ci"
    )
    assert not (pytester.path / "proj" / "mlflow-contract.yaml").exists()
    if ci == "1":
        assert pytester.runpytest(PROJECT, "--mlflow-update-in-ci").ret == 0
        assert written(pytester) == BODY


@pytest.mark.parametrize(
    ("argument", "given", "what"),
    [("-Pa=1", "-P", "values"), ("--mlflow-entry-point=train.py", "--mlflow-entry-point", "cases")],
)
def test_what_only_this_call_asks_for_is_neither_written_nor_held(
    pytester: pytest.Pytester, make_project: MakeProject, argument: str, given: str, what: str
) -> None:
    make_project(files={**PROJ, "mlflow-contract.yaml": BODY})
    refused = pytester.runpytest(PROJECT, "--mlflow-update", argument)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert refused.errlines[0] == (
        f"ERROR: --mlflow-update: a contract holds the cases of the settings, and {given} asks for others: "
        "write it into proj/mlflow-check.toml, and choose among the cases with  -k  or node ids"
    )
    result = pytester.runpytest(PROJECT, argument, "-k", "contract", "-rs")
    result.assert_outcomes(skipped=1)
    assert f": the contract holds the {what} of the settings, and {given} " in result.stdout.str()


def test_a_case_that_fails_isnt_written(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project(files={**PROJ, "mlflow-check.toml": 'launch = "fluent"\n', "mlflow-contract.yaml": BODY})
    result = pytester.runpytest(PROJECT, "--mlflow-update")
    assert result.ret == 1
    assert said(result) == [
        "proj/mlflow-contract.yaml: main isn't written: its launches fail the check "
        "metrics (metric-without-step)"
    ]
    assert written(pytester) == BODY
    # Whichever checks were selected; and no report says that all is well then.
    result = pytester.runpytest(PROJECT, "--mlflow-update", "-k", "artifacts", "--mlflow-report=report.json")
    report = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))
    assert (result.ret, report["verdict"], report["unwritten"]) == (1, "failed", said(result))
    assert report["headline"] == "All checks passed, but the contract isn't written whole."


def test_a_secret_in_why_it_isnt_written_is_masked(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(files=PROJ)
    monkeypatch.setenv("A_TOKEN", "abcdefgh12345678")

    def refused(*_: object) -> None:
        raise UserError("train.py: no such thing as abcdefgh12345678")

    monkeypatch.setattr("pytest_mlflow_check.engine.launcher.Launcher.again", refused)
    result = pytester.runpytest_inprocess(PROJECT, "--mlflow-update")
    assert said(result) == ["proj/mlflow-contract.yaml: main isn't written: train.py: no such thing as ***"]


def test_a_launch_that_fails_isnt_written_even_where_that_is_allowed(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    allowed = FLUENT + 'launch-failed = "off"\n'
    make_project(files={**PROJ, "train.py": LOGGING + "exit(3)\n", "mlflow-check.toml": allowed})
    result = pytester.runpytest(PROJECT, "--mlflow-update")
    assert said(result) == [
        "proj/mlflow-contract.yaml: main isn't written: the fluent launch failed (see launches)"
    ]


def test_a_second_launch_that_fails_isnt_written(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    once = f"import os\nos.mkdir({str(pytester.path / 'once')!r})\n"
    make_project(files={**PROJ, "train.py": once + LOGGING})
    result = pytester.runpytest(PROJECT, "--mlflow-update", "--mlflow-jobs=1")
    assert result.ret == 1
    assert said(result) == [
        "proj/mlflow-contract.yaml: main isn't written: its second launches fail the "
        "check launches (launch-failed)"
    ]


def test_who_stops_waiting_for_the_second_launches_keeps_the_rest(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(files=PROJ)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_mlflow_check.engine.launcher.Launcher.again", stopped)
    result = pytester.runpytest_inprocess(PROJECT, "--mlflow-update")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert said(result) == ["proj/mlflow-contract.yaml: interrupted: update again"]
    assert table(result)[1][0] == "proj::main"
    assert not (pytester.path / "proj" / "mlflow-contract.yaml").exists()


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit(143)])
def test_all_that_an_interrupted_update_leaves_is_named_and_reported(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    make_project(files=PROJ)
    make_project("other", PROJ)

    def stopped(*_: object) -> None:
        raise end

    monkeypatch.setattr("pytest_mlflow_check.engine.launcher.Launcher.again", stopped)
    result = pytester.runpytest_inprocess(
        PROJECT, "--mlflow-project=other", "--mlflow-update", "--mlflow-report=report.json"
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert said(result) == [
        "proj/mlflow-contract.yaml: interrupted: update again",
        "other/mlflow-contract.yaml: interrupted: update again",
    ]
    report = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))
    assert report["unwritten"] == said(result)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("raise KeyboardInterrupt", 2),
        # pytest prints no summary then (`_pytest.terminal.pytest_sessionfinish`, 9.2).
        ('pytest.exit("enough", returncode=7)', 7),
    ],
)
def test_a_session_that_ends_early_writes_no_contract_and_says_so(
    pytester: pytest.Pytester, make_project: MakeProject, end: str, code: int
) -> None:
    make_project(files=PROJ)
    pytester.makeconftest(
        f"import pytest\ndef pytest_runtest_logfinish(nodeid):\n    if nodeid.endswith('::models'): {end}\n"
    )
    result = pytester.runpytest_subprocess(PROJECT, "--mlflow-update", "--mlflow-report=report.json")
    unwritten = ["proj/mlflow-contract.yaml: isn't written: the session ended early"]
    assert (result.ret, said(result)) == (code, unwritten if code == 2 else [])
    assert not (pytester.path / "proj" / "mlflow-contract.yaml").exists()
    report = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))
    assert (report["verdict"], report["unwritten"]) == ("failed", unwritten)


def test_a_fault_of_ours_in_the_update_takes_nothing_away(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(files=PROJ)

    def wrong(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr("pytest_mlflow_check.engine.launcher.Launcher.again", wrong)
    result = pytester.runpytest_inprocess(PROJECT, "--mlflow-update")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    lines = said(result)
    assert lines[0] == (
        "INTERNAL ERROR in pytest-mlflow-check: a fault of the plugin, not of your project: its contract "
        "isn't written"
    )
    assert "RuntimeError: a mistake" in lines
    assert table(result)[1][0] == "proj::main"


def test_a_contract_of_both_launches_isnt_written_from_one(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project(files={**PROJ, "mlflow-contract.yaml": BODY.replace("    launch: fluent\n", "")})
    result = pytester.runpytest(PROJECT, "--mlflow-update")
    assert result.ret == 1
    assert said(result) == [
        "proj/mlflow-contract.yaml: main isn't written: it holds both launches, and only "
        "fluent was made; leave out --mlflow-launch"
    ]


def test_a_mistake_in_it_is_told_before_anything_is_launched(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project(files={**PROJ, "mlflow-contract.yaml": BODY.replace("main", "mian")})
    result = pytester.runpytest(PROJECT)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[:2] == [
        'ERROR: proj/mlflow-contract.yaml:3: "cases.mian": the project has no such case: '
        'did you mean "main"?',
        "  rename it, or remove it",
    ]


def test_what_is_cached_is_held_to_it_without_a_launch(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project(files=PROJ)
    cached = (PROJECT, "--mlflow-cache")
    pytester.runpytest(*cached, "--mlflow-update")
    assert table(pytester.runpytest(*cached))[1][-1] == "cached"
    # Neither an edit of the contract nor a comment in it is a reason for a launch.
    file = pytester.path / "proj" / "mlflow-contract.yaml"
    file.write_text(file.read_text() + "# so\n")
    assert table(pytester.runpytest(*cached))[1][-1] == "cached"


def test_probes_have_no_contract(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    mlproject = "entry_points:\n  main:\n    parameters:\n      a: {type: float, default: 0.5}\n"
    mlproject += '    command: "python train.py {a}"\n'
    make_project(files={**PROJ, "MLproject": mlproject, "mlflow-contract.yaml": BODY})
    listed = pytester.runpytest(PROJECT, "--mlflow-probe", "--co", "-q").outlines
    assert [line for line in listed if line.endswith("::contract")] == ["proj/MLproject::main::contract"]
    assert len([line for line in listed if line.endswith("::models")]) > 1


def test_a_contract_is_written_beside_tests_with_a_conftest_of_their_own(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    """pytest then asks all plugins but that conftest, and has them in a set for it."""
    make_project("proj", {**FILES, "train.py": LOGGING, "mlflow-check.toml": 'launch = "fluent"\n'})
    make_project("own", {"conftest.py": "", "test_it.py": "def test_it(): pass\n"})
    result = pytester.runpytest("--mlflow-project=proj", "own", "--mlflow-update")
    result.assert_outcomes(passed=3, failed=1, skipped=2)
