"""What kernels of integers ask of scales and types, by operator."""

from collections.abc import Mapping

JOINING = ("CONCATENATION", "PACK", "MAXIMUM", "MINIMUM")
"""Operators whose kernels ask for one scale of all that they read and give."""
SAME_SCALE = (
    *("RESHAPE", "TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "SQUEEZE"),
    *("EXPAND_DIMS", "UNPACK", "GATHER", "TILE", "BROADCAST_TO", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
    *("MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR", "REDUCE_MAX", "REDUCE_MIN"),
)
"""Operators whose kernels ask for one scale of what they read and what they give."""
WITH_INT16 = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL", "ADD"),
    *("SUB", "MUL", "MEAN"),
    *("LOGISTIC", "TANH", "SOFTMAX", "RELU", "RELU6", "LEAKY_RELU", "CONCATENATION", "MAXIMUM", "MINIMUM"),
    *("RESHAPE", "TRANSPOSE", "PAD", "PADV2", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "SQUEEZE", "EXPAND_DIMS"),
    *("MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR", "PACK", "UNPACK"),
)
"""Operators that have a kernel for int16."""
WITH_BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
"""Where the bias stands."""
FIXED: Mapping[str, tuple[float, int]] = {
    "LOGISTIC": (2.0**-8, -128),
    "SOFTMAX": (2.0**-8, -128),
    "TANH": (2.0**-7, 0),
    "L2_NORMALIZATION": (2.0**-7, 0),
    "LOG_SOFTMAX": (2.0**-4, 127),
}
"""Scale and zero point of what kernels give in int8; in int16, those of the first three give 2^-15 and 0."""
