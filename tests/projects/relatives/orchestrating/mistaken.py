"""Runs the steps one after the other, each in a process and a run of its own below this one."""

import argparse

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, default=60)
parser.add_argument("--degree", type=int, default=2)
args = parser.parse_args()


def step(entry_point, **parameters):
    # The --env-manager=local of the outer `mlflow run` isn't passed on.
    submitted = mlflow.projects.run(".", entry_point, parameters=parameters, run_name=entry_point)
    return mlflow.get_run(submitted.run_id)


with mlflow.start_run():
    mlflow.log_params(vars(args))
    prepared = step("prepare", rows=args.rows)
    points = f"{prepared.info.artifact_uri}/data/points.csv"
    trained = step("train", data=points, degree=args.degree)
    mlflow.log_metric("rmse", trained.data.metrics["rmse"])
