"""What a command starts, as its text tells: scripts and modules with their words, and files that it names.

A command is a text for the shell, and may hold anything. Where a part of it can't be followed for certain
(substitutions, loops, fallbacks), nothing is told of it.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from string import Formatter
from typing import Literal

Kind = Literal["script", "module"]

_VALUE = "\ue000"
"""Stands for a placeholder's value."""

_UNKNOWN = re.compile(rf"[{_VALUE}$*?\[\]~\0]|://")
"""What makes a word one that only the shell, or a launch, knows."""

_NOT_FOLLOWED = re.compile(r"\$\(|`|<<|\|\||\(|\)")
"""Substitutions, documents in the command, fallbacks, subshells and functions."""

_KEYWORDS = frozenset(
    ["if", "for", "while", "until", "case", "function", "{", "!", "eval", "trap", "alias", "pushd", "popd"]
)
_PYTHON = re.compile(r"(?:.*/)?(?:python(?:w|[23](?:\.\d+)?)?|pypy3?|ipython3?)(?:\.exe)?")
_PYTHON_FLAGS = re.compile(r"-[bBdEiIOPqsSuvx]+")
_PYTHON_MODULE = re.compile(r"-[bBdEiIOPqsSuvx]*m")
_SHELLS = ("sh", "bash", "zsh", "dash", "ksh")
_BEFORE = ("time", "nohup", "exec", "env", "command")
_STARTERS = frozenset(
    [
        "mpirun",
        "mpiexec",
        "horovodrun",
        "srun",
        "conda",
        "mamba",
        "micromamba",
        "poetry",
        "pipenv",
        "uv",
        "pdm",
        "nice",
        "timeout",
        "taskset",
        "numactl",
        "xvfb-run",
        "ddtrace-run",
        "opentelemetry-instrument",
    ]
)
"""Programs that start the one that stands behind them."""

_LAUNCHERS = ("torchrun", "accelerate", "deepspeed", "spark-submit", "streamlit", "papermill", "kernprof")
"""Programs that start a script in their own way."""

_LAUNCHER_MODULES = ("torch.distributed.launch", "torch.distributed.run", "accelerate.commands.launch")
_HARMLESS = frozenset(
    [
        "cd",
        "export",
        "set",
        "unset",
        "echo",
        "printf",
        "ulimit",
        "date",
        "hostname",
        "sleep",
        "pwd",
        "ls",
        "true",
        "nvidia-smi",
        "mkdir",
        "module",
        "chmod",
        "which",
        "source",
        ".",
    ]
)
"""Commands that put no file where there was none."""

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_CONFIG_OPTION = re.compile(r"--?(?:[\w-]*[-_])?(?:config|cfg|conf)(?:[-_]?(?:file|path|yaml|json))?")
_WRITING = re.compile(r"save|out|dump|write|export|dest|target|log")
_CONFIG_FILE = re.compile(r"[^\s,;:=]+\.(?:ya?ml|toml|json|ini|cfg|conf)", re.IGNORECASE)
_REQUIREMENTS = ("-r", "--requirement")


@dataclass(frozen=True)
class Start:
    """A script or module that a command starts.

    Attributes:
        kind: how it is named.
        name: as in the command.
        directory: relative to the project, where it is started.
        arguments: the words behind it; a placeholder in them is one character that no text has.
        sure: whether the command can't have made it by then.
        by_python: whether Python itself reads it, and gives it these arguments.
    """

    kind: Kind
    name: str
    directory: str
    arguments: tuple[str, ...] = ()
    sure: bool = True
    by_python: bool = True

    @property
    def options(self) -> Iterator[str]:
        """The words that are options, without values."""
        for word in self.arguments:
            if word == "--":
                return
            name = word.partition("=")[0]
            if re.fullmatch(r"--?[A-Za-z][\w.-]*", name):
                yield name


@dataclass(frozen=True)
class NamedFile:
    """A file that a command names as a plain word.

    Attributes:
        path: as in the command.
        directory: relative to the project, where it is looked for.
        required: whether the program that gets it can't do without.
    """

    path: str
    directory: str
    required: bool = False


@dataclass(frozen=True)
class Named:
    """All that a command starts and names."""

    starts: tuple[Start, ...] = ()
    files: tuple[NamedFile, ...] = ()


@dataclass
class _State:
    """What has been read of a command so far."""

    directory: str | None = ""
    sure: bool = True
    """Whether nothing before can have made a script."""

    made: bool = False
    """Whether something before may have made any file."""

    starts: list[Start] = field(default_factory=list)
    files: list[NamedFile] = field(default_factory=list)


def named_by(command: str) -> Named:
    """What a command starts and names, as far as that is certain.

    Args:
        command: with its placeholders, as MLflow would fill it in.
    """
    state = _State()
    for words in _simple_commands(command):
        if words[0] in _KEYWORDS:
            break
        _read(state, words)
        if state.directory is None:
            break
    return Named(tuple(state.starts), tuple(state.files))


