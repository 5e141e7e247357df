"""`--mlflow-store=postgresql://…`, with a PostgreSQL server that the tests start and end themselves."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_mlflow_check.config.settings import ProjectConfig, shown_store
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.runtime.sandbox.environment import launch_environment
from pytest_mlflow_check.stores.postgresql import PostgreSQL
from pytest_mlflow_check.stores.readers import read_store
from support.sessions import ROOT, outcome, run_session

SECRET = secrets.token_hex(8)
"""Another one each time: a launch gets a copy of this repository, with this file in it."""

PASSWORD = f"p%40ss-{SECRET}"
"""As it stands in a URL."""

LOG = """
import mlflow, sys, time
from mlflow import MlflowClient

client = MlflowClient()
assert [one.name for one in client.search_experiments()] == ["Default"]
assert client.search_registered_models() == []
print(client.create_experiment("x"))
with mlflow.start_run():
    mlflow.log_param("of", sys.argv[1])
    mlflow.log_param("to", mlflow.get_tracking_uri())
    mlflow.log_text("hello", "file.txt")
    for step, value in enumerate([0.5, float("nan"), float("inf"), -1e-300]):
        mlflow.log_metric("loss", value, step=3 - step, timestamp=10 - step)
    mlflow.set_tag("mlflow.note.content", "text")
client.create_registered_model("m", tags={"a": "ü"})
"""


def binaries() -> Path | None:
    """Where initdb is: Debian keeps it off PATH."""
    found = shutil.which("initdb")
    places = [*([Path(found).resolve().parent] if found else []), *Path("/usr/lib/postgresql").glob("*/bin")]
    return next((place for place in places if (place / "pg_ctl").exists()), None)


def as_somebody() -> dict[str, str | int]:
    """For `subprocess`: PostgreSQL refuses to run as root."""
    return {"user": "postgres"} if os.getuid() == 0 else {}


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The URL of a database in a new cluster, whose user is no superuser but may make databases."""
    where = binaries()
    if where is None:
        pytest.skip("PostgreSQL isn't installed: apt-get install postgresql")
    import sqlalchemy

    # psycopg2, or psycopg since SQLAlchemy 2.1.
    driver = sqlalchemy.make_url("postgresql://here").get_driver_name()
    pytest.importorskip(driver, reason=f"no driver: {driver}")
    if os.getuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL doesn't run as root, and there is no user postgres")

    def run(*command: str | Path) -> None:
        done = subprocess.run(
            command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, **as_somebody()
        )
        assert done.returncode == 0, done.stdout + done.stderr

    # Not below pytest's directory, which is its user's alone.
    directory = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if os.getuid() == 0:
        shutil.chown(directory, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = directory / "data"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory} -c fsync=off"
    try:
        run(
            where / "initdb",
            "-D",
            data,
            "-A",
            "scram-sha-256",
            "-U",
            "admin",
            "--pwfile",
            password_file(directory),
        )
        # Its output mustn't be a pipe of ours, which would stay open.
        run(where / "pg_ctl", "-D", data, "-w", "-l", directory / "log", "-o", options, "start")
        try:
            admin = f"postgresql://admin:{PASSWORD}@127.0.0.1:{port}/postgres"
            sql(admin, f"CREATE ROLE mllogger LOGIN CREATEDB PASSWORD 'p@ss-{SECRET}'")
            yield admin.replace("admin", "mllogger")
        finally:
            run(where / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory)


def password_file(directory: Path) -> Path:
    file = directory / "password"
    file.write_text(f"p@ss-{SECRET}\n")
    file.chmod(0o644)
    return file


def sql(url: str, statement: str) -> list[str]:
    """What a statement gives in its first column."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        result = connection.exec_driver_sql(statement)
        return [str(row[0]) for row in result] if result.returns_rows else []


def databases(url: str) -> list[str]:
    """Those of ours."""
    return [name for name in sql(url, "SELECT datname FROM pg_database") if name.startswith("mlflow_check")]


def nothing_to_check() -> None:
    """Nobody ends the waiting."""


@pytest.mark.heavy
def test_each_launch_has_a_database_of_its_own(tmp_path: Path, cluster: str, template: Path) -> None:
    processes = [PostgreSQL(cluster, tmp_path / "area", lambda: template) for _ in range(2)]
    leftover = "mlflow_check_" + "0" * 8 + "_gone_x"
    sql(cluster, f'CREATE DATABASE "{leftover}"')
    for name, postgresql in zip(("first", "second"), processes, strict=True):
        stand = tmp_path / name / "workspace"
        stand.mkdir(parents=True)
        with postgresql.open_store(tmp_path / name / "store", check=nothing_to_check) as open_store:
            assert open_store.alias in databases(cluster)
            assert open_store.store.uri == cluster.removesuffix("postgres") + open_store.alias
            env = launch_environment(open_store.store, root=stand, copy=stand)
            assert cluster not in env.values()
            command = [sys.executable, "-c", LOG, name]
            done = subprocess.run(command, cwd=stand, env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert done.stdout.split()[0] == "1"
            open_store.fetch()
        assert open_store.alias not in databases(cluster)
        store = Store("sqlite", tmp_path / name / "store")
        record = read_store(store)
        (run,) = record.runs
        assert run.params == {"of": name, "to": shown_store(open_store.store.address)}
        assert list(run.artifacts) == ["file.txt"]
        assert run.artifacts["file.txt"].file.read_text() == "hello"
        loss = run.metrics["loss"]
        assert loss.steps.tolist() == [3, 2, 1, 0]
        assert loss.timestamps.tolist() == [10, 9, 8, 7]
        assert [str(value) for value in loss.values] == ["0.5", "nan", "1.7976931348623157e+308", "-1e-300"]
        assert run.tags["mlflow.note.content"] == "text"
        assert [(one.name, one.tags) for one in record.registered_models] == [("m", {"a": "ü"})]
    processes[0].stop()
    assert len(databases(cluster)) == 2, "the other one still uses the empty one"
    processes[1].stop()
    assert databases(cluster) == [leftover], "which isn't of a session that knows this database"
    sql(cluster, f'DROP DATABASE "{leftover}"')


HOLDING = """
import sys, threading
from pathlib import Path
from pytest_mlflow_check.stores.postgresql import PostgreSQL

