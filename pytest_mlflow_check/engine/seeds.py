"""Looks in a project's files for libraries with random numbers that none of them seeds."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_mlflow_check.core.records import MissingSeed
from pytest_mlflow_check.core.sources import python_files, source_text

_SEEDS = (
    # A library, what seeds it, how to speak of that, and the line to write.
    ("torch", r"torch\.(?:cuda\.)?manual_seed\(", "torch.manual_seed", "torch.manual_seed(0)"),
    ("tensorflow", r"set_seed\(|set_random_seed\(", "tf.random.set_seed", "tf.random.set_seed(0)"),
    ("keras", r"set_random_seed\(", "keras.utils.set_random_seed", "keras.utils.set_random_seed(0)"),
    (
        "numpy",
        r"random\.seed\(|(?:default_rng|RandomState)\(\s*[^)\s]",
        "numpy.random.seed",
        "numpy.random.seed(0)",
    ),
    (
        "sklearn",
        r"random_state\s*=",
        "an estimator with random_state=",
        "random_state=0 in each estimator and split",
    ),
    (
        "random",
        r"\brandom\.seed\(|random\.Random\(\s*[^)\s]",
        "random.seed",
        "random.seed(0)",
    ),
)
_ALL = re.compile(r"\b(?:seed_everything|set_seed|fix_seed|seed_all)\(")
"""Seeds every library at once: Lightning's, transformers', and what people call their own."""


def missing_seeds(project: Path) -> tuple[MissingSeed, ...]:
    """The libraries that files of a project import and that no file of it seeds.

    Args:
        project: the directory in which the launch started.
    """
    texts = {str(file.relative_to(project)): source_text(file) for file in python_files(project)}
    if any(_ALL.search(text) for text in texts.values()):
        return ()
    found = []
    for library, seeding, call, line in _SEEDS:
        importing = re.compile(rf"^[ \t]*(?:import|from)[ \t]+(?:[\w.]+,[ \t]*)*{library}\b", re.MULTILINE)
        places = [
            f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
            for name, text in texts.items()
            if (match := importing.search(text))
        ]
        if places and not any(re.search(seeding, text) for text in texts.values()):
            found.append(MissingSeed(library, places[0], call, line))
    return tuple(found)
