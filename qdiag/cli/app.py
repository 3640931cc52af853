"""The program `qdiag`: its commands, its errors and its exit codes."""

import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from qdiag.cli.bn import BN_EPILOG, bn
from qdiag.cli.console import print_error, stderr_console
from qdiag.cli.demo import demo
from qdiag.cli.fix_bn import FIX_BN_EPILOG, fix_bn
from qdiag.cli.ranges import RANGES_EPILOG, ranges
from qdiag.cli.schemes import schemes
from qdiag.cli.sqnr import SQNR_EPILOG, sqnr
from qdiag.errors import QdiagError

EXIT_CANNOT_JUDGE = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="qdiag",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=SQNR_EPILOG)(sqnr)
app.command(epilog=RANGES_EPILOG)(ranges)
app.command(epilog=BN_EPILOG)(bn)
app.command("fix-bn", epilog=FIX_BN_EPILOG)(fix_bn)
app.command()(schemes)
app.command()(demo)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        try:
            typer.echo(f"qdiag {version('qdiag')}")
        except PackageNotFoundError:  # run from a checkout that is not installed
            typer.echo("qdiag (not installed)")
        raise typer.Exit


@app.callback()
def _callback(
    version_: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find out why a neural network loses accuracy when it is quantized.

    Start with [bold]qdiag demo[/], or with [bold]qdiag sqnr MODEL --data IMAGES[/] on a model of your own.
    """
    del version_


def run(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code: 0 done, 2 wrong usage or an input that cannot be judged."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    is_debug = "--debug" in arguments
    try:
        with warnings.catch_warnings():
            if not is_debug:
                warnings.simplefilter("ignore")  # torch's advice to developers is no news for a user of qdiag
            app(arguments, prog_name="qdiag")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else EXIT_CANNOT_JUDGE
        if code == EXIT_INTERRUPTED:
            _say_interrupted()
        return code
    except KeyboardInterrupt:
        _say_interrupted()
        return EXIT_INTERRUPTED
    except QdiagError as error:
        if is_debug:
            traceback.print_exc()
        print_error(error)
        return EXIT_CANNOT_JUDGE
    except Exception as error:
        if is_debug:
            traceback.print_exc()
        short = f"{type(error).__name__}: {error}".splitlines()[0]
        print_error(
            QdiagError(f"qdiag itself failed: {short}", hint="run it again with --debug and report what it says")
        )
        return EXIT_CANNOT_JUDGE
    return 0


def main() -> None:
    """The console script."""
    sys.exit(run())


def _say_interrupted() -> None:
    stderr_console().print("interrupted", soft_wrap=True)
