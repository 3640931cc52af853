"""A table as CSV text that no spreadsheet runs and no terminal acts on."""

import math

import pandas as pd

from qdiag.core.printable import printable

_FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection)."""


def csv_text(frame: pd.DataFrame) -> str:
    """The frame without its index; infinite values are `inf`, missing ones are empty.

    Text is printable, in quotes where it has to be, and begins with an apostrophe where it would be a formula.
    """
    safe = frame.copy()
    for name in frame.select_dtypes(include=["object", "string"]).columns:
        safe[name] = frame[name].map(_cell)
    return str(safe.to_csv(index=False, lineterminator="\n"))


def known(value: float) -> float | None:
    """The value, missing where it is not defined."""
    return None if math.isnan(value) else value


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
