"""The mutants themselves, without launching them: `python tests/mutants/matrix.py` does that."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from mutants import MUTANTS
from mutants.matrix import Found, compare
from mutants.mutant import PROJECTS, Edit, Mutant
from pytest_mlflow_check.rules import RULES


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
