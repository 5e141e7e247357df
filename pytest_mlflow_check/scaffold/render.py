"""The text of a project's first MLproject and of its first `mlflow-check.toml`.

Source of facts: `mlflow.projects._project_spec`, MLflow 3.17.2 and 2.22.5: a parameter's type may be any
word; `path` and `uri` mean something. A value of type `path` has to exist, is logged as given, and comes to
the command as an absolute path: code that logs what it got would die of that, so files are `string` here.
"""

from __future__ import annotations

import posixpath
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import yaml

from pytest_mlflow_check.core.text import printable
from pytest_mlflow_check.mlproject.command import toml_key, toml_text
from pytest_mlflow_check.mlproject.unfinished import TODO
from pytest_mlflow_check.scaffold.discovery import Script
from pytest_mlflow_check.scaffold.project_files import Tree
from pytest_mlflow_check.scaffold.sample_values import sample_of
from pytest_mlflow_check.scripts.model import NO_DEFAULT, Start

_WIDEST = 100
_MOST = 12
"""Entry points: each of them is launched twice."""

_LIKELY = ("train", "fit", "main", "run")
"""Subcommands, the likeliest first."""

_HEAD = """\
# Written by pytest --mlflow-init, which read the scripts and ran nothing. It is yours to change.
# `mlflow run` logs every parameter by itself; the script has to log the same, under the same names.
# Without --env-manager=local, `mlflow run` makes an environment, of what a python_env.yaml here names.
"""
_SETTINGS = """\
# What pytest-mlflow-check is told about this project. Check it:  pytest --mlflow-project=.
# A line that begins with "#" and no blank is a setting at its default, or an example: without "#" it counts.

#store = "file"                           # what is logged to; or "sqlite", "server", "postgresql://USER@HOST/NAME"
#timeout = 600                            # seconds for each launch
#strict = false                           # true: warnings fail too
#probes = false                           # true: also check with values derived from the MLproject
#cache = false                            # true: don't launch again what passed, until something changes
#ignore = { metrics = ["system/*"] }      # never compared; also params, artifacts, models, tags, datasets
#workspace = { link = ["data/**"] }       # large files: linked, not copied for each launch
#metric_tolerance = { rel = 1e-6 }        # how far values may lie apart; 1e-9 by default
#pass_env = ["AWS_*"]                     # variables that launches don't get otherwise

#[rules]
#metric-varies = "off"                    # error, warning or off; this one where training may vary
"""
_ALLOWANCE = """\

#[[allow]]                                # a difference that you accept
#rule = "param-differs"
#match = "model_dir"
#reason = "why it may differ"
"""


@dataclass(frozen=True)
class Entry:
    """An entry point as both files have it.

    Attributes:
        name: `main`, or another.
        script: where it is read from; None for one of an MLproject that was there.
        start: its arguments.
    """

    name: str
    start: Start
    script: Script | None = None


def entries_of(scripts: Sequence[Script]) -> tuple[list[Entry], list[Entry]]:
    """The entry points that scripts make, the likeliest as `main`; and those that are too many."""
    pairs = [(script, start) for script in scripts for start in _likely_first(script.starts)]
    found: list[Entry] = []
    names = {"main"}
    for script, start in pairs[:_MOST]:
        whole = script.path.removesuffix(".py").removesuffix("/__main__")
        stem = PurePosixPath(whole).name
        tries = [
            "_".join(start.words) or stem,
            "_".join([stem, *start.words]),
            "_".join([whole, *start.words]),
        ]
        name = _unused(tries, names) if found else "main"
        names.add(name)
        found.append(Entry(name, start, script))
    return found, [Entry("", start, script) for script, start in pairs[_MOST:]]


def mlproject_text(name: str, entries: Sequence[Entry], beyond: Sequence[Entry] = ()) -> str:
    """The text of an MLproject.

    Args:
        name: the project's.
        entries: its entry points, one at least.
        beyond: those that it doesn't have, since they were too many.
    """
    lines = [_HEAD, f"name: {_yaml(name)}", "", "entry_points:"]
    for position, entry in enumerate(entries):
        lines += [""] if position else []
        lines += [f"  {_yaml(entry.name)}:", *(f"    {line}" for line in _entry_lines(entry))]
    lines += [
        f"  # not here, since these are many: {_plain(' '.join(_words(entry)))}" for entry in beyond[:_MOST]
    ]
    lines += [f"  # and {len(beyond) - _MOST} more"] if len(beyond) > _MOST else []
    return "\n".join(lines) + "\n"


def settings_text(entries: Sequence[Entry], tree: Tree) -> str:
    """The text of a `mlflow-check.toml`.

    Args:
        entries: the entry points.
        tree: the project, to find files in.
    """
    lines = _SETTINGS.split("\n")[:-1]
    for entry in entries:
        lines += ["", "[[case]]", f"entry_point = {toml_text(entry.name)}"]
        directory = entry.script.how.directory if entry.script else ""
        given = [one for one in entry.start.arguments if not one.left_out]
        samples = [(one.name, sample_of(one, tree, directory)) for one in given]
        if any(sample for _, sample in samples):
            lines += ["[case.params]"]
        for name, sample in samples:
            if sample is None:
                continue
            value = toml_text(sample.value) if isinstance(sample.value, str) else str(sample.value)
            comment = f"   # {_plain(sample.comment)}" if sample.comment else ""
            lines.append(f"{toml_key(name)} = {value}{comment}")
    return "\n".join(lines) + "\n" + _ALLOWANCE


