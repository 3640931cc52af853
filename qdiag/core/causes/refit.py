"""What `qdiag qat --refit-separable` rewrote before it trained. Plain numbers."""

from dataclasses import dataclass
from typing import Literal

from qdiag.core.causes.repair import FloatChange
from qdiag.core.measures.measurement import Measurement

RefitVariant = Literal["b", "c"]
"""Of arXiv 1803.08607: `b` has nothing between the depthwise and the pointwise convolution, `c` ReLU for ReLU6 too."""


@dataclass(frozen=True, slots=True)
class KeptSeparable:
    """A separable convolution that stays as it was; `reason` is None where it was not asked for."""

    block: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SeparableRefit:
    """Separable convolutions in a friendly variant, before any training.

    Attributes:
        blocks: that were rewritten, each by the module path of its depthwise convolution. kept: the others.
        relu_count: of the ReLU6 elsewhere in the network that became ReLU.
        original: the network as it was read, in float and quantized.
        float_change: from the float network as it was read to the rewritten one without training.
    """

    variant: RefitVariant
    blocks: tuple[str, ...]
    kept: tuple[KeptSeparable, ...]
    relu_count: int
    original: Measurement
    float_change: FloatChange
