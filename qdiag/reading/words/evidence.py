"""What a detector saw, in whole terms, the same in every report."""

import math

from qdiag.core.causes.findings import OF_FUSED, Evidence
from qdiag.reading.words.numbers import significant
from qdiag.reading.words.size import byte_words

_LARGE, _COUNTED = 1e3, 1e9
"""Whole numbers between them are counts, which are written out."""

TERMS = {
    "accumulator": "width of the accumulator",
    "accumulator_bits": "width of the accumulator",
    "activation_memory": "memory of the activations, times what it was",
    "axis": "axis along which the scales stand",
    "batch_statistics": "BatchNorms that take the statistics of the batch",
    "below_expected": "SQNR below what rounding of the output alone would give",
    "beta_distance": "distance of the beta from the one that cancels the identity's mean, over that mean",
    "bits_left": "bits that the median channel has left",
    "branch_levels": "steps that the narrowest input spans",
    "branch_sqnr": "SQNR of the narrower input at the step of the output",
    "branches": "branches with a quantizer of their own",
    "calibration_samples": "samples behind the ranges",
    "changed_scales": "scales that are changed",
    "channel_kurtosis": "largest kurtosis of a channel",
    "channel_rounding": "SQNR that rounding alone leaves of the channels",
    "channel_sqnr": "SQNR of the median channel",
    "clipped_fraction": "share of the values that is clipped",
    "clipped_span": "largest measured value beyond the range of the file, in percent of it",
    "clipped_weights": "weights that are clipped",
    "clipping_over_rounding": "noise of the quantizer over that of rounding alone",
    "clipping_sqnr": "SQNR that clipping alone leaves",
    "constant_channels": "share of the channels whose values all have one sign",
    "dead_channels": "channels whose weights are next to nothing",
    "extra_scales": "scales to store in addition",
    "extra_weight_bytes": "memory of the wider weights in addition",
    "float_biases": "biases to store in float",
    "float_mac_fraction": "share of the multiplications that stays in float",
    "function_sqnr": "SQNR behind the function with its inputs quantized alone",
    "gain_over_median": "gain over that of the median live channel",
    "identity_max": "largest weight of the identity",
    "identity_over_others": "largest weight of the identity over the largest of all others",
    "idle_inputs": "input channels that carry nothing and set the range",
    "inflation": "variance of the sum over that of its branches together",
    "input_overshoot": "inputs beyond the range of the file, in percent of it",
    "input_used": "share of the range of the file that the inputs fill",
    "integer_max_abs": "largest bias in steps of its integer",
    "kurtosis": "kurtosis",
    "largest": "largest value",
    "largest_error": "largest error of a sum over the root mean square of the sums",
    "largest_input_scale": "largest scale of an input channel",
    "largest_output_scale": "largest scale of an output channel",
    "largest_share": "share that the largest weight has of the sum of its channel",
    "least_magnitude": "smallest mean size of a channel's weights, in percent of the median channel's",
    "lobe_levels": "steps that the lobe below zero spans",
    "local_below_expected": "local SQNR below what rounding of the output alone would give",
    "local_sqnr": "local SQNR",
    "loss_alone": "loss with this layer alone quantized",
    "lost_by_function": "SQNR that the function loses",
    "lost_by_reader": "SQNR that the layer behind it loses",
    "mac_share": "share of the network's multiplications",
    "margin": "local SQNR below the lowest of all other layers with weights",
    "mask_value": "value that the mask gets",
    "mean_over_median": "mean size of a channel's weights over their median size",
    "mean_over_std": "mean of the sum over its standard deviation",
    "mean_shift_fraction": "share of the noise power that is a constant shift of channels",
    "median_channel_sqnr": "SQNR of the median channel",
    "median_levels": "steps that the median of the output spans",
    "narrowest_channel_sqnr": "lowest SQNR of a channel",
    "nonfinite_in_float": "of them in the float network",
    "nonfinite_values": "values that are NaN or infinite",
    "one_sided_channels": "share of the channels of which nine weights in ten have one sign",
    "other_misfit": "distance of the scales from those of the other axis",
    "outlier_fraction": "share of the weights that are outliers",
    "output_sqnr_alone": "SQNR of the weakest output with this layer alone quantized",
    "overshoot": "measured values beyond the range of the calibration data, in percent of it",
    "own_misfit": "distance of the scales from those of the channels",
    "per_channel_gain": "SQNR that one scale per channel would gain",
    "product_below": "local SQNR of the product below what its rounding alone would give",
    "quantized_layers": "layers that are quantized",
    "quantizers": "quantizers one after the other",
    "raised_scales": "scales that are raised",
    "range_over_bulk": "range over that of 99.8 % of the values",
    "range_over_live": "largest weight of a dead channel over that of the live ones",
    "range_over_others": "range over that of the other channels",
    "range_over_scores": "range with the mask over that of the scores alone",
    "range_over_step": "range over the step",
    "range_ratio": "range of the widest input over that of the narrowest",
    "range_shift": "distance of the range that is stored from that of the values, in percent of the wider one",
    "reach": "measured values beyond the range of the calibration data, in percent of it",
    "reader_sqnr": "SQNR of the layer that reads it, with that input quantized alone",
    "rounding_sqnr": "SQNR that rounding alone leaves",
    "same_sign": "share of the weights with the more frequent sign, in the median channel",
    "saturated_fraction": "share of the values at the bound",
    "saturation_sqnr": "SQNR of the sums that saturate",
    "scale": "scale",
    "score_levels": "steps that the scores span",
    "setting_channels": "dead channels beyond every live one",
    "share_of_loss": "share of the loss of the whole network",
    "share_of_noise": "share of the noise power that the step of the bias makes",
    "span_misfit": "distance of the width of the range from the span of the values",
    "stored_overshoot": "measured values beyond the range that is stored, in percent of it",
    "stored_used_range": "range of the measured values, in percent of the one that is stored",
    "spread": "spread of the channels",
    "spread_added": "spread of the sum's channels over that of its branches",
    "step_over_needed": "step over the one that the values behind the ReLU need",
    "step_over_scale": "step of the bias over that of the output",
    "unused_levels": "share of the quantizer's range that no value uses",
    "used_range": "range of the measured values, in percent of that of the calibration data",
    "values_below_step": "share of the values within one step of zero",
    "vanishing_fraction": "share of the channels with almost no levels",
    "variance_over_eps": "variance over the eps of the BatchNorm",
    "weight_bits_lost": "bits that the weights lose",
    "weight_share": "share of all weights that this layer has",
    "weight_sqnr": "SQNR with weights and bias quantized alone",
    "weight_sqnr_below_gaussian": "SQNR of the weights below that of Gaussian ones",
    "weight_overshoot": "weights beyond the range that is stored for them, in percent of it",
    "weight_used_range": "range of the weights, in percent of the one that is stored for them",
    "wide_activation_bytes": "memory of the wider activations in addition",
    "wrapped_channels": "in which sums leave the accumulator and come out at its other end",
    "zero_points": "zero points to store",
}
"""Of `Evidence.name`, which is short and stable, for results and JSON."""


def evidence_words(evidence: Evidence) -> str:
    """`largest weight of a dead channel over that of the live ones: 79 x (limit 1.5)`."""
    limit = f" (limit {significant(evidence.threshold)})" if evidence.threshold is not None else ""
    stem = evidence.name.removeprefix(OF_FUSED)
    name = stem.removesuffix(f"_{evidence.unit.lower()}")
    term = TERMS.get(name) or TERMS.get(stem) or name.replace("_", " ")
    where = " of the fused convolution" if evidence.name != stem else ""
    return f"{term}{where}: {_value(evidence)}{limit}"


def _value(evidence: Evidence) -> str:
    """`843 kB`, `1,408 scales`, `79 x`."""
    value, unit = evidence.value, evidence.unit
    if unit.startswith("bytes") and math.isfinite(value):
        return f"{byte_words(round(value))}{unit.removeprefix('bytes')}"
    is_count = _LARGE <= value < _COUNTED and value.is_integer()
    words = f"{value:,.0f}" if is_count else significant(value)
    return f"{words} {unit.removesuffix('s') if value == 1.0 else unit}".rstrip()
