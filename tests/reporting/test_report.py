"""What a report says, whatever a project logged: the document, and its three shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from jsonschema import Draft202012Validator

from pytest_mlflow_check.core.findings import Allowance, CheckResult, CodePart, Finding
from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.records import Launch, Observation
from pytest_mlflow_check.reporting.builder import NOT_RUN, CaseResults, CheckOutcome, ProjectResults, build
from pytest_mlflow_check.reporting.charts import Plots
from pytest_mlflow_check.reporting.downsampling import as_series, points_each
from pytest_mlflow_check.reporting.formats import write
from pytest_mlflow_check.reporting.html import prose, render_html, size, tree
from pytest_mlflow_check.reporting.json_report import SCHEMA_FILE, render_json, schema
from pytest_mlflow_check.reporting.markdown import MOST, render_markdown
from pytest_mlflow_check.reporting.model import Document
from pytest_mlflow_check.reporting.redaction import cut
from pytest_mlflow_check.reporting.run_model import Metric
from pytest_mlflow_check.reporting.source_excerpts import Sources
from pytest_mlflow_check.runtime.sandbox.workspace import contents
from support.builders import artifact, case, launch, model, parameter, run, series
from support.reports import HOSTILE, both_logged, checked, pair, report_of, settings_of


@pytest.fixture(scope="module")
def report() -> Document:
    return report_of(*pair())


# The document


def test_both_sides_and_how_they_stand_to_each_other(report: Document) -> None:
    (one,) = report.projects[0].cases[0].runs
    assert [(row.name, row.fluent, row.mlflow_run, row.state) for row in one.params] == [
        ("alpha", "0 5", "'0 5'", "differs"),
        ("same", "1", "1", "same"),
    ]
    assert [(row.name, row.state) for row in one.tags] == [("team", "fluent-only")]
    assert [(row.path, row.fluent, row.mlflow_run, row.state) for row in one.artifacts] == [
        ("log_dir/log.txt", 2048, None, "fluent-only")
    ]
    assert [(row.key, row.state, row.first_difference) for row in one.metrics] == [
        ("loss", "differs", 1),
        ("accuracy", "same", None),
    ]
    (of_model,) = one.models
    assert of_model.fluent is not None
    assert of_model.mlflow_run is not None
    assert of_model.mlflow_run.proof is not None
    assert of_model.fluent.inputs == ("alpha: double",)
    assert of_model.fluent.outputs == ("float32 [-1, 3]",)
    assert (of_model.mlflow_run.proof.registered, of_model.mlflow_run.proof.loaded) == (True, False)


def test_the_timeline_holds_calls_of_one_line_together(report: Document) -> None:
    timeline = report.projects[0].cases[0].launches[0].timeline
    assert [(one.what, one.keys, one.count, one.first, one.last, one.place) for one in timeline] == [
        ("start_run", (), 1, 1.0, 1.0, "train.py:1"),
        ("log_metric", ("loss", "accuracy"), 6, 2.0, 4.0, "train.py:2"),
    ]
    assert (timeline[1].first_step, timeline[1].last_step) == (0, 2)


def test_output_is_what_a_terminal_shows_in_the_end(report: Document) -> None:
    assert report.projects[0].cases[0].launches[0].stdout == "100%"


def test_what_the_settings_accept_is_marked_as_accepted() -> None:
    allow = [{"rule": "param-quoted", "match": "alpha", "reason": "raw"}]
    report = report_of(*pair(), allow=allow, ignore={"metrics": ["loss"]})
    (one,) = report.projects[0].cases[0].runs
    assert one.params[0].state == "allowed"
    assert {row.key: row.state for row in one.metrics} == {"loss": "ignored", "accuracy": "same"}


def test_of_one_launch_nothing_is_compared() -> None:
    report = report_of(pair()[0], launch="fluent")
    of_case = report.projects[0].cases[0]
    assert {row.state for row in of_case.runs[0].params} == {"single"}
    assert {check.name: check.outcome for check in of_case.checks} == {
        "launches": "passed",
        "params": "skipped",
        "metrics": "passed",
        "artifacts": "passed",
        "models": "passed",
    }


def verdict_of(**outcomes: CheckOutcome) -> tuple[str, str]:
    settings = settings_of()
    project = ProjectResults("proj", settings, cases=[CaseResults(case(), {}, outcomes)])
    made = build([project], versions={})
    return made.verdict, made.headline


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({"params": CheckOutcome("passed")}, ("passed", "1 of 1 checks in 1 case passed.")),
        (
            {"params": CheckOutcome("failed"), "models": NOT_RUN},
            ("failed", "1 of 2 checks in 1 case failed."),
        ),
        ({"params": CheckOutcome("error", text="x")}, ("failed", "1 of 1 checks in 1 case failed.")),
        (
            {"params": CheckOutcome("passed"), "models": NOT_RUN},
            ("incomplete", "The session ended early: 1 of 2 checks in 1 case weren't made."),
        ),
        (
            {"params": CheckOutcome("skipped", text="x")},
            ("passed", "None of 1 checks in 1 case had anything to say."),
        ),
    ],
)
def test_the_verdict(outcomes: dict[str, CheckOutcome], expected: tuple[str, str]) -> None:
    assert verdict_of(**outcomes) == expected


def test_an_allowance_that_nothing_needed_fails_a_strict_project() -> None:
    settings = settings_of(strict=True, allow=[{"rule": "param-differs", "match": "x", "reason": "y"}])
    of_case = CaseResults(case(), {}, {"params": CheckOutcome("passed")})
    unused = [Allowance("param-differs", "x", "y")]
    report = build([ProjectResults("proj", settings, cases=[of_case], unused=unused)], versions={})
    assert report.verdict == "failed"
    assert report.projects[0].allowances[0].used is False
    for text in (render_html(report), render_markdown(report)):
        assert "remove it" in text


def test_a_contract_that_is_not_written_fails_what_passed() -> None:
    of_case = CaseResults(case(), {}, {"params": CheckOutcome("passed")})
    why = "mlflow-contract.yaml: main isn't written: somebody is writing it"
    report = build([ProjectResults("proj", settings_of(), cases=[of_case])], versions={}, unwritten=[why])
    assert (report.verdict, report.unwritten) == ("failed", (why,))
    assert report.headline == "All checks passed, but the contract isn't written whole."
    for text in (render_html(report), render_markdown(report)):
        assert "somebody is writing it" in text


def test_a_session_that_ends_early_says_what_it_lacks() -> None:
    checks = {"params": CheckOutcome("passed"), "metrics": NOT_RUN}
    project = ProjectResults("proj", settings_of(), cases=[CaseResults(case(), {}, checks)])
    unwritten = build([project], versions={}, complete=False, unwritten=["why"])
    assert unwritten.headline == (
        "1 of 2 checks in 1 case weren't made, and the contract isn't written whole."
    )
    checks["metrics"] = CheckOutcome("passed")
    early = build([project], versions={}, complete=False)
    assert (early.verdict, early.headline) == (
        "incomplete",
        "The session ended early, when 2 checks were made.",
    )


def test_much_that_is_not_written_hides_nothing_else(tmp_path: Path) -> None:
    report = report_of(*pair(), unwritten=["why not " * 200] * 600)
    markdown = render_markdown(report)
    assert "…and 595 more." in markdown
    assert "| case |" in markdown
    # It still is known for a report, which doesn't go into copies.
    (tmp_path / "report.json").write_text(render_json(report), encoding="utf-8")
    assert list(contents(tmp_path)) == []


def test_a_check_that_is_not_among_ours_appears_by_itself() -> None:
    found = Finding("param-differs", "x", "Because.", "fix it")
    of_case = CaseResults(case(), {}, {"contract": CheckOutcome("failed", CheckResult("contract", (found,)))})
    report = build([ProjectResults("proj", settings_of(), cases=[of_case])], versions={})
    assert report.checks == ("contract",)
    assert "Contract: what was found" in render_html(report)
    assert "| case | contract |" in render_markdown(report)


def test_what_could_not_be_made_says_why() -> None:
    text = "INTERNAL ERROR in pytest-mlflow-check: a fault of the plugin\n\nTraceback …"
    of_case = CaseResults(case(), {}, {"params": CheckOutcome("error", None, text), "models": NOT_RUN})
    report = build([ProjectResults("proj", settings_of(), cases=[of_case])], versions={})
    for shape in (render_html(report), render_markdown(report)):
        assert "INTERNAL ERROR in pytest-mlflow-check" in shape
        assert "not made" in shape


def test_findings_show_the_source_around_their_place(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("\n".join(f"line {number}" for number in range(1, 21)))
    excerpt = Sources(tmp_path).excerpt("train.py:10")
    assert excerpt is not None
    assert [line.number for line in excerpt.lines] == [6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert excerpt.lines[4].text == "line 10"


@pytest.mark.parametrize(
    "source_line",
    [
        None,
        "",
        "train.py",
        "train.py:0",
        "train.py:99",
        "missing.py:1",
        "../secret.py:1",
        "link.py:1",
        ":1",
        "\0:1",
    ],
)
def test_no_source_is_read_where_there_is_none_or_outside_the_project(
    tmp_path: Path, source_line: str | None
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "train.py").write_text("x\n")
    (tmp_path / "secret.py").write_text("password\n")
    (project / "link.py").symlink_to(tmp_path / "secret.py")
    assert Sources(project).excerpt(source_line) is None


def test_secrets_are_masked_everywhere(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("token = 'hunter2-hunter2'\n")
    secret = "hunter2-hunter2"
    fluent = launch(
        "fluent",
        run(
            params={secret: secret}, metrics=[series(secret, [1.0, 2.0])], artifacts=[artifact(f"{secret}/a")]
        ),
        stdout=secret,
        command=f"python train.py {secret}",
        observations=(Observation("log_param", secret, source_line=f"{secret}.py:1"),),
    )
    mlflow_run = launch("mlflow-run", run("r2", models=[model(secret)]), stderr=secret)
    report = report_of(
        fluent, mlflow_run, project=tmp_path, secrets=Secrets((secret,)), case=case(params={"a": secret})
    )
    for text in (render_json(report), render_html(report), render_markdown(report)):
        assert secret not in text
    assert render_json(report).count("***") > 10


def test_a_text_that_is_too_long_keeps_both_ends() -> None:
    assert cut("a" * 50 + "b" * 50, 20) == f"{'a' * 10}… 80 characters left out …{'b' * 10}"


# Curves


def test_a_spike_stays_however_few_points_there_may_be() -> None:
    values = np.zeros(100_000)
    values[54_321], values[99_000] = 7.0, -7.0
    made = as_series(series("x", values), 40)
    assert len(made.steps) <= 40
    assert (54_321, 7.0) in zip(made.steps, made.values, strict=True)
    assert (99_000, -7.0) in zip(made.steps, made.values, strict=True)
    assert (made.points, made.lowest, made.highest, made.steps[0], made.steps[-1]) == (
        100_000,
        -7.0,
        7.0,
        0,
        99_999,
    )


def test_values_that_are_no_numbers_are_counted_and_not_drawn() -> None:
    made = as_series(series("x", [float("nan"), 1.0, float("inf"), float("-inf")]), 40)
    assert (made.first, made.last, made.not_finite, made.values) == ("NaN", "-Infinity", 3, (1.0,))


def test_the_points_of_all_curves_are_bounded() -> None:
    assert [points_each(number) for number in (1, 300, 10_000)] == [400, 200, 40]


def picture(*values: list[float], first: int | None = None) -> str:
    sides = [as_series(series("x", one), 400) for one in values]
    return str(Plots().draw(Metric("x", sides[0], sides[1], "same", first)))


def test_a_picture_holds_classes_and_numbers_and_nothing_else() -> None:
    drawn = picture([1.0, 2.0, 3.0], [1.0, 2.0, 4.0], first=2)
    assert set(re.findall(r"<(\w+)", drawn)) == {"svg", "path", "text"}
    assert set(re.findall(r' ([\w-]+)="', drawn)) == {
        *("viewBox", "role", "aria-label", "class", "d", "text-anchor", "x", "y")
    }
    assert re.findall(r'path class="([\w-]+)"', drawn).count("first") == 1
    assert (
        'aria-label="fluent: 3 points, steps 0 to 2, lowest 1, highest 3, last 3; '
        'mlflow run: 3 points, steps 0 to 2, lowest 1, highest 4, last 4; first difference at step 2"'
    ) in drawn


def test_a_wide_range_is_drawn_on_a_logarithmic_scale() -> None:
    assert ">1e" in picture([1e-3, 1e3], [1e-3, 1e3])


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 0.0],
        [1e308, -1e308],
        [5e-324, 1e308],
        [1.0, 1.0000000000000002],
        [float("nan"), 1.0],
        [2.0**70, 1],
    ],
)
def test_numbers_at_the_end_of_what_numbers_can_be_are_drawn(values: list[float]) -> None:
    assert 'class="mlflow-run"' in picture(values, values)


# JSON


def test_the_schema_is_up_to_date() -> None:
    """Written anew by `python -m pytest_mlflow_check.reporting.json_report`."""
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == schema()


def test_a_report_fits_its_schema(report: Document) -> None:
    validator = Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    written = json.loads(render_json(report))
    assert [error.message for error in validator.iter_errors(written)] == []
    assert written == json.loads(json.dumps(asdict(report)))
    del written["projects"][0]["cases"][0]["checks"][1]["findings"][0]["rule"]
    assert [error.message for error in validator.iter_errors(written)] == ["'rule' is a required property"]


# HTML and Markdown, with what doesn't belong there


class Structure(HTMLParser):
    """Which elements with which attributes a page has, and whether they are closed in their order."""

    void = ("meta", "wbr", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.open: list[str] = []
        self.comments: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, ""), *((tag, name) for name, _ in attrs)}
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, ""), *((tag, name) for name, _ in attrs)}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def of_text(text: str) -> Document:
    parameters = case(parameter("alpha"), params={"alpha": text})
    return report_of(*both_logged(text), case=parameters, unwritten=[text])


@pytest.fixture(scope="module")
def plain() -> Structure:
    return Structure(render_html(of_text("plain")))


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_was_logged_becomes_markup(plain: Structure, text: str) -> None:
    page = render_html(of_text(text))
    found = Structure(page)
    assert found.open == []
    assert found.comments == []
    assert found.found <= plain.found | WRITTEN
    assert not any(name.startswith("on") or name in ("style", "src") for _, name in found.found)
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\u202e\ufffe]", page) is None


WRITTEN = {(tag, name) for tag in ("code", "wbr", "span", "tr", "p", "pre") for name in ("", "class")}


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_was_logged_becomes_markdown(text: str) -> None:
    written = render_markdown(of_text(text))
    prose_only = re.sub(r"^(`{3,}).*?^\1$", "", written, flags=re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"<(/?\w+)", prose_only)) <= {
        *("details", "/details", "summary", "/summary", "code", "/code", "sub", "/sub")
    }
    assert prose_only.count("<details") == prose_only.count("</details>")
    # Nobody is mentioned from within code.
    assert "@octocat" not in re.sub(r"<code>.*?</code>", "", prose_only)
    assert "](" not in prose_only
    rows = [line for line in prose_only.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} <= {5, 7}


logged = st.text(st.characters(), max_size=20) | st.sampled_from(HOSTILE)


@given(logged)
def test_whatever_was_logged_the_page_is_ours(plain: Structure, text: str) -> None:
    page = render_html(of_text(text))
    found = Structure(page)
    assert found.open == []
    assert {tag for tag, _ in found.found} <= {tag for tag, _ in plain.found | WRITTEN}
    assert not any(name.startswith("on") or name in ("style", "src") for _, name in found.found)
    page.encode()


def test_the_page_asks_for_nothing_and_runs_nothing(report: Document) -> None:
    page = render_html(report)
    assert "default-src 'none'; style-src 'sha256-" in page
    assert not re.search(r"<script|<link|<iframe|<img|url\(|@import|style=", page)
    assert set(re.findall(r'href="([^#"][^"]*)"', page)) == set()
    anchors = re.findall(r'href="#([^"]+)"', page)
    ids = re.findall(r' id="([^"]+)"', page)
    assert set(anchors) <= set(ids)
    assert len(ids) == len(set(ids))


def test_what_a_screen_reader_needs_is_there(report: Document) -> None:
    page = render_html(report)
    for part in (
        '<html lang="en">',
        "<main",
        "<header",
        "<footer",
        "Skip to the checks",
        "prefers-color-scheme",
    ):
        assert part in page
    assert page.count("<caption") == page.count("<table")
    assert not re.search(r"<th(?! scope=| .*?scope=)(?=[ >])", page)
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_sentences_show_their_code() -> None:
    assert str(prose("`mlflow run` & `a<b`")) == "<code>mlflow run</code> &amp; <code>a&lt;b</code>"


def test_files_stand_below_their_directories() -> None:
    (one,) = (
        report_of(
            launch(
                "fluent",
                run(artifacts=[artifact("a/b/c"), artifact("a/b/d"), artifact("a/e"), artifact("f")]),
            ),
            launch="fluent",
        )
        .projects[0]
        .cases[0]
        .runs
    )
    assert [(row.name, row.depth, row.artifact is None) for row in tree(one.artifacts)] == [
        ("a", 0, True),
        ("b", 1, True),
        ("c", 2, False),
        ("d", 2, False),
        ("e", 1, False),
        ("f", 0, False),
    ]


def test_sizes() -> None:
    assert [size(number) for number in (0, 999, 1000, 12_345_678)] == ["0 B", "999 B", "1 kB", "12.3 MB"]


def test_markdown(report: Document) -> None:
    assert render_markdown(report_of(*both("0.5", "0.25"))) == MARKDOWN


@pytest.mark.parametrize(
    ("code", "language"), [("- loss: {}\n+ train_loss: {}", "diff"), ("import mlflow\n- x", "python")]
)
def test_code_in_markdown_says_what_it_is(code: str, language: str) -> None:
    part = CodePart("mlflow-contract.yaml:12", code)
    finding = Finding("contract-renamed", "metric loss", "why", "fix", code=(part,))
    of_case = CaseResults(
        case(), {}, {"contract": CheckOutcome("failed", CheckResult("contract", (finding,)))}
    )
    project = ProjectResults("proj", settings_of(), Secrets(), [of_case])
    report = build([project], versions={}, created="2026-01-02T03:04:05+00:00", seconds=1.0)
    assert f"```{language}\n{code}\n```" in render_markdown(report)


def both(one: str, other: str) -> Iterator[Launch]:
    yield launch("fluent", run(params={"alpha": one}))
    yield launch("mlflow-run", run("r2", params={"alpha": other}))


MARKDOWN = snapshot("""\
## ❌ mlflow-check: 1 of 5 checks in 1 case failed.

