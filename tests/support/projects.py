"""Projects that cost little to launch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

FILES = {
    "MLproject": 'entry_points:\n  main:\n    command: "python train.py"\n',
    "train.py": 'print("trained")\n',
}

LOGGING = """
import os
from pathlib import Path
from urllib.parse import urlsplit

store = Path(urlsplit(os.environ["MLFLOW_TRACKING_URI"]).path)
run = store / "0" / "f00d"
(run / "metrics").mkdir(parents=True)
(store / "0" / "meta.yaml").write_text("{experiment_id: '0', name: Default}")
(run / "meta.yaml").write_text("{run_id: f00d, run_name: r, status: 3, start_time: 1, end_time: 2}")
(run / "metrics" / "loss").write_text("1 0.5 0\\n2 0.25 0\\n")
"""
"""Logs a metric without step, by hand: MLflow takes seconds for it."""


class MakeProject(Protocol):
    """What the fixture `make_project` gives."""

    def __call__(self, directory: str = "proj", files: Mapping[str, str] = FILES) -> Path:
        """Writes the files into a directory, an MLproject and a script without MLflow by default."""


MLPROJECT = """\
name: sample-é
python_env: python_env.yaml
entry_points:
  main:
    parameters:
      index: int
      rate: {type: float, default: 1e-3}
      name: &name {default: "it's", type: string}
      other: *name
    command: "python train.py -i {index} {rate} {name}"   # comment
  eval: {command: 'python eval.py'}
"""
SETTINGS = """\
store = "file"
timeout = 60.5
ignore = { metrics = ["system/*", '*_é'] }

[rules]
metric-without-step = "off"

[[case]]
id = "ten"
params = { index = 10, name = "a b" }
env = { SEED = "0" }

[[allow]]
rule = "param-quoted"
reason = \"\"\"
why
\"\"\"
"""
