"""Layers of two networks matched: by name, and renamed ones by what they are and where they stand."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from qdiag.core.compare import Certainty, MatchedBy
from qdiag.core.measures.records import OpRecord


@dataclass(frozen=True, slots=True)
class LayerMatch:
    """One layer in both networks; attributes as in `LayerChange`."""

    before: OpRecord
    after: OpRecord
    matched_by: MatchedBy = "name"
    certainty: Certainty = "certain"


@dataclass(frozen=True, slots=True)
class LayerMatching:
    """All layers of two networks.

    Attributes:
        matches: in the order of the network after.
        missing, new: layers of only one of the two, in its order.
    """

    matches: tuple[LayerMatch, ...]
    missing: tuple[OpRecord, ...]
    new: tuple[OpRecord, ...]

    @property
    def names(self) -> dict[str, str]:
        """Name before to name after."""
        return {match.before.name: match.after.name for match in self.matches}


def match_layers(before: Sequence[OpRecord], after: Sequence[OpRecord]) -> LayerMatching:
    """Equal names are the same layer. Of the rest, those are renamed that stand at the same place and are alike.

    Layers of equal name divide both networks into stretches. Within a stretch, layers without a partner are aligned in
    their order by kind and shape of the weight (of the output, for layers without a weight). The match is `likely` when
    the stretch holds equally many layers of that description in both networks, and a `guess` when some of them have no
    partner: which ones those are, order alone does not say.
    """
    place = {record.name: i for i, record in enumerate(after)}
    named = [(i, place[record.name]) for i, record in enumerate(before) if record.name in place]
    matches = [LayerMatch(before[i], after[k]) for i, k in named]
    start = (0, 0)
    for i, k in [*_increasing(named), (len(before), len(after))]:
        gap_before = [record for record in before[start[0] : i] if record.name not in place]
        taken = {match.after.name for match in matches}
        gap_after = [record for record in after[start[1] : k] if record.name not in taken]
        matches += _aligned(gap_before, gap_after)
        start = (i + 1, k + 1)
    used_before = {match.before.name for match in matches}
    used_after = {match.after.name for match in matches}
    return LayerMatching(
        tuple(sorted(matches, key=lambda match: place[match.after.name])),
        tuple(record for record in before if record.name not in used_before),
        tuple(record for record in after if record.name not in used_after),
    )


def is_alike(before: OpRecord, after: OpRecord) -> bool:
    """Kind and shape of the weight are the same; without a weight, kind and shape of the output."""
    return _description(before) == _description(after)


def _description(record: OpRecord) -> tuple[object, ...]:
    return (record.kind, True, record.weight.shape) if record.weight else (record.kind, False, record.output_shape)


def _aligned(before: Sequence[OpRecord], after: Sequence[OpRecord]) -> list[LayerMatch]:
    first, second = [_description(record) for record in before], [_description(record) for record in after]
    counts = Counter(first), Counter(second)
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    pairs = [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]
    aligned = Counter(first[i] for i, _ in pairs)
    return [LayerMatch(before[i], after[k], "shape and place", _certainty(counts, aligned, first[i])) for i, k in pairs]


def _certainty(
    counts: tuple[Counter[tuple[object, ...]], Counter[tuple[object, ...]]],
    aligned: Counter[tuple[object, ...]],
    description: tuple[object, ...],
) -> Certainty:
    is_whole = counts[0][description] == counts[1][description] == aligned[description]
    return "likely" if is_whole else "guess"


def _increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest run of pairs in which both numbers rise; the first numbers already do."""
    tails: list[int] = []  # of runs by length: the smallest second number that one can end with, as places in `pairs`
    values: list[int] = []
    earlier: list[int] = []
    for i, (_, second) in enumerate(pairs):
        length = bisect_left(values, second)
        earlier.append(tails[length - 1] if length else -1)
        tails[length:] = [i, *tails[length + 1 :]]
        values[length:] = [second, *values[length + 1 :]]
    run: list[tuple[int, int]] = []
    at = tails[-1] if tails else -1
    while at >= 0:
        run.append(pairs[at])
        at = earlier[at]
    return run[::-1]
