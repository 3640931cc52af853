"""The arithmetic of torch's own quantized kernels on a CPU, version 2.13, x86-64; the rules are in docs/arithmetic.md.

Its engines `fbgemm` and `qnnpack` compute sums of products, and qnnpack some more; everything else is computed by
kernels that both share, and what has none in float32 between `dequantize` and `quantize_per_tensor`, as torch does.
"""
