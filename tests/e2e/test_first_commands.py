"""Sessions without what the plugin needs, and sessions in a checkout without what only tests need."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from support import ROOT
from support.projects import MakeProject

WITHOUT = """
from functools import partial
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

def find_no_absent(name, path=None, target=None):
    return None if name.partition(".")[0] in {absent} else find_spec(name, path, target)

# Not another finder on `sys.meta_path`: pytest's own one, which asks this, stands in front of it.
# A partial stays what it is as an attribute of pytest's class, where a function would become a method.
PathFinder.find_spec = partial(find_no_absent)
"""
"""A sitecustomize that hides packages."""


class Installed:
    """Another version of a package, or none, as far as metadata says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._version = importlib.metadata.version
        self._changed: dict[str, str | None] = {}
        monkeypatch.setattr(importlib.metadata, "version", self._of)

    def __call__(self, **changed: str | None) -> None:
        self._changed |= {name.replace("_", "-"): version for name, version in changed.items()}

    def _of(self, name: str) -> str:
        version = self._changed[name] if name in self._changed else self._version(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    return Installed(monkeypatch)


def refused(result: pytest.RunResult) -> str:
    """The one line that a session prints that ends before it began."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert result.stdout.str() == ""
    (line,) = [line for line in result.stderr.lines if line]
    return line


@pytest.mark.parametrize(
    ("versions", "state"),
    [
        ({"mlflow": "2.20.3"}, "2.20.3 is installed"),
        ({"mlflow": "2.21.0"}, "2.21.0 is installed"),
        ({"mlflow": None, "mlflow_skinny": None}, "not installed"),
        ({"mlflow": None, "mlflow_skinny": "3.17.2"}, "only mlflow-skinny 3.17.2 is installed"),
    ],
)
def test_mlflow_too_old_or_missing_is_one_line(
    pytester: pytest.Pytester,
    make_project: MakeProject,
    installed: Installed,
    versions: dict[str, str | None],
    state: str,
) -> None:
    make_project()
    installed(**versions)
    message = f"ERROR: pytest-mlflow-check needs mlflow>=2.22 ({state}): pip install 'mlflow>=2.22'"
    assert refused(pytester.runpytest_inprocess("--mlflow-project=proj")) == message


def test_all_that_is_missing_is_named_at_once(
    pytester: pytest.Pytester, make_project: MakeProject, installed: Installed
) -> None:
    make_project()
    installed(filelock=None, mlflow="2.20.3")
    assert refused(pytester.runpytest_inprocess("--mlflow-project=proj")) == (
        "ERROR: pytest-mlflow-check needs filelock>=3.12 (not installed), mlflow>=2.22 (2.20.3 is "
        "installed): pip install 'filelock>=3.12' 'mlflow>=2.22'"
    )


@pytest.mark.parametrize("version", ["2.22.0", "3.18.0rc1", "4.0.0.dev0"])
def test_a_newer_mlflow_is_taken(
    pytester: pytest.Pytester, make_project: MakeProject, installed: Installed, version: str
) -> None:
    make_project()
    installed(mlflow=version)
    pytester.runpytest_inprocess("--mlflow-project=proj", "--co").assert_outcomes()


def test_xdist_may_be_missing(
    pytester: pytest.Pytester, make_project: MakeProject, installed: Installed
) -> None:
    make_project()
    installed(pytest_xdist=None)
    assert pytester.runpytest_inprocess("--mlflow-project=proj", "--co").ret == 0


def test_an_idle_plugin_needs_nothing(pytester: pytest.Pytester, installed: Installed) -> None:
    pytester.makepyfile("def test_it(): pass")
    installed(mlflow=None, numpy=None)
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_the_fixtures_that_launch_say_the_same(
    pytester: pytest.Pytester, make_project: MakeProject, installed: Installed
) -> None:
    make_project()
    installed(mlflow="2.20.3")
    pytester.makepyfile(
        """
        def test_one(mlflow_launch): pass
        def test_both(mlflow_launches): pass
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        ["E *UserError: pytest-mlflow-check needs mlflow>=2.22 (2.20.3 is installed): *"] * 2
    )


@pytest.mark.parametrize("project", ["example_project", "tests/projects/stage4"])
def test_a_checkout_works_without_what_only_tests_need(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, project: str
) -> None:
    """The README's first sessions load our conftest. `.ci/first-commands` does it in a real environment."""
    absent = {"hypothesis", "jsonschema", "psycopg2", "sklearn"}
    (tmp_path / "sitecustomize.py").write_text(WITHOUT.format(absent=absent))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    # Loading Hypothesis's plugin is what finding it absent comes to.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    monkeypatch.chdir(ROOT)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    result = pytester.run(*command, f"--mlflow-project={project}", "--co", "-q")
    assert result.ret == 0, result.stderr.str()
    result.stdout.fnmatch_lines(["5 tests collected*"])
