"""The options that only `qdiag repair` has."""

from typing import Annotated

from qdiag.cli.options.panels import repair_option
from qdiag.core.causes.repair_traits import WRITTEN

WithOption = Annotated[
    list[str],
    repair_option(
        "--with",
        metavar="REPAIR[,REPAIR...]",
        show_default=False,
        help=f"Make these repairs in the order given, of {', '.join(WRITTEN)}.",
    ),
]
RepairLayersOption = Annotated[
    list[str] | None,
    repair_option(
        "--layers",
        metavar="GLOB",
        help="Repair only layers of these names, as qdiag sqnr shows them. The option can be repeated. "
        "Equalization takes the whole chain around each.",
    ),
]
RepairBoundOption = Annotated[
    float,
    repair_option(
        "--float-bound",
        metavar="RATIO",
        min=0.0,
        help="Refuse a repair that moves the float output by more than this share of its largest value.",
    ),
]


def repair_names(values: list[str]) -> tuple[str, ...]:
    """Names out of `a,b` and repeated options, in order; `-` may stand for `_`."""
    parts = [part.strip().replace("-", "_") for value in values for part in value.split(",")]
    return tuple(part for part in parts if part)
