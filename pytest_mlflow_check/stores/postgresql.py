"""A PostgreSQL server of the user's: a database for each launch, made from one that a session migrates once.

What a launch logged is copied into a SQLite database of the same schema, and its own is dropped. The names of
all databases say which session made them, and every process of that session holds an advisory lock that
PostgreSQL frees when its connection ends: a session drops what others have left whose lock is free.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlflow_check.config.settings import shown_store
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.store import Store, prepare_store
from pytest_mlflow_check.runtime.process.locks import exclusive_lock
from pytest_mlflow_check.runtime.sandbox.environment import launch_environment
from pytest_mlflow_check.stores.handle import StoreHandle
from pytest_mlflow_check.stores.relocate import relocate

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import IsolationLevel

_PREFIX = "mlflow_check"

_MIGRATE = "import mlflow; mlflow.MlflowClient().search_experiments()"
"""The first use of a SQL store runs all migrations. Its URI comes by the environment: everybody may read the
arguments of a process."""

_OWN_DATABASES = """
    SELECT datname FROM pg_database
    WHERE starts_with(datname::text, %s) AND pg_get_userbyid(datdba) = current_user
"""

_COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = current_schema AND table_name = %s
"""

_PACKAGES = {"psycopg2": "psycopg2-binary", "psycopg": "'psycopg[binary]'"}
"""What to install for a module."""

_ROWS = 10_000
"""Rows that are held in memory at a time."""


