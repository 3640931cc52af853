"""Whether a LiteRT file holds scales, told from its bytes: no schema, and nothing large is imported.

Source: flatbuffers.dev, "FlatBuffers internals"; the numbers of the fields are those of tensorflow/lite/schema.fbs.
"""

import struct
from collections.abc import Iterator

_MODEL_SUBGRAPHS, _SUBGRAPH_TENSORS, _TENSOR_QUANTIZATION, _QUANTIZATION_SCALE = 2, 0, 4, 2


def has_scales(content: bytes) -> bool:
    """Some tensor has a scale.

    Raises:
        ValueError: the file is cut short or damaged.
    """
    try:
        for graph in _tables(content, _field(content, _offset(content, 0), _MODEL_SUBGRAPHS)):
            for tensor in _tables(content, _field(content, graph, _SUBGRAPH_TENSORS)):
                stored = _field(content, tensor, _TENSOR_QUANTIZATION)
                scales = _field(content, _offset(content, stored), _QUANTIZATION_SCALE) if stored else 0
                if scales and struct.unpack_from("<I", content, _offset(content, scales))[0]:
                    return True
    except struct.error as error:
        raise ValueError("an offset that leads out of the file") from error
    return False


def _offset(content: bytes, at: int) -> int:
    """Where the offset that stands at a place leads."""
    return at + int(struct.unpack_from("<I", content, at)[0])


def _field(content: bytes, table: int, number: int) -> int:
    """Where a field of a table stands; 0 where the table has none."""
    entries = table - int(struct.unpack_from("<i", content, table)[0])
    if entries < 0:
        raise ValueError("an offset that leads out of the file")
    place = 4 + 2 * number
    if place >= struct.unpack_from("<H", content, entries)[0]:
        return 0
    within = int(struct.unpack_from("<H", content, entries + place)[0])
    return table + within if within else 0


def _tables(content: bytes, field: int) -> Iterator[int]:
    """The tables of a vector of them."""
    if not field:
        return
    vector = _offset(content, field)
    count = int(struct.unpack_from("<I", content, vector)[0])
    if count > (len(content) - vector) // 4:
        raise ValueError("a vector that is longer than the file")
    for at in range(vector + 4, vector + 4 + 4 * count, 4):
        yield _offset(content, at)
