"""What a quantized file says of its tensors: integers, and the real numbers that they stand for, as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A weight, a bias or another constant that the file holds as integers.

    Attributes:
        integers: int64, shape of the tensor. quantizer: what they stand for.
    """

    integers: Tensor
    quantizer: Affine


@dataclass(frozen=True, eq=False)
class IntegerFile:
    """The integer side of a file, by the names that its tensors have in the float network.

    Attributes:
        encoding: `QDQ`, float operators between `QuantizeLinear` and `DequantizeLinear`; `QOperator`, operators that
            take integers, perhaps beside some of the former.
        outputs: of tensors that the network computes, the quantizers that they go through, one after the other.
        constants: what is stored as integers.
        uneven: tensors that some readers get otherwise than by `outputs`: in float, or through another quantizer.
        clamped: tensors whose ReLU the file leaves to the lowest integer, and that was put back.
        nodes: of each tensor and constant, what the nodes give that quantize the one and dequantize the other.
    """

    encoding: str
    outputs: Mapping[str, tuple[Affine, ...]]
    constants: Mapping[str, StoredTensor]
    uneven: tuple[str, ...] = ()
    clamped: tuple[str, ...] = ()
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TensorEdit:
    """What becomes of one tensor of a file.

    Attributes:
        name: in the float network. nodes: see `IntegerFile`; empty for a constant that the file holds as floats.
        quantizer: None leaves it in float.
        integers: of a constant, laid out as in the file. values: the same in float, where it has no quantizer.
    """

    name: str
    nodes: tuple[str, ...]
    quantizer: Affine | None
    integers: Tensor | None = None
    values: Tensor | None = None

    @property
    def is_constant(self) -> bool:
        """A weight or a bias."""
        return self.integers is not None or self.values is not None
