"""Every rule's fix is applied, and what applies it adds nothing of its own: `python tests/fixes/run.py`."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from fixes.apply import NotApplicable, Printed, Project, Put
from fixes.rows import NOT_AS_TEXT, ROWS
from pytest_mlflow_check.rules import RULES
from support import ROOT

TRAIN = """import mlflow


def train(lr):
    with mlflow.start_run():
        for epoch in range(3):
            mlflow.log_metric(
                "loss",
                lr / (epoch + 1),
            )
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "train.py").write_text(TRAIN)
    return Project(tmp_path)


def printed(fix: str, source_line: str | None = None, *parts: tuple[str, str]) -> Printed:
    return Printed("a-rule", "loss", fix, source_line, parts)


def changed(project: Project) -> list[str]:
    """The lines that are new."""
    before = TRAIN.splitlines()
    after = (project.directory / "train.py").read_text().splitlines()
    return [line for line in after if line not in before]


def test_every_rule_is_applied_or_has_a_reason() -> None:
    applied = {row.rule for row in ROWS}
    assert applied | NOT_AS_TEXT.keys() == RULES.keys()
    assert applied & NOT_AS_TEXT.keys() == set()
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert {rule for row in ROWS for rule in row.then} <= RULES.keys()


def test_every_project_can_be_made() -> None:
    for row in ROWS:
        assert row.project.texts()


def test_code_goes_where_the_fix_says(project: Project) -> None:
    fix = "give the call in train.py:7 the number of the iteration:  step=…"
    project.apply([printed(fix)] * 2, [Put("argument", fill=("epoch",))])
    assert changed(project) == ["                lr / (epoch + 1), step=epoch"]
    compile((project.directory / "train.py").read_text(), "train.py", "exec")


def test_what_comes_after_a_line_that_opens_a_block_is_in_it(project: Project) -> None:
    fix = 'log it after start_run() in train.py:5:  mlflow.log_param("lr", …)'
    project.apply([printed(fix)], [Put("after", fill=("lr",))])
    assert changed(project) == ['        mlflow.log_param("lr", lr)']
    compile((project.directory / "train.py").read_text(), "train.py", "exec")


def test_what_is_around_a_line_takes_in_what_belongs_to_it(project: Project) -> None:
    project.apply([printed("start one:  with mlflow.start_run():", "train.py:6")], [Put("around")])
    text = (project.directory / "train.py").read_text()
    assert (
        "        with mlflow.start_run():\n            for epoch in range(3):\n                mlflow.log"
        in text
    )
    compile(text, "train.py", "exec")


def test_settings_stand_above_the_tables_and_two_of_one_key_do_not(project: Project) -> None:
    settings = project.directory / "mlflow-check.toml"
    settings.write_text('ignore = { tags = ["a"] }\n[[case]]\nid = "one"\n')
    project.apply([printed('or:  ignore = { tags = ["a", "b"] }')], [Put("settings")])
    project.apply([printed("or:  metric_tolerance = { rel = 1e-6 }")], [Put("settings")])
    assert settings.read_text() == (
        'metric_tolerance = { rel = 1e-6 }\nignore = { tags = ["a", "b"] }\n[[case]]\nid = "one"\n'
    )


@pytest.mark.parametrize(
    ("fix", "put", "why"),
    [
        ("log it", Put("before"), "no code 0"),
        ("log it:  mlflow.log_param('x', 1)", Put("before"), "no place 0"),
        ("log it:  mlflow.log_param('x', …)", Put("before", at="train.py: import"), "1 blanks to fill"),
        ("log it:  mlflow.log_param('x', …)", Put("before", fill=("alpha",)), "the project has no alpha"),
        ("log it in train.py:1", Put("remove"), "no code 0"),
    ],
)
def test_nothing_is_added_that_is_not_printed(project: Project, fix: str, put: Put, why: str) -> None:
    with pytest.raises(NotApplicable, match=why):
        project.apply([printed(fix)], [put])
    assert changed(project) == []


@pytest.mark.heavy
@pytest.mark.launch
@pytest.mark.skipif(version("mlflow").startswith("2."), reason="what is printed is the same: once is enough")
def test_every_fix_makes_the_next_run_green_or_names_the_next_true_thing() -> None:
    command = [sys.executable, "tests/fixes/run.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
