"""How often a project is launched to tell chance from launch mode: once more where values differ."""

from __future__ import annotations

import pytest

from support.projects import LOGGING, MakeProject

pytestmark = [pytest.mark.e2e, pytest.mark.launch]

COUNTING = f"""{LOGGING}
import random
from pathlib import Path

VALUE
with open(COUNTER, "a") as counter:
    print("launched", file=counter)
(run / "metrics" / "loss").write_text(f"1 {{value}} 1\\n2 {{value}} 2\\n")
"""


def test_one_launch_more_until_the_code_changes(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    counter = pytester.path / "counter"

    def launched(value: str) -> tuple[int, str]:
        """How often a session launched the project, and what it said."""
        counter.write_text("")
        script = COUNTING.replace("COUNTER", repr(str(counter))).replace("VALUE", f"value = {value}")
        make_project(
            files={"MLproject": 'entry_points: {main: {command: "python train.py"}}\n', "train.py": script}
        )
        result = pytester.runpytest("--mlflow-project=proj", "-k", "metrics")
        return len(counter.read_text().splitlines()), result.stdout.str()

    times, said = launched("random.random()")
    assert (times, "[metric-varies]" in said) == (3, True)
    times, said = launched("random.random()")
    assert (times, "in an earlier session" in said.replace("\n  ", " ")) == (2, True)
    # What was remembered is of other code: the mode makes the difference now.
    times, said = launched('float("MLFLOW_RUN_ID" in os.environ)')
    assert (times, "[metric-values-differ]" in said) == (3, True)
    times, said = launched("0.5")
    assert (times, "differ" in said) == (2, False)
