"""Text of a project that would take the terminal or a CI log over: it is shown as text."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from pytest_mlflow_check.checks.output_tail import output_of
from pytest_mlflow_check.checks.runner import Policy
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.text import final, printable
from pytest_mlflow_check.reporting.text import render
from support.builders import compare_runs, finding, judge, launch, run
from support.projects import LOGGING, MakeProject

HOSTILE = {
    "CSI": "\x1b[2J\x1b[31m",
    "title": "\x1b]0;pwned\x07",
    "link": "\x1b]8;;http://evil\x1b\\text",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "C1": "\x9b2J\x85\x90",
    "bell": "\x07",
    "backspace": "secret\b\b\b\b",
    "carriage return": "good\rbad",
    "bidi": "\u202e\u2066\u2069\u202c",
    "no width": "a\u200bb\ufeff",
    "line separators": "a\u2028b\u2029c",
    "surrogate": "\ud800",
    "NUL": "\0",
    "HTML": "<script>alert(1)</script>&amp;",
}
COMMANDS = [
    "::error::taken",
    "  ::set-output name=a::b",
    "##[error]x",
    "a ##vso[task.setvariable]x",
    "##teamcity[a]",
]
TAKEN = re.compile(r"^\s*::[a-zA-Z]|##(\[|vso\[|teamcity\[)", re.MULTILINE)


def is_safe(text: str) -> bool:
    """Whether neither a terminal nor a CI log takes any of it as a command."""
    return all(
        char in "\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
        or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        for char in text
    ) and not TAKEN.search(text)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("field", ["subject", "why", "fix", "fluent", "source_line", "run", "detail"])
def test_a_finding(field: str, hostile: str) -> None:
    text = render([finding("param-differs", **{field: f"a {HOSTILE[hostile]} b"})])
    assert is_safe(text)
    if hostile == "HTML":
        assert "<script>" in text


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("field", ["why", "detail", "subject", "fluent"])
def test_commands_of_ci_logs(field: str, command: str) -> None:
    assert TAKEN.search(command)
    assert is_safe(
        render([finding("param-differs", **{field: f"x\n{command}" if field == "detail" else command})])
    )


@given(st.text())
def test_any_text(text: str) -> None:
    assert is_safe(printable(text))


def test_what_is_harmless_stays() -> None:
    text = "params: é ✓ 漢字 a::b std::vector\n\tindented: [x] ## heading"
    assert printable(text) == text
    joined = "می\N{ZERO WIDTH NON-JOINER}خواهم 👩\N{ZERO WIDTH JOINER}🔬"
    assert printable(joined) == joined
    assert printable("10\N{NO-BREAK SPACE}%\N{IDEOGRAPHIC SPACE}。") == "10 % 。"


def test_the_message_of_a_mistake() -> None:
    assert is_safe(str(UserError(f"here:\n{''.join(HOSTILE.values())}")))


def test_lines_of_tables_stay_lines() -> None:
    one, other = (
        run(name, params={f"k{HOSTILE['carriage return']}\u2028": f"{value}\x1b[31m\n"})
        for name, value in (("r1", 1), ("r2", 2))
    )
    result = judge("params", compare_runs(one, other), Policy())
    rows = [line for line in render(result.findings).splitlines() if "good" in line and "31m" in line]
    assert len(rows) == 1


def test_a_progress_bar_is_shown_as_it_stood_last() -> None:
    bar = "".join(f"\r\x1b[32mepoch {n}/3\x1b[0m" for n in range(4)) + "\n"
    shown = output_of(launch("fluent", stderr=f"start\r\n{bar}\x1b]0;title\x07done\x1b[K\n")).splitlines()
    assert shown[2:5] == ["  start", "  epoch 3/3", "  done"]


def test_an_unfinished_sequence_hides_nothing_that_follows() -> None:
    assert final("a\x1b]0;open\nb") == snapshot("""\
a
b\
""")
    assert final("a\x1b[\nb") == snapshot("""\
a
b\
""")


@given(st.text(alphabet="\x1b\x9b[]0;\x07\\m\r\nab"))
def test_any_output(text: str) -> None:
    assert "\r" not in final(text)
    assert is_safe(printable(final(text)))


def test_a_long_line_is_shown_by_its_ends() -> None:
    output = output_of(launch("fluent", stderr=f"begin{'x' * 60_000}end"))
    (shown,) = (
        line for line in render([finding("launch-failed", detail=output)]).splitlines() if "xxx" in line
    )
    assert shown.strip().startswith("begin")
    assert shown.endswith("end")
    assert len(shown) < 3000


PRINTING = (
    LOGGING
    + """
(run / "params").mkdir()
(run / "params" / "a\\x1b[31m").write_bytes(os.urandom(4).hex().encode() + b"\\x1b]0;pwned\\x07\\xff")
(run / "tags").mkdir()
(run / "tags" / "team\\u202e").write_text(os.urandom(4).hex() + "<b>")
import sys
sys.stdout.buffer.write(b"\\xff\\x00<b>\\x1b[2J\\n::error::taken\\n")
sys.stdout.flush()
print("\\x1b]52;c;cm0gLXJm\\x07\\u2028\\u202e", file=sys.stderr)
raise SystemExit("\\x1b[31mgone\\r::set-output name=a::b")
"""
)


@pytest.mark.parametrize("verbosity", ["-q", "-v", "-vv"])
def test_a_session(pytester: pytest.Pytester, make_project: MakeProject, verbosity: str) -> None:
    make_project(files={"train.py": PRINTING})
    options = ["--mlflow-project=proj", "--mlflow-entry-point=train.py", "--mlflow-launch=fluent", "-rA"]
    result = pytester.runpytest(*options, verbosity, "--junitxml=junit.xml", "-p", "no:logging")
    assert is_safe(result.stdout.str() + result.stderr.str())
    text = ET.parse(pytester.path / "junit.xml").getroot()
    (failure,) = text.iter("failure")
    assert "gone" in (failure.text or "") or "set-output" in (failure.text or "")
    assert is_safe(failure.text or "")


def test_names_of_directories(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("pr\x1b[31moj", files={"train.py": "raise SystemExit(3)"})
    settings = pytester.path / "pr\x1b[31moj" / "mlflow-check.toml"
    settings.write_text('[[case]]\nentry_point = "train.py"\nunknown = 1\n')
    result = pytester.runpytest("--mlflow-project=pr\x1b[31moj")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert is_safe(result.stderr.str())


@pytest.mark.e2e
def test_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--mlflow-explain=run-closed-at-exit",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert b"run-closed-at-exit" in done.stdout
