from pathlib import Path

import click
import cloudpickle
import mlflow


def count(index):
    yield from range(index)


@click.command()
@click.option("--index", "-i", type=int, required=True)
@click.option("--log-dir", "-L", default="")
@click.option("--model-dir", "-M", default="")
def main(index, log_dir, model_dir):
    cfg_log_dir = log_dir or "log_artifacts"
    cfg_model_dir = model_dir or "model_dir"
    with mlflow.start_run():
        params = {
            "index": index,
            "log_dir": log_dir,
            "model_dir": model_dir,
            "cfg_log_dir": cfg_log_dir,
            "cfg_model_dir": cfg_model_dir,
        }
        logged = mlflow.get_run(mlflow.active_run().info.run_id).data.params
        mlflow.log_params({name: value for name, value in params.items() if name not in logged})
        Path(cfg_log_dir).mkdir(parents=True, exist_ok=True)
        with (Path(cfg_log_dir) / "log_file.txt").open("w") as log_file:
            for i in count(index):
                log_file.write(f"{i}\n")
                mlflow.log_metric("current_iter", i, step=i)
        Path(cfg_model_dir).mkdir(parents=True, exist_ok=True)
        (Path(cfg_model_dir) / "model_pickle").write_bytes(cloudpickle.dumps(count))
        mlflow.log_artifacts(cfg_log_dir, "log_dir")
        mlflow.log_artifacts(cfg_model_dir, "model_dir")


if __name__ == "__main__":
    main()
