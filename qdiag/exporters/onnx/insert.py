"""QuantizeLinear and DequantizeLinear put into the ONNX file that a network was read from.

Every node keeps its name, its attributes and its place; what changes is that readers of a quantized tensor read it
behind its quantizer, and that weights and biases are integers. Where the file has other layers than the plan, such as a
BatchNorm that is folded, there is no such file, and the reason is said.
"""

from typing import Any

import numpy as np
from torch import fx

from qdiag.capture.ops import kind_and_policy
from qdiag.core.graph import CONSTANT, Layer
from qdiag.errors import CaptureError
from qdiag.exporters.onnx.file_numbers import quantize_numbers
from qdiag.exporters.onnx.graph import GraphWriter
from qdiag.exporters.onnx.insertable import check_insertable, is_valid, stored_tensors, without_unread
from qdiag.exporters.onnx.number_types import as_affine, fills_storage, storage
from qdiag.exporters.onnx.package import onnx_package
from qdiag.exporters.onnx.sites import kept_in_float
from qdiag.exporters.onnx.weights import write_weights
from qdiag.exporters.onnx.write import QdqFile
from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.recorder import TENSOR_NAME
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.network import Network

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def insert_qdq(content: bytes, network: Network, plan: QuantPlan) -> QdqFile:
    """The file with quantizers at the sites of the plan.

    Args:
        content: the file that the network was read from. network: no layer of it added, taken away or fused.

    Raises:
        CaptureError: the file cannot hold the plan node by node; says why.
        ConfigError: the plan has numbers that QuantizeLinear cannot hold, or the package `onnx` is not installed.
    """
    return _Inserting(content, network, plan).file()