def _likely_first(starts: Iterable[Start]) -> list[Start]:
    def rank(start: Start) -> int:
        word = start.words[-1] if start.words else ""
        return _LIKELY.index(word) if word in _LIKELY else len(_LIKELY) + ("train" not in word)

    return sorted(starts, key=rank)


def _unused(tries: Sequence[str], names: set[str]) -> str:
    plain = [re.sub(r"[^\w-]+", "_", one).strip("_") or "script" for one in tries]
    numbered = (f"{plain[-1]}_{number}" for number in range(2, len(names) + 3))
    return next(one for one in (*plain, *numbered) if one not in names)


def _entry_lines(entry: Entry) -> Iterator[str]:
    assert entry.script is not None
    yield from (f"# {TODO}: {_plain(one)}" for one in _todos(entry.script))
    given = [one for one in entry.start.arguments if not one.left_out]
    if given:
        yield "parameters:"
        for one in given:
            type_ = "string" if one.type == "path" else one.type
            default = "" if one.default is None else f", default: {_yaml(one.default, type_)}"
            yield f"  {_yaml(one.name)}: " + (f"{{type: {type_}{default}}}" if default else type_)
    for one in given:
        if one.values > 1:
            yield f"# {_plain(one.flag or one.name)} takes {one.values} values: write a parameter for each"
    yield from _left_out(entry.start)
    yield from _command_lines(list(_words(entry)))


def _left_out(start: Start) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for one in start.arguments:
        if reason := one.left_out:
            # MLflow appends what isn't declared:  --NAME VALUE
            added = reason == NO_DEFAULT and (one.flag or "").startswith("--") and len(start.levels) == 1
            reason += "; -P NAME=VALUE adds it" if added else ""
            by_reason.setdefault(reason, []).append(_plain(one.flag or one.name))
    if by_reason:
        yield "# left out, so that the script's own defaults hold:"
    for reason, names in by_reason.items():
        yield from textwrap.wrap(
            f"{', '.join(names)} ({reason})",
            _WIDEST,
            initial_indent="#   ",
            subsequent_indent="#     ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _words(entry: Entry) -> Iterator[str]:
    """The command, in pieces that belong together."""
    assert entry.script is not None
    yield from _invocation(entry.script)
    for level in entry.start.levels:
        given = [one for one in level.arguments if not one.left_out]
        yield from [_braced(shlex.quote(level.word))] if level.word else []
        yield from (f"{_braced(shlex.quote(one.flag))} {{{one.name}}}" for one in given if one.flag)
        yield from (f"{{{one.name}}}" for one in given if not one.flag)
    yield from [TODO] if _todos(entry.script) else []


def _invocation(script: Script) -> Iterator[str]:
    how = script.how
    if how.directory:
        yield f"cd {_braced(shlex.quote(how.directory))} &&"
    search = [posixpath.relpath(one or ".", how.directory or ".") for one in how.search]
    if how.module:
        # The current directory is looked in anyway.
        search = [one for one in search if one != "."]
    if search:
        yield f"PYTHONPATH={_braced(':'.join(map(shlex.quote, search)))}:$PYTHONPATH"
    path = posixpath.relpath(script.path, how.directory or ".")
    # Python takes a name that begins with a dash for an option.
    file = _braced(shlex.quote(f"./{path}" if path.startswith("-") else path))
    yield f"python -m {how.module}" if how.module else f"python {file}"


def _todos(script: Script) -> list[str]:
    """What is to be written into the command by hand."""
    if script.not_read:
        return [f"{script.not_read} reads the command line: write its options, or nothing"]
    return [f"{one}: write it if a run needs it, or nothing" for one in script.unread]


def _command_lines(words: Sequence[str]) -> Iterator[str]:
    whole = f"command: {_yaml(' '.join(words), always=True)}"
    if len(whole) <= _WIDEST or not all(word.isprintable() for word in words):
        yield whole
        return
    # A folded scalar without a line end: behind one, what `mlflow run` appends would be a command of its own.
    yield "command: >-"
    yield from (f"  {word}" for word in words)


def _braced(text: str) -> str:
    """Text as `str.format` leaves it."""
    return text.replace("{", "{{").replace("}", "}}")


def _yaml(text: str, type_: str = "string", *, always: bool = False) -> str:
    """A text as YAML, in quotes where it would be read as something else, or always."""
    if not always and re.fullmatch(r"[\w./+-]+", text, re.ASCII) and _read(text, type_) == text:
        return text
    written: str = yaml.safe_dump(text, default_style='"', width=float("inf"), allow_unicode=True)
    return written.strip("\n")


def _read(text: str, type_: str) -> object:
    """What comes of an unquoted text: MLflow takes the `str` of a number."""
    try:
        value = yaml.safe_load(text)
        return value if type_ == "string" else str(value)
    except (yaml.YAMLError, ValueError):
        return None


def _plain(text: str) -> str:
    """A text of the project as it may stand in a comment: one line, and nothing that isn't shown."""
    return " ".join(printable(text).split())
