"""A graph as the bytes of an `.onnx` file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from qdiag.exporters.onnx.graph import GraphWriter
from qdiag.exporters.onnx.package import onnx_package
from qdiag.onnx.model import OnnxNode

IR_VERSIONS = {20: 9, 21: 10}
"""By opset, the version of the format that came with it."""
_TYPES = {torch.bool: np.bool_, torch.int64: np.int64, torch.int32: np.int32, torch.uint8: np.uint8}


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of the network; a size is a number, or the name of one that is free."""

    name: str
    dtype: torch.dtype
    dims: tuple[int | str, ...]


def model_bytes(
    graph: GraphWriter,
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
    *,
    opset: int,
    metadata: Mapping[str, str],
) -> bytes:
    """The file, valid by the checker of ONNX.

    Raises:
        ConfigError: the package `onnx` is not installed.
    """
    onnx = onnx_package()
    live = _live(graph.nodes, [one.name for one in outputs])
    nodes = [
        onnx.helper.make_node(node.op, list(node.inputs), list(node.outputs), name=node.name, **node.attributes)
        for node in live
    ]
    used = {name for node in live for name in node.inputs}
    tensors = [
        onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        for name, array in graph.constants.items()
        if name in used
    ]
    written = onnx.helper.make_graph(
        nodes, "qdiag", [_info(onnx, one) for one in inputs], [_info(onnx, one) for one in outputs], tensors
    )
    model = onnx.helper.make_model(
        written, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=IR_VERSIONS[opset]
    )
    model.producer_name = "qdiag"
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _live(nodes: Sequence[OnnxNode], outputs: Sequence[str]) -> list[OnnxNode]:
    """The nodes that the outputs depend on, in their order."""
    wanted, found = set(outputs), list[OnnxNode]()
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            found.append(node)
    return found[::-1]


def _info(onnx: Any, one: TensorInfo) -> Any:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(_TYPES.get(one.dtype, np.float32)))
    return onnx.helper.make_tensor_value_info(one.name, kind, list(one.dims))
