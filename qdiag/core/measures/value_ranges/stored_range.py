"""The ranges that a network brings with it from training with fake quantizers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal[
    "used",
    "given by the scheme",
    "not quantized",
    "no range",
    "computed",
    "no place",
    "other format",
    "other granularity",
    "folding",
]
"""What became of a stored range.

`used`: it is that of the quantizer. `given by the scheme`: the scheme says another range for this layer.
`not quantized`: the scheme leaves it in float. `no range`: nothing was observed. `computed`: its scale is computed from
the values at every call. `no place`: no layer has this value as its output. `other format`: the scheme has no integers
there. `other granularity`: the scheme has groups, and the range is that of channels. `folding`: the range is that of
the weight with its BatchNorm, and the scheme's is that without, or the other way round.
"""


@dataclass(frozen=True, slots=True)
class StoredRange:
    """One fake quantizer of the network, and what became of its range.

    Attributes:
        module: path of the fake quantizer. kind: what it quantizes. layer: whose; None for no layer.
        quant_min, quant_max: its integers. channel_count: ranges that it holds.
        has_other_integers: the scheme has more or fewer of them.
        is_on: it was left quantizing. observes: its observer was left on, so that the range moves in use.
    """

    module: str
    kind: Literal["weight", "output"] | None
    layer: str | None
    quant_min: int
    quant_max: int
    channel_count: int
    outcome: Outcome
    has_other_integers: bool
    is_on: bool
    observes: bool


def of_layer(ranges: Sequence[StoredRange], layer: str) -> tuple[StoredRange, ...]:
    """Those of the fake quantizers at the weight and the output of one layer."""
    return tuple(one for one in ranges if one.layer == layer)


def with_outcome(ranges: Sequence[StoredRange], outcome: Outcome) -> tuple[StoredRange, ...]:
    """Those that this became of."""
    return tuple(one for one in ranges if one.outcome == outcome)
