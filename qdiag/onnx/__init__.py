"""ONNX files as networks: read as data, and computed by ATen operations."""
