"""One detector per code: each looks at plain numbers for one kind of fault, and claims nothing about accuracy."""

from typing import Protocol

from qdiag.core.findings import Finding
from qdiag.detectors import (
    accumulator_overflow,
    activation_channel_imbalance,
    activation_outliers,
    add_ranges,
    batchnorm_gain_outliers,
    bias_overflow,
    bias_resolution,
    calibration_mismatch,
    calibrator_clips,
    concat_ranges,
    dead_batchnorm_channels,
    first_layer,
    gate,
    last_layer,
    mean_shift,
    nonfinite_values,
    nothing_quantized,
    one_sided_range,
    outlier_weights,
    pair_saturation,
    relu6_saturation,
    scale_floor,
    training_batchnorm,
    unfolded_batchnorm,
    unfriendly_function,
    unshared_relu_scale,
    vanishing_weight_channels,
    weight_range_outlier_channels,
)
from qdiag.detectors.base import DetectionContext


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
    activation_outliers,
    relu6_saturation,
    one_sided_range,
    unfriendly_function,
    activation_channel_imbalance,
    dead_batchnorm_channels,
    batchnorm_gain_outliers,
    unfolded_batchnorm,
    training_batchnorm,
    concat_ranges,
    add_ranges,
    unshared_relu_scale,
    gate,
    first_layer,
    last_layer,
    calibration_mismatch,
    calibrator_clips,
    accumulator_overflow,
    pair_saturation,
    nonfinite_values,
    nothing_quantized,
    scale_floor,
)
"""Every detector, in the order of the codes."""


def detect(context: DetectionContext) -> tuple[Finding, ...]:
    """What all detectors see, by code; the sites of each finding worst first."""
    found = (detector.find(context) for detector in DETECTORS)
    return tuple(finding for finding in found if finding is not None)
