"""The rules of the check `metrics`."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

RULES = (
    Rule(
        slug="metric-missing",
        check="metrics",
        severity="error",
        title="metrics: {n} logged by one launch only",
        summary="a metric is logged by only one of the two launches",
        explanation="The same code with the same values logged a metric in one mode and not in the other.",
        example='if mlflow.active_run() is None:\n    mlflow.log_metric("loss", loss)',
        fix="Log it whatever the launch mode.",
    ),
    Rule(
        slug="metric-without-step",
        check="metrics",
        severity="error",
        title="metrics: {n} with every point at step 0",
        summary="a series of several points lies at step 0, because `step` was left out",
        explanation=(
            "A metric logged without `step` lands on step 0, every time: MLflow doesn't count. Plots show "
            "one vertical line, and which value belongs to which iteration is lost. A single value at "
            "step 0, such as a final score, is normal and not meant."
        ),
        example='for epoch in range(10):\n    mlflow.log_metric("loss", loss)',
        fix='for epoch in range(10):\n    mlflow.log_metric("loss", loss, step=epoch)',
    ),
    Rule(
        slug="metric-points-differ",
        check="metrics",
        severity="error",
        title="metrics: {n} with different numbers of points",
        summary="a series has more points in one launch than in the other",
        explanation=(
            "The same loop should log the same number of points in both modes. Exact repeats (same step, "
            "time and value) are not counted: MLflow 3 writes some by itself into file stores."
        ),
        example="for batch in stream_for_ten_seconds():\n    mlflow.log_metric(…)",
        fix="Make the number of iterations depend on the parameters alone.",
    ),
    Rule(
        slug="metric-steps-differ",
        check="metrics",
        severity="error",
        title="metrics: {n} with different steps",
        summary="a series has other steps, or another order of steps, in the two launches",
        explanation=(
            "Steps are what metrics are plotted and compared by. Both launches should log the same steps in "
            "the same order."
        ),
        example="mlflow.log_metric('loss', loss, step=int(time.time()))",
        fix="mlflow.log_metric('loss', loss, step=epoch)",
    ),
    Rule(
        slug="metric-values-differ",
        check="metrics",
        severity="error",
        title="metrics: {n} with different values",
        summary="a series has other values in the two launches",
        explanation=(
            "Same code, same parameters, other numbers: usually training without a fixed seed. NaN counts "
            "as equal to NaN. What can't be made equal is excluded in the settings."
        ),
        example="model.fit(X, y)   # no random_state",
        fix=(
            "Fix the seed, or say what may differ:\n\n"
            'metric_tolerance = { rel = 1e-3 }\nignore = { metrics = ["*_seconds"] }'
        ),
    ),
)
