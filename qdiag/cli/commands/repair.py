"""`qdiag repair`: write a checkpoint with repaired weights, and show what that did."""

from dataclasses import replace
from functools import partial

import typer

from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_data, open_subject
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import JsonOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.fix_bn import ForceOption, InPlaceOption, OutputOption
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.repair import RepairBoundOption, RepairLayersOption, WithOption, repair_names
from qdiag.cli.options.scheme import PARTS, PerTensorSchemeOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.repaired_file import check_float, save_repaired, target_of
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.repair import print_repair
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.core.causes.repair import changes_graph, check_written
from qdiag.errors import ConfigError

REPAIR_EPILOG = """
[bold]Examples[/]

Equalize, and prove it:  [cyan]qdiag repair net.pt2 --with equalize -o fixed.pt2 --data photos/ --preset imagenet[/]

Two in a row:  [cyan]qdiag repair net.pt2 --with reset_variance_mean,equalize -o fixed.pt2 --data images.npz[/]

[bold]Exit codes[/]

0 The repaired model was written;  1 Every repair was refused, so that nothing was written;  2 The usage is
wrong, no checkpoint can hold the repair, the model or the data cannot be judged, or no file could be
written;  130 The command was interrupted.
"""


@partial(expand, without=(*PARTS, "no_fold"))
def repair(
    model: ModelOptions,
    with_: WithOption,
    data: DataOptions,
    scheme: PerTensorSchemeOptions,
    task: TaskOptions,
    output: OutputOption = None,
    in_place: InPlaceOption = False,
    force: ForceOption = False,
    layers: RepairLayersOption = None,
    float_bound: RepairBoundOption = 1e-3,
    json: JsonOption = None,
    *,
    run: RunOptions,
) -> None:
    """Write a checkpoint whose weights quantize better.

    The repairs are made in the order given, and the float and the quantized network are measured before
    and after. A repair that moves the float output by more than --float-bound is refused.

    Each repair is made on top of those before it; where one is refused, the others go on without it.

    equalize makes the ranges of neighbouring layers alike, channel by channel, and leaves the network's
    function as it is. reset_variance_mean and reset_variance_constant are those of qdiag fix-bn.
    fuse_branches makes one convolution of every block of parallel linear branches, as in RepVGG or
    MobileOne: with -o FILE.pt2 it writes a program, otherwise a state dict for the deployed form of the
    architecture, where there is one. Repairs that change the scheme or the code rather than the weights
    are not written here.

    The networks are measured on --data or on inputs drawn for --input-shape; unless --scheme says
    otherwise, with one scale per weight tensor. MODEL is read, never changed, unless --in-place is given.
    """
    names = repair_names(with_)
    check_written(names)
    if in_place and changes_graph(names):
        raise ConfigError(
            f"{names[0]} gives a network of other layers", at="--in-place", hint="name a new file with -o"
        )
    stdout_is_taken = check_single_stdout(json, None)
    target = target_of(model.model, output, in_place=in_place)
    check_float(model.model)
    check_drawn(data, model)
    resolved = scheme.resolved
    from qdiag.pipeline.fusion.repair import fuse_and_repair
    from qdiag.pipeline.repair import RepairOptions, repair_model
    from qdiag.savers.save import check_files

    check_files(model.model, target, force=force, in_place=in_place)
    options = RepairOptions(names, tuple(layers or ()), float_bound=float_bound)
    with running(run, seed=data.seed) as session:
        subject = open_subject(model)
        datasets = open_data(data, model, subject, session)
        is_new = False
        if changes_graph(names):
            as_program = target.suffix == ".pt2"
            fused = fuse_and_repair(session, subject, datasets, resolved, options, task.request, as_program=as_program)
            result, changes, is_new = fused.result, fused.changes, fused.subject is not None
            subject = fused.subject or subject
        else:
            result, changes = repair_model(session, subject, datasets, resolved, options, task.request)
        if changes or is_new:
            save_repaired(subject, changes, target, model.submodule, trust=model.trust, force=force, in_place=in_place)
            result = replace(result, written_to=str(target))
    write_result(json, result)
    if not stdout_is_taken:
        print_repair(stdout_console(), result)
    tell_times(session.progress, quiet=run.quiet)
    raise typer.Exit(result.exit_code)
