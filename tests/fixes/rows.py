"""For every rule a project that deserves it, and where a person puts what its fix prints.

Most projects are mutants of the matrix. A row says only where the code goes, and what fills its blanks.
"""

from __future__ import annotations

from dataclasses import dataclass

from fixes.apply import Put
from mutants import MUTANTS, nested
from mutants.mutant import Edit, Mutant


@dataclass(frozen=True)
class Row:
    """A rule, and what becomes of its fix.

    Attributes:
        rule: whose fix is applied.
        project: what deserves it.
        puts: where the code goes.
        then: the rules that fail the next run, which names the next true thing; nothing where it is green.
    """

    rule: str
    project: Mutant
    puts: tuple[Put, ...]
    then: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The project's."""
        return self.project.id


_BY_ID = {mutant.id: mutant for mutant in MUTANTS}


def _row(rule: str, mutant: str | Mutant, *puts: Put, then: tuple[str, ...] = ()) -> Row:
    return Row(rule, _BY_ID[mutant] if isinstance(mutant, str) else mutant, puts, then)


_IGNORE = Put("settings")
_REMOVE = Put("remove")

_ROUNDED = Mutant(
    "callback-rounded-in-fluent",
    "callback",
    (
        Edit("trainer.py", "POINTS = [", "import os\n\nPOINTS = ["),
        Edit("trainer.py", "self.slope = 0.0", 'self.slope = 1e-6 if "MLFLOW_RUN_ID" in os.environ else 0.0'),
    ),
)
_TWO_WORDS = Mutant(
    "callback-two-words-left-to-mlflow-run",
    "callback",
    (
        Edit(
            "MLproject",
            "      lr: {type: float, default: 0.1}\n",
            '      lr: {type: float, default: 1}\n      note: {type: string, default: "first try"}\n',
        ),
        Edit("MLproject", "--lr {lr}", "--lr {lr} --note {note}"),
        Edit("train.py", "    args = parser", '    parser.add_argument("--note")\n    args = parser'),
        Edit(
            "callbacks.py",
            "mlflow.log_params({name: value for name, value in params.items() if name not in logged})",
            'mlflow.log_param("optimizer", params["optimizer"])',
        ),
    ),
)
_THREADS = Mutant(
    "nested-closures-in-threads",
    "nested",
    (
        nested.importing("concurrent.futures"),
        Edit(
            "search.py",
            nested.EACH,
            "\n            def trial(number=number, rate=rate):\n"
            '                with mlflow.start_run(nested=True, run_name=f"trial-{number}"):\n'
            '                    mlflow.log_param("rate", rate)\n'
            "                return rate\n\n"
            "            with concurrent.futures.ThreadPoolExecutor() as pool:\n"
            "                losses[rate] = pool.submit(trial).result()\n",
        ),
    ),
)
_FAILING = Mutant(
    "nested-fails-in-a-run-without-with",
    "nested",
    (
        Edit("search.py", nested.PARENT, "    mlflow.start_run()\n    if trials:\n"),
        Edit("search.py", nested.TRIALS, '        raise ValueError("no rate is good enough")\n'),
    ),
)
_ONE_FOR_1_0 = Mutant(
    "callback-default-in-another-notation",
    "callback",
    (
        Edit("MLproject", "default: 0.1", "default: 1"),
        Edit(
            "callbacks.py",
            "mlflow.log_params({name: value for name, value in params.items() if name not in logged})",
            "mlflow.log_params(params)",
        ),
    ),
)
_VARIABLE = Mutant(
    "callback-needs-a-variable",
    "callback",
    (
        Edit("train.py", "import argparse\n", "import argparse\nimport os\n"),
        Edit("train.py", "    args = parser", '    print(os.environ["DATA_DIR"])\n    args = parser'),
    ),
)
_DIRECTORY = Mutant(
    "callback-writes-into-no-directory",
    "callback",
    (
        Edit("train.py", "import argparse\n", "import argparse\nimport os\n"),
        Edit("train.py", "    args = parser", '    open("out/log.txt", "w").close()\n    args = parser'),
    ),
)

