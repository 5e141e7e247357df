"""Reads what an entry point's command names: scripts, modules, files, and the options that scripts have."""

from __future__ import annotations

import difflib
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.files import read_user_text
from pytest_mlflow_check.core.models import Case, EntryPoint, Project
from pytest_mlflow_check.core.static_facts import MissingFile, StaticFacts, UnknownOption, WrongEnvironment
from pytest_mlflow_check.core.surroundings import Surroundings
from pytest_mlflow_check.core.yaml_lines import read_yaml
from pytest_mlflow_check.mlproject.loader import refusal_of
from pytest_mlflow_check.mlproject.started import NamedFile, Start, named_by
from pytest_mlflow_check.runtime.sandbox.workspace import contents, enclosing_root
from pytest_mlflow_check.scripts.options import Options, options_of
from pytest_mlflow_check.scripts.static_eval import Code

_LARGEST = 1 << 20
"""Bytes of a script or of a file with dependencies; what is larger holds data."""

_MOST = 50_000
"""Files that are looked at."""

_ALIKE = 0.75
"""How like a name has to be to one that is there, for `difflib`."""

_PYTHON_ENV_KEYS = {"python", "build_dependencies", "dependencies"}
_CONDA_KEYS = {"name", "channels", "prefix", "variables"}


def read_static_facts(case: Case) -> StaticFacts:
    """What the files tell of a case's entry point, without launching it.

    Args:
        case: the case; of the project itself it is told where the case reports that.
    """
    project, entry_point = case.project, case.entry_point
    refusal = refusal_of(project, entry_point)
    of_project = case.reports_project and project.mlproject is not None
    environment = _missing_environment(project) if of_project else None
    wrong = _wrong_environment(project) if of_project and environment is None else None
    missing = [] if environment is None else [environment]
    if project.mlproject is None:
        return StaticFacts(refusal=refusal)
    command = _Command.read(project, entry_point)
    return StaticFacts((*missing, *command.missing()), tuple(command.unknown_options()), wrong, refusal)


# environments


def _missing_environment(project: Project) -> MissingFile | None:
    named = project.environment
    if named is None:
        return None
    found = _look(project.directory, named.name)
    return None if found.there else MissingFile(named.name, named.key, named.line, found.alike)


def _wrong_environment(project: Project) -> WrongEnvironment | None:
    file = project.python_env or project.conda_env
    if file is None or not _is_file(file):
        return None
    key = "python_env" if project.python_env else "conda_env"
    kind = _kind_of_environment(file)
    # conda reads past what it doesn't know.
    if kind in (key, None) or (key, kind) == ("conda_env", "neither"):
        return None
    named = project.environment
    name, line = (named.name, named.line) if named else (file.name, None)
    return WrongEnvironment(key, name, line, None if kind == "neither" else kind)


def _kind_of_environment(file: Path) -> str | None:
    """The key that a file belongs under; `neither` for text of another kind, None where it can't be told."""
    try:
        text = read_user_text(file, largest=_LARGEST)
    except UserError:
        return None
    if file.suffix not in (".yaml", ".yml"):
        return "neither" if file.suffix in (".txt", ".toml", ".cfg", ".lock") else None
    try:
        document = read_yaml(file, rule=None, sample="", text=text)
    except UserError:
        return None
    dependencies = document.get("dependencies")
    listed = dependencies if isinstance(dependencies, list) else []
    keys = {str(key) for key in document}
    telling = keys & {"python", "build_dependencies"}
    if keys & _CONDA_KEYS or any(isinstance(one, dict) for one in listed):
        return "neither" if telling else "conda_env"
    return "python_env" if telling and keys <= _PYTHON_ENV_KEYS else None


# commands


