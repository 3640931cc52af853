"""Values that stand several times."""

from collections.abc import Mapping, Sequence

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


OPERATORS: Mapping[str, Write] = {
    **dict.fromkeys(("expand", "expand_as"), _expanded),
    **dict.fromkeys(("repeat", "tile"), _repeated),
}
