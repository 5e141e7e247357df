"""The HTML report in Chromium: on a desk and on a phone, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pytest_mlflow_check.core.records import Launch, Observation
from pytest_mlflow_check.reporting.html import render_html
from support.browser import CHROMIUM, CONTRAST, GEOMETRY, Browser, browser
from support.builders import artifact, launch, run, series
from support.reports import HOSTILE, both_logged, pair, report_of

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def many() -> Iterator[Launch]:
    """Launches that logged much, under long names, and differ in half of it."""
    values = np.linspace(1, 0, 500)
    for mode in ("fluent", "mlflow-run"):
        shift = 0.1 * (mode == "fluent")
        yield launch(
            mode,  # type: ignore[arg-type]
            run(
                params={f"{'long_' * 12}{key}": "x" * 300 if key % 2 else mode for key in range(30)},
                metrics=[series(f"{'deep/' * 8}{key}", values + shift * (key % 2)) for key in range(30)],
                artifacts=[artifact(f"{'directory/' * 12}{key}") for key in range(5)],
            ),
            command="python train.py " + " ".join(f"--option-{key}=value" for key in range(40)),
            observations=tuple(
                Observation("log_metric", f"m{key}", source_line=f"train.py:{key}", time=1.0 + key)
                for key in range(20)
            ),
            stdout="x" * 5000,
        )


PAGES = {"one of each": pair(), "much": tuple(many()), "hostile": both_logged("".join(HOSTILE))}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_or_overlaps_and_nothing_is_asked_for(
    chromium: Browser, tmp_path: Path, name: str, width: int, dark: bool
) -> None:
    page = tmp_path / "report.html"
    unwritten = ["proj/mlflow-contract.yaml: main isn't written: " + "a long reason " * 30 + "x" * 300]
    page.write_text(render_html(report_of(*PAGES[name], unwritten=unwritten)), encoding="utf-8")
    chromium.open(page, width=width, dark=dark)
    chromium.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    assert chromium.evaluate(GEOMETRY) == []
    assert chromium.evaluate(CONTRAST) == []
    assert chromium.told() == []
    assert chromium.requests() == [page.as_uri()]
    background = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 23, 26)") is dark


def test_what_is_looked_for_is_found(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text(
        "<!doctype html><p style='color: #aaa; width: 2000px'>wide and pale</p>"
        "<p style='margin-bottom: -1em'>below</p><p style='margin-top: -1em'>above</p>"
        "<p style='width: 3em; overflow: hidden; white-space: nowrap'>more than fits</p>"
        "<script>console.error('no')</script><img src='missing.png'>"
    )
    chromium.open(page, width=400, dark=False)
    problems = " ".join(chromium.evaluate(GEOMETRY))
    for kind in ("sideways", "cut: P", "overlap: below | above", "hides some of itself: P"):
        assert kind in problems
    assert [name for name, _ in chromium.evaluate(CONTRAST)] == ["P.null"]
    assert len(chromium.told()) >= 1
    assert chromium.requests() == [page.as_uri(), (tmp_path / "missing.png").as_uri()]
