"""A flavor of the project's own, which nobody else can load."""

from pathlib import Path


def save_model(path, mlflow_model, **_):
    """Writes a model that has this flavor only."""
    Path(path).mkdir(parents=True, exist_ok=True)
    Path(path, "fancy.txt").write_text("fancy")
    mlflow_model.add_flavor("fancy", data="fancy.txt")
    mlflow_model.save(str(Path(path, "MLmodel")))
