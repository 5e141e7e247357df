"""Counts from 0 to an upper limit and logs it all to MLflow: the example project, shortened."""

from pathlib import Path

import click
import cloudpickle
import mlflow
import pandas as pd
from mlflow.models import infer_signature


def count(index):
    yield from range(index)


class IterateModel(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        file = Path(context.artifacts["model_dir"]) / "model_pickle"
        self.count = cloudpickle.loads(file.read_bytes())

    def predict(self, context, model_input, params=None):
        return pd.DataFrame({"last": [max(self.count(int(index))) for index in model_input["index"]]})


def log_missing_params(params):
    logged = mlflow.get_run(mlflow.active_run().info.run_id).data.params
    mlflow.log_params({name: value for name, value in params.items() if name not in logged})


def iterate(index, log_dir):
    log_dir.mkdir(parents=True, exist_ok=True)
    with (log_dir / "log_file.txt").open("w") as log_file:
        for i in count(index):
            log_file.write(f"{i}\n")
            mlflow.log_metric("current_iter", i, step=i)


def save_model(model_dir):
    model_dir.mkdir(parents=True, exist_ok=True)
    (model_dir / "model_pickle").write_bytes(cloudpickle.dumps(count))


def log_model(model_dir):
    model_input, output = pd.DataFrame({"index": [3]}), pd.DataFrame({"last": [2]})
    mlflow.pyfunc.log_model(
        "iterate_model",
        python_model=IterateModel(),
        artifacts={"model_dir": str(model_dir)},
        signature=infer_signature(model_input, output),
        pip_requirements=["cloudpickle", "pandas"],
    )


@click.command()
@click.option("--index", "-i", type=int, required=True)
@click.option("--log-dir", "-L", default="")
@click.option("--model-dir", "-M", default="")
def main(index, log_dir, model_dir):
    cfg_log_dir = log_dir or "log_artifacts"
    cfg_model_dir = model_dir or "model_dir"
    with mlflow.start_run():
        log_missing_params(
            {
                "index": index,
                "log_dir": log_dir,
                "model_dir": model_dir,
                "cfg_log_dir": cfg_log_dir,
                "cfg_model_dir": cfg_model_dir,
            }
        )
        iterate(index, Path(cfg_log_dir))
        save_model(Path(cfg_model_dir))
        mlflow.log_artifacts(cfg_log_dir, "log_dir")
        log_model(Path(cfg_model_dir))


if __name__ == "__main__":
    main()
