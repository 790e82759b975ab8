"""Writes GGUF version 3 files. See https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

ALIGNMENT = 32
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
TENSOR_TYPES = {"F32": 0, "F16": 1}

Value = str | bool | int | float | list[str] | list[int]
"""Whole numbers are written as uint32, lists of them as int32, empty lists as lists of texts."""


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    """In GGUF's order: the length of a row first."""
    type: str
    data: bytes


def _text(value: str) -> bytes:
    data = value.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _typed(value: Value) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", _BOOL, value)
        case str():
            return struct.pack("<I", _STRING) + _text(value)
        case int():
            return struct.pack("<II", _U32, value)
        case float():
            return struct.pack("<If", _F32, value)
        case [] | [str(), *_]:
            return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(map(_text, value))
        case [*numbers]:
            return struct.pack(f"<IIQ{len(numbers)}i", _ARRAY, _I32, len(numbers), *numbers)
    raise TypeError(f"no GGUF type for {value!r}")


def _padding(length: int) -> bytes:
    return b"\0" * (-length % ALIGNMENT)


def write(path: Path, metadata: dict[str, Value], tensors: list[Tensor]) -> None:
    """Writes the file. It gets its name only when it is complete."""
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    header += b"".join(_text(key) + _typed(value) for key, value in metadata.items())
    offset = 0
    for tensor in tensors:
        header += _text(tensor.name) + struct.pack("<I", len(tensor.shape))
        header += struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        header += struct.pack("<IQ", TENSOR_TYPES[tensor.type], offset)
        offset += len(tensor.data) + len(_padding(len(tensor.data)))
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(header + _padding(len(header)))
        for tensor in tensors:
            file.write(tensor.data + _padding(len(tensor.data)))
    partial.replace(path)
