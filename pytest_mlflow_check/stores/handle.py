"""What a launch gets for a store, and what becomes of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_mlflow_check.core.store import Store


@dataclass(frozen=True)
class StoreHandle:
    """A store that a launch logs to, as long as it is open.

    Attributes:
        store: the store.
        alias: what stands in texts for the store where the launch reached it; empty where it lies.
        fetch: brings what was logged to where it is read, in the store's own place. Until the store is closed
            it is still there for who asks at its address.
    """

    store: Store
    alias: str = ""
    fetch: Callable[[], None] = lambda: None
