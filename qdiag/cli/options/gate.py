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
        help="A stored diagnosis.json or its folder, the JSON of `qdiag sqnr --json`, or a model as for "
        "`qdiag sqnr`. A model is measured first.",
    ),
    Reads(result_or_model_files),
]


FewSamplesOption = Annotated[
    bool,
    limit_option(
        "--allow-few-samples", help="Do not fail where the samples are too few to exclude even twice the limit."
    ),
]


@dataclass(frozen=True)
class LimitOptions:
    """What a result is held against. Fields, and options by them, go by the keys of a gate file; None: not given."""

    max_drop: Annotated[
        str | None,
        limit_option(
            metavar="PP",
            help="Fail above this loss of accuracy, in percentage points. Accuracy is top-1, mIoU and such.",
        ),
    ] = None
    max_relative_drop: Annotated[
        str | None,
        limit_option(metavar="PERCENT", help="Fail above this loss of accuracy, in percent of the float network's."),
    ] = None
    min_accuracy: Annotated[
        str | None,
        limit_option(metavar="PERCENT", help="Fail below this accuracy of the quantized network, in percent."),
    ] = None
    max_flips: Annotated[
        str | None,
        limit_option(metavar="PERCENT", help="Fail if more answers than this change, in percent. It needs no labels."),
    ] = None
    max_metric_drop: Annotated[
        str | None,
        limit_option(
            metavar="X",
            help="Fail above this loss of the metric that judges the network, in its unit. A positive loss is "
            "worse, whatever the direction of the metric.",
        ),
    ] = None
    min_metric: Annotated[
        str | None,
        limit_option(
            metavar="X",
            help="Fail below this value of the metric, where higher is better. For a metric in percent, 40 is 40 %.",
        ),
    ] = None
    max_metric: Annotated[
        str | None,
        limit_option(metavar="X", help="Fail above this value of the metric, where lower is better."),
    ] = None
    min_sqnr: Annotated[
        float | None,
        limit_option(metavar="DB", help="Fail below this SQNR of the weakest output, at its weakest part."),
    ] = None
    min_layer_sqnr: Annotated[
        float | None, limit_option(metavar="DB", help="Fail below this local SQNR of any quantized layer.")
    ] = None
    allow: Annotated[
        list[str] | None,
        limit_option(
            metavar="LAYER=DB",
            help="Set another --min-layer-sqnr for the layers that a glob pattern names. -inf exempts them. The "
            "option can be repeated.",
        ),
    ] = None
    forbid: Annotated[
        list[str] | None,
        limit_option(
            metavar="CODE",
            help="Fail on findings of this code that were not measured as harmless. The option can be repeated.",
        ),
    ] = None
    strict: Annotated[bool, limit_option("--strict", help="Fail where the samples are too few to tell.")] = False
    allow_few_samples: FewSamplesOption = False
    warn_drop: Annotated[str | None, warning_option(metavar="PP", help="Warn by the rule of --max-drop.")] = None
    warn_relative_drop: Annotated[
        str | None, warning_option(metavar="PERCENT", help="Warn by the rule of --max-relative-drop.")
    ] = None
    warn_accuracy: Annotated[
        str | None, warning_option(metavar="PERCENT", help="Warn by the rule of --min-accuracy.")
    ] = None
    warn_flips: Annotated[str | None, warning_option(metavar="PERCENT", help="Warn by the rule of --max-flips.")] = None
    warn_metric_drop: Annotated[
        str | None, warning_option(metavar="X", help="Warn by the rule of --max-metric-drop.")
    ] = None
    warn_min_metric: Annotated[str | None, warning_option(metavar="X", help="Warn by the rule of --min-metric.")] = None
    warn_max_metric: Annotated[str | None, warning_option(metavar="X", help="Warn by the rule of --max-metric.")] = None
    warn_sqnr: Annotated[float | None, warning_option(metavar="DB", help="Warn by the rule of --min-sqnr.")] = None
    warn_layer_sqnr: Annotated[
        float | None, warning_option(metavar="DB", help="Warn by the rule of --min-layer-sqnr.")
    ] = None
    warn_tolerance: Annotated[str | None, warning_option(metavar="PP", help="Warn by the rule of --tolerance.")] = None
    warn_tolerance_db: Annotated[
        float | None, warning_option(metavar="DB", help="Warn by the rule of --tolerance-db.")
    ] = None
    warn_tolerance_metric: Annotated[
        str | None, warning_option(metavar="X", help="Warn by the rule of --tolerance-metric.")
    ] = None
    warn_code: Annotated[list[str] | None, warning_option(metavar="CODE", help="Warn by the rule of --forbid.")] = None
    warn_new_causes: Annotated[
        bool, warning_option("--warn-new-causes", help="Warn by the rule of --no-new-causes.")
    ] = False
    baseline: Annotated[
        str | None,
        baseline_option(metavar="FILE", help="Compare with the figures in this file, which --update-baseline writes."),
        ReadsOrWrites(),
    ] = None
    tolerance: Annotated[
        str | None,
        baseline_option(
            metavar="PP",
            help="Fail if the drop has grown by more since the baseline, in percentage points. Without labels, it"
            " is the share of changed answers that may have grown.",
        ),
    ] = None
    tolerance_db: Annotated[
        float | None,
        baseline_option(metavar="DB", help="Fail if the weakest output SQNR has lost more since the baseline."),
    ] = None
    tolerance_metric: Annotated[
        str | None,
        baseline_option(metavar="X", help="Fail if the loss of the metric has grown by more since the baseline."),
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
        help="Read the limits from this file, instead of qdiag.toml and pyproject.toml in this folder.",
    ),
    Reads(),
]


JunitOption = Annotated[
    str | None, file_option("--junit", help="Write JUnit XML with one test case per check."), Writes()
]
SarifOption = Annotated[str | None, file_option("--sarif", help="Write SARIF 2.1.0 for code scanning."), Writes()]
MarkdownOption = Annotated[
    str | None,
    file_option("--markdown", help="Write a comment for a pull request; - prints it instead of the table."),
    Writes(),
]
