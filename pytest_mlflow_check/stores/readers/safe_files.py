"""Files of a store as plain values. What can't be read is noted, and gives an empty value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from pytest_mlflow_check.core.files import open_regular
from pytest_mlflow_check.core.records import Damage

# libyaml's loader is eight times as fast, and not every build of PyYAML has it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_LONGEST_TEXT = 1 << 20
"""Bytes of a param or tag; MLflow allows 8,000 characters (`mlflow.utils.validation`, 3.17.2)."""

_LONGEST_MAPPING = 1 << 22
"""Bytes of YAML. The longest there is comes of a dataset, with its schema and profile."""

_MOST_NODES = 100_000
"""Values in a mapping, those that stand there as aliases counted each time."""

_DEEPEST = 1_000
"""Levels of YAML. MLflow writes a handful."""


@dataclass(frozen=True)
class Content:
    """Reads the files of one store, and keeps what couldn't be read.

    Attributes:
        root: the store's directory. A link is followed only within it.
        damages: what was found so far.
        run_id: the run that is being read.
    """

    root: Path
    damages: list[Damage] = field(default_factory=list)
    run_id: str | None = None

    def of_run(self, run_id: str) -> Content:
        """The same, for what belongs to a run."""
        return replace(self, run_id=run_id)

    def damaged(self, where: Path | str, why: str) -> None:
        """Notes what couldn't be read: a file, told relative to the store, or a table."""
        if isinstance(where, Path):
            where = where.relative_to(self.root).as_posix() if where.is_relative_to(self.root) else str(where)
        self.damages.append(Damage(where, why, self.run_id))

    def mapping(self, file: Path) -> Mapping[str, Any]:
        """The YAML mapping in a file; empty where it is missing or can't be read."""
        try:
            return self._mapping(file)
        except FileNotFoundError:
            return {}
        except Exception as error:  # PyYAML raises whatever comes of a tag it can't make sense of.
            self.damaged(file, _reason(error))
            return {}

    def texts(self, directory: Path) -> dict[str, str]:
        """The text of every file below a directory, by its relative path with forward slashes.

        That is how MLflow keeps params, tags and aliases (`FileStore._get_resource_files`): the key `a/b` is
        the file `b` in the directory `a`. Line ends stay, as in `mlflow.utils.file_utils.read_file`.
        """
        texts = {}
        for key, file in self.files(directory).items():
            try:
                content = self.whole(file, _LONGEST_TEXT)
                texts[key] = content.decode(errors="replace")
                content.decode()
            except UnicodeDecodeError:
                self.damaged(file, "isn't UTF-8")
            except OSError as error:
                self.damaged(file, _reason(error))
        return texts

    def files(self, directory: Path) -> dict[str, Path]:
        """As `files_below`, of a directory that lies in the store."""
        if not self._inside(directory):
            return {}
        return files_below(directory, self.unreadable)

    def subdirectories(self, directory: Path) -> list[Path]:
        """The directories in a directory, sorted by name; none where it doesn't exist."""
        try:
            entries = sorted(directory.iterdir()) if self._inside(directory) else []
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self.unreadable(error)
            return []
        return [entry for entry in entries if _is_directory(entry) and self._inside(entry)]

    def whole(self, file: Path, most: int) -> bytes:
        """The content of a file of at most so many bytes.

        Raises:
            OSError: where it can't be read, or lies elsewhere.
        """
        self.check_inside(file)
        with open_regular(file, most) as content:
            return content.read(most)

    def check_inside(self, file: Path) -> None:
        """Refuses a link that leads out of the store.

        Raises:
            OSError: where it is one.
        """
        if file.is_symlink() and not _real(file).startswith(os.path.join(_real(self.root), "")):
            raise OSError("is a link that leads out of the store")

    def unreadable(self, error: OSError) -> None:
        """Notes a file or directory that the system refused."""
        self.damaged(Path(error.filename or self.root), _reason(error))

    def _mapping(self, file: Path) -> Mapping[str, Any]:
        return _parsed(self.whole(file, _LONGEST_MAPPING))

    def _inside(self, path: Path) -> bool:
        try:
            self.check_inside(path)
        except OSError as error:
            self.damaged(path, _reason(error))
            return False
        return True


def read_mapping(file: Path) -> Mapping[str, Any]:
    """The YAML mapping in a file; empty where the file is missing, cut short or something else."""
    return Content(file.parent).mapping(file)


def files_below(directory: Path, onerror: Any = None) -> dict[str, Path]:
    """Every file below `directory` by its relative path with forward slashes, in sorted order.

    Args:
        directory: where to look; links to directories aren't followed.
        onerror: is told of a directory that can't be listed, as for `os.walk`.
    """
    found = {}
    for parent, _, names in os.walk(directory, onerror=None if onerror is None else _unless_missing(onerror)):
        for name in names:
            file = Path(parent, name)
            found[file.relative_to(directory).as_posix()] = file
    return dict(sorted(found.items()))


def text_or_none(value: object) -> str | None:
    """`value` as text; None for an absent or empty one, which MLflow's stores don't tell apart."""
    return None if value is None or value == "" else str(value)


def integer(value: object) -> int:
    """`value`, or 0 where the store has none."""
    return value if isinstance(value, int) else 0


def integer_or_none(value: object) -> int | None:
    """`value`, or None where the store has no number."""
    return value if isinstance(value, int) else None


def _parsed(data: bytes) -> Mapping[str, Any]:
    # A merge of merges grows while it is loaded; MLflow writes none.
    if b"<<" in data and any(
        isinstance(one, yaml.ScalarEvent) and one.value == "<<" for one in yaml.parse(data, Loader=_LOADER)
    ):
        raise ValueError("merges mappings")
    _refuse_deep_nesting(data)
    content = yaml.load(data, Loader=_LOADER)
    if not isinstance(content, dict) or not content:
        raise ValueError("is empty" if not content else "isn't a mapping")
    # Aliases of aliases are small in memory, and endless as text.
    if sum(1 for _ in _nodes(content, _MOST_NODES)) >= _MOST_NODES:
        raise ValueError(f"has more than {_MOST_NODES:,} values")
    return content


def _refuse_deep_nesting(data: bytes) -> None:
    """Raise an error for YAML that is nested too deep to be loaded.

    libyaml's loader recurses in C: up to PyYAML 6.0.3 a file of 100,000 brackets crashes the process, while
    6.0.4 refuses it. Its events come without recursion. They are counted only where enough characters could
    nest that deep. Indentation alone can't: the 2,800 levels that fit into a file of this size are loaded.
    """
    if sum(data.count(one) for one in (b"[", b"{", b"-", b"?")) <= _DEEPEST:
        return
    depth = 0
    for event in yaml.parse(data, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.YAMLError(f"more than {_DEEPEST} levels deep")


def _nodes(content: object, most: int) -> Iterator[object]:
    waiting = [content]
    for _ in range(most):
        if not waiting:
            return
        node = waiting.pop()
        yield node
        if isinstance(node, dict):
            waiting += [*node.keys(), *node.values()]
        elif isinstance(node, list | tuple | set):
            waiting += node


def _reason(error: Exception) -> str:
    """Why, without places and without the text that is at fault."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    if isinstance(error, yaml.YAMLError) or not str(error).startswith(("is", "has", "merges")):
        return "isn't valid YAML"
    return str(error)


def _unless_missing(tell: Any) -> Any:
    return lambda error: None if isinstance(error, FileNotFoundError | NotADirectoryError) else tell(error)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, RuntimeError):  # A loop of links.
        return False


def _real(path: Path) -> str:
    return os.path.realpath(path)
