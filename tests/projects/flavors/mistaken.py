"""Models whose code is at home only, so that nothing else can load them."""

import mlflow
from beside import Beside
from data import EXAMPLE, X, Y
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer


def double(frame):
    return frame * 2


frame = {"input_example": EXAMPLE, "pip_requirements": ["scikit-learn"]}
with mlflow.start_run():
    mlflow.pyfunc.log_model("beside", python_model=Beside(), **frame)
    # Unlike cloudpickle, pickle looks for the function in whatever `__main__` loads the model.
    doubled = make_pipeline(FunctionTransformer(double), LogisticRegression()).fit(X, Y)
    mlflow.sklearn.log_model(doubled, "in_script", serialization_format="pickle", **frame)
