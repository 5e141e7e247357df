"""Lines for the settings: two of one key can't stand there, so one has all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_mlflow_check.checks.confirmation import explained
from pytest_mlflow_check.checks.runner import compare_launches
from pytest_mlflow_check.checks.setting_lines import allowance, ignore_line, list_line
from pytest_mlflow_check.config.settings import Ignore, ProjectConfig, load_settings
from support.builders import finding


def held(directory: Path, text: str) -> ProjectConfig:
    """What the settings say once a text stands in their file."""
    (directory / "mlflow-check.toml").write_text(text, encoding="utf-8")
    return load_settings(directory).values


def test_kinds_have_lines_that_can_stand_beside_each_other(tmp_path: Path) -> None:
    lines = [ignore_line(Ignore(), "metrics", ["a", 'b"c']), ignore_line(Ignore(), "tags", ["d"])]
    assert lines == ['ignore.metrics = ["a", "b\\"c"]', 'ignore.tags = ["d"]']
    assert held(tmp_path, "\n".join(lines)).ignore == Ignore(metrics=("a", 'b"c'), tags=("d",))


def test_what_is_ignored_already_is_in_the_line_that_replaces_it(tmp_path: Path) -> None:
    line = ignore_line(Ignore(metrics=("system/*",), tags=("t",)), "metrics", ["loss", "system/*"])
    assert line == 'ignore = { metrics = ["system/*", "loss"], tags = ["t"] }'
    assert held(tmp_path, line).ignore == Ignore(metrics=("system/*", "loss"), tags=("t",))


def test_allowances_can_stand_beside_each_other(tmp_path: Path) -> None:
    parts = [allowance("param-quoted", name, "raw") for name in ("a", "b")]
    read = held(tmp_path, "\n\n".join(part.text for part in parts))
    assert [one.match for one in read.allow] == ["a", "b"]


def test_a_list_is_one_line() -> None:
    assert list_line("artifact_contents", []) == "artifact_contents = []"


def test_all_that_varies_has_one_line() -> None:
    known = frozenset(("metric-values-differ", name, "") for name in ("loss", "accuracy"))
    comparison = compare_launches({}, settings=ProjectConfig())
    found = [finding("metric-values-differ", name) for name in ("accuracy", "loss")]
    said = explained(replace(comparison, known_to_vary=known), found, lambda _: [])
    assert {one.fix.rpartition("  ")[2] for one in said} == {'ignore.metrics = ["accuracy", "loss"]'}
