"""The options of `qdiag gate`."""

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from qdiag.cli.options.panels import file_option
from qdiag.cli.options.roles import Reads, ReadsOrWrites, Writes, result_or_model_files

limit_option = partial(typer.Option, rich_help_panel="Limits")
warning_option = partial(typer.Option, rich_help_panel="Limits that warn")
baseline_option = partial(typer.Option, rich_help_panel="Baseline and causes")

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


FewSamplesOption = Annotated[
    bool, limit_option("--allow-few-samples", help="Do not fail where the samples cannot even exclude twice the limit.")
]


@dataclass(frozen=True)
class LimitOptions:
    """What a result is held against. Fields, and options by them, go by the keys of a gate file; None: not given."""

    max_drop: Annotated[
        str | None,
        limit_option(metavar="PP", help="Points of accuracy, such as top-1 or mIoU, that may be lost."),
    ] = None
    max_relative_drop: Annotated[
        str | None,
        limit_option(metavar="PERCENT", help="Loss of accuracy, in percent of the float network's."),
    ] = None
    min_accuracy: Annotated[
        str | None,
        limit_option(metavar="PERCENT", help="Accuracy that the quantized network must reach."),
    ] = None
    max_flips: Annotated[
        str | None,
        limit_option(metavar="PERCENT", help="Answers that may change; needs no labels."),
    ] = None
    max_metric_drop: Annotated[
        str | None,
        limit_option(
            metavar="X",
            help="Loss of the figure that judges the network, in its unit; positive is worse, whatever its direction.",
        ),
    ] = None
    min_metric: Annotated[
        str | None,
        limit_option(
            metavar="X",
            help="Value that this figure must reach, where higher is better; of a figure in percent, 40 is 40 %.",
        ),
    ] = None
    max_metric: Annotated[
        str | None,
        limit_option(metavar="X", help="Value that it must not exceed, where lower is better."),
    ] = None
    min_sqnr: Annotated[
        float | None, limit_option(metavar="DB", help="SQNR of the weakest output, at its weakest part.")
    ] = None
    min_layer_sqnr: Annotated[float | None, limit_option(metavar="DB", help="Local SQNR of every quantized layer.")] = (
        None
    )
    allow: Annotated[
        list[str] | None,
        limit_option(
            metavar="LAYER=DB",
            help="Another limit for the layers that a glob pattern names; -inf exempts them; can be repeated.",
        ),
    ] = None
    forbid: Annotated[
        list[str] | None,
        limit_option(
            metavar="CODE", help="Fail on findings of this code that were not measured as harmless; can be repeated."
        ),
    ] = None
    strict: Annotated[bool, limit_option("--strict", help="Fail where the samples are too few to tell.")] = False
    allow_few_samples: FewSamplesOption = False
    warn_drop: Annotated[str | None, warning_option(metavar="PP", help="As --max-drop.")] = None
    warn_relative_drop: Annotated[str | None, warning_option(metavar="PERCENT", help="As --max-relative-drop.")] = None
    warn_accuracy: Annotated[str | None, warning_option(metavar="PERCENT", help="As --min-accuracy.")] = None
    warn_flips: Annotated[str | None, warning_option(metavar="PERCENT", help="As --max-flips.")] = None
    warn_metric_drop: Annotated[str | None, warning_option(metavar="X", help="As --max-metric-drop.")] = None
    warn_min_metric: Annotated[str | None, warning_option(metavar="X", help="As --min-metric.")] = None
    warn_max_metric: Annotated[str | None, warning_option(metavar="X", help="As --max-metric.")] = None
    warn_sqnr: Annotated[float | None, warning_option(metavar="DB", help="As --min-sqnr.")] = None
    warn_layer_sqnr: Annotated[float | None, warning_option(metavar="DB", help="As --min-layer-sqnr.")] = None
    warn_tolerance: Annotated[str | None, warning_option(metavar="PP", help="As --tolerance.")] = None
    warn_tolerance_db: Annotated[float | None, warning_option(metavar="DB", help="As --tolerance-db.")] = None
    warn_tolerance_metric: Annotated[str | None, warning_option(metavar="X", help="As --tolerance-metric.")] = None
    warn_code: Annotated[list[str] | None, warning_option(metavar="CODE", help="As --forbid.")] = None
    warn_new_causes: Annotated[bool, warning_option("--warn-new-causes", help="As --no-new-causes.")] = False
    baseline: Annotated[
        str | None,
        baseline_option(metavar="FILE", help="Figures to compare with; written by --update-baseline."),
        ReadsOrWrites(),
    ] = None
    tolerance: Annotated[
        str | None,
        baseline_option(metavar="PP", help="Growth of the drop since the baseline; without labels, of --max-flips."),
    ] = None
    tolerance_db: Annotated[
        float | None, baseline_option(metavar="DB", help="Loss of the weakest output SQNR since the baseline.")
    ] = None
    tolerance_metric: Annotated[
        str | None,
        baseline_option(metavar="X", help="Growth of the loss of the judged figure since the baseline."),
    ] = None
    no_new_causes: Annotated[
        bool, baseline_option("--no-new-causes", help="Fail on proved causes that the baseline does not have.")
    ] = False

    @property
    def given(self) -> dict[str, Any]:
        """Each key of a gate file that an option can set, with what was given for it."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "warn_new_causes"}
        return {**values, "no_new_causes": self.no_new_causes or ("warn" if self.warn_new_causes else None)}


UpdateBaselineOption = Annotated[
    bool, baseline_option("--update-baseline", help="Write this result as the baseline, if the gate passes.")
]

AcceptOption = Annotated[
    bool, baseline_option("--accept", help="Let --update-baseline write although the gate did not pass.")
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


JunitOption = Annotated[str | None, file_option("--junit", help="JUnit XML, one test case per check."), Writes()]
SarifOption = Annotated[str | None, file_option("--sarif", help="SARIF 2.1.0, for code scanning."), Writes()]
MarkdownOption = Annotated[
    str | None,
    file_option("--markdown", help="A comment for a pull request; - prints it instead of the table."),
    Writes(),
]
