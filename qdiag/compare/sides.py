"""The layers of one network as matching sees them: with the place that each has in a block of parallel branches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.branches import BlockLayers
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.records import OpRecord

SAME_SIGNAL = 1e-3
"""Relative difference of power up to which two float signals count as the same: folding and fusing round anew, and move
an output by at most 1e-4 of its largest value."""


@dataclass(frozen=True)
class Side:
    """One of two networks.

    Attributes:
        blocks: those that one convolution replaces. ends, inside: they, by the names of their layers.
    """

    records: Sequence[OpRecord]
    blocks: Sequence[BlockLayers] = ()
    ends: dict[str, BlockLayers] = field(init=False)
    inside: dict[str, BlockLayers] = field(init=False)
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ends", {block.layer: block for block in self.blocks})
        inside = {name: block for block in self.blocks for name in block.inside if name not in self.ends}
        object.__setattr__(self, "inside", inside)
        object.__setattr__(self, "names", frozenset(record.name for record in self.records))

    def key(self, name: str, other: "Side") -> str:
        """What a layer goes by beside another network: equal keys are the same layer.

        The end of a block goes by the name of its fused convolution where the other network has that. A layer inside a
        block is not the one of its name in a network that has no such block: code that fuses may reuse the name.
        """
        if name in self.inside and name in other.names and name not in other.inside:
            return f"inside a block: {name}"
        if name in self.ends and name not in other.names:
            convolution = self.ends[name].convolution
            return convolution if convolution in other.names and convolution not in self.names else name
        return name

    def description(self, record: OpRecord) -> tuple[object, ...]:
        """What renamed layers have in common: that of its fused convolution for the end of a block."""
        if record.name in self.ends:
            return ("conv", True, self.ends[record.name].weight_shape)
        return ("inside a block", *description(record)) if record.name in self.inside else description(record)


def description(record: OpRecord) -> tuple[object, ...]:
    """Kind and shape of the weight; without a weight, kind and shape of the output."""
    if record.weight is None:
        return (record.kind, False, record.output_shape)
    return ("conv" if record.kind == "depthwise_conv" else record.kind, True, record.weight.shape)


def is_same_signal(before: ErrorSums, after: ErrorSums) -> bool:
    """The float signals have the same power, up to rounding. On the same samples, those of one layer have."""
    if before.count != after.count:
        return False
    return math.isclose(before.reference_sq_sum, after.reference_sq_sum, rel_tol=SAME_SIGNAL)


def is_same_function(before: Diagnosis, after: Diagnosis) -> bool:
    """The float networks give the same outputs on the same samples, as before and after fusion."""
    first, second = before.measurement, after.measurement
    if first.data.digest != second.data.digest or len(first.outputs) != len(second.outputs) or not first.outputs:
        return False
    pairs = zip(first.outputs, second.outputs, strict=True)
    return all(is_same_signal(one.error, other.error) for one, other in pairs)
