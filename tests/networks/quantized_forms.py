"""One quantized convolution as different tools write it: QDQ of several opsets, and what is no QDQ at all."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.networks.onnx_files import Array

_RNG = np.random.default_rng(0)
WEIGHT = (0.3 * _RNG.standard_normal((4, 3, 3, 3))).astype(np.float32)
_BIAS = (0.1 * _RNG.standard_normal(4)).astype(np.float32)
_SCALE = (np.abs(WEIGHT).max((1, 2, 3)) / 127).astype(np.float32)
_INTEGERS = np.round(WEIGHT / _SCALE.reshape(-1, 1, 1, 1)).astype(np.int8)
_ROWS = (0.1 * _RNG.standard_normal((5, 108))).astype(np.float32)
SHAPE = (3, 6, 6)


def _f32(*values: float) -> Array:
    return np.asarray(values if len(values) > 1 else values[0], np.float32)


_CONSTANTS: dict[str, Array] = {
    "sx": _f32(0.03),
    "zx": np.asarray(120, np.uint8),
    "sy": _f32(0.05),
    "zy": np.asarray(128, np.uint8),
    "w": WEIGHT,
    "b": _BIAS,
    "wi": _INTEGERS,
    "ws": _SCALE,
    "wz": np.zeros(4, np.int8),
    "bi": np.round(_BIAS / (np.float32(0.03) * _SCALE)).astype(np.int32),
    "bs": np.float32(0.03) * _SCALE,
    "one": _f32(float(_SCALE.max())),
    "sh": np.asarray(0.03, np.float16),
    "sx1": np.asarray([0.03], np.float32),
    "zx1": np.asarray([120], np.uint8),
    "zi": np.asarray(0, np.int8),
    "low": np.asarray(0, np.int8),
    "high": np.asarray(127, np.int8),
    "rows": _ROWS,
    "sr": np.full(5, 0.003, np.float32),
    "zr": np.zeros(5, np.int8),
    "blocks": np.ones((108, 8), np.int8),
    "sb": np.ones((9, 8), np.float32),
    "packed": np.zeros((8, 4, 16), np.uint8),
    "sp": np.zeros(32, np.float32),
    "end": _f32(1.0),
}


def _node(op: str, inputs: str, output: str, domain: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), output.split(), name=f"{output}_n", domain=domain, **attributes)


def _file(nodes: Sequence[Any], opset: int = 13, domains: Sequence[str] = (), tensors: Sequence[Any] = ()) -> bytes:
    read = {name for node in nodes for name in node.input}
    constants = [numpy_helper.from_array(array, name) for name, array in _CONSTANTS.items() if name in read]
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *SHAPE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [*constants, *tensors],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    done: bytes = helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString()
    return done


_IN = [_node("QuantizeLinear", "x sx zx", "xq"), _node("DequantizeLinear", "xq sx zx", "xd")]
_OUT = [_node("QuantizeLinear", "c sy zy", "yq"), _node("DequantizeLinear", "yq sy zy", "y")]
_STORED = [_node("DequantizeLinear", "wi ws wz", "wd", axis=0)]
_ROUNDED = [_node("QuantizeLinear", "w ws wz", "wq", axis=0), _node("DequantizeLinear", "wq ws wz", "wd", axis=0)]
_BIAS_TOO = [_node("DequantizeLinear", "bi bs", "bd", axis=0)]
_FLAT = _node("Flatten", "xd", "f")


def _conv(bias: str = "b") -> list[Any]:
    return [_node("Conv", f"xd wd {bias}", "c", kernel_shape=[3, 3])]


def _as_nodes(nodes: Sequence[Any], *names: str) -> bytes:
    """The same with some constants as nodes, which PyTorch's exporters write."""
    made = [_node("Constant", "", name, value=numpy_helper.from_array(_CONSTANTS[name])) for name in names]
    model = ModelProto.FromString(_file([*made, *nodes]))
    kept = [one for one in model.graph.initializer if one.name not in names]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    done: bytes = model.SerializeToString()
    return done


