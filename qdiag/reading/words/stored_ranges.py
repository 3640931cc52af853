"""The ranges that a network brings with it, and what became of them."""

from collections.abc import Sequence

from qdiag.core.listed import listed
from qdiag.core.measures.value_ranges.stored_range import Outcome, StoredRange, with_outcome
from qdiag.reading.words.numbers import count_noun

_REASONS: dict[Outcome, str] = {
    "given by the scheme": "not used, because the scheme gives the range there",
    "not quantized": "not used, because the scheme leaves them in float",
    "no range": "not used, because nothing was observed: the ranges there are calibrated",
    "computed": "not used, because the scale is computed anew at every call: the ranges there are calibrated",
    "no place": "not used, because no layer of the graph has its quantizer there",
    "other format": "not used, because the scheme has no integers there",
    "other granularity": "not used, because the scheme has groups of weights, and the network a range for each channel",
    "folding": "not used, because a BatchNorm is folded on one side alone, in the network or under the scheme",
}


def stored_range_lines(ranges: Sequence[StoredRange], shown: int = 3) -> tuple[str, ...]:
    """`9 fake quantizers of the network give the ranges: 4 of weights, 5 of outputs`, and what stands out.

    Empty where the network has no fake quantizer.
    """
    if not ranges:
        return ()
    used = with_outcome(ranges, "used")
    weight_count = sum(one.kind == "weight" for one in used)
    give = "gives" if len(used) == 1 else "give"
    lines = [
        f"{count_noun(len(used), 'fake quantizer')} of the network {give} the ranges: {weight_count} of weights, "
        f"{len(used) - weight_count} of outputs"
        if used
        else "no fake quantizer of the network gives a range"
    ]
    others = [one for one in used if one.has_other_integers]
    if others:
        first = others[0]
        have = "has" if len(others) == 1 else "have"
        lines.append(
            f"{len(others)} {have} other integers than the scheme, first {first.module} with "
            f"[{first.quant_min}, {first.quant_max}]: the range is kept, and divided into the steps of the scheme"
        )
    for outcome, reason in _REASONS.items():
        found = with_outcome(ranges, outcome)
        if found:
            lines.append(f"{len(found)} {reason}: {listed([one.module for one in found], shown)}")
    return tuple(lines)
