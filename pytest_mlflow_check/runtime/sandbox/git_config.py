"""The configuration of a repository, rewritten for a copy that can't reach out of itself.

The format is that of git-config(1). What isn't known here goes along as it is, such as extensions of the
format that a later git brings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

NO_PUSH = "/a-launch-of-pytest-mlflow-check-cannot-push"
"""Where pushes of a copy go, by the message that git gives: this "does not appear to be a git repository"."""

_HEADER = re.compile(r'\s*\[\s*(?P<section>[\w.-]+)(?:\s+"(?P<quoted>(?:[^"\\]|\\.)*)")?\s*\](?P<rest>.*)')
_SETTING = re.compile(r"\s*(?P<key>[A-Za-z][\w-]*)\s*(?:=\s*(?P<value>.*?))?\s*$", re.DOTALL)

_DROPPED = {
    # Places that are others in the copy, and hooks of the user's.
    *(("core", "worktree"), ("core", "bare"), ("core", "hookspath")),
    # Daemons and caches of the original's files.
    *(("core", "fsmonitor"), ("core", "untrackedcache"), ("core", "splitindex")),
    ("remote", "pushurl"),
}

_COPY = """\
[core]
\tbare = false
\thooksPath = "{hooks}"
\tfsmonitor = false
\tuntrackedCache = false
\tsplitIndex = false
\tcheckStat = minimal
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""
"""What holds last. Copies have other inodes than the originals, so that git would read every file again."""


@dataclass(frozen=True)
class _Setting:
    """One line of a configuration.

    Attributes:
        section: in lower case.
        subsection: as written between the quotes; None where there is none.
        key: in lower case.
        value: as written, with quotes, escapes and comment; None for a key without `=`, which means true.
    """

    section: str
    subsection: str | None
    key: str
    value: str | None


def config_of_copy(text: str, directory: str, hooks: str) -> str:
    """The configuration of a copy: the original's, but what it pushes goes nowhere.

    Args:
        text: the original's configuration.
        directory: where that lies; relative paths of files it includes begin there.
        hooks: the directory with the copy's hooks.
    """
    lines: list[str] = []
    pushing: dict[str, None] = {}
    for setting in _settings(text):
        if (setting.section, setting.key) in _DROPPED:
            continue
        if setting.section == "remote" and setting.subsection is not None and setting.key == "url":
            pushing[setting.subsection] = None
        value = setting.value
        if setting.section == "include" and value and not value.startswith(("/", "~", '"/', '"~')):
            value = _quoted(os.path.join(directory, value.strip('"')))
        name = "" if setting.subsection is None else f' "{setting.subsection}"'
        lines += [f"[{setting.section}{name}]", f"\t{setting.key}" + ("" if value is None else f" = {value}")]
    for remote in pushing:
        lines += [f'[remote "{remote}"]', f"\tpushurl = {NO_PUSH}"]
    return "".join(f"{line}\n" for line in lines) + _COPY.format(hooks=_quoted(hooks).strip('"'))


def uses_sha256(text: str) -> bool:
    """Whether a repository with this configuration names its objects by SHA-256."""
    return any(
        (setting.section, setting.key) == ("extensions", "objectformat") and "sha256" in (setting.value or "")
        for setting in _settings(text)
    )


def _settings(text: str) -> Iterator[_Setting]:
    section, subsection = "", None
    # A backslash at the end of a line continues a value.
    for line in re.sub(r"\\\n", "", text).split("\n"):
        while header := _HEADER.match(line):
            section, subsection, line = header["section"].lower(), header["quoted"], header["rest"]
            if subsection is None and "." in section:
                section, _, subsection = section.partition(".")
        if found := _SETTING.match(line):
            yield _Setting(section, subsection, found["key"].lower(), found["value"])


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
