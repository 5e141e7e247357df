"""Launches: how they ended, what their output says of it, and whether they logged runs at all.

MLflow's messages and tracebacks are as 3.17.2 and 2.22.5 print them, paths and some frames left out.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.checks.launches import check_launches
from pytest_mlflow_check.checks.runner import Policy
from pytest_mlflow_check.core.findings import CHECKS, CodePart, Finding
from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.records import Dataset, Launch, Mode, Observation
from pytest_mlflow_check.reporting.text import render_title
from support.builders import (
    HOME,
    artifact,
    case,
    compare,
    judge,
    launch,
    model,
    parameter,
    run,
    series,
    slugs,
)

RUN_ID = "0123456789abcdef0123456789abcdef"
LIBRARY = "/env/lib/python3.11/site-packages/mlflow"
CHAINED = "\nDuring handling of the above exception, another exception occurred:\n\n"
ADVICE = """

The cause of this error is typically due to repeated calls
to an individual run_id event logging.

Incorrect Example:
---------------------------------------
with mlflow.start_run():
    mlflow.log_param("depth", 3)
    mlflow.log_param("depth", 5)
---------------------------------------

Which will throw an MlflowException for overwriting a
logged parameter.
"""


def rewriting(key: str = "alpha", old: str = "1", new: str = "1.0") -> str:
    """The message for one param."""
    return (
        f"Changing param values is not allowed. Param with key='{key}' was already logged with "
        f"value='{old}' for run ID='{RUN_ID}'. Attempted logging new value '{new}'."
    )


def rewriting_many(*changes: tuple[str, str, str]) -> str:
    """The message of a SQL store for `log_params`."""
    params = [{"key": key, "old_value": old, "new_value": new} for key, old, new in changes]
    return (
        f"Changing param values is not allowed. Params were already logged='{params}' for run ID='{RUN_ID}'."
    )


def traceback(
    message: str, *frames: tuple[str | Path, int], kind: str = "mlflow.exceptions.MlflowException"
) -> str:
    """A traceback as Python prints it, outermost frame first."""
    lines = [f'  File "{file}", line {line}, in function\n    some(code)\n' for file, line in frames]
    return "Traceback (most recent call last):\n" + "".join(lines) + f"{kind}: {message}\n"


def log_param_dies(*frames: tuple[str | Path, int], **change: str) -> str:
    """What `mlflow.log_param` leaves on standard error."""
    message = rewriting(**change)
    store = traceback(message, (f"{LIBRARY}/store/tracking/file_store.py", 1156))
    client = (f"{LIBRARY}/tracking/_tracking_service/client.py", 420)
    return store + CHAINED + traceback(message + ADVICE, *frames, client)


def died(mode: Mode, stderr: str, **fields: Any) -> Launch:
    return launch(mode, exit_code=1, stderr=stderr, **fields)


def found(*launches: Launch, **more: Any) -> list[Finding]:
    return check_launches(compare(*launches, **more))


def only(*launches: Launch, **more: Any) -> Finding:
    (finding,) = found(*launches, **more)
    return finding


LOGGED = run(params={"index": "1"}, metrics=[series("m", [1])])


# How a launch ended


def test_two_launches_that_ended_well_and_logged_are_fine() -> None:
    assert found(launch("fluent", LOGGED), launch("mlflow-run", LOGGED)) == []


@pytest.mark.parametrize(
    ("exit_code", "how"),
    [
        (1, "exit code 1"),
        (3, "exit code 3"),
        (255, "exit code 255"),
        (-9, "killed by SIGKILL"),
        (-11, "killed by SIGSEGV"),
        (-64, "killed by SIGRTMAX"),
        (-50, "killed by signal 50"),
        (-200, "killed by signal 200"),
    ],
)
def test_every_end_but_exit_code_0_is_a_failure(exit_code: int, how: str) -> None:
    assert only(launch("fluent", LOGGED, exit_code=exit_code), launch("mlflow-run", LOGGED)) == Finding(
        rule="launch-failed",
        subject="fluent",
        why=f"`python train.py` {'was' if 'killed' in how else 'ended with'} {how}.",
        fix="start it by hand, and resolve what it says:  python train.py",
        fluent=how,
        mlflow_run=None,
        detail="python train.py\nno output\nlogged until then: 1 run, 1 param, 1 metric",
        cause=how,
    )


def test_a_launch_that_ran_out_of_time() -> None:
    finding = only(launch("fluent", LOGGED), launch("mlflow-run", exit_code=None, duration=600.4))
    assert (finding.subject, finding.fluent, finding.mlflow_run) == (
        "mlflow run",
        None,
        "not ended after 600 s",
    )
    assert finding.why == "`mlflow run .` didn't end within its time and was ended."
    assert finding.fix == "give it a smaller case, or more time:  --mlflow-timeout=SECONDS"


def test_both_launches_failing_is_one_finding() -> None:
    mlflow_run = "INFO mlflow.projects.utils: === Created directory /d ===\nfailed\n"
    finding = only(
        died("fluent", "failed\n", stdout="fluent"),
        died("mlflow-run", mlflow_run, command="mlflow run . -P a=1"),
    )
    assert finding.subject == "fluent and mlflow run"
    assert (finding.fluent, finding.mlflow_run) == ("exit code 1", "exit code 1")
    assert finding.detail == snapshot("""\
