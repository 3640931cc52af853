"""`qdiag demo`: the whole job on a small network that comes with the package."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from qdiag.cli.choices import Device, Order, SortKey
from qdiag.cli.console import make_progress, stdout_console
from qdiag.cli.options import DebugOption, QuietOption
from qdiag.cli.process import prepare_process
from qdiag.cli.sqnr import write_measurement
from qdiag.cli.sqnr_header import counts_text
from qdiag.cli.sqnr_table import print_measurement
from qdiag.config import load_preset
from qdiag.errors import WriteError

if TYPE_CHECKING:
    from qdiag.core.measurement import Measurement

FAILING_SCHEME, CONTRAST_SCHEME = "tf-uint8", "int8"

_STORY_WIDTH = 100

OutOption = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the files go.")]


def demo(out: OutOption = Path("reports/demo"), quiet: QuietOption = False, debug: DebugOption = False) -> None:
    """Run `qdiag sqnr` and `qdiag ranges` on a small network and its images, which come with the package.

    One scheme fails visibly, another does not; tables and plots are written into a folder, which is made if need be.
    """
    del debug  # read by main()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot be made: {error.strerror or error}", at=str(out)) from error
    prepare_process()
    from qdiag.demo_assets import DEMO_ARCH, DEMO_PREPROCESSING, DEMO_STORY, demo_data_path, demo_model_path
    from qdiag.loaders.data import DataRequest, open_datasets
    from qdiag.loaders.models import load_subject
    from qdiag.pipeline.ranges import range_subject
    from qdiag.pipeline.sqnr import measure_subject

    console = stdout_console()
    console.print(DEMO_STORY, markup=False, width=min(console.width, _STORY_WIDTH))
    console.print()
    progress = make_progress(quiet=quiet)
    try:
        subject = load_subject(str(demo_model_path()), arch=DEMO_ARCH, trust=False, submodule=None)
        datasets = open_datasets(DataRequest(str(demo_data_path()), preprocessing=DEMO_PREPROCESSING))
        failing, contrast = (
            measure_subject(subject, datasets, load_preset(name), device=Device.CPU.value, progress=progress)
            for name in (FAILING_SCHEME, CONTRAST_SCHEME)
        )
        report = range_subject(subject, datasets, fold_batchnorm=True, device=Device.CPU.value, progress=progress)
    finally:
        progress.finish()
    write_measurement(failing, out / "sqnr.json", out / "layers.csv", out / "sqnr.png")
    write_measurement(failing, None, None, out / "sqnr.svg")
    from qdiag.writers.figure import save_figure
    from qdiag.writers.ranges_plot import ranges_figure

    save_figure(ranges_figure(report), out / "ranges.png")
    print_measurement(console, failing, Order.GRAPH, SortKey.LOCAL, None)
    console.print()
    console.print(contrast_line(contrast))
    console.print()
    console.print("Open these:")
    for name, what in (
        ("sqnr.png", "SQNR by layer, local and propagated"),
        ("ranges.png", "where weights and outputs lie"),
        ("layers.csv", "the table, one row per layer"),
        ("sqnr.json", "everything that was measured"),
    ):
        console.print(Text(f"  {out / name!s:{len(str(out)) + 12}}  {what}"), soft_wrap=True)


def contrast_line(measurement: "Measurement") -> Text:
    """The other scheme on the same network and images, in one line."""
    text = Text(f"For contrast, {measurement.scheme.name}: ")
    if measurement.task.top1 is not None:
        text.append_text(counts_text("top-1", measurement.task.top1))
    elif measurement.outputs:
        text.append(f"output SQNR {measurement.outputs[0].error.sqnr_db:.1f} dB")
    return text
