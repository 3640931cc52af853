"""`qdiag overlay`: the figures of a diagnosis in other viewers of networks."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from qdiag.cli.console import print_flowing, remark, stdout_console
from qdiag.cli.options.common import DebugOption, QuietOption
from qdiag.cli.options.diagnosis import DiagnosisArgument
from qdiag.cli.options.panels import output_option
from qdiag.cli.options.roles import Reads, Writes, itself
from qdiag.core.listed import count_noun, listed
from qdiag.errors import ConfigError

OVERLAY_EPILOG = """
[bold]Examples[/]

Colours for Model Explorer:  [cyan]qdiag overlay reports/run1 -o layers.json[/]

Figures at the nodes of an ONNX file, for Netron:  [cyan]qdiag overlay reports/run1 --model net.onnx -o net.seen.onnx[/]

[bold]Exit codes[/]

0 The file was written;  2 The usage is wrong, there is no diagnosis, or it is of another network.
"""


def overlay(
    diagnosis: DiagnosisArgument,
    target: Annotated[
        Path,
        output_option(
            "--out",
            "-o",
            metavar="FILE",
            show_default=False,
            help="Write FILE.json for Model Explorer, or FILE.onnx for Netron.",
        ),
        Writes(itself),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="FILE",
            help="Take the nodes from the ONNX file that was diagnosed. It is needed for FILE.onnx.",
        ),
        Reads(itself),
    ] = None,
    shown: Annotated[
        Literal["local", "propagated", "repaired", "sensitivity", "cause"],
        typer.Option("--show", help="Colour the layers in Model Explorer by this figure. Netron lists all of them."),
    ] = "local",
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Show a diagnosis in Model Explorer or in Netron.

    Model Explorer loads the JSON file as custom data of nodes, beside the ONNX or LiteRT file that was
    diagnosed. For Netron, a copy of the ONNX file gets the figures of each layer at its node.

    The copy is the same network otherwise.
    """
    del debug  # read by main()
    from qdiag.files.atomic import write_file
    from qdiag.reading.layer_colours import layer_colours
    from qdiag.writers.json.diagnosis import read_diagnosis

    kind = target.suffix.lower()
    if kind not in (".json", ".onnx"):
        raise ConfigError(
            "no viewer for this kind of file",
            at=f"-o {target}",
            hint="name it .json for Model Explorer, .onnx for Netron",
        )
    if kind == ".onnx" and model is None:
        raise ConfigError(
            "which ONNX file to copy is not said", at="--model", hint="give the file that was diagnosed with --model"
        )
    found = read_diagnosis(diagnosis)
    if kind == ".json" or model is None:
        from qdiag.writers.overlays.model_explorer import node_data

        colours = layer_colours(found, shown)
        write_file(target, node_data(colours))
        told = f"Wrote {target} with the colours of {count_noun(len(colours), 'layer')}."
    else:
        from qdiag.onnx.annotate import annotated
        from qdiag.reading.node_words import node_words

        words = node_words(found)
        content, left = annotated(model.read_bytes(), words, str(model))
        write_file(target, content)
        told = f"Wrote {target}, which describes {len(words) - len(left)} of {count_noun(len(words), 'layer')}."
        if left:
            absent = f"No node of the file has the name of {count_noun(len(left), 'layer')}: {listed(left, 5)}."
            remark(absent, quiet=quiet)
    print_flowing(stdout_console(), Text(told))
