"""The mutants themselves, without launching them: `python tests/mutants/matrix.py` does that."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mutants import MUTANTS
from mutants.forked import fork_server_for_scripts, forked_scripts
from mutants.matrix import Found, compare
from mutants.mutant import PROJECTS, Edit, Mutant
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.rules import RULES
from pytest_mlflow_check.runtime.forkserver.client import ForkServer
from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment, launch_environment


def test_ids_are_unique() -> None:
    assert [one for one, count in Counter(mutant.id for mutant in MUTANTS).items() if count > 1] == []


def test_there_are_enough_of_them() -> None:
    correct = [mutant for mutant in MUTANTS if mutant.correct]
    assert len(MUTANTS) - len(correct) >= 70
    # Beside the projects as they are.
    assert len([mutant for mutant in correct if mutant.edits or mutant.files]) >= 12
    assert {mutant.base for mutant in correct if not (mutant.edits or mutant.files)} == {
        path.name for path in PROJECTS.iterdir()
    }


def test_every_rule_has_one_in_each_version_of_mlflow() -> None:
    found: dict[str, set[int]] = {}
    for mutant in MUTANTS:
        for rule in [mutant.error, *(one.rule for one in mutant.expected)]:
            if rule is not None:
                found.setdefault(rule, set()).update(mutant.majors)
    # Each mutant is held to the contract of its base: what it lost is found out anew each time.
    assert {slug for slug, rule in RULES.items() if rule.check != "contract"} <= found.keys()
    # MLflow 2 keeps nothing of a model that it couldn't log.
    assert {rule for rule, majors in found.items() if majors != {2, 3}} <= {"model-not-registrable"}


def test_expectations_name_rules_and_their_checks() -> None:
    expected = [one for mutant in MUTANTS for one in mutant.expected]
    assert [one for one in expected if one.rule in RULES and RULES[one.rule].check != one.check] == []
    assert {one.rule for one in expected} <= RULES.keys()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_its_edits_fit_and_its_places_are_there(tmp_path: Path, mutant: Mutant) -> None:
    project = tmp_path / "project"
    mutant.write(project)
    for script in project.rglob("*.py"):
        ast.parse(script.read_text(encoding="utf-8"), script.name, feature_version=(3, 10))
    for one in mutant.expected:
        one.source_line(project)


def test_an_edit_that_fits_twice_is_refused() -> None:
    mutant = Mutant("twice", "nested", (Edit("search.py", "mlflow", "x"),))
    with pytest.raises(ValueError, match="twice: 10 times in search"):
        mutant.texts()


def test_findings_are_compared_one_by_one() -> None:
    wanted = [
        Found("metrics", "a", "loss", "t.py:1"),
        Found("metrics", "a", "loss", "t.py:2"),
        Found("metrics", "b", "l*"),
        Found("params", "c", "x", why="because"),
        Found("params", "d", "x"),
    ]
    found = [
        Found("metrics", "a", "loss", "t.py:2", "so"),
        Found("metrics", "a", "loss", "t.py:3", "so"),
        Found("metrics", "b", "lr", "t.py:4"),
        Found("params", "c", "x", None, "for another reason"),
        Found("params", "d", "x"),
        Found("params", "d", "x"),
    ]
    missed, false, misplaced = compare(wanted, found)
    assert missed == [wanted[3]]
    assert false == [found[3], found[5]]
    assert misplaced == [(found[1], "t.py:1")]


@pytest.fixture(scope="module")
def bin_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory with the `python` that forks."""
    directory = tmp_path_factory.mktemp("forked") / "bin"
    fork_server = fork_server_for_scripts(fork_server_environment([]))
    try:
        with forked_scripts(fork_server, directory):
            yield directory
    finally:
        fork_server.stop()


@pytest.mark.launch
@pytest.mark.parametrize(
    "code",
    [
        "import beside, os, sys; print(__name__, __file__, os.getcwd(), sys.argv, beside.__file__)",
        "import sys; print('out'); sys.exit('err')",
        "def fail():\n    raise ValueError('no')\n\nfail()",
        "def fail(:",
        "import os, signal; print('out', flush=True); os.kill(os.getpid(), signal.SIGKILL)",
        "import os; print('out', flush=True); os._exit(3)",
        "import pickle, sys; C = type('C', (), {}); print(pickle.loads(pickle.dumps(C())).__class__ is C)",
        "import atexit; atexit.register(print, 'at exit')",
    ],
    ids=["start", "exit", "exception", "syntax", "killed", "left", "main", "atexit"],
)
def test_a_forked_script_does_what_one_of_its_own_does(
    tmp_path: Path, bin_directory: Path, code: str
) -> None:
    (tmp_path / "beside.py").touch()
    (tmp_path / "script.py").write_text(code, encoding="utf-8")
    forked, own = (
        subprocess.run(
            [python, "script.py", "-a", "b"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        for python in (bin_directory / "python", sys.executable)
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (own.returncode, own.stdout, own.stderr)


@pytest.mark.launch
def test_forked_scripts_have_mlflow_loaded_and_others_not(tmp_path: Path, bin_directory: Path) -> None:
    code = "import os, sys; print('mlflow' in sys.modules)"
    (tmp_path / "script.py").write_text(code, encoding="utf-8")
    python = bin_directory / "python"
    for arguments, loaded in (["script.py"], "True\n"), (["-c", code], "False\n"):
        done = subprocess.run(
            [python, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
        )
        assert done.stdout == loaded


def test_launches_find_the_python_that_forks(tmp_path: Path) -> None:
    store = Store("file", tmp_path / "store")
    with forked_scripts(ForkServer("nowhere", {}), tmp_path / "bin"):
        env = launch_environment(store, root=tmp_path, copy=tmp_path)
    assert env["PATH"].partition(os.pathsep)[0] == str(tmp_path / "bin")
