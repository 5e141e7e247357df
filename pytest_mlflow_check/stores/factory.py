"""The stores that launches log to, of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_mlflow_check.core.store import Store, prepare_store, sqlite_template
from pytest_mlflow_check.runtime.sandbox.environment import launch_environment
from pytest_mlflow_check.stores.handle import StoreHandle
from pytest_mlflow_check.stores.postgresql import PostgreSQL
from pytest_mlflow_check.stores.server import Server


class Stores:
    """What opens stores; one for each process of a session."""

    def __init__(self, session_dir: Path, cache: Path) -> None:
        """Prepares for it; nothing is started yet.

        Args:
            session_dir: the session's directory, which its processes share.
            cache: one that lasts.
        """
        self._cache = cache
        self._session_dir = session_dir
        self._server = Server(session_dir / "server", self._template)
        self._postgresql: dict[str, PostgreSQL] = {}

    @contextmanager
    def open_store(self, wanted: str, root: Path, *, check: Callable[[], None]) -> Iterator[StoreHandle]:
        """An empty store for one launch, which must have taken from it what it logged before it is closed.

        Args:
            wanted: what the setting `store` says.
            root: where the store lies, or what is logged to it is brought.
            check: raises where there is nothing to wait for any more.

        Raises:
            UserError: where it can't be had.
        """
        if wanted == "server":
            with self._server.open_store(root, check=check) as handle:
                yield handle
        elif wanted.startswith("postgresql"):
            postgresql = self._postgresql.setdefault(
                wanted, PostgreSQL(wanted, self._session_dir / "postgresql", self._template)
            )
            with postgresql.open_store(root, check=check) as handle:
                yield handle
        elif wanted == "file":
            yield StoreHandle(Store("file", root))
        else:
            store = Store("sqlite", root)
            prepare_store(store, self._template())
            yield StoreHandle(store)

    def stop(self) -> None:
        """Ends what was started for stores."""
        self._server.stop()
        for postgresql in self._postgresql.values():
            postgresql.stop()

    def _template(self) -> Path:
        nowhere = Store("sqlite", self._cache)
        return sqlite_template(self._cache, launch_environment(nowhere, root=self._cache, copy=self._cache))