class _Inserting:
    def __init__(self, content: bytes, network: Network, plan: QuantPlan) -> None:
        self._onnx = onnx_package()
        self._model = self._onnx.ModelProto.FromString(content)
        self._was_valid = is_valid(self._model, self._onnx.checker)
        self._network, self._plan = network, plan
        self._nodes: dict[str, fx.Node] = {node.name: node for node in network.program.graph.nodes}
        self._makers = {output: node for node in self._model.graph.node for output in node.output}
        self._initializers = stored_tensors(self._model.graph)
        check_insertable(self._model, network, plan)
        self._graph = GraphWriter()
        names = (*self._makers, *self._initializers, *(one.name for one in self._model.graph.input))
        for name in dict.fromkeys((*names, *(node.name for node in self._model.graph.node))):
            self._graph.unique(name)
        self._behind: dict[str, list[Any]] = {}
        """By tensor, the nodes that follow what makes it."""
        self._first: list[Any] = []
        self._integers: dict[str, str] = {}

    def file(self) -> QdqFile:
        for layer in self._network.graph.sites:
            self._site(layer)
        for node in self._nodes.values():
            self._moved(node)
        for layer in self._network.graph.layers:
            if layer.weight is not None:
                self._weights(layer)
        self._numbers()
        self._write()
        if self._was_valid:
            self._onnx.checker.check_model(self._model)
        content: bytes = self._model.SerializeToString()
        return QdqFile(content, self._integers)

    def _numbers(self) -> None:
        start, made = len(self._graph.nodes), self._graph.quantizers
        quantizers = {name: made[nodes[0][2]] for name, nodes in self._behind.items()}
        quantize_numbers(self._graph, self._model.graph.node, self._initializers, quantizers)
        self._first += self._graph.nodes[start:]

    def _tensor(self, node: fx.Node, layer: str) -> str:
        name = node.meta.get(TENSOR_NAME)
        if name is None or (name not in self._makers and name not in self._inputs and name not in self._initializers):
            raise CaptureError(f"{layer} is made of nodes whose result has no tensor of its own in the file")
        return str(name)

    @property
    def _inputs(self) -> set[str]:
        return {one.name for one in self._model.graph.input}

    def _site(self, layer: Layer) -> None:
        plan = self._plan.layers[layer.name]
        if plan.output is None:
            return
        quantizer = as_affine(plan.output, layer.name)
        if not fills_storage(quantizer):
            raise CaptureError(f"the integers of {layer.name} do not fill their type")
        tensor = self._tensor(self._nodes[layer.output], layer.name)
        if layer.kind == CONSTANT:
            self._constant(layer, tensor, quantizer)
            return
        is_fused = layer.clamp is not None and layer.kind != "clamp"
        if is_fused and layer.clamp is not None and not quantizer.covers(layer.clamp):
            before = self._tensor(self._nodes[layer.nodes[0]], layer.name)
            self._insert(before, quantizer, f"{layer.name}/unclamped")
        is_float = plan.float_reason is not None or (layer.weight is not None and plan.weight is None)
        self._integers[layer.name] = self._insert(tensor, quantizer, layer.name, is_float=is_float)

    def _moved(self, node: fx.Node) -> None:
        """What moves values has the quantizer of its input on both sides."""
        sources = self._network.graph.sites if node.op == "call_function" else ()
        owners = self._network.graph.sources.get(node.name, ())
        is_layer = any(node.name in layer.nodes for layer in sources)
        if node.op != "call_function" or is_layer or len(owners) != 1 or kind_and_policy(node)[1] != "pass":
            return
        quantizer, tensor = self._plan.layers[owners[0]].output, node.meta.get(TENSOR_NAME)
        if isinstance(quantizer, Affine) and tensor in self._makers and tensor not in self._behind:
            self._insert(str(tensor), quantizer, self._makers[tensor].name or str(tensor))

    def _insert(self, tensor: str, quantizer: Affine, name: str, *, is_float: bool = False) -> str:
        """Quantizes a tensor for all that read it; the name of its integers."""
        if tensor in self._behind:
            raise CaptureError(f"{tensor} would be quantized twice")
        start, source = len(self._graph.nodes), tensor
        is_output = any(one.name == tensor for one in self._model.graph.output)
        if is_output:
            source = self._graph.unique(f"{tensor}_float")
        source_or_kept = kept_in_float(self._graph, source, name) if is_float else source
        out = self._graph.quantized(source_or_kept, quantizer, name)
        integers = self._graph.integers_of(out)
        self._behind[tensor] = [(node, source, out, is_output) for node in self._graph.nodes[start:]]
        return integers

    def _constant(self, layer: Layer, tensor: str, quantizer: Affine) -> None:
        value = self._network.program.constants[str(self._nodes[layer.output].target)]
        stored = self._initializers.get(tensor)
        if stored is None or tuple(stored.dims) != tuple(value.shape):
            raise CaptureError(f"the constant {layer.name} stands otherwise in the file")
        integers = quantizer.quantize(value.detach().cpu().float()).numpy().astype(storage(quantizer))
        start = len(self._graph.nodes)
        name = self._graph.constant(f"{tensor}_quantized", integers)
        out = self._graph.dequantized(name, quantizer, tensor)
        self._first += self._graph.nodes[start:]
        self._reread(tensor, out)
        self._integers[layer.name] = name

    def _weights(self, layer: Layer) -> None:
        maker = self._makers.get(self._tensor(self._nodes[layer.nodes[0]], layer.name))
        if maker is None or maker.op_type not in _WEIGHTED or maker.input[1] not in self._initializers:
            raise CaptureError(f"{layer.name} is a layer with its bias in another node, or its weight is computed")
        weight = self._network.program.constants[str(layer.weight)]
        attributes = {one.name: one.i for one in maker.attribute if one.type == 2}
        is_transposed = maker.op_type == "MatMul" or (maker.op_type == "Gemm" and not attributes.get("transB", 0))
        dims = tuple(self._initializers[maker.input[1]].dims)
        if dims != (tuple(weight.shape)[::-1] if is_transposed else tuple(weight.shape)):
            raise CaptureError(f"the weight of {layer.name} has another shape in the file")
        if self._plan.layers[layer.name].weight is None and self._is_unchanged(
            maker, layer, is_transposed=is_transposed
        ):
            return
        start = len(self._graph.nodes)
        names = write_weights(self._graph, self._network, self._plan, layer)
        new = self._graph.nodes[start:]
        if is_transposed:
            self._transpose(names[0], new)
        self._first += new
        maker.input[1] = names[0]
        if names[1] and maker.op_type == "MatMul":
            raise CaptureError(f"{layer.name} has a bias in the plan and none in the file")
        if names[1]:
            del maker.input[2:]
            maker.input.append(names[1])

    def _is_unchanged(self, maker: Any, layer: Layer, *, is_transposed: bool) -> bool:
        """Weight and bias are in float, and no repair has changed them."""
        constants, to_array = self._network.program.constants, self._onnx.numpy_helper.to_array
        weight = to_array(self._initializers[maker.input[1]])
        own = constants[str(layer.weight)].detach().cpu().numpy()
        if not np.array_equal(weight.T if is_transposed else weight, own):
            return False
        if layer.bias is None:
            return len(maker.input) < 3
        bias = self._initializers.get(maker.input[2]) if len(maker.input) > 2 else None
        return bias is not None and np.array_equal(to_array(bias).reshape(-1), constants[layer.bias].detach().cpu())

    def _transpose(self, weight: str, new: list[Any]) -> None:
        """The weight as the file lays it out: inputs first."""
        if weight in self._graph.constants:
            self._graph.constants[weight] = np.ascontiguousarray(self._graph.constants[weight].T)
            return
        (place,) = [i for i, node in enumerate(new) if weight in node.outputs]
        stored = new[place].inputs[0]
        self._graph.constants[stored] = np.ascontiguousarray(self._graph.constants[stored].T)
        if "axis" in new[place].attributes:
            new[place].attributes["axis"] = 1 - new[place].attributes["axis"]

    def _reread(self, tensor: str, name: str) -> None:
        for node in self._model.graph.node:
            for i, one in enumerate(node.input):
                if one == tensor:
                    node.input[i] = name

    def _write(self) -> None:
        graph = self._model.graph
        written = [self._proto(node) for node in self._first]
        for tensor, entries in self._behind.items():
            _, source, out, is_output = entries[0]
            if not is_output:
                self._reread(tensor, out)
                continue
            maker = self._makers[tensor]
            maker.output[list(maker.output).index(tensor)] = source
        for name in (one.name for one in graph.input):
            written += self._following(name)
        for node in list(graph.node):
            before = [name for name, maker in self._makers.items() if maker is node]
            written.append(node)
            for name in before:
                written += self._following(name)
        copies = [self._onnx.NodeProto.FromString(node.SerializeToString()) for node in without_unread(written, graph)]
        del graph.node[:]
        graph.node.extend(copies)
        used = {name for node in graph.node for name in node.input} | {one.name for one in graph.output}
        kept = [one for one in graph.initializer if one.name in used]
        kept += [
            self._onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
            for name, array in self._graph.constants.items()
        ]
        kept = [self._onnx.TensorProto.FromString(one.SerializeToString()) for one in kept]
        del graph.initializer[:]
        graph.initializer.extend(kept)

    def _following(self, tensor: str) -> list[Any]:
        """The quantizer of a tensor; of an output of the network under that name."""
        found = []
        for node, _, out, is_output in self._behind.get(tensor, ()):
            proto = self._proto(node)
            if is_output and proto.output[0] == out:
                proto.output[0] = tensor
            found.append(proto)
        return found

    def _proto(self, node: Any) -> Any:
        return self._onnx.helper.make_node(
            node.op, list(node.inputs), list(node.outputs), name=node.name, **node.attributes
        )
