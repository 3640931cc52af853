"""What `qdiag export --for` prints: what the other quantizer is told, and what it is not."""

from rich.console import Console
from rich.text import Text

from qdiag.cli.tables.deployment.export import calibration_lines, repair_lines
from qdiag.cli.tables.sqnr_header import Lines, capture_lines, header_grid, model_lines, scheme_lines
from qdiag.core.measures.deployed.settings import SettingsReport
from qdiag.reading.layer_names import layers_named
from qdiag.reading.words.numbers import count_noun

_NAMES_AT_MOST = 12


def print_settings(console: Console, report: SettingsReport) -> None:
    """Header and the settings on `console`."""
    console.print(
        header_grid(
            *model_lines(report.model),
            *scheme_lines(report.scheme),
            *calibration_lines(report.data),
            *capture_lines(report.capture),
            *repair_lines(report.repairs),
            *_setting_lines(report),
        )
    )


def _setting_lines(report: SettingsReport) -> Lines:
    where = f" to {report.written_to}" if report.written_to is not None else ""
    yield "settings", Text(f"for {report.tool}{where}", style="bold")
    in_float = layers_named(report.in_float, _NAMES_AT_MOST)
    yield "", Text(f"in float: {in_float}" if report.in_float else "no layer in float")
    if report.range_count:
        yield "", Text(f"ranges of {count_noun(report.range_count, 'activation')}")
    if not report.has_file_names:
        yield (
            "note",
            Text("the names are those of the layers here: in a file that another exporter wrote, nodes have others"),
        )
    if report.not_told:
        names = layers_named(report.not_told, _NAMES_AT_MOST)
        yield (
            "note",
            Text(f"the settings do not hold {names}: write them into the model with qdiag repair, or export the file"),
        )
