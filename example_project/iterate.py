"""Counts from 0 to an upper limit and logs it all to MLflow: a training script without machine learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import cloudpickle
import mlflow
import pandas as pd
from mlflow.models import infer_signature


def count(index: int) -> Iterator[int]:
    """Gives 0 to index - 1: what stands in for a trained model."""
    yield from range(index)


class IterateModel(mlflow.pyfunc.PythonModel):
    """Wraps the pickled counting function, so that it can be registered and loaded anywhere."""

    def load_context(self, context) -> None:
        """Unpickles the function from the model's own copy of the model directory."""
        file = Path(context.artifacts["model_dir"]) / "model_pickle"
        self.count = cloudpickle.loads(file.read_bytes())

    def predict(self, context, model_input, params=None):
        """For each `index`, the last number counted."""
        last = [max(self.count(int(index)), default=-1) for index in model_input["index"]]
        return pd.DataFrame({"last": last})


def log_missing_params(params: Mapping[str, object]) -> None:
    """Logs the params that `mlflow run` has not logged already."""
    run = mlflow.active_run()
    logged = mlflow.MlflowClient().get_run(run.info.run_id).data.params
    mlflow.log_params({name: value for name, value in params.items() if name not in logged})


def iterate(index: int, log_dir: Path) -> None:
    """Counts, writing each number as a line and logging it with its step."""
    log_dir.mkdir(parents=True, exist_ok=True)
    with (log_dir / "log_file.txt").open("w") as log_file:
        for i in count(index):
            log_file.write(f"{i}\n")
            mlflow.log_metric("current_iter", i, step=i)


def save_model(model_dir: Path) -> None:
    """Pickles the counting function by value, so that loading it doesn't need this script."""
    model_dir.mkdir(parents=True, exist_ok=True)
    (model_dir / "model_pickle").write_bytes(cloudpickle.dumps(count))


def log_model(model_dir: Path) -> None:
    """Logs the model directory inside a pyfunc model."""
    model_input, output = pd.DataFrame({"index": [3]}), pd.DataFrame({"last": [2]})
    mlflow.pyfunc.log_model(
        "iterate_model",
        python_model=IterateModel(),
        artifacts={"model_dir": str(model_dir)},
        signature=infer_signature(model_input, output),
    )


@click.command()
@click.option("--index", "-i", type=int, required=True, help="Upper limit of the count.")
@click.option("--log-dir", "-L", default="", help="Where the log goes; log_artifacts if empty.")
@click.option("--model-dir", "-M", default="", help="Where the model goes; model_dir if empty.")
def main(index: int, log_dir: str, model_dir: str) -> None:
    """Counts to INDEX, and logs params, a stepped metric, artifacts and a model."""
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
