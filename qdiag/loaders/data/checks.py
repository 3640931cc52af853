"""What makes inputs and labels unusable, found before the network sees them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from qdiag.batches import Batch
from qdiag.core.listed import count_noun
from qdiag.errors import DataError
from qdiag.targets import target_counts

LARGEST_WHOLE = 2.0**63
"""From here on a float is no class number: int64 does not hold it."""


def class_labels(labels: Tensor, *, at: str | None = None) -> Tensor:
    """Labels as class numbers (N,) int64 where they are whole numbers in one column; anything else as it is.

    Args:
        at: where they come from.

    Raises:
        DataError: a whole number that 64 bits with a sign do not hold.
    """
    if labels.dtype in (torch.uint16, torch.uint32, torch.uint64):
        labels = _signed(labels, at)  # torch compares none of these
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype == torch.bool or labels.dtype.is_complex:
        return labels
    if labels.dtype.is_floating_point and not bool(
        (labels.abs() < LARGEST_WHOLE).all() and torch.equal(labels, labels.round())
    ):
        return labels
    return labels.to(torch.int64)


def _signed(labels: Tensor, at: str | None) -> Tensor:
    signed = labels.to(torch.int64)
    beyond = torch.nonzero(signed < 0)
    if len(beyond):
        index = tuple(beyond[0].tolist())
        raise DataError(
            f"label {labels[index].item()} of sample {index[0]} is larger than a class number can be",
            at=at,
            hint="class numbers start at 0",
        )
    return signed


def check_labels(
    labels: Tensor, class_count: int | None, *, at: str | None = None, name: Callable[[int], str] | None = None
) -> None:
    """Labels are class numbers (N,) from 0 to class_count - 1; without `class_count`, whole numbers from 0.

    Args:
        at: where they come from. name: what to call sample i; "sample i" by default.

    Raises:
        DataError: naming the first label that is none.
    """
    if labels.ndim != 1:
        shape = tuple(labels.shape)
        raise DataError(
            f"labels have shape {shape}", at=at, hint="one class number per sample is needed: for one-hot rows, argmax"
        )
    sample = name or "sample {}".format
    labels = class_labels(labels)
    if labels.dtype != torch.int64:
        numbers = labels.dtype.is_floating_point
        wrong = (labels != labels.round()) | ~(labels.abs() < LARGEST_WHOLE) if numbers else torch.ones(len(labels))
        index = int(torch.nonzero(wrong)[0, 0])
        raise DataError(
            f"label {labels[index].item()} of {sample(index)} is no class number",
            at=at,
            hint="class numbers start at 0",
        )
    outside = labels < 0 if class_count is None else (labels < 0) | (labels >= class_count)
    if not bool(outside.any()):
        return
    index = int(torch.nonzero(outside)[0, 0])
    among = "negative" if class_count is None else f"outside 0 to {class_count - 1}"
    count = int(outside.sum())
    others = f" (and {count - 1} more)" if count > 1 else ""
    raise DataError(
        f"label {int(labels[index])} of {sample(index)} is {among}{others}",
        at=at,
        hint="labels are class numbers from 0 in the order of the network's outputs",
    )


def check_label_count(targets: Any, sample_count: int, *, at: str) -> None:
    """As many targets as samples, in every branch.

    Raises:
        DataError: otherwise, naming the branch.
    """
    for place, count in target_counts(targets):
        if count != sample_count:
            are = "is" if count == 1 else "are"
            labels = f"{count_noun(count, 'label')}{f' in {place}' if place else ''}"
            raise DataError(
                f"there {are} {labels} for {count_noun(sample_count, 'sample')}",
                at=at,
                hint="give one label per sample, in the same order",
            )


def check_batch(batch: Batch, expected_shape: Sequence[int], *, at: str | None = None) -> None:
    """The first input fits the network: same rank, channels and size.

    Args:
        expected_shape: of the network's first input, batch axis first; that axis is not compared.

    Raises:
        DataError: saying what differs and which option changes it.
    """
    tensors = batch.tensors
    if not tensors:
        raise DataError("the batch holds no tensor", at=at, hint="give tensors with the batch axis first")
    got, expected = tuple(tensors[0].shape[1:]), tuple(expected_shape[1:])
    if got == expected:
        return
    if len(got) != len(expected):
        message = f"one input has shape {_shape(got)}, the network takes {_shape(expected)}"
        raise DataError(message, at=at, hint="the first axis counts samples: store (N, ...) arrays")
    if len(got) == 3 and got[0] != expected[0]:
        nhwc = got[2] == expected[0]
        message = (
            f"inputs have {count_noun(got[0], 'channel')}, and the network takes {expected[0]}; "
            f"one input is {_shape(got)}"
        )
        hint = (
            "the channels are last: store floats as (N, C, H, W), or pixels as uint8"
            if nhwc
            else "set channels to 1 or 3 for pixels, or store what the network takes"
        )
        raise DataError(message, at=at, hint=hint)
    raise DataError(
        f"inputs are {_shape(got)}, the network takes {_shape(expected)}",
        at=at,
        hint="use `resize` and `crop`, or another `input_shape`",
    )


def numbered(before: str, indices: Sequence[int], after: str = "") -> Callable[[int], str]:
    """Names of the samples of a batch, such as `images[17]` from `images[` and `]`."""
    return lambda index: f"{before}{indices[index]}{after}"


def check_finite(batch: Batch, *, at: str | None = None, name: Callable[[int], str] | None = None) -> None:
    """No NaN and no Inf among the inputs and the targets.

    Args:
        name: what to call sample i of this batch.

    Raises:
        DataError: naming the first sample that has one.
    """
    named = name or "sample {}".format
    for tensor in batch.tensors:
        _check_finite(tensor, at, named, "no error can be measured on such inputs: remove or repair them")
    for tensor, sample in _target_tensors(batch.labels):
        hint = "nothing can be compared with such targets: remove or repair them"
        _check_finite(tensor, at, _of_targets(named, sample), hint)


def _of_targets(named: Callable[[int], str], sample: int | None) -> Callable[[int], str]:
    """Names of rows of targets; `sample` is the one that all of them belong to."""
    return lambda index: f"the targets of {named(index if sample is None else sample)}"


def _check_finite(tensor: Tensor, at: str | None, name: Callable[[int], str], hint: str) -> None:
    if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex) or bool(torch.isfinite(tensor).all()):
        return
    bad = ~torch.isfinite(tensor)
    index = int(torch.nonzero(bad)[0, 0]) if tensor.ndim else 0
    value = "NaN" if bool(torch.isnan(tensor).any()) else "Inf"
    count = int(bad.sum())
    those = f"{count_noun(count, 'value')} that {'is' if count == 1 else 'are'} not finite"
    raise DataError(f"there is {value} in {name(index)} ({those})", at=at, hint=hint)


def _target_tensors(targets: Any) -> Iterator[tuple[Tensor, int | None]]:
    """Every tensor among targets, with the sample that it belongs to where it belongs to one alone."""
    if isinstance(targets, Tensor):
        yield targets, None
    elif isinstance(targets, list):
        for index, entry in enumerate(targets):
            yield from ((leaf, index) for leaf in pytree.tree_leaves(entry) if isinstance(leaf, Tensor))
    elif isinstance(targets, (Mapping, tuple)):
        for branch in targets.values() if isinstance(targets, Mapping) else targets:
            yield from _target_tensors(branch)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) if shape else "()"
