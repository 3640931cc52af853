"""A network without its `QuantizeLinear` and `DequantizeLinear`: what it computes in float, and what they say."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from qdiag.errors import LoadError
from qdiag.integer_file import IntegerFile, StoredTensor
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.cut_off import CutOff
from qdiag.onnx.fold import renamed
from qdiag.onnx.model import Array, OnnxGraph, OnnxNode, all_nodes, read_names
from qdiag.onnx.quantized.saturation import with_clamps
from qdiag.onnx.quantized.stored import holds_all, integers_of, is_same, quantizer_of, stored_tensor, values_of

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_DOMAINS = ("", "com.microsoft")
_INTEGER_SUFFIX = "_quantized"
"""What onnxruntime puts behind the name of a tensor that holds integers."""
_ZERO = "#integer_zero"
Chain = tuple[Affine, ...]


def is_quantized(graph: OnnxGraph) -> bool:
    """It has nodes that `stripped` takes away."""
    return any(_is(node, QUANTIZE) or _is(node, DEQUANTIZE) for node in all_nodes(graph))


def stripped(graph: OnnxGraph, encoding: str, unnamed: Collection[str] = ()) -> tuple[OnnxGraph, IntegerFile]:
    """The float network inside a quantized one, with weights as its integers stand for them, and its quantizers.

    A ReLU that the file leaves to the lowest integer of a quantizer is put back. Tensors have the names that they have
    in the float network, as far as the file tells.

    Args:
        unnamed: outputs whose names are those of tensors inside the file, and may become those of the float network.

    Raises:
        LoadError: scales that are computed, or of a kind that is not read.
    """
    found = _Stripper(graph, unnamed)
    bare = found.run()
    kept = {name: chain for name, chain in found.sites().items() if name in _made(bare)}
    bare, clamped = with_clamps(bare, kept)
    constants = {name: stored for name, stored in found.stored.items() if name in bare.constants}
    uneven = tuple(name for name in found.uneven() if name in kept)
    return bare, IntegerFile(encoding, kept, constants, uneven, clamped, found.nodes())


class _Stripper:
    """Follows every tensor from where it is made through the nodes that quantize it to those that read it."""

    def __init__(self, graph: OnnxGraph, unnamed: Collection[str] = ()) -> None:
        self._graph, self._unnamed = graph, frozenset(unnamed)
        self._constants: dict[str, Array] = dict(graph.constants)
        self._integer_inputs = {i.name: i for i in graph.inputs if i.dtype.kind in "iu"}
        self._float_inputs: set[str] = set()
        self._alias: dict[str, str] = {}
        self._chains: dict[str, Chain] = {}
        self._uses: dict[str, list[Chain]] = {}
        self._names: dict[str, str] = {}
        self._renames: dict[str, str] = {}
        self._quantizers: dict[str, Affine] = {}
        self._nodes: dict[str, list[str]] = {}
        self._held: dict[str, Affine] = {}
        self.stored: dict[str, StoredTensor] = {}

    def run(self) -> OnnxGraph:
        """The graph without them."""
        nodes: list[OnnxNode] = []
        for node in self._graph.nodes:
            if _is(node, QUANTIZE):
                self._quantize(node)
            elif _is(node, DEQUANTIZE):
                self._dequantize(node)
            else:
                for inner in all_nodes(replace(self._graph, nodes=(node,))):
                    if inner is not node and (_is(inner, QUANTIZE) or _is(inner, DEQUANTIZE)):
                        raise LoadError(f"{inner.name} quantizes inside of a branch, which is not read")
                for name in read_names(node):
                    self._use(name)
                nodes.append(renamed(self._moved(node), self._alias))
        return self._named(nodes)

    def sites(self) -> dict[str, Chain]:
        """By tensor, the quantizers that most of its readers get it through."""
        found = {name: self._chain(uses) for name, uses in self._uses.items()}
        return {self._name(name): chain for name, chain in found.items() if chain}

    def nodes(self) -> dict[str, tuple[str, ...]]:
        """By tensor and constant, what its nodes give."""
        return {self._name(name): tuple(outputs) for name, outputs in self._nodes.items()}

    def uneven(self) -> tuple[str, ...]:
        """Tensors that readers get in different ways."""
        names = []
        for name, uses in self._uses.items():
            chain = self._chain(uses)
            if chain and any(not _same(chain, use) for use in uses):
                names.append(self._name(name))
        return tuple(names)

    def _chain(self, uses: list[Chain]) -> Chain:
        quantized = [use for use in uses if use]
        counts = Counter(tuple(one.key for one in use) for use in quantized)
        return max(quantized, key=lambda use: counts[tuple(one.key for one in use)], default=())

    def _use(self, name: str) -> None:
        if name not in self._constants:
            self._uses.setdefault(self._alias.get(name, name), []).append(self._chains.get(name, ()))

    def _moved(self, node: OnnxNode) -> OnnxNode:
        """A node that moves integers keeps their quantizer; it pads with, and clips at, what an integer stands for."""
        held = self._held.get(node.inputs[0]) if node.inputs else None
        if held is None:
            return node
        if node.op == "Resize" and node.attributes.get("mode", "nearest") != "nearest":
            held = _cut_off(held)
            self._chains |= dict.fromkeys(node.outputs, (held,))
        self._held |= dict.fromkeys(node.outputs, held)
        if node.op == "Clip":
            return self._with_real(
                node, [place for place in (1, 2) if node.inputs[place : place + 1] not in ((), ("",))]
            )
        if node.op != "Pad" or node.attributes.get("mode", "constant") != "constant":
            return node
        if not node.inputs[2:3] or not node.inputs[2]:
            self._constants.setdefault(_ZERO, np.zeros((), np.uint8))
            node = replace(node, inputs=(*node.inputs[:2], _ZERO, *node.inputs[3:]))
        return self._with_real(node, [2])

    def _with_real(self, node: OnnxNode, places: list[int]) -> OnnxNode:
        """Integers among the inputs of a node as the numbers that they stand for."""
        inputs = list(node.inputs)
        for place in places:
            integer = self._constants.get(inputs[place])
            if integer is None:
                raise LoadError(f"{node.op} {node.name}: an integer beside its data is computed by the network")
            name = f"{node.name}#{place}"
            self._constants[name] = values_of(stored_tensor(node, integer.reshape(()), self._held[node.inputs[0]]))
            inputs[place] = name
        return replace(node, inputs=tuple(inputs))

    def _quantize(self, node: OnnxNode) -> None:
        source, target = node.inputs[0], node.outputs[0]
        values = self._constants.get(source)
        quantizer = self._quantizer(node, values=None)
        if values is not None:
            self._constants[target] = integers_of(values, quantizer)
            self._names.setdefault(target, source)
            self._quantizers[target] = quantizer
            return
        self._held[target] = quantizer
        before = self._chains.get(source, ())
        again = before and holds_all(quantizer, before[-1])
        self._alias[target] = self._alias.get(source, source)
        self._nodes.setdefault(self._alias[target], []).append(target)
        self._chains[target] = before if again else (*before, quantizer)

    def _dequantize(self, node: OnnxNode) -> None:
        source, target = node.inputs[0], node.outputs[0]
        integers = self._constants.get(source)
        if integers is not None:
            quantizer = self._quantizers.get(source) or self._quantizer(node, values=integers)
            stored = stored_tensor(node, integers, quantizer)
            name = self._names.get(source, source.removesuffix(_INTEGER_SUFFIX))
            taken = self._constants.get(name)
            is_own = name == self._names.get(source) or (taken is None and name != source)
            name = name if is_own else target
            self._constants[name], self.stored[name] = values_of(stored), stored
            self._nodes[name] = [target]
            if name != target:
                self._alias[target] = name
            return
        self._alias[target] = self._alias.get(source, source)
        self._chains[target] = self._chains.get(source, ())
        if source in self._integer_inputs:
            self._float_inputs.add(source)
            self._chains[target] = (self._quantizer(node, values=None),)

    def _quantizer(self, node: OnnxNode, *, values: Array | None) -> Affine:
        scale, zero_point = (self._constants.get(name) for name in (*node.inputs[1:3], "", "")[:2])
        if len(node.inputs) > 2 and node.inputs[2] and zero_point is None:
            raise LoadError(f"{node.op} {node.name}: its zero point is computed by the network")
        return quantizer_of(node, scale, zero_point, values)

    def _named(self, nodes: list[OnnxNode]) -> OnnxGraph:
        """Outputs keep their names, whatever reads the tensor behind them; tensors lose the suffix of integers."""
        inputs = {i.name for i in self._graph.inputs}
        made = {name for node in nodes for name in node.outputs} | inputs | set(self._constants)
        for output in self._graph.outputs:
            self._use(output)
            source = self._alias.get(output, output)
            if source == output or output in self._unnamed:
                continue
            if source in inputs or source in self._constants or source in self._renames:
                nodes.append(OnnxNode("Identity", "", output, (source,), (output,), {}))
            else:
                self._renames[source] = output
        for name in made:
            bare = name.removesuffix(_INTEGER_SUFFIX)
            if bare != name and bare not in made and name not in (*inputs, *self._constants, *self._renames):
                self._renames[name] = bare
        outputs = tuple(
            o if o in self._alias and o not in self._unnamed else self._name(self._alias.get(o, o))
            for o in self._graph.outputs
        )
        return replace(
            self._graph,
            nodes=tuple(_with_outputs(renamed(node, self._renames), self._renames) for node in nodes),
            inputs=tuple(
                replace(i, dtype=np.dtype(np.float32)) if i.name in self._float_inputs else i
                for i in self._graph.inputs
            ),
            outputs=outputs,
            constants=self._constants,
        )

    def _name(self, name: str) -> str:
        return self._renames.get(name, name)


def _cut_off(quantizer: Affine) -> Affine:
    """That of integers which are made of integers, and not rounded."""
    numbers = (quantizer.scale, quantizer.zero_point, quantizer.quant_min, quantizer.quant_max)
    return CutOff(*numbers, is_symmetric=quantizer.is_symmetric)


def _is(node: OnnxNode, op: str) -> bool:
    return node.op == op and node.domain in _DOMAINS


def _same(one: Chain, other: Chain) -> bool:
    return len(one) == len(other) and all(is_same(a, b) for a, b in zip(one, other, strict=True))


def _made(graph: OnnxGraph) -> set[str]:
    return {name for node in graph.nodes for name in node.outputs} | {i.name for i in graph.inputs}


def _with_outputs(node: OnnxNode, renames: dict[str, str]) -> OnnxNode:
    return replace(node, outputs=tuple(renames.get(name, name) for name in node.outputs))
