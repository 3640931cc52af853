"""Counts with their noun, and long lists cut short, in one way wherever they are shown."""

from collections.abc import Sequence


def listed(items: Sequence[object], shown: int = 3) -> str:
    """`dw0, dw1, dw2 and 4 more`."""
    rest = len(items) - shown
    return ", ".join(map(str, items[:shown])) + (f" and {rest} more" if rest > 0 else "")


def count_noun(count: int, noun: str) -> str:
    """`1 layer`, `3 layers`, `2 passes`."""
    ending = "" if count == 1 else "es" if noun.endswith(("s", "x", "tch", "nch", "sh")) else "s"
    return f"{count} {noun}{ending}"
