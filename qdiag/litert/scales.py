"""Where a file gives scales that kernels do not look at: integers are moved or compared there as they are stored."""

from qdiag.litert.edited.kernels import FIXED, JOINING, SAME_SCALE
from qdiag.litert.model import LiteGraph, LiteTensor


def disregarded(source: LiteGraph) -> tuple[str, ...]:
    """Tensors of int8 and uint8 that an operator reads whose kernel does not look at the scale of its output."""
    found = dict[str, None]()
    for operator in source.operators:
        read = [source.tensors[place] for place in operator.inputs if place >= 0]
        made = [source.tensors[place] for place in operator.outputs]
        quantized = [tensor for tensor in (*read, *made) if _is_byte(tensor)]
        differs = operator.kind in (*SAME_SCALE, *JOINING) and len({_numbers(tensor) for tensor in quantized}) > 1
        fixed = FIXED.get(operator.kind)
        if fixed is not None:
            differs = any(_numbers(tensor) != fixed for tensor in made if _is_byte(tensor) and tensor.dtype.kind == "i")
        if differs:
            found |= dict.fromkeys(tensor.name for tensor in read if _is_byte(tensor) and tensor.data is None)
    return tuple(found)


def _is_byte(tensor: LiteTensor) -> bool:
    return tensor.quantization is not None and tensor.dtype.kind in "iu" and tensor.dtype.itemsize == 1


def _numbers(tensor: LiteTensor) -> tuple[float, int]:
    assert tensor.quantization is not None
    return float(tensor.quantization.scales.flat[0]), int(tensor.quantization.zero_points.flat[0])
