"""Images at another size, and images that are sampled along a grid."""

from collections.abc import Mapping

import numpy as np
import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.model import Array
from qdiag.onnx.values import Handle, Size, Value

aten = torch.ops.aten
_NEAREST = {1: aten.upsample_nearest1d.default, 2: aten.upsample_nearest2d.default, 3: aten.upsample_nearest3d.default}
_LINEAR = {
    1: aten.upsample_linear1d.default,
    2: aten.upsample_bilinear2d.default,
    3: aten.upsample_trilinear3d.default,
}


def _resize(call: Call) -> Value:
    """Sizes, or factors of which the size is rounded down."""
    scope, x = call.scope, call.x()
    shape = scope.shape(x)
    if call.opset < 11 or call.node.op == "Upsample":
        scales, sizes = _factors(call, 1), None
        where = "asymmetric"
    else:
        scales, sizes = _factors(call, 2), call.sizes(3)
        where = str(call.attribute("coordinate_transformation_mode", "half_pixel"))
    axes = [int(a) % len(shape) for a in call.attribute("axes", range(len(shape)))]
    wanted: list[Size] = list(shape)
    for place, axis in enumerate(axes):
        if sizes:
            wanted[axis] = sizes[place]
        elif scales:
            wanted[axis] = int(float(int(shape[axis])) * scales[place]) if scales[place] != 1.0 else shape[axis]
    if str(call.attribute("keep_aspect_ratio_policy", "stretch")) != "stretch":
        raise call.error("sizes that keep the aspect ratio are not computed")
    if any(w is not s and w != s for w, s in zip(wanted[:2], shape[:2], strict=True)) or not 3 <= len(shape) <= 5:
        raise call.error("only the axes of an image are resized")
    factor = None if sizes or not scales else [float(scales[axes.index(a)]) for a in range(2, len(shape)) if a in axes]
    return _at(call, x, [int(w) for w in wanted[2:]], factor, where)


def _factors(call: Call, index: int) -> list[float] | None:
    if "scales" in call.node.attributes:
        return [float(s) for s in call.attribute("scales")]
    array = call.known(index)
    return None if array is None or not array.size else [float(s) for s in array.reshape(-1)]


def _at(call: Call, x: Handle, wanted: list[int], factor: list[float] | None, where: str) -> Value:
    scope, count = call.scope, len(wanted)
    mode = str(call.attribute("mode", "nearest"))
    own = [int(s) for s in scope.shape(x)[2:]]
    if own == wanted:
        return x
    if factor is not None and len(factor) != count:
        factor = None
    given: list[float | None] = [None] * count if factor is None else list(factor)
    if mode == "nearest":
        rounding = str(call.attribute("nearest_mode", "round_prefer_floor" if call.opset >= 11 else "floor"))
        if _is_plain_nearest(own, wanted, where, rounding):
            return scope.call(_NEAREST[count], x, wanted, *given)
        factors = factor or [w / o for w, o in zip(wanted, own, strict=True)]
        for axis, (size, target, one) in enumerate(zip(own, wanted, factors, strict=True)):
            places = _places(call, size, target, one, where, rounding)
            x = scope.call(aten.index_select.default, x, axis + 2, scope.constant(places))
        return x
    if call.attribute("antialias", 0) or call.attribute("exclude_outside", 0):
        raise call.error("antialiasing and exclude_outside are not computed")
    corners = where == "align_corners"
    if where == "asymmetric" and mode == "linear" and count in _LINEAR:
        return _asymmetric(call, x, own, wanted, factor)
    if not corners and where not in ("half_pixel", "pytorch_half_pixel"):
        raise call.error(f"{mode} interpolation with {where} coordinates is not computed")
    if mode == "cubic" and count == 2:
        if abs(float(call.attribute("cubic_coeff_a", -0.75)) + 0.75) > 1e-6:
            raise call.error("cubic interpolation with another coefficient than -0.75 is not computed")
        return scope.call(aten.upsample_bicubic2d.default, x, wanted, corners, *given)
    if mode != "linear" or count not in _LINEAR:
        raise call.error(f"{mode} interpolation over {count} axes is not computed")
    return scope.call(_LINEAR[count], x, wanted, corners, *given)


def _asymmetric(call: Call, x: Handle, own: list[int], wanted: list[int], factor: list[float] | None) -> Value:
    """Places j / factor: those of aligned corners where the last value stands twice; the last result is left out."""
    scope, count = call.scope, len(wanted)
    for size, target, one in zip(own, wanted, factor or [], strict=False):
        if abs(one * size - target) > 1e-4 * target:
            raise call.error(f"linear interpolation with asymmetric coordinates from {size} to {target} by {one:g}")
    x = scope.call(aten.pad.default, x, [0, 1] * count, "replicate")
    x = scope.call(_LINEAR[count], x, [size + 1 for size in wanted], True, *[None] * count)
    for axis, size in enumerate(wanted, 2):
        x = scope.call(aten.slice.Tensor, x, axis, 0, size)
    return x


def _is_plain_nearest(own: list[int], wanted: list[int], where: str, rounding: str) -> bool:
    """torch rounds down; a whole factor makes several ways of ONNX the same."""
    whole = all(w % o == 0 for w, o in zip(wanted, own, strict=True))
    centred = where in ("half_pixel", "pytorch_half_pixel") and rounding in ("round_prefer_floor", "round_prefer_ceil")
    return (where == "asymmetric" and rounding == "floor") or (whole and centred)


def _places(call: Call, size: int, target: int, factor: float, where: str, rounding: str) -> Array:
    """Which element of an axis each new one takes, by ONNX's formulas."""
    place = np.arange(target, dtype=np.float32)
    match where:
        case "half_pixel":
            at = (place + 0.5) / factor - 0.5
        case "pytorch_half_pixel":
            at = (place + 0.5) / factor - 0.5 if target > 1 else np.zeros(1)
        case "asymmetric":
            at = place / factor
        case "tf_half_pixel_for_nn":
            at = (place + 0.5) / factor
        case "half_pixel_symmetric":
            shift = size / 2.0 * (1.0 - target / (factor * size))
            at = shift + (place + 0.5) / factor - 0.5
        case "align_corners":
            at = place * (size - 1) / max(target - 1, 1)
        case _:
            raise call.error(f"coordinates by {where} are not computed")
    match rounding:
        case "floor":
            found = np.floor(at)
        case "ceil":
            found = np.ceil(at)
        case "round_prefer_floor":
            found = np.ceil(at - 0.5)
        case _:
            found = np.floor(at + 0.5)
    return np.asarray(np.clip(found, 0, size - 1), dtype=np.int64)


def _grid_sample(call: Call) -> Value:
    modes = {"linear": 0, "bilinear": 0, "nearest": 1, "cubic": 2, "bicubic": 2}
    borders = {"zeros": 0, "border": 1, "reflection": 2}
    scope = call.scope
    if scope.rank(call.value(0)) != 4:
        raise call.error("only images of two axes are sampled")
    mode, border = (str(call.attribute(n, d)) for n, d in (("mode", "linear"), ("padding_mode", "zeros")))
    corners = bool(call.attribute("align_corners", 0))
    return scope.call(aten.grid_sampler.default, call.x(0), call.x(1), modes[mode], borders[border], corners)


OPERATORS: Mapping[str, Operator] = {"Resize": _resize, "Upsample": _resize, "GridSample": _grid_sample}