| case | launches | params | metrics | artifacts | models |
| --- | --- | --- | --- | --- | --- |
| <code>proj&#58;&#58;main</code> | ✅ passed | ❌ failed | ✅ passed | ✅ passed | ⏭️ skipped |

<details open><summary>❌ <code>proj&#58;&#58;main</code>: params&#58; 1 with different values \
<code>param-differs</code></summary>

| | fluent | mlflow run | place |
| --- | --- | --- | --- |
| <code>alpha</code> | <code>0.5</code> | <code>0.25</code> |  |

The code logged different values in the two launches.

**Fix:** log the same value however it is started&#44; or allow it with a reason

at the end of mlflow-check.toml

```toml
[[allow]]
rule = "param-differs"
match = "alpha"
reason = "…"
```

</details>

<sub>pytest-mlflow-check 0.1.0, mlflow 3.17.2, pytest 9.0.0, python 3.11.7</sub>
""")


def test_markdown_is_no_longer_than_github_takes_it() -> None:
    settings = settings_of()
    cases = [checked(*both("x" * 3000, f"y{number}"), settings=settings) for number in range(500)]
    written = render_markdown(build([ProjectResults("proj", settings, cases=cases)], versions={}))
    assert len(written) <= MOST
    assert "there is room for no more here" in written
    assert written.count("<details") == written.count("</details>")


# Writing


def test_a_report_replaces_the_one_before_and_makes_its_directory(tmp_path: Path) -> None:
    file = tmp_path / "new" / "report.md"
    write("one", file)
    write("two", file)
    assert file.read_text() == "two"
    assert [one.name for one in file.parent.iterdir()] == ["report.md"]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    write("one", file)
    with pytest.raises(UnicodeEncodeError):
        write("\ud800", file)
    assert file.read_text() == "one"
    assert [one.name for one in tmp_path.iterdir()] == ["report.md"]
