"""Modules, classes and functions have names of the field: words with a private meaning stay away."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support import ROOT

PRIVATE_WORDS = (
    *(
        "gate",
        "gated",
        "keeper",
        "kept",
        "warm",
        "prover",
        "proof",
        "underway",
        "remembered",
        "opened",
        "slot",
    ),
    *("weight", "footprint", "lined", "user_file", "in_front_of", "conditions"),
)


def definitions(file: Path) -> Iterator[str]:
    """The names of a module and of what it defines, in lower case with underscores around every word."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for name in (file.stem, *(node.name for node in nodes if isinstance(node, kinds))):
        words = re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
        yield f"_{words}_"


def test_no_definition_has_a_word_of_our_own() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    own = [ROOT / name for name in tracked if "projects/" not in name]
    assert len(own) > 300
    found = [
        f"{file.relative_to(ROOT)}: {name.strip('_')}"
        for file in own
        for name in definitions(file)
        for word in PRIVATE_WORDS
        if f"_{word}_" in name
    ]
    assert found == []
