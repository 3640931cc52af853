"""The names of repairs, and whether each keeps the user's scheme. Verbs, stable, used in results and commands."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RepairName:
    """A repair as results speak of it.

    Attributes:
        keeps_scheme: the integer format stays as the user set it; otherwise the repair is a way around.
        changes_weights: it makes another checkpoint; otherwise another plan for the same one.
        title: a few words for tables, lower case.
    """

    name: str
    keeps_scheme: bool
    changes_weights: bool
    title: str


REPAIR_NAMES: tuple[RepairName, ...] = (
    RepairName("reset_variance_mean", True, True, "dead channels get the mean variance of the live ones"),
    RepairName("reset_variance_constant", True, True, "dead channels become the constant they give"),
    RepairName("clip_weights", True, False, "weight range by least squared error"),
    RepairName("equalize", True, True, "ranges equalized across layers"),
    RepairName("correct_bias", True, False, "bias corrected for the mean shift of rounding"),
    RepairName("raise_weight_scale", True, False, "weight scale raised until the bias fits"),
    RepairName("clip_activations_mse", True, False, "activation range by least squared error"),
    RepairName("clip_activations_percentile", True, False, "activation range by percentile"),
    RepairName("clip_activations_entropy", True, False, "activation range by entropy"),
    RepairName("cover_range", True, False, "activation range by minimum and maximum"),
    RepairName("calibrate_on_measured", True, False, "ranges taken from the measured data"),
    RepairName("fold_batchnorm", True, False, "BatchNorm folded"),
    RepairName("replace_relu6", True, True, "ReLU6 becomes ReLU"),
    RepairName("per_channel_weights", False, False, "one weight scale per channel"),
    RepairName("asymmetric_activations", False, False, "affine activations"),
    RepairName("activations_16bit", False, False, "16-bit activations"),
    RepairName("float_bias", False, False, "bias in float"),
    RepairName("wide_accumulator", False, False, "32-bit accumulator, no pair saturation"),
    RepairName("reduce_weight_bits", False, False, "7-bit weights"),
    RepairName("keep_float", False, False, "layers kept in float"),
)

_BY_NAME = {repair.name: repair for repair in REPAIR_NAMES}


def repair_name(name: str) -> RepairName:
    """The entry of a name.

    Raises:
        KeyError: there is none.
    """
    return _BY_NAME[name]
