"""The rules of the check `contract`."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

_UPDATE = "pytest --mlflow-project=. --mlflow-update   # where the change is meant"

RULES = (
    Rule(
        slug="contract-missing",
        check="contract",
        severity="error",
        noun="what",
        title="contract: no longer logged: {subjects}",
        summary="something that the contract has isn't logged any more",
        explanation=(
            "mlflow-contract.yaml holds what each case logs, as it was when last written. Whoever reads the "
            "runs counts on it: charts, comparisons with older runs, code that loads the model. What both "
            "launches have lost in the same way, nothing but the contract remembers."
        ),
        example="# the contract has  loss: {first: 0, last: 9, count: 10, regular: true}\n"
        "# and train.py doesn't log it any more",
        fix=f'mlflow.log_metric("loss", loss, step=epoch)\n{_UPDATE}',
    ),
    Rule(
        slug="contract-renamed",
        check="contract",
        severity="error",
        noun="what",
        title="contract: renamed: {subjects}",
        summary="something that the contract has is logged under another name",
        explanation=(
            "MLflow knows no renaming: the old runs have the old name, the new ones the new, and no chart, "
            "search or comparison puts them together. A new name is recognised by what it has in common with "
            "the old one, and by an equal value."
        ),
        example='mlflow.log_param("learning_rate", lr)   # the contract has  lr: "0.1"',
        fix=f'mlflow.log_param("lr", lr)\n{_UPDATE}',
    ),
    Rule(
        slug="contract-value-differs",
        check="contract",
        severity="error",
        noun="what",
        title="contract: other values: {subjects}",
        summary="a param, a tag or a dataset's digest has another value than in the contract",
        explanation=(
            "The contract holds a value where two launches of each kind logged the same one. So the code, a "
            "default or the data has changed. A value that needn't be held is null in the contract; an "
            "update leaves it so."
        ),
        example='mlflow.log_param("alpha", 0.2)   # the contract has  alpha: "0.1"',
        fix=f"alpha: null   # in mlflow-contract.yaml, for any value\n{_UPDATE}",
    ),
    Rule(
        slug="contract-steps-differ",
        check="contract",
        severity="error",
        noun="what",
        title="contract: other steps: {subjects}",
        summary="a metric has other steps than in the contract",
        explanation=(
            "The contract holds the first and the last step, the number of points, and whether they lie "
            "equally far apart. A series whose steps are lost can't be drawn; one with fewer points has "
            "lost some. What needn't be held is removed from the braces; an update leaves it so."
        ),
        example='mlflow.log_metric("loss", loss)   # the contract has  last: 9',
        fix=f'mlflow.log_metric("loss", loss, step=epoch)\n{_UPDATE}',
    ),
    Rule(
        slug="contract-model-differs",
        check="contract",
        severity="error",
        noun="what",
        title="contract: other models: {subjects}",
        summary="a model has other flavors or another signature than in the contract",
        explanation=(
            "What loads the model counts on its flavors, and what asks it for predictions on its signature. "
            "MLflow refuses columns that the signature doesn't have."
        ),
        example='mlflow.sklearn.log_model(model, name="model")   # the contract has inputs',
        fix=f'mlflow.sklearn.log_model(model, name="model", input_example=x[:5])\n{_UPDATE}',
    ),
    Rule(
        slug="contract-outdated",
        check="contract",
        severity="warning",
        noun="what",
        title="contract: {n} not in it",
        summary="something is logged, or a case is there, that the contract doesn't have",
        explanation=(
            "Nobody would be told should it get lost. Writing the contract anew takes it in. What comes and "
            "goes by itself belongs below `sometimes:` in the contract, or into ignore in mlflow-check.toml."
        ),
        example='mlflow.log_metric("f1", f1)   # new, and not in mlflow-contract.yaml',
        fix="pytest --mlflow-project=. --mlflow-update",
    ),
)
