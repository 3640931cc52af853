"""The options of `qdiag gate`."""

from pathlib import Path
from typing import Annotated

import typer

from qdiag.cli.options.common import OUTPUT
from qdiag.cli.options.parse import check_output
from qdiag.cli.options.roles import Reads, ReadsOrWrites, Writes, result_or_model_files

FAIL, WARN, BASELINE = "Limits", "Limits that warn", "Baseline and causes"

ResultArgument = Annotated[
    str,
    typer.Argument(
        metavar="RESULT|MODEL",
        show_default=False,
        help="diagnosis.json or its folder, the JSON of `qdiag sqnr --json`, or a model as for `qdiag sqnr`, which is "
        "then measured first.",
    ),
    Reads(result_or_model_files),
]


def _number(name: str, metavar: str, text: str, panel: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        name, metavar=metavar, help=text, rich_help_panel=panel, show_default=False
    )
    return option


MaxDropOption = Annotated[float | None, _number("--max-drop", "PP", "Points of top-1 that may be lost.", FAIL)]
MaxRelativeDropOption = Annotated[
    float | None, _number("--max-relative-drop", "PERCENT", "Loss of top-1, in percent of the float network's.", FAIL)
]
MinAccuracyOption = Annotated[
    float | None, _number("--min-accuracy", "PERCENT", "Top-1 that the quantized network must reach.", FAIL)
]
MaxFlipsOption = Annotated[
    float | None, _number("--max-flips", "PERCENT", "Samples that may change their top-1; needs no labels.", FAIL)
]
MinSqnrOption = Annotated[float | None, _number("--min-sqnr", "DB", "SQNR of the output.", FAIL)]
MinLayerSqnrOption = Annotated[
    float | None, _number("--min-layer-sqnr", "DB", "Local SQNR of every quantized layer.", FAIL)
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="LAYER=DB",
        help="Another limit for the layers that a glob pattern names; -inf exempts them; can be repeated.",
        rich_help_panel=FAIL,
    ),
]
ForbidOption = Annotated[
    list[str] | None,
    typer.Option(
        "--forbid",
        metavar="CODE",
        help="Fail on findings of this code that were not measured as harmless; can be repeated.",
        rich_help_panel=FAIL,
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Fail where the samples are too few to tell.", rich_help_panel=FAIL)
]

WarnDropOption = Annotated[float | None, _number("--warn-drop", "PP", "As --max-drop.", WARN)]
WarnRelativeDropOption = Annotated[
    float | None, _number("--warn-relative-drop", "PERCENT", "As --max-relative-drop.", WARN)
]
WarnAccuracyOption = Annotated[float | None, _number("--warn-accuracy", "PERCENT", "As --min-accuracy.", WARN)]
WarnFlipsOption = Annotated[float | None, _number("--warn-flips", "PERCENT", "As --max-flips.", WARN)]
WarnSqnrOption = Annotated[float | None, _number("--warn-sqnr", "DB", "As --min-sqnr.", WARN)]
WarnLayerSqnrOption = Annotated[float | None, _number("--warn-layer-sqnr", "DB", "As --min-layer-sqnr.", WARN)]
WarnToleranceOption = Annotated[float | None, _number("--warn-tolerance", "PP", "As --tolerance.", WARN)]
WarnToleranceDbOption = Annotated[float | None, _number("--warn-tolerance-db", "DB", "As --tolerance-db.", WARN)]
WarnCodeOption = Annotated[
    list[str] | None,
    typer.Option("--warn-code", metavar="CODE", help="As --forbid.", rich_help_panel=WARN),
]
WarnNewCausesOption = Annotated[
    bool, typer.Option("--warn-new-causes", help="As --no-new-causes.", rich_help_panel=WARN)
]

BaselineOption = Annotated[
    str | None,
    typer.Option(
        "--baseline", metavar="FILE", help="Figures to compare with; written by --update-baseline.",
        rich_help_panel=BASELINE,
    ), ReadsOrWrites()]  # fmt: skip
ToleranceOption = Annotated[
    float | None,
    _number("--tolerance", "PP", "Growth of the drop since the baseline; without labels, of --max-flips.", BASELINE),
]
ToleranceDbOption = Annotated[
    float | None, _number("--tolerance-db", "DB", "Loss of output SQNR since the baseline.", BASELINE)
]
NoNewCausesOption = Annotated[
    bool,
    typer.Option(
        "--no-new-causes", help="Fail on proved causes that the baseline does not have.", rich_help_panel=BASELINE
    ),
]
UpdateBaselineOption = Annotated[
    bool,
    typer.Option("--update-baseline", help="Write this result as the baseline.", rich_help_panel=BASELINE),
]

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Read limits from this file alone, instead of qdiag.toml and pyproject.toml here.",
    ),
    Reads(),
]


def _file(name: str, text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        name, metavar="FILE", callback=check_output, help=text, rich_help_panel=OUTPUT
    )
    return option


JunitOption = Annotated[str | None, _file("--junit", "JUnit XML, one test case per check."), Writes()]
SarifOption = Annotated[str | None, _file("--sarif", "SARIF 2.1.0, for code scanning."), Writes()]
MarkdownOption = Annotated[
    str | None, _file("--markdown", "A comment for a pull request; - prints it instead of the table."), Writes()
]
