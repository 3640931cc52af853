"""From a scheme and what was seen to a plan: where integer backends place their quantizers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from qdiag.capture.outputs.tails import output_concats
from qdiag.core.graph import CONSTANT, INPUT, OUTPUT, Layer
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.errors import CalibrationError, ConfigError
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.binary import Binary
from qdiag.numerics.quantizers.low_bit import as_it_stands, sign_quantizer
from qdiag.plan import LayerPlan, QuantPlan, StoredLayer
from qdiag.simulate.arithmetic.pytorch.sites import as_torch_has_it
from qdiag.simulate.arithmetic.rounded_operands import is_untold_product, operands_of
from qdiag.simulate.calibrate import Observation
from qdiag.simulate.calibrations import Calibrations
from qdiag.simulate.layer_patterns import check_patterns, matches
from qdiag.simulate.passes.network import Network
from qdiag.simulate.stored_layers import StoredLayers

UNKNOWN_OPERATION = "the simulator does not know this operation"
UNTOLD_PRODUCT = "its equation does not add up products of two operands along axes that both have"
BY_REQUEST = "kept in float by the scheme"


def build_plan(
    network: Network,
    observations: Mapping[str, Observation],
    scheme: QuantScheme,
    calibrations: Calibrations | None = None,
    stored: Mapping[str, StoredLayer] | None = None,
) -> QuantPlan:
    """The plan of a scheme for a network.

    Args:
        calibrations: what other plans of the run have chosen already.
        stored: what a file has for layers; it goes before what the scheme would choose, for as long as scheme and
            weights are those that it was made for.

    Raises:
        CalibrationError: a weight or an activation has no finite range; says which.
        ConfigError: a pattern of `float_layers` or `layers` matches no layer, one of `split_concats` no concat that can
            be split, or contradictory fields meet at one layer.
    """
    check_patterns(network.graph, scheme)
    left_out = _behind_split_concats(network, scheme)
    of_file = StoredLayers(network, scheme, stored or {})
    builder = _Builder(network, observations, scheme, calibrations or Calibrations(), left_out, of_file)
    builder.choose_weights()
    for layer in network.graph.sites:
        builder.add(layer)
    return QuantPlan(scheme, builder.plans)


@dataclass
class _Builder:
    network: Network
    observations: Mapping[str, Observation]
    scheme: QuantScheme
    calibrations: Calibrations
    left_out: frozenset[str]
    stored: StoredLayers

    def __post_init__(self) -> None:
        self.plans: dict[str, LayerPlan] = {}
        self._nodes = {node.name: node for node in self.network.program.graph.nodes}
        (output,) = [node for node in self._nodes.values() if node.op == "output"]
        sources = self.network.graph.sources
        self._returned = {name for node in output.all_input_nodes for name in sources.get(node.name, ())}

    def add(self, layer: Layer) -> None:
        if layer.name in self.left_out:
            self.plans[layer.name] = LayerPlan(is_left_out=True)
            return
        reason = _float_reason(layer, self.scheme) or self._untold(layer) or self.stored.float_reason(layer)
        output, shared = self._output(layer, reason)
        weight = self._weight(layer) if reason is None else None
        operands = self._operands(layer) if reason is None else ()
        bias = self.stored.bias(layer, weight)
        constants = self.stored.constants(layer) if reason is None else {}
        self.plans[layer.name] = LayerPlan(
            *(output, shared, weight, reason),
            operands=operands,
            stored_bias=bias,
            constants=constants,
            constant_quantizers=self.stored.constant_quantizers(layer, constants),
            is_stored=self.stored.is_stored(layer),
        )

    def _output(self, layer: Layer, float_reason: str | None) -> tuple[Quantizer | None, str | None]:
        if layer.name not in self.observations:
            return None, None
        if self.stored.has_output(layer) and (not self._is_asked(layer, float_reason) or self._feeds_integers(layer)):
            return self.stored.output(layer), None
        if (float_reason is not None or layer.kind in (INPUT, CONSTANT)) and not self._feeds_integers(layer):
            return None, None
        if self._feeds_signs_alone(layer):
            return None, None
        if layer.policy == "shared" and float_reason is None and layer.inputs:
            source = self.plans[layer.inputs[0]]
            # the mean of signs is no sign
            if source.output is not None and not isinstance(source.output, Binary):
                return source.output, source.shared_with or layer.inputs[0]
        scheme = self.scheme.activations_of(layer.name)
        if scheme.is_float:
            return None, None
        if layer.sign_magnitude is not None:
            return sign_quantizer(layer.sign_magnitude), None
        if scheme.is_block:  # who multiplies it cuts it into blocks
            return None, None
        if scheme.type == "binary" and not self._is_multiplied_alone(layer):
            return None, None
        chosen = self._activation(layer.name, scheme)
        return as_torch_has_it(self.scheme.arithmetic, layer, scheme, chosen), None

    def _is_asked(self, layer: Layer, float_reason: str | None) -> bool:
        """The scheme, and not the file, wants it in float; of an input, a layer that reads it."""
        readers = self.network.graph.consumers(layer.name) if layer.kind == INPUT else ()
        return BY_REQUEST in (float_reason, *(_float_reason(reader, self.scheme) for reader in readers))

    def _operands(self, layer: Layer) -> tuple[Quantizer | None, ...]:
        """Of each operand, the quantizer that the layer which made it has in the scheme, if it is rounded here."""
        if layer.policy != "compute":
            return ()
        node = self._nodes[layer.nodes[0]]
        found = []
        for operand in operands_of(node, layer, node.args):
            made = self._made(operand)
            is_signs = layer.weight is not None and self._leaves_signs_to_readers(made)
            is_rounded = bool(made) and (is_signs or self.scheme.activations_of(made[0]).is_block)
            found.append(self._activation(made[0], self.scheme.activations_of(made[0])) if is_rounded else None)
        return tuple(found) if any(quantizer is not None for quantizer in found) else ()

    def _made(self, operand: Any) -> list[str]:
        """Layers whose values an operand holds."""
        sources = self.network.graph.sources.get(getattr(operand, "name", ""), ())
        return [name for name in sources if name in self.observations]

    def _leaves_signs_to_readers(self, made: Sequence[str]) -> bool:
        """All are binary in the scheme, and some are read by others too, who get the values as they are."""
        schemes = [self.scheme.activations_of(name) for name in made]
        is_binary = all(scheme.type == "binary" and not scheme.is_float for scheme in schemes)
        return is_binary and any(self.plans[name].output is None for name in made)

    def _untold(self, layer: Layer) -> str | None:
        """Why a product is left in float in formats of blocks."""
        node = self._nodes[layer.nodes[0]]
        if layer.policy != "compute" or not is_untold_product(node):
            return None
        made = [name for operand in node.all_input_nodes for name in self._made(operand)]
        return UNTOLD_PRODUCT if any(self.scheme.activations_of(name).is_block for name in made) else None

    def _activation(self, name: str, scheme: TensorScheme) -> Quantizer:
        try:
            return self.calibrations.activation(self.observations[name], scheme)
        except CalibrationError as error:
            error.at = name
            raise

    def _feeds_signs_alone(self, layer: Layer) -> bool:
        """A binary engine compares the sum itself with a threshold: it is never rounded (arXiv 1612.07119, 4.2.2)."""
        if layer.kind in (INPUT, CONSTANT) or layer.name in self._returned:
            return False
        readers = self.network.graph.consumers(layer.name)
        return bool(readers) and all(reader.sign_magnitude is not None for reader in readers)

    def _is_multiplied_alone(self, layer: Layer) -> bool:
        """Layers with weights read it, and nobody else: signs are taken there, and of nothing else (1603.05279, 3.2).

        Where others read it too, each layer with weights takes the signs for itself, see `_operands`.
        """
        readers = [one for one in self.network.graph.consumers(layer.name) if one.name not in self.left_out]
        takes_signs = [one.weight is not None and _float_reason(one, self.scheme) is None for one in readers]
        return bool(readers) and all(takes_signs) and layer.name not in self._returned

    def _feeds_integers(self, layer: Layer) -> bool:
        readers = [reader for reader in self.network.graph.consumers(layer.name) if reader.kind != OUTPUT]
        return any(_float_reason(reader, self.scheme) is None for reader in readers if reader.name not in self.left_out)

    def choose_weights(self) -> None:
        """Ahead of the plan, several at the same time: searches take most of what a plan takes."""
        layers = [x for x in self.network.graph.layers if x.weight and not x.weight_format]
        chosen = [x for x in layers if x.name not in self.stored.layers and _float_reason(x, self.scheme) is None]
        constants, of = self.network.program.constants, self.scheme.weights_of
        self.calibrations.choose((constants[x.weight or ""], of(x.name), x.weight_axis) for x in chosen)

    def _weight(self, layer: Layer) -> Quantizer | None:
        if layer.weight is None:
            return None
        scheme = self.scheme.weights_of(layer.name)
        if scheme.is_float:
            return None
        weight: Tensor = self.network.program.constants[layer.weight]
        stored = self.stored.weight(layer, weight)
        if stored is not None:
            return stored
        if layer.weight_format is not None:
            return as_it_stands(weight, layer.weight_format, layer.weight_axis)
        try:
            return self.calibrations.weight(weight, scheme, layer.weight_axis)
        except CalibrationError as error:
            error.at = f"{layer.name}, {layer.weight_name}"
            raise


def _behind_split_concats(network: Network, scheme: QuantScheme) -> frozenset[str]:
    """The concats that the scheme splits, and what stands between them and the outputs.

    Raises:
        ConfigError: a pattern matches no concat that ends in the outputs alone.
    """
    if not scheme.split_concats:
        return frozenset()
    tails = output_concats(network.program, network.graph)
    found: set[str] = set()
    for pattern in scheme.split_concats:
        names = [name for name in tails if matches(pattern, name)]
        if not names:
            raise ConfigError(
                f"split_concats = {pattern!r} matches no concat that ends in an output and nowhere else",
                hint=f"there {'is' if len(tails) == 1 else 'are'} {', '.join(tails)}" if tails else "there is none",
            )
        found.update(layer for name in names for layer in tails[name])
    return frozenset(found)


def _float_reason(layer: Layer, scheme: QuantScheme) -> str | None:
    names = (layer.name, *(layer.inputs if layer.kind == OUTPUT else ()))
    if any(matches(pattern, name) for pattern in scheme.float_layers for name in names):
        return BY_REQUEST
    return UNKNOWN_OPERATION if layer.policy == "float" else None
