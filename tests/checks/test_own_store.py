"""Launches that fail for the store they were given: what is said of MLflow's messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_mlflow_check.checks.known_errors import Known, known_message
from pytest_mlflow_check.core.records import Launch, Observation
from support.builders import launch, run

RUN = "0123456789abcdef0123456789abcdef"
DATABASE = (
    "create_dataset is not supported with FileStore. This feature requires a SQL-based tracking backend",
    "Linking traces to runs is not supported in FileStore. Please use a database-backed store",
    "Scorer registration functionality is unavailable; got unsupported URI 'file:///store' for scorer data",
    "Gateway endpoint configuration is only supported with SqlAlchemyStore backends. "
    "Current store type: FileStore",
)


def failed(message: str, kind: str = "mlflow.exceptions.MlflowException") -> Launch:
    """A launch that MLflow ended with a message."""
    text = f'Traceback (most recent call last):\n  File "train.py", line 7, in <module>\n{kind}: {message}\n'
    return launch("fluent", exit_code=1, stderr=text)


def known(launch: Launch) -> Known:
    found = known_message(launch)
    assert found is not None
    return found


@pytest.mark.parametrize("message", DATABASE)
def test_what_needs_a_database(message: str) -> None:
    found = known(failed(message))
    assert found.why.startswith(message.split()[0])
    assert (
        "needs a database, and this launch's store is a file store: pytest-mlflow-check chose it" in found.why
    )
    assert found.fix == (
        'start pytest with  --mlflow-store=sqlite, or write  store = "sqlite"  in mlflow-check.toml'
    )
    assert found.source_line == "train.py:7"
    assert known_message(replace(failed(message), store_uri="sqlite:////store/mlflow.db")) is None


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        ("FileStore does not support list_webhooks", "list_webhooks"),
        ("The Correlations API is not implemented for FileStore. A SQL backend is", "Correlations API"),
        ("FileStore", "What was called"),
    ],
)
def test_what_is_not_implemented(message: str, subject: str) -> None:
    assert known(failed(message, "NotImplementedError")).why.startswith(f"{subject} needs a database")


def test_what_no_local_store_can_do_is_left_to_mlflow() -> None:
    message = "Unlinking traces from runs is not implemented for FileStore."
    assert known_message(failed(message, "NotImplementedError")) is None


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        ("Registered Model with name=fraud not found", "model fraud,"),
        ("Model Version (name=fraud, version=3) not found", "model fraud,"),
        ("Prompt with name=hello not found", "prompt hello,"),
        ("Prompt 'hello' version 1 does not exist.", "prompt hello,"),
        ("Dataset with name 'x' not found.", "dataset x,"),
        ("Scorer with name 'x' not found for experiment 0.", "scorer x,"),
        (f"Run '{RUN}' not found", f"run {RUN} of another store"),
        (f"Run with id={RUN} not found", f"run {RUN} of another store"),
        (f"Model 'm-{RUN}' not found", f"model m-{RUN} of another store"),
        (f"Logged model with ID 'm-{RUN}' not found.", f"model m-{RUN} of another store"),
    ],
)
@pytest.mark.parametrize("uri", ["file:///store", "sqlite:////store/mlflow.db"])
def test_what_another_store_has(message: str, subject: str, uri: str) -> None:
    found = known(replace(failed(message), store_uri=uri))
    assert found.why.startswith(f"The code wants the {subject}")
    assert "each launch starts with an empty one of its own" in found.why


def test_a_run_of_the_launch_itself() -> None:
    message = failed(f"Run '{RUN}' not found")
    assert known_message(replace(message, record=launch("fluent", run(RUN)).record)) is None
    seen = Observation("end_run", run_id=RUN)
    assert known_message(replace(message, observations=(seen,))) is None
