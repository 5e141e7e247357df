"""What an exception says, as plain data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Optional

_LONG = 2000
"""Characters of a message that are kept."""


def described(error: BaseException) -> dict[str, Any]:
    """The exception as a proof tells it.

    Returns:
        `error`: type and message of what was raised. `chain`: the same of it and of all that led to it,
        the first cause last. `module`: the module that wasn't found, or that lacks what a pickle looks for
        in it. `network`: whether it was raised in place of reaching another machine.
    """
    chain = list(_chain(error))
    return {
        "error": _text(error),
        "chain": [_text(each) for each in chain],
        "module": next((module for module in map(_module, reversed(chain)) if module), None),
        "network": any(type(each).__name__ == "NoNetworkError" for each in chain)
        or "there is no network in this process" in " ".join(map(str, chain)),
    }


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    following: Optional[BaseException] = error
    while following is not None and all(following is not each for each in seen):
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__


def _module(error: BaseException) -> Optional[str]:
    if isinstance(error, ModuleNotFoundError):
        return error.name
    # pickle: "Can't get attribute 'Net' on <module '__main__' from …>", and "… from module '__main__'" later.
    found = re.search(r"Can't get (?:local )?attribute .* (?:on <module|from module) '([\w.]+)'", str(error))
    # getattr: "module '__main__' has no attribute 'Net'".
    found = found or re.search(r"module '([\w.]+)' has no attribute", str(error))
    return found[1] if found else None


def _text(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"
