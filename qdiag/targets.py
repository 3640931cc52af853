"""What a batch is judged by: class numbers, masks, floats, boxes, texts, or a tree of these.

Targets have one of four forms, and every function here takes all of them:

- a tensor, whose first axis counts samples;
- a list with one entry per sample, of any type: a dictionary of boxes, a text, a tensor of a size of its own;
- a tuple or a dictionary, whose branches are targets again, each of all samples;
- None: there are none.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from qdiag.core.listed import count_noun
from qdiag.errors import DataError
from qdiag.numerics.tensor_bytes import tensor_bytes

TargetKind = Literal["none", "classes", "mask", "floats", "boxes", "texts", "other"]

NO_TARGETS = "none"


def kind_of_targets(targets: Any) -> TargetKind:
    """What targets are by their types and shapes; their values are not looked at.

    - classes: integers or bool (N,) or (N, 1).
    - mask: integers or bool (N, H, W), (N, 1, H, W), (N, T), ...: one class for every position.
    - floats: floating point of any shape.
    - boxes: for every sample a dictionary with `boxes` (M, 4) and `labels` (M,).
    - texts: for every sample a str.
    - other: everything else, trees with branches among them; only a metric of the user's own can judge by these.
    """
    if targets is None:
        return "none"
    if isinstance(targets, Tensor):
        return _kind_of_tensor(targets)
    if isinstance(targets, list) and targets:
        if all(isinstance(entry, str) for entry in targets):
            return "texts"
        if all(is_boxes(entry) for entry in targets):
            return "boxes"
    return "other"


def is_boxes(entry: Any) -> bool:
    """The targets of one sample are boxes (M, 4) with a label (M,) each; M may be 0."""
    if not isinstance(entry, Mapping):
        return False
    boxes, labels = entry.get("boxes"), entry.get("labels")
    return (
        isinstance(boxes, Tensor)
        and isinstance(labels, Tensor)
        and boxes.ndim == 2
        and boxes.shape[1] == 4
        and labels.shape == boxes.shape[:1]
    )


def shape_of_targets(targets: Any) -> str:
    """Kind and shapes in words, for messages: `floats (16, 3)`, `boxes of 16 samples`, `{mask: mask (16, 8, 8)}`."""
    kind = kind_of_targets(targets)
    if targets is None:
        return NO_TARGETS
    if isinstance(targets, Tensor):
        return f"{kind} {tuple(targets.shape)}"
    if isinstance(targets, list):
        return f"{kind if kind != 'other' else 'entries'} of {count_noun(len(targets), 'sample')}"
    if isinstance(targets, Mapping):
        return f"{{{', '.join(f'{name}: {shape_of_targets(branch)}' for name, branch in targets.items())}}}"
    if isinstance(targets, tuple):
        return f"({', '.join(map(shape_of_targets, targets))})"
    return f"a {type(targets).__name__}"


def target_counts(targets: Any, place: str = "") -> Iterator[tuple[str, int]]:
    """Samples of every tensor and list in the tree, after its place (`mask`, `1.boxes`; empty for the whole)."""
    if isinstance(targets, Tensor):
        yield place, int(targets.shape[0]) if targets.ndim else 1
    elif isinstance(targets, list):
        yield place, len(targets)
    elif isinstance(targets, (Mapping, tuple)):
        named = targets.items() if isinstance(targets, Mapping) else enumerate(targets)
        for name, branch in named:
            yield from target_counts(branch, f"{place}.{name}" if place else str(name))


def copied_targets(targets: Any) -> Any:
    """The same targets in tensors and lists of their own, many times as fast as `copy.deepcopy`."""
    if type(targets) is Tensor:
        return targets.detach().clone()
    if type(targets) is dict:
        return {name: copied_targets(branch) for name, branch in targets.items()}
    if type(targets) in (list, tuple):
        return type(targets)(map(copied_targets, targets))
    return copy.deepcopy(targets)


def target_rows(targets: Any, indices: Sequence[int]) -> Any:
    """The targets of some samples, in the order of `indices`; an index may come twice."""

    def cut(tensor: Tensor) -> Tensor:
        return tensor.index_select(0, torch.as_tensor(indices, dtype=torch.int64, device=tensor.device))

    return _mapped(targets, cut, lambda entries: [entries[index] for index in indices])


def joined_targets(parts: Sequence[Any]) -> Any:
    """The targets of several batches, one after another.

    Raises:
        DataError: they differ in structure, or their tensors in shape.
    """
    first = parts[0]
    if len(parts) == 1 or first is None:
        return first
    if any(_outline(part) != _outline(first) for part in parts):
        raise DataError("the targets of two batches differ in structure", hint="every batch needs the same structure")
    if isinstance(first, Mapping):
        return {name: joined_targets([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple):
        return tuple(joined_targets(column) for column in zip(*parts, strict=True))
    if isinstance(first, list):
        return [entry for part in parts for entry in part]
    try:
        return torch.cat([part if part.ndim else part[None] for part in parts])
    except RuntimeError:
        shapes = " and ".join(sorted({str(tuple(part.shape[1:])) for part in parts}))
        raise DataError(
            f"the targets of one sample have the shapes {shapes}",
            hint="give targets of different shapes as a list with one entry per sample",
        ) from None


def structure_of_targets(targets: Any) -> str:
    """What must be the same in every batch, in words: names, number of axes and the type of the entries of lists."""
    if isinstance(targets, Tensor):
        return f"a tensor of {targets.ndim} axes"
    if isinstance(targets, Mapping):
        return f"{{{', '.join(f'{name}: {structure_of_targets(branch)}' for name, branch in targets.items())}}}"
    if isinstance(targets, tuple):
        return f"({', '.join(map(structure_of_targets, targets))})"
    if isinstance(targets, list):
        return f"a list of {' and '.join(sorted({type(entry).__name__ for entry in targets})) or 'nothing'}"
    return NO_TARGETS if targets is None else f"a {type(targets).__name__}"


def target_bytes(targets: Any) -> Iterator[bytes]:
    """Every value with its type and its place in the tree, for digests: equal bytes mean equal targets."""
    if isinstance(targets, Tensor):
        yield f"{targets.dtype} {tuple(targets.shape)}\n".encode()
        yield tensor_bytes(targets).numpy().tobytes()
    elif isinstance(targets, Mapping):
        yield f"mapping {len(targets)}\n".encode()
        for name in sorted(targets, key=str):
            yield from target_bytes(str(name))
            yield from target_bytes(targets[name])
    elif isinstance(targets, (list, tuple)):
        yield f"{type(targets).__name__} {len(targets)}\n".encode()
        for entry in targets:
            yield from target_bytes(entry)
    else:
        text = targets if isinstance(targets, str) else repr(targets)
        yield f"{type(targets).__name__} {len(text.encode())}\n{text}".encode()


def _kind_of_tensor(x: Tensor) -> TargetKind:
    if x.is_floating_point():
        return "floats"
    if x.is_complex() or x.ndim == 0:
        return "other"
    return "classes" if x.ndim == 1 or (x.ndim == 2 and x.shape[1] == 1) else "mask"


def _outline(targets: Any) -> tuple[Any, ...]:
    """The uppermost level of the structure."""
    if isinstance(targets, Mapping):
        return (dict, tuple(targets))
    return (tuple, len(targets)) if isinstance(targets, tuple) else (type(targets),)


def _mapped(targets: Any, on_tensor: Callable[[Tensor], Tensor], on_list: Callable[[list[Any]], list[Any]]) -> Any:
    if isinstance(targets, Tensor):
        return on_tensor(targets) if targets.ndim else targets
    if isinstance(targets, list):
        return on_list(targets)
    if isinstance(targets, Mapping):
        return {name: _mapped(branch, on_tensor, on_list) for name, branch in targets.items()}
    if isinstance(targets, tuple):
        return tuple(_mapped(branch, on_tensor, on_list) for branch in targets)
    return targets
