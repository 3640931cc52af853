"""Values that stand several times, and one number everywhere."""

from collections.abc import Mapping, Sequence

import numpy as np

from qdiag.exporters.litert.build import Held
from qdiag.exporters.litert.call import Call, Write
from qdiag.exporters.litert.operators.shapes import source


def _expanded(call: Call) -> Held:
    """Axes of one element with more of them, and more axes in front."""
    x, shape = source(call), call.shape()
    return x if call.in_file(shape, x.order) == call.build.shape(x) else _broadcast(call, x, shape)


def _broadcast(call: Call, x: Held, shape: Sequence[int]) -> Held:
    if len(call.build.shape(x)) != len(shape):
        x = call.build.in_order(x, "plain")
    stored = call.in_file(shape, x.order)
    return call.moved("BROADCAST_TO", x, [call.build.sizes(stored)], stored, x.order)


def _repeated(call: Call) -> Held:
    """The whole several times along its axes."""
    x, shape = source(call), call.shape()
    counts = [int(count) for count in (call.get("repeats") or call.get("dims"))]
    counts = [1] * (len(shape) - len(counts)) + counts
    if len(call.build.shape(x)) != len(shape):
        x = call.build.with_axes(call.build.in_order(x, "plain"), len(shape))
    if set(counts) == {1}:
        return x
    # an image has as many axes in the file, in another order
    stored, times = call.in_file(shape, x.order), call.in_file(counts, x.order)
    return call.moved("TILE", x, [call.build.sizes(times)], stored, x.order)


def _filled(number: float | None) -> Write:
    """A constant in float, whatever is read, such as the first state of a recurrent layer; None for a number given."""

    def write(call: Call) -> Held:
        value = call.get("fill_value") if number is None else number
        if not call.example.is_floating_point() or not isinstance(value, int | float):
            raise call.error("of integers, or with a number that the network computes, is not written")
        return Held(call.build.constant(call.name, np.full(call.shape(), value, np.float32)), "plain", None)

    return write


OPERATORS: Mapping[str, Write] = {
    **dict.fromkeys(("expand", "expand_as"), _expanded),
    **dict.fromkeys(("repeat", "tile"), _repeated),
    **dict.fromkeys(("zeros", "zeros_like", "new_zeros"), _filled(0.0)),
    **dict.fromkeys(("ones", "ones_like", "new_ones"), _filled(1.0)),
    **dict.fromkeys(("full", "full_like", "new_full"), _filled(None)),
}
