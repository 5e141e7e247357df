"""The rules of the check `launches`: how the launches ended, and what the MLproject says."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

RULES = (
    Rule(
        slug="mlproject-null-default",
        check="launches",
        severity="error",
        title="MLproject: the default null of {subjects}",
        summary="a parameter's default is `null`, which MLflow counts as no default",
        explanation=(
            "MLflow reads `default: null` as if there were no default (Parameter, "
            "mlflow.projects._project_spec). Without a value `mlflow run` refuses to start: "
            '"No value given for missing parameters". Found by reading the file; where no value was '
            "given, nothing is launched."
        ),
        example="parameters:\n  model_dir: {type: string, default: null}",
        fix=(
            'Give it a text as default, and let the code treat the empty text as "not given":\n\n'
            'parameters:\n  model_dir: {type: string, default: ""}'
        ),
    ),
    Rule(
        slug="launch-failed",
        check="launches",
        severity="error",
        title="launches: {subjects} failed",
        summary="a launch ended with an error, was killed, or ran out of time",
        explanation=(
            "A launch counts as failed when its process doesn't end with exit code 0. `mlflow run` turns "
            "every exit code of the command into 1. What the run logged up to then isn't compared: the "
            "other checks of the case are skipped."
        ),
        example="raise SystemExit(3)",
        fix=(
            "Read the end of the output that is printed with the finding; the whole of it is kept in the "
            "file named there. A launch that needs longer gets it with --mlflow-timeout=SECONDS."
        ),
    ),
    Rule(
        slug="param-rewritten",
        check="launches",
        severity="error",
        title="launches: died of rewriting {subjects}",
        summary="the code logs another value for a param that is already logged",
        explanation=(
            "A param can be logged once; logging it again with another value raises "
            '"Changing param values is not allowed". `mlflow run` logs the entry point\'s parameters '
            "before the code starts, as the raw text it was given and quoted for the shell: `1` stays `1` "
            "where the code logs the float `1.0`, the empty text becomes `''`, `a b` becomes `'a b'`. The "
            "run dies there, with everything after that line unlogged."
        ),
        example='mlflow.log_param("alpha", alpha)   # "1.0"; `mlflow run -P alpha=1` has logged "1"',
        fix=(
            "Log a parameter only where `mlflow run` has not, and the value in use under a name of its own:"
            "\n\nlogged = mlflow.get_run(run.info.run_id).data.params\n"
            'if "alpha" not in logged:\n    mlflow.log_param("alpha", alpha)\n'
            'mlflow.log_param("cfg_alpha", alpha)'
        ),
    ),
    Rule(
        slug="no-run-logged",
        check="launches",
        severity="error",
        title="launches: {subjects} logged nothing",
        summary="a launch ended well and its code logged nothing at all",
        explanation=(
            "Exit code 0 proves nothing: code without MLflow, code that never reaches start_run(), or code "
            "that catches its own exception ends well. `mlflow run` makes a run and logs the parameters by "
            "itself, so its run is there even when the code has no MLflow in it."
        ),
        example="def main(): train()   # no mlflow call anywhere",
        fix='with mlflow.start_run():\n    mlflow.log_param("index", index)\n    train()',
    ),
    Rule(
        slug="run-count-differs",
        check="launches",
        severity="error",
        title="launches: the number of runs differs",
        summary="the two launches logged different numbers of runs",
        explanation=(
            "The same code under both launch modes should log the same runs. Under `mlflow run` the first "
            "start_run() joins the run that MLFLOW_RUN_ID names; a plain command creates one. Code that "
            "creates runs in another way (MlflowClient.create_run) has one more under `mlflow run`."
        ),
        example='client.create_run("0")   # does not join the run that `mlflow run` made',
        fix="with mlflow.start_run():   # joins it",
    ),
)
