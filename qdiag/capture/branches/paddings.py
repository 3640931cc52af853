"""Operations that continue or crop an image, as maps: also the frame that a diverse branch block lays around it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.capture.branches.constants import Constants, sizes_of
from qdiag.capture.ops import operation_name
from qdiag.numerics.convolutions.chained import chained
from qdiag.numerics.convolutions.conv_map import ConvMap, PaddingMode, Sizes, padding_map

Found = tuple[fx.Node, Callable[[ConvMap], ConvMap], tuple[fx.Node, ...]]
"""What is read, the map behind the map that leads there, and further nodes that belong to it."""

_MODES: dict[str, PaddingMode] = {
    **{f"reflection_pad{d}d": "reflect" for d in (1, 2, 3)},
    **{f"replication_pad{d}d": "replicate" for d in (1, 2, 3)},
}
_ALL = 1 << 62
"""An end beyond this is the end of the axis."""
_FRAMING = ("slice_scatter", "select_scatter", "slice", "select", "copy", "pad", "constant_pad_nd")


def padding_of(node: fx.Node, constants: Constants) -> Found | None:
    """The operation as a map; None where it does anything else."""
    name, x = operation_name(node), node.args[0] if node.args else None
    if not isinstance(x, fx.Node) or x not in constants.data:
        return None
    if name in ("slice_scatter", "select_scatter"):
        return _frame(node, constants)
    if name == "slice":
        return _slice(node, x)
    pads = _pads(node, name)
    if pads is None:
        return None
    (before, after), mode = pads
    return x, lambda one: chained(one, padding_map(len(one.constant), before, after, mode)), ()


def _pads(node: fx.Node, name: str) -> tuple[tuple[Sizes, Sizes], PaddingMode] | None:
    """Sizes before and after along each axis, and what is put there; None for numbers other than zero."""
    rank = len(sizes_of(node)) - 2
    mode: PaddingMode = _MODES.get(name, "zeros")
    if name == "pad":
        given = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")
        value = node.args[3] if len(node.args) > 3 else node.kwargs.get("value")
        named: dict[object, PaddingMode] = {"constant": "zeros", "reflect": "reflect", "replicate": "replicate"}
        named["circular"] = "circular"
        if given not in named:
            return None
        mode = named[given]
    elif name == "constant_pad_nd":
        value = node.args[2] if len(node.args) > 2 else node.kwargs.get("value", 0)
    elif name in _MODES:
        value = None
    else:
        return None
    flat: Any = node.args[1]
    if value or len(flat) > 2 * rank or not all(isinstance(size, int) for size in flat):
        return None
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)] + [(0, 0)] * (rank - len(flat) // 2)
    pairs.reverse()  # the last axis came first
    return (tuple(b for b, _ in pairs), tuple(a for _, a in pairs)), mode


def _slice(node: fx.Node, x: fx.Node) -> Found | None:
    """A part of an image along one axis; along the batch only the whole."""
    arguments: list[Any] = [*node.args[1:], None, None, None, None]
    dim, start, end, step = arguments[:4]
    if node.kwargs or not all(isinstance(a, int | None) for a in arguments) or step not in (None, 1):
        return None
    axis = (dim or 0) % len(sizes_of(x))
    size, start, end = sizes_of(x)[axis], start or 0, _ALL if end is None else end
    if size < 0 or axis < 2:  # nothing may be left out there
        return (x, lambda one: one, ()) if start == 0 and end >= _ALL else None
    first = min(max(start + size if start < 0 else start, 0), size)
    last = min(max(end + size if end < 0 else end, first), size)
    before = tuple(-first if i == axis - 2 else 0 for i in range(len(sizes_of(x)) - 2))
    after = tuple(last - size if i == axis - 2 else 0 for i in range(len(sizes_of(x)) - 2))
    return x, lambda one: chained(one, padding_map(len(one.constant), before, after)), ()


def _frame(node: fx.Node, constants: Constants) -> Found | None:
    """A padded image whose border was written over with one value per channel.

    What the nodes do is tried: the inside has to come out as it went in, and the border as one value per channel.
    """
    nodes, pads = _framing(node, constants)
    if len(pads) != 1:
        return None
    (pad,) = pads
    base, borders = pad.args[0], _pads(pad, operation_name(pad))
    if not isinstance(base, fx.Node) or borders is None or -1 in sizes_of(base)[1:]:
        return None
    (before, after), _ = borders
    if any(size < 0 for size in (*before, *after)):
        return None
    fill = _border(node, base, before, constants)
    if fill is None:
        return None
    inner = tuple(n for n in nodes if n is not node)
    return base, lambda one: chained(one, padding_map(len(one.constant), before, after), fill), inner


def _framing(node: fx.Node, constants: Constants) -> tuple[list[fx.Node], list[fx.Node]]:
    """The nodes with data that lead from a padding to the node, and the paddings among them."""
    seen: dict[fx.Node, None] = {}
    pads = []
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen[at] = None
        if operation_name(at) in ("pad", "constant_pad_nd"):
            pads.append(at)
        elif operation_name(at) in _FRAMING:
            waiting += [i for i in at.all_input_nodes if i in constants.data]
        else:
            return [], []
    return list(seen), pads


def _border(node: fx.Node, base: fx.Node, before: Sizes, constants: Constants) -> Tensor | None:
    """The one value of every channel in the border, (C,); None where there is no such thing."""
    count, *sizes = sizes_of(base)
    probe = torch.randn(max(count, 1), *sizes, generator=torch.Generator().manual_seed(0))
    try:
        framed: Tensor = constants.value(node, {base: probe})
    except RuntimeError:  # its sizes are not those of one sample: whatever it is, no frame is seen
        return None
    window = (slice(None), slice(None), *(slice(b, b + n) for b, n in zip(before, sizes[1:], strict=True)))
    if not torch.equal(framed[window], probe):
        return None
    is_border = torch.ones(framed.shape[2:], dtype=torch.bool)
    is_border[window[2:]] = False
    border = framed.movedim(0, 1)[:, :, is_border].flatten(1)
    return border[:, 0] if bool((border == border[:, :1]).all()) else None
