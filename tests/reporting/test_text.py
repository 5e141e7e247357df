"""Findings as text: whole texts as a terminal shows them, and what must never get through to it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.text import printable
from pytest_mlflow_check.reporting.text import (
    render,
    render_title,
    shortened,
    title_line,
    values_of,
    width,
    wrapped,
)
from pytest_mlflow_check.rules import RULES
from support.builders import finding, quick


def rows(*findings: Finding) -> list[str]:
    """The lines of the table."""
    lines = render(findings).splitlines()[2:]
    return [line.removeprefix("    ") for line in lines[: lines.index("")]]


def cells(fluent: str | None, mlflow_run: str | None) -> tuple[str, str]:
    """What the table shows of the two sides."""
    row = rows(finding("param-differs", "s", fluent=fluent, mlflow_run=mlflow_run))[1]
    _, one, other = re.split(" {4,}", row)
    return one, other


# Whole texts


def test_nothing_to_say() -> None:
    assert render([]) == ""


def test_one_finding() -> None:
    one = finding(
        "param-missing-in-fluent",
        "index",
        mlflow_run="10",
        source_line="MLproject:6",
        why="`mlflow run` logs the entry point's parameters by itself. `python iterate.py -i 10` doesn't, "
        "and the code never calls mlflow.log_param for them.",
        fix='log it after start_run():  mlflow.log_param("index", …)',
    )
    assert render([one]) == snapshot("""\
