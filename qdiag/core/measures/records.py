"""What was measured, layer by layer."""

import math
from dataclasses import dataclass, fields
from typing import Literal

from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import TensorRange


@dataclass(frozen=True, slots=True)
class WeightRecord:
    """A layer's weight before and after quantization.

    Attributes:
        name: parameter name in the original model.
        error: reference is the weight (BatchNorm folded), simulated the fake-quantized one.
        channel_sqnr_db_median, channel_sqnr_db_min: over output channels that are not all zero. The median ranks layers
            nearly right where the whole tensor's figure points the wrong way: one huge channel holds all the signal.
        quantizer: that of the tensor, or of its widest channel or group.
        has_one_scale: all channels share a scale, also where "per channel" counts along an axis of length one, as in
            depthwise transposed convolutions; None in results stored before this was told.
        own_format: the number format that the network itself gives the weight, which is kept exactly whatever the
            scheme says; None where the scheme decides.
        stored_format: what the weight is by its values alone, all of them -a and a in each output channel, or these and
            0, and which the scheme's numbers of another format stand for; None for any other weight.
    """

    name: str
    shape: tuple[int, ...]
    bits: int
    granularity: str
    error: ErrorSums
    min: float
    max: float
    channel_sqnr_db_median: float
    channel_sqnr_db_min: float
    quantizer: QuantizerRecord | None = None
    has_one_scale: bool | None = None
    own_format: Literal["binary", "ternary"] | None = None
    stored_format: Literal["binary", "ternary"] | None = None

    @property
    def is_per_tensor(self) -> bool:
        """One scale for the whole weight."""
        return self.granularity == "per_tensor" if self.has_one_scale is None else self.has_one_scale


@dataclass(frozen=True, slots=True)
class LossRecord:
    """The five losses of arXiv 1803.08607, section 2: one quantizer switched on at a time, on reference inputs.

    Attributes:
        sample_count: on how many samples; None where a stored result does not say: then on all that were measured.
    """

    input: ErrorSums
    weight: ErrorSums
    saturation: ErrorSums
    requantization: ErrorSums
    clipping: ErrorSums
    sample_count: int | None = None

    @property
    def by_name(self) -> dict[str, ErrorSums]:
        """Each loss under its name, in the order of `LOSSES`."""
        return {name: getattr(self, name) for name in LOSSES}

    @property
    def powers(self) -> tuple[float, ...]:
        """Noise power (mean squared error) of each, in the order of `LOSSES`."""
        return tuple(error.mse for error in self.by_name.values())


LOSSES = tuple(field.name for field in fields(LossRecord) if field.name != "sample_count")
"""What the five losses are called everywhere, in the order of the arithmetic."""


@dataclass(frozen=True, slots=True)
class PairRecord:
    """Sums of products of a layer whose kernel adds pairs of them in int16, on quantized reference inputs.

    Attributes:
        sum_count: sums that were looked at. saturated_count: of these, those in which a pair left int16.
    """

    sum_count: int
    saturated_count: int

    @property
    def saturated_share(self) -> float:
        """From 0 to 1; 0 without sums."""
        return self.saturated_count / self.sum_count if self.sum_count else 0.0


@dataclass(frozen=True, slots=True)
class LayerErrorSums:
    """The errors of one layer; see `OpRecord`."""

    local: ErrorSums
    propagated: ErrorSums


