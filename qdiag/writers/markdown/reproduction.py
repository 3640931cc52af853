"""An experiment of `qdiag reproduce` as Markdown."""

from collections.abc import Sequence

from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.reading.words.reproductions.sentences import command_words, headline, run_lines, words_of
from qdiag.reading.words.reproductions.tables import expectation_rows, figure_columns, row_titles
from qdiag.writers.markdown.text import PictureLink, picture, section, shell, table, text


def reproduction_markdown(result: Reproduction, links: Sequence[PictureLink]) -> str:
    """Verdict, figures beside the published ones, expectations, pictures, and how it was run."""
    words = words_of(result)
    columns = figure_columns(result)
    header = ("variant", *(f"{column.title}, {column.unit} #" for column in columns))
    figures = [
        (text(name), *(text(column.texts[i]) for column in columns)) for i, name in enumerate(row_titles(result))
    ]
    expectations = [
        (f"**{row.verdict}**", text(row.statement), text(row.measured), text(row.reason))
        for row in expectation_rows(result)
    ]
    blocks = (
        f"# {text(words.title)}, reproduced in small",
        text(headline(result)),
        f"{text(words.question)}\n\n{text(words.made_of)}",
        section("Figures", table(header, figures)),
        section("What was expected", table(("", "expected", "measured", "why not"), expectations)),
        *(picture(link) for link in links),
        section("How it was run", table(("", ""), [(name, text(line)) for name, line in run_lines(result)])),
        "The same numbers come again on the same machine by",
        shell([command_words(result)]),
        "\n".join(f"- {text(note)}" for note in result.notes),
    )
    return "\n\n".join(block for block in blocks if block) + "\n"
