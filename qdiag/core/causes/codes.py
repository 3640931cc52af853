"""The codes of findings: stable, never reused. `qdiag explain CODE` prints a page for each.

QD1xx weights, QD2xx activations, QD3xx normalization, QD4xx graph, QD5xx calibration data, QD6xx backend arithmetic,
QD7xx quantized files of others, QD9xx numerics.
"""

from dataclasses import dataclass
from typing import Literal

Family = Literal["weights", "activations", "normalization", "graph", "calibration", "backend", "deployment", "numerics"]


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for.

    Attributes:
        slug: a noun, as in file names and anchors.
        title: a few words for tables, lower case.
        specificity: of two findings at the same place, the one with the larger number names the cause: a dead
            BatchNorm channel is more than a channel that sets the range of the weight.
    """

    code: str
    slug: str
    title: str
    family: Family
    specificity: int


CODES: tuple[Code, ...] = (
    Code("QD101", "weight_range_outlier_channels", "few channels set the weight range", "weights", 2),
    Code("QD102", "outlier_weights", "single outlier weights set the range", "weights", 1),
    Code("QD103", "vanishing_weight_channels", "channels left with almost no weight levels", "weights", 1),
    Code("QD104", "bias_overflow", "bias beyond its integer", "weights", 4),
    Code("QD105", "bias_resolution", "bias coarser than its step", "weights", 3),
    Code("QD106", "mean_shift", "weight rounding shifts the mean of channels", "weights", 0),
    Code("QD107", "idle_input_weights", "weights on inputs that carry nothing set the range", "weights", 4),
    Code("QD108", "low_bit_end_layer", "a first or last layer that is binary or ternary", "weights", 3),
    Code("QD109", "uncentred_signs", "weights of one sign", "weights", 5),
    Code("QD110", "revived_channels", "near-zero channels get the magnitude of others", "weights", 5),
    Code("QD111", "outlier_magnitude", "one weight sets the magnitude of signs", "weights", 5),
    Code("QD201", "activation_outliers", "rare outliers set the activation range", "activations", 2),
    Code("QD202", "relu6_saturation", "ReLU6 clips much of the signal", "activations", 2),
    Code("QD203", "one_sided_range", "one-sided values under a symmetric quantizer", "activations", 2),
    Code("QD204", "unfriendly_function", "a function with two scales in one output", "activations", 1),
    Code("QD205", "activation_channel_imbalance", "few channels set the activation range", "activations", 1),
    Code("QD206", "masked_scores", "a mask sets the range of attention scores", "activations", 4),
    Code("QD207", "magnified_rounding", "a function magnifies the rounding of its input", "activations", 4),
    Code("QD208", "input_channel_units", "input channels in different units", "activations", 3),
    Code("QD209", "heavy_tailed_input", "most of the input lies below one step", "activations", 1),
    Code("QD210", "unequal_channels", "channels of an output of different size", "activations", 1),
    Code("QD211", "constant_signs", "a sign that never changes", "activations", 5),
    Code("QD301", "dead_batchnorm_channels", "dead BatchNorm channels set the weight range", "normalization", 5),
    Code("QD302", "batchnorm_gain_outliers", "BatchNorm gain outliers set the weight range", "normalization", 4),
    Code("QD303", "unfolded_batchnorm", "BatchNorm left unfolded", "normalization", 2),
    Code("QD304", "training_batchnorm", "BatchNorm in training mode", "normalization", 5),
    Code("QD401", "concat_ranges", "concat of very different ranges", "graph", 3),
    Code("QD402", "add_ranges", "add of very different ranges", "graph", 3),
    Code("QD403", "unshared_relu_scale", "a ReLU with a quantizer before it", "graph", 3),
    Code("QD404", "squeeze_excite_gate", "squeeze-and-excitation gate", "graph", 3),
    Code("QD405", "first_layer", "the first layer loses most", "graph", 0),
    Code("QD406", "last_layer", "the last layer loses most", "graph", 0),
    Code("QD407", "sole_loss", "layers that alone cost half of the loss or more", "graph", 0),
    Code("QD408", "identity_branch", "an identity branch sets the fused weight range", "graph", 3),
    Code("QD409", "branch_sum", "a sum of branches varies in few channels", "graph", 4),
    Code("QD410", "branch_offset", "constants of branches that do not cancel", "graph", 4),
    Code("QD501", "calibration_mismatch", "calibration and measured data differ in range", "calibration", 4),
    Code("QD502", "calibrator_clips", "the calibrator clips the signal", "calibration", 4),
    Code("QD503", "few_calibration_samples", "few samples set the ranges", "calibration", 5),
    Code("QD504", "live_observer", "an observer left on", "calibration", 3),
    Code("QD505", "idle_fake_quantizer", "a fake quantizer left off", "calibration", 2),
    Code("QD506", "lagging_range", "a stored range that lags behind the values", "calibration", 4),
    Code("QD601", "accumulator_overflow", "sums beyond the accumulator", "backend", 5),
    Code("QD602", "pair_saturation", "pairs of products saturate int16", "backend", 5),
    Code("QD701", "wrong_weight_axis", "weight scales of another axis", "deployment", 5),
    Code("QD702", "left_in_float", "a layer that the file leaves in float", "deployment", 0),
    Code("QD703", "quantized_twice", "an output that is quantized twice", "deployment", 5),
    Code("QD704", "range_without_zero", "a range that does not hold zero", "deployment", 6),
    Code("QD705", "other_inputs", "calibrated on inputs prepared otherwise", "deployment", 5),
    Code("QD706", "runtime_fallback", "integers that the runtime computes in float", "deployment", 0),
    Code("QD901", "nonfinite_values", "NaN or Inf", "numerics", 6),
    Code("QD902", "nothing_quantized", "nothing is quantized", "numerics", 6),
    Code("QD903", "scale_floor", "a scale without information", "numerics", 6),
)
"""Every code, in order."""

_BY_CODE = {code.code: code for code in CODES}


def code_of(code: str) -> Code:
    """The entry of a code.

    Raises:
        KeyError: there is none.
    """
    return _BY_CODE[code]
