"""Messages of MLflow that people meet when a launch fails, and what to do about each.

The texts are those of MLflow 3.17.2 and 2.22.5; where they are raised is said beside them.
"""

from __future__ import annotations

import re

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.crash import Known
from pytest_mlflow_check.checks.crash_records import crash_output
from pytest_mlflow_check.checks.own_store import own_store_failure
from pytest_mlflow_check.checks.tracebacks import Death, death, last_project_line, without_code
from pytest_mlflow_check.core.records import Launch

_MESSAGES: tuple[tuple[str, str, str], ...] = (
    # FileStore.__init__
    (
        r"The filesystem tracking backend \(",
        "MLflow 3.13 and later refuse a file store, such as ./mlruns, where MLFLOW_ALLOW_FILE_STORE=true "
        "isn't set. The launches have it set: the process that died was started without it.",
        "use a database, such as sqlite:///mlflow.db, or pass the environment on to that process",
    ),
    # mlflow.sklearn._save_model
    (
        r"The saved sklearn model references untrusted types\."
        r"(?:[^\n]*?found in the file: (?P<types>\[[^\n]{1,200}?\])\.)?",
        "MLflow 3.17 saves scikit-learn models with skops, which loads only types that it trusts, and this "
        "model has others: {types}.",
        "name them in log_model:  skops_trusted_types={types}  or don't use skops:  "
        'serialization_format="cloudpickle"',
    ),
    (
        r"The sklearn model could not be serialized in the skops",
        "MLflow 3.17 saves scikit-learn models with skops, which can't save functions or classes that aren't "
        "defined at the top level of a module.",
        'define them there, or give log_model  serialization_format="cloudpickle"',
    ),
    # FileStore._get_experiment, SqlAlchemyStore._get_experiment
    (
        r"(?:Could not find experiment with ID|No Experiment with id=) ?(?P<id>[^\s'\"]{1,60})",
        "The code asks for the experiment with the ID {id}, which is one of another store: every store "
        "counts its experiments anew.",
        "take the ID out of the code; from outside it is MLFLOW_EXPERIMENT_NAME=… python …  and  mlflow run "
        "--experiment-name=…",
    ),
    # mlflow.utils.conda.get_or_create_conda_env, mlflow.utils.virtualenv
    (
        r"Could not find (?:the )?(?P<tool>Conda|virtualenv|pyenv) (?:executable|binary)",
        "MLflow is to make an environment with {tool}, which isn't installed here.",
        'install {tool}, or run what the code starts in the environment that is there:  env_manager="local"',
    ),
    # mlflow.tracking.fluent.start_run
    (
        r"Run with UUID (?P<run>\w+) is already active",
        "start_run() was called while another run was active. A run that was started without `with`, or that "
        "the first log_param or log_metric started by itself, stays active until mlflow.end_run().",
        "start the second within the first, with  nested=True  or end the first before, best by starting it "
        "with  with mlflow.start_run():",
    ),
    # mlflow.store.db.utils._verify_schema
    (
        r"Detected out-of-date database schema \(found version \w+, but expected \w+\)",
        "The launch's database was made by the MLflow that pytest runs with, and the project's environment "
        "has another version.",
        "name the same version of MLflow in the project's dependencies, or write  --mlflow-store=file",
    ),
    # mlflow.utils.rest_utils.http_request
    (
        r"API request to (?P<url>[^\s'\"]{1,300}) failed with (?:timeout )?exception",
        "MLflow couldn't reach {url}.",
        "start that server, or take its address out of the code: the launches log to stores of their own",
    ),
)

_ENVIRONMENT = 4
"""Where in `_MESSAGES` the missing environment manager is. `mlflow run` as a process of its own says it on a
line above the traceback of the code that started it."""

