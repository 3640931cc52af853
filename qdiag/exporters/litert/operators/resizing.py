"""Images of another size; integers stay at the quantizer of what is resized, as kernels ask."""

from collections.abc import Mapping

from qdiag.exporters.litert.build import Held
from qdiag.exporters.litert.call import Call, Write
from qdiag.exporters.litert.operators.convolutions import ORDERS


def _resized(call: Call, kind: str, **options: bool) -> Held:
    if len(call.shape()) not in ORDERS:
        raise call.error("of other values than images and signals is not written")
    order, shape = ORDERS[len(call.shape())], call.image(call.shape())
    x = call.build.in_order(call.held("self" if call.get("self") is not None else "input"), order)
    result = call.build.value(call.name, shape, order, x.quantizer)
    call.build.operator(kind, [x.place, call.build.sizes(shape[1:3])], [result.place], **options)
    return call.clamped(result) if call.ending.clamp is not None else result


def _bilinear(call: Call) -> Held:
    corners = bool(call.get("align_corners", False))
    return _resized(call, "RESIZE_BILINEAR", alignCorners=corners, halfPixelCenters=not corners)


def _nearest(call: Call) -> Held:
    return _resized(call, "RESIZE_NEAREST_NEIGHBOR", alignCorners=False, halfPixelCenters=False)


def _nearest_exact(call: Call) -> Held:
    return _resized(call, "RESIZE_NEAREST_NEIGHBOR", alignCorners=False, halfPixelCenters=True)


OPERATORS: Mapping[str, Write] = {
    **dict.fromkeys(("upsample_linear1d", "upsample_bilinear2d"), _bilinear),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d"), _nearest),
    "_upsample_nearest_exact2d": _nearest_exact,
}
