"""The files below a run's artifact root."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pytest_mlflow_check.core.records import Artifact
from pytest_mlflow_check.stores.readers.file_formats import sniff
from pytest_mlflow_check.stores.readers.pickle_names import names_in_pickle
from pytest_mlflow_check.stores.readers.safe_files import Content

MLMODEL = "MLmodel"
# The path of a model whose files lie in the artifact root itself. `runs:/<run id>/.` registers and loads
# (measured with MLflow 3.17.2 and 2.22.5).
ROOT = "."


@dataclass(frozen=True)
class ArtifactTree:
    """What lies below an artifact root.

    Attributes:
        artifacts: files by path; not those of the models in `models`, unless the model is the root itself.
        models: directories with an `MLmodel` file, by path.
    """

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    models: dict[str, Path] = field(default_factory=dict)


def local_directory(location: str | None) -> Path | None:
    """The directory that an artifact location means; None where it isn't an absolute place on this machine.

    MLflow undoes percent-encoding in plain paths as it does in `file:` URIs
    (`mlflow.utils.file_utils.local_file_uri_to_path`, 3.17.2 and 2.22.5), so this does too.
    """
    if not location:
        return None
    if location.startswith("file:"):
        location = urlsplit(location).path
    path = Path(url2pathname(location))
    return path if path.is_absolute() else None


def list_artifacts(location: str | None, content: Content | None = None) -> ArtifactTree:
    """The files and model directories below the artifact root at `location`, sorted by path.

    A link is taken as the file it leads to if that lies below the root too, else left out. A model that is
    the root itself keeps no file from being listed: nothing tells its files from the run's others.
    """
    root = local_directory(location)
    if root is None:
        return ArtifactTree()
    artifacts: dict[str, Artifact] = {}
    models: dict[str, Path] = {}
    # SQL stores make the directory when the first artifact is logged.
    unreadable = content.unreadable if content and root.exists() else None
    for directory, subdirectories, names in os.walk(root, onerror=unreadable):
        path = Path(directory).relative_to(root).as_posix()
        if MLMODEL in names:
            models[path] = Path(directory)
            if path != ROOT:
                subdirectories.clear()
                continue
        for name in names:
            artifact = _artifact(root, Path(directory, name))
            if artifact is not None:
                artifacts[artifact.path] = artifact
    return ArtifactTree(dict(sorted(artifacts.items())), dict(sorted(models.items())))


def _artifact(root: Path, file: Path) -> Artifact | None:
    try:
        if file.is_symlink() and not file.resolve(strict=True).is_relative_to(root.resolve()):
            return None
        status = file.stat()
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return None
    # A named pipe would block whoever opens it.
    if not stat.S_ISREG(status.st_mode):
        return None
    path = file.relative_to(root).as_posix()
    format = sniff(file, status.st_size)
    what = names_in_pickle(file, format) if format else None
    return Artifact(
        path=path,
        size=status.st_size,
        format=format,
        file=file,
        holds=what.object if what else None,
        of_script=what.of_script if what else "",
    )
