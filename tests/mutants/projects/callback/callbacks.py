"""Logs a training to MLflow, the way libraries do it: a run without `with`, ended when training ends."""

import mlflow
from trainer import Callback


class MLflowCallback(Callback):
    def on_train_begin(self, params):
        self.run = mlflow.start_run()
        self.client = mlflow.MlflowClient()
        logged = self.client.get_run(self.run.info.run_id).data.params
        mlflow.log_params({name: value for name, value in params.items() if name not in logged})

    def on_epoch_end(self, epoch, logs):
        mlflow.log_metrics(logs, step=epoch)

    def on_train_end(self, state, status):
        if status == "FINISHED":
            mlflow.log_metric("final_loss", state["loss"])
            mlflow.log_dict(state, "state.json")
        mlflow.end_run(status)
