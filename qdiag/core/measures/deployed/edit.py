"""What has to change in a quantized file."""

from dataclasses import dataclass
from typing import Literal

from qdiag.core.measures.quantizer import QuantizerRecord

EditedTensor = Literal["output", "weight", "bias"]


@dataclass(frozen=True, slots=True)
class FileEdit:
    """One tensor of the file.

    Attributes:
        layer: in the float network. tensor: in the file. kind: what it is of the layer.
        before, after: its quantizers, of the widest channel where there are several; None for float.
        count: scales that it has afterwards.
    """

    layer: str
    tensor: str
    kind: EditedTensor
    before: QuantizerRecord | None
    after: QuantizerRecord | None
    count: int = 1
