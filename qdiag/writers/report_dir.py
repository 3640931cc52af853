"""A report as a folder: diagnosis.json, report.md, report.html, layers.csv and plots/, drawn from a diagnosis alone."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qdiag.core.diagnosis import Diagnosis
from qdiag.files.atomic import remove_file, write_file
from qdiag.files.folder import make_folder
from qdiag.writers.html.report import html_report
from qdiag.writers.json.diagnosis import FILE_NAME, diagnosis_to_json
from qdiag.writers.markdown.report import markdown_report
from qdiag.writers.markdown.text import PictureLink

if TYPE_CHECKING:
    from qdiag.writers.plots.drawing.figure import PlotFormat
    from qdiag.writers.plots.pictures import Picture

ReportPart = Literal["json", "md", "html", "csv", "png", "svg"]
REPORT_PARTS: tuple[ReportPart, ...] = ("json", "md", "html", "csv", "png", "svg")
"""Everything that can be written; png and svg are the two formats of plots/."""

PLOT_FOLDER = "plots"
_OWN_LAYER_PICTURE = re.compile(r"layer\d{3,}_.+_(channels|outputs)\.(png|svg)")


def write_report(
    diagnosis: Diagnosis,
    folder: str | Path,
    *,
    before: Diagnosis | None = None,
    parts: Sequence[ReportPart] = REPORT_PARTS,
    progress: Callable[[str], None] | None = None,
) -> tuple[Path, ...]:
    """Writes the report and returns its files in the order written; the folder is made where it is missing.

    Each file appears whole or not at all. Pictures of single layers that an earlier report left in plots/ are taken
    away, since nothing would tell them from this one's.

    Args:
        before: another diagnosis, shown beside this one: report.html then switches between them.
        parts: what to write.
        progress: called with the name of each file before it is made.

    Raises:
        WriteError: the folder cannot be made, or a file not be written.
    """
    root = Path(folder)
    say = progress or (lambda name: None)
    formats: tuple[PlotFormat, ...] = tuple(f for f in ("png", "svg") if f in parts)
    make_folder(root / PLOT_FOLDER if formats else root)
    written: list[Path] = []

    def put(name: str, content: Callable[[], str]) -> None:
        say(name)
        write_file(root / name, content())
        written.append(root / name)

    if "json" in parts:  # first: from it everything else can be drawn again
        put(FILE_NAME, lambda: diagnosis_to_json(diagnosis))
    if "csv" in parts:
        from qdiag.writers.csv.diagnosis import diagnosis_layer_csv  # with pandas

        put("layers.csv", lambda: diagnosis_layer_csv(diagnosis))
    pictures: Sequence[Picture] = ()
    if formats:  # only then is matplotlib imported
        from qdiag.writers.plots.pictures import draw_picture, report_pictures

        pictures = report_pictures(diagnosis)
        for picture in pictures:
            say(f"{PLOT_FOLDER}/{picture.name}")
            written += draw_picture(picture, root / PLOT_FOLDER, formats)
    _remove_stale(root / PLOT_FOLDER, written)
    if "md" in parts:
        put("report.md", lambda: markdown_report(diagnosis, _links(pictures, formats)))
    if "html" in parts:
        first, after = (before, diagnosis) if before is not None else (diagnosis, None)
        put("report.html", lambda: html_report(first, after))
    return tuple(written)


def _links(pictures: "Sequence[Picture]", formats: "tuple[PlotFormat, ...]") -> list[PictureLink]:
    """PNG where there is one: GitHub and most editors show it at a known size."""
    suffix = "png" if "png" in formats else "svg"
    return [PictureLink(p.section, p.alt, f"{PLOT_FOLDER}/{p.name}.{suffix}", p.layer) for p in pictures]


def _remove_stale(folder: Path, written: Sequence[Path]) -> None:
    if not folder.is_dir() or not any(path.parent == folder for path in written):
        return
    for path in folder.iterdir():
        if _OWN_LAYER_PICTURE.fullmatch(path.name) and path not in written:
            remove_file(path)
