"""The screens of `--help` and `--help-all`: usage, what a command does, examples, and its options.

`--help` has the first two paragraphs of the command's docstring, two examples and the options that are asked for most,
each with the first sentence of its help; `--help-all` has everything, by panel.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from qdiag.cli.help.first_options import first_options
from qdiag.cli.help.lines import command_lines, example_lines, help_width, text_lines, wrapped_lines
from qdiag.cli.help.option_rows import OWN_HELP, option_rows, row
from qdiag.cli.help.paragraphs import flowing

_EXAMPLES_AT_MOST = 2


def first_screen(command: Any, ctx: Any) -> Iterator[Text]:
    """Lines of `--help` of a command."""
    width = help_width()
    summary, *paragraphs = flowing(command.help or "").split("\n\n")
    yield from _usage(command, ctx)
    for part in (summary, *paragraphs[:1]):
        yield from wrapped_lines(part, width)
    examples = list(example_lines(command.epilog or ""))[:_EXAMPLES_AT_MOST]
    if examples:
        yield Text()
        yield Text("Examples:", style="bold")
        for _, line in examples:
            yield from command_lines(line, width, 2)
    listed = _listed(command, ctx)
    arguments = [param for param in listed if param.param_type_name == "argument"]
    options = {param.name: param for param in listed if param.param_type_name != "argument"}
    first = [options[name] for name in first_options(command.name or "", list(options)) if name in options]
    first = [param for param in first if param.name not in OWN_HELP]
    if arguments or first:
        yield Text()
        yield Text("Arguments and options:" if arguments else "Options:", style="bold")
        yield from option_rows([*arguments, *first], ctx, width, is_short=True)
    yield Text()
    yield from wrapped_lines(_more(command, options.values(), first, ctx), width)


def full_screen(command: Any, ctx: Any) -> Iterator[Text]:
    """Lines of `--help-all` of a command."""
    width = help_width()
    yield from _usage(command, ctx)
    yield from text_lines(command.help or "", width)
    panels: dict[str, list[Any]] = {}
    for param in _listed(command, ctx):
        is_argument = param.param_type_name == "argument"
        panel = getattr(param, "rich_help_panel", None) or ("Arguments" if is_argument else "Options")
        panels.setdefault(panel, []).append(param)
    for name in sorted(panels, key=lambda name: (name != "Arguments", name == "Options")):
        yield Text()
        yield Text(f"{name}:", style="bold")
        yield from option_rows(panels[name], ctx, width, is_short=False)
    if command.epilog:
        yield Text()
        yield from text_lines(command.epilog, width)


def group_screen(group: Any, ctx: Any, panels: Sequence[tuple[str, Sequence[str]]]) -> Iterator[Text]:
    """Lines of `qdiag --help`.

    Args:
        panels: what one wants to do, and the commands for that.
    """
    width = help_width()
    yield from _usage(group, ctx)
    yield from text_lines(group.help or "", width)
    longest = max(len(name) for _, names in panels for name in names)
    for title, names in panels:
        yield Text()
        yield Text(f"{title}:", style="bold")
        for name in names:
            summary = flowing(group.commands[name].help or "").split("\n\n")[0]
            yield from row(Text(name, style="cyan"), Text.from_markup(summary), longest, width)
    yield Text()
    yield Text("Options:", style="bold")
    yield from option_rows(_listed(group, ctx), ctx, width, is_short=False)
    yield Text()
    yield from wrapped_lines(
        "[cyan]qdiag COMMAND --help[/] tells about one command; [cyan]--help-all[/] lists all of its options.",
        width,
    )


def _usage(command: Any, ctx: Any) -> Iterator[Text]:
    pieces = ["[OPTIONS]"]
    for param in _listed(command, ctx):
        if param.param_type_name == "argument":
            name = param.metavar or param.name.upper()
            pieces.append(name if param.required else f"[{name.strip('[]')}]")
    if hasattr(command, "commands"):
        pieces.append("COMMAND ...")
    yield Text.assemble(("Usage: ", "bold"), f"{ctx.command_path} {' '.join(pieces)}")
    yield Text()


def _listed(command: Any, ctx: Any) -> list[Any]:
    return [param for param in command.get_params(ctx) if not getattr(param, "hidden", False)]


def _more(command: Any, options: Any, first: list[Any], ctx: Any) -> str:
    others = [param for param in options if param not in first and param.name not in OWN_HELP]
    line = f"[cyan]{ctx.command_path} --help-all[/]"
    panels = dict.fromkeys((getattr(param, "rich_help_panel", None) or "other").lower() for param in others)
    if not others:
        return f"{line} has the details."
    count = "1 more option" if len(others) == 1 else f"{len(others)} more options"
    return f"{line} lists {count} ({', '.join(panels)}), and has the details."


def example_of(command: Any) -> str:
    """The first example of a command; empty where it has none."""
    return next((line for _, line in example_lines(command.epilog or "")), "")
