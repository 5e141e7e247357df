"""Fixes of launches that failed, followed to the letter: the next run names the next fault, or is green."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.projects import LOGGING, MakeProject

MLPROJECT = """\
entry_points:
  main:
    parameters:
      lr: {type: float, default: 0.1}
    command: python Train.py --lr {lr}
"""

TRAIN = """\
import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float)
rate = parser.parse_args().learning_rate
import net
who = os.environ["TEAM"]
text = open("data/x.csv").read()
with open("out/y.txt", "w") as file:
    file.write(text)
""" + LOGGING.replace("\\n2 0.25 0", "\\n2 0.25 1")

FILES = {"MLproject": MLPROJECT, "train.py": TRAIN, "src/net.py": "LAYERS = 3\n"}


def follow(project: Path, finding: dict[str, str]) -> None:
    """Do what a fix says, and nothing else."""
    fix = finding["fix"]
    if found := re.fullmatch(r"in MLproject:(\d+) write  (.*)", fix):
        lines = (project / "MLproject").read_text().splitlines()
        lines[int(found[1]) - 1] = re.sub(r"command: .*", f"command: {found[2]}", lines[int(found[1]) - 1])
        (project / "MLproject").write_text("\n".join(lines) + "\n")
    elif found := re.match(r"set it .*mlflow-check\.toml.*?:  (?:\[\[case\]\]  )?(env = \{.*?\});", fix):
        (project / "mlflow-check.toml").write_text(f"[[case]]\n{found[1]}\n")
    elif found := re.match(r"put a file there as (\S+), or", fix):
        (project / found[1]).parent.mkdir(exist_ok=True)
        (project / found[1]).write_text("1,2\n")
    elif found := re.fullmatch(r"make it before train\.py:(\d+):  (.*)", fix):
        lines = (project / "train.py").read_text().splitlines()
        lines.insert(int(found[1]) - 1, found[2])
        (project / "train.py").write_text("\n".join(lines) + "\n")
    else:
        pytest.fail(f"nobody can follow: {fix}")


def test_each_fix_leads_to_the_next_fault_and_the_last_one_to_green(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    project = make_project(files=FILES)
    causes = []
    for _ in range(10):
        result = pytester.runpytest(
            "--mlflow-project=proj", "--mlflow-launch=fluent", "--mlflow-report=report.json"
        )
        if result.ret == 0:
            break
        report = json.loads((pytester.path / "report.json").read_text())
        (finding,) = report["projects"][0]["cases"][0]["checks"][0]["findings"]
        causes.append(finding["cause"] or finding["subject"])
        # It stands in pytest's own summary, whatever is above it.
        title = "launches: fluent failed" if finding["cause"] else "MLproject: "
        result.stdout.fnmatch_lines([f"FAILED proj/MLproject::main::launches - {title}*"])
        follow(project, finding)
    assert result.ret == 0, result.stdout.str()
    assert causes == [
        "Train.py",
        "--lr",
        "ModuleNotFoundError: No module named 'net'",
        "KeyError: 'TEAM'",
        "FileNotFoundError: [Errno 2] No such file or directory: 'data/x.csv'",
        "FileNotFoundError: [Errno 2] No such file or directory: 'out/y.txt'",
    ]


@pytest.mark.launch
def test_both_launches_fail_alike(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    make_project(
        files={
            "MLproject": MLPROJECT.replace("Train", "train"),
            "train.py": "import mlflow\n\nmlflow.start_run()\nraise RuntimeError('the optimizer diverged')\n",
        }
    )
    result = pytester.runpytest_subprocess("--mlflow-project=proj", "-k", "launches")
    text = result.stdout.str()
    assert text.count("\n      RuntimeError: the optimizer diverged") == 1
    assert "(`mlflow run . --env-manager=local` printed the same)" in text
    title = "launches: fluent and mlflow run failed: RuntimeError: the optimizer diverged"
    result.stdout.fnmatch_lines([f"{title}*[[]launch-failed[]]", f"FAILED *::launches - {title[:30]}*"])
    # The cause stands before what followed from it.
    annotation, _ = [line for line in text.splitlines() if line.startswith("::error ")]
    assert "file=proj/train.py,line=4" in annotation
    assert f"title={title.replace(':', '%3A')}::" in annotation
    assert "above" not in annotation
