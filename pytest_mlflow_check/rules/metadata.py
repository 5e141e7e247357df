"""The rules of the check `launches` about what is said of a run: name, description, tags, datasets."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

RULES = (
    Rule(
        slug="run-name-differs",
        noun="run name",
        check="launches",
        severity="warning",
        title="launches: run names that differ: {n}",
        summary="a run has another name in the two launches",
        explanation=(
            "Names that MLflow invents (`bold-ant-123`) aren't compared. One that the code gives should "
            "come from the parameters alone: with the time in it, a run can't be found again, and nested "
            "runs can't be told apart by their names. `mlflow run` gives its own run the name that the "
            "first start_run(run_name=…) asks for, or that --run-name names."
        ),
        example='mlflow.start_run(run_name=f"train-{datetime.now()}")',
        fix='mlflow.start_run(run_name=f"train-lr-{lr}")',
    ),
    Rule(
        slug="description-differs",
        noun="description",
        check="launches",
        severity="error",
        title="launches: descriptions that differ: {n}",
        summary="a run's description isn't the same in the two launches",
        explanation=(
            "The description is what start_run(description=…) gives, kept as the tag mlflow.note.content."
        ),
        example='if not os.environ.get("MLFLOW_RUN_ID"):\n    mlflow.set_tag("mlflow.note.content", notes)',
        fix="with mlflow.start_run(description=notes):",
    ),
    Rule(
        slug="tag-missing",
        noun="tag",
        check="launches",
        severity="error",
        title="launches: tags set by one launch only: {n}",
        summary="a tag is set by only one of the two launches",
        explanation=(
            "Tags are what runs are searched by. MLflow's own (mlflow.*) aren't compared: the launch mode "
            "decides about them."
        ),
        example='if not os.environ.get("MLFLOW_RUN_ID"):\n    mlflow.set_tag("team", "vision")',
        fix='mlflow.set_tag("team", "vision")   # whatever the launch mode',
    ),
    Rule(
        slug="tag-differs",
        noun="tag",
        check="launches",
        severity="error",
        title="launches: tags that differ: {n}",
        summary="a tag has another value in the two launches",
        explanation=(
            "The same code with the same values should describe its run in the same way. A value that is "
            "another each time (a time, a host, a process id) is left out with ignore.tags."
        ),
        example='mlflow.set_tag("started_by", os.environ.get("MLFLOW_RUN_ID", "hand"))',
        fix='ignore = { tags = ["started_at"] }   # in mlflow-check.toml, for a value that must differ',
    ),
    Rule(
        slug="tag-varies",
        noun="tag",
        check="launches",
        severity="warning",
        title="launches: tags different each time: {n}",
        summary="a tag or description has another value in each launch, also in two of one mode",
        explanation=(
            "Where one differs between the two modes, a second fluent launch is made (confirm in the "
            "settings). It differed from the first one too, so the mode isn't the reason."
        ),
        example='mlflow.set_tag("started_at", datetime.now().isoformat())',
        fix='ignore = { tags = ["started_at"] }   # in mlflow-check.toml',
    ),
    Rule(
        slug="dataset-missing",
        noun="dataset",
        check="launches",
        severity="error",
        title="launches: datasets logged by one launch only: {n}",
        summary="a dataset is logged as input by only one of the two launches",
        explanation="Datasets (mlflow.log_input) are compared by name and context, then by digest.",
        example='if not os.environ.get("MLFLOW_RUN_ID"):\n    mlflow.log_input(dataset, context="training")',
        fix='mlflow.log_input(dataset, context="training")   # whatever the launch mode',
    ),
    Rule(
        slug="dataset-differs",
        noun="dataset",
        check="launches",
        severity="error",
        title="launches: datasets that differ: {n}",
        summary="a dataset has another digest in the two launches",
        explanation=(
            "The digest is made from the data, so other data was used: a file found beside the project in "
            "one mode only, or a path that the two modes resolve differently."
        ),
        example='df = pd.read_csv("part.csv" if "MLFLOW_RUN_ID" in os.environ else "all.csv")',
        fix='df = pd.read_csv("all.csv")',
    ),
    Rule(
        slug="dataset-varies",
        noun="dataset",
        check="launches",
        severity="warning",
        title="launches: datasets different each time: {n}",
        summary="a dataset has another digest in each launch, also in two of one mode",
        explanation=(
            "Where a digest differs between the two modes, a second fluent launch is made (confirm in the "
            "settings). It differed from the first one too: usually a sample that isn't seeded."
        ),
        example='mlflow.log_input(mlflow.data.from_pandas(df.sample(100), name="sample"))',
        fix='mlflow.log_input(mlflow.data.from_pandas(df.sample(100, random_state=0), name="sample"))',
    ),
)
