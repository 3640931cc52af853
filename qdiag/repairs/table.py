"""Every repair by its name.

A new one is one file and one line here, and its traits in `qdiag.core.causes.repair_traits`.
"""

from collections.abc import Mapping

from qdiag.repairs.base import Repair
from qdiag.repairs.equalization.absorb_identity import ABSORB_IDENTITY
from qdiag.repairs.equalization.equalize import EQUALIZE
from qdiag.repairs.low_bits.center_weights import CENTER_WEIGHTS
from qdiag.repairs.low_bits.clip_sign_scale import CLIP_SIGN_SCALE
from qdiag.repairs.low_bits.eight_bits import EIGHT_BITS
from qdiag.repairs.low_bits.scale_signs import SCALE_SIGNS
from qdiag.repairs.scheme.activations_16bit import ACTIVATIONS_16BIT
from qdiag.repairs.scheme.asymmetric_activations import ASYMMETRIC_ACTIVATIONS
from qdiag.repairs.scheme.bound_mask import BOUND_MASK
from qdiag.repairs.scheme.calibrate_on_measured import CALIBRATE_ON_MEASURED
from qdiag.repairs.scheme.choose_range import (
    CLIP_ACTIVATIONS_ENTROPY,
    CLIP_ACTIVATIONS_MSE,
    CLIP_ACTIVATIONS_PERCENTILE,
    CLIP_WEIGHTS,
    COVER_RANGE,
    COVER_WEIGHTS,
)
from qdiag.repairs.scheme.float_bias import FLOAT_BIAS
from qdiag.repairs.scheme.keep_float import KEEP_FLOAT
from qdiag.repairs.scheme.per_channel_weights import PER_CHANNEL_WEIGHTS
from qdiag.repairs.scheme.reduce_activation_bits import REDUCE_ACTIVATION_BITS
from qdiag.repairs.scheme.reduce_weight_bits import REDUCE_WEIGHT_BITS
from qdiag.repairs.scheme.scale_input_channels import SCALE_INPUT_CHANNELS
from qdiag.repairs.scheme.scale_output_channels import SCALE_OUTPUT_CHANNELS
from qdiag.repairs.scheme.split_concat import SPLIT_CONCAT
from qdiag.repairs.scheme.wide_accumulator import WIDE_ACCUMULATOR
from qdiag.repairs.weights.clip_idle_weights import CLIP_IDLE_WEIGHTS
from qdiag.repairs.weights.correct_bias import CORRECT_BIAS
from qdiag.repairs.weights.fold_batchnorm import FOLD_BATCHNORM
from qdiag.repairs.weights.fuse_branches import FUSE_BRANCHES
from qdiag.repairs.weights.raise_weight_scale import RAISE_WEIGHT_SCALE
from qdiag.repairs.weights.replace_relu6 import REPLACE_RELU6
from qdiag.repairs.weights.reset_variance import RESET_VARIANCE_CONSTANT, RESET_VARIANCE_MEAN

_REPAIRS = (
    FUSE_BRANCHES,
    RESET_VARIANCE_MEAN,
    RESET_VARIANCE_CONSTANT,
    ABSORB_IDENTITY,
    CLIP_IDLE_WEIGHTS,
    EQUALIZE,
    CORRECT_BIAS,
    CLIP_WEIGHTS,
    COVER_WEIGHTS,
    RAISE_WEIGHT_SCALE,
    CLIP_SIGN_SCALE,
    CLIP_ACTIVATIONS_MSE,
    CLIP_ACTIVATIONS_PERCENTILE,
    CLIP_ACTIVATIONS_ENTROPY,
    COVER_RANGE,
    CALIBRATE_ON_MEASURED,
    BOUND_MASK,
    SCALE_INPUT_CHANNELS,
    SCALE_OUTPUT_CHANNELS,
    SPLIT_CONCAT,
    FOLD_BATCHNORM,
    REPLACE_RELU6,
    PER_CHANNEL_WEIGHTS,
    CENTER_WEIGHTS,
    SCALE_SIGNS,
    EIGHT_BITS,
    ASYMMETRIC_ACTIVATIONS,
    ACTIVATIONS_16BIT,
    FLOAT_BIAS,
    WIDE_ACCUMULATOR,
    REDUCE_WEIGHT_BITS,
    REDUCE_ACTIVATION_BITS,
    KEEP_FLOAT,
)

REPAIRS: Mapping[str, Repair] = {repair.name: repair for repair in _REPAIRS}
"""In the order of `qdiag.core.causes.repair_traits`."""
