"""What a quantized file has for the layers of a plan, for as long as nothing is changed there."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.core.scheme import QuantScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.plan import StoredBias, StoredLayer
from qdiag.simulate.passes.network import Network


@dataclass(frozen=True)
class StoredLayers:
    """Layer by layer, the parts that scheme and weights still fit.

    Attributes:
        network, scheme: those of the plan. layers: of the file.
    """

    network: Network
    scheme: QuantScheme
    layers: Mapping[str, StoredLayer]

    def has_output(self, layer: Layer) -> bool:
        """The file decides whether the output of a layer has a quantizer, and which."""
        stored = self.layers.get(layer.name)
        return stored is not None and stored.activations == self.scheme.activations_of(layer.name)

    def output(self, layer: Layer) -> Quantizer | None:
        """The quantizer of the file; None leaves the output in float."""
        return self.layers[layer.name].output

    def weight(self, layer: Layer, weight: Tensor) -> Quantizer | None:
        """The integers of the file; None where the weight or its scheme is another one, and where it has none."""
        stored = self.layers.get(layer.name)
        if stored is None or stored.weights != self.scheme.weights_of(layer.name):
            return None
        return stored.weight if _is_same(stored.float_weight, weight) else None

    def bias(self, layer: Layer, weight: Quantizer | None) -> StoredBias | None:
        """Those of the file, where its weight is used too and the float bias is that of the file's network."""
        stored = self.layers.get(layer.name)
        if stored is None or layer.bias is None or weight is None or weight is not stored.weight:
            return None
        return stored.bias if _is_same(stored.float_bias, self.network.program.constants[layer.bias]) else None

    def constants(self, layer: Layer) -> dict[str, Tensor]:
        """Other constants as the integers of the file stand for them, where the network still has its own."""
        stored = self.layers.get(layer.name)
        if stored is None or not self.has_output(layer):
            return {}
        own = self.network.program.constants
        return {name: values for name, (before, values) in stored.constants.items() if _is_same(before, own[name])}

    def constant_quantizers(self, layer: Layer, used: Collection[str]) -> dict[str, Affine]:
        """Of those constants that are used."""
        stored = self.layers.get(layer.name)
        found = {} if stored is None else stored.constant_quantizers
        return {name: quantizer for name, quantizer in found.items() if name in used}

    def is_stored(self, layer: Layer) -> bool:
        """The file computes the layer on integers."""
        stored = self.layers.get(layer.name)
        return stored is not None and stored.output is not None

    def float_reason(self, layer: Layer) -> str | None:
        """Why the file leaves a layer in float, where the scheme still says so too."""
        stored = self.layers.get(layer.name)
        if stored is None or stored.float_reason is None or not self.has_output(layer):
            return None
        is_so = layer.weight is None or self.scheme.weights_of(layer.name) == stored.weights
        return stored.float_reason if is_so else None


def _is_same(one: Tensor | None, other: Tensor) -> bool:
    return one is other or (one is not None and one.shape == other.shape and torch.equal(one.cpu(), other.cpu()))
