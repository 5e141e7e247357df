"""How a script can be started: its arguments as an MLproject declares them, whatever parser reads them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

Type: TypeAlias = Literal["int", "float", "string", "path"]
"""`path` only says what a sample may be: the MLproject gets `string` for it (see `render`)."""

FLAG = "flag: MLflow passes on values only"
SEVERAL = "several values: MLflow passes a parameter on as one"
NO_DEFAULT = "no default"
COMPUTED = "computed default"
EXCLUSIVE = "excludes other options"
SECRET = "secret, it seems: `mlflow run` logs every parameter"
BEHIND = "behind a positional that is left out"
UNTYPED = "no type: a number that is given would stay text"
NO_PATH = "no type for paths: one that is given would stay text"
ANY_TEXT = "type=bool takes every text for true"
UNFIT = "default that can't stand on a command line"
QUOTED = "default in quotes: `mlflow run` would log these too"
OWN_ACTION = "action of its own"

_LONGEST = 1000
"""Characters of a default."""

_MOST = 1000
"""Arguments of a program or subcommand."""

_SECRET = re.compile(r"(^|_)(password|passwd|secret|token|api_?key|access_?key|credentials?)$", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


class Unknown:
    """What can't be told without running the script."""


UNKNOWN: Final = Unknown()


class PathObject(str):
    """The text of what is a `pathlib.Path` in the script."""

    __slots__ = ()


@dataclass(frozen=True)
class ProjectPath:
    """A path that a script makes of its own place, relative to the project.

    Attributes:
        path: with slashes; `.` for the project itself.
        is_object: whether it is a `pathlib.Path` in the script, not a text.
    """

    path: str
    is_object: bool = False


@dataclass(frozen=True)
class Argument:
    """One argument of a script, or one parameter that an MLproject declares.

    Attributes:
        name: the parameter's: what the code calls the value, since that is what code usually logs.
        flag: `--lr`; None where it is given by its position.
        type: what its values are; for a declared parameter the word in the MLproject.
        default: as text on a command line; None where there is none.
        required: whether the script doesn't start without it.
        choices: the only values there are, if that is so.
        left_out: why it is no parameter of the MLproject; the script then uses its own default.
        values: how many values it needs, each a word of its own on the command line.
        flags: all its spellings as an option, what switches it off included.
        anchored: whether the default is a path relative to the project, wherever the script is started.
    """

    name: str
    flag: str | None = None
    type: str = "string"
    default: str | None = None
    required: bool = False
    choices: tuple[str, ...] = ()
    left_out: str | None = None
    values: int = 1
    flags: tuple[str, ...] = ()
    anchored: bool = False


@dataclass(frozen=True)
class Level:
    """A program or one of its subcommands, with what stands behind it on a command line.

    Attributes:
        word: the subcommand's; None for the program itself.
        arguments: its own, in the order in which they were added.
    """

    word: str | None = None
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True)
class Start:
    """One way to start a script.

    Attributes:
        levels: the program, and below it the subcommand, and that one's, as far as there are any.
    """

    levels: tuple[Level, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The subcommand, a word for each level."""
        return tuple(level.word for level in self.levels if level.word)

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Those of all levels."""
        return tuple(one for level in self.levels for one in level.arguments)


def is_secret(name: str) -> bool:
    """Whether what goes by such a name is for nobody to see."""
    return _SECRET.search(name.replace("-", "_")) is not None


def plain_start(arguments: Sequence[Argument]) -> Start:
    """A start of a program without subcommands."""
    return Start((Level(None, tuple(arguments)),))


def argument(
    name: str,
    flag: str | None,
    type: Type,
    *,
    default: object = None,
    required: bool = False,
    choices: Sequence[object] = (),
    why: str | None = None,
    values: int = 1,
    flags: Sequence[str] = (),
    takes_path: bool = True,
) -> Argument:
    """An argument as read, and whether an MLproject can have it.

    Args:
        name, flag, type, required, choices, values, flags: as in `Argument`.
        default: its value in Python; None for none, UNKNOWN where it can't be told.
        why: what keeps it out of an MLproject, as far as the parser's reader knows.
        takes_path: whether the script gets a `Path` for a value of type `path`.
    """
    read = Argument(
        name,
        flag,
        type,
        choices=tuple(map(str, choices)),
        required=required,
        values=values,
        flags=tuple(flags),
    )
    if required:
        return read
    anchored = isinstance(default, ProjectPath)
    if isinstance(default, PathObject) or (isinstance(default, ProjectPath) and default.is_object):
        why = why or (None if type == "path" and takes_path else NO_PATH)
    default = default.path if isinstance(default, ProjectPath) else default
    with_password = isinstance(default, str) and _PASSWORD.search(default)
    if why is None and (with_password or is_secret(name)):
        why = SECRET
    if why is None and default is None:
        why = NO_DEFAULT
    text = None if why else _as_text(type, default)
    if why is None and text is None:
        why = COMPUTED if default is UNKNOWN else UNFIT
    if text is not None and shlex.quote(text) != text:
        # Code that logs what it gets would die under `mlflow run` of changing the param.
        why, text = QUOTED, None
    return replace(read, default=text, left_out=why, anchored=anchored and text is not None)


def parameters(start: Start) -> Start:
    """A start whose arguments have names that are no other's, and positionals that can be reached."""
    seen: set[str] = set()
    return Start(tuple(replace(level, arguments=_named(level.arguments, seen)) for level in start.levels))


def _named(arguments: Sequence[Argument], seen: set[str]) -> tuple[Argument, ...]:
    named, blocked = [], False
    for one in arguments[:_MOST]:
        # What `str.format` can look up, and a placeholder can be.
        plain = re.sub(r"[^\w-]", "_", one.name) or "arg"
        plain = f"arg{plain}" if plain.isdecimal() else plain
        name, number = plain, 1
        while name in seen:
            number += 1
            name = f"{plain}_{number}"
        if one.flag is None and blocked and not one.left_out and not one.required:
            one = replace(one, left_out=BEHIND, default=None)
        blocked = blocked or (one.flag is None and one.left_out is not None)
        if not one.left_out:
            seen.add(name)
        named.append(replace(one, name=name))
    return tuple(named)


def _as_text(type: Type, default: object) -> str | None:
    """The default as it has to stand on a command line to come out the same; None where it can't."""
    convert: dict[str, Callable[[object], object]] = {"int": _whole, "float": float}  # type: ignore[dict-item]
    if not isinstance(default, (str, int, float)):
        return None
    try:
        text = str(convert.get(type, str)(default))
    except (ValueError, OverflowError):
        return None
    # A program takes a word like that for an option.
    looks_like_option = text.startswith("-") and not re.fullmatch(r"-(\d+\.?\d*|\.\d+)", text)
    return None if len(text) > _LONGEST or looks_like_option else text


def _whole(value: object) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)  # type: ignore[call-overload, no-any-return]
