"""What every repair is and may do, in one table: whoever decides anything by a repair's name asks here.

Names are verbs, stable, used in results and commands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Writes = Literal["tensors", "graph", "plan", "code"]
Scope = Literal["channel", "layer", "network"]
PlaceboSites = Literal["other channels", "other layers", "none"]
Method = Literal["mean", "constant"]
Setting = Literal["format", "range"]

_PLACEBO: Mapping[Scope, PlaceboSites] = {"channel": "other channels", "layer": "other layers", "network": "none"}
_PLAN = ("it changes how the network is quantized, not the network", "give the scheme with `scheme` and `overrides`")
_RELU6 = (
    "ReLU6 is code, not weights: no checkpoint can hold the change",
    "replace nn.ReLU6 by nn.ReLU (F.relu6 by F.relu) in the network, and train on; qdiag rank says what it gives",
)
_INPUT_SCALE = (
    "the data have to be scaled as well, and a checkpoint holds no data",
    "multiply each channel of the data by a scale of its own, and divide the first layer's weights by it",
)
_OUTPUT_SCALE = (
    "whoever reads the output has to scale it as well, and a checkpoint holds no reader",
    "multiply each row of the last layer's weights and bias by a scale of its own, and divide the output by it",
)


@dataclass(frozen=True, slots=True)
class RepairTraits:
    """A repair as everything outside of its own file sees it.

    Attributes:
        title: a few words for tables, lower case.
        keeps_scheme: the integer format stays as the user set it; otherwise the repair is a change of scheme.
        writes: what a user changes to make it: `tensors` of the checkpoint, the `graph` that they belong to with them,
            the `plan` by which a checkpoint is quantized, or the network's `code`.
        scope: what it treats, given places of a finding: the channels that they name and no others, the layers that
            they name as a whole, or the whole network whatever they name.
        in_code: of what is written to `code`: why no checkpoint can hold it, and what to do instead.
        must_be_last: it fits the rounding of the weights as they then are, for one scheme, and moves the float network.
        helps_anywhere: it may be made wherever there are weights, finding or not.
        fix_bn_method: of `qdiag fix-bn`, which makes this repair.
        mends_branches: `qdiag branches` tries it where a fused block quantizes badly.
        setting: what it is in the settings of other quantizers: a `format` of tensors, or a `range` of activations;
            None where these have no place for it.
        leaves_float: the layers that it treats are not quantized any more.
    """

    name: str
    title: str
    keeps_scheme: bool
    writes: Writes
    scope: Scope
    in_code: tuple[str, str] | None = None
    must_be_last: bool = False
    helps_anywhere: bool = False
    fix_bn_method: Method | None = None
    mends_branches: bool = False
    setting: Setting | None = None
    leaves_float: bool = False

    @property
    def why_not_written(self) -> tuple[str, str] | None:
        """Why no checkpoint can hold it, and what to do instead; None where one can."""
        return _PLAN if self.writes == "plan" else self.in_code

    @property
    def placebo(self) -> PlaceboSites:
        """Where the same repair is tried for comparison: nothing that it would treat anyway is another place."""
        return _PLACEBO[self.scope]


_TABLE = (
    RepairTraits("fuse_branches", "branches fused into one convolution", True, "graph", "network"),
    RepairTraits(
        "reset_variance_mean",
        "dead channels get the mean variance of the live ones",
        True,
        "tensors",
        "channel",
        fix_bn_method="mean",
    ),
    RepairTraits(
        "reset_variance_constant",
        "dead channels become the constant they give",
        True,
        "tensors",
        "channel",
        fix_bn_method="constant",
    ),
    RepairTraits(
        "absorb_identity",
        "outlying input channels scaled in the layer before",
        True,
        "tensors",
        "channel",
        mends_branches=True,
    ),
    RepairTraits("clip_idle_weights", "weights on inputs that carry nothing clipped", True, "tensors", "channel"),
    RepairTraits(
        "equalize", "ranges equalized across layers", True, "tensors", "layer", helps_anywhere=True, mends_branches=True
    ),
    RepairTraits(
        "correct_bias",
        "bias corrected for the mean shift of rounding",
        True,
        "tensors",
        "layer",
        must_be_last=True,
        helps_anywhere=True,
        mends_branches=True,
    ),
    RepairTraits(
        "clip_weights",
        "weight range by least squared error",
        True,
        "plan",
        "layer",
        helps_anywhere=True,
        mends_branches=True,
    ),
    RepairTraits("cover_weights", "weight range by minimum and maximum", True, "plan", "layer"),
    RepairTraits("raise_weight_scale", "weight scale raised until the bias fits", True, "plan", "channel"),
    RepairTraits("clip_sign_scale", "magnitude of signs without outlier weights", True, "plan", "channel"),
    RepairTraits(
        "clip_activations_mse",
        "activation range by least squared error",
        True,
        "plan",
        "layer",
        helps_anywhere=True,
        setting="range",
    ),
    RepairTraits(
        "clip_activations_percentile", "activation range by percentile", True, "plan", "layer", setting="range"
    ),
    RepairTraits("clip_activations_entropy", "activation range by entropy", True, "plan", "layer", setting="range"),
    RepairTraits("cover_range", "activation range by minimum and maximum", True, "plan", "layer", setting="range"),
    RepairTraits(
        "calibrate_on_measured", "ranges taken from the measured data", True, "plan", "layer", setting="range"
    ),
    RepairTraits("bound_mask", "mask value just below the attention scores", True, "plan", "layer"),
    RepairTraits("scale_input_channels", "input channels scaled alike", True, "code", "layer", _INPUT_SCALE),
    RepairTraits("scale_output_channels", "output channels scaled alike", True, "code", "layer", _OUTPUT_SCALE),
    RepairTraits("split_concat", "branches of a concat as separate outputs", True, "plan", "layer"),
    RepairTraits("fold_batchnorm", "BatchNorm folded", True, "plan", "network"),
    RepairTraits("replace_relu6", "ReLU6 becomes ReLU", True, "code", "layer", _RELU6),
    RepairTraits(
        "per_channel_weights",
        "one weight scale per channel",
        False,
        "plan",
        "layer",
        mends_branches=True,
        setting="format",
    ),
    RepairTraits("center_weights", "weights centred before their sign", False, "plan", "layer"),
    RepairTraits("scale_signs", "one magnitude of signs per channel", False, "plan", "layer"),
    RepairTraits("eight_bits", "8 bits in place of one or two", False, "plan", "layer"),
    RepairTraits("asymmetric_activations", "affine activations", False, "plan", "layer", setting="format"),
    RepairTraits("activations_16bit", "16-bit activations", False, "plan", "layer"),
    RepairTraits("float_bias", "bias in float", False, "plan", "layer"),
    RepairTraits("wide_accumulator", "32-bit accumulator, no pair saturation", False, "plan", "network"),
    RepairTraits("reduce_weight_bits", "7-bit weights", False, "plan", "layer"),
    RepairTraits("reduce_activation_bits", "7-bit activations", False, "plan", "layer"),
    RepairTraits(
        "keep_float",
        "layers kept in float",
        False,
        "plan",
        "layer",
        mends_branches=True,
        setting="format",
        leaves_float=True,
    ),
)

TRAITS: Mapping[str, RepairTraits] = {traits.name: traits for traits in _TABLE}
"""Every repair by its name; those that a checkpoint can hold come first, in the order in which they are best made."""
IN_FLOAT = next(traits.name for traits in _TABLE if traits.leaves_float)
"""The repair that leaves layers in float."""

WRITTEN = tuple(traits.name for traits in _TABLE if traits.why_not_written is None)
"""Names of the repairs that a checkpoint can hold."""


def repair_title(name: str) -> str:
    """A few words, lower case; the name itself where a newer version made the repair."""
    return TRAITS[name].title if name in TRAITS else name


def keeps_scheme(name: str) -> bool:
    """The repair leaves the integer format as the user set it; not said of one that is not known here."""
    return name in TRAITS and TRAITS[name].keeps_scheme
