"""Where the values of one tensor lie, and what a scheme makes of them."""

import math
from dataclasses import dataclass

from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import ChannelRanges, TensorRange


@dataclass(frozen=True, slots=True)
class RangeRecord:
    """One row of `qdiag ranges`: a weight, or the output of a layer.

    Attributes:
        role: `weight` or `activation`.
        quantizer: of this tensor under the scheme that was asked for; of a weight with several, that of its widest
            channel or group. None where no scheme was, or where it leaves the tensor in float.
        has_one_range: the quantizer is that of all channels.
        tensor_name: of the output in the ONNX file that was read; empty for weights, and for other formats.
        same_range: other tensors of the file to which this range applies: what a fused clamp reads, since nothing
            beyond its bounds gets any further, and what views, slices and paddings make of the output.
        not_measured: further tensors of the file inside of the layer, such as what a folded BatchNorm reads.
    """

    layer: str
    role: str
    tensor: TensorRange
    channels: ChannelRanges | None = None
    quantizer: QuantizerRecord | None = None
    has_one_range: bool = False
    tensor_name: str = ""
    same_range: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()

    @property
    def median_channel_bits(self) -> float:
        """Bits that the channel of median width has of a quantizer that all channels share; NaN without one."""
        if self.quantizer is None or self.channels is None or not self.has_one_range:
            return math.nan
        median, largest = self.channels.median, self.channels.largest
        return self.quantizer.effective_bits(median, largest) if 0.0 < median <= largest else math.nan
