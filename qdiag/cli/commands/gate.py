"""`qdiag gate`: is it good enough, and is it still as good as last time?"""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qdiag.cli.console import remark, stdout_console
from qdiag.cli.gate_evidence import is_model, is_stored, measure_evidence, read_evidence
from qdiag.cli.gate_outputs import GateFiles, write_gate
from qdiag.cli.inputs import ModelOptions, check_drawn
from qdiag.cli.options import common
from qdiag.cli.options import gate as options
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.parse import ONE_STDOUT
from qdiag.cli.options.scheme import PARTS, SchemeOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.options.words import option_words
from qdiag.cli.parameters import gate_with_options
from qdiag.cli.run import RunOptions
from qdiag.cli.tables.gate import print_gate
from qdiag.config.gate_file import GateSettings, gate_settings
from qdiag.core.contradictions import contradictions
from qdiag.core.gate import EXIT_PASSED, GateResult
from qdiag.errors import ConfigError, QdiagError
from qdiag.files.atomic import STDOUT, check_writable, write_file
from qdiag.files.register import declare_outputs
from qdiag.gate.baseline import make_baseline
from qdiag.gate.evidence import GateEvidence, why_unusable
from qdiag.gate.judge import check_thresholds, judge, unreadable

if TYPE_CHECKING:
    from qdiag.core.baseline import Baseline

DEFAULT_BASELINE = "qdiag-baseline.json"

GATE_EPILOG = f"""
[bold]Examples[/]

At most one point of accuracy:  [cyan]qdiag gate reports/run1 --max-drop 1[/]

Every layer, with one exception:  [cyan]qdiag gate reports/run1 --min-layer-sqnr 15 --allow 'head.*=8'[/]

Your own figure, or that of any task:  [cyan]qdiag gate reports/run1 --max-metric-drop 0.02[/]

No worse than last time:  [cyan]qdiag gate reports/run1 --baseline {DEFAULT_BASELINE} --tolerance 0.5[/]

Files for CI:  [cyan]qdiag gate reports/run1 --max-drop 1 --junit gate.xml --markdown comment.md[/]

A file that was quantized elsewhere:  [cyan]qdiag gate net.onnx --quantized int8.onnx --data photos/ --max-drop 1[/]

A model, measured first:  [cyan]qdiag gate net.pt2 --data photos/ --preset imagenet --max-flips 5[/]

[bold]Limits in a file[/]

qdiag.toml with a table \\[gate], or pyproject.toml with \\[tool.qdiag.gate]; keys are the options with underscores: \
max_drop = 1.0, or max_drop = {{ fail = 1.0, warn = 0.5 }}. QDIAG_MAX_DROP in the environment comes before the files, \
options come before both.

[bold]Exit codes[/]

0 All limits hold, or the samples are too few to tell (1 with --strict);  1 A limit is broken, or the samples
are too few to exclude even twice the limit;  2 Nothing could be judged: there is no evidence, a figure is not a
number, nothing is quantized, or the usage is wrong;  130 The command was interrupted.
"""


@dataclass(frozen=True)
class _Target:
    """What is judged, before it is read."""

    model: ModelOptions
    data: DataOptions
    scheme: SchemeOptions
    task: TaskOptions
    run: RunOptions
    quantized: str | None


@dataclass(frozen=True)
class _Update:
    """Whether the baseline is to be written, and whatever the gate says."""

    is_asked: bool
    is_accepted: bool


@partial(expand, without=(*PARTS, "no_fold"))
def gate(
    result: options.ResultArgument,
    data: DataOptions,
    scheme: SchemeOptions,
    task: TaskOptions,
    limits: options.LimitOptions,
    update_baseline: options.UpdateBaselineOption = False,
    accept: options.AcceptOption = False,
    config: options.ConfigOption = None,
    json: common.JsonOption = None,
    junit: options.JunitOption = None,
    sarif: options.SarifOption = None,
    markdown: options.MarkdownOption = None,
    arch: common.ArchOption = None,
    trust: common.TrustOption = False,
    submodule: common.SubmoduleOption = None,
    input_shape: common.InputShapeOption = None,
    key: common.KeyOption = None,
    quantized: common.QuantizedOption = None,
    *,
    run: RunOptions,
) -> None:
    """Check a result against limits, to fail a build in CI.

    A stored result is read in less than half a second, without torch; a model is measured first. The exit
    code is 1 when a limit is broken, and 2 when nothing could be judged.

    A limit on a figure is broken when the loss exceeds it and the paired 95 % interval excludes it; where
    the interval includes it, the samples are too few to tell: the gate says how many more would do, and
    fails only with --strict. Accuracy is the share of right answers of any task: top-1, mIoU, mAP and
    such. In GitHub Actions it also writes the summary of the step, and annotations.
    """
    settings = gate_settings(limits.given, environment=os.environ, folder=Path(), config=config)
    files = GateFiles(json, junit, sarif, markdown)
    if [*files.all].count(STDOUT) > 1:
        raise ConfigError(
            "only one of --json, --junit, --sarif and --markdown can go to standard output", hint=ONE_STDOUT
        )
    target = _Target(
        ModelOptions(result, arch, trust, submodule, input_shape, key),
        data,
        scheme,
        task,
        run,
        quantized,
    )
    if accept and not update_baseline:
        raise ConfigError("--accept needs --update-baseline", hint="there is nothing to accept")
    judged = _run(target, settings, files, _Update(update_baseline, accept))
    raise typer.Exit(judged.exit_code if judged is not None else 0)


