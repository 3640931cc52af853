"""`qdiag zoo`: which networks does `--arch zoo:NAME` build?"""

from rich.table import Table
from rich.text import Text

from qdiag.cli.console import stdout_console
from qdiag.cli.options.common import DebugOption

ZOO_EPILOG = """
[bold]Examples[/]

All networks and their arguments:  [cyan]qdiag zoo[/]

The weights of one, measured:  [cyan]qdiag sqnr net.pth --arch 'zoo:mobilenet_v1?width=0.75' --data photos/[/]
"""


def zoo(debug: DebugOption = False) -> None:
    """List the network architectures that --arch zoo:NAME builds.

    A state dict holds weights and no network. The zoo has the code of well-known networks, without
    weights; arguments follow the name, as in zoo:mobilenet_v1?width=0.75&classes=10.
    """
    del debug  # read by main()
    from qdiag.zoo.describe import describe_zoo

    console = stdout_console()
    for network in describe_zoo():
        count = f"{network.parameter_count / 1e6:.2f} million parameters"
        console.print(Text.assemble((network.name, "bold"), f"  {network.title} ({count})"))
        grid = Table.grid(padding=(0, 2))
        for argument in network.arguments:
            grid.add_row(Text(f"  {argument.name}={argument.default}", style="cyan"), Text(argument.values))
        console.print(grid)
        console.print()
    console.print(
        Text("Parameters are counted with the arguments that are shown, which are the defaults.", style="dim")
    )
