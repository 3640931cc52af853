"""Agreement of two orders."""

import math
from collections.abc import Sequence


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation: that of Pearson between the ranks, equal values sharing their mean rank.

    Pairs with NaN are left out; fewer than two pairs, or one side all equal, give NaN. Infinite values rank first or
    last.
    """
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if not (math.isnan(x) or math.isnan(y))]
    if len(pairs) < 2:
        return math.nan
    x, y = _ranks([p[0] for p in pairs]), _ranks([p[1] for p in pairs])
    mean = (len(pairs) + 1) / 2.0
    cross = math.fsum((p - mean) * (q - mean) for p, q in zip(x, y, strict=True))
    norm = math.sqrt(math.fsum((p - mean) ** 2 for p in x) * math.fsum((q - mean) ** 2 for q in y))
    return cross / norm if norm > 0.0 else math.nan


def _ranks(values: Sequence[float]) -> list[float]:
    """From 1; equal values get the mean of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            ranks[place] = (start + end) / 2.0 + 1.0
        start = end + 1
    return ranks
