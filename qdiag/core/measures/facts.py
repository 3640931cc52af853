"""What detectors look at beside the records: plain numbers per layer, gathered from weights and passes."""

import math
from dataclasses import dataclass

from qdiag.core.measures.ranges import ChannelRanges, TensorRange


@dataclass(frozen=True, slots=True)
class WeightFacts:
    """A layer's weight, BatchNorm folded, by output channel.

    Attributes:
        channel_min, channel_max: (C,) each.
        kurtosis: fourth standardized moment over all weights of the layer; 3 for a Gaussian.
        channel_kurtosis_max: the largest of single channels, each against its own spread.
        outlier_count: weights beyond half of the largest |weight| of the layer.
        count: weights of the layer.
        sqnr_per_tensor_db, sqnr_per_channel_db: median over channels that are not all zero, in the format and at the
            bits of the scheme, symmetric min-max, with one scale for the tensor and with one per channel; NaN where
            weights stay in float.
        identity_max_abs: (C,) |weight| where an identity branch, fused into the layer, adds to it: own channel, centre
            of the kernel; empty where there is no such place. others_max_abs: (C,) largest of the others.
    """

    channel_min: tuple[float, ...]
    channel_max: tuple[float, ...]
    kurtosis: float
    channel_kurtosis_max: float
    outlier_count: int
    count: int
    sqnr_per_tensor_db: float
    sqnr_per_channel_db: float
    identity_max_abs: tuple[float, ...] = ()
    others_max_abs: tuple[float, ...] = ()

    @property
    def channel_max_abs(self) -> tuple[float, ...]:
        return tuple(max(abs(low), abs(high)) for low, high in zip(self.channel_min, self.channel_max, strict=True))


@dataclass(frozen=True, slots=True)
class SignFacts:
    """A weight of which the backend holds signs, or signs and zeros, by output channel; BatchNorm folded.

    Attributes:
        positive_fraction: (C,) share of the signs that are +1, of those that are not 0; NaN without any.
        mean_abs, median_abs, max_abs: (C,) of |weight| before it lost its magnitude, centred where the scheme says so.
        fan_in: weights per channel.
    """

    positive_fraction: tuple[float, ...]
    mean_abs: tuple[float, ...]
    median_abs: tuple[float, ...]
    max_abs: tuple[float, ...]
    fan_in: int


@dataclass(frozen=True, slots=True)
class BiasFacts:
    """A layer's bias, BatchNorm folded, as the integer `bias / (scale_in * scale_w)`.

    Attributes:
        bits: width of that integer in the backend.
        integer_max_abs: largest |integer| before it is limited to its width. overflow_channels: those that do not fit.
        step_over_scale: largest `scale_in * scale_w` over the output's step at zero: from 0.5 on, rounding of the
            bias alone can move the output by a whole step of its quantizer.
        wrapped_channels: those in which a sum left the accumulator on the measured data, came out at its other end, and
            moved the output by half a step or more; only where the scheme asks for the arithmetic of a runtime whose
            accumulator wraps.
    """

    bits: int
    integer_max_abs: float
    overflow_channels: tuple[int, ...]
    step_over_scale: float
    wrapped_channels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class InputFacts:
    """Input channels of a layer's weight that carry nothing on the measured data: constant, or as good as.

    Attributes:
        idle: those with weights twice as large as all that multiply something, at the same output channel.
        others_max_abs: (C,) largest |weight| of each output channel over inputs that carry something, BatchNorm folded.
    """

    idle: tuple[int, ...]
    others_max_abs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer, beside its `OpRecord` of the same name.

    Attributes:
        policy: see `qdiag.capture.ops`. clamp: bounds of a fused clamp.
        consumers: names of the layers that read its output.
        mac_count: multiplications for one sample; 0 where there are none.
        channels: of the output on the calibration data; None where nothing was seen.
        measured_range: of the output on the measured data, as `OpRecord.range` is on the calibration data.
        mean_shift_fraction: share of the local noise power that a constant per output channel explains, 0 to 1; NaN
            without a weight.
        saturated_at_bound_fraction: share of the output at the upper bound of a fused clamp; NaN without one.
        channel_sqnr_db_median: local SQNR before the output is rounded, median over output channels that are not all
            zero: the whole layer's figure hides what all others lose when few channels hold the signal; NaN without a
            weight.
        inputs: what its weight multiplies; None without a weight.
        signs: of its weight; None where that is neither binary nor ternary.
        outputs: of the network that hold its values, at most moved, by name.
    """

    layer: str
    policy: str
    clamp: tuple[float, float] | None = None
    groups: int = 1
    consumers: tuple[str, ...] = ()
    mac_count: int = 0
    weight: WeightFacts | None = None
    bias: BiasFacts | None = None
    channels: ChannelRanges | None = None
    measured_range: TensorRange | None = None
    mean_shift_fraction: float = math.nan
    saturated_at_bound_fraction: float = math.nan
    channel_sqnr_db_median: float = math.nan
    inputs: InputFacts | None = None
    outputs: tuple[str, ...] = ()
    signs: SignFacts | None = None
