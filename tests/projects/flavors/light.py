"""What needs no more than comes with MLflow."""

import mlflow
from beside import Beside
from data import EXAMPLE, X, Y
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler


class InScript(mlflow.pyfunc.PythonModel):
    """In the script itself: cloudpickle takes the code of `__main__` along."""

    def predict(self, context, model_input, params=None):
        return model_input["a"] + 1


def double(frame):
    return frame * 2


frame = {"input_example": EXAMPLE, "pip_requirements": ["scikit-learn"]}
with mlflow.start_run():
    mlflow.pyfunc.log_model("in_script", python_model=InScript(), **frame)
    mlflow.pyfunc.log_model("from_code", python_model="from_code.py", **frame)
    mlflow.pyfunc.log_model("code_paths", python_model=Beside(), code_paths=["beside.py"], **frame)
    scaled = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    mlflow.sklearn.log_model(scaled, "scaled", **frame)
    doubled = make_pipeline(FunctionTransformer(double), LogisticRegression()).fit(X, Y)
    mlflow.sklearn.log_model(doubled, "doubled", serialization_format="cloudpickle", **frame)