@dataclass(frozen=True)
class _Command:
    """An entry point's command, taken apart."""

    project: Project
    starts: tuple[Start, ...]
    files: tuple[NamedFile, ...]
    lines: tuple[tuple[int, str], ...]
    """The lines of the MLproject from the command's key on."""

    @staticmethod
    def read(project: Project, entry_point: EntryPoint) -> _Command:
        named = named_by(entry_point.command)
        lines: tuple[tuple[int, str], ...] = ()
        if project.mlproject is not None and entry_point.command_line is not None:
            try:
                text = read_user_text(project.mlproject, largest=_LARGEST)
            except UserError:
                text = ""
            lines = tuple(enumerate(text.splitlines(), 1))[entry_point.command_line - 1 :]
        return _Command(project, named.starts, named.files, lines)

    def line(self, word: str) -> int | None:
        """The line in which a word of the command stands; that of the key where it can't be found."""
        first = self.lines[0][0] if self.lines else None
        return next((number for number, text in self.lines if word in text), first)

    def missing(self) -> Iterator[MissingFile]:
        """The scripts, modules and files that aren't there."""
        for start in self.starts:
            found = self._module(start) if start.kind == "module" else self._script(start)
            if not found.there and (start.sure or found.alike):
                meant = None if found.alike or start.kind == "module" else self._meant(start)
                yield MissingFile(
                    start.name, start.kind, self.line(start.name), found.alike, start.sure, meant
                )
        for file in self.files:
            found = _look(self.project.directory, file.path, file.directory)
            if not found.there and (found.alike or file.required or not self._lies_somewhere(file.path)):
                yield MissingFile(file.path, "file", self.line(file.path), found.alike, file.required)

    def unknown_options(self) -> Iterator[UnknownOption]:
        """The options that scripts don't have, of those whose options are known for certain."""
        for start in self.starts:
            file = self._file(start)
            options = _options(self.project.directory / file) if file else None
            if file is None or options is None:
                continue
            for name in dict.fromkeys(start.options):
                if not options.takes(name):
                    known = tuple(sorted(options.names - {"-h", "--help"}))
                    yield UnknownOption(name, file, self.line(name), known, start.sure)

    def _script(self, start: Start) -> _Found:
        found = _look(self.project.directory, start.name, start.directory)
        # Python finds a package's __main__ too, and Windows a name without its end.
        return _THERE if "." not in posixpath.basename(start.name) and not found.alike else found

    def _module(self, start: Start) -> _Found:
        """Whether a module that has to be the project's own is there: it may be an installed one."""
        directory, parts = self.project.directory, start.name.split(".")
        path = "/".join(parts)
        spellings = [_look(directory, f"{path}{end}", start.directory) for end in (".py", "/__main__.py")]
        if any(one.there for one in spellings) or len(parts) == 1:
            return _THERE
        if alike := next((one.alike for one in spellings if one.alike), None):
            name = alike.removesuffix("/__main__.py").removesuffix(".py")
            return _Found(False, name.replace("/", "."))
        package = _look(directory, f"{parts[0]}/__init__.py", start.directory)
        above = _look(directory, "/".join(parts[:-1]), start.directory)
        return _Found(not package.there) if above.there else _THERE

    def _file(self, start: Start) -> str | None:
        """The Python file that a start runs, relative to the project; None where there is none."""
        if not start.by_python:
            return None
        names = [start.name]
        if start.kind == "module":
            path = start.name.replace(".", "/")
            names = [f"{path}.py", f"{path}/__main__.py"]
        paths = [posixpath.normpath(posixpath.join(start.directory, name)) for name in names]
        return next((one for one in paths if _is_file(self.project.directory / one)), None)

    def _lies_somewhere(self, path: str) -> bool:
        """Whether a file of that name lies anywhere in the project: the script may look for it there."""
        name = posixpath.basename(path).lower()
        return any(posixpath.basename(file).lower() == name for file in self._files())

    def _meant(self, start: Start) -> str | None:
        """The script that may be meant by one that isn't there, as it would be named in its place."""
        path = posixpath.normpath(posixpath.join(start.directory, start.name))
        scripts = [file for file in self._files() if file.endswith(posixpath.splitext(path)[1])]
        alike = Surroundings(frozenset(scripts)).named_alike(path)
        close = alike or difflib.get_close_matches(path, scripts, 1, _ALIKE)
        return posixpath.relpath(close[0], start.directory or ".") if close else None

    def _files(self) -> Iterator[str]:
        """The files of the repository, relative to the project."""
        root = enclosing_root(self.project.directory)
        here = os.path.relpath(self.project.directory, root)
        for entry in islice(contents(root), _MOST):
            yield posixpath.relpath(f"/{entry.path}", f"/{here}")


def _options(script: Path) -> Options | None:
    if script.suffix != ".py":
        return None
    try:
        with script.open("rb") as opened:
            source = opened.read(_LARGEST + 1)
        return options_of(Code.of(source)) if len(source) <= _LARGEST else None
    except (OSError, SyntaxError, RecursionError):
        return None


# files


@dataclass(frozen=True)
class _Found:
    """Whether a file is there, by exactly that name, and else the one whose name differs in case only."""

    there: bool
    alike: str | None = None


_THERE = _Found(True)


def _is_file(path: Path) -> bool:
    # Path.is_file raises for a long name.
    return os.path.isfile(path)  # noqa: PTH113


def _look(root: Path, path: str, directory: str = "") -> _Found:
    """Looks for a file by its exact name, also on a file system that ignores case."""
    if posixpath.isabs(path) or not path.isprintable():
        return _THERE
    whole = posixpath.normpath(posixpath.join(directory, path.replace("\\", "/")))
    here, exact, names = root, "\\" not in path, []
    for part in whole.split("/"):
        if part == "..":
            here = here.parent
        elif part != ".":
            try:
                entries = os.listdir(here)  # noqa: PTH208  (names only)
            except NotADirectoryError:
                return _Found(False)
            except OSError:
                return _THERE
            if not entries:
                # A submodule that wasn't fetched, or a place for data.
                return _THERE
            if part not in entries:
                exact, part = False, next((one for one in entries if one.lower() == part.lower()), "")
            if not part:
                return _Found(False)
            here = here / part
        names.append(part)
    return _THERE if exact else _Found(False, posixpath.relpath("/".join(names), directory or "."))
