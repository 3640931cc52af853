"""ONNX files byte by byte, so that what does not change stays as it was."""
