"""Which number format each operand of a layer has, in short."""

from collections.abc import Mapping
from dataclasses import dataclass

from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.records import OpRecord
from qdiag.core.scheme import TensorScheme
from qdiag.core.tensor_scheme import FLOAT_TYPES
from qdiag.reading.words.layers import format_words

FLOAT = "float"
_WEIGHTED = ("conv", "depthwise_conv", "conv_transpose", "linear")


@dataclass(frozen=True, slots=True)
class OperandFormats:
    """Of one layer.

    Attributes:
        inputs: what it reads, one for each layer that feeds it, as it reads them; empty where nothing does.
        weight: empty for a layer of a kind without weights. output: what it hands on.
    """

    inputs: tuple[str, ...]
    weight: str
    output: str


def operand_formats(measurement: Measurement, record: OpRecord, by_name: Mapping[str, OpRecord]) -> OperandFormats:
    """The formats of one layer.

    Args:
        by_name: all records of the measurement.
    """
    scheme, own = measurement.scheme, record.weight
    weight = FLOAT if record.kind in _WEIGHTED else ""
    if own is not None:
        weight = _words(own.quantizer, scheme.weights_of(record.name))
    fed = [by_name[name] for name in record.inputs if name in by_name]
    inputs = [_output(measurement, one) for one in fed]
    if record.operands:
        source = scheme.activations_of(fed[0].name if fed else record.name)
        inputs = [_words(one, source) for one in record.operands]
    return OperandFormats(tuple(inputs), weight, _output(measurement, record))


def _output(measurement: Measurement, record: OpRecord) -> str:
    owner = record.quantizer.shared_with if record.quantizer is not None else None
    return _words(record.quantizer, measurement.scheme.activations_of(owner or record.name))


def _words(quantizer: QuantizerRecord | None, scheme: TensorScheme) -> str:
    """`uint8`, `4-bit power of two`, `e4m3`, `e2m1 in blocks of 32`, `float`."""
    if quantizer is None:
        return FLOAT
    if quantizer.scale is not None and quantizer.quant_min is not None:
        return f"{'int' if quantizer.quant_min < 0 else 'uint'}{quantizer.bits}"
    if quantizer.type in FLOAT_TYPES and quantizer.type == scheme.type:
        blocks = f" in blocks of {scheme.group_size}" if scheme.is_block else ""
        return f"{scheme.float_format.name}{blocks}"
    return f"{quantizer.bits}-bit {format_words(quantizer.type)}"
