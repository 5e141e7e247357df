"""Measures everything that the README says of speed, and prints it as a table.

    python benchmarks/run.py [--only session cases series idle soak observer workspace report]
                             [--rounds 5] [--json FILE]

Each part says in its own module what is measured, and how. All of it takes about an hour with two processors,
most of it MLflow's client reading a million points.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
import idle
import observer
import report
import series
import session
import soak
import workspace
from measuring import Figure, machine, table

_PARTS: dict[str, Callable[[Path, int], tuple[list[Figure], dict[str, Any]]]] = {
    "session": session.measure,
    "cases": cases.measure,
    "series": series.measure,
    "idle": idle.measure,
    "soak": soak.measure,
    "observer": observer.measure,
    "workspace": workspace.measure,
    "report": report.measure,
}


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=[*_PARTS], help="parts to measure")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and all times to a file")
    options = parser.parse_args()
    here = machine()
    about = (
        f"MLflow {here['mlflow']}, Python {here['python']}, pytest {here['pytest']}, "
        f"{here['processors']} processors, {here['date']}"
    )
    print(f"{about}, load {os.getloadavg()[0]:.1f}")
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    for part in options.only:
        print(f"\n{part}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            found, raw[part] = _PARTS[part](Path(scratch).resolve(), options.rounds)
        figures += found
    print(
        f"\nload {os.getloadavg()[0]:.1f}\n\n{table(figures)}\n\n{about}; medians of {options.rounds} rounds"
    )
    if options.json:
        text = json.dumps({**here, "figures": {one.name: one.measured for one in figures}, **raw}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
