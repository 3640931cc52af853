"""The stored diagnosis that a command reads."""

from pathlib import Path
from typing import Annotated

import typer

from qdiag.cli.options.roles import Reads, result_files

DiagnosisArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DIAGNOSIS",
        show_default=False,
        help="A stored diagnosis.json, or the folder that `qdiag diagnose -o` wrote.",
    ),
    Reads(result_files),
]
