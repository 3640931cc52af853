"""What a detector saw, in whole terms, the same in every report."""

import math

from qdiag.core.causes.findings import OF_FUSED, Evidence
from qdiag.reading.words.numbers import significant
from qdiag.reading.words.size import byte_words

_LARGE, _COUNTED = 1e3, 1e9
"""Whole numbers between them are counts, which are written out."""
_DECIMALS, _WHOLE_FROM = {"dB": 1, "%": 1, "x": 1, "bits": 1, "steps": 1}, 100.0
"""Of values below the second number; larger ones have none."""

_WRITTEN_OUT = 1e12
"""Larger values have three significant digits."""

TERMS = {
    "accumulator": "the accumulator has {}",
    "accumulator_bits": "the accumulator has {}",
    "activation_memory": "the activations take {} the memory",
    "axis": "the scales stand along axis {}",
    "batch_statistics": "{} take the statistics of the batch",
    "below_expected": "the SQNR is {} below what rounding of the output alone would give",
    "beta_distance": "the beta is {} the identity's mean away from the one that cancels it",
    "bits_left": "{} are left to the median channel",
    "branch_levels": "the narrowest input spans {}",
    "branch_sqnr": "the narrower input has an SQNR of {} at the step of the output",
    "branches": "{} have a quantizer of their own",
    "calibration_samples": "the ranges come from {}",
    "changed_scales": "{} are changed",
    "channel_kurtosis": "the largest kurtosis of a channel is {}",
    "channel_rounding": "rounding alone leaves the channels an SQNR of {}",
    "channel_sqnr": "the median channel has an SQNR of {}",
    "clipped_fraction": "{} of the values are clipped",
    "clipped_span": "the largest measured value lies beyond the range of the file by {} of it",
    "clipped_weights": "{} are clipped",
    "clipping_over_rounding": "the noise of the quantizer is {} that of rounding alone",
    "clipping_sqnr": "clipping alone leaves an SQNR of {}",
    "constant_channels": "all values of a channel have one sign in {} of the channels",
    "dead_channels": "the weights of {} are close to zero",
    "extra_scales": "{} have to be stored in addition",
    "extra_weight_bytes": "the wider weights take more memory, {}",
    "float_biases": "{} are stored in float",
    "float_mac_fraction": "{} of the multiplications stay in float",
    "function_sqnr": "the SQNR behind the function, with its inputs alone quantized, is {}",
    "gain_over_median": "the gain is {} that of the median live channel",
    "identity_max": "the largest weight of the identity is {}",
    "identity_over_others": "the largest weight of the identity is {} the largest of all others",
    "idle_inputs": "{} carry nothing and set the range",
    "inflation": "the variance of the sum is {} that of its branches together",
    "input_overshoot": "inputs lie beyond the range of the file by {} of it",
    "input_used": "the inputs fill {} of the range of the file",
    "integer_max_abs": "the largest bias is {} of its integer",
    "kurtosis": "the kurtosis is {}",
    "largest": "the largest value is {}",
    "largest_error": "the largest error of a sum is {} the root mean square of the sums",
    "largest_input_scale": "the largest scale of an input channel is {}",
    "largest_output_scale": "the largest scale of an output channel is {}",
    "largest_share": "the largest weight has {} of the sum of its channel",
    "least_magnitude": "the smallest mean size of a channel's weights is {} of that of the median channel",
    "lobe_levels": "the part below zero spans {}",
    "local_below_expected": "the local SQNR is {} below what rounding of the output alone would give",
    "local_sqnr": "the local SQNR is {}",
    "loss_alone": "with this layer alone quantized, the loss is {}",
    "lost_by_function": "the function loses {} of SQNR",
    "lost_by_reader": "the layer after it loses {} of SQNR",
    "mac_share": "the layer has {} of the network's multiplications",
    "margin": "the local SQNR is {} below the lowest of all other layers with weights",
    "mask_value": "the mask has the value {}",
    "mean_over_median": "the mean size of a channel's weights is {} their median size",
    "mean_over_std": "the mean of the sum is {} its standard deviation",
    "mean_shift_fraction": "{} of the noise power are constant shifts of channels",
    "median_channel_sqnr": "the median channel has an SQNR of {}",
    "median_levels": "the median of the output spans {}",
    "narrowest_channel_sqnr": "the lowest SQNR of a channel is {}",
    "nonfinite_in_float": "{} of them are there in the float network too",
    "nonfinite_values": "{} are NaN or infinite",
    "one_sided_channels": "in {} of the channels, nine weights in ten have one sign",
    "other_misfit": "the scales lie {} away from those of the other axis",
    "outlier_fraction": "{} of the weights are outliers",
    "output_sqnr_alone": "with this layer alone quantized, the weakest output has an SQNR of {}",
    "overflowing_biases": "{} are larger than the integer of a bias can be, and are limited to the largest one (QD104)",
    "overshoot": "measured values lie beyond the range of the calibration data by {} of it",
    "own_misfit": "the scales lie {} away from those of the channels",
    "per_channel_gain": "one scale per channel would gain {} of SQNR",
    "product_below": "the local SQNR of the product is {} below what its rounding alone would give",
    "quantized_layers": "{} are quantized",
    "quantizers": "{} stand one after the other",
    "raised_scales": "{} are raised",
    "range_over_bulk": "the range is {} that of 99.8 % of the values",
    "range_over_live": "the largest weight of a dead channel is {} the largest of the live ones",
    "range_over_others": "the range is {} that of the other channels",
    "range_over_scores": "the range with the mask is {} that of the scores alone",
    "range_over_step": "the range is {} the step",
    "range_ratio": "the range of the widest input is {} that of the narrowest",
    "range_shift": "an end of the stored range differs from that of the values by {} of the wider range",
    "reach": "measured values lie beyond the range of the calibration data by {} of it",
    "reader_sqnr": "the layer that reads it has an SQNR of {}, with that input alone quantized",
    "rounding_sqnr": "rounding alone leaves an SQNR of {}",
    "same_sign": "{} of the weights of the median channel have the same sign",
    "saturated_fraction": "{} of the values lie at the bound",
    "saturated_sums": "pairs leave int16 in {} of the sums",
    "saturation_sqnr": "saturation alone leaves the sums an SQNR of {}",
    "scale": "the scale is {}",
    "score_levels": "the scores span {}",
    "setting_channels": "{} have larger weights than every live one",
    "share_of_loss": "the layer has {} of the loss of the whole network",
    "share_of_noise": "the step of the bias makes {} of the noise power",
    "span_misfit": "the width of the range differs from that of the values by {}",
    "stored_overshoot": "measured values lie beyond the range that is stored by {} of it",
    "stored_used_range": "the measured values fill {} of the range that is stored",
    "spread": "the channels' ranges are spread over {}",
    "spread_added": "the channels of the sum are spread {} as far as those of its branches",
    "step_over_needed": "the step is {} the one that the values behind the ReLU need",
    "step_over_scale": "the step of the bias is {} that of the output",
    "unused_levels": "no value uses {} of the quantizer's range",
    "used_range": "the measured values fill {} of the range of the calibration data",
    "values_below_step": "{} of the values lie within one step of zero",
    "vanishing_fraction": "{} of the channels have almost no levels",
    "variance_over_eps": "the variance is {} the eps of the BatchNorm",
    "weight_bits_lost": "the weights lose {}",
    "activation_bits_lost": "the activations lose {}",
    "weight_share": "the layer has {} of all weights",
    "weight_sqnr": "with weights and bias alone quantized, the SQNR is {}",
    "weight_sqnr_below_gaussian": "the SQNR of the weights is {} below that of Gaussian ones",
    "weight_overshoot": "weights lie beyond the range that is stored for them by {} of it",
    "weight_used_range": "the weights fill {} of the range that is stored for them",
    "wide_activation_bytes": "the wider activations take more memory, {}",
    "wrapped_channels": "the sums of {} overflow the accumulator and wrap around",
    "zero_points": "{} have to be stored",
}
"""Of `Evidence.name`, which is short and stable, for results and JSON; the braces stand for the value and its unit."""

