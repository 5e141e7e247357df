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
            "the code replaced or converted it."
        ),
        example='mlflow.log_param("out", out or "default_dir")   # skipped where "out" is logged already',
        fix=(
            "Log the raw value under the parameter's name and the value in use under another "
            "(`cfg_out`), or accept the difference with a reason:\n\n"
            '[[allow]]\nrule = "param-differs"\nmatch = "out"\nreason = "…"'
        ),
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
)
