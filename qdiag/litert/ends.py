"""The end of a LiteRT network: which of its operators choose among results, and the network up to what they read."""

from dataclasses import replace

from qdiag.core.measures.measurement import LeftOut
from qdiag.litert.model import LiteGraph, LiteOperator
from qdiag.onnx.ends.cut import Step, cut

_ENDS = frozenset(("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "WHERE", "UNIQUE"))
_ENDS_BY_NAME = ("Detection_PostProcess", "NonMaxSuppression")
"""In the names of custom operators: that of TensorFlow Lite itself, and those of TensorFlow (`Flex...`)."""
_WEIGHTED = frozenset(("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D"))
_MOVES = frozenset(("RESHAPE", "TRANSPOSE", "EXPAND_DIMS", "SQUEEZE", "QUANTIZE", "DEQUANTIZE"))


def without_end(source: LiteGraph) -> tuple[LiteGraph, tuple[LeftOut, ...]]:
    """The network up to what non-maximum suppression, and the like, reads; and what is left out of it.

    Raises:
        LoadError: layers with weights stand behind it, or nothing before it.
    """
    if not any(map(_is_end, source.operators)):
        return source, ()
    wanted, alive = set(source.outputs), list[LiteOperator]()
    for operator in reversed(source.operators):
        if any(place in wanted for place in operator.outputs):
            alive.append(operator)
            wanted.update(operator.inputs)
    floats = {
        place
        for place, tensor in enumerate(source.tensors)
        if tensor.dtype.kind == "f" or tensor.quantization is not None
    }
    found = cut([_step(source, operator) for operator in reversed(alive)], source.inputs, source.outputs, floats)
    if found is None:
        return source, ()
    kept = tuple(one for one in source.operators if not any(place in found.gone for place in one.outputs))
    return replace(source, operators=kept, outputs=found.outputs), found.left_out


def _step(source: LiteGraph, operator: LiteOperator) -> Step[int]:
    kind, reads = operator.kind, tuple(place for place in operator.inputs if place >= 0)
    return Step(
        kind,
        source.tensors[operator.outputs[0]].name if operator.outputs else "",
        reads,
        operator.outputs,
        is_end=_is_end(operator),
        is_move=kind in _MOVES,
        is_sample=_takes_sample(source, operator),
        is_size=kind in ("SHAPE", "RANK"),
        weights=operator.inputs[1:2] if kind in _WEIGHTED else (),
    )


def _takes_sample(source: LiteGraph, operator: LiteOperator) -> bool:
    """It gives the one sample without the axis of samples."""
    if operator.kind not in ("RESHAPE", "SQUEEZE", "STRIDED_SLICE", "GATHER", "UNPACK"):
        return False
    if min(operator.inputs[:1], default=-1) < 0 or not operator.outputs:
        return False
    before, after = (source.tensors[places[0]].shape for places in (operator.inputs, operator.outputs))
    return before[:1] == (1,) and before[1:] == after


def _is_end(operator: LiteOperator) -> bool:
    custom = operator.kind.startswith("custom ") and any(name in operator.kind for name in _ENDS_BY_NAME)
    return custom or operator.kind in _ENDS
