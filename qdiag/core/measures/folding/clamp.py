"""Clamps and other activations: whether one quantizer serves them and the operation before them."""

import math
from dataclasses import dataclass

from qdiag.core.measures.quantizer import QuantizerRecord


@dataclass(frozen=True, slots=True)
class ClampSite:
    """An activation behind a convolution or another operation, under the chosen scheme.

    Attributes:
        layer: the layer that both are, or the activation's own.
        operation: what comes before it: `conv2d`, `add`; `input` for an input of the network.
        activation: `relu`, `relu6`, `hardtanh`, `hardswish`, ...
        bounds: of a clamp; None for any other activation, and where they are computed.
        is_shared: one quantizer, after the activation, serves both.
        reason: why that is not so; None when it is.
        quantizer: the one after the activation; None where the scheme has none.
        between: the one that the scheme would have before the activation, from the values there; None where the two
            are not one layer.
        is_free: the lowest and the highest integer stand for the bounds, so that nothing computes the clamp; None where
            no quantizer is shared.
    """

    layer: str
    operation: str
    activation: str
    bounds: tuple[float, float] | None
    is_shared: bool
    reason: str | None = None
    quantizer: QuantizerRecord | None = None
    between: QuantizerRecord | None = None
    is_free: bool | None = None

    @property
    def step_over_shared(self) -> float:
        """Step of the quantizer before the activation over that of the one after it, at the upper end of the values
        that come out; NaN where there are not both."""
        if self.quantizer is None or self.between is None:
            return math.nan
        top = self.quantizer.range_max
        return self.between.step_at(top) / self.quantizer.step_at(top)


@dataclass(frozen=True, slots=True)
class RoundedValue:
    """A value under one quantizer: the integer that is stored, and what it stands for."""

    quantizer: QuantizerRecord
    code: int
    value: float


@dataclass(frozen=True, slots=True)
class ClampExample:
    """One value before a ReLU, rounded for the range before it and for the range after it.

    Attributes:
        value: what a convolution gives.
        before: under the quantizer of the range before the ReLU; the ReLU has still to be computed.
        after: under the quantizer of the range after the ReLU; rounding was the ReLU.
        idle_codes: codes of the first quantizer that stand for values which the ReLU takes away.
    """

    value: float
    before: RoundedValue
    after: RoundedValue
    idle_codes: int
