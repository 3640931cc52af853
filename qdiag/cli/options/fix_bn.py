"""The options that only `qdiag fix-bn` has."""

from pathlib import Path
from typing import Annotated

from qdiag.cli.options.panels import model_option, output_option, repair_option
from qdiag.cli.options.roles import Writes
from qdiag.core.causes.repair_traits import Method

OutputOption = Annotated[
    Path | None,
    output_option(
        "--out", "-o", metavar="FIXED", help="Write the repaired model to this file, in the format of MODEL."
    ),
    Writes(hint="give another name; --in-place replaces the model"),
]
InPlaceOption = Annotated[bool, output_option("--in-place", help="Replace MODEL itself.")]
ForceOption = Annotated[bool, output_option("--force", help="Replace FIXED if it is there.")]
DryRunOption = Annotated[
    bool, repair_option("--dry-run", help="Show what would change, from the checkpoint alone, and write nothing.")
]
NoProofOption = Annotated[bool, repair_option("--no-proof", help="Write the repair without running the network.")]
MethodOption = Annotated[
    Method,
    repair_option(
        "--method",
        help="Choose what becomes of a dead channel. With mean, its variance becomes the mean of the layer's "
        "live channels; with constant, its gamma becomes 0, so that the channel is the constant that it "
        "gives.",
    ),
]
LayersOption = Annotated[
    list[str] | None,
    repair_option(
        "--layers", metavar="GLOB", help="Repair only BatchNorms of these names. The option can be repeated."
    ),
]
ThresholdOption = Annotated[
    float | None,
    repair_option(
        "--threshold",
        metavar="RATIO",
        min=0.0,
        help="Call a channel dead where its variance is at most RATIO x eps, instead of by the rule of `qdiag bn`.",
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
        help="Give the eps of the BatchNorms of a state dict without its network. TensorFlow has 1e-3.",
    ),
]
