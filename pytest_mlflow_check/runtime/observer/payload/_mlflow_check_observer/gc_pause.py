# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Keeps the cyclic garbage collector out of the import of MLflow, which makes hardly any garbage.

To look through what an import makes, while it is made and once more when the interpreter ends, takes a
quarter of the time of a script that imports MLflow and logs little (3.17.2). It is kept to the end anyway;
for what exists then Python promises no finalizer (its reference, `object.__del__`). What is made later is
collected as ever; what the code made before is, from its first `gc.collect()` on, and until then
`gc.get_objects()` and `gc.get_referrers()` don't find it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any


def without_collector(execute: Callable[[], None]) -> None:
    """Executes with the collector off, then passes over what there is; leaves it on or off, as it was.

    Raises:
        BaseException: what the execution raises.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        execute()
        # PyPy has no `freeze`.
        with suppress(AttributeError):
            gc.freeze()
            _thaw_once()
    finally:
        if enabled:
            gc.enable()


def _thaw_once() -> None:
    """Has the code's first `gc.collect()` look at everything: it may count on what it made before."""
    original = gc.collect

    @wraps(original)
    def collect(*args: Any, **kwargs: Any) -> int:
        if gc.collect is collect:
            gc.collect = original
            gc.unfreeze()
        return original(*args, **kwargs)

    gc.collect = collect
