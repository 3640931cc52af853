"""Option values that are more than a word or a number."""

import re
from pathlib import Path

import typer

from qdiag.errors import ConfigError
from qdiag.files.target import STDOUT, check_writable, output_name

ONE_STDOUT = "give a file name to the others"
_PLOT_SUFFIXES = (".png", ".svg")


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """`1,3,224,224` or `1x3x224x224`, batch axis first."""
    if text is None:
        return None
    parts = re.split(r"[,x]", text.strip())
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{text!r} is not a shape; write for example 1,3,224,224")
    return tuple(int(part) for part in parts)


def parse_numbers(text: str | None) -> tuple[float, ...] | None:
    """`0.5` or `0.485,0.456,0.406`."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number or a list such as 0.485,0.456,0.406") from None


def check_shape(text: str | None) -> str | None:
    """Callback of `--input-shape`."""
    parse_shape(text)
    return text


def check_numbers(text: str | None) -> str | None:
    """Callback of `--mean` and `--std`."""
    parse_numbers(text)
    return text


def check_output(text: str | None) -> str | None:
    """Callback of `--json` and `--csv`: a place that cannot be written is found before the long run, not after."""
    if text is None:
        return None
    name = output_name(text)
    check_writable(name)
    return name


def check_plot(path: Path | None) -> Path | None:
    """Callback of `--plot`."""
    if path is None:
        return None
    if path.suffix.lower() not in _PLOT_SUFFIXES:
        raise typer.BadParameter(f"{path} must end in .png or .svg")
    check_writable(path)
    return path


def check_ranges_file(path: str | None) -> str | None:
    """Callback of `--output` of `qdiag ranges`."""
    if path is None:
        return None
    from qdiag.writers.calibration.caches import writer_of

    try:
        writer_of(path)
    except ConfigError as error:
        raise typer.BadParameter(f"{error.message}: {error.hint}") from error
    check_writable(Path(path))
    return path


def check_single_stdout(json_file: str | None, csv_file: str | None) -> bool:
    """Whether standard output is taken by JSON or CSV; both at once are refused."""
    if json_file == STDOUT and csv_file == STDOUT:
        raise ConfigError("only one of --json and --csv can go to standard output", hint=ONE_STDOUT)
    return STDOUT in (json_file, csv_file)
