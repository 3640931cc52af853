"""`qdiag schemes`: what `--scheme` accepts."""

from rich.table import Table
from rich.text import Text

from qdiag.cli.console import stdout_console
from qdiag.config import DEFAULT_PRESET, load_preset, preset_names, presets_folder
from qdiag.reading.words.layers import arithmetic_words, override_lines, tensor_scheme_words

SCHEMES_EPILOG = """
[bold]Examples[/]

[cyan]qdiag schemes[/]

One of them, with another width:  [cyan]qdiag sqnr net.pt2 --data photos/ --scheme int8 --set weights.bits=4[/]
"""


def schemes() -> None:
    """List the preset schemes with all their fields.

    Any field can be replaced with --set, such as --set weights.bits=4, or in a TOML file of your own that
    starts from a preset with base = "int8".
    """
    console = stdout_console()
    for name in preset_names():
        scheme = load_preset(name)
        mark = " (default)" if name == DEFAULT_PRESET else ""
        console.print(Text.assemble((name, "bold"), mark, f"  {scheme.description}"))
        grid = Table.grid(padding=(0, 2))
        grid.add_row("  weights", tensor_scheme_words(scheme.weights))
        grid.add_row("  activations", tensor_scheme_words(scheme.activations))
        grid.add_row("  arithmetic", arithmetic_words(scheme))
        for line in override_lines(scheme):
            grid.add_row("  layers", line)
        console.print(grid)
        console.print()
    console.print(Text(f"Files to start from: {presets_folder()}", style="dim"), soft_wrap=True)
