"""The program `qdiag`: its commands, its errors and its exit codes."""

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from qdiag.cli.help.command import PlainCommand, PlainGroup
from qdiag.cli.help.docstring import docstring_of
from qdiag.cli.help.paragraphs import flowing
from qdiag.cli.options.roles import guarded
from qdiag.cli.parameters import one_command
from qdiag.cli.process import launched_count, let_the_other_speak
from qdiag.cli.streams import close_quietly, guarded_streams, open_descriptors
from qdiag.cli.waiting.clock import start_clock
from qdiag.errors import ConfigError, Left, QdiagError, WriteError, first_line, is_out_of_memory
from qdiag.files.refusal import refusal

EXIT_CANNOT_JUDGE = 2
EXIT_INTERRUPTED = 130
_PATH_SHOWN = 200
_LESS_MEMORY = "use smaller inputs; `batch_size=1` takes one sample at a time"

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("check", "qdiag.cli.commands.check", "CHECK_EPILOG"),
    ("diagnose", "qdiag.cli.commands.diagnose", "DIAGNOSE_EPILOG"),
    ("sqnr", "qdiag.cli.commands.sqnr", "SQNR_EPILOG"),
    ("ranges", "qdiag.cli.commands.ranges", "RANGES_EPILOG"),
    ("bn", "qdiag.cli.commands.batchnorms.bn", "BN_EPILOG"),
    ("branches", "qdiag.cli.commands.branches", "BRANCHES_EPILOG"),
    ("fold", "qdiag.cli.commands.batchnorms.fold", "FOLD_EPILOG"),
    ("fix-bn", "qdiag.cli.commands.batchnorms.fix_bn", "FIX_BN_EPILOG"),
    ("repair", "qdiag.cli.commands.repair", "REPAIR_EPILOG"),
    ("export", "qdiag.cli.commands.deployment.export", "EXPORT_EPILOG"),
    ("verify", "qdiag.cli.commands.deployment.verify", "VERIFY_EPILOG"),
    ("qat", "qdiag.cli.commands.training.qat", "QAT_EPILOG"),
    ("reproduce", "qdiag.cli.commands.training.reproduce", "REPRODUCE_EPILOG"),
    ("rank", "qdiag.cli.commands.rank", "RANK_EPILOG"),
    ("sensitivity", "qdiag.cli.commands.sensitivity", "SENSITIVITY_EPILOG"),
    ("report", "qdiag.cli.commands.reports.report", "REPORT_EPILOG"),
    ("overlay", "qdiag.cli.commands.reports.overlay", "OVERLAY_EPILOG"),
    ("view", "qdiag.cli.commands.reports.view", "VIEW_EPILOG"),
    ("compare", "qdiag.cli.commands.compare", "COMPARE_EPILOG"),
    ("gate", "qdiag.cli.commands.gate", "GATE_EPILOG"),
    ("explain", "qdiag.cli.commands.explain", "EXPLAIN_EPILOG"),
    ("schemes", "qdiag.cli.commands.lists.schemes", "SCHEMES_EPILOG"),
    ("zoo", "qdiag.cli.commands.lists.zoo", "ZOO_EPILOG"),
    ("cache", "qdiag.cli.commands.cache", "CACHE_EPILOG"),
    ("mcp", "qdiag.cli.commands.mcp", "MCP_EPILOG"),
    ("demo", "qdiag.cli.commands.demo", "DEMO_EPILOG"),
)
"""Name, module and epilog of every command, in the order of `--help`; the function has the command's name."""
DIVIDED = {"diagnose", "sqnr", "ranges", "rank", "sensitivity", "qat"}
"""Commands that divide their samples among processes that `torchrun` started."""


def make_app(names: Sequence[str] | None = None, *, lists_others: bool = False) -> typer.Typer:
    """The program with all commands, or with some: only the modules of those are imported.

    Args:
        lists_others: the others can be listed too, with what `--help` says of them, but not run.
    """
    made = typer.Typer(
        name="qdiag",
        cls=PlainGroup,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(_callback)
    for name, module, epilog in COMMANDS:
        function_name = name.replace("-", "_")
        if names is None or name in names:
            home = import_module(module)
            function = getattr(home, function_name)
            made.command(name, cls=PlainCommand, help=flowing(function.__doc__), epilog=getattr(home, epilog))(
                guarded(function)
            )
        elif lists_others:
            made.command(name, help=flowing(docstring_of(module, function_name)))(_not_imported)
    return made


def _not_imported() -> None:
    """In place of a command that is only listed."""


def __getattr__(name: str) -> Any:
    """`app`, the program with all commands, made when somebody asks for it (PEP 562)."""
    if name != "app":
        raise AttributeError(f"module 'qdiag.cli.app' has no attribute {name!r}")
    return make_app()


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"qdiag {version('qdiag')}")
        except PackageNotFoundError:  # run from a checkout that is not installed
            typer.echo("qdiag (not installed)")
        raise typer.Exit


