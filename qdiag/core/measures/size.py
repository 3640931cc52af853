"""How many bytes a network takes, in float and quantized."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetworkBytes:
    """Bytes of one network.

    Attributes:
        weights: parameters and constants, biases included, each tensor packed without gaps.
        scales: what the quantizers need beside them: scales, zero points, exponents of blocks.
        activations: most that is held at one time while one sample passes through the layers in graph order, each
            tensor kept from the layer that writes it to the last one that reads it.
    """

    weights: int
    scales: int
    activations: int

    @property
    def stored(self) -> int:
        """What the file of the model holds: weights and scales."""
        return self.weights + self.scales


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """The float network (32 bits a value, BatchNorms folded) beside the quantized one."""

    reference: NetworkBytes
    simulated: NetworkBytes

    @property
    def compression(self) -> float:
        """Stored bytes of the float network over those of the quantized one; NaN without weights."""
        return self.reference.stored / self.simulated.stored if self.simulated.stored else math.nan

    @property
    def saved_fraction(self) -> float:
        """Share of the float network's stored bytes that quantization saves, below 0 where it adds some."""
        return 1.0 - self.simulated.stored / self.reference.stored if self.reference.stored else math.nan
