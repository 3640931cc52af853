"""Small LiteRT files, written operator by operator."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qdiag.litert.model import LiteGraph, LiteOperator, LiteQuantization, LiteTensor
from qdiag.litert.serialize import serialized

Array = npt.NDArray[Any]


def op(kind: str, inputs: str, outputs: str, **options: Any) -> tuple[str, list[str], list[str], dict[str, Any]]:
    """`op("CONV_2D", "x w b", "y", strideH=1, strideW=1)`; a `-` stands for an input that is left out."""
    return kind, inputs.split(), outputs.split(), options


def quantization(scales: Any, zero_points: Any = 0, axis: int = 0) -> LiteQuantization:
    scales = np.atleast_1d(np.asarray(scales, np.float32))
    zeros = np.broadcast_to(np.atleast_1d(np.asarray(zero_points, np.int64)), scales.shape)
    return LiteQuantization(scales, zeros, axis)


def lite_graph(
    operators: Sequence[tuple[str, list[str], list[str], dict[str, Any]]],
    values: Mapping[str, Sequence[int] | Array],
    outputs: str = "y",
    inputs: str = "x",
    quantized: Mapping[str, LiteQuantization] | None = None,
    dtypes: Mapping[str, Any] | None = None,
) -> LiteGraph:
    """A network.

    Args:
        values: constants, and shapes of what is computed; the number of samples is 1.
        dtypes: of what is computed, where it is not float32.
    """
    tensors, quantized, dtypes = [], quantized or {}, dtypes or {}
    for name, value in values.items():
        data = value if isinstance(value, np.ndarray) else None
        shape = tuple(data.shape if data is not None else value)
        dtype = np.dtype(data.dtype if data is not None else dtypes.get(name, np.float32))
        tensors.append(LiteTensor(name, shape, (False,) * len(shape), dtype, data, quantized.get(name)))
    places = {name: place for place, name in enumerate(values)} | {"-": -1}
    made = tuple(
        LiteOperator(kind, tuple(places[n] for n in ins), tuple(places[n] for n in outs), options)
        for kind, ins, outs, options in operators
    )
    chosen = [tuple(places[name] for name in names.split()) for names in (inputs, outputs)]
    return LiteGraph(tuple(tensors), made, chosen[0], chosen[1])


def lite_bytes(*arguments: Any, **keywords: Any) -> bytes:
    """The file of such a network."""
    return serialized(lite_graph(*arguments, **keywords))


def small_cnn(channels: int = 4, seed: int = 0) -> LiteGraph:
    """Two convolutions, a depthwise one, a sum, pooling and a linear layer."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 0.3) -> Array:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    c = channels
    return lite_graph(
        [
            op("CONV_2D", "x stem/w stem/b", "stem", padding=0, strideH=2, strideW=2, fusedActivationFunction=3),
            op("DEPTHWISE_CONV_2D", "stem dw/w dw/b", "dw", strideH=1, strideW=1, depthMultiplier=1),
            op("CONV_2D", "dw pw/w pw/b", "pw", padding=1, strideH=1, strideW=1, fusedActivationFunction=1),
            op("ADD", "stem pw", "sum"),
            op("MEAN", "sum axes", "mean", keepDims=False),
            op("FULLY_CONNECTED", "mean fc/w fc/b", "y"),
        ],
        {
            "x": (1, 8, 8, 3),
            "stem/w": normal(c, 3, 3, 3),
            "stem/b": normal(c),
            "stem": (1, 4, 4, c),
            "dw/w": normal(1, 3, 3, c),
            "dw/b": normal(c),
            "dw": (1, 4, 4, c),
            "pw/w": normal(c, 1, 1, c),
            "pw/b": np.zeros(c, np.float32),
            "pw": (1, 4, 4, c),
            "sum": (1, 4, 4, c),
            "axes": np.asarray([1, 2], np.int32),
            "mean": (1, c),
            "fc/w": normal(5, c),
            "fc/b": normal(5),
            "y": (1, 5),
        },
    )


def small_integer_cnn(seed: int = 0) -> LiteGraph:
    """Float input and output, weights per channel and of float16, a value that is quantized twice, a concat."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> Array:
        return rng.integers(-127, 128, shape).astype(np.int8)

    scales = quantization(rng.uniform(0.002, 0.01, 4), axis=0)
    last = quantization(scales.scales, axis=3)
    bias = quantization(scales.scales * np.float32(0.02))
    return lite_graph(
        [
            op("QUANTIZE", "x", "q"),
            op("CONV_2D", "q stem/w stem/b", "stem", padding=0, strideH=2, strideW=2, fusedActivationFunction=1),
            op("DEPTHWISE_CONV_2D", "stem dw/w dw/b", "dw", strideH=1, strideW=1, depthMultiplier=1),
            op("LOGISTIC", "dw", "gate"),
            op("MUL", "dw gate", "gated"),
            op("QUANTIZE", "stem", "part"),
            op("CONCATENATION", "part gated", "both", axis=3),
            op("MEAN", "both axes", "mean", keepDims=False),
            op("DEQUANTIZE", "mean", "means"),
            op("DEQUANTIZE", "fc/half", "fc/w"),
            op("FULLY_CONNECTED", "means fc/w -", "y"),
        ],
        {
            "x": (1, 6, 6, 3),
            "q": (1, 6, 6, 3),
            "stem/w": weight(4, 3, 3, 3),
            "stem/b": rng.integers(-2000, 2000, 4).astype(np.int32),
            "stem": (1, 3, 3, 4),
            "dw/w": weight(1, 3, 3, 4),
            "dw/b": rng.integers(-2000, 2000, 4).astype(np.int32),
            "dw": (1, 3, 3, 4),
            "gate": (1, 3, 3, 4),
            "gated": (1, 3, 3, 4),
            "part": (1, 3, 3, 4),
            "both": (1, 3, 3, 8),
            "axes": np.asarray([1, 2], np.int32),
            "mean": (1, 8),
            "means": (1, 8),
            "fc/half": rng.standard_normal((5, 8)).astype(np.float16),
            "fc/w": (5, 8),
            "y": (1, 5),
        },
        quantized={
            "q": quantization(0.02, 3),
            "stem/w": scales,
            "stem/b": bias,
            "stem": quantization(0.03, -128),
            "dw/w": last,
            "dw/b": quantization(scales.scales * np.float32(0.03)),
            "dw": quantization(0.06, -4),
            "gate": quantization(1.0 / 256.0, -128),
            **dict.fromkeys(("gated", "part", "both"), quantization(0.05, -60)),
            "mean": quantization(0.02, -50),
        },
        dtypes=dict.fromkeys(("q", "stem", "dw", "gate", "gated", "part", "both", "mean"), np.int8),
    )
