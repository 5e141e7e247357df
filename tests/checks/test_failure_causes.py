"""What a launch's standard error tells: faults that are rules of their own, and MLflow's known messages.

Messages and tracebacks are as MLflow 3.17.2 and 2.22.5 print them, some frames left out.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from pytest_mlflow_check.checks.failure_causes import explanations
from pytest_mlflow_check.checks.known_errors import Known, known_message, missing_package
from pytest_mlflow_check.checks.launches import check_launches
from pytest_mlflow_check.checks.logging_snippets import log_where_missing
from pytest_mlflow_check.checks.runner import Policy
from pytest_mlflow_check.checks.tracebacks import Frame, death
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, Mode, Observation
from support.builders import HOME, case, compare, judge, launch, parameter, quick, run, slugs

LIBRARY = "/env/lib/python3.11/site-packages/mlflow"
RUN_ID = "0123456789abcdef0123456789abcdef"
LOGGED = run(params={"index": "1"})


def traceback(message: str, *frames: tuple[str | Path, int, str]) -> str:
    """A traceback as Python prints it: file, line and code of each frame."""
    lines = [f'  File "{file}", line {line}, in f\n    {code}\n    ^^^^\n' for file, line, code in frames]
    return "Traceback (most recent call last):\n" + "".join(lines) + f"{message}\n"


def died(mode: Mode, stderr: str, **fields: Any) -> Launch:
    places = {"workspace": HOME.parent, "origin": Path("/home/me/repo")}
    return launch(mode, exit_code=1, stderr=stderr, **(places | fields))


def only(one: Launch, **more: Any) -> Finding:
    """The finding about a launch that died, beside another that logged."""
    other = launch("mlflow-run" if one.mode == "fluent" else "fluent", LOGGED)
    (finding,) = check_launches(compare(one, other, **more))
    return finding


START_RUN = (HOME / "train.py", 12, "mlflow.start_run()")


# experiment-hardcoded


@pytest.mark.parametrize("word", ["experiment", "run"])
def test_an_experiment_chosen_in_the_code(word: str) -> None:
    message = (
        f"mlflow.exceptions.MlflowException: Cannot start run with ID {RUN_ID} because active {word} ID does "
        "not match environment run ID. Make sure --experiment-name or --experiment-id matches experiment set "
        "with set_experiment(), or just use command-line arguments"
    )
    stderr = traceback(message, START_RUN, (f"{LIBRARY}/tracking/fluent.py", 596, "raise MlflowException("))
    seen = (
        Observation("set_experiment", "other", by="mlflow-run", source_line="x.py:1"),
        Observation("set_experiment", "first", source_line="train.py:2"),
        Observation("set_experiment", "mine", source_line="src/setup.py:3"),
        Observation("set_experiment", "nowhere"),
        Observation("start_run", source_line="train.py:12"),
    )
    finding = only(died("mlflow-run", stderr, observations=seen))
    assert finding == Finding(
        rule="experiment-hardcoded",
        subject="mine",
        why="`mlflow run` had already made the run, in the experiment it was started for. The code chose the "
        'experiment "mine", and a run can\'t be in two, so start_run() refused.',
        fix=(
            "remove set_experiment() from src/setup.py:3, and choose from outside:  "
            "MLFLOW_EXPERIMENT_NAME=mine python train.py  and  mlflow run . --experiment-name=mine"
        ),
        fluent=None,
        mlflow_run="died",
        source_line="src/setup.py:3",
    )
    unseen = only(died("mlflow-run", stderr))
    assert (unseen.subject, unseen.source_line) == ("set_experiment", "train.py:12")
    assert "The code chose another experiment, and" in unseen.why


# needs-run-id


def test_code_that_dies_without_a_run_id() -> None:
    stderr = traceback(
        "KeyError: 'MLFLOW_RUN_ID'",
        (HOME / "train.py", 4, 'os.environ["MLFLOW_RUN_ID"]'),
        ("<frozen os>", 679, ""),
    )
    assert only(died("fluent", stderr)) == Finding(
        rule="needs-run-id",
        subject="MLFLOW_RUN_ID",
        why="train.py:4 needs MLFLOW_RUN_ID, which only `mlflow run` sets.",
        fix=(
            "start the run by  mlflow.start_run()  which joins the run that MLFLOW_RUN_ID names, "
            "and makes one where there is none; and remove train.py:4"
        ),
        fluent="died",
        mlflow_run=None,
        source_line="train.py:4",
    )
    # `mlflow run` sets it, so there something else is wrong.
    assert only(died("mlflow-run", stderr)).rule == "launch-failed"


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        ("bash: line 1: MLFLOW_RUN_ID: unbound variable\n", "needs-run-id"),
        ("started\nMLFLOW_RUN_ID isn't set\n\n", "needs-run-id"),
        (traceback("ValueError: no MLFLOW_RUN_ID\nsee the docs", START_RUN), "needs-run-id"),
        ("MLFLOW_RUN_ID isn't set: making a run\nno data\n", "launch-failed"),
        (
            traceback("KeyError: 'data'", (HOME / "t.py", 1, 'x = os.environ.get("MLFLOW_RUN_ID")')),
            "launch-failed",
        ),
        ("", "launch-failed"),
    ],
)
def test_what_names_the_run_id_last(stderr: str, expected: str) -> None:
    assert only(died("fluent", stderr)).rule == expected


# inner-run-environment

RUN = (HOME / "main.py", 8, 'mlflow.run(".", "prepare")')
PROJECTS = (f"{LIBRARY}/projects/__init__.py", 355, "submitted_run_obj = _run(")
VIRTUALENV = (f"{LIBRARY}/utils/virtualenv.py", 119, "_exec_cmd(")
CONDA = (f"{LIBRARY}/utils/conda.py", 250, 'raise ExecutionException("Could not find pyenv binary")')
NO_CONDA = "mlflow.exceptions.ExecutionException: Could not find Conda executable at conda. Ensure Conda is"


@pytest.mark.parametrize(
    ("frame", "message", "manager"),
    [
        (CONDA, NO_CONDA, "conda"),
        (VIRTUALENV, "FileNotFoundError: [Errno 2] No such file or directory: 'None'", "pyenv"),
        (VIRTUALENV, "FileNotFoundError: [Errno 2] No such file or directory: 'uv'", "uv"),
        (VIRTUALENV, "MlflowException: Could not find the pyenv binary. See https://…", "pyenv"),
        (VIRTUALENV, "MlflowException: Could not find the virtualenv binary. Run `pip", "virtualenv"),
    ],
)
def test_an_inner_run_without_its_environment_manager(
    frame: tuple[str, int, str], message: str, manager: str
) -> None:
    finding = only(died("fluent", traceback(message, RUN, PROJECTS, frame)))
    assert finding == Finding(
        rule="inner-run-environment",
        subject=manager,
        why=f"main.py:8 runs a project with MLflow, which makes an environment for it with {manager}, and "
        "that is missing here. The environment manager that the outer `mlflow run` was given doesn't "
        "hold for an inner one.",
        fix='give mlflow.run() the environment that is there:  env_manager="local"',
        fluent="died",
        source_line="main.py:8",
    )


def test_an_inner_run_whose_python_cant_be_installed() -> None:
    message = (
        "mlflow.utils.process.ShellCommandException: Non-zero exit code: 1\n"
        "Command: ['/home/me/.pyenv/bin/pyenv', 'install', '--skip-existing', '3.11.2']"
    )
    finding = only(died("fluent", traceback(message, RUN, PROJECTS, VIRTUALENV)))
    assert (finding.rule, finding.subject) == ("inner-run-environment", "pyenv")
    assert "with pyenv, and that one can't install the Python for it." in finding.why


def test_an_inner_run_in_an_environment_that_was_never_finished() -> None:
    left = f"bash: line 1: /root/.mlflow/envs/mlflow-{'0a' * 20}/bin/activate: No such file or directory\n"
    failed = traceback(f"ExecutionException: Run (ID '{RUN_ID}') failed", RUN, PROJECTS)
    finding = only(died("fluent", left + failed))
    assert (finding.rule, finding.subject, finding.source_line) == (
        "inner-run-environment",
        "virtualenv",
        "main.py:8",
    )
    assert "with virtualenv, and found that one half made. The" in finding.why
    assert only(died("fluent", failed)).rule == "launch-failed"


def test_an_inner_run_in_an_environment_without_mlflow() -> None:
    """MLflow makes one that is empty for a project that declares none."""
    started = (
        "2026/01/01 INFO mlflow.projects.backend.local: === Running command 'source /t/"
        f"mlflow-{'0a' * 20}/bin/activate && python prepare.py' in run with ID '{RUN_ID}' === \n"
    )
    lacks = traceback("ModuleNotFoundError: No module named 'mlflow'", ("prepare.py", 1, "import mlflow"))
    failed = traceback(f"ExecutionException: Run (ID '{RUN_ID}') failed", RUN, PROJECTS)
    finding = only(died("fluent", started + lacks + failed))
    assert finding == Finding(
        rule="inner-run-environment",
        subject="virtualenv",
        why="main.py:8 runs a project with MLflow, which makes an environment for it with virtualenv, and "
        "that one has no mlflow. The environment manager that the outer `mlflow run` was given doesn't hold "
        "for an inner one.",
        fix=(
            'give mlflow.run() the environment that is there:  env_manager="local"  or name in a '
            "python_env.yaml all that it needs"
        ),
        fluent="died",
        source_line="main.py:8",
    )
    # In the environment that is there, something else is wrong.
    assert only(died("fluent", lacks + failed)).rule == "launch-failed"


def test_an_environment_manager_that_something_else_wants() -> None:
    finding = only(died("fluent", traceback(NO_CONDA, (HOME / "serve.py", 3, "predict()"), CONDA)))
    assert (finding.rule, finding.source_line) == ("launch-failed", "serve.py:3")
    assert finding.why == "MLflow is to make an environment with Conda, which isn't installed here."
    other = traceback("ValueError: 'uv'", RUN, PROJECTS, (f"{LIBRARY}/projects/utils.py", 1, "raise"))
    assert only(died("fluent", other)).rule == "launch-failed"


# file-outside-workspace


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ("FileNotFoundError: [Errno 2] No such file or directory: '../../data/x.csv'", "../../data/x.csv"),
        ('FileNotFoundError: [Errno 2] No such file or directory: "../../it\'s"', "../../it's"),
        (r"FileNotFoundError: [Errno 2] No such file or directory: '../../a\\b'", r"../../a\b"),
        ("FileNotFoundError: [Errno 2] No such file or directory: b'../../x'", "../../x"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'a/../../../x'", "a/../../../x"),
        ("python: can't open file '/copy/project/../../x.py': [Errno 2] No such file or directory", None),
        ("python: can't open file '../../x.py': [Errno 2] No such file or directory", "../../x.py"),
        ("cat: ../../x: No such file or directory", "../../x"),
        ("bash: line 1: ../../run.sh: No such file or directory", "../../run.sh"),
        ("ls: cannot access '../../my data': No such file or directory", "../../my data"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/home/me/repo/data'",
            "/home/me/repo/data",
        ),
        # Inside the copy, or a file that never was part of the project.
        ("FileNotFoundError: [Errno 2] No such file or directory: '../data/x.csv'", None),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'x.csv'", None),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/copy/x'", None),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/data/x'", None),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/home/me/repository'", None),
        # Not a path.
        (r"FileNotFoundError: [Errno 2] No such file or directory: '../../\0'", None),
        (r"FileNotFoundError: [Errno 2] No such file or directory: '../../\x'", None),
        ("FileNotFoundError: [Errno 2] No such file or directory: ''", None),
        ("No such file or directory", None),
    ],
)
def test_a_file_outside_the_copy(message: str, path: str | None) -> None:
    stderr = traceback(message, (HOME / "load.py", 5, "open('No such file or directory: \"../../y\"')"))
    finding = only(died("fluent", stderr if "Error:" in message else f"{message}\n"))
    if path is None:
        assert finding.rule == "launch-failed"
        return
    name, place = path.rpartition("/")[2], " in load.py:5" if "Error:" in message else ""
    assert finding == Finding(
        rule="file-outside-workspace",
        subject=path,
        why=f"{path} leads out of what is copied for a launch: the repository around the project, or the "
        "project alone where it lies in none. `mlflow run` of a Git URI doesn't bring it along either.",
        fix="keep the file inside the repository, or give its absolute path as a parameter"
        if path.startswith("/")
        else f"copy it into the project:  cp {shlex.quote(path)} {shlex.quote(name)}  and read{place}  "
        f"{json.dumps(name)}  or give its absolute path as a parameter",
        fluent="not found",
        source_line="load.py:5" if "Error:" in message else None,
    )


def test_without_a_known_workspace_nothing_is_outside_it() -> None:
    message = "cat: ../../x: No such file or directory\n"
    assert only(died("fluent", message, workspace=None)).rule == "launch-failed"


def test_both_launches_missing_the_same_file_is_said_once() -> None:
    message = "cat: ../../x: No such file or directory\n"
    findings = check_launches(
        compare(died("fluent", message), died("mlflow-run", f"{message}=== failed ===\n"))
    )
    assert slugs(findings) == [("file-outside-workspace", "../../x")]
    assert (findings[0].fluent, findings[0].mlflow_run) == ("not found", "not found")


# autologging-failed

WARNING = "2026/01/01 00:00:00 WARNING mlflow.utils.autologging_utils: Encountered unexpected error during "
REWRITTEN = (
    f"{WARNING}sklearn autologging: The following failures occurred while performing one or more logging "
    f"operations: [MlflowException('Failed to perform one or more operations on the run with ID {RUN_ID}. "
    'Failed operations: [MlflowException("Changing param values is not allowed. Param with '
    rf"key=\'C\' was already logged with value=\'1\' for run ID=\'{RUN_ID}\'. Attempted logging new value "
    r"""\'1.0\'.")]')]""" + "\n"
)
BATCH = (
    f"{WARNING}xgboost autologging: [MlflowException('Failed operations: [MlflowException(\"Changing param "
    r"values is not allowed. Params were already logged=\'[{\'key\': \'C\', \'old_value\': \'1\', "
    r"\'new_value\': \'1.0\'}, {\'key\': \'tol\', \'old_value\': \'0\', \'new_value\': \'0.1\'}]\' for run "
    rf"ID=\'{RUN_ID}\'." + "\")]')]\n"
)


def autologged(stderr: str, **fields: Any) -> Finding:
    """The finding about autologging under `mlflow run`, in a launch that ended well."""
    one = launch("mlflow-run", LOGGED, stderr=stderr, **fields)
    (finding,) = check_launches(compare(launch("fluent", LOGGED), one))
    return finding


def test_autologging_that_dies_of_a_param() -> None:
    calls = (Observation("autolog", "sklearn", source_line="train.py:3"), Observation("autolog", "sklearn"))
    assert autologged(f"begin\n{REWRITTEN}end\n{REWRITTEN}", observations=calls) == Finding(
        rule="autologging-failed",
        subject="sklearn",
        why="Autologging catches its own errors and only warns; what it was about to log is missing. A param "
        'can\'t be changed once it is logged, and autologging logged others anew: C ("1", then "1.0").',
        fix="leave C to autologging: remove what logs it",
        mlflow_run="failed",
        source_line="train.py:3",
    )
    batch = autologged(BATCH)
    assert (batch.subject, batch.source_line) == ("xgboost", None)
    assert batch.why.endswith('logged others anew: C ("1", then "1.0"), tol ("0", then "0.1").')


def test_autologging_that_dies_of_anything_else() -> None:
    finding = autologged(f"\x1b[31m{WARNING}Pydantic AI autologging: {'x' * 300}\x1b[0m\n")
    assert finding.subject == "Pydantic AI"
    assert finding.why.endswith(f"is missing. MLflow says: {'x' * 200}…")
    assert finding.fix == "resolve what MLflow says, or log it yourself"
    assert autologged(f"{WARNING}autologging: no\n").subject == "autologging"
    cut = REWRITTEN[: REWRITTEN.index("Attempted")]
    assert "MLflow says: The following failures" in autologged(cut).why


def test_autologging_failing_alike_in_both_launches_is_said_once() -> None:
    text = f"{WARNING}keras autologging: no run {{}} in {{}}/x\n"
    launches = [
        launch(
            mode,
            LOGGED,
            stderr=text.format(digit * 32, f"/{mode}"),
            workspace=Path(f"/{mode}"),
            origin=Path("/repo"),
        )
        for mode, digit in (("fluent", "a"), ("mlflow-run", "b"))
    ]
    (finding,) = check_launches(compare(*launches))
    assert (finding.fluent, finding.mlflow_run) == ("failed", "failed")
    assert finding.why.endswith("MLflow says: no run … in /repo/x")


def test_what_autologging_didnt_log_isnt_said_again() -> None:
    comparison = compare(
        launch("fluent", run(params={"C": "1.0", "tol": "0.1"})),
        launch("mlflow-run", run(params={"C": "1"}), stderr=REWRITTEN),
        case=case(parameter("C")),
    )
    results = [judge(check, comparison, Policy()) for check in ("launches", "params")]
    assert [slugs(result.findings) for result in results] == [[("autologging-failed", "sklearn")], []]


# async-logging-failed

REFUSED = (
    "2026/01/01 ERROR mlflow.utils.async_logging.async_logging_queue: Run Id "
    f"{RUN_ID}: Failed to log run data: Exception: "
)
EPOCHS = (
    f"  0%|  | 0/8{REFUSED}Changing param values is not allowed. Param with key='epochs' was already logged "
    f"with value='2' for run ID='{RUN_ID}'. Attempted logging new value '2.0'.\n"
)


def test_a_param_that_is_refused_to_a_thread() -> None:
    calls = [Observation("log_param", key, source_line="train.py:3") for key in ("epochs", "lr")]
    comparison = compare(
        launch("fluent", run(params={"epochs": "2.0", "lr": "0.1"})),
        launch("mlflow-run", run(params={"epochs": "2"}), stderr=EPOCHS, observations=calls),
        case=case(parameter("epochs")),
    )
    (finding,) = judge("launches", comparison, Policy()).findings
    assert finding == Finding(
        rule="async-logging-failed",
        subject="epochs",
        why="It was logged with synchronous=False, by a thread. MLflow refused, the thread wrote that into "
        "the output, and the launch went on without it and more of the same call.",
        fix="log epochs only where `mlflow run` hasn't",
        code=(
            log_where_missing(
                ["epochs"], "in place of train.py:3, with all else that it logs", besides=["cfg_epochs"]
            ),
        ),
        mlflow_run='logged "2", then "2.0"',
        source_line="train.py:3",
    )
    # What is missing for it isn't said again.
    assert judge("params", comparison, Policy()).findings == ()


def test_anything_else_that_is_refused_to_a_thread() -> None:
    launches = [
        launch(mode, LOGGED, stderr=f"{REFUSED}no run {RUN_ID}\n") for mode in ("fluent", "mlflow-run")
    ]
    (finding,) = check_launches(compare(*launches))
    assert (finding.subject, finding.fluent, finding.mlflow_run) == ("run data", "refused", "refused")
    assert finding.why.endswith("same call. MLflow says: no run …")
    assert (finding.source_line, finding.fix) == (None, "resolve what MLflow says")


def test_a_launch_that_died_is_explained_besides() -> None:
    stderr = REWRITTEN + traceback("KeyError: 'MLFLOW_RUN_ID'", START_RUN)
    findings = check_launches(compare(died("fluent", stderr), launch("mlflow-run", LOGGED)))
    assert slugs(findings) == [("autologging-failed", "sklearn"), ("needs-run-id", "MLFLOW_RUN_ID")]


# Known messages

ENVIRONMENT = (
    'install Conda, or run what the code starts in the environment that is there:  env_manager="local"'
)
MESSAGES: dict[str, tuple[str, str]] = {
    "mlflow.exceptions.MlflowException: The filesystem tracking backend (e.g., './mlruns') is in maintenance "
    "mode and will not receive further updates.": (
        "MLflow 3.13 and later refuse a file store, such as ./mlruns, where MLFLOW_ALLOW_FILE_STORE=true "
        "isn't set. The launches have it set: the process that died was started without it.",
        "use a database, such as sqlite:///mlflow.db, or pass the environment on to that process",
    ),
    "mlflow.exceptions.MlflowException: The saved sklearn model references untrusted types. If you are sure "
    "loading these types is safe, set … Root error: Untrusted types found in the file: ['__main__.f'].": (
        "MLflow 3.17 saves scikit-learn models with skops, which loads only types that it trusts, and this "
        "model has others: ['__main__.f'].",
        (
            "name them in log_model:  skops_trusted_types=['__main__.f']  or don't use skops:  "
            'serialization_format="cloudpickle"'
        ),
    ),
    "mlflow.exceptions.MlflowException: The saved sklearn model references untrusted types.": (
        "MLflow 3.17 saves scikit-learn models with skops, which loads only types that it trusts, and this "
        "model has others: ….",
        (
            "name them in log_model:  skops_trusted_types=…  or don't use skops:  "
            'serialization_format="cloudpickle"'
        ),
    ),
    "mlflow.exceptions.MlflowException: The sklearn model could not be serialized in the skops format.": (
        "MLflow 3.17 saves scikit-learn models with skops, which can't save functions or classes that aren't "
        "defined at the top level of a module.",
        'define them there, or give log_model  serialization_format="cloudpickle"',
    ),
    "mlflow.exceptions.MlflowException: Could not find experiment with ID 77": (
        "The code asks for the experiment with the ID 77, which is one of another store: every store counts "
        "its experiments anew.",
        "take the ID out of the code; from outside it is MLFLOW_EXPERIMENT_NAME=… python …  and  mlflow run "
        "--experiment-name=…",
    ),
    "mlflow.exceptions.MlflowException: No Experiment with id=8 exists": (
        "The code asks for the experiment with the ID 8, which is one of another store: every store counts "
        "its experiments anew.",
        "take the ID out of the code; from outside it is MLFLOW_EXPERIMENT_NAME=… python …  and  mlflow run "
        "--experiment-name=…",
    ),
    NO_CONDA: ("MLflow is to make an environment with Conda, which isn't installed here.", ENVIRONMENT),
    f"Exception: Run with UUID {RUN_ID} is already active. To start a new run, first end the current run": (
        "start_run() was called while another run was active. A run that was started without `with`, or that "
        "the first log_param or log_metric started by itself, stays active until mlflow.end_run().",
        (
            "start the second within the first, with  nested=True  or end the first before, best "
            "by starting it with  with mlflow.start_run():"
        ),
    ),
    "mlflow.exceptions.MlflowException: API request to http://127.0.0.1:9/api/2.0/mlflow/runs/create failed "
    "with exception HTTPConnectionPool(host='127.0.0.1', port=9): Max retries exceeded with url: /api": (
        "MLflow couldn't reach http://127.0.0.1:9/api/2.0/mlflow/runs/create.",
        "start that server, or take its address out of the code: the launches log to stores of their own",
    ),
    "TypeError: log_model() got an unexpected keyword argument 'code_path'": (
        "log_model() of the MLflow installed here has no keyword code_path. Earlier versions had it.",
        "write  code_paths=…",
    ),
    "TypeError: MlflowClient.log_metric() got an unexpected keyword argument 'epoch'": (
        "MlflowClient.log_metric() of the MLflow installed here has no keyword epoch.",
        "look up in MLflow's documentation what MlflowClient.log_metric() takes in this version",
    ),
    "AttributeError: module 'mlflow' has no attribute 'list_experiments'. Did you mean: 'get_experiment'?": (
        "The MLflow installed here has no mlflow.list_experiments.",
        "write what this version has instead, or install the version that the code was written for",
    ),
    "AttributeError: 'MlflowClient' object has no attribute 'list_run_infos'": (
        "The MLflow installed here has no MlflowClient.list_run_infos.",
        "write what this version has instead, or install the version that the code was written for",
    ),
    "ModuleNotFoundError: No module named 'mlflow.fastai'": (
        "The MLflow installed here has no mlflow.fastai.",
        "write what this version has instead, or install the version that the code was written for",
    ),
    "mlflow.exceptions.MlflowException: Detected out-of-date database schema (found version 0f6a, but "
    "expected 1b2c). Take a backup of your database, then run 'mlflow db upgrade <database_uri>'": (
        "The launch's database was made by the MLflow that pytest runs with, and the project's environment "
        "has another version.",
        "name the same version of MLflow in the project's dependencies, or write  --mlflow-store=file",
    ),
    "ImportError: cannot import name 'log' from 'mlflow.tracking' (/env/mlflow/tracking/__init__.py)": (
        "The MLflow installed here has no mlflow.tracking.log.",
        "write what this version has instead, or install the version that the code was written for",
    ),
}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[:60])
def test_messages_of_mlflow_are_explained_in_place(message: str) -> None:
    one = died("fluent", f"before\n{traceback(message, START_RUN)}")
    why, fix = MESSAGES[message]
    assert known_message(one) == Known(why, fix, "train.py:12")
    finding = only(one)
    assert finding == Finding(
        rule="launch-failed",
        subject="fluent",
        why=why,
        fix=fix,
        fluent="exit code 1",
        source_line="train.py:12",
        detail=finding.detail,
        cause=finding.cause,
    )
    kind = message.partition(":")[0].rpartition(".")[2]
    assert finding.cause.startswith(f"{kind}: {message.partition(': ')[2][:60]}")
    assert message in finding.detail


def test_the_observer_is_left_out_of_tracebacks() -> None:
    observer = (
        "/env/pytest_mlflow_check/observer/payload/_mlflow_check_observer/calls.py",
        9,
        "original(**kwargs)",
    )
    message = "TypeError: log_metric() got an unexpected keyword argument 'epoch'"
    call = (HOME / "train.py", 3, "mlflow.log_metric(")
    finding = only(died("fluent", traceback(message, call, observer)))
    assert finding.why == "log_metric() of the MLflow installed here has no keyword epoch."
    assert finding.detail == (
        "python train.py\nthe end of its output:\n  Traceback (most recent call last):\n"
        '    File "train.py", line 3, in f\n      mlflow.log_metric(\n      ^^^^\n'
        f"  {message}\nlogged until then: nothing"
    )


def test_launches_failing_of_one_thing_are_one_finding_and_of_two_are_two() -> None:
    active, conda, _ = (
        traceback(next(text for text in MESSAGES if word in text), START_RUN)
        for word in ("already active", "Conda", "fastai")
    )
    same = check_launches(compare(died("fluent", active), died("mlflow-run", f"{active}=== failed ===\n")))
    assert slugs(same) == [("launch-failed", "fluent and mlflow run")]
    two = check_launches(compare(died("fluent", active), died("mlflow-run", conda)))
    assert slugs(two) == [("launch-failed", "fluent"), ("launch-failed", "mlflow run")]
    half = check_launches(compare(died("fluent", active), died("mlflow-run", "no\n")))
    assert [finding.fix[:7] for finding in half] == ["start t", "start i"]


@pytest.mark.parametrize(
    "stderr",
    [
        "",
        "no traceback",
        # In the code that a traceback shows, or in one that was caught.
        traceback("ValueError: no", (HOME / "t.py", 1, "x('Could not find experiment with ID 1')")),
        traceback("Exception: Run with UUID x is already active") + traceback("ValueError: no", START_RUN),
        # Other people's functions and modules.
        traceback("TypeError: fit() got an unexpected keyword argument 'code_path'", START_RUN),
        traceback("TypeError: run() got an unexpected keyword argument 'x'", (HOME / "t.py", 1, "run(x=1)")),
        traceback("AttributeError: module 'mlflower' has no attribute 'x'", START_RUN),
        traceback("ModuleNotFoundError: No module named 'mlflow_utils'", START_RUN),
        "TypeError: log_model() got an unexpected keyword argument 'code_path'",
    ],
)
def test_other_messages_are_not_taken_for_mlflows(stderr: str) -> None:
    assert known_message(died("fluent", stderr)) is None


def test_what_a_launch_said_when_its_time_was_over_isnt_what_it_died_of() -> None:
    stderr = traceback(f"Exception: Run with UUID {RUN_ID} is already active", START_RUN)
    late = launch("fluent", exit_code=None, stderr=stderr)
    assert known_message(late) is None
    assert only(launch("fluent", exit_code=None, stderr="MLFLOW_RUN_ID")).rule == "launch-failed"


def test_an_inner_mlflow_run_as_a_process_of_its_own() -> None:
    inner = f"2026/01/01 ERROR mlflow.cli: === {NO_CONDA} ===\n"
    outer = traceback("subprocess.CalledProcessError: exit status 1.", (HOME / "all.py", 7, "run(...)"))
    known = known_message(died("fluent", inner + outer))
    assert known == Known(*MESSAGES[NO_CONDA], "all.py:7")


# A package that isn't in the environment which MLflow made

NO_MLFLOW = traceback(
    "ModuleNotFoundError: No module named 'mlflow'", (HOME / "train.py", 1, "import mlflow")
)


@pytest.mark.parametrize(
    ("project", "why", "fix"),
    [
        (
            {"python_env": HOME / "python_env.yaml"},
            "mlflow isn't in the environment that MLflow made from python_env.yaml.",
            'name it there:  dependencies: ["mlflow"],  or by the name that it has for pip',
        ),
        (
            {"conda_env": HOME / "conda.yaml"},
            "mlflow isn't in the environment that MLflow made from conda.yaml.",
            'name it there:  dependencies: ["mlflow"],  or by the name that it has for pip',
        ),
        (
            {},
            "mlflow isn't in the environment that MLflow made with nothing in it, since the project has "
            "neither python_env.yaml nor conda.yaml.",
            'write a python_env.yaml:  dependencies: ["mlflow"],  or use  --mlflow-env-manager=local',
        ),
    ],
)
def test_a_package_that_the_environment_lacks(project: dict[str, Path], why: str, fix: str) -> None:
    both = died("fluent", NO_MLFLOW), died("mlflow-run", NO_MLFLOW)
    (finding,) = check_launches(compare(*both, case=case(**project), env_manager="uv"))
    assert (finding.rule, finding.subject, finding.source_line) == (
        "launch-failed",
        "fluent and mlflow run",
        "train.py:1",
    )
    assert (finding.why, finding.fix) == (why, fix)


def test_a_missing_package_is_said_of_environments_that_mlflow_made_only() -> None:
    in_docker = case(docker_image="trainer")
    other = died("fluent", traceback("ImportError: cannot import name 'x' from 'y'", START_RUN))
    late = launch("fluent", exit_code=None, stderr=NO_MLFLOW)
    for one, of_case, manager in (
        (died("fluent", NO_MLFLOW), case(), "local"),
        (died("fluent", NO_MLFLOW), None, "uv"),
        (died("fluent", NO_MLFLOW), in_docker, "uv"),
        (other, case(), "uv"),
        (late, case(), "uv"),
    ):
        assert missing_package(one, compare(one, case=of_case, env_manager=manager)) is None


# Tracebacks


def test_a_traceback_taken_apart() -> None:
    cause = traceback("KeyError: 1", ("a.py", 1, "x[1]"))
    chained = "\nDuring handling of the above exception, another exception occurred:\n\n"
    frames = '  File "b.py", line 2, in f\n  File "c.py", line 3\n    c()\n'
    final = f"Traceback (most recent call last):\n{frames}E: m\n"
    text = cause + chained + final + "after\n"
    died_of = death(f"{traceback('caught')}{text}Exception ignored in: <x>\n{traceback('late')}")
    assert died_of.text == text
    assert died_of.frames == (Frame("b.py", 2, ""), Frame("c.py", 3, "c()"))
    assert died_of.message == snapshot("""\
