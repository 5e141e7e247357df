"""A YAML file as a mapping that knows the line of each key, with a line in every message about it.

PyYAML's own loader, written in Python, since only that lets one look at each node. What costs it more than a
second, or memory without bounds, is refused: aliases that make much of little, and deep nesting.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from pytest_mlflow_check.core.errors import UserError, shown_path
from pytest_mlflow_check.core.files import read_user_text

_LARGEST = 128 * 1024
"""Bytes, which take 0.4 s."""

_DEEPEST = 100
_MOST = 1_000_000
"""Characters of all values, with each alias replaced by what it stands for."""

_HINTS = {
    r"'\t'": "indent with spaces: YAML takes no tabs",
    "mapping values are not allowed": 'put text with ": " in it in quotes',
    "expected <block end>": "put text that begins with {, [ or a quote in quotes, or fix the indentation",
    "undefined alias": "put text that begins with * in quotes",
    "constructor for the tag": "remove the tag, or put text that begins with ! in quotes",
    "another document": "keep one document: remove all from this line on",
    "this value can't be read": "put it in quotes if it is text",
    "the aliases": "write the values out, without aliases",
    "levels deep": "nothing in this file needs that: take brackets or indentation out",
}


class MappingWithLines(dict[Hashable, object]):
    """A YAML mapping that knows the line of each key, and of keys that stand there again.

    Its text is that of a dict, as in MLflow.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[Hashable, int] = {}
        self.repeated: dict[Hashable, int] = {}


class ListWithLines(list[object]):
    """A YAML list that knows the line of each item."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


def read_yaml(file: Path, *, rule: str | None, sample: str, text: str | None = None) -> MappingWithLines:
    """The content of a file, which has to be a mapping.

    Args:
        file: what to read.
        rule: the rule that messages name, if any.
        sample: what to write into a file that holds something else.
        text: what the file holds, where it was read before.

    Raises:
        UserError: the file can't be read, isn't YAML, or holds something else.
    """

    text = read_user_text(file, largest=_LARGEST, rule=rule) if text is None else text
    try:
        document = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        raise UserError(_message(file, error), rule=rule) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = f"{error.character:04X}"
        problem = f"not valid YAML: the character U+{code} may not stand in it\n  remove it"
        raise UserError(f"{shown_path(file)}:{line}: {problem}", rule=rule) from None
    if isinstance(document, MappingWithLines):
        return document
    what = (
        "the file is empty" if document is None else f"the file holds {kind(document)}, not keys with values"
    )
    raise UserError(f"{shown_path(file)}:1: {what}\n  {sample}", rule=rule)


def kind(value: object) -> str:
    """What a value is, in words for a message."""
    kinds: tuple[tuple[type, str], ...] = (
        (type(None), "nothing"),
        (dict, "a mapping"),
        (list, "a list"),
        (str, "text"),
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), f"a {type(value).__name__}")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with `MappingWithLines` for mappings, bounds, and a line in every error."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._open = 0
        self._sizes: dict[yaml.Node, tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """Keeps within bounds, before anything is made of the nodes. An alias gives what it stands for."""
        is_alias = self.check_event(yaml.AliasEvent)
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self._open += 1
        if self._open > _DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"more than {_DEEPEST} levels deep", mark)
        node = super().compose_node(parent, index)
        self._open -= 1
        assert node is not None  # So only in the types' eyes.
        problem = None
        if node not in self._sizes:
            if is_alias:
                problem = "the aliases make a value a part of itself"
            self._sizes[node] = self._size(node)
        characters, depth = self._sizes[node]
        if characters > _MOST:
            problem = f"the aliases make more than {_MOST:,} characters of it"
        elif depth > _DEEPEST:
            problem = f"the aliases make it more than {_DEEPEST} levels deep"
        if problem:
            raise yaml.composer.ComposerError(None, None, problem, mark)
        return node

    def _size(self, node: yaml.Node) -> tuple[int, int]:
        """The characters and levels of a node, all of whose parts are composed already."""
        if isinstance(node, yaml.ScalarNode):
            return 1 + len(node.value), 1
        parts = (
            [part for pair in node.value for part in pair]
            if isinstance(node, yaml.MappingNode)
            else node.value
        )
        sizes = [self._sizes.get(part, (1, 1)) for part in parts]
        return 1 + sum(size for size, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """PyYAML converts values without looking at them first: the date 2020-13-45 is a ValueError.

        Nor does it mind what can never be written again: a number of more than 4,300 digits, half a
        surrogate pair.
        """
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, (int, str)):
                str(value).encode()
        except yaml.YAMLError:
            raise
        except Exception as error:
            problem = f"this value can't be read ({error})"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None
        return value

    def construct_mapping_with_lines(self, node: yaml.MappingNode) -> Iterator[MappingWithLines]:
        """In two steps, as PyYAML wants it of what holds other values."""
        mapping = MappingWithLines()
        yield mapping
        own = {id(key_node) for key_node, _ in node.value}
        # This also puts the pairs of merged mappings (`<<: *name`) into node.value, before the mapping's own.
        mapping.update(self.construct_mapping(node))
        written: set[Hashable] = set()
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node), key_node.start_mark.line + 1
            if key in written:
                mapping.repeated[key] = line
            # A key that stands in for one of a merged mapping isn't there twice.
            written |= {key} if id(key_node) in own else set()
            mapping.lines[key] = line

    def construct_list_with_lines(self, node: yaml.SequenceNode) -> Iterator[ListWithLines]:
        """The same of a list."""
        items = ListWithLines()
        yield items
        items.extend(self.construct_sequence(node))
        items.lines.extend(item.start_mark.line + 1 for item in node.value)


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_mapping_with_lines)
_Loader.add_constructor("tag:yaml.org,2002:seq", _Loader.construct_list_with_lines)


def _message(file: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"{shown_path(file)}:{mark.line + 1}:{mark.column + 1}" if mark else shown_path(file)
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    lines = [f"{place}: not valid YAML: {reason}"]
    if mark and (snippet := mark.get_snippet(indent=6)):
        lines.append(snippet)
    problem = error.problem or ""
    lines.extend(f"  {hint}" for part, hint in _HINTS.items() if part in problem)
    return "\n".join(lines)
