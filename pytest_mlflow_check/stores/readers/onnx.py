"""Tells ONNX models, which begin with no magic number, by the structure of the whole file.

An ONNX file is a protobuf message `ModelProto` (onnx.proto of ONNX 1.23). Many protobuf files begin like one;
one that has only ONNX's fields in ONNX's types, from the first byte to the last, down to the graph and the
operator sets, is one.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path

_VARINT, _BYTES = 0, 2

_NUMBER = {1, 5}
"""Of `ModelProto`: ir_version, model_version."""
_TEXTS = {2, 3, 4, 6, 14, 20, 25, 26}
"""Of `ModelProto`: producer, domain, doc_string, metadata_props, training_info, functions, configuration."""
_GRAPH, _OPSET = 7, 8
_GRAPH_FIELDS = {1, 2, 5, 10, 11, 12, 13, 14, 15, 16}
_NODE, _OUTPUT = 1, 12

_Buffer = bytes | mmap.mmap
_Field = tuple[int, int, int, int]
"""Field number, wire type, and where its content starts and ends."""


class _NotProtobuf(Exception):
    pass


def is_onnx(file: Path) -> bool:
    """Whether a file is an ONNX model, beyond doubt.

    Raises:
        OSError: the file can't be read.
        ValueError: the file is empty.
    """
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # Every writer puts the fields in order, and this one is never left out.
        if content[:1] != b"\x08":
            return False
        try:
            return _is_model(content)
        except _NotProtobuf:
            return False


def _is_model(content: _Buffer) -> bool:
    graphs = opsets = 0
    for number, wire, start, end in _fields(content, 0, len(content)):
        if number in _NUMBER and wire == _VARINT:
            continue
        if wire != _BYTES or number not in {*_TEXTS, _GRAPH, _OPSET}:
            return False
        if number == _GRAPH:
            graphs += 1
            if not _is_graph(content, start, end):
                return False
        if number == _OPSET:
            opsets += 1
            if not _is_opset(content, start, end):
                return False
    return graphs == 1 and opsets > 0


def _is_graph(content: _Buffer, start: int, end: int) -> bool:
    seen = set()
    for number, wire, _, _ in _fields(content, start, end):
        if wire != _BYTES or number not in _GRAPH_FIELDS:
            return False
        seen.add(number)
    return {_NODE, _OUTPUT} <= seen


def _is_opset(content: _Buffer, start: int, end: int) -> bool:
    # The domain, empty for ONNX's own operators, and the version.
    allowed: Collection[tuple[int, int]] = {(1, _BYTES), (2, _VARINT)}
    kinds = [(number, wire) for number, wire, _, _ in _fields(content, start, end)]
    return (2, _VARINT) in kinds and all(kind in allowed for kind in kinds)


def _fields(content: _Buffer, position: int, end: int) -> Iterator[_Field]:
    """The fields of the message between two positions, which they have to fill exactly."""
    while position < end:
        key, position = _varint(content, position, end)
        wire, number = key & 7, key >> 3
        start = position
        if wire == _VARINT:
            _, position = _varint(content, position, end)
        elif wire == _BYTES:
            length, start = _varint(content, position, end)
            position = start + length
        else:
            raise _NotProtobuf
        if position > end:
            raise _NotProtobuf
        yield number, wire, start, position


def _varint(content: _Buffer, position: int, end: int) -> tuple[int, int]:
    """A number of up to ten bytes of seven bits, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _NotProtobuf
