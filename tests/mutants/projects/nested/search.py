"""Looks for the best learning rate: one run for the search, and a nested one for each trial."""

import json
import sys
from pathlib import Path

import mlflow


def descend(rate, steps):
    """The losses of some steps downhill on a parabola."""
    x = 1.0
    for _ in range(steps):
        x -= rate * 2 * x
        yield x * x


def run_trial(number, rate, steps):
    with mlflow.start_run(run_name=f"trial-{number}", nested=True):
        mlflow.log_param("rate", rate)
        for step, loss in enumerate(descend(rate, steps)):
            mlflow.log_metric("loss", loss, step=step)
    return loss


def search(trials):
    config = json.loads(Path("config.json").read_text())
    with mlflow.start_run() as parent:
        if "trials" not in mlflow.get_run(parent.info.run_id).data.params:
            mlflow.log_param("trials", trials)
        mlflow.log_param("steps", config["steps"])
        losses = {}
        for number, rate in enumerate(config["rates"][:trials]):
            losses[rate] = run_trial(number, rate, config["steps"])
        best = min(losses, key=losses.get)
        mlflow.log_metric("best_loss", losses[best])
        mlflow.log_dict({"rate": best}, "best.json")


if __name__ == "__main__":
    search(int(sys.argv[1]))
