"""What was meant by a word that nobody knows."""

from collections.abc import Iterable, Sequence

_SHARE = 3
"""A word is near another one if at most one of so many of its letters is wrong."""
_BEGINNING = 3
"""Letters of a word from which on it may stand for a longer one that begins with it."""


def nearest_hint(word: str, known: Sequence[str], otherwise: str | None = None) -> str:
    """`did you mean X?` for the known word that is spelled most like this one; `otherwise`, or all, where none is."""
    near = nearest(word, known)
    return f"did you mean {near[0]}?" if near else otherwise or f"give one of {', '.join(known)}"


def nearest(word: str, known: Iterable[str], *, at_most: int = 1) -> list[str]:
    """Those of the known words for which this one is a slip of the hand, the nearest first.

    A letter that is missing, too many, wrong, or in the other order than the next one counts as one slip, and a word
    may have one for every three letters. A word of at least three letters also stands for one that begins with it, or
    that it begins with. Upper and lower case are alike, and `-` and `_` do not count.
    """
    plain = _plain(word)
    ranked: list[tuple[int, int, str]] = []
    for place, one in enumerate(dict.fromkeys(known)):
        other = _plain(one)
        shorter, longer = sorted((len(plain), len(other)))
        begins = shorter >= _BEGINNING and (plain.startswith(other) or other.startswith(plain))
        if (longer - shorter) * _SHARE <= longer and (slips := _slips(plain, other)) * _SHARE <= longer:
            ranked.append((slips, place, one))
        elif begins:
            ranked.append((2 * longer - shorter, place, one))
    return [one for _, _, one in sorted(ranked)[:at_most]]


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")


def _slips(a: str, b: str) -> int:
    """The optimal string alignment distance.

    Source: L. Boytsov, Indexing methods for approximate dictionary searching, ACM JEA 16 (2011).
    """
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        next_row = [i]
        for j, other in enumerate(b, start=1):
            slips = min(row[j] + 1, next_row[j - 1] + 1, row[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and other == a[i - 2]:
                slips = min(slips, before[j - 2] + 1)
            next_row.append(slips)
        before, row = row, next_row
    return row[-1]