_MISTYPED_KEY = Mutant(
    "callback-key-mistyped",
    "callback",
    (Edit("MLproject", "name: callback-trainer\n", "conda-env: conda.yaml\n"),),
    files={"conda.yaml": "name: x\ndependencies: [python=3.11]\n"},
)

ROWS: tuple[Row, ...] = (
    # The MLproject.
    _row("mlproject-invalid", "mlproject-no-command", Put("inside", old="comand:")),
    _row(
        "mlproject-undeclared-placeholder",
        "mlproject-placeholder-mistyped",
        Put("inside", at="MLproject: command:", old="{epoch}"),
    ),
    _row("mlproject-null-default", "mlproject-null-with-a-value", Put("inside", old="lr: {default: ~}")),
    _row(
        "mlproject-unused-parameter",
        "mlproject-parameter-not-passed-on",
        Put("append", at="MLproject: command:"),
    ),
    _row(
        "mlproject-missing-file",
        "mlproject-script-mistyped",
        Put("inside", old="python trian.py --epochs {epochs} --lr {lr}"),
    ),
    _row(
        "mlproject-unknown-option",
        "mlproject-option-mistyped",
        Put("inside", old="python train.py --epochs {epochs} --l_r {lr}"),
    ),
    _row(
        "mlproject-wrong-environment",
        "mlproject-conda-as-python-env",
        Put("inside", old="python_env: conda.yaml"),
    ),
    _row("mlproject-ignored-key", _MISTYPED_KEY, Put("inside", old="conda-env:")),
    _row("needs-docker", "mlproject-docker", Put("option")),
    # Launches that fail.
    _row("launch-failed", "nested-forgot-nested", Put("argument")),
    _row("launch-failed", _VARIABLE, Put("settings", code=2, fill=("train",))),
    _row("launch-failed", _DIRECTORY, Put("before")),
    _row("launch-failed", "nested-removed-keyword", Put("inside", old="run_uuid=None", fill=("None",))),
    _row(
        "param-rewritten",
        "callback-param-rewritten",
        Put("instead", fill=('params["lr"], **params', 'params["lr"]')),
    ),
    _row("param-rewritten", _ONE_FOR_1_0, Put("inside", old="lr: {type: float, default: 1}")),
    _row(
        "param-rewritten",
        "nested-trials-in-the-parent",
        Put("around", until='search.py: mlflow.log_metric("loss"'),
    ),
    _row("experiment-hardcoded", "callback-set-experiment-at-import", _REMOVE),
    _row(
        "needs-run-id",
        "nested-joins-the-run-by-id",
        _REMOVE,
        Put("inside", at="search.py: run_id=run_id", old="mlflow.start_run(run_id=run_id)"),
    ),
    _row("inner-run-environment", "nested-inner-run", Put("argument")),
    _row(
        "file-outside-workspace",
        "nested-file-above",
        Put("run"),
        Put("inside", code=1, old='"../shared/config.json"'),
    ),
    _row("autologging-failed", "sklearn-autologging-gives-up", _REMOVE),
    _row(
        "async-logging-failed",
        "callback-params-logged-by-a-thread",
        Put("instead", fill=('params["lr"], **params', 'params["lr"]')),
    ),
    # Runs.
    _row(
        "no-run-logged",
        "callback-never-passed",
        Put("before", at="train.py: import argparse"),
        Put("before", code=2, at="train.py: Trainer(vars(args))", fill=("args.epochs", "args.lr")),
        Put("around", code=1, at="train.py: Trainer(vars(args))", until="train.py: Trainer(vars(args))"),
    ),
    _row(
        "run-missing",
        "callback-run-of-the-client",
        _REMOVE,
        Put(
            "inside",
            at="callbacks.py: run_id=run.info.run_id",
            old="mlflow.start_run(run_id=run.info.run_id)",
        ),
    ),
    _row(
        "logged-by-several-processes",
        "nested-every-rank-logs",
        Put("before", at="search.py: import json"),
        Put("around", code=1),
    ),
    _row("run-without-parent", _THREADS, Put("argument")),
    _row(
        "run-started-again",
        "nested-metric-after-the-end",
        Put("around", fill=("parent",)),
    ),
    _row(
        "logged-to-another-run",
        "nested-logger-of-a-library",
        Put("instead", code=1, fill=('"best"', "losses[best]")),
    ),
    _row(
        "several-top-level-runs",
        "nested-no-parent",
        Put("argument", code=2),
        Put("before", code=1, at="search.py: losses = {}", fill=("trials",)),
        Put("around", code=0, at="search.py: if trials:"),
    ),
    _row("run-left-running", "callback-os-exit", Put("after")),
    _row(
        "run-left-running",
        "nested-trials-left-running",
        Put("after", at="search.py: client.log_metric", fill=("trial.run_id",)),
    ),
    _row("run-closed-at-exit", "callback-run-never-ended", Put("after", code=1, at="callbacks.py: log_dict")),
    _row(
        "run-closed-at-exit",
        "callback-run-started-by-first-param",
        Put("after", code=1, at="callbacks.py: log_dict"),
    ),
    _row(
        "failed-but-finished",
        _FAILING,
        Put("over", until="search.py: best.json"),
        then=("launch-failed",),
    ),
    _row("tracking-uri-hardcoded", "callback-tracking-uri", _REMOVE),
    _row(
        "launch-unobserved",
        "callback-unobserved",
        Put("inside", at="MLproject: command:", old="python -S start.py"),
    ),
    _row("linked-file-written", "nested-linked-file-appended-to", Put("settings")),
    _row(
        "project-dir-written",
        "nested-config-written-back",
        Put("before", at="search.py: import json"),
        Put("inside", code=2, at="search.py: .write_text(", old='"config.json"'),
        Put("before", code=1, at="search.py: .write_text("),
    ),
    _row(
        "run-name-differs",
        "metadata-name-with-the-process",
        Put("inside", old='run_name=f"sweep {os.getpid()}"', fill=('f"sweep {trials}"',)),
    ),
    _row(
        "description-differs",
        "metadata-description-in-fluent",
        Put("before", at="search.py: if fluent:", fill=('"Finds the best rate."',)),
    ),
    _row("tag-missing", "metadata-tag-in-fluent", Put("instead", fill=('"yes"',))),
    _row("tag-differs", "metadata-tag-with-the-mode", _IGNORE),
    _row("tag-varies", "metadata-tag-with-the-process", _IGNORE),
    _row(
        "dataset-missing",
        "metadata-dataset-in-fluent",
        Put("before", at="search.py: if fluent:", fill=("data",)),
    ),
    _row("dataset-varies", "metadata-dataset-without-a-seed", Put("settings", code=-1)),
    # Params.
    _row(
        "param-missing-in-fluent",
        "callback-params-left-to-mlflow-run",
        Put("after", fill=('params["epochs"]', 'params["lr"]')),
    ),
    _row(
        "param-missing-in-fluent",
        _TWO_WORDS,
        Put("after", fill=('params["epochs"]', 'params["lr"]', 'params["note"]')),
        then=("param-differs",),
    ),
    _row(
        "param-missing-in-mlflow-run",
        "callback-params-only-in-fluent",
        Put("before", at="callbacks.py: if not logged", fill=('params["optimizer"]',)),
    ),
    _row(
        "param-differs",
        "callback-param-in-another-notation",
        Put("after", fill=('params["lr"]',)),
        Put("settings", code=1),
    ),
    _row("param-varies", "nested-param-hostname-and-pid", _IGNORE),
    _row("param-quoted", "callback-param-with-a-space", Put("settings", code=1)),
    _row(
        "param-duplicated",
        "callback-param-with-a-dash",
        Put("inside", old="weight-decay"),
        Put("inside", code=1, at=1, old="{weight-decay}"),
    ),
    _row("param-too-long", "callback-param-too-long", Put("instead", fill=("list(range(2000))",))),
    _row("param-changes-per-step", "callback-param-per-epoch", Put("instead", fill=("0.1", "epoch"))),
    # Metrics.
    _row(
        "metric-missing",
        "callback-metric-only-under-mlflow-run",
        Put(
            "instead",
            at="callbacks.py: if self.by_mlflow",
            until="callbacks.py: final_loss",
            fill=('state["loss"]',),
        ),
    ),
    _row("metric-without-step", "callback-metrics-without-step", Put("argument", fill=("epoch",))),
    _row("metric-values-differ", _ROUNDED, Put("settings")),
    _row("metric-varies", "callback-no-seed", Put("before", at="trainer.py: self.slope = random")),
    _row(
        "metric-step-repeated",
        "nested-all-losses-in-the-parent",
        Put("inside", old="step=step", fill=("number * steps + step",)),
    ),
    _row(
        "metric-not-finite",
        "callback-turns-nan",
        Put("before", at="callbacks.py: import mlflow"),
        Put("before", code=1, fill=("self.ratio(epoch)",)),
        then=("launch-failed",),
    ),
    _row(
        "metric-all-at-end",
        "callback-history-at-the-end",
        Put("after", at="callbacks.py: self.history = [", fill=('logs["gradient"]', 'logs["loss"]', "epoch")),
    ),
    # Artifacts.
    _row("artifact-missing", "reference-pid-in-a-file-name", _IGNORE),
    _row("artifact-content-differs", "callback-mode-in-a-file", Put("settings")),
    _row("artifact-varies", "callback-date-in-a-file", _IGNORE),
    _row(
        "model-as-artifact",
        "sklearn-joblib-instead-of-a-model",
        Put("file", code=-2),
        Put("after", code=-1, at=0),
    ),
    _row("artifact-stale", "callback-plots-of-last-week", Put("instead")),
    # Models.
    _row(
        "model-differs",
        "reference-signature-by-way-of-start",
        Put(
            "inside",
            at="iterate.py: None if BY_MLFLOW",
            old="signature=infer_signature(model_input, None if BY_MLFLOW else output)",
            fill=("model_input", "output"),
        ),
    ),
    _row("model-not-loadable", "reference-class-in-a-module", Put("argument")),
    _row("model-not-loadable", "sklearn-class-in-a-module", Put("argument")),
    _row(
        "model-rejects-example",
        "sklearn-signature-of-one-column",
        Put(
            "inside",
            at="train.py: infer_signature(x[",
            old="infer_signature(x[:, :1], model.predict(x))",
            fill=("x", "model.predict(x)"),
        ),
    ),
    _row(
        "model-requirements-wrong",
        "sklearn-requirement-of-another-day",
        Put("inside", at="train.py: scikit-learn==0.24.2", old='"scikit-learn==0.24.2"'),
    ),
    _row("prediction-varies", "sklearn-model-without-a-seed", Put("settings", code=-1)),
    _row(
        "registered-model-missing",
        "sklearn-registered-in-fluent",
        Put(
            "inside",
            at="train.py: registered_model_name",
            old='registered_model_name="line" if fluent else None',
        ),
    ),
    _row("model-without-signature", "sklearn-model-without-signature", Put("argument", fill=("x[:3]",))),
)

_CODE = "the code asks how it was started, or for a clock; which of the two is right is for the user to say"
_UPDATE = "which of the two is right is for the user to say; what is meant is written by --mlflow-update"

NOT_AS_TEXT = {
    "run-empty": "what swallowed the exception, or asks how it was started, isn't known",
    "mlproject-absolute-path": "where the file is for others is for the user to say",
    "store-damaged": "the store is damaged: what writes into it isn't known",
    "dataset-differs": _CODE,
    "metric-points-differ": _CODE,
    "metric-steps-differ": _CODE,
    "model-missing": _CODE,
    "model-not-registrable": "log_model died, and what it died of was caught",
    "prediction-differs": _CODE,
    "registered-model-differs": _CODE,
    "contract-missing": _UPDATE,
    "contract-renamed": _UPDATE,
    "contract-value-differs": _UPDATE,
    "contract-steps-differ": _UPDATE,
    "contract-model-differs": _UPDATE,
    "contract-outdated": "its fix is --mlflow-update",
}
"""The rules whose fix isn't text to write, each with the reason."""
