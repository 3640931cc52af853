"""The panels of `--help` that several commands have, and what makes an option of each."""

from functools import partial

import typer

from qdiag.cli.options.parse import check_output

MODEL, DATA, TASK, SCHEME, RUN, OUTPUT = "Model", "Data", "Task", "Scheme", "Run", "Output"

model_option = partial(typer.Option, rich_help_panel=MODEL)
data_option = partial(typer.Option, rich_help_panel=DATA)
task_option = partial(typer.Option, rich_help_panel=TASK)
scheme_option = partial(typer.Option, rich_help_panel=SCHEME)
run_option = partial(typer.Option, rich_help_panel=RUN)
output_option = partial(typer.Option, rich_help_panel=OUTPUT)
repair_option = partial(typer.Option, rich_help_panel="Repair")

file_option = partial(output_option, metavar="FILE", callback=check_output)
