"""Along which axes an equation of `einsum` adds products up, and how many there are."""

from collections.abc import Sequence
from math import prod

_DOTS = "..."


def summed_axes(equation: str, ranks: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Of each of two operands the axes over which products are added, both in the order of the first operand.

    None where there is no such sum, or no single one: other than two operands, a diagonal, an axis that is added up in
    one operand before it meets the other, and axes behind `...` that the result does not have.

    Args:
        equation: such as `bhid,bhjd->bhij`. ranks: axes of each operand.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != 2 or len(ranks) != 2:
        return None
    first, second = (_labels(term, rank) for term, rank in zip(terms, ranks, strict=True))
    both = [*first, *second]
    if len(set(first)) < len(first) or len(set(second)) < len(second):
        return None
    kept = set(right.replace(_DOTS, "")) if arrow else {label for label in both if both.count(label) == 1}
    if not arrow or _DOTS in right:
        kept |= {label for label in both if label.isdigit()}
    summed = [label for label in first if label not in kept]
    if not summed or {label for label in second if label not in kept} != set(summed) or any(map(str.isdigit, summed)):
        return None
    return tuple(map(first.index, summed)), tuple(map(second.index, summed))


def multiplication_count(equation: str, shapes: Sequence[Sequence[int]]) -> int:
    """Products of every value with those that it meets, one operand after the other; 0 for a single operand."""
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, size in zip(_labels(term, len(shape)), shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    return (len(terms) - 1) * prod(sizes.values())


def _labels(term: str, rank: int) -> list[str]:
    """One for each axis; those behind `...` are numbers, counted from the last."""
    before, dots, behind = term.partition(_DOTS)
    hidden = rank - len(before) - len(behind) if dots else 0
    return [*before, *(str(i) for i in reversed(range(hidden))), *behind]
