"""`qdiag check`: what does qdiag make of a model, before there is any data?"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, check_no_scheme, open_subject
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import JsonOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.parse import check_single_stdout, parse_shape
from qdiag.cli.options.scheme import PARTS, SchemeOptions
from qdiag.cli.options.words import option_words
from qdiag.cli.run import RunOptions, running
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.core.measures.operations.model_check import TensorForm
from qdiag.reading.words.commands.shell import as_argument, command_line

CHECK_EPILOG = """
[bold]Examples[/]

[cyan]qdiag check net.pt2[/]

A state dict:  [cyan]qdiag check net.pth --arch zoo:mobilenet_v1 --input-shape 1,3,224,224[/]

Under another scheme:  [cyan]qdiag check net.onnx --scheme tf-uint8[/]

[bold]Exit codes[/]

0 qdiag can run the network;  2 It cannot, and says why, or the usage is wrong;  130 The command was
interrupted.
"""


@partial(expand, without=(*PARTS, "no_cache"))
def check(model: ModelOptions, scheme: SchemeOptions, json: JsonOption = None, *, run: RunOptions) -> None:
    """Show what qdiag makes of a model, without data.

    It tells whether qdiag can run the network, which operations a scheme would quantize, what stays in
    float and why, and which task the network is taken for.

    The network is captured and run on one batch whose values mean nothing, so that this takes seconds.
    Nothing that is printed here depends on those values.
    """
    stdout_is_taken = check_single_stdout(json, None)
    resolved = scheme.resolved
    with running(replace(run, no_cache=True)) as session:
        from qdiag.pipeline.deployed.plan import is_integer_file
        from qdiag.pipeline.operations.check import check_subject

        subject = open_subject(model)
        is_quantized = is_integer_file(subject)
        if is_quantized:
            check_no_scheme(resolved, scheme.settings)
        result = check_subject(session, subject, resolved, parse_shape(model.input_shape))
    write_result(json, result)
    if not stdout_is_taken:
        from qdiag.cli.tables.operations.check import print_check

        about = replace(model, input_shape=None), DataOptions(data=_data_name(result.inputs)), scheme, None
        own = [as_argument(model.model), *option_words(*about, is_quantized=is_quantized)]
        beside = [f"FLOAT{Path(model.model).suffix}", *option_words(*about, model.model)]
        starts = [beside, own] if is_quantized else [own]
        lines = [command_line(["diagnose", *words, "-o", "reports/run1"]) for words in starts]
        print_check(stdout_console(), result, lines)
    tell_times(session.progress, quiet=run.quiet)


def _data_name(inputs: Sequence[TensorForm]) -> str:
    """What stands for the user's data in a command: a folder, where the network reads images."""
    reads_images = len(inputs) == 1 and len(inputs[0].shape) == 3 and inputs[0].shape[0] in (1, 3)
    return "photos/" if reads_images else "samples.npz"
