"""Sizes, new tensors, types and comparisons."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from qdiag.exporters.onnx.call import Call, Size
from qdiag.exporters.onnx.operators.kind import Writer, Written

_TYPES = {torch.float32: 1, torch.float64: 1, torch.float16: 1, torch.bfloat16: 1, torch.int64: 7, torch.int32: 6}
"""Of elements, as ONNX counts them; every float is float32."""
_BOOL = 9


def _sym_size(call: Call) -> Size:
    axis = int(call.get("dim", call.get("1", 0)))
    axis %= max(len(call.shape("self")), 1)
    return Size(call.add("Shape", call.tensor("self"), start=axis, end=axis + 1))


def _filled(value: float | None) -> Writer:
    def write(call: Call) -> str:
        example: Any = call.example()
        wanted = call.get("size", call.get("shape"))
        content = float(call.get("fill_value", 0.0) if value is None else value)
        array = np.array(content, np.float32 if example.dtype.is_floating_point else np.int64)
        constant = call.graph.constant(f"number_{content:g}", array)
        is_alike = wanted is None
        shape = call.add("Shape", call.tensor("self"), suffix="/shape") if is_alike else call.sizes(wanted)
        return call.add("Expand", constant, shape)

    return write


def _cast(call: Call) -> str:
    """Between floats nothing is left to do: all of them are float32 in the file."""
    key = "self" if call.has("self") else "input"
    source, target = call.example(key).dtype, call.example().dtype
    x = call.tensor(key)
    if source == target or (source.is_floating_point and target.is_floating_point):
        return x
    code = _BOOL if target == torch.bool else _TYPES.get(target)
    if code is None:
        raise call.error(f"to {target} is not written")
    return call.add("Cast", x, to=code)


def _compared(op: str) -> Writer:
    def write(call: Call) -> Written:
        return call.add(op, call.tensor("self"), call.operand("other"))

    return write


def _not_equal(call: Call) -> str:
    return call.add("Not", call.add("Equal", call.tensor("self"), call.operand("other"), suffix="/equal"))


OPERATORS: Mapping[str, Writer] = {
    **dict.fromkeys(("sym_size", "size"), _sym_size),
    **dict.fromkeys(("zeros", "zeros_like", "new_zeros"), _filled(0.0)),
    **dict.fromkeys(("ones", "ones_like", "new_ones"), _filled(1.0)),
    **dict.fromkeys(("full", "full_like", "new_full"), _filled(None)),
    **dict.fromkeys(("to", "_to_copy", "type_as"), _cast),
    "gt": _compared("Greater"),
    "ge": _compared("GreaterOrEqual"),
    "lt": _compared("Less"),
    "le": _compared("LessOrEqual"),
    "eq": _compared("Equal"),
    "ne": _not_equal,
    "logical_not": lambda call: call.add("Not", call.tensor("self")),
    "bitwise_not": lambda call: call.add("Not", call.tensor("self")),
}
