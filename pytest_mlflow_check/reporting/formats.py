"""Writing a report to a file, in the shape that its suffix names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_mlflow_check.core.files import draft
from pytest_mlflow_check.reporting.model import Document


def _json(report: Document) -> str:
    from pytest_mlflow_check.reporting.json_report import render_json

    return render_json(report)


def _markdown(report: Document) -> str:
    from pytest_mlflow_check.reporting.markdown import render_markdown

    return render_markdown(report)


def _html(report: Document) -> str:
    from pytest_mlflow_check.reporting.html import render_html

    return render_html(report)


SHAPES: Mapping[str, Callable[[Document], str]] = {".json": _json, ".md": _markdown, ".html": _html}
"""What renders a report, by the suffix of its file."""


def render(report: Document, file: Path) -> str:
    """The report in the shape that the file's suffix names."""
    return SHAPES[file.suffix.lower()](report)


def write(text: str, file: Path) -> None:
    """Writes a file whole or not at all; makes its directory.

    Raises:
        OSError: where that can't be done; what was there before is there still.
    """
    file = Path(os.path.realpath(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and not file.is_file():
        # A pipe or a device such as /dev/stdout is written to, not replaced.
        file.write_text(text, encoding="utf-8")
        return
    with draft(file, text) as unfinished:
        unfinished.replace(file)