_INFINITE = {
    ("function_sqnr", -math.inf): "with its inputs alone quantized, the function gives values that are NaN or infinite",
    ("lost_by_function", math.inf): "the function loses the whole signal",
    ("lost_by_reader", math.inf): "the layer after it loses the whole signal",
}
"""In place of infinitely many dB."""
_TIMES = {"x": "times"}
_UNITS = {
    "accumulator": "bits",
    "accumulator_bits": "bits",
    "batch_statistics": "BatchNorms",
    "branches": "branches",
    "calibration_samples": "samples",
    "clipped_weights": "weights",
    "dead_channels": "channels",
    "extra_scales": "scales",
    "float_biases": "biases",
    "gain_over_median": "times",
    "idle_inputs": "input channels",
    "mean_over_median": "times",
    "nonfinite_in_float": "",
    "nonfinite_values": "values",
    "overflowing_biases": "biases",
    "zero_points": "zero points",
}
"""Of counts, in place of the short ones that results hold."""
_SINGULAR = {
    " are ": " is ",
    " have ": " has ",
    " take ": " takes ",
    " carry ": " carries ",
    " set ": " sets ",
    " lie ": " lies ",
}


def evidence_words(evidence: Evidence) -> str:
    """`the largest weight of a dead channel is 79 times the largest of the live ones (limit 1.5)`."""
    stem = evidence.name.removeprefix(OF_FUSED)
    name = stem.removesuffix(f"_{evidence.unit.lower()}")
    term = TERMS.get(name) or TERMS.get(stem)
    limit = f" (limit {_limit(evidence)})" if evidence.threshold is not None else ""
    value = _value(evidence, _UNITS.get(stem, _TIMES.get(evidence.unit, evidence.unit)))
    if (stem, evidence.value) in _INFINITE:
        return _INFINITE[stem, evidence.value]
    if term is None:
        return f"{name.replace('_', ' ')}: {value}{limit}"
    if evidence.value == 1.0 and evidence.unit != "%" and term.startswith("{}"):
        term = _of_one(term)
    words = term.format(value)
    return f"{'in the fused convolution ' if evidence.name != stem else ''}{words}{limit}"


