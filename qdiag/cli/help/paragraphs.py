"""The text of `--help`: paragraphs that wrap where the terminal does."""

import inspect


def flowing(text: str) -> str:
    """The text with the line breaks inside its paragraphs taken out; a table, which has columns, keeps its lines.

    typer prints each line of a docstring as one of its own, so that a narrow terminal breaks every line twice.
    """
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(part if _is_table(part) else " ".join(part.split("\n")) for part in paragraphs)


def _is_table(paragraph: str) -> bool:
    return any("  " in line for line in paragraph.split("\n"))
