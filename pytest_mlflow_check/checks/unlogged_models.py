"""Models that a launch wrote to a file and logged nowhere: known by a path that it logged, or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from pytest_mlflow_check.checks.comparison import Comparison, not_matching
from pytest_mlflow_check.checks.pyfunc_snippets import (
    CHECKPOINTS,
    DIRECTORIES,
    LIBRARIES,
    ModelFile,
    fix,
    parts,
)
from pytest_mlflow_check.checks.source_lines import source_line_of
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, Mode, RunRecord, SavedFile, given_tags

_ALWAYS_MODELS = DIRECTORIES | {
    *("torch", "torch weights", "keras", "skops", "onnx", "lightgbm", "xgboost", "catboost", "safetensors"),
}
"""Formats that hold little else. Pickles, joblib and HDF5 files hold anything."""

_FUNCTION = "cloudpickle.cloudpickle._make_function"

_PREPARATION = re.compile(
    r"sklearn\.(preprocessing|feature_extraction|datasets|utils|impute)\b"
    r"|torch\.(optim|utils\.data)\b|transformers\.training_args|argparse\.Namespace|omegaconf\."
)
"""What libraries have besides models."""

_MODEL_NAME = re.compile(
    r"model|trained|weight|checkpoint|ckpt|classifier|regressor|estimator|predictor|network"
    r"|(^|[-_./])(net|clf|best)([-_./]|$)"
)
_OTHER_NAME = re.compile(
    r"optim|sched|(^|[_/])rng|scaler|label_?enc|one_?hot|vectori|token|vocab|cache|split|result|prediction|history"
    r"|metric|args|config|trainer_state|(^|[-_./])(train|test|val)?_?(raw|data|dataset|datasets|processed)([-_./]|$)"
)
"""What lies beside models: the state of the training, what prepares the data, and data."""

_DATA_NAME = re.compile(r"param|feature|name|column|threshold")
"""What plain data about a model is called."""


def known_by_path(comparison: Comparison) -> Iterator[Finding]:
    """Files whose path stands in a param or a tag of a run, where its whole tree of runs logs no model."""
    told: set[str] = set()
    files = {
        mode: [
            path
            for path in _compared_files(comparison, launch)
            if not is_data(path, launch.saved[path].holds) and launch.saved[path].format not in CHECKPOINTS
        ]
        for mode, launch in comparison.launches.items()
    }
    modelled = {mode: _runs_with_models(launch) for mode, launch in comparison.launches.items()}
    for pair in comparison.pairs:
        found: dict[tuple[str, str], dict[Mode, str]] = {}
        for mode, run in pair.sides:
            if not files.get(mode) or run.run_id in modelled[mode]:
                continue
            launch = comparison.launches[mode]
            for kind, key, value in _values(run):
                if path := next((path for path in files[mode] if _names(value, path, launch)), None):
                    found.setdefault((kind, key), {})[mode] = path
        for (kind, key), paths in found.items():
            if told.intersection(paths.values()):
                continue
            told.update(paths.values())
            call = "log_param" if kind == "param" else "set_tag"
            yield _finding(
                comparison,
                paths,
                source_line=source_line_of(comparison, pair, [call], key),
                run=pair.label,
                why=f"The run logs no model, only the path of one: the {kind} {key!r} names this file, which "
                "was written and isn't logged. A path leads nowhere on another machine, and to another "
                "model after the next training; nothing can be registered or loaded by it.",
            )


def saved_only(comparison: Comparison) -> Iterator[Finding]:
    """The newest file that is a model without doubt, where no run of the case logs a model at all.

    One is enough: which of many checkpoints is worth keeping is for the user to say.
    """
    launches = comparison.launches
    if any(run.models for launch in launches.values() for run in launch.runs) or any(
        call.what == "log_model" for launch in launches.values() for call in launch.observations
    ):
        return
    found = {
        mode: [path for path in _compared_files(comparison, launch) if _is_model(path, launch.saved[path])]
        for mode, launch in launches.items()
    }
    newest = next((paths[0] for paths in found.values() if paths), None)
    if newest is None:
        return
    paths: dict[Mode, str] = {}
    for mode, files in found.items():
        alike = [path for path in files if _alike(path, newest)]
        if alike:
            paths[mode] = newest if newest in alike else alike[0]
    count = max(map(len, found.values()))
    yield _finding(
        comparison,
        paths,
        why="The launch wrote this model to a file, and no run logs a model: MLflow knows nothing of it, so "
        "it can't be found from its run, compared, registered or loaded."
        + (f" It is the newest of {count} such files." if count > 1 else ""),
    )


def _alike(path: str, other: str) -> bool:
    """Whether it may be the same file in another launch: a date in its name or directory makes it another."""
    one, two = PurePosixPath(path), PurePosixPath(other)
    return one.parent == two.parent or one.name == two.name


def _finding(
    comparison: Comparison,
    paths: Mapping[Mode, str],
    *,
    why: str,
    source_line: str | None = None,
    run: str = "",
) -> Finding:
    """The finding about a file, which may have another path in each launch."""
    files = {mode: comparison.launches[mode].saved[path] for mode, path in paths.items()}
    path, file = next(iter(paths.values())), next(iter(files.values()))
    note = "another one in each launch: put the variable here" if len({*paths.values()}) > 1 else ""
    model = ModelFile(path, file.format, file.holds, file.of_script, note=note)
    shown = {mode: f"{each.format}, not logged" for mode, each in files.items()}
    return Finding(
        rule="model-as-artifact",
        subject=path,
        fluent=shown.get("fluent"),
        mlflow_run=shown.get("mlflow-run"),
        source_line=source_line,
        run=run,
        why=why,
        fix=fix(model),
        code=parts(model, "and log the file with it, inside the run, once it is written"),
    )


def is_data(path: str, holds: str | None) -> bool:
    """Whether a file holds plain data, or what prepares data, and isn't called a model either.

    Args:
        path: its path; only its own name counts.
        holds: as in `Artifact`.
    """
    name = PurePosixPath(path).stem.lower()
    if holds == "":
        return any(words.search(name) for words in (_OTHER_NAME, _DATA_NAME)) or not _MODEL_NAME.search(name)
    return _PREPARATION.match(holds or "") is not None


def _runs_with_models(launch: Launch) -> set[str]:
    """The runs that log a model, or of whose tree of nested runs another one does."""
    runs = {each.run_id: each for each in launch.runs}

    def top(each: RunRecord) -> str:
        seen = set()
        while each.parent_id in runs and each.run_id not in seen:
            seen.add(each.run_id)
            each = runs[each.parent_id]
        return each.run_id

    tops = {top(each) for each in launch.runs if each.models}
    return {each.run_id for each in launch.runs if top(each) in tops}


def _values(run: RunRecord) -> Iterator[tuple[str, str, str]]:
    for key, value in sorted(run.params.items()):
        yield "param", key, value
    for key, value in sorted(given_tags(run.tags).items()):
        yield "tag", key, value


def _names(value: str, path: str, launch: Launch) -> bool:
    """Whether a value is the path of a file, or the end of it."""
    # Quoted by `mlflow run`.
    value = value.strip("'").removeprefix("file://")
    # A word without a slash or a dot may be anything.
    if not value or not {"/", "."} & {*value}:
        return False
    value = os.path.normpath(value)
    whole = os.path.normpath(os.path.join(launch.directory, path))
    if value in (path, whole) or launch.as_original(whole) == value:
        return True
    # A part of it: from the directory of the training on, or with a prefix of another machine's.
    return whole.endswith(f"/{value}") or ("/" in path and value.endswith(f"/{path}"))


def _compared_files(comparison: Comparison, launch: Launch) -> list[str]:
    """The saved files that aren't ignored, in their own order."""
    left = {*not_matching(launch.saved, comparison.settings.ignore.artifacts)}
    return [path for path in launch.saved if path in left]


def _is_model(path: str, file: SavedFile) -> bool:
    """Whether a file that nothing names is a model without doubt."""
    name = path.lower()
    holds = file.holds or ""
    if file.format in CHECKPOINTS or _OTHER_NAME.search(name) or _PREPARATION.match(holds):
        return False
    if file.holds == "" and _DATA_NAME.search(PurePosixPath(name).stem):
        return False
    if holds == _FUNCTION or (file.format == "torch" and holds.startswith("torch._utils.")):
        # Code, and a tensor on its own: models only where somebody says so.
        return False
    if file.format in _ALWAYS_MODELS and file.holds != "":
        return True
    return holds.partition(".")[0] in LIBRARIES or _MODEL_NAME.search(name) is not None
