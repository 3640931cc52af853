"""Operators on integers taken apart: the tensor in float between them is shown by a name of the file."""

import numpy as np

from qdiag.onnx.model import OnnxGraph, OnnxNode
from qdiag.onnx.quantized.unpack import name_in_file, unpacked


def test_what_has_no_name_in_float_is_shown_by_that_of_its_integers() -> None:
    constants = {"s": np.array(0.1, np.float32), "z": np.array(0, np.uint8)}
    numbers = ("s", "z")
    sigmoid = OnnxNode("QLinearSigmoid", "com.microsoft", "end_quant", ("x", *numbers, *numbers), ("y_quantized",), {})
    last = OnnxNode("DequantizeLinear", "", "end", ("y_quantized", *numbers), ("y",), {})
    found = unpacked(OnnxGraph((sigmoid, last), (), ("y",), constants, 17))
    (made,) = [node for node in found.nodes if node.op == "Sigmoid"]
    assert made.outputs != ("y",), "the name of the output is that of another tensor"
    assert name_in_file(made.outputs[0]) == "y_quantized" and name_in_file("y") == "y"
