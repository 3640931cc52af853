"""The arithmetic of LiteRT's kernels on a CPU, version 2.3, x86-64; the rules are in docs/arithmetic.md.

`tflite-ref` are the reference kernels, `tflite` those that the runtime computes with by itself, and `xnnpack` those of
the delegate that takes over by default. What none of them is known for is computed in float32 here.
"""