def _run(target: _Target, settings: GateSettings, files: GateFiles, update: _Update) -> GateResult | None:
    """The gate; None when a baseline was written and no limit was set."""
    thresholds, path = settings.thresholds, settings.baseline or DEFAULT_BASELINE
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        check_writable(os.environ["GITHUB_STEP_SUMMARY"])
    if update.is_asked:
        declare_outputs((path,))
        check_writable(path)
    try:
        baseline = _old_baseline(path, settings, update)
        if update.is_asked and baseline is None:  # the new one would be compared with itself
            thresholds = thresholds.without_baseline
        if update.is_asked and baseline is not None and thresholds.is_empty:
            raise ConfigError(
                "there is a baseline, and no limit that says whether this result may take its place",
                at=path,
                hint="give limits, or --accept",
            )
        if not update.is_asked and not is_stored(target.model.model) and is_model(target.model.model):
            check_thresholds(thresholds)  # before the model is measured for nothing
        evidence = _evidence(target, settings)
        judged = (
            None
            if update.is_asked and thresholds.is_empty
            else gate_with_options(judge(evidence, thresholds, baseline))
        )
    except QdiagError as error:
        if not thresholds.is_empty:
            write_gate(gate_with_options(unreadable(target.model.model, error, thresholds)), files)
        raise
    if update.is_asked and (update.is_accepted or judged is None or judged.exit_code == EXIT_PASSED):
        _write_baseline(evidence, path)
        remark(f"The baseline is written to {path}.", quiet=target.run.quiet)
    elif update.is_asked:
        remark(
            f"The gate did not pass, so {path} is not written as a baseline; --accept writes it.",
            quiet=target.run.quiet,
        )
    if judged is None:
        return None
    write_gate(judged, files)
    if not files.takes_stdout:
        print_gate(stdout_console(), judged)
    return judged


def _old_baseline(path: str, settings: GateSettings, update: _Update) -> "Baseline | None":
    """What to compare with; None where nobody asks, or where it is to be replaced whatever it says."""
    thresholds, is_there = settings.thresholds, Path(path).is_file()
    if update.is_asked and (update.is_accepted or not is_there):
        return None
    if not (settings.baseline is not None or update.is_asked or (thresholds.needs_baseline and is_there)):
        return None
    from qdiag.writers.json.baseline import read_baseline

    return read_baseline(path)


def _evidence(target: _Target, settings: GateSettings) -> GateEvidence:
    thresholds = settings.thresholds
    if is_stored(target.model.model):
        measured_with = (target.data, target.model, target.scheme, target.task)
        nothing = (DataOptions(), ModelOptions(target.model.model), SchemeOptions(), TaskOptions())
        if measured_with != nothing or target.quantized is not None:
            raise ConfigError(
                "options of the model, the data, the task or the scheme, and a stored result",
                at=target.model.model,
                hint="the result was measured already: leave them away, or give the model instead",
            )
        return read_evidence(target.model.model)
    check_drawn(target.data, target.model)
    needs_causes = bool(thresholds.forbid or thresholds.warn_codes) or thresholds.no_new_causes != "off"
    about = target.model, target.data, target.scheme, target.task, target.quantized
    words = option_words(*about) if needs_causes else None
    changes = target.scheme.set_ or ()
    measured = target.model, target.data, target.scheme.resolved, target.task, target.quantized, changes
    return measure_evidence(target.run, *measured, causes_for=words)


def _write_baseline(evidence: GateEvidence, path: str) -> None:
    baseline = make_baseline(evidence)
    doubts = (what for _, what in contradictions(baseline))
    reason = why_unusable(evidence.measurement) or next(doubts, None)
    if reason is not None:
        raise ConfigError(f"no baseline can be made of this: {reason}", at=evidence.source)
    from qdiag.writers.json.baseline import baseline_to_json

    write_file(path, baseline_to_json(baseline), over_input=True)
