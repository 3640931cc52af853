"""The options that only `qdiag fix-bn` has."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from qdiag.cli.options.common import MODEL, OUTPUT
from qdiag.cli.options.roles import Writes

REPAIR = "Repair"


class FixMethod(str, Enum):
    """Names of `qdiag.core.causes.repair_traits.Method`."""

    MEAN = "mean"
    CONSTANT = "constant"


OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FIXED", help="The repaired model, in the format of MODEL.", rich_help_panel=OUTPUT
    ),
    Writes(hint="give another name; --in-place replaces the model"),
]
InPlaceOption = Annotated[bool, typer.Option("--in-place", help="Replace MODEL itself.", rich_help_panel=OUTPUT)]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace FIXED if it is there.", rich_help_panel=OUTPUT)]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Show what would change, from the checkpoint alone; write nothing.", rich_help_panel=REPAIR
    ),
]
NoProofOption = Annotated[
    bool, typer.Option("--no-proof", help="Write the repair without running the network.", rich_help_panel=REPAIR)
]
MethodOption = Annotated[
    FixMethod,
    typer.Option(
        "--method",
        help="mean: the variance becomes the mean of the layer's live channels. constant: gamma becomes 0, so the "
        "channel is the constant that it gives.",
        rich_help_panel=REPAIR,
    ),
]
LayersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--layers", metavar="GLOB", help="Only BatchNorms of these names; can be repeated.", rich_help_panel=REPAIR
    ),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="RATIO",
        min=0.0,
        help="Dead is variance <= RATIO x eps, instead of the rule of `qdiag bn`.",
        rich_help_panel=REPAIR,
    ),
]
FloatBoundOption = Annotated[
    float,
    typer.Option(
        "--float-bound",
        metavar="RATIO",
        min=0.0,
        help="Refuse channels whose repair moves the float output by more than this share of its largest value.",
        rich_help_panel=REPAIR,
    ),
]
EpsOption = Annotated[
    float,
    typer.Option(
        "--eps",
        metavar="NUMBER",
        help="Of the BatchNorms of a bare state dict, which does not hold it; TensorFlow has 1e-3.",
        rich_help_panel=MODEL,
    ),
]
