"""Channels that become pixels, pixels that become channels, and channels in another order."""

from collections.abc import Mapping

import numpy as np

from qdiag.exporters.litert.build import Held
from qdiag.exporters.litert.call import Call, Write


def _image(call: Call) -> Held:
    x = call.build.in_order(call.held("self"), "last")
    if x.order != "last":
        raise call.error("of other values than images is not written")
    return x


def _shuffled(call: Call) -> Held:
    """DEPTH_TO_SPACE counts the channels of a pixel last, and PyTorch first."""
    x, factor = _image(call), int(call.get("upscale_factor"))
    shape, block = call.build.shape(x), factor * factor
    if shape[-1] != block:
        rows = call.build.reshaped(x, (shape[0], shape[1] * shape[2], shape[3] // block, block), f"{call.name}/blocks")
        turned = call.build.transposed(rows, (0, 1, 3, 2), f"{call.name}/channels last")
        x = call.build.reshaped(turned, shape, f"{call.name}/pixels")
    return call.moved("DEPTH_TO_SPACE", x, [], call.image(call.shape()), "last", blockSize=factor)


def _unshuffled(call: Call) -> Held:
    x, factor = _image(call), int(call.get("downscale_factor"))
    shape = call.image(call.shape())
    blocks = call.build.value(f"{call.name}/blocks", shape, "last", x.quantizer)
    call.build.operator("SPACE_TO_DEPTH", [x.place], [blocks.place], blockSize=factor)
    return _gathered(call, blocks, factor * factor)


def _channels(call: Call) -> Held:
    """Channels in groups: the first of each group, then the second of each, and so on."""
    return _gathered(call, _image(call), int(call.get("groups")))


def _gathered(call: Call, x: Held, count: int) -> Held:
    """Channels that are counted as (count, others), counted as (others, count)."""
    channels = np.arange(call.build.shape(x)[-1], dtype=np.int32)
    places = np.ascontiguousarray(channels.reshape(count, -1).T).reshape(-1)
    if np.array_equal(places, channels):
        return x
    where = call.build.constant("channels", places)
    return call.moved("GATHER", x, [where], call.build.shape(x), "last", axis=3)


OPERATORS: Mapping[str, Write] = {
    "pixel_shuffle": _shuffled,
    "pixel_unshuffle": _unshuffled,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), _channels),
}
