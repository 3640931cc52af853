"""One operation between QuantizeLinear and DequantizeLinear, run by onnxruntime, and the same in the simulation."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from qdiag.batches import Batch
from qdiag.core.progress import NoProgress
from qdiag.core.scheme import QuantScheme
from qdiag.loaders.data.sources import batches_from
from qdiag.numerics.quantizers.affine import Affine
from qdiag.pipeline.preparation.prepare import prepare
from qdiag.plan import QuantPlan
from qdiag.simulate.calibrate import observe_network
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.plan_builder import build_plan
from qdiag.subject import Subject

Integers = NDArray[np.int64]
OPSET = 21


@dataclass
class File:
    """A QDQ file that is being written, with the quantizers of a plan."""

    plan: QuantPlan
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def quantized(self, value: str, quantizer: Affine) -> str:
        return self.node("QuantizeLinear", value, *self._numbers(quantizer))

    def dequantized(self, value: str, quantizer: Affine) -> str:
        return self.node("DequantizeLinear", value, *self._numbers(quantizer))

    def stored(self, value: Tensor, quantizer: Affine) -> str:
        return self.constant(quantizer.quantize(value.detach()).numpy().astype(_dtype(quantizer)))

    def _numbers(self, q: Affine) -> tuple[str, str]:
        return self.constant(np.float32(q.scale)), self.constant(np.asarray(int(q.zero_point), _dtype(q)))


Build = Callable[[File, list[str]], str]
"""Writes the operation on dequantized inputs, and gives its float output."""


@dataclass(frozen=True)
class Both:
    """Integers of the operation: of onnxruntime, of the simulation, and the operators that onnxruntime ran."""

    runtime: Integers
    simulated: Integers
    operators: Counter[str]


def run_both(
    module: nn.Module, inputs: Sequence[Tensor], build: Build, scheme: QuantScheme, layer: str | None = None
) -> Both:
    """The last layer of the module, or the one named, in both."""
    subject = Subject(module.eval(), "module", "net", "Net")
    data = batches_from([Batch(tuple(inputs))])
    _, network, _ = prepare(subject, (data,), fold=True, device=torch.device("cpu"))
    plan = build_plan(network, observe_network(network, data, scheme, NoProgress()), scheme)
    names = [one.name for one in network.graph.layers]
    last = layer or names[-1]
    (output,) = LaneRunner(paired_lanes(network, plan)).run_batch(Batch(tuple(inputs)))
    quantizer = plan.layers[last].output
    assert isinstance(quantizer, Affine)
    simulated = torch.round(output.tensors[SIMULATED].double() / quantizer.scale.double() + quantizer.zero_point)
    file = File(plan)
    sources = [f"x{i}" for i in range(len(inputs))]
    read = []
    for name, source in zip(names, sources, strict=False):
        own = plan.layers[name].output
        assert isinstance(own, Affine)
        read.append(file.dequantized(file.quantized(source, own), own))
    result = file.quantized(build(file, read), quantizer)
    runtime, operators = _run(file, sources, inputs, result, quantizer)
    return Both(runtime.reshape(simulated.shape), simulated.long().numpy(), operators)


def _run(
    file: File, sources: Sequence[str], inputs: Sequence[Tensor], result: str, quantizer: Affine
) -> tuple[Integers, Counter[str]]:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(_dtype(quantizer)))
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(x.shape))
        for name, x in zip(sources, inputs, strict=True)
    ]
    graph = helper.make_graph(
        file.nodes, "net", given, [helper.make_tensor_value_info(result, kind, None)], file.constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 10
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        operators = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    feeds = {name: x.numpy() for name, x in zip(sources, inputs, strict=True)}
    return session.run(None, feeds)[0].astype(np.int64), operators


def run_float(kind: str, x: Tensor, **attributes: Any) -> list[NDArray[np.float32]]:
    """One operator of ONNX on float32."""
    node = helper.make_node(kind, ["x"], ["y"], **attributes)
    given, found = (helper.make_tensor_value_info(name, TensorProto.FLOAT, list(x.shape)) for name in "xy")
    graph = helper.make_graph([node], "net", [given], [found])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 10
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    made: list[NDArray[np.float32]] = session.run(None, {"x": x.numpy()})
    return made


def _dtype(q: Affine) -> type:
    return np.int8 if q.quant_min < 0 else np.uint8