E: m
after
""")
    assert "KeyError: 1" in died_of.without_code
    assert "x[1]" not in died_of.without_code
    assert death("plain\n  text") == death("plain\n  text")
    assert (death("plain\n  text").message, death("plain\n  text").frames) == ("plain\n  text", ())
    assert death("Traceback (most recent call last):\n").message == ""


PIECES = st.sampled_from(
    [
        *MESSAGES,
        REWRITTEN,
        BATCH,
        "Traceback (most recent call last):\n",
        "\nDuring handling of the above exception, another exception occurred:\n\n",
        f'  File "{HOME}/t.py", line {10**30}, in f\n',
        "No such file or directory: '../../",
        "KeyError: 'MLFLOW_RUN_ID'",
        f"{LIBRARY}/projects/__init__.py",
        "Exception ignored",
        "{}",
        "{types}",
        "'",
        "\\",
        "\n",
        "\x1b[31m",
        "\udcff",
    ]
)


@given(st.lists(st.one_of(PIECES, st.text()), max_size=12).map("".join))
@quick
def test_any_output_can_be_read(stderr: str) -> None:
    for mode in ("fluent", "mlflow-run"):
        one = died(mode, stderr)  # type: ignore[arg-type]
        comparison = compare(one)
        assert isinstance(explanations(comparison, one.mode, one), list)
        assert judge("launches", comparison, Policy()).findings


def test_long_output_is_read_quickly() -> None:
    import time

    stderr = (
        f'  File "{HOME}/t.py", line 1\n' + "x" * 100 + ": No such file or directory" + "\n" + " " * 200
    ) * 150
    start = time.process_time()
    only(died("fluent", "Traceback (most recent call last):\n" + stderr))
    assert time.process_time() - start < 1
