"""The rules of the check `metrics`."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

_ORDER = (
    "metric-missing",
    "metric-without-step",
    "metric-points-differ",
    "metric-steps-differ",
    "metric-values-differ",
    "metric-varies",
    "metric-step-repeated",
    "metric-not-finite",
    "metric-all-at-end",
)
"""What is said of one series: the first of these that holds."""

RULES = (
    Rule(
        slug="metric-missing",
        supersedes_same_subject=_ORDER[1:],
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
        supersedes_same_subject=_ORDER[2:],
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
        supersedes_same_subject=_ORDER[3:],
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
        supersedes_same_subject=_ORDER[4:],
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
        supersedes_same_subject=_ORDER[5:],
        check="metrics",
        severity="error",
        title="metrics: {n} with different values",
        summary="a series has other values in the two launches",
        explanation=(
            "Same code, same parameters, other numbers, and not by chance: a second fluent launch logged "
            "what the first did (what differs there too is metric-varies). NaN counts as equal to NaN. "
            "MLflow draws the name of a run from Python's `random` (mlflow.utils.name_utils, 3.17.2), and "
            "draws none under `mlflow run`: a seed before start_run() gives other numbers after it."
        ),
        example='rate = 0.1 if os.environ.get("MLFLOW_RUN_ID") else 0.01',
        fix="Log the same numbers whatever the launch mode.",
    ),
    Rule(
        slug="metric-varies",
        supersedes_same_subject=_ORDER[6:],
        check="metrics",
        severity="warning",
        title="metrics: {n} different each time",
        summary="a series has other points in each launch, also in two of one mode",
        explanation=(
            "Where a series differs between the two modes, a second fluent launch is made (confirm in the "
            "settings). It differed from the first one too: something random without a seed, a clock, "
            "or threads in another order. Whether the launch mode changes it as well can't be told."
        ),
        example="model.fit(X, y)   # no random_state",
        fix=(
            "Fix the seed, or say what may differ:\n\n"
            'metric_tolerance = { rel = 1e-3 }\nignore = { metrics = ["*_seconds"] }'
        ),
    ),
    Rule(
        slug="metric-step-repeated",
        supersedes_same_subject=_ORDER[7:],
        check="metrics",
        severity="warning",
        title="metrics: {n} with a step logged twice",
        summary="a series has two values at one step",
        explanation=(
            "MLflow keeps both points and plots a vertical line; which of the two counts is anybody's guess. "
            "Usually the step is the epoch where the loop counts batches, or starts again for each fold."
        ),
        example='for batch in batches:\n    mlflow.log_metric("loss", loss, step=epoch)',
        fix='for i, batch in enumerate(batches):\n    mlflow.log_metric("loss", loss, step=epoch * n + i)',
    ),
    Rule(
        slug="metric-not-finite",
        supersedes_same_subject=_ORDER[8:],
        check="metrics",
        severity="warning",
        title="metrics: {n} not finite",
        summary="a series holds an infinity, or ends in NaN after it had values",
        explanation=(
            "A loss that turns NaN doesn't come back: all that is trained after it is lost. An infinity "
            "reads back as inf from a file store and as 1.797e308 from a database. A single NaN, one between "
            "values, or a series of nothing else is an undefined value, and normal."
        ),
        example='mlflow.log_metric("loss", float("inf"), step=3)',
        fix='if not math.isfinite(loss):\n    raise ValueError(f"the loss is {loss} at step {step}")',
    ),
    Rule(
        slug="metric-all-at-end",
        check="metrics",
        severity="warning",
        title="metrics: {n} logged all at the end",
        summary="a long series was logged back to back, long after the run began",
        explanation=(
            "Twenty points or more came one after the other without a pause, the first of them seconds after "
            "the run began: the values were collected and logged when training was over. There is nothing to "
            "see while it trains, nothing is left when it dies, and the times are wrong."
        ),
        example=(
            "history = train()\n"
            'for epoch, loss in enumerate(history):\n    mlflow.log_metric("loss", loss, step=epoch)'
        ),
        fix='def on_epoch_end(epoch, loss):\n    mlflow.log_metric("loss", loss, step=epoch)',
    ),
)
