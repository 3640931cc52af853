"""An experiment of `qdiag reproduce` as one HTML file that opens from disk."""

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from qdiag.core.printable import printable
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.reading.words.reproductions.sentences import command_words, headline, run_lines, words_of
from qdiag.reading.words.reproductions.tables import expectation_rows, figure_columns, row_titles
from qdiag.writers.html.page_text import held_page


def reproduction_html(result: Reproduction, pictures: Sequence[tuple[str, str]]) -> str:
    """The page; no script, and nothing from elsewhere.

    Args:
        pictures: what each shows, and its SVG.
    """
    environment = Environment(
        loader=PackageLoader("qdiag.writers", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("reproduction.html").render(
        result=result,
        words=words_of(result),
        headline=headline(result),
        names=row_titles(result),
        columns=figure_columns(result),
        expectations=expectation_rows(result),
        pictures=[(alt, Markup(svg[svg.index("<svg") :])) for alt, svg in pictures],
        run_lines=run_lines(result),
        command=command_words(result),
    )
    return held_page(page).encode("utf-8", "replace").decode("utf-8")
