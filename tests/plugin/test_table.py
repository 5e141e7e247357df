"""The table of the summary, in the columns that there are."""

from __future__ import annotations

from textwrap import dedent

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.plugin.table import laid_out
from pytest_mlflow_check.reporting.text import width

HEAD = ["case", "launches", "params", "metrics", "artifacts", "models", "contract"]
PLAIN = ["passed", "passed", "passed", "passed", "passed", "passed"]
MIXED = ["FAILED", "skipped", "skipped", "skipped", "skipped", "skipped"]
WARNED = ["passed (1w)"] * 6


def lines(*rows: list[str], columns: int = 80) -> str:
    return "\n".join("".join(cells).rstrip() for cells in laid_out([HEAD, *rows], columns))


def text(expected: str) -> str:
    return dedent(expected).strip("\n")


def test_names_stand_in_full_where_there_is_room() -> None:
    assert lines(["proj::main", *PLAIN], ["proj::表", *MIXED]) == snapshot("""\
case        launches  params   metrics  artifacts  models   contract
proj::main  passed    passed   passed   passed     passed   passed
proj::表    FAILED    skipped  skipped  skipped    skipped  skipped\
""")


def test_names_are_shortened_in_the_middle() -> None:
    name = "tests/projects/stage4::main"
    assert lines([name, *MIXED], ["表/表表表表表表表表表::main", *PLAIN]) == snapshot("""\
case                    launches  params   metrics  artifacts  models   contract
tests/proje…age4::main  FAILED    skipped  skipped  skipped    skipped  skipped
表/表表表表…表表::main  passed    passed   passed   passed     passed   passed\
""")
    assert name in lines([name, *MIXED], columns=90)


def test_names_that_would_become_one_get_lines_of_their_own() -> None:
    rows = [[f"projects/with-a-long-{name}-name::main", *PLAIN] for name in ("first", "other")]
    assert lines(*rows) == snapshot("""\
case
  launches  params  metrics  artifacts  models  contract
projects/with-a-long-first-name::main
  passed    passed  passed   passed     passed  passed
projects/with-a-long-other-name::main
  passed    passed  passed   passed     passed  passed\
""")


def test_names_for_which_too_little_is_left_get_lines_of_their_own() -> None:
    assert lines(["proj::main", *WARNED], ["x" * 90, *PLAIN]) == text(
        f"""
        case
          launches     params       metrics      artifacts    models       contract
        proj::main
          passed (1w)  passed (1w)  passed (1w)  passed (1w)  passed (1w)  passed (1w)
        {"x" * 40}…{"x" * 39}
          passed       passed       passed       passed       passed       passed
        """
    )


@pytest.mark.parametrize("cells", [PLAIN, MIXED, WARNED])
@pytest.mark.parametrize("name", ["a", "proj::main", "表" * 50, "tests/projects/stage4::main"])
def test_no_line_is_longer_than_the_terminal_is_wide(name: str, cells: list[str]) -> None:
    assert max(map(width, lines([name, *cells]).splitlines())) <= 80
