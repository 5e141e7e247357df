"""Files of a store as plain values. What can't be read gives an empty value instead of an exception."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

# libyaml's loader is eight times as fast, and not every build of PyYAML has it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_mapping(file: Path) -> Mapping[str, Any]:
    """The YAML mapping in `file`; empty where the file is missing, cut short or something else."""
    try:
        content = yaml.load(file.read_bytes(), Loader=_LOADER)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def read_texts(directory: Path) -> dict[str, str]:
    """The text of every file below `directory`, by its relative path with forward slashes.

    That is how MLflow keeps params, tags and aliases (`FileStore._get_resource_files`): the key `a/b` is
    the file `b` in the directory `a`. Line ends stay as they are, as in `mlflow.utils.file_utils.read_file`.
    """
    texts = {}
    for key, file in files_below(directory).items():
        try:
            texts[key] = file.read_bytes().decode(errors="replace")
        except OSError:
            continue
    return texts


def files_below(directory: Path) -> dict[str, Path]:
    """Every file below `directory` by its relative path with forward slashes, in sorted order."""
    found = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            file = Path(parent, name)
            found[file.relative_to(directory).as_posix()] = file
    return dict(sorted(found.items()))


def subdirectories(directory: Path) -> list[Path]:
    """The directories in `directory`, sorted by name; none where it doesn't exist."""
    try:
        return sorted(entry for entry in directory.iterdir() if entry.is_dir())
    except OSError:
        return []


def text_or_none(value: object) -> str | None:
    """`value` as text; None for an absent or empty one, which MLflow's stores don't tell apart."""
    return None if value is None or value == "" else str(value)


def integer(value: object) -> int:
    """`value`, or 0 where the store has none."""
    return value if isinstance(value, int) else 0
