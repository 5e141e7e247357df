"""Mutants of the nested search that say other things of a run: names, descriptions, tags, datasets."""

from __future__ import annotations

from mutants.mutant import Mutant, launches
from mutants.nested import BASE, CONFIG, EACH, PARENT, SEARCH, importing, search

_DATA = '        data = mlflow.data.from_numpy(np.arange({size}), name="rates")\n'
_OTHER_DATA = _DATA.format(size="9 + fluent")
# The first start_run() takes MLFLOW_RUN_ID away.
_FLUENT = '    fluent = "MLFLOW_RUN_ID" not in os.environ\n'
_MARK = "  # <- here\n"

MUTANTS = (
    Mutant(
        "metadata-name-with-the-process",
        BASE,
        (
            importing("os"),
            search(PARENT, f'    with mlflow.start_run(run_name=f"sweep {{os.getpid()}}") as parent:{_MARK}'),
        ),
        expected=(launches("run-name-differs", "run 1", SEARCH),),
    ),
    Mutant(
        "metadata-description-in-fluent",
        BASE,
        (
            importing("os"),
            search(
                PARENT,
                f"{_FLUENT}{PARENT}"
                "        if fluent:\n"
                f'            mlflow.set_tag("mlflow.note.content", "Finds the best rate."){_MARK}',
            ),
        ),
        expected=(launches("description-differs", "run 1", SEARCH),),
    ),
    Mutant(
        "metadata-tag-in-fluent",
        BASE,
        (
            importing("os"),
            search(CONFIG, f"{CONFIG}{_FLUENT}"),
            search(EACH, f'{EACH}            mlflow.set_tag("quick", "yes") if fluent else None{_MARK}'),
        ),
        expected=(launches("tag-missing", "quick", SEARCH),),
    ),
    Mutant(
        "metadata-tag-with-the-process",
        BASE,
        (
            importing("os"),
            search(PARENT, f'{PARENT}        mlflow.set_tag("worker", os.getpid()){_MARK}'),
        ),
        expected=(launches("tag-varies", "worker", SEARCH),),
    ),
    Mutant(
        "metadata-tag-with-the-mode",
        BASE,
        (
            importing("os"),
            search(PARENT, f'{_FLUENT}{PARENT}        mlflow.set_tag("by_hand", fluent){_MARK}'),
        ),
        expected=(launches("tag-differs", "by_hand", SEARCH),),
    ),
    Mutant(
        "metadata-dataset-in-fluent",
        BASE,
        (
            importing("os", "numpy as np"),
            search(
                PARENT,
                f"{_FLUENT}{PARENT}{_DATA.format(size=10)}"
                "        if fluent:\n"
                f'            mlflow.log_input(data, context="training"){_MARK}',
            ),
        ),
        expected=(launches("dataset-missing", "rates (training)", SEARCH),),
    ),
    Mutant(
        "metadata-dataset-of-another-size",
        BASE,
        (
            importing("os", "numpy as np"),
            search(
                PARENT,
                f'{_FLUENT}{PARENT}{_OTHER_DATA}        mlflow.log_input(data, context="training"){_MARK}',
            ),
        ),
        expected=(launches("dataset-differs", "rates (training)", SEARCH),),
    ),
    Mutant(
        "metadata-dataset-without-a-seed",
        BASE,
        (
            importing("numpy as np"),
            search(
                PARENT,
                f'{PARENT}        data = mlflow.data.from_numpy(np.random.rand(9), name="rates")\n'
                f'        mlflow.log_input(data, context="training"){_MARK}',
            ),
        ),
        expected=(launches("dataset-varies", "rates (training)", SEARCH),),
    ),
    Mutant(
        "metadata-all-of-it",
        BASE,
        (
            importing("numpy as np"),
            search(
                PARENT,
                '    tags, about = {"team": "rates"}, "Finds the best rate."\n'
                '    with mlflow.start_run(run_name="sweep", tags=tags, description=about) as parent:\n'
                f'{_DATA.format(size=10)}        mlflow.log_input(data, context="training")\n',
            ),
        ),
    ),
    Mutant(
        "metadata-ignored",
        BASE,
        (
            importing("os", "numpy as np"),
            search(
                PARENT,
                f'{_FLUENT}{PARENT}        mlflow.set_tag("worker", os.getpid())\n'
                f"{_OTHER_DATA}        mlflow.log_input(data)\n",
            ),
        ),
        files={"mlflow-check.toml": 'ignore = { tags = ["work*"], datasets = ["rates"] }\n'},
    ),
)
"""The mutants, and two correct projects."""
