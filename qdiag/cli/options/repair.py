"""The options that only `qdiag repair` has."""

from typing import Annotated

import typer

from qdiag.core.causes.repair_traits import WRITTEN

REPAIR = "Repair"

WithOption = Annotated[
    list[str],
    typer.Option(
        "--with",
        metavar="REPAIR[,REPAIR...]",
        show_default=False,
        help=f"Made in the order given: {', '.join(WRITTEN)}.",
        rich_help_panel=REPAIR,
    ),
]
RepairLayersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--layers",
        metavar="GLOB",
        help="Only layers of these names, as qdiag sqnr shows them; can be repeated. Equalization takes the whole "
        "chain around each.",
        rich_help_panel=REPAIR,
    ),
]
RepairBoundOption = Annotated[
    float,
    typer.Option(
        "--float-bound",
        metavar="RATIO",
        min=0.0,
        help="Refuse a repair that moves the float output by more than this share of its largest value.",
        rich_help_panel=REPAIR,
    ),
]


def repair_names(values: list[str]) -> tuple[str, ...]:
    """Names out of `a,b` and repeated options, in order; `-` may stand for `_`."""
    parts = [part.strip().replace("-", "_") for value in values for part in value.split(",")]
    return tuple(part for part in parts if part)
