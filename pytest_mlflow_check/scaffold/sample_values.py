"""Values to check an entry point with, where the project itself names none."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from pytest_mlflow_check.mlproject.unfinished import TODO
from pytest_mlflow_check.scaffold.project_files import Tree
from pytest_mlflow_check.scripts.model import Argument

_FEW = 2
"""Epochs: fast, and enough for a series, whose steps can be checked."""

_REPEATED = re.compile(
    r"(^|_)(epochs?|iterations?|rounds?|episodes?|trials?)$|^(n|num|nb|max|total)(_train|_training)?_(steps|iters?)$"
)
_NOT_REPEATED = re.compile(
    r"(^|_)(per|every|start|from|warmup|save|log|eval|patience|period|freq|decay|at)(_|$)"
)
_WRITTEN = {"log", "logs", "tensorboard", "report", "plot", "figure"}
_OUTPUT = {"output", "outputs", "out", "outdir", "save", "export", "results", "logdir", "destination", "dest"}
_FOLDER = {"dir", "directory", "folder", "root", "outdir", "logdir"}
_NAMED = re.compile(r"(^|_)(experiment|run)(_|$)|^(name|tag)$")
_DATA = (".csv", ".tsv", ".parquet", ".feather", ".arrow", ".npz", ".npy", ".h5", ".hdf5", ".xlsx", ".jsonl")
_SETTINGS = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg")
_WEIGHTS = (".pkl", ".joblib", ".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".h5", ".keras", ".bin")
_KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("data", "dataset", "input", "inputs", "table", "samples", "source"), _DATA),
    **dict.fromkeys(("train", "training", "test", "valid", "validation", "val", "dev", "features"), _DATA),
    **dict.fromkeys(("config", "configuration", "conf", "cfg", "settings", "params"), _SETTINGS),
    **dict.fromkeys(("weights", "checkpoint", "ckpt", "model", "pretrained"), _WEIGHTS),
    **dict.fromkeys(("text", "corpus", "vocab", "txt"), (".txt",)),
    "yaml": (".yaml", ".yml"),
    **{suffix[1:]: (suffix,) for suffix in (*_DATA, *_WEIGHTS, ".json", ".toml", ".ini", ".cfg")},
}
"""Endings of files, by words in the name of a parameter."""

_PATHS = {"path", "file", "filename", "filepath", "data", "dataset", "csv", "config", "input", *_FOLDER}
_NOBODYS = re.compile(
    r"^(mlflow-check|pyproject|package(-lock)?|tox|setup|conda|python_env|environment)\.|^MLproject$"
)


@dataclass(frozen=True)
class Sample:
    """A value for one parameter of a case.

    Attributes:
        value: what the case gives.
        comment: what to know about it.
        open: whether the case can't be started with it: only the user knows a value.
    """

    value: str | int | float
    comment: str | None = None
    open: bool = False


def sample_of(argument: Argument, tree: Tree, directory: str = "") -> Sample | None:
    """The value that a case gives an argument; None where the default does.

    Args:
        argument: one that the MLproject has.
        tree: the project, to find a file in.
        directory: where the script is started, relative to the project.
    """
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", argument.name).replace("-", "_").lower()
    words = set(name.split("_"))
    repeated = bool(_REPEATED.search(name)) and not _NOT_REPEATED.search(name)
    if not argument.required:
        default = argument.default or ""
        if repeated and re.fullmatch(r"\d{1,18}", default) and int(default) > _FEW:
            return Sample(_FEW, f"{default} by default; {_FEW} are enough to check steps")
        return None
    if argument.values > 1:
        return _unknown(f"{argument.values} values, each a parameter of its own in the MLproject")
    if argument.choices:
        others = ", ".join(argument.choices[1:6])
        return Sample(argument.choices[0], f"or {others}" if others else None)
    if argument.type in ("int", "integer"):
        return Sample(_FEW)
    if argument.type == "float":
        return Sample(0.1)
    if argument.type in ("bool", "boolean"):
        return Sample("true")
    if argument.type == "uri":
        return _unknown("a URI, such as s3://bucket/data")
    output = words & _OUTPUT or (words & _WRITTEN and words & _PATHS)
    if output and argument.type != "path":
        return Sample("check-output")
    certain = argument.type == "path" or bool(words & _PATHS)
    if certain or (words & set(_KINDS) and "name" not in words):
        found = fitting(words, tree)
        if found:
            found = posixpath.relpath(found, directory) if directory else found
            return Sample(found, None if certain else "a guess")
        if certain:
            return _unknown("a file or directory that the project has")
    if "device" in words:
        return Sample("cpu")
    if _NAMED.search(name):
        return Sample("check")
    return _unknown("a text that it takes")


def fitting(words: set[str], tree: Tree) -> str | None:
    """The file or directory of a project that a parameter with these words in its name most likely means."""
    specific = words - _FOLDER - {"path", "file", "filename", "filepath", "name", "to", "the"}
    named = next((path for path in tree.directories if PurePosixPath(path).name.lower() in specific), None)
    if words & _FOLDER:
        return named
    kinds = [_KINDS.get(word, ()) for word in specific] if specific else [_DATA]
    endings = {ending for kind in kinds for ending in kind}
    ranked = []
    for path, words_there in zip(tree.files, tree.words, strict=True):
        file = PurePosixPath(path)
        shared = specific & words_there
        fits = file.suffix.lower() in endings if endings else shared
        if fits and not _NOBODYS.search(file.name):
            ranked.append((-len(shared), path.count("/"), path))
    return min(ranked)[2] if ranked else named


def _unknown(what: str) -> Sample:
    return Sample(TODO, f"TODO: write {what}", open=True)
