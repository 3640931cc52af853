"""Values in another shape or order."""

from collections.abc import Mapping, Sequence

from qdiag.exporters.onnx.call import Call, Size
from qdiag.exporters.onnx.operators.kind import Writer


def _key(call: Call) -> str:
    return "self" if call.has("self") else "input"


def _target(call: Call, wanted: Sequence[object]) -> str:
    """The shape as an input of Reshape: one size that is free becomes -1."""
    free = [i for i, size in enumerate(wanted) if isinstance(size, Size)]
    if len(free) == 1 and -1 not in wanted:
        return call.graph.integers([-1 if i in free else int(str(size)) for i, size in enumerate(wanted)])
    return call.sizes(wanted)


def _reshape(call: Call) -> str:
    wanted = call.get("shape", call.get("size"))
    return call.moved(call.tensor(_key(call)), "Reshape", _target(call, wanted))


def _flatten(call: Call) -> str:
    """0 keeps a size, -1 is what is left."""
    key = _key(call)
    rank = len(call.shape(key))
    first, last = int(call.get("start_dim", 0)) % max(rank, 1), int(call.get("end_dim", -1)) % max(rank, 1)
    if rank == 0:
        return call.moved(call.tensor(key), "Reshape", call.graph.integers([1]))
    after = list(call.shape(key)[last + 1 :])
    return call.moved(call.tensor(key), "Reshape", call.graph.integers([*[0] * first, -1, *after]))


def _unflatten(call: Call) -> str:
    key = _key(call)
    shape = call.shape(key)
    axis = call.axis("dim", len(shape))
    wanted = [0] * axis + list(call.get("sizes")) + list(shape[axis + 1 :])
    return call.moved(call.tensor(key), "Reshape", call.sizes(wanted))


def _permute(call: Call) -> str:
    key = _key(call)
    rank = len(call.shape(key))
    return call.moved(call.tensor(key), "Transpose", perm=[int(axis) % rank for axis in call.get("dims")])


def _swapped(call: Call, first: int, second: int) -> str:
    order = list(range(len(call.shape(_key(call)))))
    order[first], order[second] = order[second], order[first]
    return call.moved(call.tensor(_key(call)), "Transpose", perm=order)


def _transpose(call: Call) -> str:
    first, second = ("dim0", "dim1") if call.has("dim0") else ("axis0", "axis1")
    return _swapped(call, int(call.get(first)), int(call.get(second)))


def _t(call: Call) -> str:
    rank = len(call.shape(_key(call)))
    return call.tensor(_key(call)) if rank < 2 else _swapped(call, 0, 1)


def _reversed_axes(call: Call) -> str:
    return call.moved(call.tensor(_key(call)), "Transpose", perm=list(range(len(call.shape(_key(call)))))[::-1])


def _movedim(call: Call) -> str:
    rank = len(call.shape(_key(call)))

    def axes(key: str) -> list[int]:
        given = call.get(key)
        return [int(axis) % rank for axis in (given if isinstance(given, Sequence) else [given])]

    source, target = axes("source"), axes("destination")
    order = [axis for axis in range(rank) if axis not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        order.insert(place, axis)
    return call.moved(call.tensor(_key(call)), "Transpose", perm=order)


def _squeeze(call: Call) -> str:
    key = _key(call)
    shape = call.shape(key)
    given = call.get("dim")
    axes = list(range(len(shape))) if given is None else given if isinstance(given, Sequence) else [given]
    single = sorted(int(axis) % len(shape) for axis in axes if shape[int(axis) % len(shape)] == 1)
    return call.moved(call.tensor(key), "Squeeze", call.graph.integers(single)) if single else call.tensor(key)


def _unsqueeze(call: Call) -> str:
    axis = int(call.get("dim")) % (len(call.shape(_key(call))) + 1)
    return call.moved(call.tensor(_key(call)), "Unsqueeze", call.graph.integers([axis]))


def _expand(call: Call) -> str:
    """-1 keeps a size, as 1 does in ONNX."""
    wanted = [1 if size == -1 else size for size in call.get("size")]
    return call.moved(call.tensor(_key(call)), "Expand", call.sizes(wanted))


def _expand_as(call: Call) -> str:
    shape = call.add("Shape", call.tensor("other"), suffix="/shape")
    return call.moved(call.tensor("self"), "Expand", shape)


def _view_as(call: Call) -> str:
    shape = call.add("Shape", call.tensor("other"), suffix="/shape")
    return call.moved(call.tensor("self"), "Reshape", shape)


def _repeat(call: Call) -> str:
    key = _key(call)
    times = list(call.get("repeats", call.get("dims")))
    x, missing = call.tensor(key), len(times) - len(call.shape(key))
    if missing > 0:
        x = call.moved(x, "Unsqueeze", call.graph.integers(list(range(missing))), suffix="/axes")
    return call.moved(x, "Tile", call.sizes([*[1] * -missing, *times]))


def _same(call: Call) -> str:
    return call.tensor(_key(call))


OPERATORS: Mapping[str, Writer] = {
    **dict.fromkeys(("reshape", "view", "_unsafe_view"), _reshape),
    "flatten": _flatten,
    "unflatten": _unflatten,
    "permute": _permute,
    **dict.fromkeys(("transpose", "swapaxes"), _transpose),
    "t": _t,
    "numpy_T": _reversed_axes,
    "movedim": _movedim,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "expand": _expand,
    "expand_as": _expand_as,
    **dict.fromkeys(("view_as", "reshape_as"), _view_as),
    **dict.fromkeys(("repeat", "tile"), _repeat),
    **dict.fromkeys(("clone", "contiguous", "alias", "detach", "dropout", "feature_dropout"), _same),
}
