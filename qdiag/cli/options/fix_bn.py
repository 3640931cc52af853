"""The options that only `qdiag fix-bn` has."""

from pathlib import Path
from typing import Annotated

from qdiag.cli.options.panels import model_option, output_option, repair_option
from qdiag.cli.options.roles import Writes
from qdiag.core.causes.repair_traits import Method

OutputOption = Annotated[
    Path | None,
    output_option("--out", "-o", metavar="FIXED", help="The repaired model, in the format of MODEL."),
    Writes(hint="give another name; --in-place replaces the model"),
]
InPlaceOption = Annotated[bool, output_option("--in-place", help="Replace MODEL itself.")]
ForceOption = Annotated[bool, output_option("--force", help="Replace FIXED if it is there.")]
DryRunOption = Annotated[
    bool, repair_option("--dry-run", help="Show what would change, from the checkpoint alone; write nothing.")
]
NoProofOption = Annotated[bool, repair_option("--no-proof", help="Write the repair without running the network.")]
MethodOption = Annotated[
    Method,
    repair_option(
        "--method",
        help="mean: the variance becomes the mean of the layer's live channels. constant: gamma becomes 0, so the "
        "channel is the constant that it gives.",
    ),
]
LayersOption = Annotated[
    list[str] | None, repair_option("--layers", metavar="GLOB", help="Only BatchNorms of these names; can be repeated.")
]
ThresholdOption = Annotated[
    float | None,
    repair_option(
        "--threshold",
        metavar="RATIO",
        min=0.0,
        help="Dead is variance <= RATIO x eps, instead of the rule of `qdiag bn`.",
    ),
]
FloatBoundOption = Annotated[
    float,
    repair_option(
        "--float-bound",
        metavar="RATIO",
        min=0.0,
        help="Refuse channels whose repair moves the float output by more than this share of its largest value.",
    ),
]
EpsOption = Annotated[
    float,
    model_option(
        "--eps",
        metavar="NUMBER",
        help="Of the BatchNorms of a bare state dict, which does not hold it; TensorFlow has 1e-3.",
    ),
]
