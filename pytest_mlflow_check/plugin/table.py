"""A table of cases and checks in the columns that a terminal has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_mlflow_check.reporting.text import padded, shortened, width

_GAP = "  "

_LEAST = 16
"""Columns in which names can still be told apart."""


def laid_out(rows: Sequence[Sequence[str]], columns: int) -> Iterator[list[str]]:
    """The cells of each line, padded.

    Names that are too long for the table to fit are shortened in the middle. Where that leaves too little of
    them, or makes two of them one, each name gets a line of its own.

    Args:
        rows: the titles first; in each a name, and what stands behind it.
        columns: those of the terminal.
    """
    names = [name for name, *_ in rows]
    widths = [max(map(width, column)) for column in zip(*(cells for _, *cells in rows), strict=True)]
    room = columns - sum(widths) - len(_GAP) * len(widths)
    needed = max(map(width, names))
    short = [shortened(name, max(room, _LEAST)) for name in names]
    if needed > room and (room < _LEAST or len(set(short)) < len(set(names))):
        for name, (_, *cells) in zip(names, rows, strict=True):
            yield [shortened(name, columns)]
            yield [_GAP, *_padded(cells, widths)]
        return
    for name, (_, *cells) in zip(short, rows, strict=True):
        yield [*_padded([name, *cells], [min(needed, room), *widths])]


def _padded(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for cell, columns in zip(cells[:-1], widths, strict=False):
        yield padded(cell, columns) + _GAP
    yield cells[-1]
