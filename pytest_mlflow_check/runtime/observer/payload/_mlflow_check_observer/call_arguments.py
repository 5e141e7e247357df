# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""What the arguments of each wrapped function say, as `records.Observation` wants it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from .wrappers import Call, Describer


def log_param(call: Call) -> None:
    """Also of the client."""
    call.note("log_param", call.given["key"], call.given["value"])


def log_params(call: Call) -> None:
    """One observation per param."""
    for key, value in call.given["params"].items():
        call.note("log_param", key, value)


def log_metrics(call: Call) -> None:
    """One observation per metric."""
    step = call.given.get("step")
    for key, value in call.given["metrics"].items():
        call.note("log_metric", key, value, step)


def log_batch(call: Call) -> None:
    """One observation per metric, param and tag."""
    given = call.given
    for metric in given.get("metrics") or ():
        call.note("log_metric", metric.key, metric.value, metric.step)
    for param in given.get("params") or ():
        call.note("log_param", param.key, param.value)
    for tag in given.get("tags") or ():
        call.note("set_tag", tag.key, tag.value)


def set_tag(call: Call) -> None:
    """Also of the client."""
    call.note("set_tag", call.given["key"], call.given["value"])


def set_tags(call: Call) -> None:
    """One observation per tag."""
    for key, value in call.given["tags"].items():
        call.note("set_tag", key, value)


def log_input(call: Call) -> None:
    """A dataset; inputs may also be models only."""
    dataset = call.given.get("dataset")
    if dataset is not None:
        call.note("log_input", dataset.name, call.given.get("context"))


def log_inputs(call: Call) -> None:
    """One observation per dataset; the client takes them wrapped up with their tags."""
    given = call.given
    datasets = given.get("datasets") or ()
    contexts = given.get("contexts") or [None] * len(datasets)
    for each, context in zip(datasets, contexts):
        dataset = getattr(each, "dataset", each)
        tags = {tag.key: tag.value for tag in getattr(each, "tags", None) or ()}
        if dataset is not None:
            call.note("log_input", dataset.name, tags.get("mlflow.data.context", context))


def log_content(call: Call) -> None:
    """`log_text` and the like: an artifact that is no file of the user's."""
    given = call.given
    name = given.get("artifact_file") or given.get("key")
    if name is not None:
        call.note("log_artifact", posixpath.normpath(str(name)))


def set_experiment(call: Call) -> None:
    """By name or by id."""
    given = call.given
    call.run_id = None
    call.note("set_experiment", given.get("experiment_name") or given.get("experiment_id") or "")


def register_model(call: Call) -> None:
    """A version of a registered model, with the model it is made from."""
    given = call.given
    call.note("register_model", given["name"], given.get("model_uri", given.get("source")))


def log_model(call: Call) -> None:
    """Every flavor's `log_model` comes by here."""
    given = call.given
    flavor = given.get("flavor")
    name = given.get("name") or given.get("artifact_path") or ""
    call.note("log_model", name, getattr(flavor, "__name__", flavor))


def run_project(call: Call) -> None:
    """A project run from code."""
    call.run_id = None
    call.note("run_project", call.given["uri"], call.given.get("env_manager"))


def enter_run(call: Call) -> None:
    """`with start_run():`."""
    run = call.given["self"]
    call.run_id = run.info.run_id
    call.note("enter_run", run.info.run_name or "")


def autolog(name: str) -> Describer:
    """Switching autologging on for a flavor, or off."""

    def describe(call: Call) -> None:
        call.run_id = None
        call.note("autolog", name, "disable" if call.given.get("disable") is True else None)

    return describe


def artifacts(directory: str) -> Mapping[str, Describer]:
    """`log_artifact` and `log_artifacts`, whose local paths are told relative to a directory.

    Args:
        directory: the project.
    """

    def local(path: Any) -> str:
        path = os.path.abspath(os.fspath(path))
        inside = path == directory or path.startswith(os.path.join(directory, ""))
        return os.path.relpath(path, directory) if inside else path

    def log_artifact(call: Call) -> None:
        path, below = os.fspath(call.given["local_path"]), call.given.get("artifact_path")
        name = posixpath.join(str(below or ""), os.path.basename(os.path.normpath(path)))
        # MLflow logs a directory as `log_artifacts` does, below its own name.
        what = "log_artifacts" if os.path.isdir(path) else "log_artifact"
        call.note(what, posixpath.normpath(name), local(path))

    def log_artifacts(call: Call) -> None:
        below = call.given.get("artifact_path")
        name = posixpath.normpath(str(below)) if below else ""
        call.note("log_artifacts", "" if name == "." else name, local(call.given["local_dir"]))

    return {"log_artifact": log_artifact, "log_artifacts": log_artifacts}


SHARED: Mapping[str, Callable[[Call], None]] = {
    "log_param": log_param,
    "set_tag": set_tag,
    "log_inputs": log_inputs,
    **dict.fromkeys(
        ["log_text", "log_dict", "log_figure", "log_image", "log_table", "log_stream"], log_content
    ),
}
FLUENT: Mapping[str, Callable[[Call], None]] = {
    **SHARED,
    "log_params": log_params,
    "log_metrics": log_metrics,
    "set_tags": set_tags,
    "log_input": log_input,
    "set_experiment": set_experiment,
}
CLIENT: Mapping[str, Callable[[Call], None]] = {
    **SHARED,
    "log_batch": log_batch,
    "create_model_version": register_model,
}
