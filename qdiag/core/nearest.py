"""What was meant by a word that nobody knows."""

import difflib
from collections.abc import Sequence


def nearest_hint(word: str, known: Sequence[str], otherwise: str | None = None, *, cutoff: float = 0.5) -> str:
    """`did you mean X?` for the known word that is spelled most like this one; `otherwise`, or all, where none is."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else otherwise or f"give one of {', '.join(known)}"