def _of_one(term: str) -> str:
    """`1 channel carries nothing and sets the range`."""
    for several, one in _SINGULAR.items():
        term = term.replace(several, one)
    return term


def _limit(evidence: Evidence) -> str:
    return rounded(evidence.threshold, evidence.unit) if evidence.threshold is not None else ""


def rounded(value: float, unit: str) -> str:
    """As many digits as a reader has use for: decibels, percent and ratios with one decimal, small bits with two."""
    size = abs(value)
    if not math.isfinite(value) or unit not in _DECIMALS or size >= _WRITTEN_OUT:
        return significant(value)
    decimals = 2 if unit == "bits" and size < 1.0 else _DECIMALS[unit] if size < _WHOLE_FROM else 0
    if 0.0 < size < 10.0**-decimals:
        return f"{value:.2g}"
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _value(evidence: Evidence, unit: str) -> str:
    """`843 kB`, `1,408 scales`, `79 times`."""
    value = evidence.value
    if unit.startswith("bytes") and math.isfinite(value):
        return f"{byte_words(round(value))}{unit.removeprefix('bytes')}"
    words = _number(value, evidence.unit)
    if evidence.whole is not None:
        part = "none" if value <= 0.0 else words
        return f"{part} of {_number(evidence.whole, evidence.unit)} {unit}".rstrip()
    return f"{words} {_one(unit) if value == 1.0 and unit != 'times' else unit}".rstrip()


def _number(value: float, unit: str) -> str:
    """`1,408` of counts."""
    is_count = _LARGE <= value < _COUNTED and float(value).is_integer()
    return f"{value:,.0f}" if is_count else rounded(value, unit)


def _one(unit: str) -> str:
    return unit.removesuffix("es") if unit in ("biases", "branches") else unit.removesuffix("s")
