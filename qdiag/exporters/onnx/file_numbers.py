"""Numbers that nodes of a file add and multiply with: as integers beside quantized tensors, which have kernels."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from qdiag.exporters.onnx.graph import GraphWriter
from qdiag.exporters.onnx.package import onnx_package
from qdiag.numerics.quantizers.affine import Affine

_WITH_KERNEL = ("Add", "Mul")
_FLOAT = 1
"""Type of a tensor, as the format counts them."""


def quantize_numbers(
    graph: GraphWriter,
    nodes: Iterable[Any],
    tensors: Mapping[str, Any],
    quantizers: Mapping[str, Affine],
) -> None:
    """Gives nodes with one number and quantized tensors the number as plus or minus one step of its size.

    Args:
        graph: gets what dequantizes the numbers. nodes: of the file, changed in place.
        tensors: what the file stores, by name. quantizers: of tensors that it computes, by name.
    """
    for node in nodes:
        if node.op_type not in _WITH_KERNEL or len(node.input) != 2 or node.output[0] not in quantizers:
            continue
        for place, other in ((0, node.input[1]), (1, node.input[0])):
            stored, beside = tensors.get(node.input[place]), quantizers.get(other)
            if stored is None or stored.data_type != _FLOAT or beside is None:
                continue
            values = np.asarray(onnx_package().numpy_helper.to_array(stored)).reshape(-1)
            if values.size == 1 and np.isfinite(values[0]) and len(stored.dims) == 0:
                node.input[place] = graph.number(float(values[0]), beside)
