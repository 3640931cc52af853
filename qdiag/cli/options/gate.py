"""The options of `qdiag gate`."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

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


FewSamplesOption = Annotated[
    bool,
    typer.Option(
        "--allow-few-samples",
        help="Do not fail where the samples cannot even exclude twice the limit.",
        rich_help_panel=FAIL,
    ),
]


@dataclass(frozen=True)
class LimitOptions:
    """What a result is held against. Fields go by the keys of a gate file; None: not given."""

    max_drop: Annotated[float | None, _number("--max-drop", "PP", "Points of top-1 that may be lost.", FAIL)] = None
    max_relative_drop: Annotated[
        float | None,
        _number("--max-relative-drop", "PERCENT", "Loss of top-1, in percent of the float network's.", FAIL),
    ] = None
    min_accuracy: Annotated[
        float | None, _number("--min-accuracy", "PERCENT", "Top-1 that the quantized network must reach.", FAIL)
    ] = None
    max_flips: Annotated[
        float | None, _number("--max-flips", "PERCENT", "Samples that may change their top-1; needs no labels.", FAIL)
    ] = None
    min_sqnr: Annotated[float | None, _number("--min-sqnr", "DB", "SQNR of the output.", FAIL)] = None
    min_layer_sqnr: Annotated[
        float | None, _number("--min-layer-sqnr", "DB", "Local SQNR of every quantized layer.", FAIL)
    ] = None
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="LAYER=DB",
            help="Another limit for the layers that a glob pattern names; -inf exempts them; can be repeated.",
            rich_help_panel=FAIL,
        ),
    ] = None
    forbid: Annotated[
        list[str] | None,
        typer.Option(
            "--forbid",
            metavar="CODE",
            help="Fail on findings of this code that were not measured as harmless; can be repeated.",
            rich_help_panel=FAIL,
        ),
    ] = None
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail where the samples are too few to tell.", rich_help_panel=FAIL)
    ] = False
    allow_few_samples: FewSamplesOption = False
    warn_drop: Annotated[float | None, _number("--warn-drop", "PP", "As --max-drop.", WARN)] = None
    warn_relative_drop: Annotated[
        float | None, _number("--warn-relative-drop", "PERCENT", "As --max-relative-drop.", WARN)
    ] = None
    warn_accuracy: Annotated[float | None, _number("--warn-accuracy", "PERCENT", "As --min-accuracy.", WARN)] = None
    warn_flips: Annotated[float | None, _number("--warn-flips", "PERCENT", "As --max-flips.", WARN)] = None
    warn_sqnr: Annotated[float | None, _number("--warn-sqnr", "DB", "As --min-sqnr.", WARN)] = None
    warn_layer_sqnr: Annotated[float | None, _number("--warn-layer-sqnr", "DB", "As --min-layer-sqnr.", WARN)] = None
    warn_tolerance: Annotated[float | None, _number("--warn-tolerance", "PP", "As --tolerance.", WARN)] = None
    warn_tolerance_db: Annotated[float | None, _number("--warn-tolerance-db", "DB", "As --tolerance-db.", WARN)] = None
    warn_code: Annotated[
        list[str] | None,
        typer.Option("--warn-code", metavar="CODE", help="As --forbid.", rich_help_panel=WARN),
    ] = None
    warn_new_causes: Annotated[
        bool, typer.Option("--warn-new-causes", help="As --no-new-causes.", rich_help_panel=WARN)
    ] = False
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="FILE",
            help="Figures to compare with; written by --update-baseline.",
            rich_help_panel=BASELINE,
        ),
        ReadsOrWrites(),
    ] = None
    tolerance: Annotated[
        float | None,
        _number(
            "--tolerance", "PP", "Growth of the drop since the baseline; without labels, of --max-flips.", BASELINE
        ),
    ] = None
    tolerance_db: Annotated[
        float | None, _number("--tolerance-db", "DB", "Loss of output SQNR since the baseline.", BASELINE)
    ] = None
    no_new_causes: Annotated[
        bool,
        typer.Option(
            "--no-new-causes", help="Fail on proved causes that the baseline does not have.", rich_help_panel=BASELINE
        ),
    ] = False

    @property
    def given(self) -> dict[str, Any]:
        """Each key of a gate file that an option can set, with what was given for it."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "warn_new_causes"}
        return {**values, "no_new_causes": self.no_new_causes or ("warn" if self.warn_new_causes else None)}


UpdateBaselineOption = Annotated[
    bool,
    typer.Option(
        "--update-baseline", help="Write this result as the baseline, if the gate passes.", rich_help_panel=BASELINE
    ),
]

AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept", help="Let --update-baseline write although the gate did not pass.", rich_help_panel=BASELINE
    ),
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
