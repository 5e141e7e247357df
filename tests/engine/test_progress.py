"""Following a launch by what it leaves on the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.engine.launch import OBSERVATIONS, STDOUT, VALIDATION
from pytest_mlflow_check.engine.progress import LaunchProgress


def call(what: str, key: str = "", **given: Any) -> str:
    return (
        json.dumps({"process": 1, "what": what, "key": key, "time": 1.5, **given}, separators=(",", ":"))
        + "\n"
    )


@pytest.fixture
def area(tmp_path: Path) -> Path:
    """That of a launch whose process has been started."""
    area = tmp_path / "attempt-x"
    area.mkdir()
    (area / STDOUT).touch()
    return area


def write(area: Path, text: str) -> None:
    with (area / OBSERVATIONS).open("a", encoding="utf-8") as file:
        file.write(text)


def follow(area: Path) -> LaunchProgress:
    follower = LaunchProgress("proj::main", "fluent", area.parent)
    follower.poll(1.0)
    return follower


def test_secrets_are_masked(area: Path) -> None:
    write(area, call("log_param", "token", value="hunter22"))
    follower = LaunchProgress("proj::main", "fluent", area.parent, masked=Secrets(("hunter22",)).masked)
    follower.poll(1.0)
    assert follower.last == "log_param token = ***"


def test_its_phases(tmp_path: Path) -> None:
    follower = LaunchProgress("proj::main", "fluent", tmp_path / "home")
    seen = [(follower.phase, follower.since)]
    steps = [
        "home",
        "home/attempt-a",
        f"home/attempt-a/{STDOUT}",
        f"home/attempt-a/{VALIDATION}",
        "home/result.json",
    ]
    for now, step in enumerate(steps, 1):
        (tmp_path / step).mkdir()
        follower.poll(now)
        seen.append((follower.phase, follower.since))
    assert seen == [
        ("waiting", 0.0),
        ("waiting", 1),
        ("copying", 2),
        ("running", 2),
        ("validating models", 2),
        ("over", 2),
    ]


def test_points_are_counted_and_each_is_read_once(area: Path) -> None:
    follower = follow(area)
    found = [(follower.points, follower.last)]
    metric = call("log_metric", "loss", value="0.25", step=3)
    pieces = [
        call("start_run"),
        metric * 3 + metric[:20],
        metric[20:] + call("log_param", "text", value='"what":"log_metric"'),
        call("log_metric", '"what":"log_metric"', value="0.1234567890123"),
        "no observation\n",
    ]
    for piece in pieces:
        write(area, piece)
        follower.poll(2.0)
        found.append((follower.points, follower.last))
    assert found == [
        (0, ""),
        (0, "start_run"),
        (3, "log_metric loss = 0.25, step 3"),
        (4, 'log_param text = "what":"log_metric"'),
        (5, 'log_metric "what":"log_metric" = 0.123457'),
        (5, 'log_metric "what":"log_metric" = 0.123457'),
    ]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (call("log_artifact", "a/b.txt", value="/tmp/b.txt"), "log_artifact a/b.txt"),
        (call("set_tag", "kind", value="x"), "set_tag kind = x"),
        (call("log_metric", "loss", value="nan"), "log_metric loss = nan"),
        (call("log_metric", "loss", value="one"), "log_metric loss = one"),
        (call("log_metric", "loss", value=10**400), f"log_metric loss = 1{'0' * 400}"),
        (call("log_param", "a\n::error::\x1b[2J", value=" b\tc "), "log_param a ::error::�[2J = b c"),
        (call(17), ""),  # type: ignore[arg-type]
        (call("log_metric", "a", step={"b": 1}), ""),
        (call("log_param", "a", value="x" * 5000), f"log_param a = {'x' * 986}"),
        ("[]\n", ""),
        ("{\n", ""),
    ],
)
def test_the_last_call_in_words(area: Path, line: str, shown: str) -> None:
    write(area, line)
    assert follow(area).last == shown


def test_a_launch_that_is_made_anew(area: Path) -> None:
    write(area, call("log_metric", "loss"))
    follower = follow(area)
    assert follower.points == 1
    (area.parent / "attempt-y").mkdir()
    follower.poll(2.0)
    assert (follower.phase, follower.points, follower.last) == ("copying", 0, "")


def test_what_a_launch_put_in_place_of_the_file(area: Path) -> None:
    """A named pipe, which would keep whoever opens it waiting, and a directory."""
    os.mkfifo(area / OBSERVATIONS)
    follower = follow(area)
    assert follower.last == ""
    (area / OBSERVATIONS).unlink()
    (area / OBSERVATIONS).mkdir()
    follower.poll(2.0)
    assert (follower.phase, follower.last) == ("running", "")


def test_a_line_without_end_is_passed_over(area: Path) -> None:
    write(area, "x" * 100_000)
    follower = follow(area)
    write(area, "\n" + call("log_metric", "loss"))
    follower.poll(2.0)
    assert (follower.points, follower.last) == (1, "log_metric loss")
