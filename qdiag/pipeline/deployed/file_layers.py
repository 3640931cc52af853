"""What a quantized file says of each layer of its network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from qdiag.capture.program import Program
from qdiag.core.graph import CONSTANT, Layer, OpGraph
from qdiag.integer_file import IntegerFile, StoredTensor
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.in_turn import InTurn
from qdiag.onnx.network import OnnxNetwork
from qdiag.onnx.recorder import TENSOR_NAME


@dataclass(frozen=True, eq=False)
class FileLayer:
    """Quantizers and integers of one layer.

    Attributes:
        tensors: its output, and what else the file quantizes of the same values, by their names in the file.
        outputs: what its output goes through, one after the other.
        weight, bias: its integers, laid out as the layer has them; None where they are floats.
        weight_origin, bias_origin: names in the file, and the form there, see `OnnxGraph.forms`.
        arguments: what the integers of other constants stand for, by their places among the arguments of the first
            operation. argument_quantizers: theirs, where they have one scale.
    """

    tensors: tuple[str, ...] = ()
    outputs: tuple[Affine, ...] = ()
    weight: StoredTensor | None = None
    bias: StoredTensor | None = None
    weight_origin: tuple[str, str] = ("", "")
    bias_origin: tuple[str, str] = ("", "")
    arguments: Mapping[int, Tensor] = field(default_factory=dict)
    argument_quantizers: Mapping[int, Affine] = field(default_factory=dict)

    @property
    def tensor(self) -> str | None:
        """Name of its output in the file."""
        return self.tensors[0] if self.tensors else None

    @property
    def output(self) -> Affine | None:
        """All of its quantizers as one."""
        return InTurn.of(self.outputs) if self.outputs else None


@dataclass(frozen=True, eq=False)
class FileLayers:
    """The layers of a quantized file.

    Attributes:
        layers: by name. unplaced: tensors whose quantizers belong to no layer, or to readers that get them in
            different ways: what is simulated there is not what the file says.
    """

    layers: Mapping[str, FileLayer]
    unplaced: tuple[str, ...] = ()


@dataclass
class _Outputs:
    tensors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    chains: dict[str, tuple[Affine, ...]] = field(default_factory=dict)
    unplaced: list[str] = field(default_factory=list)


def file_layers(network: OnnxNetwork, program: Program, graph: OpGraph) -> FileLayers:
    """What the file says, by layer of its network.

    Args:
        network: what was read; it has integers. program, graph: as it was captured, and its layers.
    """
    assert network.integers is not None
    integers = network.integers
    outputs = _outputs(integers, program, graph)
    placeholders = {node.name: str(node.target) for node in program.graph.nodes if node.op == "placeholder"}
    nodes = {node.name: node for node in program.graph.nodes}
    layers = {}
    for layer in graph.sites:
        name = layer.name
        own = _constant(network, program, placeholders.get(layer.nodes[0])) if layer.kind == CONSTANT else None
        if own is not None and own.quantizer.channel_axis is None and name not in outputs.chains:
            outputs.chains[name] = (own.quantizer,)
        layers[name] = FileLayer(
            outputs.tensors.get(name, ()),
            outputs.chains.get(name, ()),
            _constant(network, program, layer.weight),
            _constant(network, program, layer.bias),
            _origin(network, program, layer.weight),
            _origin(network, program, layer.bias),
            *_arguments(network, program, layer, nodes[layer.nodes[0]]),
        )
    return FileLayers(layers, tuple(dict.fromkeys((*outputs.unplaced, *integers.uneven))))


def _outputs(integers: IntegerFile, program: Program, graph: OpGraph) -> _Outputs:
    found = _Outputs()
    owners = {node: layer.name for layer in graph.sites for node in layer.nodes}
    placed = set[str]()
    for node in program.graph.nodes:
        name = node.meta.get(TENSOR_NAME)
        made = owners.get(node.name)
        if made is not None and name is not None:
            # the last node of a layer gives its output
            found.tensors[made] = (name, *(one for one in found.tensors.get(made, ()) if one in integers.outputs))
        chain = integers.outputs.get(name or "", ())
        if not chain:
            continue
        if made is None:
            sources = graph.sources.get(node.name, ())
            made = sources[0] if len(sources) == 1 else None
        if made is None:
            continue
        placed.add(name)
        found.tensors[made] = tuple(dict.fromkeys((*found.tensors.get(made, ()), name)))
        before = found.chains.get(made, ())
        more = tuple(one for one in chain if all(one.key != other.key for other in before))
        if more and before and node.name not in owners and not _is_only_way(node, owners):
            found.unplaced.append(name)  # other readers get it without these
            continue
        found.chains[made] = (*before, *more)
    found.unplaced += [name for name in integers.outputs if name not in placed]
    return found


def _is_only_way(node: torch.fx.Node, owners: Mapping[str, str]) -> bool:
    """Nothing but this node reads what the layer before it gives."""
    while node.name not in owners:
        (source,) = node.all_input_nodes[:1]
        if len(source.users) != 1:
            return False
        node = source
    return True


def _constant(network: OnnxNetwork, program: Program, placeholder: str | None) -> StoredTensor | None:
    """The integers behind a parameter, in the shape that it has in the network."""
    assert network.integers is not None
    name, form = _origin(network, program, placeholder)
    stored = network.integers.constants.get(name)
    if placeholder is None or stored is None or form == "computed":
        return None
    value, quantizer, integers = program.constants[placeholder], stored.quantizer, stored.integers
    axis = quantizer.channel_axis
    if form == "transposed":
        integers, axis = integers.T, None if axis is None else 1 - axis
    elif form == "vector":
        integers, axis = integers.reshape(-1), None if axis is None else 0
    if integers.shape != value.shape:
        return None
    numbers = (quantizer.scale, quantizer.zero_point, quantizer.quant_min, quantizer.quant_max, axis)
    if axis is not None and quantizer.scale.numel() == 1:
        numbers = (*(x.reshape(()) for x in numbers[:2]), *numbers[2:4], None)  # type: ignore[assignment]
    return StoredTensor(integers, Affine(*numbers, is_symmetric=quantizer.is_symmetric))


def _arguments(
    network: OnnxNetwork, program: Program, layer: Layer, node: torch.fx.Node
) -> tuple[dict[int, Tensor], dict[int, Affine]]:
    assert network.integers is not None
    found, quantizers = dict[int, Tensor](), dict[int, Affine]()
    for place, argument in enumerate(node.args):
        name = argument.name if isinstance(argument, torch.fx.Node) else ""
        if name in (layer.weight, layer.bias) or name not in program.constants:
            continue
        stored = network.integers.constants.get(_origin(network, program, name)[0])
        if stored is not None:
            found[place] = program.constants[name]
            if stored.quantizer.scale.numel() == 1:
                quantizers[place] = stored.quantizer
    return found, quantizers


def _origin(network: OnnxNetwork, program: Program, placeholder: str | None) -> tuple[str, str]:
    """Name of a parameter in the file, and its form there."""
    path = program.parameter_names.get(placeholder or "")
    return network.origins.get(path or "", ("", ""))
