"""Every kind of finding: its name, what it means, and what to do about it.

The README's table and `--mlflow-explain` are made from this registry, and a finding's title too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_mlflow_check.errors import UserError, did_you_mean
from pytest_mlflow_check.findings import Severity


@dataclass(frozen=True)
class Rule:
    """A named kind of finding.

    Attributes:
        slug: its name in settings, reports and on the command line.
        check: the check that reports it.
        severity: `error` for what loses or falsifies something or can't be registered, else `warning`.
        title: the first line of a report; `{n}` is the number of findings, `{subjects}` what they are about.
        summary: one line for tables.
        explanation: what MLflow does, and why that matters.
        example: code that gives the finding.
        fix: code or steps that don't.
    """

    slug: str
    check: str
    severity: Severity
    title: str
    summary: str
    explanation: str
    example: str
    fix: str


RULES: dict[str, Rule] = {
    rule.slug: rule
    for rule in (
        Rule(
            "mlproject-null-default",
            "launches",
            "error",
            "MLproject: the default null of {subjects}",
            "a parameter's default is `null`, which MLflow counts as no default",
            "MLflow reads `default: null` as if there were no default (Parameter, "
            "mlflow.projects._project_spec). Without a value `mlflow run` refuses to start: "
            '"No value given for missing parameters". Found by reading the file; where no value was '
            "given, nothing is launched.",
            "parameters:\n  model_dir: {type: string, default: null}",
            'Give it a text as default, and let the code treat the empty text as "not given":\n\n'
            'parameters:\n  model_dir: {type: string, default: ""}',
        ),
        Rule(
            "launch-failed",
            "launches",
            "error",
            "launches: {subjects} failed",
            "a launch ended with an error, was killed, or ran out of time",
            "A launch counts as failed when its process doesn't end with exit code 0. `mlflow run` turns "
            "every exit code of the command into 1. What the run logged up to then isn't compared: the "
            "other checks of the case are skipped.",
            "raise SystemExit(3)",
            "Read the end of the output that is printed with the finding; the whole of it is kept in the "
            "file named there. A launch that needs longer gets it with --mlflow-timeout=SECONDS.",
        ),
        Rule(
            "param-rewritten",
            "launches",
            "error",
            "launches: died of rewriting {subjects}",
            "the code logs another value for a param that is already logged",
            "A param can be logged once; logging it again with another value raises "
            '"Changing param values is not allowed". `mlflow run` logs the entry point\'s parameters '
            "before the code starts, as the raw text it was given and quoted for the shell: `1` stays `1` "
            "where the code logs the float `1.0`, the empty text becomes `''`, `a b` becomes `'a b'`. The "
            "run dies there, with everything after that line unlogged.",
            'mlflow.log_param("alpha", alpha)   # "1.0"; `mlflow run -P alpha=1` has logged "1"',
            "Log a parameter only where `mlflow run` has not, and the value in use under a name of its own:"
            "\n\nlogged = mlflow.get_run(run.info.run_id).data.params\n"
            'if "alpha" not in logged:\n    mlflow.log_param("alpha", alpha)\n'
            'mlflow.log_param("cfg_alpha", alpha)',
        ),
        Rule(
            "no-run-logged",
            "launches",
            "error",
            "launches: {subjects} logged nothing",
            "a launch ended well and its code logged nothing at all",
            "Exit code 0 proves nothing: code without MLflow, code that never reaches start_run(), or code "
            "that catches its own exception ends well. `mlflow run` makes a run and logs the parameters by "
            "itself, so its run is there even when the code has no MLflow in it.",
            "def main(): train()   # no mlflow call anywhere",
            'with mlflow.start_run():\n    mlflow.log_param("index", index)\n    train()',
        ),
        Rule(
            "run-count-differs",
            "launches",
            "error",
            "launches: the number of runs differs",
            "the two launches logged different numbers of runs",
            "The same code under both launch modes should log the same runs. Under `mlflow run` the first "
            "start_run() joins the run that MLFLOW_RUN_ID names; a plain command creates one. Code that "
            "creates runs in another way (MlflowClient.create_run) has one more under `mlflow run`.",
            'client.create_run("0")   # does not join the run that `mlflow run` made',
            "with mlflow.start_run():   # joins it",
        ),
        Rule(
            "param-missing-in-fluent",
            "params",
            "error",
            "params: {n} missing in the fluent launch",
            "a param that `mlflow run` logs is not logged by the plain command",
            "`mlflow run` logs every parameter of the entry point before the code starts. The plain command "
            "logs what the code logs, nothing else. Whoever starts the script directly loses the parameter.",
            "def main(index):\n    with mlflow.start_run():\n        train(index)",
            'with mlflow.start_run():\n    mlflow.log_param("index", index)',
        ),
        Rule(
            "param-missing-in-mlflow-run",
            "params",
            "error",
            "params: {n} missing under mlflow run",
            "a param that the plain command logs is missing under `mlflow run`",
            "The code logged a param in the plain launch and didn't under `mlflow run`. Usually it branches "
            "on MLFLOW_RUN_ID, or on a run that is already active.",
            'if "MLFLOW_RUN_ID" not in os.environ:\n    mlflow.log_param("seed", seed)',
            "Log in both modes; skip only what is logged already.",
        ),
        Rule(
            "param-differs",
            "params",
            "error",
            "params: {n} with different values",
            "a param has different values in the two launches",
            "Both launches got the same parameter values, so what they log should be the same. Under "
            "`mlflow run` the entry point's parameters are logged as the raw text that was given, before "
            "the code replaced or converted it.",
            'mlflow.log_param("out", out or "default_dir")   # skipped where `mlflow run` has logged "out"',
            "Log the raw value under the parameter's name and the value in use under another "
            "(`cfg_out`), or accept the difference with a reason:\n\n"
            '[[allow]]\nrule = "param-differs"\nmatch = "out"\nreason = "…"',
        ),
        Rule(
            "param-quoted",
            "params",
            "warning",
            "params: {n} shell-quoted by mlflow run",
            "a value differs only by the shell quotes that `mlflow run` adds",
            "`mlflow run` logs every parameter the way it stands in the shell command: `a b` becomes "
            "`'a b'`, the empty text becomes `''` (EntryPoint._sanitize_value_dict, MLflow 3.17 and 2.22). "
            'Nothing is lost, but a search for params.x = "a b" doesn\'t find the run.',
            "mlflow run . -P 'name=a b'",
            "Log the value in use under a name of its own (`cfg_name`) and search for that, or accept it:\n\n"
            '[[allow]]\nrule = "param-quoted"\nmatch = "name"\nreason = "raw value; cfg_name is in use"',
        ),
        Rule(
            "metric-missing",
            "metrics",
            "error",
            "metrics: {n} logged by one launch only",
            "a metric is logged by only one of the two launches",
            "The same code with the same values logged a metric in one mode and not in the other.",
            'if mlflow.active_run() is None:\n    mlflow.log_metric("loss", loss)',
            "Log it whatever the launch mode.",
        ),
        Rule(
            "metric-without-step",
            "metrics",
            "error",
            "metrics: {n} with every point at step 0",
            "a series of several points lies at step 0, because `step` was left out",
            "A metric logged without `step` lands on step 0, every time: MLflow doesn't count. Plots show "
            "one vertical line, and which value belongs to which iteration is lost. A single value at "
            "step 0, such as a final score, is normal and not meant.",
            'for epoch in range(10):\n    mlflow.log_metric("loss", loss)',
            'for epoch in range(10):\n    mlflow.log_metric("loss", loss, step=epoch)',
        ),
        Rule(
            "metric-points-differ",
            "metrics",
            "error",
            "metrics: {n} with different numbers of points",
            "a series has more points in one launch than in the other",
            "The same loop should log the same number of points in both modes. Exact repeats (same step, "
            "time and value) are not counted: MLflow 3 writes some by itself into file stores.",
            "for batch in stream_for_ten_seconds():\n    mlflow.log_metric(…)",
            "Make the number of iterations depend on the parameters alone.",
        ),
        Rule(
            "metric-steps-differ",
            "metrics",
            "error",
            "metrics: {n} with different steps",
            "a series has other steps, or another order of steps, in the two launches",
            "Steps are what metrics are plotted and compared by. Both launches should log the same steps in "
            "the same order.",
            "mlflow.log_metric('loss', loss, step=int(time.time()))",
            "mlflow.log_metric('loss', loss, step=epoch)",
        ),
        Rule(
            "metric-values-differ",
            "metrics",
            "error",
            "metrics: {n} with different values",
            "a series has other values in the two launches",
            "Same code, same parameters, other numbers: usually training without a fixed seed. NaN counts "
            "as equal to NaN. What can't be made equal is excluded in the settings.",
            "model.fit(X, y)   # no random_state",
            "Fix the seed, or say what may differ:\n\n"
            'metric_tolerance = { rel = 1e-3 }\nignore = { metrics = ["*_seconds"] }',
        ),
        Rule(
            "artifact-missing",
            "artifacts",
            "error",
            "artifacts: {n} logged by one launch only",
            "an artifact is logged by only one of the two launches",
            "Artifacts are compared by path. Names with dates, run ids or random parts differ each time.",
            'mlflow.log_artifact(f"plot-{time.time()}.png")',
            'Give it a fixed name, or exclude it: ignore = { artifacts = ["plot-*.png"] }',
        ),
        Rule(
            "artifact-content-differs",
            "artifacts",
            "error",
            "artifacts: {n} with different content",
            "an artifact listed under `artifact_contents` differs byte by byte",
            "Only artifacts that match a pattern of the setting `artifact_contents` are compared by content.",
            'artifact_contents = ["log_dir/*.txt"]   # and the file holds a date',
            "Make the content depend on the parameters alone, or take the pattern out of the setting.",
        ),
        Rule(
            "model-as-artifact",
            "artifacts",
            "error",
            "artifacts: {n} that should be a model",
            "a serialised object is logged as a plain artifact, in a run that logs no model",
            "A pickle among the artifacts can be downloaded and nothing more: it has no flavor, no signature "
            "and no requirements, and the registry doesn't take it. Recognised by content, not by name; a "
            "pickle beside a logged model is fine.",
            'pickle.dump(model, open("out/model.pkl", "wb"))\nmlflow.log_artifacts("out")',
            "Log it with its flavor, or wrap it:\n\n"
            "class Wrapper(mlflow.pyfunc.PythonModel):\n"
            "    def load_context(self, context):\n"
            '        self.model = pickle.load(open(context.artifacts["model"], "rb"))\n'
            "    def predict(self, context, model_input, params=None):\n"
            "        return self.model.predict(model_input)\n\n"
            'mlflow.pyfunc.log_model(name="model", python_model=Wrapper(), '
            'artifacts={"model": "out/model.pkl"})',
        ),
        Rule(
            "model-missing",
            "models",
            "error",
            "models: {n} logged by one launch only",
            "a model is logged by only one of the two launches",
            "Models are compared by name: `name=` in MLflow 3, the artifact path in MLflow 2.",
            'if os.environ.get("MLFLOW_RUN_ID"):\n    mlflow.sklearn.log_model(model, name="model")',
            "Log it whatever the launch mode, under a fixed name.",
        ),
        Rule(
            "model-differs",
            "models",
            "error",
            "models: {n} that differ",
            "a model has another flavor or signature in the two launches",
            "Flavors and signature decide how a model can be loaded and what input it takes; both launches "
            "should give the same.",
            "mlflow.sklearn.log_model(model, name='model', input_example=X[:int(time.time()) % 2])",
            "Log the same flavor with the same signature in both modes.",
        ),
        Rule(
            "model-not-registrable",
            "models",
            "error",
            "models: {n} can't be registered",
            "a logged model is refused by the model registry",
            "Each model is registered in a throw-away registry, as mlflow.register_model does it. A model "
            "that log_model left half-written (status FAILED or PENDING) has nothing to register.",
            "mlflow.sklearn.log_model(model_with_unsafe_types, …)   # dies half-way, caught by the caller",
            "Let log_model end without an exception; read the message printed with the finding.",
        ),
        Rule(
            "model-not-loadable",
            "models",
            "error",
            "models: {n} can't be loaded back",
            "a registered model doesn't load from `models:/NAME/1` outside the project's directory",
            "Each registered model is loaded in a process that doesn't stand in the project's directory, as "
            "on another machine. Classes from the project's own modules, files outside the model and "
            "absolute paths are found at home and nowhere else.",
            "from mynet import Net   # mynet.py lies beside train.py\n"
            'mlflow.pyfunc.log_model(name="m", python_model=Net())',
            'mlflow.pyfunc.log_model(name="m", python_model=Net(), code_paths=["mynet.py"])',
        ),
    )
}
"""The rules by slug, in the order in which they are documented."""


def check_slugs(slugs: Iterable[str], *, where: str) -> None:
    """Makes sure that settings name rules that exist.

    Raises:
        UserError: naming the first that doesn't, and what may be meant.
    """
    for slug in slugs:
        if slug not in RULES:
            raise UserError(f'{where}: unknown rule "{slug}": {did_you_mean(slug, RULES)}')


def explain(slug: str) -> str:
    """What a rule means, as `--mlflow-explain` prints it.

    Raises:
        UserError: for a rule that doesn't exist.
    """
    check_slugs([slug], where="--mlflow-explain")
    rule = RULES[slug]
    return "\n".join(
        [
            f"{rule.slug} ({rule.severity}, check: {rule.check})",
            "",
            *textwrap.wrap(rule.summary[0].upper() + rule.summary[1:] + ".", 80),
            "",
            *textwrap.wrap(rule.explanation, 80),
            "",
            "example:",
            textwrap.indent(rule.example, "    "),
            "",
            "instead:",
            textwrap.indent(rule.fix, "    "),
        ]
    )


def markdown_table() -> str:
    """The rules as a Markdown table; the README holds it, and a test holds the README to it."""
    rows = ["| rule | check | severity | what is wrong |", "| --- | --- | --- | --- |"]
    rows += [f"| `{r.slug}` | {r.check} | {r.severity} | {r.summary} |" for r in RULES.values()]
    return "\n".join(rows)
