"""The file of a contract, read: what it says, and at which line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pytest_mlflow_check.contract import FILE_NAME
from pytest_mlflow_check.contract.schema import (
    VERSION,
    CaseContract,
    Contract,
    Logged,
    ModelShape,
    RunShape,
    Steps,
)
from pytest_mlflow_check.contract.yaml_edit import scalar
from pytest_mlflow_check.core.errors import UserError, did_you_mean, shown_path
from pytest_mlflow_check.core.files import read_user_text
from pytest_mlflow_check.core.yaml_lines import ListWithLines, MappingWithLines, kind, read_yaml

LARGEST = 1024 * 1024
"""Bytes, which take three seconds to read."""

_SHOWN = 5
_SAMPLE = "write it with  pytest --mlflow-project=… --mlflow-update"
_MAPS: Mapping[str, type[BaseModel]] = {
    "cases": CaseContract,
    "runs": RunShape,
    "metrics": Steps,
    "models": ModelShape,
}
_LOGGED = ("fluent", "mlflow-run", "sometimes")


@dataclass(frozen=True)
class Source:
    """A contract with the places where each part of it stands.

    Attributes:
        path: the file.
        text: all of it.
        contract: what it says.
        document: the same as the file has it.
    """

    path: Path
    text: str = field(repr=False)
    contract: Contract
    document: MappingWithLines = field(repr=False)

    @property
    def name(self) -> str:
        """The file as findings name it: relative to the project."""
        return self.path.name

    def source_line(self, keys: Sequence[str]) -> str:
        """`mlflow-contract.yaml:12`: the line of what the keys lead to, or of what comes nearest."""
        return f"{self.name}:{_line(self.document, keys)}"

    def lines(self, keys: Sequence[str]) -> list[str]:
        """The lines of what the keys lead to, without indentation and without comments of their own."""
        lines = self.text.splitlines()[_line(self.document, keys) - 1 :]
        indent = _indent(lines[0])
        found = [lines[0]]
        for line in lines[1:] if not lines[0].lstrip().startswith("- ") else []:
            if line.strip() and _indent(line) <= indent:
                break
            if line.strip() and not line.lstrip().startswith("#"):
                found.append(line)
        return [line[indent:].rstrip() for line in found]


def read_contract(project: Path, cases: Collection[str] | None = None) -> Source | None:
    """The contract of a project, or None where there is none.

    Args:
        project: its directory.
        cases: the ids of all its cases; None where the file may have others.

    Raises:
        UserError: the file can't be read, or says what no contract says.
    """
    file = project / FILE_NAME
    return read_file(file, cases) if file.exists() or file.is_symlink() else None


def read_file(file: Path, cases: Collection[str] | None = None) -> Source:
    """The same of a file that is there."""
    return read_text(file, read_user_text(file, largest=LARGEST), cases)


def read_text(file: Path, text: str, cases: Collection[str] | None = None) -> Source:
    """The same of what a file holds."""
    document = read_yaml(file, rule=None, sample=_SAMPLE, text=text)
    problems = list(_repeated(document, ()))
    try:
        contract = Contract.model_validate(document)
    except ValidationError as error:
        problems += [_explained(document, one) for one in error.errors()]
        contract = Contract(version=1)
    problems += _unknown_cases(document, contract, cases)
    if problems:
        told = [f"{shown_path(file)}:{line}: {problem}" for line, problem in sorted(problems)[:_SHOWN]]
        more = len(problems) - len(told)
        raise UserError("\n".join(told + ([f"and {more} more"] if more else [])))
    return Source(file, text, contract, document)


def _repeated(value: object, keys: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Keys that stand there twice, as after a merge of two branches."""
    if isinstance(value, MappingWithLines):
        for key, line in value.repeated.items():
            yield line, f'"{_spoken((*keys, str(key)))}" stands there twice\n  remove one of them'
        for key, each in value.items():
            yield from _repeated(each, (*keys, str(key)))


def _unknown_cases(
    document: MappingWithLines, contract: Contract, cases: Collection[str] | None
) -> Iterator[tuple[int, str]]:
    for case in contract.cases if cases is not None else ():
        if case not in (cases or ()):
            line = _line(document, ("cases", case))
            meant = did_you_mean(case, cases or ())
            yield line, f'"cases.{case}": the project has no such case: {meant}\n  rename it, or remove it'


def _explained(document: MappingWithLines, problem: Any) -> tuple[int, str]:
    """The line of a mistake, and what is wrong there."""
    # pydantic marks a key that is none with `[key]`.
    loc = [part for part in problem["loc"] if part != "[key]"]
    line, key = _line(document, loc), _spoken(loc)
    last, got = loc[-1] if loc else "", problem["input"]
    sort = problem["type"]
    if sort == "extra_forbidden":
        return line, f'unknown key "{key}": {did_you_mean(str(last), _known(loc[:-1]))}'
    if sort == "missing":
        return 1, f'"{key}" is missing\n  write  {key}: {VERSION}'
    if loc == ["version"]:
        advice = f"write  version: {VERSION}, or install a newer one"
        return line, f'"version": this package reads version {VERSION}\n  {advice}'
    if problem["loc"][-1:] == ("[key]",):
        return line, f'"{key}": a name has to be text, and this is {kind(got)}\n  write  "{got}": …'
    write = _instead(loc, got, sort, problem)
    return line, f'"{key}": this is {kind(got)}{write}'


def _instead(loc: Sequence[Any], got: object, sort: str, problem: Any) -> str:
    """What to write where something else is meant."""
    last = loc[-1] if loc else ""
    item = isinstance(last, int)
    if sort == "string_type":
        if isinstance(got, (bool, int, float)):
            text = str(got).lower() if isinstance(got, bool) else str(got)
            head = "- " if item else f"{scalar(str(last))}: "
            return f", which has to be in quotes\n  write  {head}{scalar(text, quotes=True)}"
        return "\n  write text in quotes" + (
            "" if item else f", or  {scalar(str(last))}: null  for any value"
        )
    if sort == "literal_error":
        return f" that isn't known here\n  write one of  {problem['ctx']['expected']}"
    wanted = {
        "int_type": f"{last}: 0",
        "greater_than_equal": f"{last}: 0",
        "bool_type": f"{last}: true",
        "tuple_type": f"{last}: [name]",
        "dict_type": f"{last}: {{}}",
    }.get(sort, f"{last}: {{}}")
    if loc and len(loc) > 1 and loc[-2] == "metrics":
        wanted = f"{scalar(str(last))}: {{first: 0, last: 9, count: 10, regular: true}}"
    return f"\n  write as in  {wanted}"


def _known(loc: Sequence[Any]) -> list[str]:
    """The keys that may stand at a place."""
    model: type[BaseModel] = Contract
    position = 0
    while position < len(loc):
        if loc[position] in _MAPS:
            model, position = _MAPS[str(loc[position])], position + 2
        else:
            model, position = (Logged if loc[position] in _LOGGED else model), position + 1
    return [one.alias or name for name, one in model.model_fields.items()]


def _line(value: object, keys: Sequence[Any]) -> int:
    line = 1
    for key in keys:
        if isinstance(value, MappingWithLines) and key in value.lines:
            line, value = value.lines[key], value[key]
        elif isinstance(value, ListWithLines):
            position = key if isinstance(key, int) else value.index(key) if key in value else None
            return line if position is None else value.lines[position]
        else:
            break
    return line


def _spoken(loc: Sequence[Any]) -> str:
    return ".".join(str(part) for part in loc)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
