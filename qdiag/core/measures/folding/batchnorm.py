"""One BatchNorm at one of its calls: the layer that takes it in, or why none does."""

import math
from dataclasses import dataclass

from qdiag.core.measures.bn import PairedLayer


@dataclass(frozen=True, slots=True)
class BatchNormFold:
    """What folding makes of a BatchNorm.

    Attributes:
        index: position in the order of the graph.
        name: module path. call: 1 for the first call of this module, 2 for the second, of `call_count`.
        channels: C.
        layer: the layer that takes it in, or that would if it were exact; None where neither neighbour is one.
        reads: operation that it reads, `conv2d` or `relu`; `input` for an input of the network.
        readers: operations that read it, in graph order; `output` for an output of the network.
        kept: why it stays an operation of its own; None when it was folded.
        gain_min_abs, gain_max_abs: of |gamma| / sqrt(variance + eps) over the channels; NaN without statistics.
        weight_max_abs, folded_max_abs: largest |weight| of the layer before, and with all BatchNorms that it took in;
            NaN when this one was not folded.
        max_abs_delta: largest |difference| at the end of the layer and its BatchNorms, folded against not folded, both
            from the same input; over the measured samples. relative_delta: the same over the largest |value| there.
            Both are NaN when this one was not folded.
    """

    index: int
    name: str
    call: int
    call_count: int
    channels: int
    layer: PairedLayer | None
    reads: str
    readers: tuple[str, ...]
    kept: str | None = None
    gain_min_abs: float = math.nan
    gain_max_abs: float = math.nan
    weight_max_abs: float = math.nan
    folded_max_abs: float = math.nan
    max_abs_delta: float = math.nan
    relative_delta: float = math.nan

    @property
    def label(self) -> str:
        """Unique among the records: the path, with the number of the call from the second on."""
        return self.name if self.call == 1 else f"{self.name}#{self.call}"

    @property
    def is_folded(self) -> bool:
        return self.kept is None
