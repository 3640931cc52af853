"""Pooling over windows, and sums, means and extremes over axes."""

from collections.abc import Mapping

from qdiag.litert.call import Call, Rule
from qdiag.litert.operators.convolutions import window_of


def _pool(op: str) -> Rule:
    """A mean over a window that lies over the border counts what is inside."""

    def run(call: Call) -> None:
        sizes = window_of(call, int(call.option("filterHeight")), int(call.option("filterWidth")))
        sizes.pop("dilations")
        window: dict[str, object] = {**sizes}
        if op == "AveragePool":
            window |= _rounded_up(call, **sizes)
        call.finished(op, [call.read(0, "first")], "first", **window)

    return run


def _rounded_up(call: Call, strides: list[int], pads: list[int], kernel_shape: list[int]) -> dict[str, object]:
    """A border that is wider at the end, as one of equal sides whose last window reaches beyond it, if that is one."""
    before, after = pads[:2], pads[2:]
    if before == after:
        return {}
    for size, k, step, first in zip(call.tensor(0).shape[1:3], kernel_shape, strides, before, strict=True):
        count = -(-(size + 2 * first - k) // step) + 1
        count -= (count - 1) * step >= size + first
        if count != -(-size // step) or 2 * first > k:
            return {}
    return {"pads": before * 2, "ceil_mode": 1}


def _reduced(op: str) -> Rule:
    def run(call: Call) -> None:
        form, rank = call.form, len(call.tensor(0).shape)
        axes = sorted({call.axis(axis, rank, form) for axis in call.integers(1)})
        keeps = bool(call.option("keepDims"))
        x = call.read(0, form)
        if form == "first" and rank == 4 and not keeps and axes != [2, 3] and axes != [1, 2, 3]:
            x, form = call.read(0, "last"), "last"
            axes = sorted({call.axis(axis, rank, form) for axis in call.integers(1)})
        behind = form if keeps else "last"
        call.node(op, [x, call.writer.numbers(axes)], call.put(behind), keepdims=int(keeps))

    return run


def _place(op: str) -> Rule:
    """The place of the first of the largest or smallest."""

    def run(call: Call) -> None:
        rank = len(call.tensor(0).shape)
        axis = call.axis(call.integers(1)[0], rank, "last")
        call.node(op, [call.read(0, "last")], call.put("last"), axis=axis, keepdims=0)

    return run


OPERATORS: Mapping[str, Rule] = {
    "AVERAGE_POOL_2D": _pool("AveragePool"),
    "MAX_POOL_2D": _pool("MaxPool"),
    "MEAN": _reduced("ReduceMean"),
    "SUM": _reduced("ReduceSum"),
    "REDUCE_MAX": _reduced("ReduceMax"),
    "REDUCE_MIN": _reduced("ReduceMin"),
    "REDUCE_PROD": _reduced("ReduceProd"),
    "ARG_MAX": _place("ArgMax"),
    "ARG_MIN": _place("ArgMin"),
}
