"""Mutants of the scikit-learn trainer."""

from __future__ import annotations

from mutants.mutant import Edit, Mutant, artifacts, launches, metrics, models

BASE = "sklearn"
BOTH = "fluent and mlflow run"
TRAIN = "train.py"

IMPORT = "import argparse\n\nimport mlflow\n"
MADE = "    model = SGDClassifier(alpha=args.alpha, random_state=0)\n"
LOG_PARAMS = (
    "        mlflow.log_params({name: value for name, value in vars(args).items() if name not in logged})\n"
)
LOSS = '        mlflow.log_param("loss", "hinge")\n'
NORM = '        mlflow.log_metric("norm", float(np.linalg.norm(model.coef_)), step=epoch)\n'
LOG_MODEL = """    mlflow.sklearn.log_model(
        model, "classifier", signature=infer_signature(x, model.predict(x)), pip_requirements=["scikit-learn"]
    )
"""
AUTOLOG = "    mlflow.sklearn.autolog(log_models=False)  # <- here\n" + MADE.rstrip("\n") + ".fit(x, y)\n"
LOGGED = f"{TRAIN}: mlflow.sklearn.log_model("


EXAMPLE = 'pip_requirements=["scikit-learn"], input_example=x[:3]\n'
# The first start_run() takes MLFLOW_RUN_ID away; the tags of the run stay.
FLUENT = '    fluent = "mlflow.project.entryPoint" not in mlflow.active_run().data.tags\n'
REGISTERED = (
    'pip_requirements=["scikit-learn"], input_example=x[:3], registered_model_name="line"\n    )\n'
    "    client = mlflow.MlflowClient()\n"
)


def train(old: str, new: str) -> Edit:
    return Edit(TRAIN, old, new)


def logging(new: str) -> Edit:
    """Another end of the call of `log_model`."""
    return train('pip_requirements=["scikit-learn"]\n', new)


MISTAKES = (
    Mutant(
        "sklearn-alpha-formatted",
        BASE,
        (train(LOG_PARAMS, '        mlflow.log_param("alpha", f"{args.alpha:.4f}")  # <- here\n'),),
        expected=(launches("param-rewritten", "alpha", TRAIN),),
    ),
    Mutant(
        "sklearn-untrusted-types",
        BASE,
        (
            train("\n\ndef load_data", "\n\nclass Link:\n    pass\n\n\ndef load_data"),
            train(
                "    mlflow.sklearn.log_model(\n", "    model.link_ = Link()\n    mlflow.sklearn.log_model(\n"
            ),
        ),
        majors=frozenset({3}),
        expected=(launches("launch-failed", "fluent", LOGGED, says="loads only types that it trusts"),),
        launch="fluent",
    ),
    Mutant(
        "sklearn-signature-of-one-column",
        BASE,
        (train("infer_signature(x, ", "infer_signature(x[:, :1], "), logging(EXAMPLE)),
        expected=(models("model-rejects-example", "classifier", LOGGED),),
    ),
    Mutant(
        "sklearn-requirement-of-another-day",
        BASE,
        (logging('pip_requirements=["mlflow", "scikit-learn==0.24.2"]\n'),),
        expected=(models("model-requirements-wrong", "classifier", LOGGED),),
    ),
    Mutant(
        "sklearn-model-turned-round-in-fluent",
        BASE,
        (
            train(MADE, f"{FLUENT}{MADE}"),
            train(
                "    mlflow.sklearn.log_model(\n",
                "    model.coef_ *= -1 if fluent else 1\n    mlflow.sklearn.log_model(\n",
            ),
            logging(EXAMPLE),
        ),
        expected=(models("prediction-differs", "classifier", LOGGED),),
    ),
    Mutant(
        "sklearn-model-without-a-seed",
        BASE,
        (
            train(MADE, f"    import random\n\n{MADE}"),
            train(
                "    mlflow.sklearn.log_model(\n",
                "    model.classes_ = model.classes_ + random.randrange(10**9)\n"
                "    mlflow.sklearn.log_model(\n",
            ),
            logging(EXAMPLE.replace("x[:3]", "x[:20]")),
        ),
        expected=(models("prediction-varies", "classifier", LOGGED),),
    ),
    Mutant(
        "sklearn-registered-in-fluent",
        BASE,
        (
            train(MADE, f"{FLUENT}{MADE}"),
            logging(
                'pip_requirements=["scikit-learn"], registered_model_name="line" if fluent else None\n',
            ),
        ),
        expected=(models("registered-model-missing", "line", LOGGED),),
    ),
    Mutant(
        "sklearn-champion-in-fluent",
        BASE,
        (
            train(MADE, f"{FLUENT}{MADE}"),
            train(
                LOG_MODEL,
                LOG_MODEL.replace('pip_requirements=["scikit-learn"]\n    )\n', REGISTERED)
                + '    client.set_registered_model_alias("line", "champion" if fluent else "loser", 1)\n',
            ),
        ),
        expected=(models("registered-model-differs", "line", LOGGED),),
    ),
    Mutant(
        "sklearn-registered-from-the-artifacts",
        BASE,
        (
            train(
                LOG_MODEL,
                f"{LOG_MODEL}"
                "    client, run = mlflow.MlflowClient(), mlflow.active_run().info\n"
                '    client.create_registered_model("line")\n'
                '    source = f"{run.artifact_uri}/classifier"\n'
                '    client.create_model_version("line", source, run.run_id)  # <- here\n',
            ),
        ),
        # In MLflow 2 the model lies there.
        majors=frozenset({3}),
        expected=(models("model-not-loadable", "line, version 1", TRAIN),),
    ),
    Mutant(
        "sklearn-autologging-gives-up",
        BASE,
        (train(MADE, AUTOLOG), train(LOSS, LOSS + '        mlflow.log_param("penalty", "L2")\n')),
        expected=(launches("autologging-failed", "sklearn", TRAIN),),
    ),
    Mutant(
        "sklearn-one-metric-without-step",
        BASE,
        (
            train(
                NORM, '        mlflow.log_metrics({"norm": float(np.linalg.norm(model.coef_))})  # <- here\n'
            ),
        ),
        expected=(metrics("metric-without-step", "norm", TRAIN),),
        launch="fluent",
    ),
    Mutant(
        "sklearn-joblib-instead-of-a-model",
        BASE,
        (
            train(IMPORT, "import argparse\n\nimport joblib\nimport mlflow\n"),
            train(
                LOG_MODEL,
                '    joblib.dump(model, "classifier.joblib")\n'
                '    mlflow.log_artifact("classifier.joblib", "models")  # <- here\n',
            ),
        ),
        expected=(artifacts("model-as-artifact", "models/classifier.joblib", TRAIN),),
        launch="fluent",
    ),
    Mutant(
        "sklearn-model-by-a-path-in-a-tag",
        BASE,
        (
            train(IMPORT, "import argparse\nfrom pathlib import Path\n\nimport joblib\nimport mlflow\n"),
            train(
                LOG_MODEL,
                '    Path("out/best").mkdir(parents=True)\n'
                '    joblib.dump(model, "out/best/clf.bin")\n'
                '    mlflow.set_tag("best", Path("out/best/clf.bin").absolute())  # <- here\n',
            ),
        ),
        # The absolute path is another one in each launch.
        launch="fluent",
        expected=(artifacts("model-as-artifact", "out/best/clf.bin", TRAIN),),
    ),
    Mutant(
        "sklearn-model-only-in-a-file",
        BASE,
        (
            train(IMPORT, "import argparse\n\nimport joblib\nimport mlflow\n"),
            train(
                LOG_MODEL,
                '    joblib.dump({"accuracy": model.score(x, y)}, "results.joblib")\n'
                '    joblib.dump(model, "clf.joblib")\n',
            ),
        ),
        expected=(artifacts("model-as-artifact", "clf.joblib"),),
    ),
    Mutant(
        "sklearn-model-without-signature",
        BASE,
        (train("signature=infer_signature(x, model.predict(x)), ", ""),),
        expected=(models("model-without-signature", "classifier", LOGGED),),
        launch="fluent",
    ),
    Mutant(
        "sklearn-class-in-a-module",
        BASE,
        (
            train("import SGDClassifier\n", "import SGDClassifier\nfrom steady import Steady\n"),
            train("model = SGDClassifier(", "model = Steady("),
            train('pip_requirements=["scikit-learn"]', 'serialization_format="cloudpickle"'),
        ),
        files={
            "steady.py": "from sklearn.linear_model import SGDClassifier\n\n\n"
            "class Steady(SGDClassifier):\n    pass\n"
        },
        expected=(models("model-not-loadable", "classifier", LOGGED),),
    ),
)

