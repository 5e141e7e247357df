# Runs in a process of its own: Python 3.9 or later (that of the launch), standard library and MLflow.
"""What an exception says, as plain data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Optional

_LONG = 2000
"""Characters of a message that are kept."""


def described(error: BaseException) -> dict[str, Any]:
    """The exception as a validation tells it.

    Returns:
        `error`: type and message of what was raised. `chain`: the same of it and of all that led to it,
        the first cause last. `module`: the module that wasn't found, or that lacks what a pickle looks for
        in it: `lacks`. `network`: whether it was raised in place of reaching another machine.
    """
    chain = list(_chain(error))
    lacking = next((found for each in reversed(chain) if (found := _lacking(each))), None)
    missing = next((each.name for each in reversed(chain) if isinstance(each, ModuleNotFoundError)), None)
    return {
        "error": _text(error),
        "chain": [_text(each) for each in chain],
        "module": missing or (lacking[0] if lacking else None),
        "lacks": lacking[1] if lacking and not missing else None,
        "network": "there is no network in this process" in " ".join(map(str, chain)),
    }


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    following: Optional[BaseException] = error
    while following is not None and all(following is not each for each in seen):
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__


def _lacking(error: BaseException) -> Optional[tuple[str, str]]:
    """The module in which a pickle looks for something in vain, and for what."""
    text = str(error)
    # pickle: "Can't get attribute 'Net' on <module '__main__' from …>", and "… from module '__main__'" later.
    found = re.search(
        r"Can't get (?:local )?attribute '([\w.<>]+)' (?:on <module|from module) '([\w.]+)'", text
    )
    if found:
        return found[2], found[1]
    # getattr, as joblib and skops do it: "module '__main__' has no attribute 'Net'".
    found = re.search(r"module '(__main__)' has no attribute '(\w+)'", text)
    return (found[1], found[2]) if found else None


def _text(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"