area, template, url = Path(sys.argv[1]), Path(sys.argv[2]), sys.stdin.readline().strip()
with PostgreSQL(url, area, lambda: template).open_store(area / "store", check=lambda: None) as opened:
    print(opened.alias, flush=True)
    threading.Event().wait()
"""


@pytest.mark.heavy
def test_what_a_killed_session_left_is_dropped_by_the_next(
    tmp_path: Path, cluster: str, template: Path
) -> None:
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "gone"), str(template)]
    holding = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holding.stdin is not None
    assert holding.stdout is not None
    with holding:
        print(cluster, file=holding.stdin, flush=True)
        left = holding.stdout.readline().strip()
        assert left in databases(cluster)
        # While its session is there, another one lets it be.
        ours = PostgreSQL(cluster, tmp_path / "ours", lambda: template)
        with ours.open_store(tmp_path / "first", check=nothing_to_check):
            assert left in databases(cluster)
        ours.stop()
        assert left in databases(cluster)
        holding.kill()
    # The server hears of the end of a connection by itself.
    end = time.monotonic() + 60
    while locks(cluster) and time.monotonic() < end:
        os.sched_yield()
    ours = PostgreSQL(cluster, tmp_path / "next", lambda: template)
    with ours.open_store(tmp_path / "second", check=nothing_to_check):
        assert left not in databases(cluster)
    ours.stop()
    assert databases(cluster) == []


def locks(url: str) -> list[str]:
    """The advisory locks that are held."""
    return sql(url, "SELECT objid FROM pg_locks WHERE locktype = 'advisory'")


@pytest.mark.heavy
@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
def test_the_reference_project_and_no_password_anywhere(tmp_path: Path, cluster: str, driver: str) -> None:
    if driver != "postgresql":
        pytest.importorskip("psycopg")
        if version("mlflow").startswith("2."):
            pytest.skip("MLflow 2.22 compares a number with a text, which psycopg 3 doesn't make up for")
    url = cluster.replace("postgresql", driver)
    # Not an option: everybody could read it while the tests run.
    ini = tmp_path / "pytest.ini"
    ini.write_text(f"[pytest]\nmlflow_store = {url}\n")
    output, report = run_session(
        tmp_path,
        "-c",
        str(ini),
        f"--rootdir={ROOT}",
        "--mlflow-project=example_project",
        "--mlflow-strict",
        "-n2",
    )
    assert outcome(report) == {"example_project": {}}, output
    assert [(suite.get("tests"), suite.get("skipped")) for suite in report.iter("testsuite")] == [("5", "0")]
    assert f"store {shown_store(url)} (pytest ini)" in output
    ini.unlink()
    for text in [
        output,
        *(file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()),
    ]:
        assert SECRET not in text
    assert databases(cluster) == []


def refusal(url: str, tmp_path: Path, template: Path) -> str:
    with (
        pytest.raises(UserError) as refused,
        PostgreSQL(url, tmp_path / "area", lambda: template).open_store(tmp_path, check=nothing_to_check),
    ):
        pass
    return str(refused.value)


def test_a_missing_driver_is_a_line_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pg8000", None)
    said = refusal("postgresql+pg8000://me:secret@127.0.0.1/db", tmp_path, tmp_path)
    assert said.startswith(
        "postgresql+pg8000://me:***@127.0.0.1/db: SQLAlchemy can't be had, or its driver: "
    )
    assert said.endswith("\n  pip install pg8000")


def test_what_is_no_url_is_a_message_without_the_password(tmp_path: Path) -> None:
    said = refusal("postgresql://me:secret@127.0.0.1:port/db", tmp_path, tmp_path)
    assert said.startswith(
        "postgresql://me:***@127.0.0.1:port/db: no URL of a database; write  postgresql://"
    )


def test_a_server_that_refuses_is_a_message_without_the_password(tmp_path: Path, cluster: str) -> None:
    said = refusal(cluster.replace(PASSWORD, "wrong"), tmp_path, tmp_path)
    assert "mllogger:***@" in said
    assert "password authentication failed" in said
    assert "wrong" not in said


def test_a_user_who_may_not_make_databases_is_told_what_to_do(tmp_path: Path, cluster: str) -> None:
    sql(cluster.replace("mllogger", "admin"), "ALTER ROLE mllogger NOCREATEDB")
    try:
        said = refusal(cluster, tmp_path, tmp_path)
    finally:
        sql(cluster.replace("mllogger", "admin"), "ALTER ROLE mllogger CREATEDB")
    assert "permission denied to create database" in said
    assert said.endswith("a user who may make databases:  ALTER ROLE name CREATEDB")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@here/db", "postgresql://me:***@here/db"),
        ("postgresql://me:se:c@r/et@here/db", "postgresql://me:***@here/db"),
        ("postgresql+psycopg://me@here/db", "postgresql+psycopg://me@here/db"),
        (
            "postgresql:///db?user=me&password=secret&host=/run",
            "postgresql:///db?user=me&password=***&host=/run",
        ),
        ("server", "server"),
    ],
)
def test_how_a_store_is_shown(url: str, shown: str) -> None:
    assert shown_store(url) == shown
    assert "secret" not in repr(ProjectConfig(store=url))