class PostgreSQL:
    """The way of one process to a PostgreSQL server."""

    def __init__(self, url: str, directory: Path, template: Callable[[], Path]) -> None:
        """Takes what is needed; nothing is connected to yet.

        Args:
            url: of a database there, whose user may make others.
            directory: a directory that all processes of the session know.
            template: gives an empty, migrated SQLite database.
        """
        self._url, self._template = url, template
        self._shown = shown_store(url)
        self._home = directory / hashlib.sha256(self._shown.encode()).hexdigest()[:16]
        self._session = ""
        self._holding: Connection | None = None

    @contextmanager
    def open_store(self, root: Path, *, check: Callable[[], None]) -> Iterator[StoreHandle]:
        """An empty database for one launch.

        Args:
            root: where what is logged is brought, a directory that isn't there yet.
            check: raises where there is nothing to wait for any more.

        Raises:
            UserError: where it can't be had.
        """
        with self._errors_explained():
            self._home.mkdir(parents=True, exist_ok=True)
            with exclusive_lock(self._home / "lock", check=check):
                self._join()
                empty = self._migrated()
            name = f"{self._session}_{secrets.token_hex(6)}"
        with self._dropped(name):
            _short(name).symlink_to(root.parent)
            store = Store("sqlite", _short(name) / root.name, self._address(name))
            prepare_store(store, self._template())
            with self._errors_explained():
                self._do(f'CREATE DATABASE "{name}" TEMPLATE "{empty}"')
                with self._connected(name) as connection:
                    connection.exec_driver_sql(
                        "UPDATE experiments SET artifact_location = %s WHERE experiment_id = 0",
                        (str(store.artifact_root / "0"),),
                    )
            yield StoreHandle(store, name, lambda: self._fetch(name, store, root.parent))

    def stop(self) -> None:
        """Drops what the session made, unless another process of it is still there."""
        if self._holding is None:
            return
        with suppress(UserError), self._errors_explained(), self._holding as holding:
            # By itself PostgreSQL frees it some time after the end of the connection.
            holding.exec_driver_sql("SELECT pg_advisory_unlock_shared(%s)", (_key(self._session),))
            self._sweep()
        self._holding = None

    def _join(self) -> None:
        """Keeps the session's databases from being dropped, and drops those that are left of others; once."""
        if self._holding is not None:
            return
        file = self._home / "session"
        if not file.exists():
            file.write_text(f"{self._name_prefix()}_{secrets.token_hex(6)}", encoding="utf-8")
        self._session = file.read_text(encoding="utf-8")
        holding = self._connected()
        holding.exec_driver_sql("SELECT pg_advisory_lock_shared(%s)", (_key(self._session),))
        self._holding = holding
        self._sweep()

    def _name_prefix(self) -> str:
        """What the names of all databases begin with that are made by way of this one.

        Advisory locks are known only in the database in which they are taken.
        """
        with self._connected() as connection:
            database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        return f"{_PREFIX}_{hashlib.sha256(str(database).encode()).hexdigest()[:8]}"

    def _sweep(self) -> None:
        """Drops the databases of sessions of which no process is there any more."""
        family = self._session.rpartition("_")[0]
        with self._connected() as connection:
            found = connection.exec_driver_sql(_OWN_DATABASES, (f"{family}_",)).scalars().all()
            for session in {name.rpartition("_")[0] for name in found}:
                key = (_key(session),)
                if connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", key).scalar_one():
                    for name in (one for one in found if one.startswith(f"{session}_")):
                        self._drop(name)
                    connection.exec_driver_sql("SELECT pg_advisory_unlock(%s)", key)

    def _migrated(self) -> str:
        """The session's empty database, from which the others are made."""
        name, unfinished = f"{self._session}_template", f"{self._session}_unfinished"
        with self._connected() as connection:
            if connection.exec_driver_sql("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).scalar():
                return name
        self._drop(unfinished)
        self._do(f'CREATE DATABASE "{unfinished}" TEMPLATE template0')
        with tempfile.TemporaryDirectory() as directory:
            scratch, address = Path(directory), self._address(unfinished)
            done = subprocess.run(
                [sys.executable, "-c", _MIGRATE],
                cwd=scratch,
                env=launch_environment(Store("sqlite", scratch, address), root=scratch, copy=scratch),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
            )
        if done.returncode != 0:
            printed = "\n".join(done.stderr.replace(address, self._shown).splitlines()[-5:])
            raise UserError(
                f"{self._shown}: MLflow can't make its tables there; the end of what it printed:\n"
                + textwrap.indent(printed, "    ")
            )
        self._do(f'ALTER DATABASE "{unfinished}" RENAME TO "{name}"')
        return name

    @contextmanager
    def _dropped(self, name: str) -> Iterator[None]:
        try:
            yield
        finally:
            # What can't be dropped now may be when the session ends.
            with suppress(UserError), self._errors_explained():
                self._drop(name)

    def _fetch(self, name: str, store: Store, directory: Path) -> None:
        def plain(value: object) -> object:
            # A project may log where it logs to.
            return (
                value.replace(store.address, shown_store(store.address))
                if isinstance(value, str)
                else _plain(value)
            )

        with (
            self._errors_explained(),
            self._connected(name, "REPEATABLE READ") as source,
            closing(sqlite3.connect(store.database)) as target,
            target,
        ):
            for table in _names(target, "SELECT name FROM sqlite_master WHERE type = 'table'"):
                _copy_table(table, source, target, plain)
        relocate(store, _short(name), directory)

    def _do(self, statement: str) -> None:
        with self._connected() as connection:
            connection.exec_driver_sql(statement)

    def _drop(self, name: str) -> None:
        _short(name).unlink(missing_ok=True)
        self._do(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _connected(self, database: str | None = None, isolation: IsolationLevel = "AUTOCOMMIT") -> Connection:
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        address = self._url if database is None else self._address(database)
        return create_engine(address, poolclass=NullPool, isolation_level=isolation).connect()

    def _address(self, database: str) -> str:
        from sqlalchemy import make_url

        url = make_url(self._url).set(database=database)
        return str(url.render_as_string(hide_password=False))

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        """Has the user told of what can't be done."""
        try:
            from sqlalchemy.exc import ArgumentError, DBAPIError

            try:
                yield
            except DBAPIError as error:
                raise UserError(
                    f"{self._shown}: {str(error.orig).strip()}\n  --mlflow-store=postgresql://… needs "
                    "PostgreSQL 13 or later, and a user who may make databases:  ALTER ROLE name CREATEDB"
                ) from None
            except (ArgumentError, ValueError):
                raise UserError(
                    f"{self._shown}: no URL of a database; write  postgresql://USER@HOST/DATABASE  with "
                    "what is neither letter nor digit percent-encoded"
                ) from None
        except ImportError as error:
            module = error.name or "psycopg"
            raise UserError(
                f"{self._shown}: SQLAlchemy can't be had, or its driver: {error}\n"
                f"  pip install {_PACKAGES.get(module, module)}"
            ) from None


def _short(name: str) -> Path:
    """Where a link to the launch's own directory is, named like its database.

    PostgreSQL keeps 200 characters of the place of a run's artifacts (`SqlRun.artifact_uri`, in
    mlflow.store.tracking.dbmodels.models, 3.17.2 and 2.22.5). SQLite keeps any number.
    """
    return Path(tempfile.gettempdir()).resolve() / name


def _key(session: str) -> int:
    return int(hashlib.sha256(session.encode()).hexdigest()[:15], 16)


def _copy_table(
    table: str, source: Connection, target: sqlite3.Connection, plain: Callable[[object], object]
) -> None:
    """Has a table of SQLite hold what the one of PostgreSQL does, in the order in which it came there."""
    there = source.exec_driver_sql(_COLUMNS, (table,))
    here = _names(target, f"SELECT name FROM pragma_table_info('{table}')")
    columns = [name for name in there.scalars() if name in here]
    if not columns:
        return
    names = ", ".join(f'"{name}"' for name in columns)
    # As they lie there, which is the order in which they came: points of a metric are only ever added.
    rows = source.execution_options(yield_per=_ROWS).exec_driver_sql(
        f'SELECT {names} FROM "{table}" ORDER BY ctid'
    )
    target.execute(f'DELETE FROM "{table}"')
    target.executemany(
        f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(columns))})',
        ([plain(value) for value in row] for row in rows),
    )


def _names(database: sqlite3.Connection, query: str) -> list[str]:
    return [name for (name,) in database.execute(query)]


def _plain(value: object) -> object:
    """A value as SQLite takes it, and as MLflow writes it there."""
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, date) else value
