"""What a quantized file says of its tensors: integers, and the real numbers that they stand for, as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass

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
    """

    encoding: str
    outputs: Mapping[str, tuple[Affine, ...]]
    constants: Mapping[str, StoredTensor]
    uneven: tuple[str, ...] = ()
    clamped: tuple[str, ...] = ()
