"""What the MLproject and the files it names tell before anything is launched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MissingFile:
    """A file that a command, or `python_env` or `conda_env`, names and that isn't there.

    Attributes:
        name: as it is named.
        role: what it is to the command, or the key that names it.
        line: of the MLproject.
        alike: the name of one that is there, if they differ in upper and lower case only.
        meant: another one that is there and may be meant.
        sure: whether the command surely fails for lack of it.
    """

    name: str
    role: Literal["script", "module", "file", "python_env", "conda_env"]
    line: int | None
    alike: str | None = None
    sure: bool = True
    meant: str | None = None


@dataclass(frozen=True)
class UnknownOption:
    """An option that a command gives to a script, and that isn't one of the script's.

    Attributes:
        name: as it is given.
        script: relative to the project.
        line: of the MLproject.
        known: the script's own options.
        sure: whether the script surely gets it.
    """

    name: str
    script: str
    line: int | None
    known: tuple[str, ...] = ()
    sure: bool = True


@dataclass(frozen=True)
class WrongEnvironment:
    """A file with a project's dependencies that stands under the key for another kind.

    Attributes:
        key: `python_env` or `conda_env`.
        name: the file's, as the MLproject has it.
        line: of the MLproject; None for a file that MLflow finds by its name.
        belongs: the key that it belongs under; None where it is neither.
    """

    key: str
    name: str
    line: int | None
    belongs: str | None


@dataclass(frozen=True)
class Refusal:
    """Why MLflow can't start an entry point.

    Attributes:
        rule: the rule that explains it.
        subject: what it is about.
        why: in a sentence.
        fix: what to write instead.
        line: of the MLproject.
    """

    rule: str
    subject: str
    why: str
    fix: str
    line: int | None


@dataclass(frozen=True)
class StaticFacts:
    """All of that about one entry point, and about the project where it is to be told with it.

    Attributes:
        missing: files that aren't there.
        unknown_options: options that scripts don't have.
        environment: a file with dependencies under the wrong key.
        refusal: why MLflow can't start the entry point.
    """

    missing: tuple[MissingFile, ...] = ()
    unknown_options: tuple[UnknownOption, ...] = ()
    environment: WrongEnvironment | None = None
    refusal: Refusal | None = None
