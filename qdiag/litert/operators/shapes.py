"""Other shapes of the same elements, and borders around them."""

from collections.abc import Mapping

import numpy as np

from qdiag.litert.call import Call, Rule
from qdiag.litert.writer import TO_FIRST, TO_LAST, Form


def reshaped(call: Call) -> None:
    """To the shape that the file declares for the output, in the file's order of axes."""
    before, after = call.tensor(0).shape, call.output().shape
    if call.writer.is_free and call.is_sampled:
        if not after or not before:
            call.needs_fixed_batch()
        each, behind = _count(before[1:]), _count(after[1:])
        # what is moved into the axis of samples stays behind each sample
        if each % max(behind, 1) and behind % max(each, 1):
            call.needs_fixed_batch()
    x = call.read(0, "last")
    call.node("Reshape", [x, call.writer.numbers(call.sizes())], call.put("last"))


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _transpose(call: Call) -> None:
    order = call.integers(1)
    if not order or order[0] != 0:
        call.needs_fixed_batch()
    if sorted(order) != list(range(len(call.tensor(0).shape))):
        raise call.error(f"an order of axes {order}")
    if order == list(TO_LAST) and not call.writer.has(call.place(), "first"):
        # what becomes an image had its channels first already
        call.node("Identity", [call.read(0, "last")], call.put("first"))
        return
    call.node("Transpose", [call.read(0, "last")], call.put("last"), perm=order)


def _pad(call: Call) -> None:
    """The border is 0, the number that the third input holds, or mirrored elements."""
    form, rank = call.form, len(call.tensor(0).shape)
    pairs = call.known(1).reshape(-1, 2).tolist()
    if len(pairs) != rank:
        raise call.error(f"{len(pairs)} paddings for {rank} axes")
    if any(pairs[0]) if pairs else False:
        call.needs_fixed_batch()
    if form == "first" and rank == 4:
        pairs = [pairs[axis] for axis in (0, 3, 1, 2)]
    is_mirrored = call.operator.kind == "MIRROR_PAD"
    if is_mirrored and call.option("mode") == 1:
        _mirrored(call, form, [(int(before), int(after)) for before, after in pairs])
        return
    pads = [int(before) for before, _ in pairs] + [int(after) for _, after in pairs]
    inputs = [call.read(0, form), call.writer.numbers(pads)]
    if call.has(2):
        inputs.append(call.writer.number(float(call.known(2).reshape(-1)[0])))
    call.node("Pad", inputs, call.put(form), mode="reflect" if is_mirrored else "constant")


def _mirrored(call: Call, form: Form, pairs: list[tuple[int, int]]) -> None:
    """The outermost elements stand twice: each axis takes its elements anew, in this order."""
    shape, x = call.tensor(0).shape, call.read(0, form)
    sizes = [shape[axis] for axis in TO_FIRST] if form == "first" and len(shape) == 4 else list(shape)
    axes = [axis for axis, pair in enumerate(pairs) if any(pair)]
    for axis in axes:
        order = np.pad(np.arange(sizes[axis], dtype=np.int64), pairs[axis], mode="symmetric")
        inputs = [x, call.writer.constant("numbers", order, "computed")]
        if axis == axes[-1]:
            call.node("Gather", inputs, call.put(form), axis=axis)
        else:
            x = call.step("Gather", inputs, f"mirrored along axis {axis}", axis=axis)
    if not axes:
        call.node("Identity", [x], call.put(form))


def _broadcast(call: Call) -> None:
    wanted = list(call.output().shape)
    if call.writer.is_free and call.is_sampled:
        shape = call.tensor(0).shape
        if len(shape) != len(wanted) or wanted[0] != shape[0]:
            call.needs_fixed_batch()
        wanted[0] = 1
    form = _kept_form(call)
    call.node("Expand", [call.read(0, form), call.writer.numbers(_in_form(wanted, form))], call.put(form))


def _tile(call: Call) -> None:
    counts = call.integers(1)
    if counts and counts[0] != 1:
        call.needs_fixed_batch()
    form = _kept_form(call)
    call.node("Tile", [call.read(0, form), call.writer.numbers(_in_form(counts, form))], call.put(form))


def _kept_form(call: Call) -> Form:
    """That of an image which stays one."""
    is_image = len(call.tensor(0).shape) == len(call.output().shape) == len(TO_FIRST)
    return call.form if is_image else "last"


def _in_form(numbers: list[int], form: Form) -> list[int]:
    """Numbers of the axes of an image."""
    return [numbers[axis] for axis in TO_FIRST] if form == "first" else numbers


OPERATORS: Mapping[str, Rule] = {
    "RESHAPE": reshaped,
    "SQUEEZE": reshaped,
    "EXPAND_DIMS": reshaped,
    "TRANSPOSE": _transpose,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _pad,
    "BROADCAST_TO": _broadcast,
    "TILE": _tile,
}
