"""Mutants of the reference project, which logs a pyfunc model."""

from __future__ import annotations

from mutants.mutant import Edit, Mutant, artifacts, launches, metrics, models, params

BASE = "reference"
BOTH = "fluent and mlflow run"
ITERATE = "iterate.py"

IMPORT = "from pathlib import Path\n\nimport click\n"
METRIC = '            mlflow.log_metric("current_iter", i, step=i)\n'
LOG_PARAMS = "    mlflow.log_params({name: value for name, value in params.items() if name not in logged})\n"
MODEL_DIR = '                "model_dir": model_dir,\n'
LOG_MODEL = "        log_model(Path(cfg_model_dir))\n"
LOG_DIR = '        mlflow.log_artifacts(cfg_log_dir, "log_dir")\n'
ARTIFACTS = '        artifacts={"model_dir": str(model_dir)},\n'
SIGNATURE = "        signature=infer_signature(model_input, output),\n"
FILE = '        file = Path(context.artifacts["model_dir"]) / "model_pickle"\n'
LOGGED = f"{ITERATE}: mlflow.pyfunc.log_model("
CLASS = """class IterateModel(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        file = Path(context.artifacts["model_dir"]) / "model_pickle"
        self.count = cloudpickle.loads(file.read_bytes())

    def predict(self, context, model_input, params=None):
        return pd.DataFrame({"last": [max(self.count(int(index))) for index in model_input["index"]]})
"""
MODULE = f"from pathlib import Path\n\nimport cloudpickle\nimport mlflow\nimport pandas as pd\n\n\n{CLASS}"


def iterate(old: str, new: str) -> Edit:
    return Edit(ITERATE, old, new)


def importing(module: str) -> Edit:
    return iterate(IMPORT, f"import {module}\n{IMPORT}")


LAUNCHES = (
    Mutant(
        "reference-null-default",
        BASE,
        (Edit("MLproject", 'default: ""}', "default: null}  # <- here"),),
        expected=(launches("mlproject-null-default", "model_dir", "MLproject"),),
    ),
    Mutant(
        "reference-value-in-use-under-the-raw-name",
        BASE,
        (
            iterate(MODEL_DIR, '                "model_dir": cfg_model_dir,\n'),
            iterate(LOG_PARAMS, "    mlflow.log_params(params)  # <- here\n"),
        ),
        expected=(launches("param-rewritten", "model_dir", ITERATE),),
    ),
    Mutant(
        "reference-half-a-line-in-its-own-store",
        BASE,
        (
            iterate(
                LOG_DIR,
                f'{LOG_DIR}        file = Path(mlflow.get_artifact_uri().removeprefix("file://")).parent\n'
                '        with (file / "metrics" / "half").open("a") as half:\n'
                '            half.write("1 2")\n',
            ),
        ),
        expected=(launches("store-damaged", "0/RUN/metrics/half"),),
        # `mlflow run` itself dies of it.
        launch="fluent",
    ),
    Mutant(
        "reference-removed-keyword",
        BASE,
        (iterate(ARTIFACTS, f'{ARTIFACTS}        code_path=["iterate.py"],\n'),),
        # MLflow 2 still takes it.
        majors=frozenset({3}),
        expected=(launches("launch-failed", "fluent", LOGGED, says="has no keyword code_path"),),
        launch="fluent",
    ),
)

COMPARED = (
    Mutant(
        "reference-index-forgotten",
        BASE,
        (iterate('                "index": index,\n', ""),),
        expected=(params("param-missing-in-fluent", "index", f"{ITERATE}: with mlflow.start_run()"),),
    ),
    Mutant(
        "reference-value-in-use-where-nothing-is-logged",
        BASE,
        (
            iterate(MODEL_DIR, '                "model_dir": cfg_model_dir,\n'),
            iterate(LOG_PARAMS, LOG_PARAMS.rstrip("\n") + "  # <- here\n"),
            # The allowance of the quotes would be one that nothing needs.
            Edit("mlflow-check.toml", "[[allow]]", "# [[allow]]"),
            Edit("mlflow-check.toml", "rule", "# rule"),
            Edit("mlflow-check.toml", "match", "# match"),
            Edit("mlflow-check.toml", "reason", "# reason"),
        ),
        expected=(params("param-differs", "model_dir", ITERATE),),
    ),
    Mutant(
        "reference-quoted-and-not-allowed",
        BASE,
        (Edit("MLproject", 'default: ""}', 'default: ""}  # <- here'),),
        files={"mlflow-check.toml": "[[case]]\nparams = { index = 3 }\n"},
        expected=(params("param-quoted", "model_dir", "MLproject"),),
    ),
    Mutant(
        "reference-without-step",
        BASE,
        (iterate(METRIC, '            mlflow.log_metric("current_iter", i)  # <- here\n'),),
        expected=(metrics("metric-without-step", "current_iter", ITERATE),),
    ),
    Mutant(
        "reference-pid-in-a-file-name",
        BASE,
        (
            importing("os"),
            iterate('"log_file.txt"', 'f"log_file_{os.getpid()}.txt"'),
        ),
        expected=(
            artifacts("artifact-missing", "log_dir/log_file_*.txt", f"{ITERATE}: mlflow.log_artifacts"),
        )
        * 2,
    ),
    Mutant(
        "reference-time-in-the-log",
        BASE,
        (importing("time"), iterate('f"{i}\\n"', 'f"{time.time()} {i}\\n"')),
        expected=(artifacts("artifact-varies", "log_dir/log_file.txt", f"{ITERATE}: mlflow.log_artifacts"),),
    ),
    Mutant(
        "reference-log-of-last-time",
        BASE,
        files={"log_artifacts/log_file_2023.txt": "0\n1\n"},
        expected=(
            artifacts(
                "artifact-stale", "log_artifacts/log_file_2023.txt", f"{ITERATE}: mlflow.log_artifacts"
            ),
        ),
        launch="fluent",
    ),
    Mutant(
        "reference-model-as-artifacts",
        BASE,
        (iterate(LOG_MODEL, '        mlflow.log_artifacts(cfg_model_dir, "model_dir")  # <- here\n'),),
        expected=(artifacts("model-as-artifact", "model_dir/model_pickle", ITERATE),),
    ),
    Mutant(
        "reference-model-by-its-path",
        BASE,
        (
            iterate(
                LOG_MODEL,
                '        mlflow.log_param("model", Path(cfg_model_dir, "model_pickle"))  # <- here\n',
            ),
        ),
        expected=(artifacts("model-as-artifact", "model_dir/model_pickle", ITERATE),),
    ),
)

