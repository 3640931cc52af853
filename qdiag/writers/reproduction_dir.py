"""The report of an experiment as a folder: result.json, report.md, report.html, and the pictures in plots/."""

from pathlib import Path

from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.files.atomic import write_file
from qdiag.files.folder import make_folder
from qdiag.reading.words.reproductions.sentences import words_of
from qdiag.writers.html.reproduction import reproduction_html
from qdiag.writers.json.results import result_to_json
from qdiag.writers.markdown.reproduction import reproduction_markdown
from qdiag.writers.markdown.text import PictureLink
from qdiag.writers.plots.drawing.figure import figure_bytes, settle_layout
from qdiag.writers.plots.reproductions.pictures import reproduction_figure

PLOT_FOLDER = "plots"


def write_reproduction(result: Reproduction, folder: Path) -> tuple[Path, ...]:
    """Writes everything, and returns the files; each appears whole or not at all.

    Raises:
        WriteError: the folder cannot be made, or a file not be written.
    """
    make_folder(folder / PLOT_FOLDER)
    titles, written = words_of(result).drawings, list[Path]()
    links, pictures = list[PictureLink](), list[tuple[str, str]]()

    def put(name: str, content: str | bytes) -> None:
        write_file(folder / name, content)
        written.append(folder / name)

    put("result.json", result_to_json(result))
    for drawing in result.drawings:
        name = f"{PLOT_FOLDER}/{drawing.key}.png"
        figure = reproduction_figure(result, drawing)
        settle_layout(figure)
        put(name, figure_bytes(figure, "png"))
        links.append(PictureLink("reproduction", titles[drawing.key], name))
        pictures.append((titles[drawing.key], figure_bytes(figure, "svg").decode()))
    put("report.md", reproduction_markdown(result, links))
    put("report.html", reproduction_html(result, pictures))
    return tuple(written)
