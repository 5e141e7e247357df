"""What the package imports is what its metadata declares, and every place names the same lowest MLflow."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = ROOT / "pytest_mlflow_check"

OURS = {path.stem for path in PACKAGE.glob("**/payload/*")} | {PACKAGE.name}
"""The package itself, and what each payload consists of."""

PAYLOADS = {
    "runtime/forkserver/payload": {"mlflow"},
    "runtime/model_validation/payload": {"mlflow", "packaging"},
    "runtime/observer/payload": set(),
    "runtime/supervisor/payload": set(),
    "stores/server/payload": set(),
}
"""What each payload may import beside the standard library and itself.

Payloads run with the interpreter of the launch, which need not be that of pytest and has none of our
dependencies: only MLflow, and what every MLflow requires. With `--mlflow-env-manager=local` both are the same
interpreter, so these packages are declared too.
"""


@pytest.fixture(scope="module")
def metadata() -> dict[str, list[str]]:
    """The table `project` of pyproject.toml."""
    table: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


@pytest.fixture(scope="module")
def declared(metadata: dict[str, list[str]]) -> dict[str, Requirement]:
    """The requirements by name."""
    requirements = map(Requirement, metadata["dependencies"])
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def imported(file: Path) -> Iterator[str]:
    """Yield the names of third-party packages that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        yield from {name.partition(".")[0] for name in names} - OURS - sys.stdlib_module_names


def test_every_import_is_declared(declared: dict[str, Requirement]) -> None:
    """And nothing else is, but pytest-xdist, which pytest loads by itself."""
    needed: dict[str, str] = {}
    for file in PACKAGE.rglob("*.py"):
        for name in imported(file):
            # Distributions of another name; `_pytest` is where pytest's own classes are defined.
            needed[{"yaml": "pyyaml", "_pytest": "pytest"}.get(name, name)] = file.name
    assert needed.keys() - declared.keys() == set(), needed
    assert declared.keys() - needed.keys() == {"pytest-xdist"}


def test_every_dependency_has_a_lowest_version_and_no_highest(declared: dict[str, Requirement]) -> None:
    operators = {name: [one.operator for one in spec.specifier] for name, spec in declared.items()}
    assert operators == {name: [">="] for name in declared}


def test_a_payload_imports_only_what_the_interpreter_of_a_launch_has() -> None:
    found = {
        folder.relative_to(PACKAGE).as_posix(): {
            name for file in folder.rglob("*.py") for name in imported(file)
        }
        for folder in PACKAGE.glob("**/payload")
    }
    assert found == PAYLOADS


def test_one_lowest_mlflow_stands_everywhere(
    metadata: dict[str, list[str]], declared: dict[str, Requirement]
) -> None:
    lowest = {one.version for one in declared["mlflow"].specifier}
    extra = Requirement(metadata["optional-dependencies"]["mlflow2"][0])  # type: ignore[call-overload]
    assert {one.version for one in extra.specifier if one.operator == ">="} == lowest
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert set(re.findall(r"mlflow>=(2[\d.]*)", tox)) <= lowest
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"MLflow (2\.[\d.]*\d) or", readme)) == lowest
