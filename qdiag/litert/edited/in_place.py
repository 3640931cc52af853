"""Numbers of a file replaced where they stand, so that every other byte stays as it was."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from qdiag.litert.edited.change import TensorChange
from qdiag.litert.model import Array, LiteQuantization


def replaced(content: bytes, schema: Any, graph_place: int, changes: Sequence[TensorChange]) -> bytes | None:
    """The file with these changes; None where one of them does not fit into the place of what it replaces.

    Args:
        graph_place: of the main network.
    """
    data = bytearray(content)
    model = schema.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(graph_place)
    used = Counter(
        model.Subgraphs(g).Tensors(t).Buffer()
        for g in range(model.SubgraphsLength())
        for t in range(model.Subgraphs(g).TensorsLength())
    )
    for change in changes:
        tensor = graph.Tensors(change.place)
        if tensor.Type() != getattr(schema.TensorType, change.dtype.name.upper()):
            return None
        if change.quantization is None:
            if tensor.Quantization() is not None and tensor.Quantization().ScaleLength():
                return None
        elif not _put_scales(tensor, change.quantization):
            return None
        if change.data is None:
            continue
        if used[tensor.Buffer()] > 1 or not _put_data(data, model.Buffers(tensor.Buffer()), change.data):
            return None
    return bytes(data)


def _put_scales(tensor: Any, wanted: LiteQuantization) -> bool:
    stored = tensor.Quantization()
    if stored is None or stored.ScaleLength() != wanted.scales.size:
        return False
    if wanted.scales.size > 1 and stored.QuantizedDimension() != wanted.axis:
        return False
    if stored.ZeroPointLength() == wanted.zero_points.size:
        stored.ZeroPointAsNumpy()[:] = wanted.zero_points
    elif stored.ZeroPointLength() or wanted.zero_points.any():
        return False
    stored.ScaleAsNumpy()[:] = wanted.scales
    return True


def _put_data(data: bytearray, buffer: Any, values: Array) -> bool:
    raw = np.frombuffer(values.astype(values.dtype.newbyteorder("<")).tobytes(), np.uint8)
    if buffer.DataLength() == raw.size:
        buffer.DataAsNumpy()[:] = raw
        return True
    if buffer.Offset() > 1 and buffer.Size() == raw.size:
        data[buffer.Offset() : buffer.Offset() + raw.size] = raw.tobytes()
        return True
    return False
