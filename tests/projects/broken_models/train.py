"""Logs models that load and models that don't, one for each reason."""

import os
import signal
import urllib.request
from pathlib import Path

import fancy
import mlflow
import net
import numpy as np
import yaml
from mlflow.models import Model, infer_signature
from own import Own
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression

MLFLOW_3 = int(mlflow.__version__.split(".")[0]) >= 3
# Without it, MLflow starts a process for each model to find out what it needs.
PLAIN = {"pip_requirements": ["mlflow"]}
X = np.arange(6, dtype=float).reshape(3, 2)


class Mean(mlflow.pyfunc.PythonModel):
    """Of __main__, but pickled whole, by value."""

    def predict(self, context, model_input, params=None):
        return [1.0] * len(model_input)


class Reader(Mean):
    """Opens a file by a path that it was given at home."""

    def __init__(self, path):
        self.path = path

    def load_context(self, context):
        Path(self.path).read_text()


class Maker(Mean):
    """Makes a directory by a path that it was given at home."""

    def __init__(self, path):
        self.path = path

    def load_context(self, context):
        Path(self.path).mkdir(parents=True, exist_ok=True)


class Caller(Mean):
    """Asks another machine while it is loaded; at home, where log_model loads it too, it has the file."""

    def load_context(self, context):
        if not Path("weights.txt").exists():
            urllib.request.urlopen("http://example.org/weights")


class Crasher(Mean):
    """Takes its process along, but not at home."""

    def load_context(self, context):
        if not Path("weights.txt").exists():
            os.kill(os.getpid(), signal.SIGSEGV)


class Estimator(BaseEstimator):
    """Of __main__, and pickled by its name."""

    def predict(self, x):
        return np.zeros(len(x))


def called(name):
    return {"name": name} if MLFLOW_3 else {"artifact_path": name}


def log(name, **options):
    mlflow.pyfunc.log_model(**called(name), **PLAIN, **options)


def log_untrusted():
    """As where the list of trusted types was forgotten, in a version of MLflow that lets it pass."""
    trusted = {"skops_trusted_types": ["own.Own"], "code_paths": ["own.py"]}
    logged = mlflow.sklearn.log_model(Own(), **called("untrusted"), **trusted, **PLAIN)
    file = Path(mlflow.artifacts.download_artifacts(logged.model_uri), "MLmodel")
    described = yaml.safe_load(file.read_text())
    del described["flavors"]["sklearn"]["skops_trusted_types"]
    file.write_text(yaml.safe_dump(described))


def main():
    Path("weights.txt").write_text("3")
    line = LinearRegression().fit(X, X.sum(axis=1))
    with mlflow.start_run() as run:
        log("good", python_model=Mean(), input_example=X)
        log("code_paths", python_model=net.Net(), code_paths=["net.py"], input_example=X)
        log("from_code", python_model="coded.py", input_example=X)
        log("own_module", python_model=net.Net())
        log("absolute", python_model=Reader(os.path.abspath("weights.txt")))
        log("maker", python_model=Maker(os.path.abspath("cache")))
        log("relative", python_model=Reader("weights.txt"))
        log("online", python_model=Caller())
        log("crash", python_model=Crasher())
        log("loader", loader_module="myloader", data_path="weights.txt")
        mlflow.sklearn.log_model(Estimator(), **called("of_main"), serialization_format="pickle", **PLAIN)
        Model.log(called("custom").popitem()[1], flavor=fancy)
        mlflow.sklearn.log_model(line, **called("pinned"), pip_requirements=["mlflow", "nosuchpackage==1.0"])
        one_column = infer_signature(X[:, :1], X[:, 0])
        mlflow.sklearn.log_model(line, **called("refuses"), signature=one_column, input_example=X, **PLAIN)
        if MLFLOW_3:
            log_untrusted()
            try:
                mlflow.sklearn.log_model(Estimator(), **called("half"), **PLAIN)
            except Exception:
                print("left half-written")
            client = mlflow.MlflowClient()
            client.create_registered_model("by_hand")
            client.create_model_version("by_hand", f"{run.info.artifact_uri}/pinned", run.info.run_id)


if __name__ == "__main__":
    main()