def _callback(
    version_: Annotated[
        bool, typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find out why a neural network loses accuracy when it is quantized.

    Start with [bold]qdiag demo[/], or with [bold]qdiag diagnose MODEL --data IMAGES[/] on a model of your own.
    """
    del version_


def run(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code: 0 done, 2 wrong usage or an input that cannot be judged.

    What was done, but could not be printed, is not done: 2.
    """
    start_clock(with_process=argv is None)
    with guarded_streams() as (out, _), one_command():
        code = _run(list(sys.argv[1:] if argv is None else argv))
        out.flush()
        if out.failure is not None and not out.is_unread:
            _print_error(
                WriteError(
                    f"not everything could be printed: {out.failure}",
                    at="standard output",
                    hint="the files that were asked for are written",
                )
            )
            return code or EXIT_CANNOT_JUDGE
    return code


def _run(arguments: list[str]) -> int:
    is_debug = "--debug" in arguments
    words = _words_to_complete() or arguments
    try:
        _check_launched(words)
        with warnings.catch_warnings():
            if not is_debug:
                warnings.simplefilter("ignore")  # torch's advice to developers is no news for a user of qdiag
            _app_for(words)(arguments, prog_name="qdiag")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else EXIT_CANNOT_JUDGE
        if code == EXIT_INTERRUPTED:
            _say_interrupted()
        return code
    except KeyboardInterrupt:
        _say_interrupted()
        return EXIT_INTERRUPTED
    except Left:
        return 0
    except QdiagError as error:
        if is_debug:
            traceback.print_exc()
        _print_error(error)
        return EXIT_CANNOT_JUDGE
    except Exception as error:
        if is_debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.filename is not None and error.strerror:
            fact = f"this path cannot be used: {refusal(error)}"
            _print_error(QdiagError(fact, at=_shown(str(error.filename)), hint="give another path"))
            return EXIT_CANNOT_JUDGE
        if is_out_of_memory(error):
            _print_error(QdiagError("the memory is too small for this", hint=_LESS_MEMORY))
            return EXIT_CANNOT_JUDGE
        hint = "run it again with --debug and report what it says"
        told = QdiagError(f"qdiag itself failed: {first_line(error)}", hint=hint)
        told.process = getattr(error, "process", None)
        _print_error(told)
        return EXIT_CANNOT_JUDGE
    return 0


def _app_for(words: Sequence[str]) -> typer.Typer:
    """The program, with no more of it imported than a command line needs."""
    names = [name for name, _, _ in COMMANDS]
    if words and words[0] in (*names, "--version", "-V"):
        return make_app(words[:1])
    return make_app([name for name in names if name in words], lists_others=True)


def _check_launched(words: list[str]) -> None:
    """Whether several processes can run the command.

    Raises:
        ConfigError: each of them would do the same, and write the same files.
    """
    name = words[0] if words else ""
    if launched_count() > 1 and name in {command for command, _, _ in COMMANDS} - DIVIDED:
        hint = f"start it without torchrun, which is for {', '.join(sorted(DIVIDED))}"
        raise ConfigError(f"qdiag {name} runs in one process", hint=hint)


def _shown(path: str) -> str:
    return path if len(path) <= _PATH_SHOWN else f"{path[:_PATH_SHOWN]}..., {len(path)} characters"


def _words_to_complete() -> list[str]:
    """When a shell asks what may follow: the words that stand there already, without the one that is being typed."""
    if "_QDIAG_COMPLETE" not in os.environ:
        return []
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    words = line.split()[1:]
    return words if line.endswith((" ", "\n")) else words[:-1]


def main() -> None:
    """The console script."""
    open_descriptors()
    code = run()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):  # said already
        close_quietly()
    sys.exit(code)


def _print_error(error: QdiagError) -> None:
    from qdiag.cli.console import print_error

    print_error(error)
    let_the_other_speak(error.process)


def _say_interrupted() -> None:
    from qdiag.cli.console import stderr_console

    stderr_console().print("interrupted", soft_wrap=True)