MODELS = (
    Mutant(
        "reference-model-without-signature",
        BASE,
        (iterate(SIGNATURE, ""),),
        expected=(models("model-without-signature", "iterate_model", LOGGED),),
    ),
    Mutant(
        "reference-model-only-under-mlflow-run",
        BASE,
        (
            importing("os"),
            iterate(
                "    cfg_log_dir = ", '    by_mlflow = "MLFLOW_RUN_ID" in os.environ\n    cfg_log_dir = '
            ),
            iterate(LOG_MODEL, f"        if by_mlflow:\n    {LOG_MODEL}"),
        ),
        expected=(models("model-missing", "iterate_model", LOGGED),),
    ),
    Mutant(
        "reference-signature-by-way-of-start",
        BASE,
        (
            importing("os"),
            iterate("def count", 'BY_MLFLOW = "MLFLOW_RUN_ID" in os.environ\n\n\ndef count'),
            iterate(
                SIGNATURE,
                "        signature=infer_signature(model_input, None if BY_MLFLOW else output),\n",
            ),
        ),
        expected=(models("model-differs", "iterate_model", LOGGED),),
    ),
    Mutant(
        "reference-class-in-a-module",
        BASE,
        (
            iterate(f"{CLASS}\n\n", ""),
            iterate("import pandas as pd\n", "import pandas as pd\nfrom model import IterateModel\n"),
        ),
        files={"model.py": MODULE},
        expected=(models("model-not-loadable", "iterate_model", LOGGED),),
    ),
    Mutant(
        "reference-path-instead-of-the-file",
        BASE,
        (
            iterate(ARTIFACTS, ""),
            iterate(FILE, '        file = Path("model_dir", "model_pickle")\n'),
        ),
        expected=(models("model-not-loadable", "iterate_model", LOGGED),),
        launch="fluent",
    ),
    Mutant(
        "reference-absolute-path-instead-of-the-file",
        BASE,
        (
            iterate(ARTIFACTS, ""),
            iterate(FILE, '        file = HOME / "model_dir" / "model_pickle"\n'),
            iterate("def count", "HOME = Path.cwd()\n\n\ndef count"),
        ),
        expected=(models("model-not-loadable", "iterate_model", LOGGED),),
        launch="fluent",
    ),
    Mutant(
        "reference-model-died-and-was-forgotten",
        BASE,
        (
            importing("contextlib"),
            iterate(ARTIFACTS, '        artifacts={"model_dir": "models/latest"},\n'),
            iterate(LOG_MODEL, f"        with contextlib.suppress(Exception):\n    {LOG_MODEL}"),
        ),
        # MLflow 2 keeps nothing of a model that couldn't be logged.
        majors=frozenset({3}),
        expected=(models("model-not-registrable", "iterate_model", LOGGED),),
    ),
)

CORRECT = (
    Mutant("reference-correct", BASE),
    # A function is code: nobody says that it is a model.
    Mutant("reference-function-in-a-file", BASE, (iterate(LOG_MODEL, ""),)),
    Mutant(
        "reference-module-given-along",
        BASE,
        (
            iterate(f"{CLASS}\n\n", ""),
            iterate("import pandas as pd\n", "import pandas as pd\nfrom model import IterateModel\n"),
            iterate(ARTIFACTS, f'{ARTIFACTS}        code_paths=["model.py"],\n'),
        ),
        files={"model.py": MODULE},
    ),
    Mutant(
        "reference-pickle-beside-the-model",
        BASE,
        (iterate(LOG_DIR, LOG_DIR * 2 + '        mlflow.log_artifacts(cfg_model_dir, "model_dir")\n'),),
    ),
)

MUTANTS = (*LAUNCHES, *COMPARED, *MODELS, *CORRECT)
