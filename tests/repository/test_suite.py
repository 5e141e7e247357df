"""The tests themselves: what collecting them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support import ROOT

LIBRARIES = ("mlflow", "pandas", "scipy", "sklearn", "sqlalchemy", "torch", "transformers", "xgboost")
"""Take a second or more to import, in each worker of pytest-xdist again."""

COLLECT = f"""
import sys, pytest
code = pytest.main(["--co", "-q", "-q", "tests", *sys.argv[1:]])
print("imported:", *(name for name in {LIBRARIES} if name in sys.modules))
sys.exit(code)
"""


@pytest.mark.e2e
@pytest.mark.parametrize("marks", ["heavy or not heavy", "not (e2e or launch or mlflow or heavy)"])
def test_collecting_imports_no_large_library(marks: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, "-m", marks],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].strip() == "imported:"
