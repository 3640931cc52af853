"""Upsampling, padding, and the shuffling of pixels and channels."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qdiag.exporters.onnx.call import Call
from qdiag.exporters.onnx.operators.kind import Writer

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _scales(call: Call) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Inputs of Resize behind the tensor, and attributes: its factors; sizes where a factor in float32 gives others."""
    own, out = call.shape("self" if call.has("self") else "input"), call.shape()
    if call.has("scale_factors"):
        factors = [float(f) for f in call.get("scale_factors")]
    else:
        factors = [o / i for o, i in zip(out[2:], own[2:], strict=True)]
    values = np.array([1.0, 1.0, *factors], np.float32)
    if not call.has("scale_factors") and any(
        int(float(f) * i) != o for f, i, o in zip(values[2:], own[2:], out[2:], strict=True)
    ):
        return ("", "", call.graph.integers(out[2:])), {"axes": list(range(2, len(out)))}
    return ("", call.graph.constant(f"factors_{'_'.join(f'{f:g}' for f in factors)}", values)), {}


def _input(call: Call) -> str:
    return call.tensor("self" if call.has("self") else "input")


def _nearest(mode: str, coordinates: str) -> Writer:
    def write(call: Call) -> str:
        scales, more = _scales(call)
        more |= {"coordinate_transformation_mode": coordinates, "nearest_mode": mode}
        return call.moved(_input(call), "Resize", *scales, mode="nearest", **more)

    return write


def _smooth(mode: str) -> Writer:
    def write(call: Call) -> str:
        aligned = bool(call.get("align_corners", False))
        coordinates = "align_corners" if aligned else "pytorch_half_pixel"
        scales, more = _scales(call)
        more |= {"cubic_coeff_a": -0.75} if mode == "cubic" else {}
        return call.add("Resize", _input(call), *scales, mode=mode, coordinate_transformation_mode=coordinates, **more)

    return write


def _pads(call: Call, pad: list[int], rank: int) -> str:
    """Torch counts from the last axis, before and after; ONNX lists all befores and then all afters."""
    before, after = [0] * rank, [0] * rank
    for i in range(len(pad) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = int(pad[2 * i]), int(pad[2 * i + 1])
    return call.graph.integers([*before, *after])


def _pad(mode: str | None) -> Writer:
    def write(call: Call) -> str:
        key = "self" if call.has("self") else "input"
        x, rank = call.tensor(key), len(call.shape(key))
        pad = list(call.get("pad" if call.has("pad") else "padding"))
        own = _PAD_MODES[mode or str(call.get("mode", "constant"))]
        value = float(call.get("value", 0.0))
        inputs = (_pads(call, pad, rank), *((call.number(value),) if own == "constant" and value else ()))
        return call.moved(x, "Pad", *inputs, mode=own)

    return write


def _pixel_shuffle(call: Call) -> str:
    return call.moved(call.tensor("self"), "DepthToSpace", blocksize=int(call.get("upscale_factor")), mode="CRD")


def _pixel_unshuffle(call: Call) -> str:
    """Of an image (N, C, H, W): every block of r x r pixels becomes r * r channels, channel by channel."""
    x, (_, channels, height, width) = call.tensor("self"), call.shape("self")
    r = int(call.get("downscale_factor"))
    apart = call.graph.integers([-1, channels, height // r, r, width // r, r])
    x = call.moved(x, "Reshape", apart, suffix="/blocks")
    x = call.moved(x, "Transpose", suffix="/channels", perm=[0, 1, 3, 5, 2, 4])
    return call.moved(x, "Reshape", call.graph.integers([-1, channels * r * r, height // r, width // r]))


def _channel_shuffle(call: Call) -> str:
    x, shape = call.tensor("self" if call.has("self") else "input"), call.shape("self" if call.has("self") else "input")
    groups, rest = int(call.get("groups")), list(shape[2:])
    apart = call.graph.integers([-1, groups, shape[1] // groups, *rest])
    x = call.moved(x, "Reshape", apart, suffix="/groups")
    x = call.moved(x, "Transpose", suffix="/shuffled", perm=[0, 2, 1, *range(3, 3 + len(rest))])
    return call.moved(x, "Reshape", call.graph.integers([-1, *shape[1:]]))


OPERATORS: Mapping[str, Writer] = {
    **dict.fromkeys(
        ("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"), _nearest("floor", "asymmetric")
    ),
    "_upsample_nearest_exact2d": _nearest("round_prefer_ceil", "half_pixel"),
    **dict.fromkeys(("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"), _smooth("linear")),
    "upsample_bicubic2d": _smooth("cubic"),
    "pad": _pad(None),
    "constant_pad_nd": _pad("constant"),
    **dict.fromkeys(("reflection_pad1d", "reflection_pad2d"), _pad("reflect")),
    **dict.fromkeys(("replication_pad1d", "replication_pad2d"), _pad("replicate")),
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), _channel_shuffle),
}
