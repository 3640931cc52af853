"""Pooling, means, sums and extremes along axes."""

from collections.abc import Mapping, Sequence
from typing import Any

from qdiag.exporters.onnx.call import Call
from qdiag.exporters.onnx.operators.kind import Writer, Written


def _each(value: Any, axes: int) -> list[int]:
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    return [int(n) for n in (numbers * axes if len(numbers) == 1 else numbers)]


def _window(call: Call, axes: int) -> dict[str, Any]:
    """Kernel, strides and padding; where sizes are rounded up, the end of each axis is padded with what is missing.

    ONNX keeps a window that would begin in the padding, which torch leaves out, and has no such padding to count.
    """
    kernel, stride = _each(call.get("kernel_size"), axes), call.get("stride")
    strides = _each(stride, axes) if stride not in (None, []) else kernel
    pads = _each(call.get("padding", 0), axes) * 2
    if call.get("ceil_mode", False):
        dilation = _each(call.get("dilation", 1), axes) if call.has("dilation") else [1] * axes
        first = call.example()
        given = list((first[0] if isinstance(first, list) else first).shape[-axes:])
        each = zip(call.shape("self")[-axes:], kernel, strides, dilation, pads, given, strict=False)
        pads[axes:] = [max(0, (o - 1) * s + d * (k - 1) + 1 - i - p) for i, k, s, d, p, o in each]
    return {"kernel_shape": kernel, "strides": strides, "pads": pads}


def _avg_pool(axes: int) -> Writer:
    def write(call: Call) -> str:
        if call.has("divisor_override"):
            raise call.error("with a divisor of its own is not written")
        counted, window, x = bool(call.get("count_include_pad", True)), _window(call, axes), call.tensor("self")
        before, after = window["pads"][:axes], window["pads"][axes:]
        if counted and after != before:  # torch counts its own padding, and not what a size that is rounded up adds
            own = [0] * (len(call.shape("self")) - axes)
            kept = list(map(min, before, after))
            x = call.moved(x, "Pad", call.graph.integers([*own, *before, *own, *kept]), suffix="/padded")
            window["pads"] = [0] * axes + [a - k for a, k in zip(after, kept, strict=True)]
            counted = False
        return call.add("AveragePool", x, **window, count_include_pad=int(counted))

    return write


def _max_pool(axes: int) -> Writer:
    def write(call: Call) -> Written:
        x = call.tensor("self")
        dilations = _each(call.get("dilation", 1), axes)
        out = call.moved(x, "MaxPool", **_window(call, axes), dilations=dilations)
        return [out] if isinstance(call.example(), list) else out

    return write


def _adaptive(op: str, axes: int) -> Writer:
    """Windows that all have one size; what torch makes of other sizes has no operator."""

    def write(call: Call) -> Written:
        size = _each(call.get("output_size"), axes)
        image = call.shape("self")[-axes:]
        x = call.tensor("self")
        is_average = op == "AveragePool"
        if any(wanted and have % wanted for have, wanted in zip(image, size, strict=True)):
            raise call.error(
                f"of an image of {'x'.join(map(str, image))} to {'x'.join(map(str, size))} has unequal windows"
            )
        if is_average and all(wanted == 1 for wanted in size):
            return call.add("GlobalAveragePool", x)
        kernel = [have // wanted for have, wanted in zip(image, size, strict=True)]
        out = (
            call.add(op, x, kernel_shape=kernel, strides=kernel)
            if is_average
            else call.moved(x, op, kernel_shape=kernel, strides=kernel)
        )
        return [out] if isinstance(call.example(), list) else out

    return write


def _axes(call: Call, rank: int) -> list[int]:
    given = call.get("dim")
    if given is None or given == []:
        return list(range(rank))
    return sorted(int(axis) % rank for axis in (given if isinstance(given, Sequence) else [given]))


def _mean(call: Call) -> str:
    """Over the whole image a GlobalAveragePool, which has an integer kernel."""
    x, rank = call.tensor("self"), len(call.shape("self"))
    axes, keeps = _axes(call, rank), bool(call.get("keepdim", False))
    if rank in (3, 4, 5) and axes == list(range(2, rank)):
        if keeps:
            return call.add("GlobalAveragePool", x)
        mean = call.closed(call.add("GlobalAveragePool", x))
        return call.moved(mean, "Squeeze", call.graph.integers(axes), suffix="/squeezed")
    return call.add("ReduceMean", x, call.graph.integers(axes), keepdims=int(keeps))


def _sum(call: Call) -> str:
    x = call.tensor("self")
    axes = call.graph.integers(_axes(call, len(call.shape("self"))))
    return call.add("ReduceSum", x, axes, keepdims=int(bool(call.get("keepdim", False))))


def _extreme(op: str) -> Writer:
    def write(call: Call) -> Written:
        x = call.tensor("self")
        if call.has("other"):
            raise call.error("of two tensors is not written")
        axes = call.graph.integers(_axes(call, len(call.shape("self"))))
        out = call.moved(x, op, axes, keepdims=int(bool(call.get("keepdim", False))))
        return [out] if isinstance(call.example(), list) else out

    return write


def _arg(op: str) -> Writer:
    def write(call: Call) -> str:
        if not call.has("dim"):
            raise call.error("over all axes is not written")
        keeps = int(bool(call.get("keepdim", False)))
        return call.add(op, call.tensor("self"), axis=int(call.get("dim")), keepdims=keeps)

    return write


OPERATORS: Mapping[str, Writer] = {
    **{f"avg_pool{n}d": _avg_pool(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": _max_pool(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": _max_pool(n) for n in (2, 3)},
    **{f"{prefix}adaptive_avg_pool{n}d": _adaptive("AveragePool", n) for n in (1, 2, 3) for prefix in ("", "_")},
    **{f"adaptive_max_pool{n}d": _adaptive("MaxPool", n) for n in (1, 2, 3)},
    "mean": _mean,
    "sum": _sum,
    "amax": _extreme("ReduceMax"),
    "amin": _extreme("ReduceMin"),
    "max": _extreme("ReduceMax"),
    "min": _extreme("ReduceMin"),
    "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"),
}
