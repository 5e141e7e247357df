from pathlib import Path

import click
import cloudpickle
import mlflow


def count(index):
    yield from range(index)


@click.command()
@click.option("--index", "-i", type=int, required=True)
@click.option("--log-dir", "-L", default="log_artifacts")
@click.option("--model-dir", "-M", default="model_dir")
def main(index, log_dir, model_dir):
    with mlflow.start_run():
        Path(log_dir).mkdir(parents=True, exist_ok=True)
        with (Path(log_dir) / "log_file.txt").open("w") as log_file:
            for i in count(index):
                log_file.write(f"{i}\n")
                mlflow.log_metric("current_iter", i, step=i)
        Path(model_dir).mkdir(parents=True, exist_ok=True)
        (Path(model_dir) / "model_pickle").write_bytes(cloudpickle.dumps(count))


if __name__ == "__main__":
    main()