@dataclass(frozen=True, slots=True)
class OpRecord:
    """One layer: an operation, what was folded and fused into it, and the error at its output.

    Attributes:
        index: position in graph order, from 0.
        name: unique and stable: the module path, with the operation and a number where one module has several.
        kind: `conv`, `linear`, `add`, ... (see `qdiag.capture.ops`).
        module_path: path of the module in the original model, empty for the top.
        ops: ATen operations of the group in order, folded BatchNorms included.
        inputs: names of the layers that feed this one; `input:NAME` for inputs of the network.
        output_shape: without the batch axis.
        quantizer: None when the output stays in float; then `skip_reason` says why.
        local: the layer alone, on quantized reference inputs. propagated: inside the quantized network.
        clipped_count: reference output values outside the representable range, of `local.count`.
        operands: of what the layer multiplies, where it rounds that as it reads it: in blocks, that of the largest
            value, or to signs that nobody else reads.
        range: of the reference output, on the calibration data.
        arithmetic: what an arithmetic that approximates, such as a BatchNorm by shifts, makes of the exact result, on
            quantized reference inputs and before the output is quantized; None where the arithmetic is exact.
        groups: of a convolution, transposed or not; 1 for any other layer, and in results stored before it was kept.
        runtime_difference: why the runtime whose arithmetic the scheme asks for may come to other integers here; None
            where it comes to the same, and where the scheme asks for that of none.
        source: the line of the user's code that calls it, `net.py:12: y = self.conv(x)`; empty where that is not known,
            and in results stored before it was kept.
        pairs: of its sums, those in which pairs of products left int16; None where no input could drive one out, or
            the kernel adds none, and in results stored before it was kept.
        on_fewer: its errors on the samples on which most layers were measured, where `local` and `propagated` are those
            of more samples because the layer has few values; None where all layers were measured on the same ones.
    """

    index: int
    name: str
    kind: str
    module_path: str
    ops: tuple[str, ...]
    inputs: tuple[str, ...]
    output_shape: tuple[int, ...]
    local: ErrorSums
    propagated: ErrorSums
    quantizer: QuantizerRecord | None = None
    weight: WeightRecord | None = None
    clipped_count: int = 0
    skip_reason: str | None = None
    range: TensorRange | None = None
    losses: LossRecord | None = None
    arithmetic: ErrorSums | None = None
    operands: tuple[QuantizerRecord, ...] = ()
    groups: int = 1
    runtime_difference: str | None = None
    source: str = ""
    pairs: PairRecord | None = None
    on_fewer: LayerErrorSums | None = None

    @property
    def compared(self) -> LayerErrorSums:
        """Its errors on the same samples as those of other layers, to be compared with these."""
        return self.on_fewer if self.on_fewer is not None else LayerErrorSums(self.local, self.propagated)

    @property
    def is_quantized(self) -> bool:
        """Something in it is: its output, its weight, or what it multiplies."""
        return self.quantizer is not None or self.weight is not None or bool(self.operands)

    @property
    def reads_signs(self) -> bool:
        """It takes the signs of what it multiplies, while others read the values as they are."""
        return any(operand.type == "binary" for operand in self.operands)

    @property
    def expected_sqnr_db(self) -> float:
        """SQNR if rounding of the output were the only noise, see `QuantizerRecord`; NaN in float."""
        return self.quantizer.expected_sqnr_db(self.range, self.local.signal_power) if self.quantizer else math.nan

    @property
    def clipped_fraction(self) -> float:
        return self.clipped_count / self.local.count if self.local.count else 0.0

    def clipping_over_rounding(self, seen: TensorRange | None) -> float:
        """Noise power of the output's quantizer alone, over that of its rounding; 0 in float.

        Where the losses were not measured, of a cut as deep as that of the most clipped value: `share * depth^2 / 3`.

        Args:
            seen: the values that are clipped.
        """
        if self.quantizer is None:
            return 0.0
        rounding = self.quantizer.expected_noise_power(self.range, self.local.signal_power)
        if self.losses is not None and self.losses.requantization.count:
            return self.losses.requantization.mse / rounding
        if seen is None:
            return 0.0
        depth = max(seen.max - self.quantizer.range_max, self.quantizer.range_min - seen.min, 0.0)
        return self.clipped_fraction * depth**2 / 3.0 / rounding

    @property
    def local_rmse_scales(self) -> float:
        """Root mean square of the local error in units of the output's `scale`; 0.29 is pure rounding. NaN in
        float, and where the steps are uneven."""
        return self._in_scales(self.local.rmse)

    @property
    def propagated_rmse_scales(self) -> float:
        return self._in_scales(self.propagated.rmse)

    def _in_scales(self, error: float) -> float:
        scale = self.quantizer.scale if self.quantizer else None
        return error / scale if scale is not None else math.nan