def read_forms() -> Mapping[str, bytes]:
    """Forms that are read; each has the same network in it."""
    half = [
        _node("Cast", "x", "xh", to=TensorProto.FLOAT16),
        _node("QuantizeLinear", "xh sh zx", "xq"),
        _node("DequantizeLinear", "xq sh zx", "xdh"),
        _node("Cast", "xdh", "xd", to=TensorProto.FLOAT),
    ]
    plain = [_node("QuantizeLinear", "x sx", "xq"), _node("DequantizeLinear", "xq sx", "xd")]
    typed = [_node("QuantizeLinear", "x sx", "xq", output_dtype=TensorProto.INT8), plain[1]]
    single = [_node("QuantizeLinear", "x sx1 zx1", "xq"), _node("DequantizeLinear", "xq sx1 zx1", "xd")]
    clipped = [_node("QuantizeLinear", "x sx zi", "xq"), _node("Clip", "xq low high", "xc")]
    clipped += [_node("DequantizeLinear", "xc sx zi", "xd")]
    named = [_node("Identity", "sx", "sx2"), _node("QuantizeLinear", "x sx2 zx", "xq")]
    named += [_node("DequantizeLinear", "xq sx2 zx", "xd")]
    old = [_node("QuantizeLinear", "w one zi", "wq"), _node("DequantizeLinear", "wq one zi", "wd")]
    turned = [_node("Transpose", "rows", "rt", perm=[1, 0]), _node("QuantizeLinear", "rt sr zr", "rq", axis=1)]
    turned += [_node("DequantizeLinear", "rq sr zr", "wd", axis=1), _node("MatMul", "f wd", "c")]
    return {
        "integer weights and biases with an axis": _file([*_IN, *_STORED, *_BIAS_TOO, *_conv("bd"), *_OUT]),
        "an axis from the end": _file([*_IN, _node("DequantizeLinear", "wi ws wz", "wd", axis=-4), *_conv(), *_OUT]),
        "no bias quantized, float weights rounded in the file": _file([*_IN, *_ROUNDED, *_conv(), *_OUT]),
        "constants as nodes": _as_nodes([*_IN, *_ROUNDED, *_conv(), *_OUT], "sx", "zx", "ws", "w"),
        "no zero points": _file([*plain, _node("DequantizeLinear", "wi ws", "wd", axis=0), *_conv(), *_OUT]),
        "scales of one axis": _file([*single, *_STORED, *_conv(), *_OUT]),
        "scales under another name": _file([*named, *_STORED, *_conv(), *_OUT]),
        "integers that are clipped": _file([*clipped, *_STORED, *_conv(), *_OUT]),
        "a weight that is transposed first": _file([*_IN, _FLAT, *turned, *_OUT]),
        "opset 10, one scale": _file([*_IN, *old, *_conv(), *_OUT], 10),
        "opset 19, scales of half precision": _file([*half, *_STORED, *_conv(), *_OUT], 19),
        "opset 21, the type as an attribute": _file([*typed, *_STORED, *_conv(), *_OUT], 21),
    }


def packed_form() -> bytes:
    """Operators on integers, with integers that are moved and padded between them."""
    pads = numpy_helper.from_array(np.asarray([0, 0, 1, 1, 0, 0, 0, 0], np.int64), "pads")
    nodes = [
        _IN[0],
        _node("QLinearConv", "xq sx zx wi ws wz sy zy bi", "cq", kernel_shape=[3, 3]),
        _node("Pad", "cq pads zy", "pq", mode="constant"),
        _node("MaxPool", "pq", "mq", kernel_shape=[2, 2]),
        _node("QLinearAdd", "mq sy zy mq sy zy sy zy", "aq", "com.microsoft"),
        _node("DequantizeLinear", "aq sy zy", "y"),
    ]
    return _file(nodes, 13, ["com.microsoft"], [pads])


def refused_forms() -> Mapping[str, tuple[bytes, str, str]]:
    """Forms that are refused: what is said, and what to do instead."""
    four = helper.make_tensor("w4", TensorProto.INT4, [108, 4], np.zeros(432, np.int8))
    eight = helper.make_tensor("z8", TensorProto.FLOAT8E4M3FN, [], [0.0])
    nodes = _node("MatMulNBits", "f packed sp", "y", "com.microsoft", K=108, N=8, bits=4, block_size=32)
    dynamic = [_node("DynamicQuantizeLinear", "x", "xq xs xz"), _node("ConvInteger", "xq wi xz", "c")]
    fp8 = [_node("TRT_FP8QuantizeLinear", "x sx", "xq", "trt"), _node("TRT_FP8DequantizeLinear", "xq sx", "y", "trt")]
    flat, own = _node("Flatten", "x", "f"), "export the network as ONNX with QuantizeLinear"
    product, floats, intel = (
        _node("MatMul", "f wd", "y"),
        _node("QuantizeLinear", "x sx z8", "xq"),
        "org.openvinotoolkit",
    )
    return {
        "blocks of opset 21": (
            _file(
                [
                    flat,
                    _node("DequantizeLinear", "blocks sb", "wd", axis=0, block_size=12),
                    _node("MatMul", "f wd", "y"),
                ],
                21,
            ),
            "DequantizeLinear wd_n: it has a scale for each block",
            "one scale for each tensor or channel",
        ),
        "4-bit integers": (
            _file([flat, _node("DequantizeLinear", "w4 one", "wd"), product], 21, tensors=[four]),
            "the tensor w4 holds int4",
            "give the float network",
        ),
        "8-bit floats": (
            _file(
                [floats, _node("DequantizeLinear", "xq sx z8", "y")],
                19,
                tensors=[eight],
            ),
            "the tensor z8 holds float8_e4m3fn",
            "give the float network",
        ),
        "ranges that are found while it runs": (
            _file([*dynamic, _node("Cast", "c", "y", to=TensorProto.FLOAT)]),
            "this network is quantized while it runs: xq xs xz_n is a DynamicQuantizeLinear",
            "quantize_static",
        ),
        "MatMulNBits": (
            _file([flat, nodes], 21, ["com.microsoft"]),
            "com.microsoft.MatMulNBits",
            "a scale for each block",
        ),
        "quantizers of NNCF": (
            _file([_node("FakeQuantize", "x end end end end", "y", intel, levels=256)], 13, [intel]),
            "org.openvinotoolkit.FakeQuantize",
            own,
        ),
        "quantizers of AIMET": (
            _file([_node("QcQuantizeOp", "x", "y", "aimet.customop")], 13, ["aimet.customop"]),
            "aimet.customop.QcQuantizeOp",
            own,
        ),
        "8-bit floats of TensorRT": (_file(fp8, 13, ["trt"]), "trt.TRT_FP8QuantizeLinear", "8-bit floats"),
    }
