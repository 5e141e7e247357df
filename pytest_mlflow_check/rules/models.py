"""The rules of the check `models`."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

RULES = (
    Rule(
        slug="model-missing",
        in_front_of_subject=("model-without-signature",),
        check="models",
        severity="error",
        title="models: {n} logged by one launch only",
        summary="a model is logged by only one of the two launches",
        explanation="Models are compared by name: `name=` in MLflow 3, the artifact path in MLflow 2.",
        example='if os.environ.get("MLFLOW_RUN_ID"):\n    mlflow.sklearn.log_model(model, name="model")',
        fix="Log it whatever the launch mode, under a fixed name.",
    ),
    Rule(
        slug="model-differs",
        in_front_of_subject=("model-without-signature",),
        check="models",
        severity="error",
        title="models: {n} that differ",
        summary="a model has another flavor or signature in the two launches",
        explanation=(
            "Flavors and signature decide how a model can be loaded and what input it takes; both launches "
            "should give the same."
        ),
        example="mlflow.sklearn.log_model(model, name='model', input_example=X[:int(time.time()) % 2])",
        fix="Log the same flavor with the same signature in both modes.",
    ),
    Rule(
        slug="model-not-registrable",
        in_front_of_subject=("model-differs", "model-without-signature"),
        check="models",
        severity="error",
        title="models: {n} can't be registered",
        summary="a logged model is refused by the model registry",
        explanation=(
            "Each model is registered in a throw-away registry, as mlflow.register_model does it. A model "
            "that log_model left half-written (status FAILED or PENDING) has nothing to register."
        ),
        example="mlflow.sklearn.log_model(model_with_unsafe_types, …)   # dies half-way, and is caught",
        fix="Let log_model end without an exception; read the message printed with the finding.",
    ),
    Rule(
        slug="model-not-loadable",
        in_front_of_subject=("model-without-signature",),
        check="models",
        severity="error",
        title="models: {n} can't be loaded back",
        summary="a registered model doesn't load from `models:/NAME/1` outside the project's directory",
        explanation=(
            "Each registered model is loaded in a process that doesn't stand in the project's directory, as "
            "on another machine. Classes from the project's own modules, files outside the model and "
            "absolute paths are found at home and nowhere else."
        ),
        example=(
            "from mynet import Net   # mynet.py lies beside train.py\n"
            'mlflow.pyfunc.log_model(name="m", python_model=Net())'
        ),
        fix='mlflow.pyfunc.log_model(name="m", python_model=Net(), code_paths=["mynet.py"])',
    ),
    Rule(
        slug="model-without-signature",
        check="models",
        severity="warning",
        title="models: {n} without a signature",
        summary="a model is logged without a signature",
        explanation=(
            "Without a signature nothing checks what a model is given: wrong columns or types give wrong "
            "predictions instead of an error. Unity Catalog refuses to register such a model."
        ),
        example='mlflow.sklearn.log_model(model, name="model")',
        fix='mlflow.sklearn.log_model(model, name="model", signature=infer_signature(X, model.predict(X)))',
    ),
)
