"""An operation of fake quantization that a file held."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StoredOperation:
    """`fake_quantize_per_tensor_affine`, or one of its kind, that was left out of the graph.

    Attributes:
        name: of the module that holds its scale, where the file tells; otherwise of the operation.
        scales, zero_points: one, or one for each channel of `channel_axis`; None where they are computed from values.
        quant_min, quant_max: the integers.
        is_folded: it stood at a weight that a BatchNorm behind the layer is multiplied into.
    """

    name: str
    scales: tuple[float, ...] | None
    zero_points: tuple[float, ...]
    channel_axis: int
    quant_min: int
    quant_max: int
    is_folded: bool = False
