"""The arithmetic of onnxruntime's integer kernels on a CPU, version 1.32, x86-64; the rules are in docs/arithmetic.md.

What it does not compute with integers it computes in float32 between DequantizeLinear and QuantizeLinear.
"""
