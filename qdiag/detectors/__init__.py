"""One detector per code: each looks at plain numbers for one kind of fault, and claims nothing about accuracy."""

from typing import Protocol

from qdiag.core.causes.findings import Finding
from qdiag.detectors.activations import (
    activation_channel_imbalance,
    activation_outliers,
    constant_signs,
    heavy_tailed_input,
    input_channel_units,
    magnified_rounding,
    masked_scores,
    one_sided_range,
    relu6_saturation,
    unequal_channels,
    unfriendly_function,
)
from qdiag.detectors.backend import accumulator_overflow, pair_saturation
from qdiag.detectors.base import DetectionContext
from qdiag.detectors.calibration import (
    calibration_mismatch,
    calibrator_clips,
    few_calibration_samples,
    idle_fake_quantizer,
    lagging_range,
    live_observer,
)
from qdiag.detectors.deployment import (
    left_in_float,
    other_inputs,
    quantized_twice,
    range_without_zero,
    runtime_fallback,
    wrong_weight_axis,
)
from qdiag.detectors.graph import (
    add_ranges,
    branch_offset,
    branch_sum,
    concat_ranges,
    first_layer,
    identity_branch,
    last_layer,
    sole_loss,
    squeeze_excite_gate,
    unshared_relu_scale,
)
from qdiag.detectors.normalization import (
    batchnorm_gain_outliers,
    dead_batchnorm_channels,
    training_batchnorm,
    unfolded_batchnorm,
)
from qdiag.detectors.numerics import nonfinite_values, nothing_quantized, scale_floor
from qdiag.detectors.weights import (
    bias_overflow,
    bias_resolution,
    idle_input_weights,
    low_bit_end_layer,
    mean_shift,
    outlier_magnitude,
    outlier_weights,
    revived_channels,
    uncentred_signs,
    vanishing_weight_channels,
    weight_range_outlier_channels,
)


class Detector(Protocol):
    """A module: its docstring is the page that `qdiag explain` prints."""

    __doc__: str | None
    CODE: str
    REPAIRS: tuple[str, ...]

    def find(self, context: DetectionContext) -> Finding | None:
        """All places with the fault, or None."""
        ...


DETECTORS: tuple[Detector, ...] = (
    weight_range_outlier_channels,
    outlier_weights,
    vanishing_weight_channels,
    bias_overflow,
    bias_resolution,
    mean_shift,
    idle_input_weights,
    low_bit_end_layer,
    uncentred_signs,
    revived_channels,
    outlier_magnitude,
    activation_outliers,
    relu6_saturation,
    one_sided_range,
    unfriendly_function,
    activation_channel_imbalance,
    masked_scores,
    magnified_rounding,
    input_channel_units,
    heavy_tailed_input,
    unequal_channels,
    constant_signs,
    dead_batchnorm_channels,
    batchnorm_gain_outliers,
    unfolded_batchnorm,
    training_batchnorm,
    concat_ranges,
    add_ranges,
    unshared_relu_scale,
    squeeze_excite_gate,
    first_layer,
    last_layer,
    sole_loss,
    identity_branch,
    branch_sum,
    branch_offset,
    calibration_mismatch,
    calibrator_clips,
    few_calibration_samples,
    live_observer,
    idle_fake_quantizer,
    lagging_range,
    accumulator_overflow,
    pair_saturation,
    wrong_weight_axis,
    left_in_float,
    quantized_twice,
    range_without_zero,
    other_inputs,
    runtime_fallback,
    nonfinite_values,
    nothing_quantized,
    scale_floor,
)
"""Every detector, in the order of the codes."""


def detect(context: DetectionContext) -> tuple[Finding, ...]:
    """What all detectors see, by code; the sites of each finding worst first."""
    found = (detector.find(context) for detector in DETECTORS)
    return tuple(finding for finding in found if finding is not None)
