"""Correct projects, each with one logging mistake at a time, and what has to be found of it.

`python tests/mutants/matrix.py` launches them all and prints what was found, missed and false.
"""

from __future__ import annotations

from mutants import callback, metadata, nested, reference, sklearn_trainer
from mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *callback.MUTANTS,
    *metadata.MUTANTS,
    *nested.MUTANTS,
    *reference.MUTANTS,
    *sklearn_trainer.MUTANTS,
)
