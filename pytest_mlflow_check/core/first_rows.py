"""Which rows of columns are the first of their kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def first_rows(*columns: NDArray[np.int64]) -> NDArray[np.intp]:
    """The positions of the rows that repeat no earlier one, in their order.

    `np.unique` does the same for rows of a matrix, and takes several times as long.

    Args:
        columns: of equal length; a row is what stands at one position of all of them.
    """
    order = np.lexsort(columns)
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = np.any([column[order][1:] != column[order][:-1] for column in columns], axis=0)
    # lexsort is stable, so the first of its kind in this order is the one logged first.
    return np.sort(order[first])
