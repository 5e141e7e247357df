"""A session started as a user does, and what it found."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from support import ROOT


def run_session(tmp_path: Path, *arguments: str) -> tuple[str, ET.Element]:
    """Runs a session as a user does, from the repository; gives the output and the JUnit report."""
    junit = tmp_path / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "console_output_style=classic"]
    options = [f"--basetemp={tmp_path / 'base'}", f"--junitxml={junit}", *arguments]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout, ET.parse(junit).getroot()


def findings(text: str) -> dict[str, set[str]]:
    """What a failure text is about, by rule: the first column of the table below each title."""
    found: dict[str, set[str]] = {}
    for block in re.finditer(r"^\S.* \[([a-z-]+)\]\n\n {4}\S.*\n((?: {4}\S.*\n)+)", text, re.MULTILINE):
        rows = block[2].splitlines()
        found[block[1]] = {re.split(r" {4,}", row.strip())[0] for row in rows}
    return found


def outcome(report: ET.Element) -> dict[str, dict[str, dict[str, set[str]]]]:
    """The findings of a session: by project, with any case but `main`, and by check."""
    found: dict[str, dict[str, dict[str, set[str]]]] = {}
    for item in report.iter("testcase"):
        project = item.attrib["classname"].removesuffix(".main").replace(".MLproject", "").replace(".", "/")
        checks = found.setdefault(project, {})
        for failure in item.iter("failure"):
            checks[item.attrib["name"]] = findings((failure.text or "") + "\n")
    return found
