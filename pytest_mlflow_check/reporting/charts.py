"""Metric curves as small SVG pictures: drawn by matplotlib, coloured by the page's own stylesheet.

What matplotlib writes holds colours, fonts and ids. Of that only shapes and numbers are kept, with a class
each, so that the pictures fit a light and a dark page, need no style of their own (which the page's
Content-Security-Policy would refuse), and may stand in one page by the hundred.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Literal

import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogLocator, MaxNLocator, NullLocator, ScalarFormatter

from pytest_mlflow_check.reporting.run_model import Metric, Series

_WIDTH, _HEIGHT = 240, 120
"""Points, of which a browser makes what room there is."""

_CLASSES = {
    "#010101": "fluent",
    "#020202": "mlflow-run",
    "#030303": "first",
    "#040404": "axis",
    "#050505": "grid",
}
_COLOURS = {name: colour for colour, name in _CLASSES.items()}

_LARGEST = 1e300
"""Beyond it the difference of two numbers may be none any more."""

_RANGE = 1000
"""Positive values that lie this far apart are shown on a logarithmic scale."""

_FINEST = 1e-100
"""Below it, and above what it is the inverse of, the decades are too many for that."""


class Plots:
    """Draws one picture after the other with one figure: to make a figure takes longer than to draw it."""

    def __init__(self) -> None:
        """Makes the figure; matplotlib's own state of figures (pyplot) isn't touched."""
        # 72 dots an inch: a pixel is a point, and so is a unit of the picture.
        self._figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
        self._canvas = FigureCanvasSVG(self._figure)
        self._axes = axes = self._figure.add_axes((0.17, 0.16, 0.81, 0.72))
        self._figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(_COLOURS["axis"])
        # Labels are written below: to find out how large they are takes matplotlib most of its time.
        axes.tick_params(length=0, labelbottom=False, labelleft=False, which="both")
        axes.grid(visible=True, axis="y", color=_COLOURS["grid"])
        # The first is the broader one: where both are alike, it shows on both sides of the other.
        self._lines = {
            mode: axes.plot([], [], color=_COLOURS[mode], clip_on=False)[0]
            for mode in ("fluent", "mlflow-run")
        }
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(_formatter())
        self._scale = ""
        across = axes.get_xaxis_transform()
        self._first = axes.plot([], [], color=_COLOURS["first"], transform=across, clip_on=False)[0]

    def draw(self, metric: Metric) -> Markup:
        """Both curves of a metric in one picture, with the first step marked at which they differ."""
        sides = {"fluent": metric.fluent, "mlflow-run": metric.mlflow_run}
        # Numbers at the end of what numbers can be make matplotlib warn.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            self._set(sides)
            first = metric.first_difference
            self._first.set_data(([], []) if first is None else ([first, first], [0, 1]))
            written = io.StringIO()
            self._canvas.print_svg(written, metadata={"Date": None})  # type: ignore[no-untyped-call]
            shapes, labels = _shapes(written.getvalue()), [*self._labels("x"), *self._labels("y")]
        head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _WIDTH, _HEIGHT, describe(metric)
        )
        return Markup("").join([head, *shapes, *labels, Markup("</svg>")])

    def _set(self, sides: dict[str, Series | None]) -> None:
        curves = {mode: _curve(side) for mode, side in sides.items()}
        for mode, (steps, values) in curves.items():
            self._lines[mode].set_data(steps, values)
        steps, values = (np.concatenate([curve[axis] for curve in curves.values()]) for axis in (0, 1))
        axes = self._axes
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        logarithmic = _FINEST <= low <= high <= 1 / _FINEST and high / low >= _RANGE
        self._set_scale("log" if logarithmic else "linear")
        if logarithmic:
            axes.set_ylim(low / 1.3, high * 1.3)
        else:
            room = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
            axes.set_ylim(low - room, high + room)
        first, last = (float(steps.min()), float(steps.max())) if len(steps) else (0.0, 1.0)
        room = (last - first) * 0.02 or 1.0
        axes.set_xlim(first - room, last + room)

    def _set_scale(self, scale: Literal["log", "linear"]) -> None:
        """Sets the scale of the values, and how its ticks are chosen; that takes longer than a picture."""
        if scale == self._scale:
            return
        self._scale = scale
        axis = self._axes.yaxis
        self._axes.set_yscale(scale)
        if scale == "log":
            axis.set_major_locator(LogLocator(numticks=4))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(LogFormatter(labelOnlyBase=False))
        else:
            axis.set_major_locator(MaxNLocator(3))
            axis.set_major_formatter(_formatter())

    def _labels(self, name: Literal["x", "y"]) -> Iterator[Markup]:
        """What stands at the ticks of an axis, and at its end what all of it is to be multiplied with."""
        axis, box = (self._axes.xaxis if name == "x" else self._axes.yaxis), self._axes.bbox
        low, high = axis.get_view_interval()
        ticks = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
        formatter = axis.get_major_formatter()
        for tick, text in zip(ticks, formatter.format_ticks(ticks), strict=True):
            if name == "x":
                place = self._axes.transData.transform((tick, self._axes.get_ylim()[0]))[0]
                yield _label(place, box.y0 - 11, "middle", text)
            else:
                place = self._axes.transData.transform((self._axes.get_xlim()[0], tick))[1]
                yield _label(box.x0 - 6, place - 3, "end", text)
        if factor := formatter.get_offset():
            x, y = (box.x1, box.y0 - 19) if name == "x" else (2, _HEIGHT - 8)
            yield _label(x, y, "end" if name == "x" else "start", factor)


def describe(metric: Metric) -> str:
    """What the picture shows, for those who don't see it."""
    parts = []
    for name, side in (("fluent", metric.fluent), ("mlflow run", metric.mlflow_run)):
        if side is not None and side.steps:
            parts.append(
                f"{name}: {side.points} points, steps {side.steps[0]} to {side.steps[-1]}, "
                f"lowest {side.lowest:.6g}, highest {side.highest:.6g}, last {_short(side.last)}"
            )
    if metric.first_difference is not None:
        parts.append(f"first difference at step {metric.first_difference}")
    return "; ".join(parts)


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _formatter() -> ScalarFormatter:
    formatter = ScalarFormatter(useOffset=True, useMathText=False)
    formatter.set_powerlimits((-3, 5))
    return formatter


def _curve(series: Series | None) -> tuple[np.ndarray, np.ndarray]:
    if series is None:
        return np.empty(0), np.empty(0)
    steps = np.array(series.steps, dtype=np.float64)
    values = np.clip(np.array(series.values, dtype=np.float64), -_LARGEST, _LARGEST)
    # A line of no length shows as a dot, since its ends are round.
    return (np.repeat(steps, 2), np.repeat(values, 2)) if len(steps) == 1 else (steps, values)


def _shapes(text: str) -> Iterator[Markup]:
    """The lines of what matplotlib wrote, each with the class that its colour stands for."""
    for element in ET.fromstring(text).iter():
        style = element.get("style", "")
        name = next((name for colour, name in _CLASSES.items() if colour in style), None)
        if element.tag.endswith("}path") and name:
            yield Markup('<path class="{}" d="{}"/>').format(name, _rounded(element.get("d", "")))


def _label(x: float, y: float, anchor: str, text: str) -> Markup:
    return Markup('<text text-anchor="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(
        anchor, x, _HEIGHT - y, text.replace("\N{MINUS SIGN}", "-")
    )


def _rounded(numbers: str) -> str:
    return re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}", " ".join(numbers.split()))
