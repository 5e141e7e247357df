import mlflow


class Net(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input