_MISSING = re.compile(r"ModuleNotFoundError: No module named '(?P<package>\w+)")
_KEYWORD = re.compile(
    r"TypeError: (?P<function>(?:\w+\.)*\w+)\(\) got an unexpected keyword argument '(?P<keyword>\w+)'"
)
_GONE = re.compile(
    r"AttributeError: module '(?P<module>mlflow(?:\.\w+)*)' has no attribute '(?P<name>\w+)'"
    r"|AttributeError: '(?P<class>MlflowClient)' object has no attribute '(?P<method>\w+)'"
    r"|ModuleNotFoundError: No module named '(?P<missing>mlflow(?:\.\w+)+)'"
    r"|ImportError: cannot import name '(?P<import>\w+)' from '(?P<from>mlflow(?:\.\w+)*)'"
)
_FUNCTIONS = re.compile(
    r"(log|save|load|set|create|search|get|register|start|end|autolog|evaluate|run|delete)(_\w+)?|log|MlflowClient"
)
_REPLACED = {
    "baseline_config": "leave it out; mlflow.validate_evaluation_results compares two results",
    "baseline_model": "leave it out; mlflow.validate_evaluation_results compares two results",
    "code_path": "write  code_paths=…",
    "custom_metrics": "write  extra_metrics=…",
    "enable_mlserver": "leave it out",
    "every_n_iter": "write  log_every_epoch=True",
    "example_no_conversion": "leave it out: it has had no effect for long",
    "inference_config": "write  model_config=…",
    "requirements_file": "write  pip_requirements=…",
    "run_uuid": "write  run_id=…",
    "sample_input": "write  input_example=…",
    "use_conda": 'write  env_manager="local"  for use_conda=False',
    "validation_thresholds": "leave it out; mlflow.validate_evaluation_results takes them",
}
"""Keywords that MLflow's functions had once; those that 2.22.5 has and 3.17.2 doesn't, and two older ones."""


def known_message(launch: Launch) -> Known | None:
    """What is known of MLflow's message that a failed launch ended with; None for all others."""
    if launch.exit_code is None:
        # What it was saying when it was ended isn't what it crashed with.
        return None
    died = death(crash_output(launch))
    known = (
        _keyword(died) or _gone(died) or _known_cause(launch.stderr, died) or own_store_failure(launch, died)
    )
    if known is None:
        return None
    return Known(*known, last_project_line(died.text, launch.directory))


def missing_package(launch: Launch, comparison: Comparison) -> Known | None:
    """What is known of a package that the environment which MLflow made doesn't hold; None for all else."""
    case, manager = comparison.case, comparison.settings.env_manager
    if launch.exit_code is None or manager == "local" or case is None or case.project.docker_image:
        return None
    died = death(crash_output(launch))
    found = _MISSING.match(died.message)
    if not found or comparison.surroundings.directories_with(found["package"]):
        # A module of the repository belongs into no environment.
        return None
    named = case.project.python_env or case.project.conda_env
    made = (
        f"from {named.name}"
        if named
        else "with nothing in it, since the project has neither python_env.yaml nor conda.yaml"
    )
    package = found["package"]
    return Known(
        f"{package} isn't in the environment that MLflow made {made}.",
        f'name it there:  dependencies: ["{package}"],  or by the name that it has for pip'
        if named
        else f'write a python_env.yaml:  dependencies: ["{package}"],  or use  --mlflow-env-manager=local',
        last_project_line(died.text, launch.directory),
    )


def _known_cause(text: str, died: Death) -> tuple[str, str] | None:
    for position, (pattern, why, fix) in enumerate(_MESSAGES):
        if found := re.search(pattern, without_code(text) if position == _ENVIRONMENT else died.without_code):
            words = {name: value or "…" for name, value in found.groupdict().items()}
            return why.format(**words), fix.format(**words)
    return None


def _keyword(died: Death) -> tuple[str, str] | None:
    found = _KEYWORD.match(died.message)
    if not found or not died.frames:
        return None
    function, keyword, caller = found["function"], found["keyword"], died.frames[-1]
    by_mlflow = "/mlflow/" in caller.file or "mlflow" in caller.code or "mlflow" in function.lower()
    named = _FUNCTIONS.fullmatch(function.rpartition(".")[2]) is not None
    if not named or not (by_mlflow or keyword in _REPLACED):
        return None
    why = f"{function}() of the MLflow installed here has no keyword {keyword}."
    if keyword in _REPLACED:
        return f"{why} Earlier versions had it.", _REPLACED[keyword]
    return why, f"look up in MLflow's documentation what {function}() takes in this version"


def _gone(died: Death) -> tuple[str, str] | None:
    found = _GONE.match(died.message)
    if not found:
        return None
    owner = found["module"] or found["class"] or found["from"]
    name = found["name"] or found["method"] or found["import"]
    what = found["missing"] or f"{owner}.{name}"
    return (
        f"The MLflow installed here has no {what}.",
        "write what this version has instead, or install the version that the code was written for",
    )
