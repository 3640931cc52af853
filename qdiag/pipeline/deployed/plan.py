"""A quantized file as the plan of a float network, or of the network inside it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from qdiag.capture.program import Program
from qdiag.core.measures.deployed.file import DeployedFile
from qdiag.core.scheme import QuantScheme
from qdiag.onnx.network import OnnxNetwork
from qdiag.pipeline.deployed.facts import deployed_file
from qdiag.pipeline.deployed.file_layers import FileLayer, FileLayers, file_layers
from qdiag.pipeline.deployed.likeness import check_likeness, weight_likeness
from qdiag.pipeline.deployed.match import LayerMatch, match_layers, stored_value, with_axes_of
from qdiag.pipeline.deployed.scheme import FilePlan, file_plan
from qdiag.simulate.passes.network import Network
from qdiag.subject import Subject

_NORMS = ("batch_norm", "native_batch_norm", "_native_batch_norm_legit_no_training")


@dataclass(frozen=True, eq=False)
class CapturedFile:
    """A quantized file, captured.

    Attributes:
        network: the one inside it, no BatchNorm folded.
    """

    subject: Subject
    program: Program
    network: Network

    @property
    def folds(self) -> bool:
        """It has no BatchNorm of its own, so that those of the float network are in its weights."""
        return not any(name in _NORMS for layer in self.network.graph.layers for name in layer.ops)


@dataclass(frozen=True, eq=False)
class DeployedPlan:
    """What a file says, as a plan and in plain numbers.

    Attributes:
        captured: the file. found: what it says of its layers. match: which layers these are in the float network.
    """

    plan: FilePlan
    file: DeployedFile
    captured: CapturedFile
    found: FileLayers
    match: LayerMatch

    @property
    def scheme(self) -> QuantScheme:
        """What it follows."""
        return self.plan.scheme


def is_integer_file(subject: Subject) -> bool:
    """A quantized file, read as the network inside it."""
    return isinstance(subject.model, OnnxNetwork) and subject.model.integers is not None


def quantized_tensors(subject: Subject) -> tuple[str, ...]:
    """Tensors that have a quantizer in the file, whose float network must keep them apart from what reads them; none
    where it is not quantized.

    The output of a layer that has its bias in the file is none of these: in the float network the bias may be an
    addition of its own behind a tensor of the same name.
    """
    model = subject.model
    if not isinstance(model, OnnxNetwork) or model.integers is None:
        return ()
    return tuple(name for name in model.integers.outputs if name not in model.biased)


def plan_of_file(file: CapturedFile, network: Network | None, *, is_float: bool = True) -> DeployedPlan:
    """The plan of a file.

    Args:
        network: the float network, folded as the file is; None takes the network inside the file.
        is_float: False where that network is one inside of a quantized file itself.

    Raises:
        ConfigError: the file was not made from the float network.
    """
    model = file.subject.model
    assert isinstance(model, OnnxNetwork) and model.integers is not None
    found = file_layers(model, file.program, file.network.graph)
    if network is None:
        names = {layer.name: layer.name for layer in file.network.graph.sites}
        target, match, likeness = file.network, LayerMatch(names, (), ()), None
    else:
        target, match = network, match_layers(network, file.network)
        likeness = weight_likeness(target, file.network, match)
        check_likeness(likeness, match, file.subject.source)
    layers = {name: found.layers[other] for name, other in match.pairs.items() if other in found.layers}
    layers = _with_axes(target, layers)
    keeps = model.integers.encoding == "QDQ"
    plan = file_plan(target, layers, name=file.subject.source, folds=file.folds, keeps_bias_scales=keeps)
    facts = deployed_file(
        *(file.subject.source, model.integers, found, match, target, plan.stored),
        other_weights=likeness.other if likeness is not None else (),
        reference="dequantized" if network is None else "float" if is_float else "quantized",
        left_out=tuple(f"{one.kind} ({one.name})" for one in model.left_out if one.is_first),
    )
    return DeployedPlan(plan, facts, file, found, match)


def _with_axes(network: Network, layers: Mapping[str, FileLayer]) -> dict[str, FileLayer]:
    """Weights with the axes that they have in the network."""
    found = dict(layers)
    for layer in network.graph.sites:
        own, value = layers.get(layer.name), stored_value(network, layer)
        if own is not None and own.weight is not None and value is not None:
            integers = with_axes_of(own.weight.integers, value)
            found[layer.name] = replace(own, weight=replace(own.weight, integers=integers))
    return found
