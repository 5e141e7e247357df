"""What a launch's copy weighs, and what could be a link in it instead."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping

from pytest_mlflow_check.runtime.sandbox.symlink_patterns import Links

HEAVY = 200 * 10**6
"""Bytes of a copy from which there is something to say about it."""

_SHOWN = 3

_SHARE = 0.1
"""Of the whole, from which a directory or file is worth a name."""

_MOSTLY = 0.9
"""Of a directory, from which what lies in it is named instead."""


def notes_on(sizes: Mapping[str, int], linked: Iterable[str], links: Links) -> list[str]:
    """What to say of a copy: how large it is, and which patterns of `workspace.link` take nothing.

    Args:
        sizes: bytes of each file that was copied, by its path below what is copied.
        linked: the files that are links.
        links: as set.
    """
    notes = []
    total = sum(sizes.values())
    if total > HEAVY:
        heaviest = _heaviest(sizes, total)
        named = ", ".join(f"{path} {_megabytes(size)}" for path, size in heaviest.items())
        line = json.dumps([*links.patterns, *heaviest], ensure_ascii=False)
        advice = (
            f": {named}; to link to it instead, write  workspace = {{ link = {line} }}" if heaviest else ""
        )
        notes.append(f"hint: each launch copies {_megabytes(total)}{advice}")
    notes += [
        f'warning: workspace.link: "{pattern}" takes no file: a pattern is relative to what is copied, '
        "the repository around the project, else the project"
        for pattern in links.idle([*sizes, *linked])
    ]
    return notes


def _heaviest(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """The few directories (with a slash behind) and files that weigh most, none within another."""
    below: Counter[str] = Counter()
    for path, size in sizes.items():
        # Code is always copied.
        if size and not path.endswith(".py"):
            below[path] += size
            end = path.find(os.sep)
            while end >= 0:
                below[path[: end + 1]] += size
                end = path.find(os.sep, end + 1)
    within: dict[str, dict[str, int]] = {}
    for path, size in below.items():
        parent = path.rstrip(os.sep).rpartition(os.sep)[0]
        within.setdefault(f"{parent}{os.sep}" if parent else "", {})[path] = size
    found = {}
    for path, size in within.get("", {}).items():
        while inner := within.get(path):
            heavy, its = max(inner.items(), key=lambda one: one[1])
            if its < _MOSTLY * size:
                break
            path, size = heavy, its
        found[path] = size
    heaviest = sorted(found.items(), key=lambda one: -one[1])[:_SHOWN]
    return {path: size for path, size in heaviest if size > _SHARE * total}


def _megabytes(size: int) -> str:
    return f"{size / 10**9:.1f} GB" if size >= 10**9 else f"{size / 10**6:.0f} MB"
