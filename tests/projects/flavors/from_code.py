import mlflow


class FromCode(mlflow.pyfunc.PythonModel):
    """Logged as this file, and never pickled."""

    def predict(self, context, model_input, params=None):
        return model_input["a"] * 2


mlflow.models.set_model(FromCode())