def _simple_commands(command: str) -> list[list[str]]:
    """The commands of a text, each as its words; none where it can't be taken apart."""
    try:
        text = "".join(_literals(command))
        if _NOT_FOLLOWED.search(text):
            return []
        lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=";&|<>\n")
        lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t\r", "", True
        tokens = list(lexer)
    except ValueError:
        return []
    found: list[list[str]] = [[]]
    skipped = False
    for token in tokens:
        if set(token) <= set(";&|\n"):
            found.append([])
            skipped = False
        elif skipped:
            skipped = token.startswith("#")
        elif set(token) & set("<>") and set(token) <= set("<>&|"):
            # What stands behind is where output goes.
            skipped = True
        elif token.startswith("#"):
            found.append(["#"])
        elif found[-1] != ["#"]:
            found[-1].append(token)
    return [words for words in found if words and words != ["#"]]


def _literals(command: str) -> Iterator[str]:
    """A command's text with a sign for each placeholder."""
    for literal, name, _, _ in Formatter().parse(command):
        yield literal
        if name is not None:
            yield _VALUE


def _read(state: _State, words: Sequence[str]) -> None:
    """Takes in one simple command."""
    directory = state.directory or ""
    while words and (_ASSIGNMENT.fullmatch(words[0]) or words[0] in _BEFORE):
        words = words[1:]
    if not words:
        return
    if words[0] in _STARTERS:
        python = next((at for at, word in enumerate(words) if _PYTHON.fullmatch(word)), None)
        words = words[python:] if python is not None else words
    program, rest = words[0], words[1:]
    start = _start(program, rest, directory)
    if start is not None:
        if not _UNKNOWN.search(start.name):
            state.starts.append(
                Start(start.kind, start.name, directory, start.arguments, state.sure, start.by_python)
            )
        state.files += [
            NamedFile(path, directory) for path in _config_files(start.arguments) if not state.made
        ]
        state.made = True
    elif program == "cd":
        state.directory = _inside(directory, rest)
    elif program in ("pip", "pip3") or (_PYTHON.fullmatch(program) and list(rest[:2]) == ["-m", "pip"]):
        given = [file for option, file in pairwise(rest) if option in _REQUIREMENTS]
        if not state.made:
            state.files += [NamedFile(file, directory, True) for file in given if not _UNKNOWN.search(file)]
    elif program not in _HARMLESS and not (program == "conda" and rest[:1] == ["activate"]):
        state.sure, state.made = False, True


def _inside(directory: str, rest: Sequence[str]) -> str | None:
    """The directory that `cd` leads to; None where that can't be told."""
    if len(rest) != 1 or rest[0] == "-" or _UNKNOWN.search(rest[0]) or posixpath.isabs(rest[0]):
        return None
    return posixpath.normpath(posixpath.join(directory, rest[0]))


def _start(program: str, rest: Sequence[str], directory: str) -> Start | None:
    """What a program starts; None where it is none that starts something."""
    if _PYTHON.fullmatch(program):
        return _of_python(rest, directory)
    if program in (*_SHELLS, "source", "."):
        return _first(rest, directory, (".sh", ".bash"), "[cs]")
    if program == "Rscript":
        return _first(rest, directory, (".R", ".r"), "e")
    if program in _LAUNCHERS:
        return _launched(rest, directory)
    # `./train.sh`; a program of an environment, such as venv/bin/thing, is made where it is installed.
    if program.endswith((".sh", ".py")) and "/" in program and not posixpath.isabs(program):
        return Start("script", program, directory, tuple(rest), by_python=program.endswith(".py"))
    return None


def _of_python(rest: Sequence[str], directory: str) -> Start | None:
    words = list(rest)
    while words:
        word = words.pop(0)
        if _PYTHON_MODULE.fullmatch(word):
            if not words or words[0] in ("pip", "venv"):
                return None
            if words[0] in _LAUNCHER_MODULES:
                return _launched(words[1:], directory)
            return Start("module", words[0], directory, tuple(words[1:]))
        if word in ("-W", "-X"):
            words = words[1:]
        elif not word.startswith("-"):
            return Start("script", word, directory, tuple(words))
        elif not _PYTHON_FLAGS.fullmatch(word) and not word.startswith(("-W", "-X")):
            return None
    return None


def _first(rest: Sequence[str], directory: str, suffixes: tuple[str, ...], code: str) -> Start | None:
    """The script that a program takes as its first word; none where an option, by its letter, has code."""
    for position, word in enumerate(rest):
        if not word.startswith(("-", "+")):
            arguments = tuple(rest[position + 1 :])
            named = word.endswith(suffixes) and not re.search(r"\s", word)
            return Start("script", word, directory, arguments, by_python=False) if named else None
        if re.fullmatch(rf"-\w*{code}\w*", word):
            return None
    return None


def _launched(rest: Sequence[str], directory: str) -> Start | None:
    """The script among the words of a launcher: the first, if it can't be the value of an option."""
    before = ""
    for position, word in enumerate(rest):
        if word.endswith((".py", ".ipynb")) and not word.startswith("-"):
            if before.startswith("-") and "=" not in before:
                return None
            arguments = tuple(rest[position + 1 :])
            return Start("script", word, directory, arguments, by_python=word.endswith(".py"))
        before = word
    return None


def _config_files(words: Sequence[str]) -> Iterator[str]:
    """The configuration files among the words of a script: the values of options that say so."""
    for option, value in [*pairwise(words), *(word.split("=", 1) for word in words if "=" in word)]:
        if (
            _CONFIG_OPTION.fullmatch(option)
            and not _WRITING.search(option)
            and _CONFIG_FILE.fullmatch(value)
            and not _UNKNOWN.search(value)
        ):
            yield value