params: 1 missing in the fluent launch                 [param-missing-in-fluent]

    param    fluent    mlflow run    place
    index    —         10            MLproject:6

    `mlflow run` logs the entry point's parameters by itself. `python iterate.py
    -i 10` doesn't, and the code never calls mlflow.log_param for them.
    fix: log it after start_run():  mlflow.log_param("index", …)
    more: pytest --mlflow-explain=param-missing-in-fluent\
""")


def test_findings_of_one_rule_share_what_they_have_in_common() -> None:
    found = [
        finding("metric-missing", "loss", fluent="3 points", fix="log loss"),
        finding("metric-missing", "val/acc", mlflow_run="1 point", fix="log val/acc", run="run 1/2"),
    ]
    assert render(found) == snapshot("""\
metrics: 2 logged by one launch only                            [metric-missing]

    metric     fluent      mlflow run    run
    loss       3 points    —
    val/acc    —           1 point       run 1/2

    Because.
    fix: log loss
    fix: log val/acc
    more: pytest --mlflow-explain=metric-missing\
""")


def test_rules_stand_in_the_order_in_which_they_occur() -> None:
    found = [
        finding("param-quoted", "a", severity="warning", fluent="a b", mlflow_run="'a b'"),
        finding("param-differs", "b", fluent="1.0", mlflow_run="1", why="It differs."),
        finding("param-quoted", "c", severity="warning", fluent="", mlflow_run="''", why="Quoted."),
    ]
    assert render(found) == snapshot("""\
warning: params: 2 shell-quoted by mlflow run                     [param-quoted]

    param    fluent     mlflow run
    a        a b        'a b'
    c        (empty)    ''

    Because.

    Quoted.
    fix: fix it
    more: pytest --mlflow-explain=param-quoted

params: 1 with different values                                  [param-differs]

    param    fluent    mlflow run
    b        1.0       1

    It differs.
    fix: fix it
    more: pytest --mlflow-explain=param-differs\
""")


def test_a_failed_launch_shows_its_output() -> None:
    one = finding(
        "launch-failed",
        "fluent and mlflow run",
        fluent="exit code 3",
        mlflow_run="killed by SIGKILL",
        detail="python train.py\nthe end of stderr.txt:\n  Traceback\n\n    deep\n\n",
    )
    assert render([one]) == snapshot("""\
launches: fluent and mlflow run failed                           [launch-failed]

    launch                   fluent         mlflow run
    fluent and mlflow run    exit code 3    killed by SIGKILL

    Because.

    python train.py
    the end of stderr.txt:
      Traceback

        deep

    fix: fix it
    more: pytest --mlflow-explain=launch-failed\
""")


def test_a_detail_said_twice_is_shown_once() -> None:
    found = [
        finding("model-not-loadable", name, detail=text) for name, text in zip("abc", "xyx", strict=True)
    ]
    assert render(found) == snapshot("""\
models: 3 can't be loaded back                              [model-not-loadable]

    model    fluent    mlflow run
    a        —         —
    b        —         —
    c        —         —

    Because.

    x


    y

    fix: fix it
    more: pytest --mlflow-explain=model-not-loadable\
""")


def test_reasons_and_fixes_end_after_five() -> None:
    found = [finding("param-rewritten", f"p{i}", why=f"Why {i}.", fix=f"fix {i}") for i in range(8)]
    assert render(found) == snapshot("""\
launches: crashed, logged with two values: p0, p1, p2 and 5 more  [param-rewritten]

    param    fluent    mlflow run
    p0       —         —
    p1       —         —
    p2       —         —
    p3       —         —
    p4       —         —
    p5       —         —
    p6       —         —
    p7       —         —

    Why 0.

    Why 1.

    Why 2.

    Why 3.

    Why 4.

    and so for 3 more
    fix: fix 0
    fix: fix 1
    fix: fix 2
    fix: fix 3
    fix: fix 4
         and so for 3 more
    more: pytest --mlflow-explain=param-rewritten\
""")
    assert "and so for" not in render(found[:5])


def test_long_texts_are_wrapped_below_their_beginning() -> None:
    one = finding("param-differs", why="some words " * 12, fix="pip install a-package==1.0 " * 6)
    assert render([one]) == snapshot("""\
params: 1 with different values                                  [param-differs]

    param    fluent    mlflow run
    x        —         —

    some words some words some words some words some words some words some words
    some words some words some words some words some words
    fix: pip install a-package==1.0 pip install a-package==1.0 pip install
         a-package==1.0 pip install a-package==1.0 pip install a-package==1.0
         pip install a-package==1.0
    more: pytest --mlflow-explain=param-differs\
""")


# Titles


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], "launches: crashed, logged with two values: a"),
        (["a", "b", "c"], "launches: crashed, logged with two values: a, b, c"),
        (["a", "b", "a"], "launches: crashed, logged with two values: a, b"),
        (["a", "b", "c", "d"], "launches: crashed, logged with two values: a, b, c and 1 more"),
        (["{n}"], "launches: crashed, logged with two values: {n}"),
        (["a\nb"], "launches: crashed, logged with two values: 'a\\nb'"),
        (["x" * 50], f"launches: crashed, logged with two values: {'x' * 19}…{'x' * 19}"),
    ],
)
def test_titles_name_up_to_three(names: list[str], expected: str) -> None:
    assert render_title("param-rewritten", [finding("param-rewritten", name) for name in names]) == expected


def test_a_long_title_keeps_the_rule_behind_it() -> None:
    found = [finding("param-rewritten", letter * 30) for letter in "abc"]
    first = render(found).splitlines()[0]
    letters = ", ".join(letter * 30 for letter in "abc")
    assert first == f"launches: crashed, logged with two values: {letters}  [param-rewritten]"


@pytest.mark.parametrize("slug", RULES)
def test_every_rule_can_be_rendered(slug: str) -> None:
    shown = render([finding(slug, "subject")])
    assert shown.endswith(f"    more: pytest --mlflow-explain={slug}")
    assert shown.splitlines()[0].endswith(f"[{slug}]")
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("rule", "column"),
    [
        ("launch-failed", "launch"),
        ("no-run-logged", "launch"),
        ("param-rewritten", "param"),
        ("mlproject-null-default", "param"),
        ("param-differs", "param"),
        ("metric-missing", "metric"),
        ("artifact-missing", "artifact"),
        ("model-missing", "model"),
    ],
)
def test_the_first_column_says_what_it_is_about(rule: str, column: str) -> None:
    assert rows(finding(rule, "s"))[0].split() == [column, "fluent", "mlflow", "run"]


# Cells


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "—"),
        ("", "(empty)"),
        ("'a b'", "'a b'"),
        (" ", "' '"),
        ("x ", "'x '"),
        ("a\nb", r"'a\nb'"),
        ("a\tb", r"'a\tb'"),
        ("\x1b[31mred\x1b[0m", r"'\x1b[31mred\x1b[0m'"),
        ("a\x00b", r"'a\x00b'"),
        ("a\u202eb", r"'a\u202eb'"),
        ("a\u2028b", r"'a\u2028b'"),
        ("\ud800", r"'\ud800'"),
        ("naïve — 数", "naïve — 数"),
        ("x" * 40, "x" * 40),
        ("x" * 20 + "y" * 21, "x" * 19 + "…" + "y" * 19),
        ("\n" * 100, "'" + r"\n" * 9 + "…" + r"\n" * 9 + "'"),
    ],
)
def test_values_are_shown_in_one_short_line(value: str | None, shown: str) -> None:
    assert cells(value, "other")[0] == shown
    assert cells("other", value)[1] == shown


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("a" * 60 + "1" + "b" * 60, "a" * 60 + "2" + "b" * 60, ("…aaaaaaaaaa1", "…aaaaaaaaaa2")),
        ("a" * 60, "a" * 61, ("…aaaaaaaaaa", "…aaaaaaaaaaa")),
        ("x ", "'x '", ("'x '", "\"'x '\"")),
        ("", "(empty)", ("''", "'(empty)'")),
        (None, "—", ("—", "'—'")),
    ],
)
def test_sides_that_differ_look_different(one: str | None, other: str, shown: tuple[str, str]) -> None:
    said = cells(one, other)
    assert all(cell.startswith(start) for cell, start in zip(said, shown, strict=True))
    assert said[0] != said[1]
    assert cells(other, one) == said[::-1]


def test_sides_that_are_alike_look_alike() -> None:
    assert cells("(empty)", "(empty)") == ("(empty)", "(empty)")
    assert cells("x" * 60, "x" * 60) == ("x" * 19 + "…" + "x" * 19,) * 2


def test_run_and_place_stand_only_where_they_say_something() -> None:
    assert rows(
        finding("metric-missing", "a", run="run 1", source_line="train.py:3"),
        finding("metric-missing", "b", run="run 2"),
    ) == [
        "metric    fluent    mlflow run    run      place",
        "a         —         —             run 1    train.py:3",
        "b         —         —             run 2",
    ]
    assert rows(finding("metric-missing", "a", source_line="")) == [
        "metric    fluent    mlflow run",
        "a         —         —",
    ]


def test_columns_line_up_under_wide_and_combining_characters() -> None:
    table = rows(
        finding("param-differs", "数据", fluent="e\u0301", mlflow_run="1", source_line="a:1"),
        finding("param-differs", "abcd", fluent="e", mlflow_run="語", source_line="b:1"),
    )
    assert table == [
        "param    fluent    mlflow run    place",
        "数据     e\u0301         1             a:1",
        "abcd     e         語            b:1",
    ]
    table = rows(
        finding("param-differs", "\uff41\uff42", source_line="a:1"), finding("param-differs", "abcd")
    )
    assert table[1] == "\uff41\uff42     —         —             a:1"


def test_a_title_of_wide_characters_ends_where_the_others_do() -> None:
    first = render([finding("param-rewritten", "数据")]).splitlines()[0]
    assert (
        first
        == "launches: crashed, logged with two values: 数据".ljust(80 - 2 - len("[param-rewritten]"))
        + "[param-rewritten]"
    )


# What must never get through

EVIL = "a\x1b]0;title\x07\x1b[2J\r\x08\x9b31m\u202e\ud800 "


@pytest.mark.parametrize("field", ["subject", "fluent", "mlflow_run", "source_line", "why", "fix", "detail"])
def test_control_characters_reach_no_terminal(field: str) -> None:
    texts: dict[str, Any] = {"subject": "s", "why": "w", "fix": "f"} | {field: EVIL}
    shown = render([Finding("param-differs", **texts)])
    assert all(char.isprintable() or char == "\n" for char in shown)
    shown.encode()


@pytest.mark.parametrize("field", ["subject", "fluent", "mlflow_run", "source_line", "why", "fix"])
def test_line_ends_in_a_value_add_no_lines(field: str) -> None:
    plain = Finding(rule="param-differs", subject="s", why="w", fix="f", source_line="p")
    broken = Finding(**{**vars(plain), field: "a\nb\n\nlaunches: forged"})
    assert len(render([broken]).splitlines()) == len(render([plain]).splitlines())


def test_printable_keeps_lines_and_tabs() -> None:
    assert printable("a\tb\nc") == snapshot("""\
a\tb
c\
""")
    assert printable("\x1b[31m\r\x7f\u200b") == "�[31m���"


FINDINGS = st.builds(
    Finding,
    rule=st.sampled_from(["param-differs", "launch-failed", "metric-missing"]),
    subject=st.text(),
    why=st.text(min_size=1),
    fix=st.text(min_size=1),
    fluent=st.none() | st.text(),
    mlflow_run=st.none() | st.text(max_size=100),
    source_line=st.none() | st.text(max_size=30),
    detail=st.text(),
)


@quick
@given(st.lists(FINDINGS, max_size=4))
def test_anything_can_be_rendered(findings: list[Finding]) -> None:
    shown = render(findings)
    assert all(char.isprintable() or char in "\n\t" for char in shown)
    assert {f"[{one.rule}]" for one in findings} <= set(shown.split())


@quick
@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_cells_are_short_and_tell_the_sides_apart(subject: str, one: str, other: str) -> None:
    row = rows(finding("param-differs", subject, fluent=one, mlflow_run=other))[1]
    assert len(row) <= 3 * 40 + 2 * 4
    same = rows(finding("param-differs", subject, fluent=one, mlflow_run=one))[1]
    assert one == other or row != same


# Texts in a given width


@pytest.mark.parametrize(
    ("given", "columns", "expected"),
    [
        ("main", 4, "main"),
        ("tests/projects/stage4::main", 20, "tests/proj…ge4::main"),
        ("abcdef", 5, "ab…ef"),
        ("abcdef", 2, "a…"),
        ("abcdef", 1, "…"),
        # Two columns each: one stays free.
        ("表表表表表", 8, "表表…表"),
        ("表表表表表", 9, "表表…表表"),
        # A combining character stays with its letter.
        ("e\u0301" * 6, 5, "e\u0301e\u0301…e\u0301e\u0301"),
    ],
)
def test_both_ends_stay(given: str, columns: int, expected: str) -> None:
    assert shortened(given, columns) == expected


@quick
@given(st.text(max_size=60), st.integers(1, 70))
def test_what_is_shortened_fits(given: str, columns: int) -> None:
    assert width(shortened(given, columns)) <= columns


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", [""]),
        ("twenty columns wide .", ["twenty columns wide", "  ."]),
        ("twenty columns wide.", ["twenty columns wide."]),
        ("in /a/path/that/is/very/long it is", ["in", "  /a/path/that/is/very/long", "  it is"]),
        ("表表表表表 表表表表表", ["表表表表表", "  表表表表表"]),
        ("or write  key = [1, 2]  there", ["or write", "  key = [1, 2]", "  there"]),
        ("or write  k = [1]  there", ["or write  k = [1]", "  there"]),
        ("write  a = 1  here", ["write  a = 1  here"]),
    ],
)
def test_lines_end_between_words(given: str, expected: list[str]) -> None:
    assert wrapped(given, 20) == expected


@quick
@given(st.text("ab 表", max_size=60), st.integers(1, 30))
def test_nothing_gets_lost_in_lines(given: str, columns: int) -> None:
    assert "".join(wrapped(given, columns, "")).replace(" ", "") == given.replace(" ", "")


def test_all_that_was_found_in_one_line() -> None:
    error = finding("param-missing-in-fluent", "index")
    failed = [finding("launch-failed", "fluent", cause=cause) for cause in ("KeyError: 'a'", "ValueError: b")]
    warned = replace(finding("metric-without-step", "loss"), severity="warning")
    assert title_line([error]) == "params: 1 missing in the fluent launch"
    assert title_line([*failed, error, error]) == "launches: fluent failed: KeyError: 'a' (and 2 more)"
    assert title_line([warned]) == "warning: metrics: 1 with every point at step 0"
    assert title_line([]) == ""


@pytest.mark.parametrize(
    ("fluent", "mlflow_run", "told"),
    [
        ("1", "2", "fluent: 1, mlflow run: 2"),
        ("1", "1", "1"),
        (None, "2", "mlflow run: 2"),
        ("1", "not launched", "1"),
        ("not launched", "", "(empty)"),
        (None, None, ""),
        (None, "not launched", ""),
    ],
)
def test_the_values_of_both_sides_in_a_few_words(
    fluent: str | None, mlflow_run: str | None, told: str
) -> None:
    assert values_of(finding("param-differs", fluent=fluent, mlflow_run=mlflow_run)) == told
