"""The rules of the check `models`."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

RULES = (
    Rule(
        slug="model-missing",
        supersedes_same_subject=("model-without-signature",),
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
        supersedes_same_subject=("model-without-signature",),
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
        supersedes_same_subject=("model-differs", "model-without-signature"),
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
        supersedes_same_subject=("model-without-signature",),
        check="models",
        severity="error",
        title="models: {n} can't be loaded back",
        summary="a registered model doesn't load from `models:/NAME/1` outside the project's directory",
        explanation=(
            "Each registered model is loaded as on another machine: by a fresh process in an empty "
            "directory, with the project's directory gone and without network. Classes pickled from "
            "__main__ or from "
            "the project's own modules, files outside the model and absolute paths are found at home and "
            "nowhere else. The same goes for versions that the code registers itself."
        ),
        example=(
            "from mynet import Net   # mynet.py lies beside train.py\n"
            'mlflow.pyfunc.log_model(name="m", python_model=Net())'
        ),
        fix='mlflow.pyfunc.log_model(name="m", python_model=Net(), code_paths=["mynet.py"])',
    ),
    Rule(
        slug="model-rejects-example",
        supersedes_same_subject=("model-without-signature",),
        check="models",
        severity="error",
        title="models: {n} that can't take the input example",
        summary="a model loads, and can't predict with the input example that it was logged with",
        explanation=(
            "A model with an input example is asked for a prediction after it was loaded. Where its "
            "signature has other columns or types than the example, or predict() fails with it, nobody can "
            "use it as its own example shows. The same goes for code that imports or opens, only when it "
            "predicts, what isn't in the model. A model that asks another machine for its answer isn't tried."
        ),
        example="log_model(model, signature=infer_signature(X), input_example=X.astype(str))",
        fix="log_model(model, signature=infer_signature(X), input_example=X[:3])",
    ),
    Rule(
        slug="model-requirements-wrong",
        check="models",
        severity="warning",
        title="models: {n} with wrong requirements",
        summary="a model's requirements name what isn't installed, or leave out what its code imports",
        explanation=(
            "Who serves a model makes an environment from its requirements.txt. Left alone, log_model "
            "writes down the versions that are installed; with pip_requirements= it writes what it is told. "
            "Compared "
            "are the versions, and the imports in the model's own code and pickles (those within `try` "
            "or `if` aren't)."
        ),
        example='log_model(model, pip_requirements=["scikit-learn==0.24"])   # trained with another one',
        fix="log_model(model)   # or extra_pip_requirements=[…], to add some",
    ),
    Rule(
        slug="prediction-differs",
        check="models",
        severity="error",
        title="models: {n} that predict something else",
        summary="the same model predicts something else in the two launches",
        explanation=(
            "Both models are asked with their input example. Numbers may lie apart by prediction_tolerance "
            "in the settings. It isn't chance: a second fluent launch's model answers as the first's does."
        ),
        example='model.set_params(depth=3 if "MLFLOW_RUN_ID" in os.environ else 2)',
        fix="model.set_params(depth=3)",
    ),
    Rule(
        slug="prediction-varies",
        check="models",
        severity="warning",
        title="models: {n} that predict something else each time",
        summary="a model predicts something else in each launch, also in two of one mode",
        explanation=(
            "Where the predictions differ between the two modes, a second fluent launch is made (confirm in "
            "the settings). Its model differed from the first one's too: usually training without a seed."
        ),
        example="model.fit(X.sample(frac=0.8), y)   # another sample each time",
        fix="model.fit(X.sample(frac=0.8, random_state=0), y)",
    ),
    Rule(
        slug="registered-model-missing",
        noun="registered model",
        check="models",
        severity="error",
        title="models: names registered by one launch only: {n}",
        summary="a name is registered in the model registry by only one of the two launches",
        explanation=(
            "What the code registers itself (registered_model_name=, register_model) is compared by name."
        ),
        example='if not os.environ.get("MLFLOW_RUN_ID"):\n    mlflow.register_model(info.model_uri, "net")',
        fix='mlflow.register_model(info.model_uri, "net")   # whatever the launch mode',
    ),
    Rule(
        slug="registered-model-differs",
        noun="registered model",
        check="models",
        severity="error",
        title="models: registered models that differ: {n}",
        summary="a registered model has other versions, aliases, tags or descriptions in the two launches",
        explanation="Aliases decide which version is served; both launches should set the same.",
        example='client.set_registered_model_alias("net", random.choice(names), "1")',
        fix='client.set_registered_model_alias("net", "champion", "1")',
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