python train.py  (`mlflow run . -P a=1` printed the same)
the end of its output:
  failed
logged until then: nothing\
""")


def test_launches_that_were_killed_died_of_one_thing() -> None:
    fluent = launch("fluent", exit_code=-9, stderr="epoch 3\n")
    ended = Observation("command_ended", value="-9", by="mlflow-run")
    mlflow_run = died("mlflow-run", "bash: line 1: 7 Killed  python train.py\n", observations=(ended,))
    finding = only(fluent, mlflow_run)
    assert (finding.subject, finding.cause) == ("fluent and mlflow run", "killed by SIGKILL")


def test_launches_that_print_other_things_are_shown_both() -> None:
    fluent = died("fluent", traceback("no data", (HOME / "train.py", 4), kind="ValueError"))
    mlflow_run = died("mlflow-run", traceback("no step", (HOME / "train.py", 9), kind="KeyError"))
    findings = found(fluent, mlflow_run)
    assert [(finding.subject, finding.cause, finding.source_line) for finding in findings] == [
        ("fluent", "ValueError: no data", "train.py:4"),
        ("mlflow run", "KeyError: no step", "train.py:9"),
    ]


def test_what_both_print_is_shown_once_whatever_the_ids_and_times() -> None:
    def printed(mode: Mode, run_id: str, at: str) -> Launch:
        lines = f"{at} start of {run_id}\n" + traceback("diverged", (HOME / "train.py", 4), kind="ValueError")
        return died(mode, lines, observations=())

    findings = found(printed("fluent", "a" * 32, "10:00:01"), printed("mlflow-run", "b" * 32, "10:00:09,5"))
    assert [(finding.subject, finding.cause) for finding in findings] == [
        ("fluent and mlflow run", "ValueError: diverged")
    ]
    assert findings[0].detail.count("ValueError: diverged") == 1
    assert findings[0].why == "`python train.py` ended with ValueError in train.py:4."


def test_a_long_message_is_cut_in_the_title_after_its_secrets_were_masked() -> None:
    secret = "Tr0ub4dor-" + "x" * 30
    stderr = traceback(f"{'m' * 140} {secret} {'y' * 500}", kind="ValueError")
    policy = Policy(secrets=Secrets.among({"DB_PASS": secret}))
    (finding,) = judge("launches", compare(died("fluent", stderr)), policy).findings
    assert render_title(finding.rule, [finding]) == (
        f"launches: fluent failed: ValueError: {'m' * 140} *** {'y' * 3}…"
    )


@pytest.mark.parametrize(
    ("stderr", "cause"),
    [
        (traceback("a\nb", kind="net.NetError"), "NetError: a"),
        (
            'Traceback (most recent call last):\n  File "t.py", line 1\nKeyboardInterrupt\n',
            "KeyboardInterrupt",
        ),
        ("usage: t.py [-h]\nt.py: error: unrecognized arguments: -x\n", "unrecognized arguments: -x"),
        ("working\nno GPU here\n", "exit code 1: no GPU here"),
        ("2026-01-01 INFO done\n", "exit code 1"),
        ("  indented\n", "exit code 1"),
        ("", "exit code 1"),
        (
            "2026/01/01 00:00:00 ERROR mlflow.cli: === No value given for missing parameters: 'a' ===\n",
            "No value given for missing parameters: 'a'",
        ),
        (f"2026/01/01 00:00:00 ERROR mlflow.cli: === Run (ID '{RUN_ID}') failed ===\n", "exit code 1"),
    ],
)
def test_the_title_says_what_a_launch_failed_of(stderr: str, cause: str) -> None:
    finding = only(died("fluent", stderr))
    assert finding.cause == cause
    assert render_title(finding.rule, [finding]) == f"launches: fluent failed: {cause}"


def test_a_word_without_an_end_is_looked_at_once() -> None:
    """A progress bar may print 64 kB without a blank: trying each letter of it takes half a minute."""
    finding = only(died("fluent", "x" * 64_000))
    assert finding.cause.startswith("exit code 1: xxx")


def test_the_end_of_standard_error_is_shown_with_paths_of_the_project() -> None:
    lines = [f"line {i}" for i in range(30)]
    stderr = "\n".join([*lines, f'  File "{HOME}/src/net.py", line 3', f"{HOME}-other/x", "", ""])
    finding = only(died("fluent", stderr, stdout="chatter", stderr_path=Path("area/stderr.txt")))
    assert finding.detail.splitlines() == [
        "python train.py",
        "the end of area/stderr.txt:",
        *(f"  line {i}" for i in range(12, 30)),
        '    File "src/net.py", line 3',
        f"  {HOME}-other/x",
        "logged until then: nothing",
    ]


@pytest.mark.parametrize("stderr", ["", " \n\n"])
def test_standard_output_is_shown_where_standard_error_is_empty(stderr: str) -> None:
    places = {"stdout_path": Path("area/stdout.txt"), "stderr_path": Path("area/stderr.txt")}
    finding = only(died("fluent", stderr, stdout="usage: train.py\n", **places))
    assert finding.detail == snapshot("""\
