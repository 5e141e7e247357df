"""Annotations of GitHub Actions, to the letter; and that no text of a project's becomes a command there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mlflow_check.plugin.item_report import Annotation
from pytest_mlflow_check.reporting.github import MOST, annotated
from support.builders import quick

GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/home/runner/work/repo"}


def annotation(**given: Any) -> Annotation:
    usual: Annotation = {
        "severity": "error",
        "title": "params: 1 missing",
        "text": "why\nfix: so",
        "file": "/home/runner/work/repo/proj/train.py",
        "line": 12,
    }
    return {**usual, **given}  # type: ignore[typeddict-item]


def lines(*annotations: Annotation, **environment: str) -> list[str]:
    return list(annotated([("proj::main", one) for one in annotations], GITHUB | environment))


def test_an_error_and_a_warning() -> None:
    assert lines(annotation(severity="warning", line=None), annotation()) == [
        "::error file=proj/train.py,line=12,title=params%3A 1 missing::why%0Afix: so%0Acase: proj::main",
        "::warning file=proj/train.py,title=params%3A 1 missing::why%0Afix: so%0Acase: proj::main",
    ]


@pytest.mark.parametrize("value", ["", "false", "1"])
def test_nothing_outside_of_github(value: str) -> None:
    assert lines(annotation(), GITHUB_ACTIONS=value) == []


def test_what_github_demands_is_escaped() -> None:
    given = annotation(title="100%, a:b\nc", text="50%\r\nx, y: z", file="/home/runner/work/repo/a,b:c%.py")
    assert lines(given) == [
        "::error file=a%2Cb%3Ac%25.py,line=12,title=100%25%2C a%3Ab c::50%25%0D%0Ax, y: z%0Acase: proj::main"
    ]


@pytest.mark.parametrize(
    ("file", "workspace", "expected"),
    [
        ("/home/runner/work/repo/train.py", "/home/runner/work/repo/", "file=train.py,line=12,"),
        ("/home/runner/work/repo/a/../b.py", "/home/runner/work/repo", "file=b.py,line=12,"),
        ("/home/runner/work/repository/train.py", "/home/runner/work/repo", ""),
        ("/usr/lib/python3/x.py", "/home/runner/work/repo", ""),
        ("/home/runner/work/repo/train.py", "", ""),
    ],
)
def test_the_file_is_that_of_the_repository_or_none(file: str, workspace: str, expected: str) -> None:
    (line,) = lines(annotation(file=file), GITHUB_WORKSPACE=workspace)
    assert line.startswith(f"::error {expected}title=")


def test_a_checkout_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "link").symlink_to("repo")
    (line,) = lines(annotation(file=str(tmp_path / "repo" / "x.py")), GITHUB_WORKSPACE=str(tmp_path / "link"))
    assert line.startswith("::error file=x.py,line=12,")


def test_what_several_cases_say_alike_is_said_once() -> None:
    said = [(f"proj::{number}", annotation()) for number in range(7)]
    found = list(annotated([*said, said[0], ("proj::0", annotation(line=3))], GITHUB))
    assert [line.rpartition("%0A")[2] for line in found] == [
        "cases: proj::0, proj::1, proj::2, proj::3, proj::4 and 2 more",
        "case: proj::0",
    ]


def test_more_than_github_shows_are_counted() -> None:
    errors = [annotation(line=number) for number in range(1, 14)]
    found = lines(annotation(severity="warning"), *errors)
    assert [re.findall(r"line=(\d+)", line) for line in found] == [
        *([str(number)] for number in range(1, MOST + 1)),
        [],
        ["12"],
    ]
    assert found[MOST] == "mlflow-check: 3 more errors: GitHub shows 10 of a step"


def test_a_text_without_end_is_cut() -> None:
    (line,) = lines(annotation(text="x" * 10**6))
    assert line.endswith("x…%0Acase: proj::main")
    assert len(line) < 5000


@quick
@given(
    st.sampled_from(["title", "text", "file"]),
    st.lists(st.sampled_from(["\n", "\r", "::", "::error::", "%0A", "%", ",line=9", "a", " "])).map("".join),
)
def test_no_text_makes_a_second_command_or_another_property(field: str, text: str) -> None:
    value = f"/home/runner/work/repo/{text}" if field == "file" else text
    (line,) = lines(annotation(**{field: value}))
    assert "\n" not in line
    assert "\r" not in line
    head, _ = re.fullmatch(r"::error ([^:]*)::(.*)", line).groups()  # type: ignore[union-attr]
    names = [part.partition("=")[0] for part in head.split(",")]
    assert names in (["file", "line", "title"], ["title"])
