"""What is wrong with a text that is no TOML, and in which line and column."""

import re

_PLACE = re.compile(r"(?P<fact>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)
_FACTS = (
    ("Expected '='", "there is no = behind the key"),
    ("Invalid initial character for a key", "a key is needed here"),
    ("Expected ']'", "a bracket is not closed"),
    ("Unclosed array", "a list is not closed"),
    ("Unclosed inline table", "a table in braces is not closed"),
    ("Unterminated string", "a text is not closed by a quotation mark"),
    ("Expected newline", "something stands behind the value, in the same line"),
    ("Invalid value", "what stands behind = is no value: a text needs quotation marks"),
    ("Invalid statement", "this is neither a key with a value nor a [table]"),
    ("Cannot overwrite", "the key is given twice"),
    ("twice", "the table is given twice"),
    ("Duplicate", "the key is given twice"),
    ("Cannot mutate", "a table that is complete gets another key"),
    ("Illegal character", "there is a character that TOML does not allow"),
    ("escape", "a backslash does not fit what follows it"),
    ("Invalid date", "this is no date"),
)
"""By the words of the parser of Python's library."""


def toml_fault(error: ValueError) -> tuple[str, str]:
    """The fact, and the place as it stands behind the name of the file; empty where the parser names none."""
    found = _PLACE.fullmatch(str(error))
    said = found["fact"] if found else str(error)
    fact = next((words for start, words in _FACTS if start in said), "this cannot be understood")
    if found is None:
        return "a number is too long" if "digits" in said else fact, ""
    if found["line"] is None:
        return fact, ", at its end"
    return fact, f", line {found['line']}, column {found['column']}"