python train.py
the end of area/stdout.txt:
  usage: train.py
logged until then: nothing\
""")
    finding = only(died("fluent", stderr, **places))
    assert finding.detail == snapshot("""\
python train.py
no output; its files are in area
logged until then: nothing\
""")


def test_a_failed_launch_isnt_reported_for_what_it_lacks_as_well() -> None:
    comparison = compare(launch("fluent", exit_code=3), launch("mlflow-run", LOGGED, run("r2")))
    results = [judge(check, comparison, Policy()) for check in CHECKS]
    assert slugs(finding for result in results for finding in result.findings) == [
        ("launch-failed", "fluent")
    ]
    assert [result.skipped for result in results] == [None, *["the fluent launch failed (see launches)"] * 5]


def test_reasons_to_skip_name_both_launches() -> None:
    comparison = compare(launch("fluent", exit_code=3), launch("mlflow-run", exit_code=1))
    expected = "the fluent and mlflow run launches failed (see launches)"
    assert judge("metrics", comparison, Policy()).skipped == expected


# A default that is null


def test_a_null_default_without_a_value_is_all_there_is_to_say() -> None:
    null = parameter("model_dir", line=6, type="path", null_default=True)
    comparison = compare(case=case(null), unset=[null])
    (finding,) = check_launches(comparison)
    assert finding == Finding(
        rule="mlproject-null-default",
        subject="model_dir",
        why="MLflow takes `default: null` for no default at all; without a value `mlflow run` ends with "
        '"No value given for missing parameters", so nothing was launched.',
        fix='in MLproject:6 write  model_dir: {type: path, default: ""}  and take the empty text for '
        '"not given" in the code',
        fluent=None,
        mlflow_run="null",
        source_line="MLproject:6",
    )
    for check in CHECKS[1:]:
        reason = judge(check, comparison, Policy()).skipped
        assert reason == "nothing was launched: mlproject-null-default (see launches)"


def test_a_null_default_with_a_value_is_said_beside_everything_else() -> None:
    of = case(parameter("a", null_default=True), parameter("b", default=""), params={"a": "1"})
    finding = only(launch("fluent", LOGGED), launch("mlflow-run", LOGGED), case=of)
    assert (finding.rule, finding.subject) == ("mlproject-null-default", "a")
    assert finding.why.endswith('"No value given for missing parameters".')
    failed = found(launch("fluent", exit_code=3), launch("mlflow-run", LOGGED), case=of)
    assert slugs(failed) == [("mlproject-null-default", "a"), ("launch-failed", "fluent")]


# Params logged twice


def test_a_param_that_mlflow_run_logged_and_the_code_logs_again() -> None:
    stderr = log_param_dies((HOME / "train.py", 40), (HOME / "src" / "net.py", 7))
    fine = launch("fluent", LOGGED)
    finding = only(fine, died("mlflow-run", stderr), case=case(parameter("alpha", line=6)))
    assert finding == Finding(
        rule="param-rewritten",
        subject="alpha",
        why='`mlflow run` logged alpha = "1" by itself, from MLproject:6; then src/net.py:7 logged alpha = '
        '"1.0". A param can\'t be changed once it is logged, so the launch crashed there.',
        fix="log alpha only where `mlflow run` hasn't, and the value in use as cfg_alpha",
        code=(
            CodePart(
                "in place of src/net.py:7, with all else that it logs",
                "already_logged = mlflow.get_run(mlflow.active_run().info.run_id).data.params\n"
                'to_log = {"alpha": …}\n'
                "mlflow.log_params({name: value for name, value in to_log.items() if name not in "
                "already_logged})\n"
                'mlflow.log_param("cfg_alpha", …)',
            ),
        ),
        fluent=None,
        mlflow_run='logged "1", then "1.0"',
        source_line="src/net.py:7",
    )


def test_a_value_in_use_that_is_logged_twice_gets_no_second_prefix() -> None:
    finding = only(
        died("mlflow-run", log_param_dies((HOME / "train.py", 4)).replace("alpha", "cfg_alpha")),
        case=case(parameter("cfg_alpha")),
    )
    assert "cfg_cfg_" not in finding.fix + finding.code[0].text


def test_a_param_given_with_p_and_not_declared() -> None:
    stderr = log_param_dies((HOME / "train.py", 4))
    finding = only(died("mlflow-run", stderr), case=case(params={"alpha": "1"}))
    assert finding.why.startswith(
        '`mlflow run` logged alpha = "1" by itself, from its -P option; then train.py:4'
    )


@pytest.mark.parametrize("with_case", [True, False])
def test_a_param_that_only_the_code_logs_isnt_blamed_on_mlflow_run(with_case: bool) -> None:
    stderr = log_param_dies((HOME / "train.py", 4), key="seed")
    finding = only(died("mlflow-run", stderr), case=case(parameter("alpha")) if with_case else None)
    assert finding.why.startswith('seed = "1" was logged already; then train.py:4 logged seed = "1.0".')
    assert finding.source_line == "train.py:4"


def test_the_place_in_the_mlproject_stands_in_where_no_line_of_the_code_is_known() -> None:
    finding = only(died("mlflow-run", rewriting()), case=case(parameter("alpha", line=6)))
    assert finding.source_line == "MLproject:6"
    assert 'from MLproject:6; then the code logged alpha = "1.0".' in finding.why
    finding = only(died("fluent", rewriting()), case=case(parameter("alpha", line=6)))
    assert finding.source_line is None


def test_a_batch_of_a_sql_store_names_every_param() -> None:
    message = rewriting_many(("a", "1", "1.0"), ("b", "it's \"x\" ] \n}', y", "2"), ("c", "", "''"))
    stderr = traceback(
        message, (HOME / "train.py", 4), (f"{LIBRARY}/store/tracking/sqlalchemy_store.py", 2117)
    )
    findings = found(died("mlflow-run", stderr), case=case(parameter("a", line=6)))
    assert [(finding.subject, finding.mlflow_run, finding.source_line) for finding in findings] == [
        ("a", 'logged "1", then "1.0"', "train.py:4"),
        ("b", 'logged "it\'s "x" ] \n}\', y", then "2"', "train.py:4"),
        ("c", 'logged "", then "\'\'"', "train.py:4"),
    ]
    assert ["by itself" in finding.why for finding in findings] == [True, False, False]


def test_a_batch_of_a_file_store_wraps_the_message_once_more() -> None:
    store = traceback(rewriting(), (f"{LIBRARY}/store/tracking/file_store.py", 1156))
    stderr = store + CHAINED + traceback(rewriting(), (HOME / "train.py", 9), (f"{LIBRARY}/fluent.py", 1433))
    assert only(died("fluent", stderr)).source_line == "train.py:9"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "''",
        "it's",
        "a\nb",
        "a'.\nb",
        "[1, 'two']",
        "' for run ID='",
        "{'key': 'a'}",
        "'.",
        "x'. y",
        "Traceback",
        "naïve — 数",
    ],
)
def test_values_are_read_as_they_are(value: str) -> None:
    for old, new in ((value, "1"), ("1", value)):
        finding = only(died("fluent", log_param_dies((HOME / "t.py", 1), old=old, new=new)))
        assert finding.fluent == f'logged "{old}", then "{new}"'
        finding = only(died("fluent", traceback(rewriting_many(("alpha", old, new)), (HOME / "t.py", 1))))
        assert finding.fluent == f'logged "{old}", then "{new}"'


def test_long_values_are_cut_in_the_middle() -> None:
    finding = only(died("fluent", log_param_dies((HOME / "t.py", 1), old="x" * 6000, new="y" * 60)))
    old = f'"{"x" * 29}…{"x" * 29}"'
    assert finding.fluent == f'logged {old}, then "{"y" * 60}"'
    assert f"alpha = {old} was logged already" in finding.why


def test_a_message_through_a_server_or_a_log_line_is_read_too() -> None:
    assert only(died("fluent", f"RestException: INVALID_PARAMETER_VALUE: {rewriting()}\n")).subject == "alpha"
    logged = f'ERROR trial 3 failed: MlflowException("{rewriting()}\\n\\nThe cause of …")'
    assert only(died("fluent", logged)).fluent == 'logged "1", then "1.0"'


def test_a_secret_that_is_cut_in_the_middle_is_masked() -> None:
    secret = "Tr0ub4dor-" + "x9" * 200
    dead = died("fluent", log_param_dies((HOME / "t.py", 1), key="db_pass", old=secret, new="b"))
    policy = Policy(secrets=Secrets.among({"DB_PASS": secret}))
    (finding,) = judge("launches", compare(dead), policy).findings
    assert finding.fluent == 'logged "***…***", then "b"'
    assert "x9x9" not in finding.why


def test_two_messages_of_one_exception_name_both_params() -> None:
    stderr = (
        log_param_dies((HOME / "t.py", 1)) + CHAINED + log_param_dies((HOME / "t.py", 5), key="beta", old="2")
    )
    findings = found(died("fluent", stderr))
    assert [(finding.subject, finding.fluent, finding.source_line) for finding in findings] == [
        ("alpha", 'logged "1", then "1.0"', "t.py:1"),
        ("beta", 'logged "2", then "1.0"', "t.py:5"),
    ]


def test_a_chain_that_goes_on_after_the_message() -> None:
    cause = "\nThe above exception was the direct cause of the following exception:\n\n"
    stderr = (
        log_param_dies((HOME / "t.py", 3))
        + cause
        + traceback("training", (HOME / "t.py", 9), kind="RuntimeError")
    )
    finding = only(died("fluent", stderr))
    assert (finding.rule, finding.source_line) == ("param-rewritten", "t.py:3")


@pytest.mark.parametrize(
    "above",
    [
        "Exception ignored in: <function Bar.__del__ at 0x7f0000000000>",
        "Exception ignored in atexit callback: <function close at 0x7f0000000000>",
        "Exception in thread Thread-1:",
        "Error in atexit._run_exitfuncs:",
    ],
)
def test_what_goes_wrong_at_exit_comes_after_the_cause(above: str) -> None:
    stderr = (
        log_param_dies((HOME / "t.py", 3))
        + f"{above}\n"
        + traceback("bad", (HOME / "u.py", 1), kind="OSError")
    )
    assert only(died("fluent", stderr)).source_line == "t.py:3"


def test_a_rewriting_that_was_caught_isnt_what_the_launch_died_of() -> None:
    caught = "WARNING:root:not logged\n" + log_param_dies((HOME / "t.py", 3))
    stderr = caught + traceback("division by zero", (HOME / "t.py", 9), kind="ZeroDivisionError")
    finding = only(died("fluent", stderr))
    assert finding.rule == "launch-failed"
    assert "ZeroDivisionError: division by zero" in finding.detail


def test_only_lines_of_the_project_are_places() -> None:
    frames: list[tuple[str | Path, int]] = [
        ("<frozen runpy>", 198),
        (HOME / "train.py", 4),
        ("<string>", 2),
        ("/elsewhere/train.py", 5),
        (f"{HOME}-other/train.py", 6),
        ("<sqlalchemy generated _go() wrapper>", 2),
    ]
    assert only(died("fluent", log_param_dies(*frames))).source_line == "train.py:4"
    assert only(died("fluent", log_param_dies(*frames[2:]))).source_line is None
    relative: list[tuple[str | Path, int]] = [("src/train.py", 8)]
    assert only(died("fluent", log_param_dies(*relative))).source_line == "src/train.py:8"


def test_the_place_is_that_of_the_message_and_not_of_an_earlier_traceback() -> None:
    earlier = traceback("caught", (HOME / "early.py", 1), kind="ValueError")
    assert only(died("fluent", earlier + log_param_dies((HOME / "t.py", 3)))).source_line == "t.py:3"
    nowhere = log_param_dies(("/elsewhere/x.py", 1))
    assert only(died("fluent", earlier + nowhere)).source_line is None
    # Printed without a traceback of its own.
    assert only(died("fluent", log_param_dies((HOME / "t.py", 3)) + "Aborted!\n")).source_line == "t.py:3"


def test_output_cut_at_the_front_still_tells() -> None:
    whole = log_param_dies((HOME / "train.py", 4))
    start = whole.rindex('  File "' + str(HOME))
    assert only(died("fluent", whole[start:])).source_line == "train.py:4"
    assert only(died("fluent", whole[whole.rindex("Changing param") :])).source_line is None
    assert only(died("fluent", whole[whole.rindex("param values is") :])).rule == "launch-failed"


def test_both_launches_dying_alike_is_said_once() -> None:
    stderr = log_param_dies((HOME / "t.py", 3), key="seed")
    other = stderr.replace(str(HOME), "/other/copy")
    finding = only(died("fluent", stderr), died("mlflow-run", other, directory=Path("/other/copy")))
    assert (finding.subject, finding.source_line) == ("seed", "t.py:3")
    assert (finding.fluent, finding.mlflow_run) == ('logged "1", then "1.0"',) * 2


def test_launches_dying_of_different_things_are_told_apart() -> None:
    stderr = log_param_dies((HOME / "t.py", 3))
    sides = (died("fluent", "out of memory"), died("mlflow-run", stderr))
    findings = found(*sides, case=case(parameter("alpha")))
    assert slugs(findings) == [("param-rewritten", "alpha"), ("launch-failed", "fluent")]
    assert "mlflow run ." not in findings[1].detail
    findings = found(died("fluent", stderr), sides[1], case=case(parameter("alpha")))
    assert [(one.fluent is None, one.mlflow_run is None) for one in findings] == [
        (False, True),
        (True, False),
    ]


def test_a_launch_that_ended_well_isnt_searched() -> None:
    fine = launch("fluent", LOGGED, stderr=log_param_dies((HOME / "t.py", 3)))
    assert found(fine, launch("mlflow-run", LOGGED)) == []


HOSTILE = [
    rewriting_many(("a", "1", "2"))[:-60],
    "Changing param values is not allowed. ",
    "Changing param values is not allowed. Param with key='",
    "Changing param values is not allowed. Param with key='a' was already logged with value='",
    rewriting()[:-2],
    *(
        f"Changing param values is not allowed. Params were already logged='{params}' for run ID='x'."
        for params in (
            "",
            "[",
            "[]",
            "[1, 2]",
            "['a']",
            "5",
            "[{}]",
            "[{'key': 1, 'old_value': 2, 'new_value': 3}]",
            "[{'key': ['a'], 'old_value': 'b', 'new_value': 'c'}]",
            "[{'key': 'a'}]",
            "[{[]: 'a'}]",
            "__import__('os').system('false')",
            "[" * 5000,
            "[" + "-" * 5000 + "1]",
            "[\0]",
            "[\n  indented",
            "'\\x'",
            "[{'key': None, 'old_value': None, 'new_value': None}]",
        )
    ),
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_text_that_only_looks_like_a_message_explains_nothing(text: str) -> None:
    assert only(died("fluent", text)).rule == "launch-failed"


@pytest.mark.parametrize(
    "text",
    [
        "Changing param values is not allowed. Param with key='" * 1200,
        "Param with key='' was already logged with value='' for run ID='a'. Attempted logging new value '"
        * 600,
        rewriting()[:-2] * 350,
        (rewriting() + r"\n\nThe cause") * 350,
        "Traceback (most recent call last):\n" * 1800,
        '  File "' * 8000,
        "Changing param values is not allowed. Params were already logged='[" * 900,
    ],
)
def test_64_kilobytes_of_such_text_are_read_at_once(text: str) -> None:
    start = time.monotonic()
    found(died("fluent", text))
    assert time.monotonic() - start < 5


# Launches that ended well and logged nothing


OWN = case(parameter("index", default="1"), params={"extra": "2"})
BY_MLFLOW = run(params={"index": "1", "extra": "2"}, tags={"mlflow.source.name": "."})
DATASET = Dataset("data", "d1", "local")


def test_no_run_at_all() -> None:
    assert only(launch("fluent"), launch("mlflow-run", BY_MLFLOW), case=OWN) == Finding(
        rule="no-run-logged",
        subject="fluent and mlflow run",
        why="`python train.py` ended with exit code 0, and its code logged nothing to MLflow.",
        fix=(
            "in train.py write  import mlflow  at the top, a run around what trains:  with "
            'mlflow.start_run():  and in it what is worth knowing:  mlflow.log_params({"extra": '
            '…, "index": …})'
        ),
        fluent="no run",
        mlflow_run="1 run, only mlflow run's own params",
    )


def test_an_empty_launch_leaves_nothing_to_compare() -> None:
    comparison = compare(launch("fluent"), launch("mlflow-run", BY_MLFLOW), case=OWN)
    reason = "the fluent and mlflow run launches logged nothing (see launches)"
    assert {judge(check, comparison, Policy()).skipped for check in CHECKS[1:]} == {reason}


def test_an_empty_fluent_launch_beside_one_that_logged() -> None:
    both = (launch("fluent", run(tags={"mlflow.user": "me"}), run("r2")), launch("mlflow-run", LOGGED))
    finding = only(*both, case=OWN)
    assert (finding.subject, finding.fluent, finding.mlflow_run) == ("fluent", "2 runs, empty", "1 run")
    reason = "the fluent launch logged nothing (see launches)"
    assert judge("params", compare(*both, case=OWN), Policy()).skipped == reason


def test_what_mlflow_run_logs_by_itself_counts_beside_a_fluent_launch_that_logged_it() -> None:
    """Code that skips what is logged already has nothing left to log."""
    fluent = launch("fluent", run(params={"index": "1", "extra": "2"}))
    assert found(fluent, launch("mlflow-run", BY_MLFLOW), case=OWN) == []


@pytest.mark.parametrize(
    "more",
    [
        {"metrics": [series("m", [1])]},
        {"artifacts": [artifact("a")]},
        {"models": [model("m")]},
        {"datasets": (DATASET,)},
        {"tags": {"mlflow.user": "me", "mine": "1"}},
        {"params": {"index": "1", "seed": "1"}},
    ],
)
def test_anything_the_code_logged_counts(more: dict[str, Any]) -> None:
    assert found(launch("fluent", run(**more)), case=OWN) == []
    assert found(launch("mlflow-run", run(**more)), case=OWN) == []


def test_without_a_case_every_param_is_the_codes_own() -> None:
    assert found(launch("mlflow-run", BY_MLFLOW)) == []
