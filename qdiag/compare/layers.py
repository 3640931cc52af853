"""Layers of two networks matched: by name, by the block that they are, and renamed ones by what they are and where."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from qdiag.compare.sides import Side, description, is_same_signal
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


def match_layers(before: Side, after: Side, *, has_same_signals: bool = False) -> LayerMatching:
    """Equal names are the same layer. Of the rest, those are renamed that stand at the same place and are alike.

    The last layer of a block of parallel branches is the same as the convolution that the other network has in its
    place: that of the name which a fused checkpoint gives it, else one that is alike. What lies inside such a block has
    no partner.

    Layers of equal name divide both networks into stretches. Within a stretch, layers without a partner are aligned in
    their order by kind and shape of the weight (of the output, for layers without a weight). The match is `likely` when
    the stretch holds equally many layers of that description in both networks, and a `guess` when some of them have no
    partner: which ones those are, order alone does not say.

    Args:
        has_same_signals: the float networks compute the same on the same samples. Then layers are alike only where
            their float signals have the same power.
    """
    keys = [before.key(record.name, after) for record in before.records]
    place = {after.key(record.name, before): i for i, record in enumerate(after.records)}
    named = [(i, place[key]) for i, key in enumerate(keys) if key in place]
    matches = [_match(before, after, i, k) for i, k in named]
    taken = {k for _, k in named}
    start = (0, 0)
    for i, k in [*_increasing(named), (len(before.records), len(after.records))]:
        gap_before = [one for one in range(start[0], i) if keys[one] not in place]
        gap_after = [one for one in range(start[1], k) if one not in taken]
        matches += _aligned(before, after, gap_before, gap_after, has_same_signals)
        start = (i + 1, k + 1)
    order = {record.name: i for i, record in enumerate(after.records)}
    used_before = {match.before.name for match in matches}
    used_after = {match.after.name for match in matches}
    return LayerMatching(
        tuple(sorted(matches, key=lambda match: order[match.after.name])),
        tuple(record for record in before.records if record.name not in used_before),
        tuple(record for record in after.records if record.name not in used_after),
    )


def is_alike(before: OpRecord, after: OpRecord) -> bool:
    """Kind and shape of the weight are the same; without a weight, kind and shape of the output."""
    return description(before) == description(after)


def _match(before: Side, after: Side, i: int, k: int, certainty: Certainty = "certain") -> LayerMatch:
    one, other = before.records[i], after.records[k]
    is_block = (one.name in before.ends) != (other.name in after.ends)
    by: MatchedBy = "fused block" if is_block else "name" if one.name == other.name else "shape and place"
    return LayerMatch(one, other, by, certainty)


def _aligned(
    before: Side, after: Side, first: Sequence[int], second: Sequence[int], has_same_signals: bool
) -> list[LayerMatch]:
    """Renamed layers of a stretch, given as places of its layers without a partner."""
    kinds = _Kinds(has_same_signals)
    one = [kinds.of(before, before.records[i]) for i in first]
    other = [kinds.of(after, after.records[i]) for i in second]
    counts = Counter(one), Counter(other)
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    pairs = [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]
    aligned = Counter(one[i] for i, _ in pairs)
    return [_match(before, after, first[i], second[k], _certainty(counts, aligned, one[i])) for i, k in pairs]


class _Kinds:
    """Numbers for layers that are alike: the same description and, where that has to be, the same float signal."""

    def __init__(self, has_same_signals: bool) -> None:
        self._has_same_signals = has_same_signals
        self._found: dict[tuple[object, ...], list[tuple[OpRecord, int]]] = {}
        self._count = 0

    def of(self, side: Side, record: OpRecord) -> int:
        seen = self._found.setdefault(side.description(record), [])
        for other, number in seen:
            if not self._has_same_signals or is_same_signal(other.local, record.local):
                return number
        self._count += 1
        seen.append((record, self._count))
        return self._count


def _certainty(counts: tuple[Counter[int], Counter[int]], aligned: Counter[int], kind: int) -> Certainty:
    return "likely" if counts[0][kind] == counts[1][kind] == aligned[kind] else "guess"


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
