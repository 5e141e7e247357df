"""How the observer meets MLflow: the garbage collector while it is imported, and a package loaded before.

What is called mlflow here are a few lines: only how it is imported counts.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_mlflow_check.runtime.observer.read_calls import read_observations
from support.observing import afterwards, with_own_store


def run(
    tmp_path: Path, script: str, package: Mapping[str, str], *, late: bool = False, **env: str
) -> subprocess.CompletedProcess[str]:
    """Runs a script with a package mlflow of these files beside it, whose own store is `file:///own`."""
    for name, text in {
        "train.py": script,
        **{f"mlflow/{name}": text for name, text in package.items()},
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    whole = with_own_store(tmp_path, env, block=True)
    command = [sys.executable, "train.py"]
    if late:
        command, whole = afterwards(command[1:], whole)
    return subprocess.run(command, cwd=tmp_path, env=whole, capture_output=True, text=True)


# The garbage collector.


@pytest.mark.parametrize("switch", ["enable", "disable"])
@pytest.mark.parametrize("package", ["", "raise OSError"])
def test_collector_is_off_while_mlflow_is_imported_and_then_as_before(
    tmp_path: Path, switch: str, package: str
) -> None:
    script = f"""
import gc
gc.{switch}()
gc.set_threshold(701, 11, 12)
try:
    import mlflow
except OSError:
    print("failed")
print(gc.isenabled(), gc.get_threshold(), gc.get_freeze_count() > 0)
"""
    done = run(tmp_path, script, {"__init__.py": f"import gc\nprint(gc.isenabled())\n{package}\n"})
    lines = ["False", *(["failed"] if package else []), f"{switch == 'enable'} (701, 11, 12) {not package}"]
    assert (done.stdout.splitlines(), done.stderr) == (lines, "")


COLLECTING = """
import gc, weakref

class Ring:
    def __init__(self):
        self.ring = self

class Count:
    left = 0
    def __init__(self):
        Count.left += 1
        self.ring = self
    def __del__(self):
        Count.left -= 1

collect = gc.collect
before = Ring()
old = weakref.ref(before)
import mlflow
after = Ring()
new = weakref.ref(after)
print(gc.collect is collect, collect.__name__ == gc.collect.__name__)
for _ in range(100_000):
    Count()
print(0 < Count.left < 90_000)
del before, after
gc.collect(generation=2)
print(old(), new(), Count.left, gc.get_freeze_count(), gc.collect is collect)
"""


def test_garbage_is_collected_as_ever(tmp_path: Path) -> None:
    done = run(tmp_path, COLLECTING, {"__init__.py": ""})
    assert (done.stdout, done.stderr) == ("False True\nTrue\nNone None 0 0 True\n", "")


def test_submodules_and_what_was_loaded_before_leave_the_collector_alone(tmp_path: Path) -> None:
    script = "import gc, mlflow.projects\nprint(gc.get_freeze_count(), gc.isenabled(), gc.collect)\n"
    files = {"__init__.py": "", "projects.py": "import gc\nprint(gc.isenabled())\n"}
    done = run(tmp_path, script, files, late=True)
    assert (done.stdout, done.stderr) == ("True\n0 True <built-in function collect>\n", "")


# Loaded before.

FLUENT = """
def active_run(): pass
def start_run(): pass
def end_run(): pass
def log_param(key, value): pass
"""


@pytest.mark.parametrize("late", [False, True])
def test_functions_are_wrapped_wherever_they_were_imported(tmp_path: Path, late: bool) -> None:
    files = {
        "__init__.py": "from mlflow.tracking.fluent import log_param\nimport mlflow.projects",
        "tracking/__init__.py": "def log_param(key, value): pass",
        "tracking/fluent.py": FLUENT,
        "projects/__init__.py": "from mlflow.tracking.fluent import log_param\n"
        "def run(uri): log_param('inner', 1)",
    }
    script = """
import mlflow
mlflow.log_param("one", 1)
mlflow.projects.run("two")
mlflow.tracking.log_param("another function", 3)
"""
    done = run(tmp_path, script, files, late=late)
    assert (done.returncode, done.stderr) == (0, "")
    assert [
        (call.what, call.key, call.by, call.source_line)
        for call in read_observations(tmp_path / "calls.jsonl")
    ] == [
        ("log_param", "one", "code", "train.py:3"),
        ("run_project", "two", "code", "train.py:4"),
        ("log_param", "inner", "mlflow-run", "train.py:4"),
    ]


@pytest.mark.parametrize("statement", ["import mlflow", "from mlflow.projects import run"])
@pytest.mark.parametrize("late", [False, True])
def test_blocked_start_raises_where_mlflow_is_imported(tmp_path: Path, statement: str, late: bool) -> None:
    files = {"__init__.py": "", "projects.py": "def run(): pass"}
    script = f"print('before')\n{statement}\n"
    done = run(tmp_path, script, files, late=late, MLFLOW_TRACKING_URI="http://x")
    assert (done.returncode, done.stdout) == (1, "before\n")
    assert 'RuntimeError: pytest-mlflow-check: tracking_uri = "block"' in done.stderr
    assert 'train.py", line 2' in done.stderr