CORRECT = (
    Mutant("sklearn-correct", BASE),
    Mutant(
        "sklearn-registered-with-an-alias",
        BASE,
        (
            train(
                LOG_MODEL,
                LOG_MODEL.replace('pip_requirements=["scikit-learn"]\n    )\n', REGISTERED)
                + '    client.set_registered_model_alias("line", "champion", 1)\n'
                + '    client.set_model_version_tag("line", "1", "team", "rates")\n',
            ),
        ),
    ),
    Mutant("sklearn-autologging", BASE, (train(MADE, AUTOLOG),)),
    Mutant(
        "sklearn-search-with-autologging",
        BASE,
        (
            train(
                "import SGDClassifier\n",
                "import SGDClassifier\nfrom sklearn.model_selection import GridSearchCV\n",
            ),
            train(
                MADE,
                "    mlflow.sklearn.autolog(log_models=False)\n"
                '    grid = {"l1_ratio": [0.1, 0.2, 0.3]}\n'
                "    GridSearchCV(SGDClassifier(random_state=0), grid, cv=2).fit(x, y)\n"
                f"    mlflow.sklearn.autolog(disable=True)\n{MADE}",
            ),
        ),
    ),
    Mutant(
        "sklearn-path-beside-the-model",
        BASE,
        (
            train(IMPORT, "import argparse\n\nimport joblib\nimport mlflow\n"),
            train(
                LOG_MODEL,
                f'{LOG_MODEL}    joblib.dump(model, "latest.joblib")\n'
                '    mlflow.log_param("latest", "latest.joblib")\n',
            ),
        ),
    ),
    Mutant(
        "sklearn-results-in-a-pickle",
        BASE,
        (
            train(IMPORT, "import argparse\n\nimport joblib\nimport mlflow\n"),
            train(LOG_MODEL, '    joblib.dump({"accuracy": model.predict(x)}, "results.pkl")\n'),
        ),
    ),
    Mutant(
        "sklearn-scaler-beside-the-model",
        BASE,
        (
            train(IMPORT, "import argparse\nimport pickle\nfrom pathlib import Path\n\nimport mlflow\n"),
            train(
                LOG_MODEL,
                LOG_MODEL
                + '    Path("scaler.pkl").write_bytes(pickle.dumps({"mean": x.mean(), "scale": x.std()}))\n'
                + '    mlflow.log_artifact("scaler.pkl")\n',
            ),
        ),
    ),
)

MUTANTS = (*MISTAKES, *CORRECT)
