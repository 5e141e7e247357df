"""The rules of the check `params`."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

RULES = (
    Rule(
        slug="param-missing-in-fluent",
        check="params",
        severity="error",
        title="params: {n} missing in the fluent launch",
        summary="a param that `mlflow run` logs is not logged by the plain command",
        explanation=(
            "`mlflow run` logs every parameter of the entry point before the code starts. The plain command "
            "logs what the code logs, nothing else. Whoever starts the script directly loses the parameter."
        ),
        example="def main(index):\n    with mlflow.start_run():\n        train(index)",
        fix='with mlflow.start_run():\n    mlflow.log_param("index", index)',
    ),
    Rule(
        slug="param-missing-in-mlflow-run",
        check="params",
        severity="error",
        title="params: {n} missing under mlflow run",
        summary="a param that the plain command logs is missing under `mlflow run`",
        explanation=(
            "The code logged a param in the plain launch and didn't under `mlflow run`. Usually it branches "
            "on MLFLOW_RUN_ID, or on a run that is already active."
        ),
        example='if "MLFLOW_RUN_ID" not in os.environ:\n    mlflow.log_param("seed", seed)',
        fix="Log in both modes; skip only what is logged already.",
    ),
    Rule(
        slug="param-differs",
        check="params",
        severity="error",
        title="params: {n} with different values",
        summary="a param has different values in the two launches",
        explanation=(
            "Both launches got the same parameter values, so what they log should be the same. Under "
            "`mlflow run` the entry point's parameters are logged as the raw text that was given, before "
            "the code replaced or converted it. Where the value in use is logged as well, by the parameter's "
            "name with `cfg_` before it, and alike in both launches, this is a warning."
        ),
        example='mlflow.log_param("out", out or "default_dir")   # skipped where "out" is logged already',
        fix=(
            "Log the raw value under the parameter's name and the value in use under another "
            "(`cfg_out`), or accept the difference with a reason:\n\n"
            '[[allow]]\nrule = "param-differs"\nmatch = "out"\nreason = "…"'
        ),
    ),
    Rule(
        slug="param-varies",
        check="params",
        severity="warning",
        title="params: {n} different each time",
        summary="the code logs a param with another value in each launch, also in two of one mode",
        explanation=(
            "Where a param that the code logs differs between the two modes, a second fluent launch is made "
            "(confirm in the settings). It differed from the first one too, so the mode isn't the reason: a "
            "time, a random number, a path that is made anew. Runs can't be found again by such a param."
        ),
        example='mlflow.log_param("started", time.time())',
        fix='mlflow.set_tag("started", time.time())   # and ignore = { tags = ["started"] }',
    ),
    Rule(
        slug="param-quoted",
        check="params",
        severity="warning",
        title="params: {n} shell-quoted by mlflow run",
        summary="a value differs only by the shell quotes that `mlflow run` adds",
        explanation=(
            "`mlflow run` logs every parameter the way it stands in the shell command: `a b` becomes "
            "`'a b'`, the empty text becomes `''` (EntryPoint._sanitize_value_dict, MLflow 3.17 and 2.22). "
            'Nothing is lost, but a search for params.x = "a b" doesn\'t find the run.'
        ),
        example="mlflow run . -P 'name=a b'",
        fix=(
            "Log the value in use under a name of its own (`cfg_name`) and search for that, or accept it:\n\n"
            '[[allow]]\nrule = "param-quoted"\nmatch = "name"\nreason = "raw value; cfg_name is in use"'
        ),
    ),
    Rule(
        slug="param-duplicated",
        supersedes_same_subject=("param-missing-in-fluent",),
        check="params",
        severity="warning",
        title="params: {n} logged under two names",
        summary="a param is logged twice in one run, under names that differ only by `-` and `_`",
        explanation=(
            "An MLproject often says `max-depth`, as command lines do, and the code logs `max_depth`. Under "
            "`mlflow run` the run has both, by the plain command one: a search finds half of the runs."
        ),
        example='parameters:\n  max-depth: int   # and in the code: mlflow.log_param("max_depth", …)',
        fix="parameters:\n  max_depth: int",
    ),
    Rule(
        slug="param-too-long",
        check="params",
        severity="error",
        title="params: {n} longer than MLflow keeps",
        summary="a value reaches MLflow's limit of 6,000 characters and was cut there",
        explanation=(
            "MLflow keeps 6,000 characters of a param (MAX_PARAM_VAL_LENGTH, 3.17 and 2.22; older servers "
            "500 or 250) and cuts the rest away with a warning. With MLFLOW_TRUNCATE_LONG_VALUES=false it "
            "raises."
        ),
        example='mlflow.log_param("config", json.dumps(everything))',
        fix='mlflow.log_dict(everything, "config.json")',
    ),
    Rule(
        slug="param-changes-per-step",
        check="params",
        severity="warning",
        title="params: {n} logged once a step",
        summary="one line logs a param again and again, with a counter in its name, while it trains",
        explanation=(
            "A param is a constant of a run. A value that changes while it trains is a metric, with a step, "
            "or a param of a nested run: params named lr_0, lr_1, … can't be plotted, searched or compared."
        ),
        example='for epoch in range(10):\n    mlflow.log_param(f"lr_{epoch}", lr)',
        fix='for epoch in range(10):\n    mlflow.log_metric("lr", lr, step=epoch)',
        needs_observer=True,
    ),
)
