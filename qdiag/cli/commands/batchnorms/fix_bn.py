"""`qdiag fix-bn`: repair the dead BatchNorm channels, and show what that did."""

from dataclasses import replace
from functools import partial

import typer

from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_data, open_subject_or_tensors
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import JsonOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.fix_bn import (
    DryRunOption,
    EpsOption,
    FloatBoundOption,
    ForceOption,
    InPlaceOption,
    LayersOption,
    MethodOption,
    NoProofOption,
    OutputOption,
    ThresholdOption,
)
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.scheme import PARTS, PerTensorSchemeOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.repaired_file import check_float, save_repaired, target_of
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.fix_bn import print_fix
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.errors import ConfigError

FIX_BN_EPILOG = """
[bold]Examples[/]

What would change, from the checkpoint alone:  [cyan]qdiag fix-bn net.pt2 --dry-run[/]

Repair, and prove it:  [cyan]qdiag fix-bn net.pt2 -o fixed.pt2 --data photos/ --preset imagenet[/]

A checkpoint without its network, nothing proved:  [cyan]qdiag fix-bn last.ckpt -o fixed.ckpt --no-proof[/]

Some layers only:  [cyan]qdiag fix-bn net.pt2 -o fixed.pt2 --data photos/ --layers "*.dw_bn"[/]

[bold]Exit codes[/]

0 The model was repaired, or there was nothing to repair;  1 Every channel was refused, so that nothing was
written;  2 The usage is wrong, the model or the data cannot be judged, or no file could be written;  130 The
command was interrupted.
"""


@partial(expand, without=(*PARTS, "no_fold"))
def fix_bn(
    model: ModelOptions,
    data: DataOptions,
    scheme: PerTensorSchemeOptions,
    task: TaskOptions,
    output: OutputOption = None,
    in_place: InPlaceOption = False,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    no_proof: NoProofOption = False,
    method: MethodOption = "mean",
    layers: LayersOption = None,
    threshold: ThresholdOption = None,
    float_bound: FloatBoundOption = 1e-3,
    eps: EpsOption = 1e-5,
    json: JsonOption = None,
    *,
    run: RunOptions,
) -> None:
    """Repair BatchNorm channels without variance, and measure it.

    A dead channel is constant, but its gain gamma / sqrt(variance + eps) can stretch the weight range of
    the whole tensor once it is folded. The repair takes the gain away and leaves the output as it is.

    The float network and the quantized one are measured before and after, on --data or on inputs drawn
    for --input-shape; unless --scheme says otherwise, with one scale per weight tensor, where dead
    channels can cost most. Channels whose repair moves the float output are refused. MODEL is read,
    never changed, unless --in-place is given.

    Whether dead channels cost anything depends on the network: the two measurements tell it.
    """
    stdout_is_taken = check_single_stdout(json, None)
    target = None if dry_run else target_of(model.model, output, in_place=in_place, or_else=", --in-place or --dry-run")
    if target is not None:
        check_float(model.model)
    if not (dry_run or no_proof):
        check_drawn(data, model)
    resolved = scheme.resolved
    from qdiag.loaders.models.tensors import NamedTensors
    from qdiag.pipeline.bn_audit import audit_batchnorms
    from qdiag.pipeline.fix_bn import FixOptions, fix_batchnorms, fix_unproved
    from qdiag.savers.save import check_files

    if target is not None:
        check_files(model.model, target, force=force, in_place=in_place)
    options = FixOptions(method, tuple(layers or ()), threshold, float_bound)
    with running(run, seed=data.seed) as session:
        found = open_subject_or_tensors(model)
        audit = audit_batchnorms(found, assumed_eps=eps)
        if dry_run or no_proof:
            reason = "--dry-run runs nothing" if dry_run else "--no-proof: the network was not run"
            fix, changes = fix_unproved(found, audit, options, reason)
        elif isinstance(found, NamedTensors):
            raise ConfigError(
                "the file holds weights alone, so nothing can be proved",
                at=model.model,
                hint="give the network with --arch, and --data; or --no-proof to repair without",
            )
        else:
            datasets = open_data(data, model, found, session)
            fix, changes = fix_batchnorms(session, found, audit, datasets, resolved, options, task.request)
        if target is not None and changes and not dry_run:
            save_repaired(found, changes, target, model.submodule, trust=model.trust, force=force, in_place=in_place)
            fix = replace(fix, written_to=str(target))
    write_result(json, fix)
    if not stdout_is_taken:
        print_fix(stdout_console(), fix, is_dry_run=dry_run)
    tell_times(session.progress, quiet=run.quiet)
    if not dry_run and fix.dead_count:
        raise typer.Exit(fix.exit_code)
