"""QDQ ONNX: the float network with QuantizeLinear and DequantizeLinear at every site of a plan."""
