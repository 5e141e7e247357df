"""The rules of the check `artifacts`."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

RULES = (
    Rule(
        slug="artifact-missing",
        check="artifacts",
        severity="error",
        title="artifacts: {n} logged by one launch only",
        summary="an artifact is logged by only one of the two launches",
        explanation=(
            "Artifacts are compared by path. Names with dates, run ids or random parts differ each time."
        ),
        example='mlflow.log_artifact(f"plot-{time.time()}.png")',
        fix='Give it a fixed name, or exclude it: ignore = { artifacts = ["plot-*.png"] }',
    ),
    Rule(
        slug="artifact-content-differs",
        check="artifacts",
        severity="error",
        title="artifacts: {n} with different content",
        summary="an artifact listed under `artifact_contents` differs byte by byte",
        explanation=(
            "Only artifacts that match a pattern of the setting `artifact_contents` are compared by content."
        ),
        example='artifact_contents = ["log_dir/*.txt"]   # and the file holds a date',
        fix="Make the content depend on the parameters alone, or take the pattern out of the setting.",
    ),
    Rule(
        slug="artifact-varies",
        check="artifacts",
        severity="warning",
        title="artifacts: {n} with other content each time",
        summary="an artifact has other content in each launch, also in two of one mode",
        explanation=(
            "Where a content differs between the two modes, a second fluent launch is made (confirm in the "
            "settings). It differed from the first one too, so the mode isn't the reason: a date, a random "
            "number, an order that isn't fixed."
        ),
        example='Path("out/report.txt").write_text(f"made at {time.ctime()}")',
        fix='ignore = { artifacts = ["out/report.txt"] }   # in mlflow-check.toml',
    ),
    Rule(
        slug="model-as-artifact",
        check="artifacts",
        severity="error",
        title="artifacts: {n} that should be a model",
        summary="a model is logged as a plain artifact, by its path alone, or only saved as a file",
        explanation=(
            "A pickle among the artifacts can be downloaded and nothing more: it has no flavor, no signature "
            "and no requirements, and the registry doesn't take it. Of a file that only a param or a tag "
            "names, MLflow has nothing but the path. Recognised by content, not by name; a pickle beside a "
            "logged model is fine. A file that nothing names is found only where no run logs a model, only "
            "the newest one, and only where it is a model without doubt: not a function or plain data in a "
            "pickle, not what a training resumes from, not what lies in hidden or cache directories. Logged "
            "checkpoints are one warning for all of a run: files of torch.save with an optimizer's state, "
            "those of Lightning, and what transformers' Trainer and Accelerator.save_state write."
        ),
        example=(
            'pickle.dump(model, open("out/model.pkl", "wb"))\n'
            'mlflow.log_artifacts("out")                       # or\n'
            'mlflow.log_param("weights", "out/model.pkl")'
        ),
        fix=(
            'Log it with its flavor, such as mlflow.sklearn.log_model(model, "model"), or wrap\n'
            "the file. The finding prints the whole wrapper for that very file, such as:\n\n"
            "# wrapper.py\n"
            "class Wrapper(mlflow.pyfunc.PythonModel):\n"
            "    def load_context(self, context):\n"
            '        self.model = pickle.load(open(context.artifacts["model"], "rb"))\n'
            "    def predict(self, context, model_input, params=None):\n"
            "        return self.model.predict(model_input)\n"
            "mlflow.models.set_model(Wrapper())\n\n"
            "# train.py\n"
            'mlflow.pyfunc.log_model("model", python_model="wrapper.py", '
            'artifacts={"model": "out/model.pkl"})'
        ),
    ),
    Rule(
        slug="artifact-stale",
        noun="file",
        check="artifacts",
        severity="warning",
        title="artifacts: {n} not written by this launch",
        summary="a directory is logged whole, and beside what the launch wrote lie files that it didn't",
        explanation=(
            "log_artifacts takes all that lies in a directory, also what an earlier run left there or what "
            "is committed. The run then shows results that aren't its own. A directory without any new file, "
            "such as one of configuration, is fine."
        ),
        example='mlflow.log_artifacts("out")   # out/ holds plots of last week too',
        fix='with tempfile.TemporaryDirectory() as out:\n    …\n    mlflow.log_artifacts(out, "out")',
        needs_observer=True,
    ),
)
