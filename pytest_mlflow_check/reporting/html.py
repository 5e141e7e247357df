"""The report as one HTML file that needs nothing else: no network, no script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pytest_mlflow_check.reporting.grouping import grouped, source_line_of
from pytest_mlflow_check.reporting.model import Document
from pytest_mlflow_check.reporting.redaction import cut
from pytest_mlflow_check.reporting.run_model import QUIET, Artifact, Metric, Run

_TEMPLATES = Path(__file__).with_name("templates")

_MOST_PLOTS = 600
"""Of a report. They take ten milliseconds and some kilobytes each."""

_LONGEST = 400
"""Characters of a value in a table; the JSON has more of it."""

SIGNS: Mapping[str, tuple[str, str]] = {
    "passed": ("✓", "passed"),
    "failed": ("✗", "failed"),
    "skipped": ("↷", "skipped"),
    "error": ("!", "could not be made"),
    "not-run": ("·", "not made"),
    "incomplete": ("!", "incomplete"),
    "same": ("=", "the same"),
    "differs": ("≠", "differs"),
    "fluent-only": ("◧", "only in the fluent launch"),
    "mlflow-run-only": ("◨", "only under mlflow run"),
    "allowed": ("≠", "differs, and is allowed to"),
    "ignored": ("≈", "ignored by the settings"),
    "single": ("·", "one launch only"),
}
"""How an outcome or a state looks, and what it is called: never told by colour alone."""


_DEEPEST = 8
"""Directories in directories that are still set further to the right."""


@dataclass(frozen=True)
class TreeRow:
    """A line of the artifact tree: a file, or the directory of those that follow.

    Attributes:
        name: the last part of its path.
        depth: how far to the right it stands.
        artifact: None for a directory.
    """

    name: str
    depth: int
    artifact: Artifact | None = None


def render_html(report: Document) -> str:
    """The report as HTML. All text in it is escaped by the templates, which know no way around that."""
    environment = _environment()
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        report=report,
        style=Markup(style),
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        plot=_plotting(),
        signs=SIGNS,
        quiet_states=QUIET,
    )


@cache
def _environment() -> Environment:
    """The templates; to compile them takes longer than to fill them in."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "prose": prose,
        "value": value,
        "sign": sign,
        "number": number,
        "size": size,
        "duration": duration,
        "cut": partial(cut, longest=_LONGEST),
        "tree": tree,
        "breakable": breakable,
        "grouped": grouped,
        "place": source_line_of,
    }
    environment.tests |= {"curve": drawn, "alike": alike}
    return environment


def _plotting() -> Callable[[Metric], Markup | None]:
    """Draws a metric; None where there are more than a page can hold. Loads matplotlib with the first one."""
    made: list[Any] = []
    left = _MOST_PLOTS

    def plot(metric: Metric) -> Markup | None:
        nonlocal left
        if left == 0:
            return None
        left -= 1
        if not made:
            from pytest_mlflow_check.reporting.charts import Plots

            made.append(Plots())
        picture: Markup = made[0].draw(metric)
        return picture

    return plot


def drawn(metric: Metric) -> bool:
    """Whether there is a curve to draw: of one value there is nothing to see."""
    return any(side is not None and len(side.steps) > 1 for side in (metric.fluent, metric.mlflow_run))


def alike(run: Run) -> bool:
    """Whether a run has nothing that anybody need look into."""
    kinds = (run.params, run.tags, run.datasets, run.metrics, run.artifacts, run.models)
    return all(row.state in QUIET for rows in kinds for row in rows)


def prose(text: str) -> Markup:
    """A sentence of ours, in which code stands between backticks."""
    parts = re.split(r"`([^`\n]+)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else escape(part)
        for position, part in enumerate(parts)
    )


def breakable(path: str) -> Markup:
    """A path that may be broken behind each slash."""
    return Markup("/<wbr>").join(path.split("/"))


def value(text: str | int | None) -> Markup:
    """A value in a table: what is missing or empty is told apart, and blanks at its ends are seen."""
    if text is None:
        return Markup('<span class="nothing">—<span class="hidden"> nothing</span></span>')
    text = str(text)
    if not text:
        return Markup('<span class="nothing">(empty)</span>')
    return Markup("<code>{}</code>").format(cut(repr(text) if text != text.strip() else text, _LONGEST))


def sign(state: str, *, spoken: bool = False) -> Markup:
    """The sign of a state, with its words: to be read by everybody, or by a screen reader alone."""
    symbol, words = SIGNS[state]
    return Markup('<span class="sign {}"><span aria-hidden="true">{}</span> <span{}>{}</span></span>').format(
        state, symbol, Markup("") if spoken else Markup(' class="hidden"'), words
    )


def number(value: object) -> str:
    """A value of a metric, short."""
    return "—" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def size(number_of_bytes: int | None) -> Markup | str:
    """A file's size."""
    if number_of_bytes is None:
        return value(None)
    amount, unit = float(number_of_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.3g} {unit}"


def duration(seconds: float) -> str:
    """Seconds, as people say them."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def tree(artifacts: Sequence[Artifact]) -> Iterator[TreeRow]:
    """Files below the directories that hold them, each directory once."""
    open_directories: tuple[str, ...] = ()
    for artifact in artifacts:
        *directories, name = artifact.path.split("/")
        both = zip(open_directories, directories, strict=False)
        common = len(list(takewhile(lambda pair: pair[0] == pair[1], both)))
        for depth in range(common, len(directories)):
            yield TreeRow(directories[depth], min(depth, _DEEPEST))
        open_directories = tuple(directories)
        yield TreeRow(name, min(len(directories), _DEEPEST), artifact)
