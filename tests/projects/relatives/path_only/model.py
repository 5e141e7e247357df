"""The model as MLflow keeps it: this file and the weights."""

import pickle
from pathlib import Path

import mlflow


class Detector(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.weights = pickle.loads(Path(context.artifacts["weights"]).read_bytes())["model"]

    def predict(self, context, model_input, params=None):
        return model_input.to_numpy() @ self.weights


mlflow.models.set_model(Detector())
