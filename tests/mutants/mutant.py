"""What a mutant is: a correct project, a small edit of it, and what has to be found then."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROJECTS = Path(__file__).parent / "projects"
HERE = "# <- here"


@dataclass(frozen=True)
class Edit:
    """One text of one file, which stands there exactly once, replaced by another."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Expected:
    """A finding.

    Attributes:
        check, rule: where it is reported, and as what.
        subject: what it is about, as an `fnmatch` pattern.
        at: its place: a file, which means the line marked `# <- here`; or `file: text`, which means the
            only line with that text in it. None where nothing is asked of the place.
        says: a text in its reason, as of a message of MLflow that has to be recognised.
        unseen: the subject where the observer is off, if it is another one then.
    """

    check: str
    rule: str
    subject: str
    at: str | None = None
    says: str = ""
    unseen: str | None = None

    def source_line(self, project: Path) -> str | None:
        """`train.py:12` in a project that was written with the mutant's edits."""
        if self.at is None:
            return None
        file, _, text = self.at.partition(": ")
        lines = (project / file).read_text(encoding="utf-8").splitlines()
        numbers = [number for number, line in enumerate(lines, 1) if (text or HERE) in line]
        if len(numbers) != 1:
            raise ValueError(f"{len(numbers)} lines of {file} with {text or HERE!r}")
        return f"{file}:{numbers[0]}"


@dataclass(frozen=True)
class Mutant:
    """A project with one logging mistake in it, or, where nothing is expected, a correct one that looks odd.

    Attributes:
        id: unique.
        base: one of the directories below `projects/`.
        edits: applied one after the other.
        files: files added, or written anew as a whole, by their path, which may lead out of the project.
        expected: all that has to be found.
        error: the rule of the usage error that it ends in, for an MLproject that can't be used at all.
        launch: the launch modes, as in the settings. One of them is enough where the mistake shows in each by
            itself, and other mutants have shown that the same in both gives no more.
        majors: the MLflow versions in which there is such a mistake.
    """

    id: str
    base: str
    edits: tuple[Edit, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    expected: tuple[Expected, ...] = ()
    error: str | None = None
    launch: str = "both"
    majors: frozenset[int] = frozenset({2, 3})

    @property
    def correct(self) -> bool:
        """Whether it is one that has to give nothing."""
        return not self.expected and self.error is None

    def texts(self) -> dict[str, str]:
        """The files of the project with the edits made, by path.

        Raises:
            ValueError: where a text that is to be replaced isn't there exactly once.
        """
        base = PROJECTS / self.base
        texts = {
            str(file.relative_to(base)): file.read_text(encoding="utf-8")
            for file in sorted(base.rglob("*"))
            if file.is_file() and "__pycache__" not in file.parts
        }
        for edit in self.edits:
            if texts[edit.file].count(edit.old) != 1:
                count = texts[edit.file].count(edit.old)
                raise ValueError(f"{self.id}: {count} times in {edit.file}: {edit.old!r}")
            texts[edit.file] = texts[edit.file].replace(edit.old, edit.new)
        return {**texts, **self.files}

    def write(self, project: Path) -> None:
        """Makes the project, in a directory of its own."""
        shutil.rmtree(project, ignore_errors=True)
        for name, text in self.texts().items():
            file = project / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def launches(
    rule: str, subject: str, at: str | None = None, *, says: str = "", unseen: str | None = None
) -> Expected:
    """A finding of the check `launches`."""
    return Expected("launches", rule, subject, at, says, unseen)


def params(rule: str, subject: str, at: str | None = None) -> Expected:
    """A finding of the check `params`."""
    return Expected("params", rule, subject, at)


def metrics(rule: str, subject: str, at: str | None = None) -> Expected:
    """A finding of the check `metrics`."""
    return Expected("metrics", rule, subject, at)


def artifacts(rule: str, subject: str, at: str | None = None) -> Expected:
    """A finding of the check `artifacts`."""
    return Expected("artifacts", rule, subject, at)


def models(rule: str, subject: str, at: str | None = None) -> Expected:
    """A finding of the check `models`."""
    return Expected("models", rule, subject, at)
