"""YAML written for people, and edited line by line.

A library that writes whole documents indents, quotes and wraps anew what somebody wrote, and drops comments
beside what it removes (ruamel.yaml 0.18 did both when it was tried); here, what isn't
changed stays byte for byte.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z_./][\w./+@()-]*(?: [\w./+@()-]+)*", re.ASCII)
_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
_STEP = 2
_TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Flow:
    """What is written on one line, in braces or brackets."""

    value: Mapping[str, Any] | Sequence[Any]


Document = Mapping[str, Any]
"""Mappings, lists, `Flow`, texts, numbers, truth values and None."""


def scalar(value: object, *, quotes: bool = False) -> str:
    """A value on one line; text in quotes where any YAML could take it for something else."""
    if not isinstance(value, str):
        return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if not quotes and _PLAIN.fullmatch(value) and value.lower() not in _WORDS and _is_text(value):
        return value
    return f'"{"".join(map(_escaped, value))}"'


def entry(key: str, value: object, indent: int = 0) -> list[str]:
    """The lines of a key with its value."""
    head = f"{' ' * indent}{scalar(key)}:"
    if isinstance(value, Flow):
        return [f"{head} {_flow(value.value)}"]
    if isinstance(value, Mapping) and value:
        return [head, *(line for name, each in value.items() for line in entry(name, each, indent + _STEP))]
    if isinstance(value, (list, tuple)) and value:
        return [head, *(_item(each, indent + _STEP) for each in value)]
    return [f"{head} {_flow(value)}"]


def plain(value: object) -> object:
    """A value as it is read back."""
    if isinstance(value, Flow):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def edited(text: str, document: Document) -> str:
    """The text of a file, changed so that it says what the document says, with as few lines as need be.

    Args:
        text: valid YAML, with a mapping in it, without aliases.
        document: what it has to say.
    """
    loader = yaml.SafeLoader(text)
    root = loader.get_single_node()
    end = "\r\n" if "\r\n" in text else "\n"
    edit = _Edit(text.split("\n"), loader, "\r" if end == "\r\n" else "")
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return end.join(line for key, value in document.items() for line in entry(key, value)) + end
    edit.mapping(root, document)
    return edit.text()


@dataclass
class _Edit:
    """What is to be done to each line: what comes before it, and whether it goes."""

    lines: list[str]
    loader: yaml.SafeLoader
    end: str
    before: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    instead: dict[int, list[str]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)

    def text(self) -> str:
        found: list[str] = []
        for number in range(len(self.lines) + 1):
            new = [*self.before.get(number, ()), *self.instead.get(number, ())]
            found += [line + self.end for line in new]
            if number < len(self.lines) and number not in self.gone:
                found.append(self.lines[number])
        return "\n".join(found)

    def mapping(self, node: yaml.MappingNode, new: Mapping[str, Any]) -> None:
        """Changes the entries of a mapping that stands in lines of its own."""
        indent = node.start_mark.column
        old = {self._value(key): (key, value) for key, value in node.value}
        for key, (key_node, value_node) in old.items():
            if key not in new:
                self._remove(key_node, value_node)
            elif not _same(self._value(value_node), plain(new[key])):
                self._change(key, key_node, value_node, new[key], indent)
        where = node.start_mark.line
        for key, value in new.items():
            if key in old:
                where = _last(old[key][1], old[key][0]) + 1
            else:
                self._insert(where, entry(key, value, indent))

    def _change(self, key: str, key_node: yaml.Node, node: yaml.Node, new: object, indent: int) -> None:
        if isinstance(node, yaml.MappingNode) and _is_block(node) and isinstance(new, Mapping) and new:
            self.mapping(node, new)
        elif (
            isinstance(node, yaml.SequenceNode) and _is_block(node) and isinstance(new, (list, tuple)) and new
        ):
            self._sequence(node, new)
        else:
            first, last = key_node.start_mark.line, _last(node, key_node)
            lines = entry(key, new, indent)
            if first == last:
                rest = self.lines[last][_end(node, key_node) :].rstrip("\r")
                lines[0] += rest if rest.lstrip().startswith("#") else ""
            self.gone.update(range(first, last + 1))
            self.instead[first] = lines

    def _sequence(self, node: yaml.SequenceNode, new: Sequence[object]) -> None:
        wanted = [plain(each) for each in new]
        # The dash stands before the item, with blanks between them.
        start = self.lines[node.value[0].start_mark.line]
        indent = len(start) - len(start.lstrip())
        old = [self._value(item) for item in node.value]
        for value, item in zip(old, node.value, strict=True):
            if value not in wanted:
                self._remove(item, item)
        where = node.value[0].start_mark.line
        for each, value in zip(new, wanted, strict=True):
            if value in old:
                item = node.value[old.index(value)]
                where = _last(item, item) + 1
            else:
                self._insert(where, [_item(each, indent)])

    def _insert(self, where: int, lines: list[str]) -> None:
        if where >= len(self.lines):
            # The last line has no line end.
            self.lines.append("")
            self.lines[-2] += self.end
        self.before[where] += lines

    def _remove(self, first: yaml.Node, last: yaml.Node) -> None:
        """Takes the lines of an entry away; comments between them stay."""
        numbers = range(first.start_mark.line, _last(last, first) + 1)
        self.gone.update(one for one in numbers if not self.lines[one].lstrip().startswith("#"))

    def _value(self, node: yaml.Node) -> Any:
        return self.loader.construct_object(node, deep=True)


def _same(old: object, new: object) -> bool:
    # `loss:` with nothing behind it is an open one.
    return old == new or (old is None and new == {})


def _last(node: yaml.Node, key: yaml.Node) -> int:
    """The last line with something of a value; for PyYAML a block ends where the next one begins."""
    if not isinstance(node, yaml.CollectionNode) or not _is_block(node):
        before = node.end_mark.column == 0 and node.end_mark.line > node.start_mark.line
        return max(node.end_mark.line - int(before), key.end_mark.line)
    child = node.value[-1]
    return _last(child[1], child[0]) if isinstance(child, tuple) else _last(child, child)


def _is_block(node: yaml.CollectionNode) -> bool:
    """Whether it stands in lines of its own, and there are some."""
    return not node.flow_style and bool(node.value)


def _end(node: yaml.Node, key: yaml.Node) -> int:
    return max(node.end_mark.column, key.end_mark.column)


def _item(value: object, indent: int) -> str:
    return f"{' ' * indent}- {_flow(value)}"


def _flow(value: object) -> str:
    if isinstance(value, Flow):
        return _flow(value.value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalar(value)


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable() or char == " ":
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_RESOLVER = yaml.resolver.Resolver()


def _is_text(value: str) -> bool:
    tag = _RESOLVER.resolve(yaml.ScalarNode, value, (True, False))  # type: ignore[no-untyped-call]
    return bool(tag == _TEXT_TAG)
