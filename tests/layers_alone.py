"""Every layer of an exported file by itself in onnxruntime, on the quantized reference that local figures read."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from qdiag.core.graph import CONSTANT, INPUT, Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork
from qdiag.simulate.arithmetic.base import clamped
from qdiag.simulate.passes.lanes import LOCAL, REFERENCE, Lanes
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from tests.deployed import Exported

Integers = npt.NDArray[Any]


class _Seen(LayerObserver):
    """References, and what each layer alone gives."""

    def __init__(self) -> None:
        self.references: dict[str, Tensor] = {}
        self.alone: dict[str, Tensor] = {}

    def opened(self, layer: Layer, lanes: Lanes) -> None:
        self.references[layer.name], self.alone[layer.name] = (
            clamped(lanes.tensors[lane], layer).clone() for lane in (REFERENCE, LOCAL)
        )


def differing_alone(exported: Exported) -> dict[str, int]:
    """By layer, how many of its integers differ: each side reads the same integers."""
    case, seen = exported.case, _Seen()
    LaneRunner(paired_lanes(case.network, case.plan), [seen]).run_batch(exported.batch)
    read = {name: quantized(case.plan.layers[name].output, value) for name, value in seen.references.items()}
    found = {}
    for layer in case.network.graph.sites:
        if layer.name in exported.file.integers and layer.kind not in (INPUT, CONSTANT):
            runtime = _in_runtime(exported, layer.name, read)
            own = quantized(case.plan.layers[layer.name].output, seen.alone[layer.name])
            assert runtime.shape == own.shape, layer.name
            found[layer.name] = int((runtime.astype(np.int64) != own).sum())
    return found


def quantized(quantizer: object, value: Tensor) -> Integers:
    assert isinstance(quantizer, Affine)
    integers: Integers = quantizer.quantize(value).numpy().astype(np.int64)
    return integers


def _in_runtime(exported: Exported, layer: str, read: dict[str, Integers]) -> Integers:
    """What is between the integers that the layer reads and those that it gives, as a file of its own."""
    import onnx
    from onnx import helper

    model = onnx.ModelProto.FromString(exported.file.content)
    graph, wanted = model.graph, exported.file.integers[layer]
    constants = {one.name: one for one in graph.initializer}
    known = {name: one for one, name in exported.file.integers.items() if name not in constants}
    makers = {output: node for node in graph.node for output in node.output}
    inputs: dict[str, Integers] = {}
    nodes: dict[str, Any] = {}
    open_names = [wanted]
    while open_names:
        name = open_names.pop()
        if name in known and name != wanted:
            inputs[name] = read[known[name]]
        elif name in makers and makers[name].output[0] not in nodes:
            nodes[makers[name].output[0]] = makers[name]
            open_names += makers[name].input
    kept = [node for node in graph.node if node.output[0] in nodes]
    types = OnnxruntimeNetwork(exported.file.content).tensors
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(types[name].dtype), list(value.shape))
        for name, value in inputs.items()
    ]
    kind = helper.np_dtype_to_tensor_dtype(types[wanted].dtype)
    used = [constants[name] for name in {one for node in kept for one in node.input} if name in constants]
    alone = helper.make_graph(kept, "layer", given, [helper.make_tensor_value_info(wanted, kind, None)], used)
    content = helper.make_model(alone, opset_imports=model.opset_import, ir_version=model.ir_version)
    feeds = {name: value.astype(types[name].dtype) for name, value in inputs.items()}
    found: Integers = OnnxruntimeNetwork(content.SerializeToString()).run(feeds).outputs[wanted]
    return found
